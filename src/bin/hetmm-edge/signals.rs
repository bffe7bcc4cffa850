//! This module handles signals. From the first moment on, they end the program in an orderly way or load the template
//! again.

use crate::logging;
use hetmm::error::{Error, Kind, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

/// How often the start is checked, in milliseconds.
const LOOK_MS: u16 = 50;

/// The signals that are caught.
pub struct Signals {
    caught: SignalFd,
    starting: Arc<Mutex<bool>>,
}

impl Signals {
    /// Catches SIGTERM, SIGINT and SIGHUP. Call it before any thread exists, so that no other thread gets them. Until
    /// [`Signals::line_runs`] is called, SIGTERM and SIGINT end the program at once, whatever the main thread waits
    /// for. No output is driven at that time, and the requested ones have their safe levels.
    ///
    /// # Errors
    /// [`Kind::Io`] if the system refuses.
    pub fn catch() -> Result<Self> {
        let ends: SigSet = [Signal::SIGTERM, Signal::SIGINT].into_iter().collect();
        let mut all = ends;
        all.add(Signal::SIGHUP);
        let failed = |e: &dyn std::fmt::Display| {
            Error::new(Kind::Io, format!("signals cannot be caught: {e}"))
        };
        all.thread_block().map_err(|e| failed(&e))?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let open = |set| SignalFd::with_flags(set, flags).map_err(|e| failed(&e));
        let (caught, ends) = (open(&all)?, open(&ends)?);
        let starting = Arc::new(Mutex::new(true));
        let watched = starting.clone();
        let watch = move || end_while_starting(&ends, &watched);
        std::thread::Builder::new().name("start".into()).spawn(watch).map_err(|e| failed(&e))?;
        Ok(Signals { caught, starting })
    }

    /// From now on, the reader of [`Signals::caught`] handles all signals, also those that came before.
    pub fn line_runs(&self) {
        *self.starting.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }

    /// The file descriptor from which signals are read.
    pub fn caught(&self) -> &SignalFd {
        &self.caught
    }
}

/// Ends the program if a signal asks for it during the start. Signals are only looked at and not read, so that a signal
/// at the end of the start is not lost.
fn end_while_starting(ends: &SignalFd, starting: &Mutex<bool>) {
    loop {
        let mut fds = [PollFd::new(ends.as_fd(), PollFlags::POLLIN)];
        let asked = poll(&mut fds, PollTimeout::from(LOOK_MS)).is_ok_and(|ready| ready > 0);
        let starting = starting.lock().unwrap_or_else(PoisonError::into_inner);
        if !*starting {
            return;
        }
        if asked {
            log::warn!("asked to stop before the line ran");
            logging::drain();
            std::process::exit(0);
        }
    }
}
