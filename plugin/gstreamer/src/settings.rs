//! The properties of the element.

use gst::glib::{self, ParamSpec, Value};
use gst::prelude::*;
use hetmm::Options;
use std::path::PathBuf;

/// The frames that are inspected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstHetmmMode")]
pub enum Mode {
    /// Every frame.
    #[default]
    #[enum_value(name = "Every frame is inspected", nick = "every-frame")]
    EveryFrame,
    /// The next frame after each trigger. The others pass without a meta.
    #[enum_value(name = "Only the next frame after a trigger is inspected", nick = "triggered")]
    Triggered,
}

/// The inspections that are told on the bus.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstHetmmPostMessages")]
pub enum PostMessages {
    /// Every inspection.
    #[default]
    #[enum_value(name = "Every inspection", nick = "all")]
    All,
    /// The verdicts `review` and `ng`, failures included.
    #[enum_value(name = "Inspections with the verdict review or ng", nick = "not-ok")]
    NotOk,
    /// No inspection.
    #[enum_value(name = "No inspection", nick = "none")]
    None,
}

/// What follows from a frame that cannot be inspected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstHetmmOnError")]
pub enum OnError {
    /// The frame is rejected, and the stream stops with an error.
    #[default]
    #[enum_value(name = "Reject the frame and stop the stream with an error", nick = "error")]
    Error,
    /// The frame is rejected, and the stream goes on.
    #[enum_value(name = "Reject the frame and go on", nick = "reject")]
    Reject,
}

/// The values of the properties.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The template's file.
    pub template: Option<String>,
    /// The ONNX file of the backbone, if it is not the bundled one.
    pub backbone: Option<String>,
    /// The name of the feature extractor.
    pub device: String,
    /// The shared library of ONNX Runtime.
    pub onnxruntime: Option<String>,
    /// The number of threads. 0 means one for each core.
    pub threads: u32,
    /// Whether frames of another shape than the good pictures are squeezed.
    pub any_shape: bool,
    /// Whether a file that was replaced is taken over.
    pub watch: bool,
    /// The latency that is reported, in nanoseconds. A negative number means that it is measured.
    pub processing_latency_ns: i64,
    /// What is done with each frame.
    pub frames: FrameSettings,
}

/// The settings that every frame needs.
#[derive(Debug, Clone, Copy)]
pub struct FrameSettings {
    /// The frames that are inspected.
    pub mode: Mode,
    /// The inspections that are told on the bus.
    pub post_messages: PostMessages,
    /// Whether a frame gets metas.
    pub attach_meta: bool,
    /// Whether the meta holds the anomaly map.
    pub attach_map: bool,
    /// What follows from a frame that cannot be inspected.
    pub on_error: OnError,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            template: None,
            backbone: None,
            device: "usual".into(),
            onnxruntime: None,
            threads: 0,
            any_shape: false,
            watch: false,
            processing_latency_ns: -1,
            frames: FrameSettings {
                mode: Mode::default(),
                post_messages: PostMessages::default(),
                attach_meta: true,
                attach_map: false,
                on_error: OnError::default(),
            },
        }
    }
}

impl Settings {
    /// Takes over the value of the property `name`. GObject has checked its type and range.
    pub fn set(&mut self, name: &str, value: &Value) {
        let text = || value.get::<Option<String>>().ok().flatten().filter(|text| !text.is_empty());
        match name {
            "template" => self.template = text(),
            "backbone" => self.backbone = text(),
            "device" => self.device = text().unwrap_or_else(|| "usual".into()),
            "onnxruntime" => self.onnxruntime = text(),
            "threads" => take(&mut self.threads, value),
            "any-shape" => take(&mut self.any_shape, value),
            "watch" => take(&mut self.watch, value),
            "mode" => take(&mut self.frames.mode, value),
            "post-messages" => take(&mut self.frames.post_messages, value),
            "attach-meta" => take(&mut self.frames.attach_meta, value),
            "attach-map" => take(&mut self.frames.attach_map, value),
            "on-error" => take(&mut self.frames.on_error, value),
            "processing-latency" => take(&mut self.processing_latency_ns, value),
            _ => {}
        }
    }

