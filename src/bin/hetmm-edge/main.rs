//! The program for the device. It waits for parts, inspects them and rejects the bad ones at the right moment.

#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::todo,
    clippy::unimplemented,
    clippy::unreachable,
    clippy::unwrap_used
)]

mod bench;
mod check;
mod check_lines;
mod collect;
mod commission;
mod keys;
mod lines;
mod logging;
mod output;
mod records;
mod replay;
mod run;
mod signals;
mod start;

use check_lines::LineOptions;
use clap::{CommandFactory, Parser, Subcommand};
use hetmm::line::config::LineConfig;
use hetmm::line::control;
use hetmm::line::slot::{DigestPrefix, Slot};
use hetmm::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Inspect parts at the production line and reject bad ones
#[derive(Parser)]
#[command(
    name = "hetmm-edge",
    version,
    after_help = "Examples:
  hetmm-edge --config line.toml --check          check everything, print the complete configuration
  hetmm-edge --config line.toml                  inspect parts until the program is stopped
  hetmm-edge --config line.toml --replay DIR     run recorded triggers and pictures at the desk
  hetmm-edge --config line.toml status           print the state of the running device
  hetmm-edge --config line.toml bench            measure the speed of this device
  hetmm-edge --config line.toml teach 17         part 17 was good: add it to the template
  hetmm-edge --config line.toml select 2         change to the template of slot 2
  hetmm-edge --config line.toml collect 100 DIR  save 100 pictures, to build a template from
  hetmm-edge --config line.toml drift status     print whether light, focus or parts drift
  hetmm-edge records verify /var/lib/hetmm/records   check that nobody has changed the records
  hetmm-edge --config line.toml lines            show inputs and outputs while the device runs
  hetmm-edge --version --json                    version, commit, features and formats, for programs

