//! `hetmm history` lists what was inserted into a template.

use crate::console::{Console, say};
use crate::outputs::Replace;
use hetmm::heatmap;
use hetmm::template::Template;
use hetmm::update::journal::{self, Entry};
use hetmm::wording::{counted, form, printable};
use hetmm::{Error, Result};
use jiff::Timestamp;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// Show what was inserted into a template, when and by whom
#[derive(clap::Args)]
#[command(after_help = "Examples:
  hetmm history part.hetmm
  hetmm history part.hetmm --thumbnails seen/
  hetmm history part.hetmm --json | jq '.[-1].score_after'")]
pub struct Args {
    /// The template
    template: PathBuf,
    /// Print one JSON array in place of text
    #[arg(long)]
    json: bool,
    /// Write the small pictures of the journal to this folder
    #[arg(long, value_name = "DIR")]
    thumbnails: Option<PathBuf>,
    #[command(flatten)]
    replace: Replace,
}

pub fn run(args: &Args, console: &Console) -> Result<ExitCode> {
    let template = Template::map(&args.template)?;
    let journal = journal::read(&template).map_err(|e| e.within(args.template.display()))?;
    if let Some(folder) = &args.thumbnails {
        std::fs::create_dir_all(folder)
            .map_err(|e| Error::io(folder, "the folder cannot be created", &e))?;
        let path = |entry: &Entry| folder.join(format!("{:04}.jpg", entry.id));
        let mut outputs = args.replace.outputs([args.template.as_path()]);
        for (entry, _) in &journal {
            outputs.claim(&path(entry), &heatmap::THUMBNAIL)?;
        }
        for (entry, _) in &journal {
            let bytes = heatmap::marked_thumbnail(&entry.thumbnail);
            outputs.write(&path(entry), &heatmap::THUMBNAIL, &bytes)?;
            console.changed(&path(entry));
        }
    }
    console.print(&text(args, &journal))?;
    Ok(ExitCode::SUCCESS)
}

/// The journal, for people or for programs.
fn text(args: &Args, journal: &[(Entry, &[u8])]) -> String {
    let mut text = String::new();
    if args.json {
        let entries: Vec<_> = journal.iter().map(|(entry, bytes)| to_json(entry, bytes)).collect();
        say!(text, "{:#}", json!(entries));
        return text;
    }
    if journal.is_empty() {
        say!(
            text,
            "{}: nothing was inserted since the template was built",
            args.template.display()
        );
        return text;
    }
    say!(
        text,
        "{:>5}  {:<20}  {:<14}  {:>17}  {:>6}  picture",
        "entry",
        "when (UTC)",
        "who",
        "score",
        "new"
    );
    for (entry, _) in journal {
        say!(
            text,
            "{:>5}  {:<20}  {:<14}  {:>7.4} -> {:>6.4}  {:>6}  {}{}",
            entry.id,
            when(entry),
            printable(&entry.who),
            entry.score_before,
            entry.score_after,
            entry.added,
            printable(&entry.name),
            if entry.forced { " (forced)" } else { "" }
        );
    }
    let bytes: usize = journal.iter().map(|(_, bytes)| bytes.len()).sum();
    let (pictures, them) = (counted(journal.len(), "picture"), form(journal.len(), "it", "them"));
    say!(text, "{pictures}; the data to undo {them} needs {:.2} MB", bytes as f64 / 1e6);
    text
}

fn when(entry: &Entry) -> String {
    i64::try_from(entry.when_unix_s)
        .ok()
        .and_then(|s| Timestamp::from_second(s).ok())
        .map_or_else(|| "unknown".into(), |t| t.to_string())
}

fn to_json(entry: &Entry, bytes: &[u8]) -> serde_json::Value {
    json!({
        "entry": entry.id, "when": when(entry), "who": entry.who, "image": entry.name,
        "blake3": blake3::Hash::from(entry.digest).to_hex().as_str(), "score_before": entry.score_before,
        "score_after": entry.score_after, "forced": entry.forced, "prototypes": entry.added,
        "sheets_before": entry.layers.first().map(|l| l.sheets), "bytes": bytes.len(),
    })
}
