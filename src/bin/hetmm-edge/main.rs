//! The device program. It does not run a line yet: it reads its command line and says what it
//! will do.

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

/// Inspect triggered parts on a smart camera and reject bad ones.
#[derive(Parser)]
#[command(name = "hetmm-edge", version)]
struct Cli {
    /// The line's configuration
    #[arg(long, value_name = "line.toml")]
    config: PathBuf,
    /// Validate everything, print the resolved configuration and exit
    #[arg(long)]
    check: bool,
    /// Take frames and trigger times from files in place of camera and GPIO
    #[arg(long, value_name = "DIR")]
    replay: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let source = cli.replay.map_or("camera and GPIO".into(), |d| d.display().to_string());
    let task = if cli.check { "validate" } else { "run" };
    eprintln!(
        "error: this version of hetmm-edge cannot {task} a line yet (it would take {} with frames from {source})\n  \
         -> use `hetmm inspect` on the workstation until then",
        cli.config.display()
    );
    ExitCode::from(2)
}
