//! Keeps pictures of rejected parts for people, and of some passed parts to compare a later template with. A slow
//! thread writes and removes them, and it never delays the production line.
//!
//! Every part makes files with one stem, such as `000000042-part17-defect`: the picture as it was inspected (`.png`) and
//! the numbers (`.json`). A rejected part also has what was found in it (`.map.png`).

mod stems;

use super::config::ArchiveConfig;
use super::evidence::{ClockState, Event, Moment};
use super::records::Reporter;
use super::slot::Slot;
use super::tracker::{PartId, Reason};
use super::wall_clock::WallClock;
use crate::clock::LineTime;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::heatmap;
use crate::image::Picture;
use crate::inspection::Pipeline;
use crate::scoring::Scored;
use serde::Deserialize;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use stems::Stems;

/// The longest wait for a part.
const WAIT: Duration = Duration::from_millis(500);
/// The time between two looks for pictures that are too old.
const LOOK: Duration = Duration::from_secs(600);
const DAY_MS: u64 = 86_400_000;
/// The name of the reason to reject a part because of its score.
const DEFECT: &str = "defect";
/// The largest file with the numbers of a part that is read, in bytes.
const MAX_NUMBERS: u64 = 1 << 16;

/// Describes a part whose picture is to be kept.
pub struct Item {
    /// The number of the part.
    pub part: PartId,
    /// The reason why it is rejected. `None` means that it passes.
    pub reason: Option<Reason>,
    /// The score of the part.
    pub score: f32,
    /// The picture of the part.
    pub picture: Arc<Picture>,
    /// The map and score of the part.
    pub scored: Scored,
    /// The template and feature extractor that it was inspected with.
    pub pipeline: Arc<Pipeline>,
    /// The slot of the template, if it is in one.
    pub slot: Option<Slot>,
}

/// Holds what is needed of the numbers of an archived part.
#[derive(Debug, Clone, Deserialize)]
pub struct Numbers {
    /// The number of the part.
    pub part: u64,
    /// The name of the reason why it was rejected. `None` means that it has passed.
    pub why: Option<String>,
    /// The score of the part.
    pub score: Option<f32>,
    /// The slot of the template, if it was in one.
    pub slot: Option<u16>,
}

/// Holds the queue in front of the archive's thread.
pub struct Archive {
    folder: PathBuf,
    max_parts: usize,
    min_free_bytes: u64,
    /// The age in days above which pictures are removed; 0 means never.
    keep_days: u64,
    /// Every such passed part is kept; 0 means none.
    passed_every: u64,
    /// The number of passed parts so far.
    passed: AtomicU64,
    capacity: usize,
    queue: Mutex<VecDeque<Item>>,
    filled: Condvar,
    stop: AtomicBool,
    reporter: Reporter,
    /// The number in front of the first name of this start. It is the largest possible number until the thread has read
    /// the folder.
    first: AtomicU64,
    /// The number of parts that were dropped because the queue was full.
    pub dropped: AtomicU64,
    /// The number of parts that could not be written.
    pub failed: AtomicU64,
    /// The number of parts that were written.
    pub written: AtomicU64,
}

impl Archive {
    /// Makes an archive if the configuration asks for one. The folder need not exist or be writable yet.
    /// `reporter` is told of every picture.
    pub fn new(config: &ArchiveConfig, reporter: Reporter) -> Option<Arc<Self>> {
        let folder = config.folder.clone()?;
        Some(Arc::new(Archive {
            folder,
            max_parts: config.max_parts,
            min_free_bytes: config.min_free_mib.saturating_mul(1 << 20),
            keep_days: config.keep_days,
            passed_every: config.passed_every,
            passed: AtomicU64::new(0),
            capacity: config.queue,
            queue: Mutex::default(),
            filled: Condvar::new(),
            stop: AtomicBool::new(false),
            reporter,
            first: AtomicU64::new(u64::MAX),
            dropped: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            written: AtomicU64::new(0),
        }))
    }

    /// Counts a part that passes, and returns whether its picture is to be kept.
    pub fn wants_passed(&self) -> bool {
        let count = self.passed.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        self.passed_every > 0 && count.is_multiple_of(self.passed_every)
    }