    /// Returns the value of the property `name`, or `None` if it is none of these.
    pub fn get(&self, name: &str) -> Option<Value> {
        Some(match name {
            "template" => self.template.to_value(),
            "backbone" => self.backbone.to_value(),
            "device" => self.device.to_value(),
            "onnxruntime" => self.onnxruntime.to_value(),
            "threads" => self.threads.to_value(),
            "any-shape" => self.any_shape.to_value(),
            "watch" => self.watch.to_value(),
            "mode" => self.frames.mode.to_value(),
            "post-messages" => self.frames.post_messages.to_value(),
            "attach-meta" => self.frames.attach_meta.to_value(),
            "attach-map" => self.frames.attach_map.to_value(),
            "on-error" => self.frames.on_error.to_value(),
            "processing-latency" => self.processing_latency_ns.to_value(),
            _ => return None,
        })
    }

    /// Returns the options of the inspector.
    ///
    /// # Errors
    /// Returns [`hetmm::ErrorKind::Usage`] if no device has the name.
    pub fn options(&self) -> hetmm::Result<Options> {
        let mut options = Options::builder()
            .device(self.device.parse()?)
            .threads(self.threads as usize)
            .any_shape(self.any_shape);
        if let Some(backbone) = &self.backbone {
            options = options.backbone(PathBuf::from(backbone));
        }
        if let Some(library) = &self.onnxruntime {
            options = options.onnxruntime(PathBuf::from(library));
        }
        Ok(options.build())
    }
}

/// Puts the value of a property in its place.
fn take<T: for<'a> glib::value::FromValue<'a>>(place: &mut T, value: &Value) {
    if let Ok(new) = value.get::<T>() {
        *place = new;
    }
}

/// Returns the properties. `GST_PARAM_MUTABLE_READY` marks those that count when the element starts.
pub fn properties() -> Vec<ParamSpec> {
    let mut all = what_computes();
    all.extend(what_is_done());
    all
}

fn what_computes() -> Vec<ParamSpec> {
    vec![
        glib::ParamSpecString::builder("template")
            .nick("Template")
            .blurb("File of the template. If it is set while the element runs, the element checks the new template in the background and then takes it over")
            .mutable_playing()
            .build(),
        glib::ParamSpecString::builder("backbone")
            .nick("Backbone")
            .blurb("ONNX file of the backbone that the template was made with, if it is not the bundled one")
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder("device")
            .nick("Device")
            .blurb("What computes features: usual (what made the template), int8, tract, cpu, cuda, tensorrt, tract-cuda or auto")
            .default_value(Some("usual"))
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder("onnxruntime")
            .nick("ONNX Runtime")
            .blurb("Shared library of ONNX Runtime. The default is ORT_DYLIB_PATH, then the usual places")
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("threads")
            .nick("Threads")
            .blurb("Number of threads that inspect. 0 means one for each core")
            .maximum(4096)
            .mutable_ready()
            .build(),
        glib::ParamSpecBoolean::builder("any-shape")
            .nick("Any shape")
            .blurb("Whether frames of another shape than the good pictures are squeezed, and not rejected")
            .mutable_ready()
            .build(),
        glib::ParamSpecBoolean::builder("watch")
            .nick("Watch the file")
            .blurb("Whether the element takes over the template's file when it was replaced, after the same check")
            .mutable_playing()
            .build(),
        glib::ParamSpecInt64::builder("processing-latency")
            .nick("Processing latency")
            .blurb("Nanoseconds that the element adds to the latency of a live pipeline. -1 means 1.5 times the slowest of three trial inspections when the element starts")
            .minimum(-1)
            .default_value(-1)
            .mutable_ready()
            .build(),
    ]
}

fn what_is_done() -> Vec<ParamSpec> {
    let defaults = Settings::default().frames;
    vec![
        glib::ParamSpecEnum::builder_with_default("mode", defaults.mode)
            .nick("Mode")
            .blurb("Which frames are inspected")
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("post-messages", defaults.post_messages)
            .nick("Post messages")
            .blurb("Which inspections are posted on the bus")
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder("attach-meta")
            .nick("Attach metas")
            .blurb("Whether an inspected frame gets the result as GstHetmmInspectionMeta, and each region as GstVideoRegionOfInterestMeta")
            .default_value(true)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder("attach-map")
            .nick("Attach the map")
            .blurb("Whether the meta holds the anomaly map, too: map and excess as 32-bit floats. Regions are where excess is above 0")
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("on-error", defaults.on_error)
            .nick("On error")
            .blurb("What follows from a frame that cannot be inspected. It is rejected in any case")
            .mutable_playing()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb("Numbers since the element has started: inspected, ok, review, ng, failed, skipped, mean-ms, max-ms, generation")
            .read_only()
            .build(),
    ]
}
