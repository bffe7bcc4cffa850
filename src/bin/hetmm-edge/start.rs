//! This module starts the threads and connects them with queues.

use crate::replay::Replay;
use hetmm::camera::Camera;
use hetmm::clock::LineTime;
use hetmm::error::{Error, Kind, Result};
use hetmm::line::alive::Alive;
use hetmm::line::archive::Archive;
use hetmm::line::capture::Capture;
use hetmm::line::config::{ControlConfig, LineConfig, TriggerSource};
use hetmm::line::control::{Control, Logins, PlantUser, Socket};
use hetmm::line::current::Current;
use hetmm::line::drift_keeper::{Feed as DriftFeed, Keeper};
use hetmm::line::evidence::device_key::DeviceKey;
use hetmm::line::feed::{Feed, FeedSocket, PreviewSlot, Source};
use hetmm::line::feedback::{self, Feedback, Teller};
use hetmm::line::hub::{Hub, Links};
use hetmm::line::inputs::Inputs;
use hetmm::line::inspect::Inspection;
use hetmm::line::light::Light;
use hetmm::line::live::{Live, Traffic};
use hetmm::line::messages::{Job, Message, WantedFrame};
use hetmm::line::outbox::{Outbox, QUEUE};
use hetmm::line::outputs::Bank;
use hetmm::line::records::{Losses, Records, Reporter};
use hetmm::line::reply::{Asked, REQUESTS};
use hetmm::line::status::Snapshot;
use hetmm::line::supervise;
use hetmm::line::templates::Templates;
use hetmm::line::tracker::PartTracker;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The running threads.
pub struct Line {
    pub hub: JoinHandle<Snapshot>,
    pub outbox: Outbox,
    pub stop: Arc<AtomicBool>,
    pub bank: Arc<Mutex<Bank>>,
    pub alive: Arc<Alive>,
    pub templates: Arc<Templates>,
    pub archive: Option<ArchiveThread>,
    pub records: Option<JoinHandle<()>>,
    pub drift: Option<JoinHandle<()>>,
    /// It is dropped when the process ends, and the file of the socket with it.
    pub control: Option<JoinHandle<()>>,
    /// As `control`.
    pub feed: Option<JoinHandle<()>>,
}

/// The drift watch, the way to it, and its thread.
type Drift = (Option<Arc<Keeper>>, Option<DriftFeed>, Option<JoinHandle<()>>);

/// Who gets something of each part after the hub has its result.
struct Onlookers {
    drift: Option<DriftFeed>,
    preview: Option<Arc<PreviewSlot>>,
}

/// The archive and its thread.
pub type ArchiveThread = (Arc<Archive>, JoinHandle<()>);

impl Line {
    /// Starts every thread of the line.
    ///
    /// # Errors
    /// [`Kind::Io`] if a thread cannot be started or an input line cannot be opened.
    pub fn start(
        config: &LineConfig,
        bank: Arc<Mutex<Bank>>,
        socket: Option<Socket>,
        feed: Option<FeedSocket>,
        replay: Option<Replay>,
    ) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, messages) = sync_channel(QUEUE);
        let outputs = bank.lock().unwrap_or_else(PoisonError::into_inner).levels();
        let wiring = Wiring {
            config,
            outbox: Outbox::new(sender, stop.clone()),
            bank,
            alive: Arc::default(),
            current: Arc::default(),
            light: Arc::default(),
            replay: replay.map(Arc::new),
        };
        // One more than may wait, because the one in work has left its queue.
        let room = config.reject.max_waiting + 1;
        let (captures, wanted) = sync_channel(room);
        let (job_sender, jobs) = sync_channel(room);
        let (ask, asked) = sync_channel(REQUESTS);
        let (records, records_thread) = start_records(config)?;
        let (losses, reporter) = (records.losses(), records.reporter());
        let (feed_in, feed_out, preview) = match feed {
            None => (None, None, None),
            Some(socket) => {
                let (feed, source, preview) = wiring.feed()?;
                (Some(feed), Some((socket, source)), Some(preview))
            }
        };
        let mut links = wiring.links(captures, job_sender.clone(), records, asked);
        links.feed = feed_in;
        let (teller, seen) = wiring.start_feedback(&reporter)?;
        links.feedback = teller;

        let hub = wiring.start_hub(links, messages)?;
        let mut inputs = wiring.start_inputs()?;
        inputs.extend(seen.map(|traffic| ("feedback", traffic)));
        let archive = wiring.start_archive(&reporter)?;
        let pictures = archive.as_ref().map(|(archive, _)| archive.clone());
        let (drift, to_drift, drift_thread) = wiring.start_drift(&reporter)?;
        let onlookers = Onlookers { drift: to_drift, preview };
        wiring.start_inspection(jobs, pictures.clone(), onlookers)?;
        wiring.start_camera(wanted, job_sender)?;
        let templates = wiring.start_templates(reporter)?;
        let live = Live { inputs, outputs };
        let reach = wiring.control(ask, &templates, pictures, drift, losses, live);
        let feed = feed_out.map(|(socket, source)| wiring.start_feed(socket, source, &reach));
        let feed = feed.transpose()?;
        let control = socket.map(|socket| spawn("control", move || socket.run(&reach)));
        let control = control.transpose()?;
        wiring.start_replay()?;
        let Wiring { outbox, bank, alive, .. } = wiring;
        let records = records_thread;
        let drift = drift_thread;
        Ok(Line {
            hub,
            outbox,
            stop,
            bank,
            alive,
            templates,
            archive,
            records,
            drift,
            control,
            feed,
        })
    }
}

