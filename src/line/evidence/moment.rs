//! Holds a moment on both clocks, with the quality of the wall clock.

use crate::clock::LineTime;
use jiff::Timestamp;
use serde::Serialize;

/// The beginning of 2024 in milliseconds since 1970. A wall clock before it was never set.
const YEAR_2024_MS: u64 = 1_704_067_200_000;
const DAY_MS: u64 = 86_400_000;

/// Says how far the wall clock can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ClockState {
    /// A time source disciplines the clock.
    Synchronized,
    /// A time source has disciplined the clock since the program was started, and does so no more.
    Holdover,
    /// No time source has disciplined the clock since the program was started, or the quality is not known.
    Unsynchronized,
    /// The clock is before 2024, so it was never set.
    Unset,
}

/// Holds the quality of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ClockQuality {
    /// How far the clock can be trusted.
    pub state: ClockState,
    /// The largest error that the kernel expects, in microseconds. `None` if the kernel does not say.
    pub error_us: Option<u64>,
}

impl ClockQuality {
    /// The quality if the kernel says nothing.
    pub const UNKNOWN: ClockQuality =
        ClockQuality { state: ClockState::Unsynchronized, error_us: None };

    /// Returns the same quality for a wall clock that stands at `unix_ms`.
    pub fn at(self, unix_ms: u64) -> Self {
        match unix_ms < YEAR_2024_MS {
            true => ClockQuality { state: ClockState::Unset, ..self },
            false => self,
        }
    }
}

/// Holds a moment on the monotonic clock and on the wall clock. Only the monotonic clock times anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The moment on the monotonic clock.
    pub at: LineTime,
    /// The wall clock, in milliseconds since 1970.
    pub unix_ms: u64,
    /// The quality of the wall clock.
    pub clock: ClockQuality,
}

impl Moment {
    /// Returns the day of the wall clock, counted from 1970 in UTC. It is `None` if the clock was never set.
    pub(super) fn day(&self) -> Option<u64> {
        (self.clock.state != ClockState::Unset).then_some(self.unix_ms / DAY_MS)
    }
}

/// Writes a moment as RFC 3339 in UTC with milliseconds.
pub(super) fn utc(unix_ms: u64) -> String {
    let stamp = i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    format!("{:.3}", stamp.unwrap_or(Timestamp::MAX))
}

/// Reads a moment as `utc` writes it, or a day such as `2026-11-28`, which means its beginning in UTC. Returns the
/// milliseconds since 1970, or `None` if the text is neither.
pub fn parse_utc(text: &str) -> Option<u64> {
    let whole;
    let text = match text.len() {
        10 => {
            whole = format!("{text}T00:00:00Z");
            &whole
        }
        _ => text,
    };
    let stamp: Timestamp = text.parse().ok()?;
    u64::try_from(stamp.as_millisecond()).ok()
}
