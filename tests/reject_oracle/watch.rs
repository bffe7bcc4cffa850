//! Reports which trial does not end, or ends in a panic.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The time after which a trial is stuck. It usually takes less than a second.
const STUCK_AFTER: Duration = Duration::from_secs(600);

/// Stands for no trial.
const REST: u64 = u64::MAX;

/// Ends the process when a trial does not end.
pub struct Watchdog {
    seed: u64,
    trial: Arc<AtomicU64>,
}

impl Watchdog {
    /// Starts to watch the run of this seed.
    pub fn start(seed: u64) -> Self {
        let trial = Arc::new(AtomicU64::new(0));
        let weak = Arc::downgrade(&trial);
        std::thread::spawn(move || {
            let mut before = REST;
            while let Some(trial) = weak.upgrade() {
                let now = trial.load(Ordering::Relaxed);
                drop(trial);
                if now == before && now != REST {
                    crate::tell(&format!("seed {seed}, trial {now}: the machine does not return"));
                    std::process::exit(101);
                }
                before = now;
                std::thread::sleep(STUCK_AFTER);
            }
        });
        Watchdog { seed, trial }
    }

    /// Notes that no trial is played now.
    pub fn rests(&self) {
        self.trial.store(REST, Ordering::Relaxed);
    }

    /// Notes that the next trial begins.
    pub fn begins(&self, trial: u64) {
        self.trial.store(trial, Ordering::Relaxed);
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if std::thread::panicking() {
            match self.trial.load(Ordering::Relaxed) {
                REST => {}
                trial => eprintln!("seed {}, trial {trial}: the machine panicked", self.seed),
            }
        }
    }
}
