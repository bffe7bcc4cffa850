//! `hetmm audit`: which pictures of a folder look unlike the rest.

use crate::build::{features_among, parse_bytes, read_mask};
use crate::console::{Console, say};
use crate::network::{Network, free_memory};
use crate::outputs::{Outputs, Replace};
use crate::pictures::{self, FolderArgs};
use crate::report;
use hetmm::Result;
use hetmm::builder::audit::{self, Audit};
use hetmm::builder::{Input, Pass, Source};
use hetmm::image::{Reading, Size};
use hetmm::wording::{counted, form, printable};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Most suspects with pictures on the page, unless more are asked for: keeps it a page that opens at once.
const MOST_SHOWN: usize = 100;

/// Find pictures that look unlike the rest: defects, other products, blurred, badly lit, twice there
///
/// Every picture is compared with all others; nothing else is needed. Suspects are beyond a bar that
/// clean folders hardly reach; weaker defects are to be found by looking down the ranking.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  hetmm audit good/
  hetmm audit good/ --report audit.html            look at them
  hetmm audit good/ --json | jq -r 'select(.suspect) | .image'
  hetmm build good/ -o part.hetmm --drop-suspects")]
pub struct Args {
    /// Pictures of good parts: a folder, or files; or one .features file
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// Pictures to list beside the suspects, down the ranking
    #[arg(long, value_name = "N", default_value_t = 25)]
    top: usize,
    /// One JSON object a line in place of text, for all pictures
    #[arg(long)]
    json: bool,
    /// Write a page with pictures and heat maps of what is listed to this file
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Region of interest: a black and white picture of the size of the others, white where defects count
    #[arg(long, value_name = "ROI.png")]
    mask: Option<PathBuf>,
    /// Features to hold in memory; more go to a scratch file in $TMPDIR [default: half of what is
    /// free]
    #[arg(long, value_parser = parse_bytes, value_name = "BYTES|4G")]
    max_memory: Option<u64>,
    /// Do not compare with mirrored pictures: quicker, and enough where parts always lie alike
    #[arg(long)]
    quick: bool,
    /// Leave unreadable pictures out in place of refusing the folder
    #[arg(long)]
    skip_unreadable: bool,
    /// Bits that the camera fills of samples of 16: 12, say
    #[arg(long, value_name = "BITS")]
    bits: Option<u8>,
    #[command(flatten)]
    folders: FolderArgs,
    #[command(flatten)]
    replace: Replace,
    #[command(flatten)]
    network: Network,
}

pub fn run(args: &Args, console: &Console) -> Result<ExitCode> {
    let file = features_among(&args.images)?;
    let sources = if file.is_some() {
        Vec::new()
    } else {
        pictures::list(&args.images, args.folders, console)?
    };
    let outputs = claim(args, &sources)?;
    let input = match &file {
        Some(file) => Input::Features(file),
        None => Input::Pictures(&sources),
    };
    let backbone = match &file {
        Some(file) => args.network.open_for(file)?,
        None => {
            let preset = args.network.preset(None)?;
            args.network.open(preset, args.network.input_size(preset, &sources)?)?
        }
    };
    let id = backbone.identity();
    let size = Size { width: id.width, height: id.height };
    let mask = args.mask.as_deref().map(|path| read_mask(path, input, size)).transpose()?;
    let pass = Pass {
        max_memory: args.max_memory.unwrap_or_else(|| free_memory() / 2),
        skip_unreadable: args.skip_unreadable,
        looks: true,
        reading: args.bits.map_or(Ok(Reading::default()), Reading::of_bits)?,
    };
    let progress = |stage, done, total| console.build_step(stage, done, total);
    let found =
        audit::audit(input, backbone.as_ref(), pass, mask.as_ref(), !args.quick, &progress)?;
    found.skipped.iter().for_each(|e| console.note(format!("skipped: {e}")));
    found.warnings.iter().for_each(|w| console.note(format!("warning: {w}")));
    pictures::tell(&found.notices, console);
    let suspects = found.suspects().count();
    // Before anything is printed: a reader that goes away takes no page with it.
    if let Some(path) = &args.report {
        let shown = suspects.min(MOST_SHOWN).max(args.top).min(found.images.len());
        let page = report::audit(&found, input, &names(args), shown)?;
        outputs.write(path, &report::FORMAT, page.as_bytes())?;
        console.changed(path);
    }
    let mut text = String::new();
    match args.json {
        true => (0..found.findings.len()).for_each(|rank| say!(text, "{}", line(&found, rank))),
        false => text = in_words(&found, args.top),
    }
    console.print(&text)?;
    console.note(format!(
        "{suspects} of {} {}{}",
        counted(found.images.len(), "picture"),
        form(suspects, "is a suspect", "are suspects"),
        if suspects > 0 {
            "; hetmm build leaves strays out, and all of them with --drop-suspects"
        } else {
            ""
        }
    ));
    Ok(ExitCode::SUCCESS)
}

/// Claims the page, where one is asked for.
fn claim(args: &Args, sources: &[Source]) -> Result<Outputs> {
    let pictures = sources.iter().map(|source| source.path.as_path());
    let others = args.images.iter().chain(&args.mask).map(PathBuf::as_path);
    let inputs: Vec<&Path> = pictures.chain(others).chain(args.network.files()).collect();
    let mut outputs = args.replace.outputs(inputs);
    outputs.claim_if(args.report.as_deref(), &report::FORMAT)?;
    Ok(outputs)
}

/// What the command line calls the pictures.
fn names(args: &Args) -> String {
    let names: Vec<String> = args.images.iter().take(3).map(|p| p.display().to_string()).collect();
    let more = if args.images.len() > 3 { " and more" } else { "" };
    format!("{}{more}", names.join(", "))
}

/// A finding as a JSON object.
fn line(found: &Audit, rank: usize) -> Value {
    let finding = &found.findings[rank];
    let mut value =
        json!({"rank": rank + 1, "image": found.paths[finding.picture].display().to_string()});
    if let (Value::Object(all), Ok(Value::Object(own))) =
        (&mut value, serde_json::to_value(finding))
    {
        all.extend(own);
    }
    value
}

/// The suspects, or the first pictures of the ranking where those are more.
fn in_words(found: &Audit, top: usize) -> String {
    let mut text = String::new();
    let shown = found.suspects().count().max(top);
    say!(text, "rank  suspicion  picture: why (a suspect from 1.00 on)");
    for (i, finding) in found.findings.iter().take(shown).enumerate() {
        let words: Vec<&str> = finding.reasons.iter().map(|r| r.words.as_str()).collect();
        let mark = if finding.suspect { "!" } else { " " };
        say!(
            text,
            "{:4} {mark} {:9.2}  {}: {}",
            i + 1,
            finding.suspicion,
            printable(&found.paths[finding.picture].display().to_string()),
            printable(&words.join("; "))
        );
    }
    text
}
