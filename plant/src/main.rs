//! The program that connects `hetmm-edge` to the plant. It has no part in any verdict: whatever happens to it, the
//! production line goes on.

#![deny(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::todo,
    clippy::unimplemented,
    clippy::unreachable,
    clippy::unwrap_used
)]
#![cfg_attr(test, allow(clippy::expect_used, clippy::panic, clippy::unwrap_used))]

mod board;
mod certificate;
mod clock;
mod commands;
mod device;
mod feed;
mod histogram;
mod metrics;
mod modbus;
mod mqtt;
mod output;
mod part;
mod place;
mod preview;
mod run;
mod secret;
mod temperature;
mod web;

use clap::{Parser, Subcommand};
use hetmm::line::config::LineConfig;
use std::path::PathBuf;
use std::process::ExitCode;

/// Connect hetmm-edge to the plant: Modbus, MQTT, metrics and the operator page
#[derive(Parser)]
#[command(
    name = "hetmm-plant",
    version,
    after_help = "Examples:
  hetmm-plant --config line.toml --check       check the configuration, its files and the way to hetmm-edge
  hetmm-plant --config line.toml               serve until the program is stopped
  hetmm-plant certificate cam1.example.com     make a certificate for the page, and print its fingerprint
  hetmm-plant setup                            print a code with which the first engineer is set up on the page
  hetmm-plant user list                        list the users of the page
  hetmm-plant user reset anna                  remove the last engineer's password, and print a new code
  hetmm-plant --version --json                 version, commit, features and formats, for programs

Exit codes: 0 done; 1 hetmm-edge does not answer; 2 wrong usage or configuration; 5 a file, an address or a port cannot \
be used."
)]
struct Cli {
    /// Configuration of the device, the same file as that of hetmm-edge
    #[arg(long, value_name = "line.toml", global = true, default_value = "/etc/hetmm/line.toml")]
    config: PathBuf,
    /// Check the configuration, its files and the way to hetmm-edge, print the complete configuration and exit
    #[arg(long)]
    check: bool,
    /// Print more messages (-v) or all messages (-vv) on stderr
    #[arg(short, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Subcommand)]
enum Task {
    /// Print a code with which the first engineer is set up on the page. It is valid for 30 minutes
    Setup,
    /// Make the files web.tls_cert and web.tls_key, and print the certificate's fingerprint. Nobody has signed the
    /// certificate: browsers warn, and show the fingerprint
    Certificate {
        /// Further names and addresses under which the page is opened. Those of this machine, of web.hosts and of
        /// web.listen are in the certificate without being named
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// List or remove users of the page
    #[command(subcommand)]
    User(UserTask),
    /// Print the tables of the Modbus registers, as docs/plant.md has them
    Registers,
    /// Print a script that completes options and commands in a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder
    #[command(hide = true)]
    Manuals {
        /// The folder
        folder: PathBuf,
    },
}

#[derive(Subcommand)]
enum UserTask {
    /// List the users and their roles
    List,
    /// Remove a user, also the last engineer. If no user is left, it prints a new code for the first engineer
    Reset {
        /// The name of the user
        name: String,
    },
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(said) => return output::usage(&said),
    };
    let done = match &cli.task {
        Some(Task::Completions { shell }) => commands::completions(*shell),
        Some(Task::Manuals { folder }) => commands::manuals(folder),
        Some(Task::Registers) => output::print(modbus::map::markdown()).map(|()| ExitCode::SUCCESS),
        Some(Task::Setup) => {
            LineConfig::read(&cli.config).and_then(|config| commands::setup(&config))
        }
        Some(Task::Certificate { names }) => LineConfig::read(&cli.config)
            .and_then(|config| commands::make_certificate(&config, names)),
        Some(Task::User(UserTask::List)) => {
            LineConfig::read(&cli.config).and_then(|config| commands::list_users(&config))
        }
        Some(Task::User(UserTask::Reset { name })) => {
            LineConfig::read(&cli.config).and_then(|config| commands::reset_user(&config, name))
        }
        None if cli.check => {
            LineConfig::read(&cli.config).and_then(|config| commands::check(&config))
        }
        None => LineConfig::read(&cli.config).and_then(|config| {
            output::start_log(cli.verbose);
            run::run(&config)
        }),
    };
    done.unwrap_or_else(|why| {
        output::say(format_args!("error: {why}"));
        ExitCode::from(why.kind().exit_code())
    })
}
