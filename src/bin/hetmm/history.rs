//! `hetmm history`: what was inserted into a template.

use hetmm::template::Template;
use hetmm::update::journal::{self, Entry};
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
    /// One JSON array in place of text
    #[arg(long)]
    json: bool,
    /// Write the small pictures that the journal keeps into this folder
    #[arg(long, value_name = "DIR")]
    thumbnails: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let template = Template::open(&args.template)?;
    let journal = journal::read(&template).map_err(|e| e.within(args.template.display()))?;
    if let Some(folder) = &args.thumbnails {
        std::fs::create_dir_all(folder)
            .map_err(|e| Error::io(folder, "the folder cannot be made", &e))?;
        for (entry, _) in &journal {
            let path = folder.join(format!("{:04}.jpg", entry.id));
            hetmm::files::write_whole(&path, &entry.thumbnail)?;
        }
    }
    if args.json {
        let entries: Vec<_> = journal.iter().map(|(entry, bytes)| to_json(entry, bytes)).collect();
        println!("{:#}", json!(entries));
        return Ok(ExitCode::SUCCESS);
    }
    if journal.is_empty() {
        println!("{}: nothing was inserted since it was built", args.template.display());
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "{:>5}  {:<20}  {:<14}  {:>17}  {:>6}  picture",
        "entry", "when (UTC)", "who", "score", "new"
    );
    for (entry, _) in &journal {
        println!(
            "{:>5}  {:<20}  {:<14}  {:>7.4} -> {:>6.4}  {:>6}  {}{}",
            entry.id,
            when(entry),
            entry.who,
            entry.score_before,
            entry.score_after,
            entry.added,
            entry.name,
            if entry.forced { " (forced)" } else { "" }
        );
    }
    let bytes: usize = journal.iter().map(|(_, bytes)| bytes.len()).sum();
    println!("{} pictures, {:.1} MB to undo them", journal.len(), bytes as f64 / 1e6);
    Ok(ExitCode::SUCCESS)
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
