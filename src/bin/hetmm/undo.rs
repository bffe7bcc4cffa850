//! `hetmm undo` restores the template from before an insertion.

use crate::console::{Console, say};
use hetmm::Result;
use hetmm::update;
use hetmm::wording::printable;
use std::path::PathBuf;
use std::process::ExitCode;

/// Take back what `hetmm insert` did
///
/// Restores exactly the file from before the insertion, and checks this with a hash. It also removes every threshold
/// and every region rule that you set after the insertion: set them again.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  hetmm undo part.hetmm         take back the last picture that was inserted
  hetmm undo part.hetmm 3       take back entry 3 of the journal and all entries after it")]
pub struct Args {
    /// The template
    template: PathBuf,
    /// First entry of the journal to take back. All entries after it are taken back, too [default: the last entry]
    entry: Option<u32>,
}

pub fn run(args: &Args, console: &Console) -> Result<ExitCode> {
    let undone = update::undo(&args.template, args.entry)?;
    console.changed(&args.template);
    let mut text = String::new();
    for entry in &undone.entries {
        say!(text, "entry {}: {} is no longer in the template", entry.id, printable(&entry.name));
    }
    let [before, after] = undone.thresholds;
    if before != after {
        let (shown, since) = (format!("{after:.4}"), format!("{before:.4}"));
        // Two thresholds can differ by less than what is shown of them.
        let was_set =
            if shown == since { String::new() } else { format!(" ({since} was set since)") };
        say!(text, "the threshold from before the insertion holds again: {shown}{was_set}");
    }
    if undone.rules_changed {
        say!(
            text,
            "the region rules are again those from before the insertion: others were set since"
        );
    }
    let proven = if undone.proven { ", and the bytes are those from before" } else { "" };
    console.note(format!("{}: restored{proven}", args.template.display()));
    console.print(&text)?;
    Ok(ExitCode::SUCCESS)
}
