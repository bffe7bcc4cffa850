//! Signs of life of the threads, for the one that supervises them.

use crate::clock::LineTime;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The line's thread must show life this often.
const HUB_PATIENCE: Duration = Duration::from_secs(1);

/// Signs of life.
#[derive(Debug, Default)]
pub struct Alive {
    hub: AtomicU64,
    /// When the present inspection began; 0 while there is none.
    inspecting_since: AtomicU64,
    ready: AtomicBool,
}

impl Alive {
    /// The line's thread runs.
    pub fn hub_lives(&self, now: LineTime) {
        self.hub.store(now.as_nanos(), Ordering::SeqCst);
    }

    /// An inspection begins.
    pub fn inspection_begins(&self, now: LineTime) {
        self.inspecting_since.store(now.as_nanos().max(1), Ordering::SeqCst);
    }

    /// It ends.
    pub fn inspection_ends(&self) {
        self.inspecting_since.store(0, Ordering::SeqCst);
    }

    /// The line has become ready for the first time, or again.
    pub fn became_ready(&self) {
        self.ready.store(true, Ordering::SeqCst);
    }

    /// Whether the line has ever been ready.
    pub fn was_ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst)
    }

    /// Whether the line's thread has shown life lately.
    pub(super) fn hub_is_alive(&self, now: LineTime) -> bool {
        let seen = LineTime::from_nanos(self.hub.load(Ordering::SeqCst));
        now.since(seen) < HUB_PATIENCE
    }

    /// Whether no inspection has lasted for `timeout`.
    pub(super) fn inspection_is_alive(&self, now: LineTime, timeout: Duration) -> bool {
        match self.inspecting_since.load(Ordering::SeqCst) {
            0 => true,
            since => now.since(LineTime::from_nanos(since)) < timeout,
        }
    }
}