    /// Queues a part. If there is no room, the oldest waiting part is dropped: one that passes, if there is any. A part
    /// that passes never takes the place of a rejected one. It never waits.
    pub fn keep(&self, item: Item) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.len() >= self.capacity {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            match queue.iter().position(|waiting| waiting.reason.is_none()) {
                Some(place) => drop(queue.remove(place)),
                None if item.reason.is_none() => return,
                None => drop(queue.pop_front()),
            }
        }
        queue.push_back(item);
        drop(queue);
        self.filled.notify_one();
    }

    /// Returns the picture of a part as it was inspected, if this start of the program has kept it. Part numbers begin
    /// again with every start, so an earlier start may have kept another part under the same number.
    ///
    /// # Errors
    /// Returns [`Kind::Image`] if there is none.
    pub fn picture_of(&self, part: PartId) -> Result<PathBuf> {
        let stems = Stems::read(&self.folder);
        let newest = stems.newest_of(part.0);
        let first = self.first.load(Ordering::SeqCst);
        let ours = newest.filter(|(_, number)| *number >= first);
        let picture = ours.map(|(stem, _)| self.folder.join(format!("{stem}.png")));
        let found = picture.filter(|path| path.is_file());
        found.ok_or_else(|| {
            let what = format!("there is no picture of part {}", part.0);
            Error::image(&self.folder, what).advise(match newest {
                Some((stem, _)) => format!(
                    "{}.png is of a part {} from before the program was started; if you mean that one, \
                     hetmm insert takes it",
                    stem, part.0
                ),
                None => "pictures are kept of parts that were rejected as defective, until newer ones need \
                         the room"
                    .to_owned(),
            })
        })
    }

    /// Returns the slot of the template that the part of a picture was compared with.
    ///
    /// # Errors
    /// Returns [`Kind::Image`] if the numbers of the part are not there or damaged.
    pub fn slot_of(&self, picture: &Path) -> Result<Option<Slot>> {
        Ok(numbers_of(picture)?.slot.and_then(Slot::of_number))
    }

    /// Returns the pictures of the newest parts that were judged by the template of a slot, with their numbers, the newest
    /// first.
    pub fn judged(&self, slot: Option<Slot>, most: usize) -> Vec<(PathBuf, Numbers)> {
        let stems = Stems::read(&self.folder).newest_first();
        let pictures = stems.iter().map(|stem| self.folder.join(format!("{stem}.png")));
        let read = pictures.filter_map(|picture| Some((numbers_of(&picture).ok()?, picture)));
        let own = read.filter(|(numbers, _)| {
            let is_judged = numbers.why.as_deref().is_none_or(|why| why == DEFECT);
            is_judged && numbers.slot.and_then(Slot::of_number) == slot
        });
        own.take(most).map(|(numbers, picture)| (picture, numbers)).collect()
    }

    /// Tells the thread to write what waits, and to end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.filled.notify_all();
    }

    /// Writes what is queued and removes what is too old, until it is told to stop.
    pub fn run(&self) {
        let (mut stems, mut clock, mut look_at) = (None, WallClock::default(), LineTime::default());
        loop {
            match self.next() {
                Turn::End => return,
                Turn::Write(item) => {
                    let stems = stems.get_or_insert_with(|| {
                        let stems = Stems::read(&self.folder);
                        self.first.store(stems.next(), Ordering::SeqCst);
                        stems
                    });
                    self.write_and_count(&item, stems);
                }
                Turn::Nothing => {}
            }
            let now = clock.now();
            if now.at >= look_at && self.remove_old(stems.as_mut(), &now) {
                look_at = now.at + LOOK;
            }
        }
    }

    fn next(&self) -> Turn {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let is_idle =
            |queue: &mut VecDeque<Item>| queue.is_empty() && !self.stop.load(Ordering::SeqCst);
        let waited = self.filled.wait_timeout_while(queue, WAIT, is_idle);
        match waited.unwrap_or_else(PoisonError::into_inner).0.pop_front() {
            Some(item) => Turn::Write(Box::new(item)),
            None if self.stop.load(Ordering::SeqCst) => Turn::End,
            None => Turn::Nothing,
        }
    }

    /// Removes pictures that are older than `archive.keep_days`. It stops when a part waits to be written. Returns
    /// whether none is left. A clock that is not synchronized may be wrong, so it removes nothing.
    fn remove_old(&self, stems: Option<&mut Stems>, now: &Moment) -> bool {
        if self.keep_days == 0 || now.clock.state != ClockState::Synchronized {
            return true;
        }
        let oldest = now.unix_ms.saturating_sub(self.keep_days.saturating_mul(DAY_MS));
        // Before the first part is written, nobody keeps the stems.
        let mut read = None;
        let stems = match stems {
            Some(stems) => stems,
            None => read.insert(Stems::read(&self.folder)),
        };
        while self.queue.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            match stems.remove_older(oldest) {
                Ok(true) => {}
                Ok(false) => return true,
                Err(why) => {
                    log::error!("an old picture stays in the archive: {why}");
                    return true;
                }
            }
        }
        false
    }

    fn write_and_count(&self, item: &Item, stems: &mut Stems) {
        let count = match self.write(item, stems) {
            Ok(()) => &self.written,
            Err(why) => {
                log::error!("part {} is not archived: {why}", item.part.0);
                &self.failed
            }
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn write(&self, item: &Item, stems: &mut Stems) -> Result<()> {
        std::fs::create_dir_all(&self.folder)
            .map_err(|e| Error::io(&self.folder, "the archive cannot be made", &e))?;
        self.make_room(item.reason.is_none(), stems)?;
        let reason = item.reason.map(|reason| serde_json::to_value(reason).unwrap_or_default());
        let reason = reason.as_ref().map(|reason| reason.as_str().unwrap_or("unknown"));
        let stem = stems.add(item.part.0, reason);
        let path = |extension: &str| self.folder.join(format!("{stem}{extension}"));
        let header = item.pipeline.template().header();
        let numbers = serde_json::json!({
            "part": item.part, "why": item.reason, "score": item.score,
            "threshold": header.calibration.threshold, "width": item.picture.width,
            "height": item.picture.height, "slot": item.slot.map(Slot::number),
        });
        let picture = heatmap::picture_png(&item.picture)?;
        files::write_whole(&path(".png"), &picture)?;
        let blake3 = blake3::hash(&picture).to_hex().to_string();
        self.reporter.tell(Event::Picture { part: item.part.0, stem: stem.clone(), blake3 });
        if item.reason.is_some() {
            let map = heatmap::draw(&item.pipeline, &item.picture, &item.scored);
            files::write_whole(&path(".map.png"), &heatmap::png(&map)?)?;
        }
        files::write_whole(&path(".json"), numbers.to_string().as_bytes())
    }

    /// Removes what has to go before one more part is written. A picture of a rejected part goes only for another one,
    /// and only after all pictures of passed parts.
    fn make_room(&self, passed: bool, stems: &mut Stems) -> Result<()> {
        while stems.count(passed) >= self.max_parts {
            stems.remove_oldest(passed)?;
        }
        while self.free_bytes()? < self.min_free_bytes {
            let is_removed =
                stems.remove_oldest(true)? || (!passed && stems.remove_oldest(false)?);
            if !is_removed {
                let what = format!("{}: too little free space", self.folder.display());
                return Err(Error::new(Kind::Io, what)
                    .advise("delete files there, or lower archive.min_free_mib"));
            }
        }
        Ok(())
    }

    fn free_bytes(&self) -> Result<u64> {
        let stats = nix::sys::statvfs::statvfs(&self.folder).map_err(|e| {
            Error::io(&self.folder, "free space is not known", &std::io::Error::from(e))
        })?;
        Ok(stats.blocks_available().saturating_mul(stats.fragment_size()))
    }
}

/// Reads the numbers of the part that a picture shows.
fn numbers_of(picture: &Path) -> Result<Numbers> {
    let path = picture.with_extension("json");
    let bytes = files::read_regular(&path, MAX_NUMBERS, Kind::Image)?;
    serde_json::from_slice(&bytes)
        .map_err(|e| Error::image(&path, format!("the numbers of the part cannot be read: {e}")))
}

/// Returns where the newest picture of a part's number is in an archive's folder. Part numbers begin again with every
/// start of the program, so it may be of an earlier start.
pub fn newest_picture(folder: &Path, part: u64) -> Option<PathBuf> {
    let stems = Stems::read(folder);
    stems.newest_of(part).map(|(stem, _)| folder.join(format!("{stem}.png")))
}

/// Returns all files of rejected parts in an archive's folder, the oldest part first.
pub fn rejected_files(folder: &Path) -> Vec<PathBuf> {
    Stems::read(folder).rejected_files()
}

/// Says what the thread does next.
enum Turn {
    /// Write a part.
    Write(Box<Item>),
    /// No part waits.
    Nothing,
    /// End.
    End,
}

#[cfg(test)]
mod tests;
