//! Joins the parts of the element.
//!
//! Frames come on the thread of the stream. Properties, signals and events come on any thread, and outcomes of swaps on
//! the thread of [`Worker`]. No lock is held while something is posted, inspected or waited for.

use crate::message::{self, Against, Moment, TRIGGER};
use crate::settings::{FrameSettings, Mode, OnError, PostMessages, Settings};
use crate::swap::{Outcome, Stamp, Worker};
use crate::tally::Tally;
use crate::trigger::{Lost, Waiting};
use crate::{latency, meta, picture, report, settings};
use gst::glib::subclass::Signal;
use gst::glib::{self, ParamSpec, Value};
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::BaseTransformMode;
use gst_base::subclass::prelude::*;
use gst_video::{VideoCropMeta, VideoInfo, VideoMeta};
use hetmm::{Error, Inspection, Inspector, Verdict};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
        match lock(&self.settings).get(pspec.name()) {
            Some(value) => value,
            None => self.stats().to_value(),
        }
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
        let settings = lock(&self.settings).frames;
        let frame = lock(&self.tally).arrive();
        let trigger = lock(&self.waiting).frame();
        if settings.mode == Mode::Triggered && trigger.is_none() {
            lock(&self.tally).skip();
            return Ok(gst::FlowSuccess::Ok);
        }
        let start = Instant::now();
        let result = self.inspect(buffer);
        let moment = self.moment(buffer, frame, trigger);
        match result {
            Ok(found) => {
                lock(&self.tally).inspect(found.verdict, start.elapsed());
                self.tell(buffer, &found, &moment, settings)
            }
            Err(error) => self.reject(buffer, &error, &moment, settings),
        }
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

/// Starting, and taking over templates.
impl Hetmm {
    /// Makes the inspector and its helpers.
    fn begin(&self, settings: &Settings) -> hetmm::Result<Running> {
        let file = settings.template.as_ref().ok_or_else(|| {
            Error::usage("no template is set")
                .advise("set the property template to a file that `hetmm build` has made")
        })?;
        let (options, path) = (settings.options()?, PathBuf::from(file));
        let stamp = Stamp::of(&path);
        let inspector = Arc::new(Inspector::open(&path, &options)?);
        let latency = match u64::try_from(settings.processing_latency_ns) {
            Ok(ns) => Duration::from_nanos(ns),
            Err(_) => latency::measured(&inspector)?,
        };
        gst::info!(CAT, imp = self, "{file}: {}, {latency:?} of latency", inspector.extractor());
        let element = self.obj().downgrade();
        let tell = move |outcome: Outcome| {
            if let Some(element) = element.upgrade() {
                element.imp().swapped(outcome);
            }
        };
        let worker = Worker::start(inspector.clone(), path, stamp, settings.watch, tell)?;
        Ok(Running { inspector, worker: Arc::new(worker), latency })
    }

    fn running(&self) -> Option<Running> {
        lock(&self.running).clone()
    }

    /// Takes over the template that the property names now.
    fn template_was_set(&self, running: &Running) {
        let file = lock(&self.settings).template.clone();
        match file {
            Some(file) => running.worker.swap(file.into()),
            None => {
                let text = "the property template is empty, and the template in use stays\n  -> set it to a file that `hetmm build` has made";
                gst::element_imp_warning!(self, gst::ResourceError::Settings, ("{text}"));
            }
        }
    }

    /// Takes over the file of the property again. Returns whether it is in use.
    fn reload(&self) -> bool {
        let file = lock(&self.settings).template.clone();
        match (self.running(), file) {
            (Some(running), Some(file)) => running.worker.swap_now(file.into()),
            _ => false,
        }
    }

    /// Hears what became of a template. After a refusal the property names the file in use again.
    fn swapped(&self, outcome: Outcome) {
        let generation = self.running().map_or(0, |running| running.inspector.generation());
        let Outcome { file, before, result } = outcome;
        let file = file.to_string_lossy();
        match result {
            Ok(generation) => self.tell_template(&file, true, generation, "taken over"),
            Err(error) => {
                self.name_file_in_use(&file, &before);
                let text = report::words(&error);
                self.tell_template(&file, false, generation, &text);
                let text =
                    format!("the template was refused, and the one before stays in use: {text}");
                gst::element_imp_warning!(self, gst::ResourceError::Read, ("{text}"));
            }
        }
    }

    fn name_file_in_use(&self, refused: &str, in_use: &Path) {
        let is_changed = {
            let mut settings = lock(&self.settings);
            let in_use = in_use.to_string_lossy();
            let is_changed = settings.template.as_deref() == Some(refused) && in_use != refused;
            if is_changed {
                settings.template = Some(in_use.into_owned());
            }
            is_changed
        };
        if is_changed {
            self.obj().notify("template");
        }
    }

    fn tell_template(&self, file: &str, in_use: bool, generation: u64, what: &str) {
        message::post(&self.obj(), message::template(file, in_use, generation, what));
    }

