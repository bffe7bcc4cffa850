//! `hetmm-edge records` checks and exports the records that a device has kept with a chain.

use crate::output;
use hetmm::error::{Error, Kind, Result};
use hetmm::line::evidence::device_key::PublicKey;
use hetmm::line::evidence::{Period, Verified, export, hex, parse_utc, verify};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Subcommand)]
pub enum Task {
    /// Check the chain of records in a folder. Exit code 1 and the first wrong line if it was changed
    Verify {
        /// The folder that records.folder names, or a copy of it
        folder: PathBuf,
        /// The public key of the device (device.pub). All signatures must be made with it
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Print parts as a table on standard output, and check the chain
    Export {
        /// The folder that records.folder names, or a copy of it
        folder: PathBuf,
        /// Print comma-separated values (RFC 4180), one row for each part
        #[arg(long, required = true)]
        csv: bool,
        /// First moment in UTC, as 2026-11-28 or 2026-11-28T06:00:00Z [default: the first part]
        #[arg(long, value_parser = moment)]
        from: Option<u64>,
        /// First moment that is left out [default: none]
        #[arg(long, value_parser = moment)]
        to: Option<u64>,
        /// The public key of the device (device.pub). All signatures must be made with it
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
}

fn moment(text: &str) -> std::result::Result<u64, String> {
    parse_utc(text).ok_or_else(|| "give a day or a moment, as 2026-11-28T06:00:00Z".into())
}

/// Does the task. The exit code is 1 if something is wrong with the chain.
pub fn run(task: &Task) -> Result<ExitCode> {
    match task {
        Task::Verify { folder, key } => {
            let key = key.as_deref().map(PublicKey::read).transpose()?;
            let seen = verify(folder, key.as_ref(), &mut |_| Ok(()))?;
            output::print(in_words(&seen, key.is_some()))?;
            judge(folder, &seen)
        }
        Task::Export { folder, csv: _, from, to, key } => {
            let key = key.as_deref().map(PublicKey::read).transpose()?;
            let period = Period { from: *from, to: *to };
            let mut out = BufWriter::new(Quiet { is_closed: false });
            let seen = export(folder, key.as_ref(), period, &mut out)?;
            out.flush().map_err(|e| {
                Error::new(Kind::Io, format!("standard output cannot be written: {e}"))
            })?;
            judge(folder, &seen)
        }
    }
}

/// What the chain has shown, for people.
fn in_words(seen: &Verified, is_key_given: bool) -> String {
    let Verified { lines, parts, segments, lost, recovered, checkpoints, .. } = seen;
    let mut text = format!(
        "{lines} lines in {segments} files, {parts} parts; {lost} records lost, {recovered} starts \
         after a power loss or a crash\n"
    );
    if let Some((first, head)) = seen.first.zip(seen.head) {
        let hash = hex(&head.hash);
        text.push_str(&format!("lines {first} to {}, the newest has BLAKE3 {hash}\n", head.seq));
        text.push_str(&signatures(seen, first, head.seq, is_key_given));
    }
    text.push_str(&match checkpoints {
        0 => "no line is signed: whoever can write the folder can write another chain\n".to_owned(),
        _ => String::new(),
    });
    text
}

fn signatures(seen: &Verified, first: u64, newest: u64, is_key_given: bool) -> String {
    let Some(signed) = seen.signed_through else { return String::new() };
    let whose = match is_key_given {
        true => "the key that was given",
        false => "the key that the records name (give --key to check whose it is)",
    };
    let open = newest.saturating_sub(signed);
    format!("lines {first} to {signed} are signed by {whose}; {open} newer lines are not signed\n")
}

fn judge(folder: &Path, seen: &Verified) -> Result<ExitCode> {
    let Some(bad) = &seen.bad else {
        output::say("good: nothing was changed or removed within what is there");
        return Ok(ExitCode::SUCCESS);
    };
    let path = folder.join(&bad.segment);
    output::say(format_args!("BAD   {}: line {}: {}", path.display(), bad.line, bad.why));
    Ok(ExitCode::from(1))
}

/// Standard output. It is no error if the reader has gone away, as `| head` does.
struct Quiet {
    is_closed: bool,
}

impl Write for Quiet {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.is_closed {
            return Ok(bytes.len());
        }
        match std::io::stdout().lock().write(bytes) {
            Err(e) if e.kind() == ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(bytes.len())
            }
            written => written,
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self.is_closed {
            true => Ok(()),
            false => std::io::stdout().lock().flush(),
        }
    }
}
