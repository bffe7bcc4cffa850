//! `hetmm check`: proves a template and computes its golden probes again.

use crate::console::{Console, say};
use crate::extractor::ExtractorArgs;
use hetmm::Result;
use hetmm::inspection::Pipeline;
use std::path::PathBuf;
use std::process::ExitCode;

/// Prove a template: every byte, and the scores of its golden probes on this machine
#[derive(clap::Args)]
#[command(after_help = "Example:\n  hetmm check part.hetmm && scp part.hetmm camera:")]
pub struct Args {
    /// The template
    template: PathBuf,
    /// The backbone it was made with, where that is not the bundled one
    #[arg(long, value_name = "M.onnx")]
    backbone: Option<PathBuf>,
    #[command(flatten)]
    extractor: ExtractorArgs,
}

/// What the scores of the probes mean in a template with a proof.
const DISTURBED: &str = "The probes are good pictures that were changed on purpose, and one that was inverted: their \
                         scores do not say what a new good part scores.";
/// The same in a template of an older version, whose probes are pictures that it knows.
const KNOWN: &str = "The template was built from the first two pictures: it knows them, so they score far below a new \
                     good part.\nThis template is of an older version, whose probes do not notice every changed \
                     setting. Build it again for a stronger check.";

pub fn run(args: &Args, console: &Console) -> Result<ExitCode> {
    let pipeline =
        Pipeline::open(&args.template, args.backbone.as_deref(), &args.extractor.extractor())?;
    let (mut all_agree, mut text) = (true, String::new());
    for probe in pipeline.check_probes()? {
        all_agree &= probe.agrees;
        let word = if probe.agrees { "agrees" } else { "DIFFERS" };
        let maps = probe.deviation.map_or_else(String::new, |maps| format!("; {maps}"));
        say!(
            text,
            "{word}: {}: score {:.6}, expected {:.6}{maps}",
            probe.name,
            probe.score,
            probe.expected
        );
    }
    let is_disturbed = pipeline.template().settings().proof.is_some();
    say!(text, "{}", if is_disturbed { DISTURBED } else { KNOWN });
    let template = args.template.display();
    match all_agree {
        true => say!(text, "{template}: whole, and this machine computes what it promises"),
        false => {
            say!(text, "{template}: this machine computes other scores than the one that built it")
        }
    }
    console.print(&text)?;
    Ok(if all_agree { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
