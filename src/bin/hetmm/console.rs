//! What people see while they wait: progress bars and notes on stderr.

use hetmm::builder::Stage;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Mutex;

/// A name as it can be shown: what would move the cursor, colour the terminal or break a line is spelled
/// out. Names come from files and templates, and those from anywhere.
pub fn printable(name: &str) -> String {
    let spelled = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.into() };
    name.chars().map(spelled).collect()
}

/// Progress and notes; silent when asked to be, bars only on a terminal.
pub struct Console {
    quiet: bool,
    bar: Mutex<Option<(Stage, ProgressBar)>>,
}

impl Console {
    pub fn new(quiet: bool) -> Self {
        Console { quiet, bar: Mutex::new(None) }
    }

    /// A line for people.
    pub fn note(&self, text: impl AsRef<str>) {
        if !self.quiet {
            eprintln!("{}", text.as_ref());
        }
    }

    /// A bar for `length` steps of `what`, with the time left.
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

    /// Shows one step of a build.
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
