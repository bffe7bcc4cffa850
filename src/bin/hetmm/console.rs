//! Everything that the program prints: results on standard output, progress bars and notes on standard error.
//!
//! `println!` panics if standard output cannot be written, and then the exit code is not one of ours. So the lints deny
//! it, and all commands print with [`Console::print`].

use hetmm::builder::Stage;
use hetmm::wording::printable;
use hetmm::{Error, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) use hetmm::wording::say;

/// Prints a line on standard error that `--quiet` does not silence.
pub fn complain(text: impl std::fmt::Display) {
    // If standard error cannot be written either, only the exit code is left.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Prints results, progress and notes. With `--quiet` it prints no notes. Progress bars appear only on a terminal.
pub struct Console {
    quiet: bool,
    bar: Mutex<Option<(Stage, ProgressBar)>>,
    /// Whether the reader of standard output has gone away, as `head` does.
    has_lost_reader: AtomicBool,
    /// Files that the command has changed so far.
    changed: Mutex<Vec<String>>,
}

impl Console {
    pub fn new(quiet: bool) -> Self {
        let (bar, changed) = (Mutex::new(None), Mutex::new(Vec::new()));
        Console { quiet, bar, has_lost_reader: AtomicBool::new(false), changed }
    }

    /// Whether notes are switched off.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Prints a note, unless notes are switched off.
    pub fn note(&self, text: impl AsRef<str>) {
        if !self.quiet {
            complain(text.as_ref());
        }
    }

    /// Prints a result as it is and adds no line end. If the reader has gone away, nothing is printed. That is not an
    /// error: the rest of the command decides its exit code.
    ///
    /// # Errors
    /// [`hetmm::error::Kind::Io`] if standard output cannot be written, as on a full disk. The error says which files
    /// the command has already changed.
    pub fn print(&self, text: &str) -> Result<()> {
        if self.has_lost_reader.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == ErrorKind::BrokenPipe => {
                self.has_lost_reader.store(true, Ordering::Relaxed);
                Ok(())
            }
            Err(e) => Err(self.cannot_print(&e)),
        }
    }

    /// Whether somebody still reads standard output, as far as the program knows.
    pub fn has_reader(&self) -> bool {
        !self.has_lost_reader.load(Ordering::Relaxed)
    }

    /// Remembers that the command has changed a file. The error says so if the output cannot be written.
    pub fn changed(&self, file: &Path) {
        let mut changed = self.changed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        changed.push(printable(&file.display().to_string()));
    }

    fn cannot_print(&self, e: &std::io::Error) -> Error {
        let error = Error::io(Path::new("standard output"), "cannot be written", e);
        let changed = self.changed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match &changed[..] {
            [] => error,
            files => error.advise(format!(
                "the command has done its work and has written {}. Only its output is lost: do not run it again",
                files.join(", ")
            )),
        }
    }

    /// A progress bar for `length` steps of `what`, with the time that is left.
    pub fn bar(&self, what: &'static str, length: usize) -> ProgressBar {
        if self.quiet || !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let style =
            ProgressStyle::with_template("{msg:14} {bar:32} {pos}/{len}  {per_sec}  {eta} left")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(Some(length as u64), ProgressDrawTarget::stderr());
        bar.with_style(style).with_message(what)
    }

    /// Shows the progress of one stage of a build.
    pub fn build_step(&self, stage: Stage, done: usize, total: usize) {
        let Ok(mut current) = self.bar.lock() else { return };
        if current.as_ref().is_none_or(|(shown, _)| *shown != stage) {
            if let Some((_, bar)) = current.take() {
                bar.finish_and_clear();
            }
            let what = match stage {
                Stage::Features => "features",
                Stage::Audit => "audit",
                Stage::Mirrored => "mirrored",
                Stage::Turned => "turned",
                Stage::Selection => "selection",
                Stage::LeaveOneOut => "leave one out",
                Stage::Folds => "folds",
            };
            *current = Some((stage, self.bar(what, total)));
        }
        if let Some((_, bar)) = current.as_ref() {
            bar.set_position(bar.position().max(done as u64));
            if done == total {
                bar.finish_and_clear();
            }
        }
    }
}