Exit codes: 0 done; 1 the device refused the request; 2 wrong usage or configuration; 3 a picture cannot be used; \
4 a template or a model cannot be used; 5 a device file or a file operation failed."
)]
struct Cli {
    /// Configuration of the device
    #[arg(long, value_name = "line.toml", global = true, default_value = "/etc/hetmm/line.toml")]
    config: PathBuf,
    /// Check the configuration, all device files and the template, print the complete configuration and exit
    #[arg(long)]
    check: bool,
    /// With --check: give the outputs their safe levels. Without it they keep the levels that they have
    #[arg(long, requires = "check")]
    drive: bool,
    /// With --check: request the GPIO lines also on a Jetson that does not let go of them well (JetPack 6.2.1)
    #[arg(long, requires = "check")]
    force_request: bool,
    /// With --check: toggle an output ten times that is wired to an input for this trial, as in --loop ng trigger. It
    /// drives the output: take the power off the gate first
    #[arg(long = "loop", requires = "check", num_args = 2, value_names = ["OUT", "IN"])]
    wire: Option<Vec<String>>,
    /// Take pictures and trigger times from this folder in place of the camera and the GPIO. Outputs are not driven.
    /// Use it at the desk
    #[arg(long, value_name = "DIR", conflicts_with = "check")]
    replay: Option<PathBuf>,
    /// Print more messages (-v) or all messages (-vv) on stderr
    #[arg(short, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Subcommand)]
enum Task {
    /// Print state, counters and latencies of the running device as JSON
    Status(Ask),
    /// Inspect a part now, and print its record when it has passed the gate
    Trigger(Ask),
    /// Load and check the template again
    Reload(Ask),
    /// Change to the template of a slot (template.slots), between two parts. It is checked before
    Select {
        /// Number of the slot
        #[arg(value_parser = parse_slot)]
        slot: Slot,
        /// Refuse the template if its BLAKE3 does not begin with these 8 to 64 hexadecimal digits
        #[arg(long, value_name = "HEX", value_parser = parse_digest)]
        digest: Option<DigestPrefix>,
        #[command(flatten)]
        ask: Ask,
    },
    /// List the slots with name and digest of their templates, and which one is active
    Slots(Ask),
    /// Check the template of a slot, or the uploaded one, and compare it with the one in use. Nothing changes
    Prove {
        /// Number of the slot [default: the template in template.inbox]
        #[arg(value_parser = parse_slot)]
        slot: Option<Slot>,
        #[command(flatten)]
        ask: Ask,
    },
    /// Copy the uploaded template (template.inbox) into a slot, and change to it. It is checked before
    Install {
        /// Number of the slot. What is in it now is replaced
        #[arg(value_parser = parse_slot)]
        slot: Slot,
        /// Digest that `prove` has printed, or its first 8 digits: another template is refused
        #[arg(long, value_name = "HEX", value_parser = parse_digest)]
        digest: DigestPrefix,
        #[command(flatten)]
        ask: Ask,
    },
    /// Take the safe state: all outputs get their safe levels
    Safe(Ask),
    /// Leave the safe state
    Resume(Ask),
    /// Acknowledge the alarm of consecutive rejects
    Acknowledge(Ask),
    /// Add a good part that was rejected to the template, from its picture in the archive
    Teach {
        /// Number of the part, as in its record and in the archive
        part: u64,
        /// Also add it if it looks like a defect, with a score of more than 1.25 times the threshold. Look at the part
        /// first: parts like it pass afterwards
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        ask: Ask,
    },
    /// Take back the last part that was taught, or an entry of the history and all entries after it
    Undo {
        /// First entry of the history to take back [default: the last entry]
        entry: Option<u32>,
        #[command(flatten)]
        ask: Ask,
    },
    /// List what was added to the template, when and by whom
    History(Ask),
    /// Measure the time of each stage of an inspection on this device, and how late its outputs are. Nothing is driven
    Bench(bench::Args),
    /// Ask the drift watch, which warns of slow changes of light, focus and parts (docs/drift.md)
    #[command(subcommand)]
    Drift(Drift),
    /// Save pictures with the camera and the trigger of the line, to build a template from. No output is driven
    #[command(after_help = "Examples:
  hetmm-edge --config line.toml collect 100 good       save the pictures of the next 100 parts
  yes '' | hetmm-edge --config line.toml collect 20 good   with source = \"software\": as fast as the camera

Exit code 1: fewer pictures than asked for.

With trigger.source = \"software\", each line on standard input takes a picture. Stop the device first. No strobe \
is driven: switch the light on.")]
    Collect {
        /// Number of pictures
        #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        count: u32,
        /// Folder for the pictures. It is made if it does not exist. No file there is replaced
        folder: PathBuf,
    },
    /// Check or export the records of a folder with a chain
    #[command(subcommand)]
    Records(records::Task),
    /// Show the inputs with their counts and the outputs with their levels: again and again on a terminal, else once
    Lines {
        /// Print them once as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        ask: Ask,
    },
    /// Begin commissioning and stay until it ends, or end it. All parts are rejected meanwhile
    Commission {
        /// Whether it begins or ends
        #[arg(value_enum)]
        change: Change,
        #[command(flatten)]
        ask: Ask,
    },
    /// Give an output one pulse, in commissioning only
    Pulse {
        /// The output
        #[arg(value_enum)]
        output: Pulsed,
        #[command(flatten)]
        ask: Ask,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell that runs the script: bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
    /// Write manual pages into a folder
    Manuals {
        /// The folder, as in /usr/local/share/man/man1
        folder: PathBuf,
    },
}

