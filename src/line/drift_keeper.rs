//! Runs the drift watch's thread. It feeds the watch, keeps its state in a file, and tells the hub thread of warnings.
//!
//! The thread that inspects measures a picture after the hub thread has its result, and hands the numbers over without
//! waiting. So the watch can change no verdict, not even by making it late. The wall clock is read only for the list of
//! decisions.

use super::config::LineConfig;
use super::drift::{Binding, ChartStatus, GoodPictures, Notice, Sample, Settings, Watch};
use super::messages::Message;
use super::outbox::Outbox;
use super::request::DriftRequest;
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
}

/// Holds the numbers of a part on their way to the watch.
pub struct Part {
    sample: Sample,
    pipeline: Arc<Pipeline>,
}

/// Hands parts to the watch.
pub struct Feed {
    sender: SyncSender<Part>,
    lost: Arc<AtomicU64>,
}

impl Feed {
    /// Measures a part and hands it over. It never waits. If there is no room, the part is lost to the watch and counted.
    pub fn part(&self, seen: Seen) {
        let Seen { score, image, pipeline } = seen;
        let threshold = pipeline.template().header().calibration.threshold;
        let appearance = pipeline.appearance(&image);
        let sample = appearance
            .and_then(|appearance| Sample::new(LineTime::now(), score, threshold, appearance));
        let is_sent =
            sample.is_some_and(|sample| self.sender.try_send(Part { sample, pipeline }).is_ok());
        if !is_sent {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Keeps the watch. The thread that feeds it and the control socket share it.
pub struct Keeper {
    watch: Mutex<Watch>,
    file: PathBuf,
    /// Held while the file is written, so that an older state never replaces a newer one.
    writing: Mutex<()>,
    /// What a reference belongs to, without the template.
    binding: Binding,
    hub: Outbox,
    lost: Arc<AtomicU64>,
    /// The number of times that the state could not be written.
    failed: AtomicU64,
}

impl Keeper {
    /// Makes the watch of a configuration, with the state that its file holds. Returns `None` if nothing is to be watched.
    /// A file that cannot be used is reported, and the watch learns anew.
    pub fn new(config: &LineConfig, hub: Outbox) -> Option<(Arc<Self>, Feed, Receiver<Part>)> {
        let drift = &config.drift;
        let file = drift.file.clone().filter(|_| drift.watch)?;
        let watch = restored(&file, drift.settings()).unwrap_or_else(|why| {
            log::error!("{}: {why}; the drift watch learns anew", file.display());
            Watch::new(drift.settings())
        });
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
            watch: Mutex::new(watch),
            file,
            writing: Mutex::new(()),
            binding,
            hub,
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
                    self.bind(&part.pipeline, &mut bound);
                    self.watch().part(&part.sample)
                }
                Err(RecvTimeoutError::Timeout) => self.watch().tick(LineTime::now()),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            notices.iter().for_each(tell);
            if notices.contains(&Notice::Changed) {
                self.keep();
                self.tell_forecast(&mut forecast);
            }
            let present = self.watch().warns();
            if present != told && self.hub.try_send(Message::Event(Event::Drift { present })) {
                told = present;
            }
        }
        self.keep();
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
        if self.watch().bind(binding, GoodPictures::new(scores)) {
            log::info!("drift: the watch learns what is usual for this template and camera");
            self.keep();
        }
    }

    fn tell_forecast(&self, told: &mut bool) {
        let hours = self.watch().status().hours_to_threshold;
        if let Some(hours) = hours.filter(|_| !*told) {
            log::warn!("drift: good parts reach the threshold in about {hours:.0} hours");
        }
        *told = hours.is_some();
    }

    /// Writes the state to its file.
    fn keep(&self) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = self.watch().save();
        if let Err(why) = files::write_whole(&self.file, &bytes) {
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
        let done = match request {
            DriftRequest::Status => return Ok(before),
            DriftRequest::Learn => {
                self.watch().learn(who, unix_s);
                "the watch learns anew"
            }
            DriftRequest::Accept => {
                if !self.watch().accept(who, unix_s) {
                    return Err(Error::new(
                        Kind::Usage,
                        "nothing warns, so nothing can be accepted",
                    )
                    .advise(
                        "look at hetmm-edge drift status; drift learn begins anew in any case",
                    ));
                }
                "what is there now is usual: the watch learns anew"
            }
        };
        log::warn!("drift: {done}, as {who} has asked");
        self.keep();
        Ok(json!({"done": done, "before": before}))
    }

    /// Returns the JSON for the status of the watch.
    pub fn to_json(&self) -> Value {
        let mut status = serde_json::to_value(self.watch().status()).unwrap_or_default();
        if let Some(fields) = status.as_object_mut() {
            fields.insert("parts_lost".into(), json!(self.lost.load(Ordering::Relaxed)));
            fields.insert("writes_failed".into(), json!(self.failed.load(Ordering::Relaxed)));
        }
        status
    }

    /// Returns the JSON for the status of the device.
    pub fn in_short(&self) -> Value {
        let status = self.watch().status();
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

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
