//! Appends lines to a file that is put aside when it is long.

use super::config::RecordsConfig;
use crate::clock::LineTime;
use crate::files;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The pause after a failed write.
const BACK_OFF: Duration = Duration::from_secs(1);

/// Holds a file that is put aside when it is long: `parts.jsonl`, `parts.jsonl.1`, `parts.jsonl.2`, ...
pub(super) struct Rotated {
    path: PathBuf,
    max_bytes: u64,
    keep: u32,
    open: Option<(File, u64)>,
    retry_at: LineTime,
}

impl Rotated {
    /// Makes a log at `path`. The file is opened with its first line.
    pub fn new(path: PathBuf, config: &RecordsConfig) -> Self {
        let retry_at = LineTime::default();
        Rotated { path, max_bytes: config.max_bytes, keep: config.keep, open: None, retry_at }
    }

    /// Appends a line of text in one write, so that lines are complete. Returns false if it is lost.
    pub fn append(&mut self, line: &[u8]) -> bool {
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
