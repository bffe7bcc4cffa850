//! Pictures of rejected parts, for people: kept by a slow thread that never delays the line.
//!
//! Every part makes three files of one stem, `000000042-part17-defect`: the picture as it was
//! inspected (`.png`), what was found in it (`.map.png`) and the numbers (`.json`). The number in
//! front counts on over restarts, so that the oldest are known without trusting a clock.

use super::config::ArchiveConfig;
use super::tracker::{PartId, Reason};
use crate::error::{Error, Kind, Result};
use crate::heatmap;
use crate::image::Picture;
use crate::inspection::Pipeline;
use crate::scoring::Scored;
use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A part to be kept.
pub struct Item {
    /// Its number.
    pub part: PartId,
    /// Why it is kept.
    pub reason: Reason,
    /// Its score.
    pub score: f32,
    /// Its picture.
    pub picture: Picture,
    /// Its map.
    pub scored: Scored,
    /// What it was compared with.
    pub pipeline: Arc<Pipeline>,
}

/// The queue in front of the archive's thread.
pub struct Archive {
    folder: PathBuf,
    max_parts: usize,
    min_free_bytes: u64,
    capacity: usize,
    queue: Mutex<VecDeque<Item>>,
    filled: Condvar,
    stop: AtomicBool,
    /// Number in front of the first name of this start; the largest before any is written.
    first: AtomicU64,
    /// Parts that were dropped because the queue was full.
    pub dropped: AtomicU64,
    /// Parts that could not be written.
    pub failed: AtomicU64,
    /// Parts that were written.
    pub written: AtomicU64,
}

impl Archive {
    /// An archive, where the configuration wants one; it is safe to start without the folder
    /// being there or writable.
    pub fn new(config: &ArchiveConfig) -> Option<Arc<Self>> {
        let folder = config.folder.clone()?;
        Some(Arc::new(Archive {
            folder,
            max_parts: config.max_parts,
            min_free_bytes: config.min_free_mib << 20,
            capacity: config.queue,
            queue: Mutex::default(),
            filled: Condvar::new(),
            stop: AtomicBool::new(false),
            first: AtomicU64::new(u64::MAX),
            dropped: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            written: AtomicU64::new(0),
        }))
    }

    /// Queues a part; the oldest waiting one makes room where there is none. Never waits.
    pub fn keep(&self, item: Item) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.len() >= self.capacity {
            queue.pop_front();
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        queue.push_back(item);
        drop(queue);
        self.filled.notify_one();
    }

