//! The log: one JSON line a part, and one an output edge where that is wanted.
//!
//! Lines go to a thread of their own through a bounded queue. What finds no room there is dropped
//! and counted; a disk that is full or gone costs records and never time.

use super::config::RecordsConfig;
use super::inspect::Assessment;
use super::tracker::{Finished, Line, Outcome, PartId, Reason};
use crate::clock::LineTime;
use crate::files;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Lines that may wait.
const QUEUE: usize = 4096;
/// Pause after a failed write.
const BACK_OFF: Duration = Duration::from_secs(1);

/// What is recorded of a part.
#[derive(Debug, Clone, Serialize)]
pub struct PartRecord {
    /// Its number.
    pub part: PartId,
    /// Wall clock when it left, milliseconds since 1970; for people, nothing is timed by it.
    pub unix_ms: u64,
    /// When it was triggered, on the monotonic clock.
    pub trigger_us: u64,
    /// When its outcome was carried out, on the monotonic clock.
    pub gate_us: u64,
    /// `passed` or `rejected`.
    pub outcome: &'static str,
    /// Why it was rejected.
    pub why: Option<Reason>,
    /// Image score, where there is one.
    pub score: Option<f32>,
    /// Threshold of the template.
    pub threshold: Option<f32>,
    /// What the score means.
    pub verdict: Option<crate::scoring::Verdict>,
    /// The rule that decided, and where.
    pub decided_by: Option<crate::scoring::DecidedBy>,
    /// Where it differs.
    pub regions: Vec<crate::scoring::Region>,
    /// Microseconds of each stage.
    pub timing_us: Option<TimingUs>,
}

/// Microseconds of each stage.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct TimingUs {
    /// From trigger to the begin of the exposure.
    pub exposure: u64,
    /// From trigger to the frame in memory.
    pub frame: u64,
    /// To network size.
    pub prepare: u64,
    /// Features.
    pub backbone: u64,
    /// Distances.
    pub matching: u64,
    /// Map, score, regions.
    pub scoring: u64,
}

impl PartRecord {
    /// The record of a part.
    pub fn new(finished: &Finished, assessment: Option<Assessment>) -> Self {
        let us = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let (outcome, why) = match finished.outcome {
            Outcome::Passed => ("passed", None),
            Outcome::Rejected(reason) => ("rejected", Some(reason)),
        };
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let found = assessment.as_ref();
        PartRecord {
            part: finished.part,
            unix_ms: u64::try_from(unix.as_millis()).unwrap_or(0),
            trigger_us: finished.triggered_at.as_nanos() / 1000,
            gate_us: finished.at.as_nanos() / 1000,
            outcome,
            why,
            score: found.map(|a| a.score),
            threshold: found.map(|a| a.threshold),
            verdict: found.map(|a| a.verdict),
            decided_by: found.map(|a| a.decided_by.clone()),
            timing_us: found.map(|a| TimingUs {
                exposure: us(a.exposure),
                frame: us(a.frame),
                prepare: us(a.stages.prepare),
                backbone: us(a.stages.backbone),
                matching: us(a.stages.matching),
                scoring: us(a.stages.scoring),
            }),
            regions: assessment.map(|a| a.regions).unwrap_or_default(),
        }
    }
}

/// A change of an output.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct EdgeRecord {
    line: Line,
    active: bool,
    due_us: u64,
    late_us: u64,
}

impl EdgeRecord {
    /// A change that was due at `due` and made at `at`.
    pub fn new(line: Line, active: bool, due: LineTime, at: LineTime) -> Self {
        let late_us = u64::try_from(at.since(due).as_micros()).unwrap_or(u64::MAX);
        EdgeRecord { line, active, due_us: due.as_nanos() / 1000, late_us }
    }
}

enum Entry {
    Part(Box<PartRecord>),
    Edge(EdgeRecord),
}

/// Lines that were lost.
#[derive(Debug, Default)]
pub struct Losses {
    /// Because the queue was full.
    pub dropped: AtomicU64,
    /// Because they could not be written.
    pub failed: AtomicU64,
}

/// The way to the log.
pub struct Records {
    sender: Option<SyncSender<Entry>>,
    edges: bool,
    losses: Arc<Losses>,
}

