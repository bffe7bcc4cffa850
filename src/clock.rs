//! Gives the time of the device on a monotonic clock, which neither NTP nor a person can step.

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

/// Holds a moment on `CLOCK_MONOTONIC` in nanoseconds. The kernel stamps edge events and V4L2 frames with the same
/// clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LineTime(u64);

impl LineTime {
    /// The end of the clock, after 584 years. This moment never comes.
    pub const NEVER: LineTime = LineTime(u64::MAX);

    /// Returns the moment `nanoseconds` after the clock's zero.
    pub const fn from_nanos(nanoseconds: u64) -> Self {
        LineTime(nanoseconds)
    }

    /// Returns the nanoseconds since the clock's zero.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Reads the present moment. Only threads that wait for the outside world call this. Code that decides gets the
    /// time as a value.
    pub fn now() -> Self {
        // The monotonic clock cannot fail on Linux. If it did, time would stand at zero. Then every part would be late,
        // and late parts are rejected.
        nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).map_or(LineTime(0), |t| {
            let seconds = u64::try_from(t.tv_sec()).unwrap_or(0);
            let nanoseconds = u64::try_from(t.tv_nsec()).unwrap_or(0);
            LineTime(seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds))
        })
    }

    /// Returns how long after `earlier` this moment is. It is zero if this moment is not later.
    pub fn since(self, earlier: LineTime) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for LineTime {
    type Output = LineTime;

    /// Adds a duration and saturates at the end of time (584 years).
    fn add(self, duration: Duration) -> LineTime {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        LineTime(self.0.saturating_add(nanoseconds))
    }
}

impl Sub<Duration> for LineTime {
    type Output = LineTime;

    /// Subtracts a duration and saturates at the clock's zero.
    fn sub(self, duration: Duration) -> LineTime {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        LineTime(self.0.saturating_sub(nanoseconds))
    }
}