    /// The picture of a part of this start of the program as it was inspected. Part numbers begin anew with
    /// every start: what an earlier one kept under the same number is another part.
    ///
    /// # Errors
    /// [`Kind::Image`] where there is none.
    pub fn picture_of(&self, part: PartId) -> Result<PathBuf> {
        let of_part = format!("part{}-", part.0);
        let stems = Stems::read(&self.folder).names;
        let named = |stem: &&String| {
            stem.split_once('-').is_some_and(|(_, tail)| tail.starts_with(&of_part))
        };
        let newest = stems.iter().rev().find(named);
        let first = self.first.load(Ordering::SeqCst);
        let is_ours = |stem: &&String| number(stem).is_some_and(|number| number >= first);
        let picture = |stem: &String| self.folder.join(format!("{stem}.png"));
        let found = newest.filter(is_ours).map(picture).filter(|path| path.is_file());
        found.ok_or_else(|| {
            let what = format!("there is no picture of part {}", part.0);
            Error::image(&self.folder, what).advise(match newest {
                Some(stem) => format!(
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

    /// Tells the thread to write what waits and end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.filled.notify_all();
    }

    /// Writes what is queued, until told to stop.
    pub fn run(&self) {
        let mut stems = None;
        while let Some(item) = self.next() {
            let kept = stems.get_or_insert_with(|| {
                let stems = Stems::read(&self.folder);
                self.first.store(stems.next, Ordering::SeqCst);
                stems
            });
            match self.write(&item, kept) {
                Ok(()) => self.written.fetch_add(1, Ordering::Relaxed),
                Err(why) => {
                    log::error!("part {} is not archived: {why}", item.part.0);
                    self.failed.fetch_add(1, Ordering::Relaxed)
                }
            };
        }
    }

    fn next(&self) -> Option<Item> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(item) = queue.pop_front() {
                return Some(item);
            }
            if self.stop.load(Ordering::SeqCst) {
                return None;
            }
            let waited = self.filled.wait_timeout(queue, Duration::from_millis(500));
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn write(&self, item: &Item, stems: &mut Stems) -> Result<()> {
        std::fs::create_dir_all(&self.folder)
            .map_err(|e| Error::io(&self.folder, "the archive cannot be made", &e))?;
        while stems.len() >= self.max_parts {
            stems.remove_oldest(&self.folder)?;
        }
        while self.free_bytes()? < self.min_free_bytes {
            if !stems.remove_oldest(&self.folder)? {
                let what = format!("{}: too little free space", self.folder.display());
                return Err(
                    Error::new(Kind::Io, what).advise("free some, or lower archive.min_free_mib")
                );
            }
        }
        let reason = serde_json::to_value(item.reason).unwrap_or_default();
        let reason = reason.as_str().unwrap_or("unknown").to_owned();
        let stem = stems.add(&format!("part{}-{reason}", item.part.0));
        let path = |extension: &str| self.folder.join(format!("{stem}{extension}"));
        let header = item.pipeline.template().header();
        let numbers = serde_json::json!({
            "part": item.part, "why": item.reason, "score": item.score,
            "threshold": header.calibration.threshold, "width": item.picture.width,
            "height": item.picture.height,
        });
        crate::files::write_whole(&path(".png"), &heatmap::picture_png(&item.picture)?)?;
        let map = heatmap::draw(&item.pipeline, &item.picture, &item.scored);
        crate::files::write_whole(&path(".map.png"), &heatmap::png(&map)?)?;
        crate::files::write_whole(&path(".json"), numbers.to_string().as_bytes())
    }

    fn free_bytes(&self) -> Result<u64> {
        let stats = nix::sys::statvfs::statvfs(&self.folder).map_err(|e| {
            Error::io(&self.folder, "free space is not known", &std::io::Error::from(e))
        })?;
        Ok(stats.blocks_available().saturating_mul(stats.fragment_size()))
    }
}

/// The stems in the folder, the oldest first.
struct Stems {
    names: BTreeSet<String>,
    next: u64,
}

impl Stems {
    /// Those that are there; a folder that cannot be read has none yet.
    fn read(folder: &Path) -> Self {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let names: BTreeSet<String> = entries
            .filter_map(|e| e.file_name().into_string().ok())
            .filter(|name| number(name).is_some())
            .filter_map(|name| name.split('.').next().map(str::to_owned))
            .collect();
        let next = names.last().and_then(|name| number(name)).map_or(0, |n| n + 1);
        Stems { names, next }
    }

    fn len(&self) -> usize {
        self.names.len()
    }

    fn add(&mut self, tail: &str) -> String {
        let stem = format!("{:09}-{tail}", self.next);
        self.next += 1;
        self.names.insert(stem.clone());
        stem
    }

    /// Removes the files of the oldest stem; false where there is none.
    fn remove_oldest(&mut self, folder: &Path) -> Result<bool> {
        let Some(stem) = self.names.first().cloned() else { return Ok(false) };
        for extension in [".png", ".map.png", ".json"] {
            let path = folder.join(format!("{stem}{extension}"));
            match std::fs::remove_file(&path) {
                Ok(()) => {}
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(Error::io(&path, "cannot be removed", &e)),
            }
        }
        self.names.remove(&stem);
        Ok(true)
    }
}

/// The number in front of a name of ours; other files in the folder are left alone.
fn number(name: &str) -> Option<u64> {
    let (digits, rest) = name.split_once('-')?;
    let ours = digits.len() == 9 && rest.starts_with("part");
    if ours { digits.parse().ok() } else { None }
}
