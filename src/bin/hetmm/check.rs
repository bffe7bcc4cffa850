//! `hetmm check`: proves a template and computes its golden probes again.

use crate::engine::EngineArgs;
use hetmm::Result;
use hetmm::inspection::Inspector;
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
    engine: EngineArgs,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let inspector =
        Inspector::open(&args.template, args.backbone.as_deref(), &args.engine.engine())?;
    let mut all_agree = true;
    for probe in inspector.check_probes()? {
        all_agree &= probe.agrees;
        let word = if probe.agrees { "agrees" } else { "DIFFERS" };
        println!(
            "{word}: {}: score {:.6}, expected {:.6}",
            probe.name, probe.score, probe.expected
        );
    }
    println!(
        "The template was built from the first two pictures: it knows them, so they score far below a new good part."
    );
    if all_agree {
        println!("{}: whole, and this machine computes what it promises", args.template.display());
        Ok(ExitCode::SUCCESS)
    } else {
        println!(
            "{}: this machine computes other scores than the one that built it",
            args.template.display()
        );
        Ok(ExitCode::from(1))
    }
}