/// What the threads share.
struct Wiring<'a> {
    config: &'a LineConfig,
    outbox: Outbox,
    bank: Arc<Mutex<Bank>>,
    alive: Arc<Alive>,
    current: Arc<Current>,
    light: Arc<Light>,
    replay: Option<Arc<Replay>>,
}

impl Wiring<'_> {
    fn is_free_run(&self) -> bool {
        self.config.trigger.source == TriggerSource::FreeRun
    }

    fn links(
        &self,
        captures: SyncSender<WantedFrame>,
        jobs: SyncSender<Job>,
        records: Records,
        requests: Receiver<Asked>,
    ) -> Links {
        let expanders = self.bank.lock().unwrap_or_else(PoisonError::into_inner).expanders();
        Links {
            bank: self.bank.clone(),
            captures,
            jobs,
            records,
            feed: None,
            feedback: None,
            alive: self.alive.clone(),
            light: self.light.clone(),
            capture_delay: Duration::from_micros(self.config.camera.capture_delay_us),
            free_run: self.is_free_run(),
            lost_parts: self.outbox.lost_parts(),
            commissioning: self.commissioning(),
            expanders,
            requests,
        }
    }

    fn commissioning(&self) -> Duration {
        Duration::from_secs(self.config.commissioning.minutes.saturating_mul(60))
    }

    fn start_hub(&self, links: Links, messages: Receiver<Message>) -> Result<JoinHandle<Snapshot>> {
        self.alive.hub_lives(LineTime::now());
        let tracker = PartTracker::new(self.config.tracker_settings(), LineTime::now());
        let priority = self.config.realtime.priority;
        spawn("line", move || {
            realtime("line", priority);
            Hub::new(tracker, links).run(&messages)
        })
    }

    /// Starts the thread that reads trigger and encoder. Returns what can be seen of them.
    fn start_inputs(&self) -> Result<Vec<(&'static str, Arc<Traffic>)>> {
        if self.config.trigger.source != TriggerSource::Gpio {
            return Ok(vec![]);
        }
        let (trigger, encoder) = (self.config.trigger.clone(), self.config.encoder.clone());
        let inputs = Inputs::open(&trigger, encoder.as_ref())?;
        let traffic = inputs.traffic(encoder.as_ref());
        let (outbox, priority) = (self.outbox.clone(), self.config.realtime.priority);
        spawn("trigger", move || {
            realtime("trigger", priority);
            inputs.run(&trigger, encoder.as_ref(), &outbox);
        })?;
        Ok(traffic)
    }

    /// Starts the thread that watches the feedback of the reject output, if there is one. Returns the way to tell it of
    /// pulses, and what can be seen of the input.
    fn start_feedback(
        &self,
        reporter: &Reporter,
    ) -> Result<(Option<Teller>, Option<Arc<Traffic>>)> {
        let Some(wired) = self.config.outputs.feedback() else { return Ok((None, None)) };
        let limit = Duration::from_micros(self.config.outputs.feedback_max_us);
        let (feedback, teller) =
            Feedback::open(&wired, limit, self.outbox.clone(), reporter.clone())?;
        let traffic = feedback.traffic();
        spawn("feedback", move || feedback.run())?;
        Ok((Some(teller), Some(traffic)))
    }

    fn start_archive(&self, reporter: &Reporter) -> Result<Option<ArchiveThread>> {
        let archive = Archive::new(&self.config.archive, reporter.clone());
        let Some(archive) = archive else { return Ok(None) };
        let worker = archive.clone();
        Ok(Some((archive, spawn("archive", move || worker.run())?)))
    }

    fn start_drift(&self, reporter: &Reporter) -> Result<Drift> {
        let watch = Keeper::new(self.config, self.outbox.clone(), reporter.clone());
        let Some((keeper, feed, parts)) = watch else { return Ok((None, None, None)) };
        let worker = keeper.clone();
        let thread = spawn("drift", move || worker.run(&parts))?;
        Ok((Some(keeper), Some(feed), Some(thread)))
    }

    /// Makes both ends of the feed.
    fn feed(&self) -> Result<(Feed, Source, Arc<PreviewSlot>)> {
        let config = &self.config.feed;
        hetmm::line::feed::feed(config.queue, config.preview_per_second)
            .map_err(|e| Error::new(Kind::Io, format!("the feed cannot be made: {e}")))
    }

    fn start_feed(
        &self,
        socket: FeedSocket,
        source: Source,
        control: &Arc<Control>,
    ) -> Result<JoinHandle<()>> {
        let (queue, control) = (self.config.feed.queue, control.clone());
        let name = self.config.device.name.clone();
        spawn("feed", move || socket.run(source, &control, queue, &name))
    }

    fn start_inspection(
        &self,
        jobs: Receiver<Job>,
        archive: Option<Arc<Archive>>,
        onlookers: Onlookers,
    ) -> Result<()> {
        let inspection = Inspection {
            current: self.current.clone(),
            threads: self.config.template.threads,
            review_passes: self.config.template.review_passes,
            archive,
            drift: onlookers.drift,
            preview: onlookers.preview,
            alive: self.alive.clone(),
            hub: self.outbox.clone(),
        };
        spawn("inspect", move || inspection.run(&jobs))?;
        Ok(())
    }

    fn start_camera(&self, wanted: Receiver<WantedFrame>, jobs: SyncSender<Job>) -> Result<()> {
        let (config, replay) = (self.config.clone(), self.replay.clone());
        let (hub, is_free_run) = (self.outbox.clone(), self.is_free_run());
        let light = config.exposure_in_light().map(|exposure| (self.light.clone(), exposure));
        spawn("camera", move || {
            let mut open = || -> Result<Box<dyn Camera>> {
                replay.as_ref().map_or_else(|| config.open_camera(), |replay| Ok(replay.camera()))
            };
            let capture = Capture { open: &mut open, jobs, hub, light };
            if is_free_run { capture.free_run() } else { capture.on_demand(&wanted) }
        })?;
        Ok(())
    }

    fn start_templates(&self, reporter: Reporter) -> Result<Arc<Templates>> {
        let (recipe, slots) = (self.config.recipe(), self.config.slots());
        let fallback = self.config.template.fallback;
        let (current, hub) = (self.current.clone(), self.outbox.clone());
        let templates = Arc::new(Templates::new(recipe, slots, fallback, current, hub, reporter));
        let (worker, watch) = (templates.clone(), self.config.template.watch);
        spawn("templates", move || worker.run(watch))?;
        Ok(templates)
    }

    fn control(
        &self,
        requests: SyncSender<Asked>,
        templates: &Arc<Templates>,
        archive: Option<Arc<Archive>>,
        drift: Option<Arc<Keeper>>,
        losses: Arc<Losses>,
        live: Live,
    ) -> Arc<Control> {
        Arc::new(Control {
            hub: self.outbox.clone(),
            requests,
            bank: self.bank.clone(),
            templates: templates.clone(),
            archive,
            drift,
            teach: self.config.control.teach,
            review_passes: self.config.template.review_passes,
            commissioning: self.config.commissioning.allowed.then(|| self.commissioning()),
            plant: plant_user(&self.config.control),
            live,
            losses,
            logins: Logins::default(),
        })
    }

    fn start_replay(&self) -> Result<()> {
        let Some(replay) = self.replay.clone() else { return Ok(()) };
        let (outbox, alive) = (self.outbox.clone(), self.alive.clone());
        spawn("replay", move || replay.run(&outbox, &alive))?;
        Ok(())
    }
}

