//! Joins the parts of the element.
//!
//! Frames come on the thread of the stream. Properties, signals and events come on any thread, and outcomes of swaps on
//! the thread of [`Worker`]. No lock is held while something is posted, inspected or waited for.

mod frames;
mod templates;
mod triggers;

use crate::settings::Settings;
use crate::swap::Worker;
use crate::tally::Tally;
use crate::trigger::Waiting;
use crate::{picture, report, settings};
use gst::glib::subclass::Signal;
use gst::glib::{self, ParamSpec, Value};
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::BaseTransformMode;
use gst_base::subclass::prelude::*;
use gst_video::{VideoCropMeta, VideoInfo, VideoMeta};
use hetmm::Inspector;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("hetmm", gst::DebugColorFlags::empty(), Some("visual inspection"))
});

/// The element's own data.
#[derive(Default)]
pub struct Hetmm {
    settings: Mutex<Settings>,
    running: Mutex<Option<Running>>,
    waiting: Mutex<Waiting>,
    tally: Mutex<Tally>,
    format: Mutex<Option<VideoInfo>>,
    /// Whether what comes after this element reads strides from `GstVideoMeta`.
    reads_strides: AtomicBool,
}

/// What exists between start and stop.
#[derive(Clone)]
struct Running {
    inspector: Arc<Inspector>,
    worker: Arc<Worker>,
    latency: Duration,
}

#[glib::object_subclass]
impl ObjectSubclass for Hetmm {
    const NAME: &'static str = "GstHetmm";
    type Type = crate::Hetmm;
    type ParentType = gst_base::BaseTransform;
}

impl ObjectImpl for Hetmm {
    fn properties() -> &'static [ParamSpec] {
        static PROPERTIES: LazyLock<Vec<ParamSpec>> = LazyLock::new(settings::properties);
        &PROPERTIES
    }

    fn signals() -> &'static [Signal] {
        static SIGNALS: LazyLock<Vec<Signal>> = LazyLock::new(signals);
        &SIGNALS
    }

    fn set_property(&self, _id: usize, value: &Value, pspec: &ParamSpec) {
        lock(&self.settings).set(pspec.name(), value);
        let Some(running) = self.running() else { return };
        match pspec.name() {
            "template" => self.template_was_set(&running),
            "watch" => running.worker.watch(lock(&self.settings).watch),
            _ => {}
        }
    }

    fn property(&self, _id: usize, pspec: &ParamSpec) -> Value {
        // The lock ends here: the numbers need others.
        let of_settings = lock(&self.settings).get(pspec.name());
        of_settings.unwrap_or_else(|| self.stats().to_value())
    }
}

impl GstObjectImpl for Hetmm {}

impl ElementImpl for Hetmm {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Visual inspection",
                "Filter/Analyzer/Video",
                "Compares frames with a template that was built from pictures of good parts",
                "hetmm",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = gst_video::VideoCapsBuilder::new()
                .format_list(picture::FORMATS)
                .width_range(8..)
                .height_range(8..)
                .build();
            let pads = [("sink", gst::PadDirection::Sink), ("src", gst::PadDirection::Src)];
            let template = |(name, direction)| {
                gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps)
                    .expect("both names are valid")
            };
            pads.map(template).into()
        });
        &TEMPLATES
    }
}

