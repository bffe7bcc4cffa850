//! Tells whether the wall clock is synchronized. It is asked at most once a second.

use hetmm::line::evidence::{ClockQuality, ClockState};
use hetmm::line::wall_clock::WallClock;
use std::sync::{Mutex, PoisonError};

/// Shares the wall clock between tasks.
#[derive(Debug, Default)]
pub struct Clock(Mutex<WallClock>);

impl Clock {
    /// Returns whether a time server keeps the clock right.
    pub fn is_synchronized(&self) -> bool {
        self.quality().state == ClockState::Synchronized
    }

    /// Returns how far the clock can be trusted.
    pub fn quality(&self) -> ClockQuality {
        let mut clock = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clock.now().clock
    }
}
