//! The main loop of the device program: what it does before, why it ends, and what it does then.

use crate::logging;
use crate::output;
use crate::replay::Replay;
use crate::signals::Signals;
use crate::start::{Line, realtime, spawn};
use hetmm::clock::LineTime;
use hetmm::error::{Error, Kind, Result};
use hetmm::files;
use hetmm::line::config::LineConfig;
use hetmm::line::control::Socket;
use hetmm::line::feed::FeedSocket;
use hetmm::line::messages::Message;
use hetmm::line::outputs::Bank;
use hetmm::line::status::Snapshot;
use hetmm::line::supervise::{self, Health, Supervisor};
use nix::fcntl::{Flock, FlockArg};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the main thread checks the other threads, in milliseconds.
const LOOK_MS: u16 = 100;
/// How long the line thread may take to stop.
const STOP: Duration = Duration::from_secs(1);
/// How long the program waits for records and pictures to be written at its end.
const FLUSH: Duration = Duration::from_secs(3);

/// Runs until a signal comes or a recording is over.
pub fn run(
    path: &Path,
    mut config: LineConfig,
    recording: Option<&Path>,
    signals: &Signals,
) -> Result<ExitCode> {
    let _only = only_instance(path)?;
    let replay = recording.map(|folder| Replay::open(folder, &mut config)).transpose()?;
    if config.realtime.lock_memory && replay.is_none() {
        lock_memory();
    }
    let socket = config.control.socket.as_deref().map(Socket::open).transpose()?;
    let feed = config.feed.socket.as_deref().map(FeedSocket::open).transpose()?;
    let priority = config.realtime.priority;
    let bank = Bank::open_with(&config.outputs, &config.expander, move || {
        realtime("expander", priority);
    })?;
    let bank = Arc::new(Mutex::new(bank));
    supervise::install_panic_hook(bank.clone());
    signals.line_runs();
    let line = Line::start(&config, bank, socket, feed, replay)?;
    let ended = line.supervise(signals.caught(), &config);
    supervise::tell(&[sd_notify::NotifyState::Stopping]);
    match line.end(ended) {
        Some(snapshot) if recording.is_some() => {
            let printed = output::print(format_args!("{:#}\n", snapshot.to_json()));
            let over = "the recording is over";
            printed.map(|()| ExitCode::SUCCESS).map_err(|why| why.within(over))
        }
        Some(_) => Ok(ExitCode::SUCCESS),
        None => Ok(ExitCode::from(Kind::Io.exit_code())),
    }
}

/// Why the main loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    BySignal,
    ByItself,
    LineHangs,
}

impl Line {
    /// Waits for signals and watches the threads until there is a reason to end.
    fn supervise(&self, signals: &SignalFd, config: &LineConfig) -> Ended {
        let timeout = Duration::from_micros(config.realtime.inspection_timeout_us);
        let mut supervisor = Supervisor::new(self.alive.clone(), timeout, self.outbox.clone());
        loop {
            if self.hub.is_finished() {
                return Ended::ByItself;
            }
            if supervisor.look(LineTime::now()) == Health::LineHangs {
                return Ended::LineHangs;
            }
            let mut fds = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
            if !poll(&mut fds, PollTimeout::from(LOOK_MS)).is_ok_and(|ready| ready > 0) {
                continue;
            }
            let Ok(Some(signal)) = signals.read_signal() else { continue };
            if i32::try_from(signal.ssi_signo) == Ok(Signal::SIGHUP as i32) {
                log::info!("SIGHUP: the template is loaded again");
                let templates = self.templates.clone();
                let reload = spawn("reload", move || {
                    // What went wrong was logged.
                    let _ = templates.reload();
                });
                if let Err(why) = reload {
                    log::error!("{why}");
                }
            } else {
                log::warn!("asked to stop: the outputs take their safe levels");
                return Ended::BySignal;
            }
        }
    }

    /// Takes the safe state, whatever still works, and writes what is still waiting. Returns `None` if the line thread
    /// did not stop by itself.
    fn end(self, ended: Ended) -> Option<Snapshot> {
        if ended == Ended::BySignal && !self.outbox.try_send(Message::Stop) {
            // Its queue is full, and the outputs must not wait for it.
            supervise::take_safe_state(&self.bank);
            within(STOP, || self.outbox.try_send(Message::Stop));
        }
        let stopped = ended != Ended::LineHangs && within(STOP, || self.hub.is_finished());
        supervise::take_safe_state(&self.bank);
        self.stop.store(true, Ordering::SeqCst);
        if !stopped {
            log::error!("the line thread does not answer; the outputs have their safe levels");
        }
        let snapshot = if stopped { self.hub.join().ok() } else { None };
        if let Some((archive, thread)) = self.archive {
            archive.stop();
            within(FLUSH, || thread.is_finished());
        }
        let threads = [self.records, self.drift, self.control, self.feed];
        within(FLUSH, || threads.iter().flatten().all(JoinHandle::is_finished) || !stopped);
        logging::drain();
        snapshot
    }
}

fn within(limit: Duration, done: impl Fn() -> bool) -> bool {
    let end = LineTime::now() + limit;
    while !done() {
        if LineTime::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Locks the configuration, because two programs must not drive the same outputs.
pub fn only_instance(config: &Path) -> Result<Flock<File>> {
    let file = files::open_regular(config, u64::MAX, Kind::Usage)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, why)| {
        let what = format!(
            "{}: another hetmm-edge is running with this configuration ({why})",
            config.display()
        );
        Error::new(Kind::Io, what)
            .advise("stop the other one first, as in systemctl stop hetmm-edge")
    })
}

/// Returns whether a program runs with this configuration.
pub fn is_running(config: &Path) -> bool {
    let file = files::open_regular(config, u64::MAX, Kind::Usage);
    // The lock is let go at once, so that a program can start at any moment.
    file.is_ok_and(|file| Flock::lock(file, FlockArg::LockSharedNonblock).is_err())
}

/// Locks the process in memory, if this user may lock all of it. With a limit, later allocations would fail, and that
/// is worse than a page fault.
fn lock_memory() {
    let unlimited = getrlimit(Resource::RLIMIT_MEMLOCK).is_ok_and(|(soft, _)| soft == u64::MAX);
    if !unlimited && !nix::unistd::geteuid().is_root() {
        log::warn!(
            "memory is not locked, so pulses may be late when memory is short \
             (set LimitMEMLOCK=infinity as in firmware-config/hetmm-edge.service)"
        );
        return;
    }
    if let Err(why) = mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE) {
        log::warn!("memory is not locked: {why}");
    }
}