impl BaseTransformImpl for Hetmm {
    const MODE: BaseTransformMode = BaseTransformMode::AlwaysInPlace;
    // Metas need a buffer that may be written, and passthrough gives one that is shared.
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let file = settings.template.clone().unwrap_or_default();
        let running = self.begin(&settings).map_err(|error| report::at_start(&error))?;
        *lock(&self.tally) = Tally::default();
        *lock(&self.running) = Some(running.clone());
        lock(&self.waiting).open();
        self.tell_template(&file, true, running.inspector.generation(), "in use from the start");
        if lock(&self.settings).template != settings.template {
            self.template_was_set(&running);
        }
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        self.no_more_frames();
        let running = lock(&self.running).take();
        if let Some(running) = running {
            running.worker.end();
        }
        *lock(&self.format) = None;
        Ok(())
    }

    fn set_caps(&self, incaps: &gst::Caps, _out: &gst::Caps) -> Result<(), gst::LoggableError> {
        let info = VideoInfo::from_caps(incaps)
            .map_err(|_| gst::loggable_error!(CAT, "{incaps} are no caps of a video"))?;
        if info.interlace_mode() != gst_video::VideoInterlaceMode::Progressive {
            let text = format!(
                "{incaps}: the video is interlaced, and a field is not a picture of the part\n  -> put deinterlace before hetmm"
            );
            gst::element_imp_error!(self, gst::StreamError::Format, ("{text}"));
            return Err(gst::loggable_error!(CAT, "{text}"));
        }
        *lock(&self.format) = Some(info);
        Ok(())
    }

    fn transform_ip(
        &self,
        buffer: &mut gst::BufferRef,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.frame(buffer)
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::Eos(_) => self.no_more_frames(),
            gst::EventView::FlushStop(_) => {
                self.no_more_frames();
                lock(&self.waiting).open();
            }
            gst::EventView::StreamStart(_) => lock(&self.waiting).open(),
            _ => {}
        }
        let is_trigger = self.trigger_of(&event);
        self.parent_sink_event(event) || is_trigger
    }

    fn src_event(&self, event: gst::Event) -> bool {
        let is_trigger = self.trigger_of(&event);
        // Another element may wait for it, too. Most sources refuse what they do not know.
        self.parent_src_event(event) || is_trigger
    }

    fn query(&self, direction: gst::PadDirection, query: &mut gst::QueryRef) -> bool {
        let answered = BaseTransformImplExt::parent_query(self, direction, query);
        if answered
            && direction == gst::PadDirection::Src
            && let gst::QueryViewMut::Latency(query) = query.view_mut()
            && let (true, least, most) = query.result()
        {
            let own = self.running().map_or(Duration::ZERO, |running| running.latency);
            let own = gst::ClockTime::try_from(own).unwrap_or(gst::ClockTime::ZERO);
            query.set(true, least + own, most.map(|most| most + own));
        }
        answered
    }

    fn decide_allocation(
        &self,
        query: &mut gst::query::Allocation,
    ) -> Result<(), gst::LoggableError> {
        let reads = query.find_allocation_meta::<VideoMeta>().is_some();
        self.reads_strides.store(reads, Ordering::Relaxed);
        self.parent_decide_allocation(query)
    }

    /// Offers `GstVideoMeta` only if what comes after this element reads it, because the same buffers go there.
    fn propose_allocation(
        &self,
        decide_query: Option<&gst::query::Allocation>,
        query: &mut gst::query::Allocation,
    ) -> Result<(), gst::LoggableError> {
        self.parent_propose_allocation(decide_query, query)?;
        // Frames with a crop that nobody has done yet are refused.
        while let Some(index) = query.find_allocation_meta::<VideoCropMeta>() {
            query.remove_nth_allocation_meta(index);
        }
        let offers = query.find_allocation_meta::<VideoMeta>().is_some();
        if !offers && decide_query.is_some() && self.reads_strides.load(Ordering::Relaxed) {
            query.add_allocation_meta::<VideoMeta>(None);
        }
        Ok(())
    }
}

fn signals() -> Vec<Signal> {
    vec![
        Signal::builder("inspect-next")
            .param_types([u64::static_type()])
            .action()
            .run_last()
            .class_handler(|arguments| {
                let element = arguments.first()?.get::<crate::Hetmm>().ok()?;
                let id = arguments.get(1)?.get::<u64>().ok()?;
                element.imp().trigger(id);
                None
            })
            .build(),
        Signal::builder("reload")
            .return_type::<bool>()
            .action()
            .run_last()
            .class_handler(|arguments| {
                let element = arguments.first().and_then(|v| v.get::<crate::Hetmm>().ok());
                Some(element.is_some_and(|element| element.imp().reload()).to_value())
            })
            .build(),
    ]
}

/// Locks. What a panic left is whole, because nothing panics between two changes.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
