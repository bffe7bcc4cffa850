//! The program for the workstation. It builds templates from good pictures, inspects pictures and evaluates templates.

// These macros panic if nobody reads what they print; see `console`.
#![deny(clippy::print_stderr, clippy::print_stdout)]

mod ablate;
mod advice;
mod audit;
mod bench;
mod build;
mod calibrate;
mod check;
mod console;
mod dataset;
mod defect;
mod demo;
mod eval;
mod extractor;
mod features;
mod flags;
mod history;
mod info;
mod insert;
mod inspect;
mod network;
mod operating;
mod outputs;
mod pictures;
mod rate;
mod rules;
mod sensitivity;
mod suspects;
mod threads;
mod undo;

use clap::{CommandFactory, Parser, Subcommand};
use console::{Console, complain};
use hetmm::release::Release;
use hetmm::{Error, Result};
use std::io::Write;
use std::process::ExitCode;

/// Visual inspection from good pictures alone.
///
/// Build a template from pictures of good parts. Then inspect new pictures: the program finds what differs, such as
/// scratches, stains, and missing or misplaced parts. It needs no training, no pictures of defects and no cloud.
#[derive(Parser)]
#[command(name = "hetmm", version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    /// Print results only, without progress and notes
    #[arg(long, global = true, help_heading = GENERAL)]
    quiet: bool,
    /// Print more messages on stderr. Give it twice for even more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = GENERAL)]
    verbose: u8,
    /// Number of threads, up to four per core, or up to 64 if that is more. Give fewer to leave cores to other programs
    /// [default: one per core]
    #[arg(long, global = true, value_name = "N", help_heading = GENERAL)]
    threads: Option<usize>,
    #[command(subcommand)]
    command: Command,
}

/// The heading of the options that every command has. They stand after the command's own options.
const GENERAL: &str = "General options";

const EXAMPLES: &str = "Examples:
  hetmm demo                                       try the whole program on artificial parts
  hetmm audit good/                                find pictures that look unlike the rest
  hetmm build good/ -o part.hetmm                  make a template from a folder of good pictures
  hetmm calibrate part.hetmm --images fresh/       set the threshold for a rate of false rejects
  hetmm inspect part.hetmm new/ --heatmaps out/    score pictures and draw where they differ
  hetmm insert part.hetmm false-reject.png         add a rejected good part; `hetmm undo` removes it
  hetmm eval part.hetmm dataset/ --report r.html   measure a template on a data set in MVTec layout
  hetmm sensitivity part.hetmm fresh/              how small a defect it finds (artificial defects)
  hetmm --version --json                           version, commit, features and formats, for programs

Exit codes: 0 done; 1 a check failed; 2 wrong usage; 3 a picture or a data set cannot be used; 4 a template or a \
model cannot be used; 5 a device or a file operation failed. A command that has changed a file and cannot print its \
result ends with 5. It says what it has changed.";

#[derive(Subcommand)]
enum Command {
    Demo(demo::Args),
    Audit(audit::Args),
    Build(Box<build::Args>),
    Calibrate(calibrate::Args),
    Rules(rules::Args),
    Inspect(inspect::Args),
    Eval(eval::Args),
    Sensitivity(sensitivity::Args),
    Insert(insert::Args),
    Undo(undo::Args),
    History(history::Args),
    Features(features::Args),
    Ablate(ablate::Args),
    Info(info::Args),
    Check(check::Args),
    Bench(bench::Args),
    Completions(Completions),
    Manuals(Manuals),
}

/// Print a completion script for a shell
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  hetmm completions bash > ~/.local/share/bash-completion/completions/hetmm"
)]
struct Completions {
    /// The shell that runs the script
    shell: clap_complete::Shell,
}

/// Write manual pages: one for the program and one for each command
#[derive(clap::Args)]
#[command(after_help = "Example:\n  hetmm manuals ~/.local/share/man/man1 && man hetmm-build")]
struct Manuals {
    /// The folder to write them to
    folder: std::path::PathBuf,
}

fn main() -> ExitCode {
    install_panic_hook();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => return usage(&e),
    };
    let level = match (cli.quiet, cli.verbose) {
        (true, _) => log::LevelFilter::Error,
        (false, 0) => log::LevelFilter::Warn,
        (false, 1) => log::LevelFilter::Info,
        (false, _) => log::LevelFilter::Debug,
    };
    let auto = if cli.quiet { level } else { level.max(log::LevelFilter::Info) };
    env_logger::Builder::new()
        .filter_module("hetmm", level)
        // Always shows which feature extractor `--device auto` takes, and why.
        .filter_module("hetmm::backbone", auto)
        .parse_default_env()
        .format_timestamp(None)
        .init();
    match run(cli) {
        Ok(code) => code,
        Err(e) => {
            complain(format_args!("error: {}", flags::in_words(&e)));
            ExitCode::from(e.kind().exit_code())
        }
    }
}

/// Prints the help, or what is wrong with the command line.
fn usage(e: &clap::Error) -> ExitCode {
    let code = u8::try_from(e.exit_code()).unwrap_or(2);
    let printed = if wants_json_of_version(e) {
        let release = Release::of("hetmm", env!("CARGO_PKG_VERSION"));
        std::io::stdout().write_all(release.to_json().as_bytes())
    } else {
        e.print()
    };
    match printed.and_then(|()| std::io::stdout().flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe && code == 0 => {
            complain(format_args!("error: standard output: cannot be written: {e}"));
            ExitCode::from(hetmm::error::Kind::Io.exit_code())
        }
        _ => ExitCode::from(code),
    }
}

/// Whether the command line is `--version --json`. The parser stops at the version and does not see the second option.
fn wants_json_of_version(e: &clap::Error) -> bool {
    e.kind() == clap::error::ErrorKind::DisplayVersion && std::env::args_os().any(|a| a == "--json")
}

/// Silences panics that the library contains: they become errors, which are printed later.
fn install_panic_hook() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !hetmm::containment::is_contained() {
            usual(panic);
        }
    }));
}

fn run(cli: Cli) -> Result<ExitCode> {
    threads::start(cli.threads)?;
    let console = Console::new(cli.quiet);
    match cli.command {
        Command::Demo(args) => demo::run(&args, &console),
        Command::Audit(args) => audit::run(&args, &console),
        Command::Build(args) => build::run(&args, &console),
        Command::Calibrate(args) => calibrate::run(&args, &console),
        Command::Rules(args) => rules::run(&args, &console),
        Command::Inspect(args) => inspect::run(&args, &console),
        Command::Eval(args) => eval::run(&args, &console),
        Command::Sensitivity(args) => sensitivity::run(&args, &console),
        Command::Insert(args) => insert::run(&args, &console),
        Command::Undo(args) => undo::run(&args, &console),
        Command::History(args) => history::run(&args, &console),
        Command::Features(args) => features::run(&args, &console),
        Command::Ablate(args) => ablate::run(&args, &console),
        Command::Info(args) => info::run(&args, &console),
        Command::Check(args) => check::run(&args, &console),
        Command::Bench(args) => bench::run(&args, &console),
        Command::Completions(args) => {
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut Cli::command(), "hetmm", &mut script);
            console.print(&String::from_utf8_lossy(&script))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Manuals(args) => {
            let failed = |e| Error::io(&args.folder, "the manual pages cannot be written", &e);
            std::fs::create_dir_all(&args.folder).map_err(failed)?;
            clap_mangen::generate_to(Cli::command(), &args.folder).map_err(failed)?;
            console.note(format!("The manual pages are written to {}.", args.folder.display()));
            Ok(ExitCode::SUCCESS)
        }
    }
}
