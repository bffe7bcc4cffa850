//! Runs the drift watch's thread. It feeds the watch, keeps its state in a file, and tells the hub thread of warnings.
//!
//! The thread that inspects measures a picture after the hub thread has its result, and hands the numbers over without
//! waiting. So the watch can change no verdict, not even by making it late. The wall clock is read only for the list of
//! decisions.
//!
//! Each slot for a template has a state of its own, in a file of its own, because it is for another product.

use super::config::LineConfig;
use super::drift::{Binding, ChartStatus, GoodPictures, Notice, Sample, Settings, Watch};
use super::evidence::Event as Told;
use super::messages::Message;
use super::outbox::Outbox;
use super::records::Reporter;
use super::request::DriftRequest;
use super::slot::Slot;
use super::tracker::Event;
use crate::clock::LineTime;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::image::NetworkImage;
use crate::inspection::Pipeline;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The number of parts that may wait for the watch.
const QUEUE: usize = 256;
/// The longest wait for a part. After it, the thread looks at the time.
const LOOK: Duration = Duration::from_millis(500);
/// The largest file of a state that is read, in bytes.
const MAX_BYTES: u64 = 1 << 22;

/// Holds what the watch needs to know of an inspected part.
pub struct Seen {
    /// The score of the picture.
    pub score: f32,
    /// The picture at the network's size.
    pub image: NetworkImage,
    /// The template and feature extractor that it was inspected with.
    pub pipeline: Arc<Pipeline>,
    /// The slot of the template, if it is in one.
    pub slot: Option<Slot>,
}

/// Holds the numbers of a part on their way to the watch.
pub struct Part {
    sample: Sample,
    pipeline: Arc<Pipeline>,
    slot: Option<Slot>,
}

/// Hands parts to the watch.
pub struct Feed {
    sender: SyncSender<Part>,
    lost: Arc<AtomicU64>,
}

