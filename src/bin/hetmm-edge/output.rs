//! Standard output and standard error. What cannot be written there is an error or is left out, but no panic.

use hetmm::error::{Error, Kind, Result};
use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// Prints `text` on standard output. A reader that has gone away, as `| head` does, is no failure.
///
/// # Errors
/// [`Kind::Io`] where it cannot be written.
pub fn print(text: impl Display) -> Result<()> {
    let mut out = std::io::stdout().lock();
    written(write!(out, "{text}").and_then(|()| out.flush()))
}

/// Prints `text` and a line's end on standard error, for a person, where that can be written.
pub fn say(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Says what is wrong with a command line, or prints the help or the version that it asks for.
pub fn usage(said: &clap::Error) -> Result<ExitCode> {
    let printed = said.print().and_then(|()| std::io::stdout().flush());
    if said.use_stderr() {
        return Ok(ExitCode::from(Kind::Usage.exit_code()));
    }
    written(printed).map(|()| ExitCode::SUCCESS)
}

fn written(result: std::io::Result<()>) -> Result<()> {
    match result {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Error::new(Kind::Io, format!("standard output cannot be written: {e}")))
        }
        _ => Ok(()),
    }
}
