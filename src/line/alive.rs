//! Holds signs of life of the threads, for the thread that supervises them.

use crate::clock::LineTime;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The hub thread must show a sign of life this often.
const HUB_PATIENCE: Duration = Duration::from_secs(1);

/// Holds the signs of life.
#[derive(Debug, Default)]
pub struct Alive {
    hub: AtomicU64,
    /// When the present inspection began, in nanoseconds; 0 while there is none.
    inspecting_since: AtomicU64,
    ready: AtomicBool,
}

impl Alive {
    /// Notes that the hub thread runs.
    pub fn hub_lives(&self, now: LineTime) {
        self.hub.store(now.as_nanos(), Ordering::SeqCst);
    }

    /// Notes that an inspection begins.
    pub fn inspection_begins(&self, now: LineTime) {
        self.inspecting_since.store(now.as_nanos().max(1), Ordering::SeqCst);
    }

    /// Notes that the inspection ends.
    pub fn inspection_ends(&self) {
        self.inspecting_since.store(0, Ordering::SeqCst);
    }

    /// Notes that the production line has become ready, for the first time or again.
    pub fn became_ready(&self) {
        self.ready.store(true, Ordering::SeqCst);
    }

    /// Returns whether the production line has ever been ready.
    pub fn was_ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst)
    }

    /// Returns whether the hub thread has shown a sign of life within its time.
    pub(super) fn hub_is_alive(&self, now: LineTime) -> bool {
        let seen = LineTime::from_nanos(self.hub.load(Ordering::SeqCst));
        now.since(seen) < HUB_PATIENCE
    }

    /// Returns whether the present inspection, if there is one, has lasted for less than `timeout`.
    pub(super) fn inspection_is_alive(&self, now: LineTime, timeout: Duration) -> bool {
        match self.inspecting_since.load(Ordering::SeqCst) {
            0 => true,
            since => now.since(LineTime::from_nanos(since)) < timeout,
        }
    }
}