impl Feed {
    /// Measures a part and hands it over. It never waits. If there is no room, the part is lost to the watch and counted.
    pub fn part(&self, seen: Seen) {
        let Seen { score, image, pipeline, slot } = seen;
        let threshold = pipeline.template().header().calibration.threshold;
        let appearance = pipeline.appearance(&image);
        let sample = appearance
            .and_then(|appearance| Sample::new(LineTime::now(), score, threshold, appearance));
        let part = sample.map(|sample| Part { sample, pipeline, slot });
        let is_sent = part.is_some_and(|part| self.sender.try_send(part).is_ok());
        if !is_sent {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Keeps the watch. The thread that feeds it and the control socket share it.
pub struct Keeper {
    watched: Mutex<Watched>,
    settings: Settings,
    /// The file of the state without a slot. Those of the slots stand beside it.
    file: PathBuf,
    /// Held while the file is written, so that an older state never replaces a newer one.
    writing: Mutex<()>,
    /// What a reference belongs to, without the template.
    binding: Binding,
    hub: Outbox,
    /// Tells the records what people decide.
    reporter: Reporter,
    lost: Arc<AtomicU64>,
    /// The number of times that the state could not be written.
    failed: AtomicU64,
}

/// Holds the watch of the slot in use.
struct Watched {
    watch: Watch,
    slot: Option<Slot>,
}

impl Keeper {
    /// Makes the watch of a configuration, with the state that its file holds. Returns `None` if nothing is to be watched.
    /// A file that cannot be used is reported, and the watch learns anew. `reporter` is told what people decide.
    pub fn new(
        config: &LineConfig,
        hub: Outbox,
        reporter: Reporter,
    ) -> Option<(Arc<Self>, Feed, Receiver<Part>)> {
        let drift = &config.drift;
        let file = drift.file.clone().filter(|_| drift.watch)?;
        let slots = config.slots();
        let selected = slots.read().ok().flatten().unwrap_or_else(|| slots.unselected());
        let (slot, settings) = (selected.slot, drift.settings());
        let watch = restored_or_new(&file_of(&file, slot), settings);
        let (sender, parts) = sync_channel(QUEUE);
        let lost = Arc::<AtomicU64>::default();
        let camera = serde_json::to_vec(&config.camera).unwrap_or_default();
        let binding = Binding {
            template: String::new(),
            camera: blake3::hash(&camera).to_hex().to_string(),
            block_s: drift.block_s,
            block_parts: drift.block_parts,
        };
        let keeper = Keeper {
            watched: Mutex::new(Watched { watch, slot }),
            settings,
            file,
            writing: Mutex::new(()),
            binding,
            hub,
            reporter,
            lost: lost.clone(),
            failed: AtomicU64::new(0),
        };
        Some((Arc::new(keeper), Feed { sender, lost }, parts))
    }

    /// Watches until the device stops. Then it keeps the state.
    pub fn run(&self, parts: &Receiver<Part>) {
        let (mut bound, mut told, mut forecast) = (Weak::new(), false, false);
        while !self.hub.stopped() {
            let notices = match parts.recv_timeout(LOOK) {
                Ok(part) => {
                    self.change_slot(part.slot);
                    self.bind(&part.pipeline, &mut bound);
                    self.watched().watch.part(&part.sample)
                }
                Err(RecvTimeoutError::Timeout) => self.watched().watch.tick(LineTime::now()),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            notices.iter().for_each(tell);
            if notices.contains(&Notice::Changed) {
                self.keep();
                self.tell_forecast(&mut forecast);
            }
            let present = self.watched().watch.warns();
            if present != told && self.hub.try_send(Message::Event(Event::Drift { present })) {
                told = present;
            }
        }
        self.keep();
    }

    /// Goes on with the state of another slot, if the next part was inspected with one. The state of the slot before it is
    /// kept.
    fn change_slot(&self, slot: Option<Slot>) {
        if self.watched().slot == slot {
            return;
        }
        self.keep();
        let watch = restored_or_new(&file_of(&self.file, slot), self.settings);
        *self.watched() = Watched { watch, slot };
    }

    /// Tells the watch which template the next parts were inspected with, if it is another one than before.
    fn bind(&self, pipeline: &Arc<Pipeline>, bound: &mut Weak<Pipeline>) {
        if std::ptr::eq(bound.as_ptr(), Arc::as_ptr(pipeline)) {
            return;
        }
        *bound = Arc::downgrade(pipeline);
        let template = pipeline.template();
        let digest = blake3::Hash::from(template.digest()).to_hex().to_string();
        let scores = template.pictures().0.iter().map(|picture| picture.score);
        let binding = Binding { template: digest, ..self.binding.clone() };
        if self.watched().watch.bind(binding, GoodPictures::new(scores)) {
            log::info!("drift: the watch learns what is usual for this template and camera");
            self.keep();
        }
    }

    fn tell_forecast(&self, told: &mut bool) {
        let hours = self.watched().watch.status().hours_to_threshold;
        if let Some(hours) = hours.filter(|_| !*told) {
            log::warn!("drift: good parts reach the threshold in about {hours:.0} hours");
        }
        *told = hours.is_some();
    }

    /// Writes the state to its file.
    fn keep(&self) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let watched = self.watched();
        let (bytes, file) = (watched.watch.save(), file_of(&self.file, watched.slot));
        drop(watched);
        if let Err(why) = files::write_whole(&file, &bytes) {
            self.failed.fetch_add(1, Ordering::Relaxed);
            log::error!("drift: what was learned is not kept: {why}");
        }
    }

    /// Carries out a request of `who`.
    ///
    /// # Errors
    /// Returns [`Kind::Usage`] if a warning is to be accepted and there is none.
    pub fn request(&self, request: DriftRequest, who: &str) -> Result<Value> {
        let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let before = self.to_json();
        let (who_asked, warnings) = (who.to_owned(), self.watched().watch.status().warnings);
        let (done, event) = match request {
            DriftRequest::Status => return Ok(before),
            DriftRequest::Learn => {
                self.watched().watch.learn(who, unix_s);
                ("the watch learns anew", Told::DriftLearn { who: who_asked, warnings })
            }
            DriftRequest::Accept => {
                if !self.watched().watch.accept(who, unix_s) {
                    return Err(Error::new(
                        Kind::Usage,
                        "nothing warns, so nothing can be accepted",
                    )
                    .advise(
                        "look at hetmm-edge drift status; drift learn begins anew in any case",
                    ));
                }
                let done = "what is there now is usual: the watch learns anew";
                (done, Told::DriftAccept { who: who_asked, warnings })
            }
        };
        self.reporter.tell(event);
        log::warn!("drift: {done}, as {who} has asked");
        self.keep();
        Ok(json!({"done": done, "before": before}))
    }

    /// Returns the JSON for the status of the watch.
    pub fn to_json(&self) -> Value {
        let mut status = serde_json::to_value(self.watched().watch.status()).unwrap_or_default();
        if let Some(fields) = status.as_object_mut() {
            fields.insert("parts_lost".into(), json!(self.lost.load(Ordering::Relaxed)));
            fields.insert("writes_failed".into(), json!(self.failed.load(Ordering::Relaxed)));
        }
        status
    }

    /// Returns the JSON for the status of the device.
    pub fn in_short(&self) -> Value {
        let status = self.watched().watch.status();
        let sum = |chart: &ChartStatus| {
            let name = serde_json::to_value(chart.chart).ok()?;
            Some((name.as_str()?.to_owned(), json!(chart.sum)))
        };
        let sums: Map<String, Value> = status.charts.iter().filter_map(sum).collect();
        json!({
            "state": status.state,
            "warnings": status.warnings,
            "hours_to_threshold": status.hours_to_threshold,
            "sums": sums,
        })
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the file of the state of a slot. `file` is that without a slot.
fn file_of(file: &Path, slot: Option<Slot>) -> PathBuf {
    let Some(slot) = slot else { return file.to_owned() };
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".slot{slot}"));
    name.into()
}

/// Returns the watch that a file holds. A file that cannot be used is reported, and the watch learns anew.
fn restored_or_new(file: &Path, settings: Settings) -> Watch {
    restored(file, settings).unwrap_or_else(|why| {
        log::error!("{}: {why}; the drift watch learns anew", file.display());
        Watch::new(settings)
    })
}

/// Returns the watch that a file holds, or a new one if there is no file yet. The error says why it cannot be used.
fn restored(file: &Path, settings: Settings) -> std::result::Result<Watch, String> {
    if !file.exists() {
        return Ok(Watch::new(settings));
    }
    let bytes = files::read_regular(file, MAX_BYTES, Kind::Usage).map_err(|why| why.to_string())?;
    Watch::restore(settings, &bytes)
}

fn tell(notice: &Notice) {
    match notice {
        Notice::Learned => log::info!("drift: it is known now what is usual"),
        Notice::DayOne(sigmas) => log::warn!(
            "drift: the scores of the first day are {sigmas:.1} standard deviations above those of the template's \
             good pictures"
        ),
        Notice::Begins(chart) => log::warn!("drift: {}; verdicts stay as they are", chart.words()),
        Notice::Ends(chart) => log::info!("drift: it is over that {}", chart.words()),
        Notice::Changed => {}
    }
}
