//! Keeps pictures of rejected parts for people. A slow thread writes them, and it never delays the production line.
//!
//! Every part makes three files with one stem, such as `000000042-part17-defect`: the picture as it was inspected
//! (`.png`), what was found in it (`.map.png`) and the numbers (`.json`). The number in front continues over restarts.
//! So the oldest files are known without a clock.

use super::config::ArchiveConfig;
use super::evidence::Event;
use super::records::Reporter;
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

/// Describes a part whose picture is to be kept.
pub struct Item {
    /// The number of the part.
    pub part: PartId,
    /// The reason why it is kept.
    pub reason: Reason,
    /// The score of the part.
    pub score: f32,
    /// The picture of the part.
    pub picture: Arc<Picture>,
    /// The map and score of the part.
    pub scored: Scored,
    /// The template and feature extractor that it was inspected with.
    pub pipeline: Arc<Pipeline>,
}

/// Holds the queue in front of the archive's thread.
pub struct Archive {
    folder: PathBuf,
    max_parts: usize,
    min_free_bytes: u64,
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
            min_free_bytes: config.min_free_mib << 20,
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

    /// Queues a part. If there is no room, the oldest waiting part is dropped. It never waits.
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

    /// Returns the picture of a part as it was inspected, if this start of the program has kept it. Part numbers begin
    /// again with every start, so an earlier start may have kept another part under the same number.
    ///
    /// # Errors
    /// Returns [`Kind::Image`] if there is none.
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

    /// Tells the thread to write what waits, and to end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.filled.notify_all();
    }

    /// Writes what is queued, until it is told to stop.
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
                return Err(Error::new(Kind::Io, what)
                    .advise("delete files there, or lower archive.min_free_mib"));
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
        let picture = heatmap::picture_png(&item.picture)?;
        crate::files::write_whole(&path(".png"), &picture)?;
        let blake3 = blake3::hash(&picture).to_hex().to_string();
        self.reporter.tell(Event::Picture { part: item.part.0, stem: stem.clone(), blake3 });
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

/// Holds the stems in the folder, the oldest first.
struct Stems {
    names: BTreeSet<String>,
    next: u64,
}

impl Stems {
    /// Reads the stems in the folder. A folder that cannot be read has no stems yet.
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

    /// Removes the files of the oldest stem. Returns false if there is none.
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

/// Returns the number in front of a name that the archive made. Other files in the folder are left alone.
fn number(name: &str) -> Option<u64> {
    let (digits, rest) = name.split_once('-')?;
    let ours = digits.len() == 9 && rest.starts_with("part");
    if ours { digits.parse().ok() } else { None }
}
