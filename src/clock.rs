//! The clock of the device: monotonic, never stepped by NTP or by hand.

#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::todo,
    clippy::unimplemented,
    clippy::unreachable,
    clippy::unwrap_used
)]

use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment on `CLOCK_MONOTONIC`, the clock that kernel edge events and V4L2 frames are stamped
/// with, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LineTime(u64);

impl LineTime {
    /// The end of the clock, after 584 years: a moment that never comes.
    pub const NEVER: LineTime = LineTime(u64::MAX);

    /// The moment `nanoseconds` after the clock's zero.
    pub const fn from_nanos(nanoseconds: u64) -> Self {
        LineTime(nanoseconds)
    }

    /// Nanoseconds since the clock's zero.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The present moment. Only threads that wait for the world call this; what decides takes
    /// the time as a value.
    pub fn now() -> Self {
        // The monotonic clock cannot fail on Linux; were it to, time stands at zero, every part
        // is late, and late parts are rejected.
        nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).map_or(LineTime(0), |t| {
            let seconds = u64::try_from(t.tv_sec()).unwrap_or(0);
            let nanoseconds = u64::try_from(t.tv_nsec()).unwrap_or(0);
            LineTime(seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds))
        })
    }

    /// How long after `earlier` this is; zero where it is not after it.
    pub fn since(self, earlier: LineTime) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for LineTime {
    type Output = LineTime;

    /// Saturates at the end of time (584 years).
    fn add(self, duration: Duration) -> LineTime {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        LineTime(self.0.saturating_add(nanoseconds))
    }
}

impl Sub<Duration> for LineTime {
    type Output = LineTime;

    /// Saturates at the clock's zero.
    fn sub(self, duration: Duration) -> LineTime {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        LineTime(self.0.saturating_sub(nanoseconds))
    }
}
