//! Signals: from the first moment on they end the program in an orderly way, or load the template again.

use crate::logging;
use hetmm::error::{Error, Kind, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

/// How often it is looked whether the line runs.
const LOOK_MS: u16 = 50;

/// The signals that are caught.
pub struct Signals {
    caught: SignalFd,
    starting: Arc<Mutex<bool>>,
}

impl Signals {
    /// Catches SIGTERM, SIGINT and SIGHUP. Called before any thread exists, so that every thread leaves them to
    /// this one. Until [`Signals::line_runs`] is called, SIGTERM and SIGINT end the program at once, whatever the
    /// main thread waits for: no output is driven yet, and those that were requested have their safe levels.
    ///
    /// # Errors
    /// [`Kind::Io`] where the system refuses.
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

    /// From now on whoever reads [`Signals::caught`] deals with all signals, also with those that came before.
    pub fn line_runs(&self) {
        *self.starting.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }

    /// Where the signals can be read.
    pub fn caught(&self) -> &SignalFd {
        &self.caught
    }
}

/// Ends the program when it is asked to, as long as it starts. Signals are only looked at and not read, so that
/// one that comes when the line begins to run is not lost.
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
