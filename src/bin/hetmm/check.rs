//! `hetmm check` checks that a template is undamaged, and that this computer calculates the scores of its golden
//! probes.

use crate::console::{Console, say};
use crate::extractor::ExtractorArgs;
use hetmm::inspection::{Pipeline, ProbeResult};
use hetmm::{Result, workers};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

/// Check that a template is undamaged and that this computer calculates the same scores
///
/// The command checks every byte of the template. Then it inspects the golden probes, the small test pictures in the
/// template, and compares their scores with the expected ones.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  hetmm check part.hetmm && scp part.hetmm camera:")]
pub struct Args {
    /// The template
    template: PathBuf,
    /// ONNX file of the backbone that the template was built with [default: the bundled one]
    #[arg(long, value_name = "M.onnx")]
    backbone: Option<PathBuf>,
    #[command(flatten)]
    extractor: ExtractorArgs,
}

/// What the scores of the probes mean in a template of this version.
const DISTURBED: &str = "The probes are good pictures that were changed on purpose, and one that was inverted. Their \
                         scores do not show what a fresh good part scores.";
/// The same in a template of an older version, which was built from its probes.
const KNOWN: &str = "The template was built from the first two pictures, so they score far below a fresh good part.\n\
                     This template is from an older version. Its probes do not notice every changed setting. Build \
                     it again for a stronger check.";

pub fn run(args: &Args, console: &Console) -> Result<ExitCode> {
    let pipeline =
        Pipeline::open(&args.template, args.backbone.as_deref(), &args.extractor.extractor())?;
    let (mut all_agree, mut text) = (true, String::new());
    for probe in check_probes(&pipeline)? {
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
        true => {
            say!(text, "{template}: undamaged, and this computer calculates the expected scores")
        }
        false => {
            say!(
                text,
                "{template}: this computer calculates other scores than the one that built the template.\n  \
                 -> do not use the template here: build it again on this computer, or use another feature extractor"
            )
        }
    }
    console.print(&text)?;
    Ok(if all_agree { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Checks the golden probes side by side.
fn check_probes(pipeline: &Pipeline) -> Result<Vec<ProbeResult>> {
    pipeline.template().check_prototypes()?;
    let (count, mut probes) = (pipeline.probes(), Vec::new());
    let check = |probe| pipeline.check_probe(probe);
    workers::in_order(count, pipeline.pictures_at_once(), check, |_, outcome| {
        probes.push(workers::or_panic(outcome)?);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(probes)
}
