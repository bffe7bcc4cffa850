//! This module writes to standard output and standard error. It never panics if they cannot be written.

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
    written(write!(out, "{text}").and_then(|()| out.flush()))
}

/// Prints `text` and a line end on standard error, for a person. Nothing happens if that cannot be written.
pub fn say(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints what is wrong with a command line, or the help or the version that it asks for.
pub fn usage(said: &clap::Error) -> Result<ExitCode> {
    if wants_json_of_version(said) {
        let release = Release::of("hetmm-edge", env!("CARGO_PKG_VERSION"));
        return print(release.to_json()).map(|()| ExitCode::SUCCESS);
    }
    let printed = said.print().and_then(|()| std::io::stdout().flush());
    if said.use_stderr() {
        return Ok(ExitCode::from(Kind::Usage.exit_code()));
    }
    written(printed).map(|()| ExitCode::SUCCESS)
}

/// Whether the command line is `--version --json`. The parser stops at the version and does not see the second option.
fn wants_json_of_version(said: &clap::Error) -> bool {
    said.kind() == clap::error::ErrorKind::DisplayVersion
        && std::env::args_os().any(|argument| argument == "--json")
}

fn written(result: std::io::Result<()>) -> Result<()> {
    match result {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Error::new(Kind::Io, format!("standard output cannot be written: {e}")))
        }
        _ => Ok(()),
    }
}
