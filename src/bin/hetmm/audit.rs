//! `hetmm audit` lists the pictures of a folder that look unlike the rest.

use crate::build::{features_among, parse_bytes, read_mask};
use crate::console::{Console, say};
use crate::network::{Network, free_memory};
use crate::outputs::{Outputs, Replace};
use crate::pictures::{self, FolderArgs};
use hetmm::Result;
use hetmm::builder::audit::{self, Audit};
use hetmm::builder::{Input, Pass, Source};
use hetmm::image::{Reading, Size};
use hetmm::report;
use hetmm::wording::{counted, form, printable};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The largest number of suspects with pictures in the report, unless more are asked for. So the report opens fast.
const MOST_SHOWN: usize = 100;

/// List pictures that look unlike the rest: defects, other products, blurred, badly lit or duplicate pictures
///
/// Every picture is compared with all others. A suspect differs more than pictures of clean folders do. Weaker defects
/// stand further down the list, so look at the first pictures until they look good.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  hetmm audit good/
  hetmm audit good/ --report audit.html            with pictures and heat maps
  hetmm audit good/ --json | jq -r 'select(.suspect) | .image'
  hetmm build good/ -o part.hetmm --drop-suspects")]
pub struct Args {
    /// Pictures of good parts: a folder, or files; or one .features file
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// Number of pictures to list at least. All suspects are listed in any case
    #[arg(long, value_name = "N", default_value_t = 25)]
    top: usize,
    /// Print one JSON object per line for all pictures, in place of text
    #[arg(long)]
    json: bool,
    /// Write a report to this file, with pictures and heat maps of the listed pictures
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Region of interest: a black and white picture of the same size as the others, white where defects count
    #[arg(long, value_name = "ROI.png")]
    mask: Option<PathBuf>,
    /// Memory for features. Features beyond it go to a scratch file in $TMPDIR [default: half of the free memory]
    #[arg(long, value_parser = parse_bytes, value_name = "BYTES|4G")]
    max_memory: Option<u64>,
    /// Do not compare with mirrored pictures. This is faster, and enough if all parts lie in the same position
    #[arg(long)]
    quick: bool,
    /// Leave out unreadable pictures. Without it, one unreadable picture is an error
    #[arg(long)]
    skip_unreadable: bool,
    /// Number of bits that the camera uses of 16-bit samples, for example 12 [default: 16]
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
    // The report is written before anything is printed, so it is not lost if the reader of the output goes away.
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
            ". `hetmm build` leaves out those that clearly do not belong, and all suspects with --drop-suspects."
        } else {
            ""
        }
    ));
    Ok(ExitCode::SUCCESS)
}

/// Claims the report, if one is asked for.
fn claim(args: &Args, sources: &[Source]) -> Result<Outputs> {
    let pictures = sources.iter().map(|source| source.path.as_path());
    let others = args.images.iter().chain(&args.mask).map(PathBuf::as_path);
    let inputs: Vec<&Path> = pictures.chain(others).chain(args.network.files()).collect();
    let mut outputs = args.replace.outputs(inputs);
    outputs.claim_if(args.report.as_deref(), &report::FORMAT)?;
    Ok(outputs)
}

/// The pictures as the command line names them.
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

/// The suspects, or the first `top` pictures of the ranking if those are more.
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
