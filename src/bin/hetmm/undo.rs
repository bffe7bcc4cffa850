//! `hetmm undo`: the template as it was before an insertion.

use crate::console::{Console, say};
use hetmm::Result;
use hetmm::update;
use hetmm::wording::printable;
use std::path::PathBuf;
use std::process::ExitCode;

/// Take back what `hetmm insert` did
///
/// Restores the bytes of the template from before, and proves it by their digest. A threshold and region
/// rules that were set since go, too.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  hetmm undo part.hetmm         the last picture that was inserted
  hetmm undo part.hetmm 3       entry 3 of the journal, and all after it")]
pub struct Args {
    /// The template
    template: PathBuf,
    /// The first entry of the journal to undo [default: the last one]
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
        say!(text, "the threshold is {after:.4} again ({before:.4} was set since)");
    }
    if undone.rules_changed {
        say!(text, "the region rules are those from before again: others were set since");
    }
    let proven = if undone.proven { ", the bytes are those from before" } else { "" };
    console.note(format!("{}: restored{proven}", args.template.display()));
    console.print(&text)?;
    Ok(ExitCode::SUCCESS)
}