    fn stats(&self) -> gst::Structure {
        let generation = self.running().map_or(0, |running| running.inspector.generation());
        lock(&self.tally).structure(generation)
    }
}

/// Inspecting frames.
impl Hetmm {
    fn inspect(&self, buffer: &gst::BufferRef) -> hetmm::Result<Inspection> {
        let (inspector, info) = (self.running().map(|r| r.inspector), lock(&self.format).clone());
        let (Some(inspector), Some(info)) = (inspector, info) else {
            return Err(Error::usage("a frame came before the stream had caps and a template"));
        };
        picture::with_view(buffer, &info, |view| inspector.inspect(view))
    }

    /// Returns what is known of the frame in `buffer`.
    fn moment(&self, buffer: &gst::BufferRef, frame: u64, trigger: Option<u64>) -> Moment {
        let segment = self.obj().segment();
        let segment = segment.downcast_ref::<gst::ClockTime>();
        let timestamp = buffer.pts();
        Moment {
            frame,
            trigger,
            size: lock(&self.format).as_ref().map_or((0, 0), |info| (info.width(), info.height())),
            timestamp,
            stream_time: segment.and_then(|segment| segment.to_stream_time(timestamp)),
            running_time: segment.and_then(|segment| segment.to_running_time(timestamp)),
            duration: buffer.duration(),
        }
    }

    /// Passes on what was found in a frame.
    fn tell(
        &self,
        buffer: &mut gst::BufferRef,
        found: &Inspection,
        moment: &Moment,
        settings: FrameSettings,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let structure = message::inspected(found, moment);
        if settings.attach_meta {
            let map = settings.attach_map.then_some(found);
            self.attach(buffer, &structure, map)?;
            let verdict = structure.get::<&str>("verdict").unwrap_or("ng");
            meta::attach_regions(buffer, &found.regions, verdict);
        }
        let is_told = match settings.post_messages {
            PostMessages::All => true,
            PostMessages::NotOk => found.verdict != Verdict::Ok,
            PostMessages::None => false,
        };
        if is_told {
            message::post(&self.obj(), structure);
        }
        Ok(gst::FlowSuccess::Ok)
    }

    /// Rejects a frame that cannot be inspected. It may end the stream.
    fn reject(
        &self,
        buffer: &mut gst::BufferRef,
        error: &Error,
        moment: &Moment,
        settings: FrameSettings,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        lock(&self.tally).fail();
        let structure = message::failed(error, moment, self.against());
        if settings.attach_meta {
            self.attach(buffer, &structure, None)?;
        }
        if settings.post_messages != PostMessages::None {
            message::post(&self.obj(), structure);
        }
        let text = format!("frame {} was not inspected: {}", moment.frame, report::words(error));
        match settings.on_error {
            OnError::Reject => {
                gst::warning!(CAT, imp = self, "{text}");
                Ok(gst::FlowSuccess::Ok)
            }
            OnError::Error => {
                gst::element_imp_error!(self, gst::StreamError::Failed, ("{text}"));
                Err(gst::FlowError::Error)
            }
        }
    }

    fn attach(
        &self,
        buffer: &mut gst::BufferRef,
        structure: &gst::StructureRef,
        map: Option<&Inspection>,
    ) -> Result<(), gst::FlowError> {
        meta::attach(buffer, structure, map).map_err(|error| {
            gst::element_imp_error!(self, gst::CoreError::Failed, ("no meta: {error}"));
            gst::FlowError::Error
        })
    }

    fn against(&self) -> Against {
        self.running().map_or_else(Against::default, |running| Against {
            threshold: running.inspector.template().header().calibration.threshold,
            generation: running.inspector.generation(),
        })
    }
}

/// Triggers.
impl Hetmm {
    /// Asks for the next frame.
    fn trigger(&self, id: u64) {
        let lost = lock(&self.waiting).ask(id);
        for (id, why) in lost {
            self.lose(id, why);
        }
    }

    /// Takes the trigger of an event, if it is one. Returns whether it is.
    fn trigger_of(&self, event: &gst::Event) -> bool {
        let Some(structure) = event.structure().filter(|s| s.name() == TRIGGER) else {
            return false;
        };
        match structure.get::<u64>("id") {
            Ok(id) => {
                self.trigger(id);
                true
            }
            Err(_) => {
                let text = format!(
                    "the event {structure} has no id, so its part gets no result\n  -> give it the field id as uint64"
                );
                gst::element_imp_warning!(self, gst::StreamError::Failed, ("{text}"));
                false
            }
        }
    }

    /// Rejects the part whose trigger still waits.
    fn no_more_frames(&self) {
        let lost = lock(&self.waiting).close();
        if let Some((id, why)) = lost {
            self.lose(id, why);
        }
    }

    fn lose(&self, id: u64, why: Lost) {
        lock(&self.tally).fail();
        if lock(&self.settings).frames.post_messages != PostMessages::None {
            message::post(&self.obj(), message::lost(id, why, self.against()));
        }
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
