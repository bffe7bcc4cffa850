//! `hetmm insert` adds good pictures to an existing template.

use crate::console::{Console, say};
use crate::extractor::ExtractorArgs;
use crate::pictures::{self, FolderArgs, ShapeArgs};
use hetmm::error::Kind;
use hetmm::update::{self, Inserted, NewPicture, Options, Outcome};
use hetmm::wording::{counted, printable};
use hetmm::{Error, Result};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// Add good parts to a template, without a new build
///
/// The command adds only features that the template does not have yet. When a position is full, it replaces the
/// most redundant prototype there. The weights of the layers and the threshold do not change. The journal of the
/// template stores who inserted what and when, and what was there before. `hetmm history` shows it, and `hetmm undo`
/// takes it back.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  hetmm insert part.hetmm false-reject.png
  hetmm insert part.hetmm new-light/ --who 'M. Keller'
  hetmm insert part.hetmm stain.png --force         a good part that looks like a defect
  hetmm insert part.hetmm new/ --dry-run            only say what would change")]
pub struct Args {
    /// The template
    template: PathBuf,
    /// Pictures of good parts: folders or files
    #[arg(required = true, value_name = "GOOD")]
    images: Vec<PathBuf>,
    /// Also insert pictures that look like defects, with a score of more than 1.25 times the threshold. Without it,
    /// such a picture stops the command: it inserts nothing and ends with exit code 1. Look at the part first: parts
    /// like it pass afterwards
    #[arg(long)]
    force: bool,
    /// Leave out unreadable pictures. Without it, one unreadable picture stops the command and nothing is inserted
    #[arg(long)]
    skip_unreadable: bool,
    /// Name of the person for the journal [default: the name of the user]
    #[arg(long)]
    who: Option<String>,
    /// A feature is new if its distance is more than this many times the usual one at that place. A smaller factor adds
    /// more features
    #[arg(long, value_name = "FACTOR", default_value_t = update::NOVELTY)]
    novelty: f32,
    /// Number of sheets up to which the template may grow [default: the next multiple of 128]
    #[arg(long, value_name = "SHEETS")]
    capacity: Option<usize>,
    /// Only print what would change. The template stays unchanged
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object in place of text
    #[arg(long)]
    json: bool,
    /// ONNX file of the backbone that the template was built with [default: the bundled one]
    #[arg(long, value_name = "M.onnx")]
    backbone: Option<PathBuf>,
    #[command(flatten)]
    folders: FolderArgs,
    #[command(flatten)]
    shape: ShapeArgs,
    #[command(flatten)]
    extractor: ExtractorArgs,
}

/// The next step for pictures that look like defects.
const CONFIRM: &str = "look at the part: parts like it pass once it is inserted. If it is a good part, run the same \
                       command again with --force";

pub fn run(args: &Args, console: &Console) -> Result<ExitCode> {
    if !(0.0..=1000.0).contains(&args.novelty) {
        return Err(Error::usage("--novelty must be a factor from 0 to 1000").advise(
            "give 1.25, which is the default; a smaller factor adds more features, and 0 adds all",
        ));
    }
    if args.capacity.is_some_and(|c| !(1..=100_000).contains(&c)) {
        return Err(Error::usage("--capacity must be a number of sheets from 1 to 100000"));
    }
    let listed = pictures::list(&args.images, args.folders, console)?;
    let files: Vec<NewPicture> =
        listed.iter().map(|source| NewPicture::File(&source.path)).collect();
    let options = Options {
        who: args.who.clone().unwrap_or_else(user),
        when_unix_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
        novelty: args.novelty,
        capacity: args.capacity,
        force: args.force,
        skip_unreadable: args.skip_unreadable,
        dry_run: args.dry_run,
        any_shape: args.shape.any_shape,
    };
    let extractor = args.extractor.extractor();
    let unconfirmed = |e: Error| match e.kind() {
        Kind::Unconfirmed => e.advise(CONFIRM),
        _ => e,
    };
    let done =
        update::insert(&args.template, args.backbone.as_deref(), &extractor, &files, &options)
            .map_err(unconfirmed)?;
    if is_written(&done, args.dry_run) {
        console.changed(&args.template);
    }
    done.skipped.iter().for_each(|e| console.note(format!("skipped: {e}")));
    for outcome in &done.outcomes {
        if let Some(warning) = &outcome.warning {
            let file = printable(&outcome.file.display().to_string());
            console.note(format!("warning: {file}: {warning}"));
        }
    }
    let mut text = String::new();
    match args.json {
        true => say!(text, "{:#}", to_json(&done, args.dry_run)),
        false => {
            text = in_words(&done);
            summary(&done, args).iter().for_each(|line| console.note(line));
        }
    }
    console.print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Whether the template has changed.
fn is_written(done: &Inserted, dry_run: bool) -> bool {
    !dry_run && done.outcomes.iter().any(|outcome| outcome.id.is_some())
}

/// One line for each picture: what was done with it.
fn in_words(done: &Inserted) -> String {
    let mut text = String::new();
    for outcome in &done.outcomes {
        let file = printable(&outcome.file.display().to_string());
        let still =
            outcome.still(done.threshold).map_or_else(String::new, |still| format!(", {still}"));
        match outcome.id {
            None => {
                say!(
                    text,
                    "{file}: nothing new to insert (score {:.4}){still}",
                    outcome.score_before
                );
                if !still.is_empty() {
                    say!(text, "  -> {}", Outcome::NOT_LEARNED);
                }
            }
            Some(id) => say!(
                text,
                "{file}: score {:.4} -> {:.4}{still}, {} (entry {id})",
                outcome.score_before,
                outcome.score_after,
                counted(outcome.added, "prototype")
            ),
        }
    }
    for file in &done.known {
        say!(
            text,
            "{}: the template already contains this picture",
            printable(&file.display().to_string())
        );
    }
    text
}

/// What was done with the template, for standard error.
fn summary(done: &Inserted, args: &Args) -> Vec<String> {
    let inserted = done.outcomes.iter().filter(|o| o.id.is_some()).count();
    let [before, after] = done.sheets;
    let sheets = if before == after {
        counted(after, "sheet")
    } else {
        format!("{before} -> {after} sheets")
    };
    let mut lines = vec![format!(
        "{}: {inserted} of {} {}, {sheets}, {:.1} MB",
        args.template.display(),
        counted(done.outcomes.len() + done.known.len(), "picture"),
        if args.dry_run { "would be inserted" } else { "inserted" },
        done.bytes[1] as f64 / 1e6
    )];
    if inserted > 0 && done.is_promised && !args.dry_run {
        lines.push(format!(
            "note: the threshold stays. It was set before {} came in, and good parts score lower now. Set it again with \
             `hetmm calibrate` after many insertions.",
            counted(done.since_threshold, "picture")
        ));
    }
    lines
}

fn to_json(done: &Inserted, dry_run: bool) -> serde_json::Value {
    let mut object = done.to_json();
    object["written"] = is_written(done, dry_run).into();
    object
}

/// The name of the user who runs this program.
fn user() -> String {
    ["USER", "LOGNAME", "USERNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .unwrap_or_else(|| "unknown".into())
}