/// Returns the user that runs `hetmm-plant`. If the system knows no such user, nobody speaks for others.
fn plant_user(control: &ControlConfig) -> Option<PlantUser> {
    let name = control.plant_user.as_deref()?;
    PlantUser::find(name, &control.plant_may)
        .inspect_err(|why| log::error!("{why}; hetmm-plant cannot act"))
        .ok()
}

/// Starts the thread of the records, if there is one.
///
/// # Errors
/// [`Kind::Usage`] if others may read the key of the device, [`Kind::Io`] if the thread cannot be started.
fn start_records(config: &LineConfig) -> Result<(Records, Option<JoinHandle<()>>)> {
    let evidence = config.evidence();
    if let Some(key) = evidence.as_ref().and_then(|evidence| evidence.key_file.as_deref()) {
        DeviceKey::read_if_there(key)?;
    }
    let limit = Duration::from_micros(config.outputs.feedback_max_us);
    let patience = config.outputs.feedback().map(|_| feedback::patience(limit));
    Records::start(&config.records, evidence, patience).map_err(|e| {
        Error::new(Kind::Io, format!("the thread for the records cannot be started: {e}"))
    })
}

/// Starts a thread.
///
/// # Errors
/// [`Kind::Io`] if the system refuses.
pub fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(work)
        .map_err(|e| Error::new(Kind::Io, format!("the thread {name} cannot be started: {e}")))
}

/// Gives the calling thread its real-time priority, if this user may do so.
pub fn realtime(thread: &str, priority: u8) {
    if let Err(why) = supervise::become_realtime(priority) {
        log::warn!(
            "the {thread} thread has no real-time priority: {why} \
             (set LimitRTPRIO=98 as in firmware-config/hetmm-edge.service)"
        );
    }
}