impl Records {
    /// Starts the log's thread, where the configuration wants a log.
    pub fn start(config: &RecordsConfig) -> std::io::Result<(Records, Option<Thread>)> {
        let (losses, edges) = (Arc::new(Losses::default()), config.edges.is_some());
        if config.file.is_none() && !edges {
            return Ok((Records { sender: None, edges, losses }, None));
        }
        let (sender, receiver) = sync_channel(QUEUE);
        let mut writers = Writers {
            parts: config.file.clone().map(|f| Rotated::new(f, config)),
            edges: config.edges.clone().map(|f| Rotated::new(f, config)),
            losses: losses.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("records".into())
            .spawn(move || writers.run(&receiver))?;
        Ok((Records { sender: Some(sender), edges, losses }, Some(thread)))
    }

    /// What was lost.
    pub fn losses(&self) -> Arc<Losses> {
        self.losses.clone()
    }

    /// Records a part.
    pub fn part(&self, record: PartRecord) {
        self.push(Entry::Part(Box::new(record)));
    }

    /// Records an edge, where edges are recorded.
    pub fn edge(&self, record: EdgeRecord) {
        if self.edges {
            self.push(Entry::Edge(record));
        }
    }

    fn push(&self, entry: Entry) {
        let Some(sender) = &self.sender else { return };
        if sender.try_send(entry).is_err() {
            self.losses.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The log's thread; it ends when the last [`Records`] is gone and everything is written.
pub type Thread = std::thread::JoinHandle<()>;

struct Writers {
    parts: Option<Rotated>,
    edges: Option<Rotated>,
    losses: Arc<Losses>,
}

impl Writers {
    fn run(&mut self, entries: &Receiver<Entry>) {
        loop {
            match entries.recv_timeout(Duration::from_secs(1)) {
                Ok(Entry::Part(record)) => write(&mut self.parts, &*record, &self.losses),
                Ok(Entry::Edge(record)) => write(&mut self.edges, &record, &self.losses),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}

fn write(file: &mut Option<Rotated>, record: &impl Serialize, losses: &Losses) {
    let Some(file) = file else { return };
    let line = serde_json::to_vec(record).unwrap_or_default();
    if !file.append(&line) {
        losses.failed.fetch_add(1, Ordering::Relaxed);
    }
}

/// A file that is put aside when it is long: `parts.jsonl`, `parts.jsonl.1`, `parts.jsonl.2`, ...
struct Rotated {
    path: PathBuf,
    max_bytes: u64,
    keep: u32,
    open: Option<(File, u64)>,
    retry_at: LineTime,
}

impl Rotated {
    fn new(path: PathBuf, config: &RecordsConfig) -> Self {
        let retry_at = LineTime::default();
        Rotated { path, max_bytes: config.max_bytes, keep: config.keep, open: None, retry_at }
    }

    /// Appends a line in one write, so that lines are whole; false where it is lost.
    fn append(&mut self, line: &[u8]) -> bool {
        let now = LineTime::now();
        if now < self.retry_at {
            return false;
        }
        match self.try_append(line) {
            Ok(()) => true,
            Err(why) => {
                log::error!("{}: a record is lost: {why}", self.path.display());
                self.open = None;
                self.retry_at = now + BACK_OFF;
                false
            }
        }
    }

    fn try_append(&mut self, line: &[u8]) -> std::io::Result<()> {
        let mut whole = Vec::with_capacity(line.len() + 1);
        whole.extend_from_slice(line);
        whole.push(b'\n');
        let added = whole.len() as u64;
        if self.open.as_ref().is_some_and(|(_, length)| length + added > self.max_bytes) {
            self.open = None;
            self.put_aside()?;
        }
        let (file, length) = match &mut self.open {
            Some(open) => open,
            None => {
                if let Some(folder) = self.path.parent() {
                    std::fs::create_dir_all(folder)?;
                }
                self.open.insert(open(&self.path)?)
            }
        };
        if let Err(why) = file.write_all(&whole) {
            // A full disk can take half of a line: what is there stays a file of whole lines.
            file.set_len(*length)?;
            return Err(why);
        }
        *length += added;
        Ok(())
    }

    fn put_aside(&self) -> std::io::Result<()> {
        if self.keep == 0 {
            return std::fs::remove_file(&self.path);
        }
        for number in (1..self.keep).rev() {
            let from = numbered(&self.path, number);
            if from.exists() {
                std::fs::rename(from, numbered(&self.path, number + 1))?;
            }
        }
        std::fs::rename(&self.path, numbered(&self.path, 1))
    }
}

/// Opens a log to append to it, and tells how long it is. Nothing but a regular file: a pipe or a device
/// would be waited for, and nothing of it could be put aside.
fn open(path: &Path) -> std::io::Result<(File, u64)> {
    let check = |metadata: &std::fs::Metadata| match metadata.is_file() {
        true => Ok(metadata.len()),
        false => Err(std::io::Error::other("not a regular file")),
    };
    match std::fs::metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        there => drop(check(&there?)?),
    }
    let file = files::open_without_waiting(OpenOptions::new().create(true).append(true), path)?;
    let length = check(&file.metadata()?)?;
    Ok((file, length))
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The thread that writes would wait for the other end of the pipe, and the end of the program for the thread.
    #[test]
    fn a_log_that_is_a_pipe_or_a_device_costs_records_and_no_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("runs");
        assert!(made.success());
        for path in [pipe.as_path(), Path::new("/dev/full"), Path::new("/dev/null"), folder.path()]
        {
            let config = RecordsConfig { file: Some(path.to_owned()), ..RecordsConfig::default() };
            let mut log = Rotated::new(path.to_owned(), &config);
            assert!(!log.append(b"{}"), "{}", path.display());
        }
        let file = folder.path().join("new/parts.jsonl");
        let mut log = Rotated::new(file.clone(), &RecordsConfig::default());
        assert!(log.append(b"{}") && log.append(b"[]"));
        assert_eq!(std::fs::read(file).expect("reads"), b"{}\n[]\n");
    }
}