#[derive(Subcommand)]
enum Drift {
    /// Print what is usual, what has drifted, the correlation of the blocks and the expected false alarms, as JSON
    Status(Ask),
    /// Learn anew what is usual, for example after work on lamp, lens or camera
    Learn(Ask),
    /// Take what the watch warns of as usual from now on, and learn it. The answer is kept with your name
    Accept(Ask),
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Change {
    /// Begin commissioning
    On,
    /// End commissioning; the safe state stays
    Off,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Pulsed {
    /// The reject output
    Ng,
}

#[derive(clap::Args)]
struct Ask {
    /// Control socket of the device [default: control.socket of the configuration]
    #[arg(long)]
    socket: Option<PathBuf>,
}

fn main() -> ExitCode {
    let done = match Cli::try_parse() {
        Ok(cli) => dispatch(&cli),
        Err(said) => output::usage(&said),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            logging::drain();
            output::say(format_args!("error: {}", keys::in_words(&error)));
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn dispatch(cli: &Cli) -> Result<ExitCode> {
    let (request, ask): (String, &Ask) = match &cli.task {
        None => {
            let config = LineConfig::read(&cli.config)?;
            if cli.check {
                return check::run(&cli.config, &config, &line_options(cli));
            }
            let signals = signals::Signals::catch()?;
            logging::start(cli.verbose)?;
            return run::run(&cli.config, config, cli.replay.as_deref(), &signals);
        }
        Some(Task::Bench(args)) => return bench::run(args, &LineConfig::read(&cli.config)?),
        Some(Task::Records(task)) => return records::run(task),
        Some(Task::Completions { shell }) => {
            let mut script = vec![];
            clap_complete::generate(*shell, &mut Cli::command(), "hetmm-edge", &mut script);
            output::print(String::from_utf8_lossy(&script))?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(Task::Manuals { folder }) => {
            let failed = |e| Error::io(folder, "the manual pages cannot be written", &e);
            std::fs::create_dir_all(folder).map_err(failed)?;
            clap_mangen::generate_to(Cli::command(), folder).map_err(failed)?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(Task::Collect { count, folder }) => {
            return collect::run(&cli.config, *count, folder);
        }
        Some(Task::Lines { json, ask }) => return lines::show(&socket(ask, &cli.config)?, *json),
        Some(Task::Commission { change: Change::On, ask }) => {
            return commission::attend(&socket(ask, &cli.config)?);
        }
        Some(Task::Commission { change: Change::Off, ask }) => ("commission off".into(), ask),
        Some(Task::Pulse { output: Pulsed::Ng, ask }) => ("pulse ng".into(), ask),
        Some(Task::Status(ask)) => ("status".into(), ask),
        Some(Task::Trigger(ask)) => ("trigger".into(), ask),
        Some(Task::Reload(ask)) => ("reload".into(), ask),
        Some(Task::Select { slot, digest, ask }) => {
            let digest = digest.map_or_else(String::new, |digest| format!(" {digest}"));
            (format!("select {slot}{digest}"), ask)
        }
        Some(Task::Slots(ask)) => ("slots".into(), ask),
        Some(Task::Prove { slot, ask }) => (
            format!("prove {}", slot.map_or_else(|| "upload".into(), |slot| slot.to_string())),
            ask,
        ),
        Some(Task::Install { slot, digest, ask }) => (format!("install {slot} {digest}"), ask),
        Some(Task::Safe(ask)) => ("safe".into(), ask),
        Some(Task::Resume(ask)) => ("resume".into(), ask),
        Some(Task::Acknowledge(ask)) => ("acknowledge".into(), ask),
        Some(Task::History(ask)) => ("history".into(), ask),
        Some(Task::Drift(Drift::Status(ask))) => ("drift status".into(), ask),
        Some(Task::Drift(Drift::Learn(ask))) => ("drift learn".into(), ask),
        Some(Task::Drift(Drift::Accept(ask))) => ("drift accept".into(), ask),
        Some(Task::Teach { part, force, ask }) => {
            (format!("teach {part}{}", if *force { " force" } else { "" }), ask)
        }
        Some(Task::Undo { entry, ask }) => {
            (entry.map_or_else(|| "undo".into(), |entry| format!("undo {entry}")), ask)
        }
    };
    let answer = control::ask(&socket(ask, &cli.config)?, &request)?;
    let parsed: serde_json::Value = serde_json::from_str(&answer).map_err(|e| {
        Error::new(hetmm::error::Kind::Io, format!("the answer of the device is incomplete: {e}"))
    })?;
    // The request was carried out, also if its answer cannot be printed.
    let printed = output::print(format_args!("{parsed:#}\n"));
    printed.map_err(|why| {
        let gist =
            ["error", "done", "outcome", "state"].iter().find_map(|key| parsed.get(*key)?.as_str());
        why.advise(format!("the device has answered {request}: {}", gist.unwrap_or("see its log")))
    })?;
    let refused = parsed.get("error").is_some();
    Ok(if refused { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn line_options(cli: &Cli) -> LineOptions {
    let wire = match cli.wire.as_deref() {
        Some([output, input]) => Some((output.clone(), input.clone())),
        _ => None,
    };
    LineOptions { drive: cli.drive, force: cli.force_request, wire }
}

fn parse_slot(text: &str) -> std::result::Result<Slot, String> {
    Slot::parse(text).ok_or_else(|| "give a number from 1 to 65535".into())
}

fn parse_digest(text: &str) -> std::result::Result<DigestPrefix, String> {
    let (least, most) = (DigestPrefix::LEAST, DigestPrefix::MOST);
    DigestPrefix::parse(text).ok_or_else(|| format!("give {least} to {most} hexadecimal digits"))
}

fn socket(ask: &Ask, config: &Path) -> Result<PathBuf> {
    if let Some(socket) = &ask.socket {
        return Ok(socket.clone());
    }
    LineConfig::read(config)?.control.socket.ok_or_else(|| {
        Error::usage(format!("{}: control.socket is missing", config.display()))
            .advise("add it there, or give the socket with --socket")
    })
}
