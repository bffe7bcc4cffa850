//! Writes the log: one line of JSON per part, and one per output edge if that is wanted.
//!
//! Records go to a thread of their own through a bounded queue. A record that finds no room is dropped and counted. A
//! disk that is full or gone costs records and never time.

use super::config::RecordsConfig;
use super::record::{EdgeRecord, PartRecord};
use crate::clock::LineTime;
use crate::files;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// The number of records that may wait.
const QUEUE: usize = 4096;
/// The pause after a failed write.
const BACK_OFF: Duration = Duration::from_secs(1);

enum Entry {
    Part(Arc<PartRecord>),
    Edge(EdgeRecord),
}

/// Counts records that were lost.
#[derive(Debug, Default)]
pub struct Losses {
    /// The records that were lost because the queue was full.
    pub dropped: AtomicU64,
    /// The records that were lost because they could not be written.
    pub failed: AtomicU64,
}

/// Sends records to the log's thread.
pub struct Records {
    sender: Option<SyncSender<Entry>>,
    edges: bool,
    losses: Arc<Losses>,
}

impl Records {
    /// Starts the log's thread if the configuration asks for a log.
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

    /// Returns the counters of lost records.
    pub fn losses(&self) -> Arc<Losses> {
        self.losses.clone()
    }

    /// Records a part.
    pub fn part(&self, record: Arc<PartRecord>) {
        self.push(Entry::Part(record));
    }

    /// Records an edge, if edges are to be recorded.
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

/// The log's thread. It ends when the last [`Records`] is gone and everything is written.
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

/// Holds a file that is put aside when it is long: `parts.jsonl`, `parts.jsonl.1`, `parts.jsonl.2`, ...
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

    /// Appends a line of text in one write, so that lines are complete. Returns false if it is lost.
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
            // A full disk can take half of a line of text. Cut it off, so that the file holds only complete lines.
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

/// Opens a log to append to it, and returns its length. It accepts only a regular file. A pipe or a device file would
/// make the thread wait, and could not be put aside.
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

    /// Covers a former fault: the thread that writes waited for the other end of the pipe, and the end of the program
    /// waited for the thread.
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
