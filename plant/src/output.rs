//! Writes to standard output, standard error and the log. It never panics if they cannot be written.

use hetmm::error::{Error, Kind, Result};
use hetmm::release::Release;
use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// Prints `text` on standard output. It is not an error if the reader has gone away, as `| head` does.
///
/// # Errors
/// [`Kind::Io`] if it cannot be written.
pub fn print(text: impl Display) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Error::new(Kind::Io, format!("standard output cannot be written: {e}")))
        }
        _ => Ok(()),
    }
}

/// Prints `text` and a line end on standard error, for a person. Nothing happens if that cannot be written.
pub fn say(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints what is wrong with a command line, or the help or the version that it asks for.
pub fn usage(said: &clap::Error) -> ExitCode {
    if wants_json_of_version(said) {
        let mut release = Release::of("hetmm-plant", env!("CARGO_PKG_VERSION"));
        release.formats.insert("modbus", crate::modbus::map::VERSION.to_string());
        let printed = print(release.to_json());
        return printed
            .map_or_else(|why| ExitCode::from(why.kind().exit_code()), |()| ExitCode::SUCCESS);
    }
    let is_wrong = said.use_stderr();
    let _ = said.print();
    if is_wrong { ExitCode::from(Kind::Usage.exit_code()) } else { ExitCode::SUCCESS }
}

/// Whether the command line is `--version --json`. The parser stops at the version and does not see the second option.
fn wants_json_of_version(said: &clap::Error) -> bool {
    said.kind() == clap::error::ErrorKind::DisplayVersion
        && std::env::args_os().any(|argument| argument == "--json")
}

/// Starts the log on standard error. `RUST_LOG` sets what is logged, or else the number of `-v`.
pub fn start_log(verbose: u8) {
    let default = ["info,rumqttc=warn,tokio_modbus=warn", "debug", "trace"];
    let default = default.get(usize::from(verbose)).unwrap_or(&"trace");
    let environment = env_logger::Env::default().default_filter_or(*default);
    let mut logger = env_logger::Builder::from_env(environment);
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        // The journal has its own times.
        logger.format_timestamp(None);
    } else {
        logger.format_timestamp_millis();
    }
    logger.init();
}
