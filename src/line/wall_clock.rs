//! Reads the wall clock and how far it can be trusted. It is for people: nothing is timed by it.
//!
//! The kernel knows the quality from the program that disciplines its clock, such as chrony or systemd-timesyncd. Only
//! `clock_adjtime` tells it. The call is made without any change, for which no right is needed.
#![allow(unsafe_code)]

use super::evidence::{ClockQuality, ClockState, Moment};
use crate::clock::LineTime;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time for which a quality that was read is taken.
const FRESH: Duration = Duration::from_secs(1);

/// Reads moments. Each thread that needs them has one.
#[derive(Debug, Default)]
pub struct WallClock {
    quality: Option<(LineTime, ClockQuality)>,
    was_synchronized: bool,
}

impl WallClock {
    /// Returns the present moment. It asks for the quality of the clock at most once a second.
    pub fn now(&mut self) -> Moment {
        let at = LineTime::now();
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_ms = u64::try_from(unix.as_millis()).unwrap_or(u64::MAX);
        let quality = match self.quality {
            Some((read_at, quality)) if at.since(read_at) < FRESH => quality,
            _ => self.read(at),
        };
        Moment { at, unix_ms, clock: quality.at(unix_ms) }
    }

    fn read(&mut self, at: LineTime) -> ClockQuality {
        let quality = self.judge(discipline());
        self.was_synchronized |= quality.state == ClockState::Synchronized;
        self.quality = Some((at, quality));
        quality
    }

    fn judge(&self, kernel: Option<Discipline>) -> ClockQuality {
        let Some(Discipline { is_synchronized, error_us }) = kernel else {
            return ClockQuality::UNKNOWN;
        };
        let state = match (is_synchronized, self.was_synchronized) {
            (true, _) => ClockState::Synchronized,
            (false, true) => ClockState::Holdover,
            (false, false) => ClockState::Unsynchronized,
        };
        ClockQuality { state, error_us: Some(error_us) }
    }
}

/// What the kernel knows about its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Discipline {
    is_synchronized: bool,
    /// The largest expected error, in microseconds.
    error_us: u64,
}

/// Asks the kernel. Returns `None` if it refuses.
fn discipline() -> Option<Discipline> {
    // SAFETY: every field of `timex` is an integer, or an array of integers, for which zero is a value. `modes` is zero
    // then, so the call changes nothing.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: `timex` is a valid structure of the C library that outlives the call, and nothing else refers to it.
    let state = unsafe { libc::clock_adjtime(libc::CLOCK_REALTIME, &raw mut timex) };
    if state < 0 {
        return None;
    }
    let is_synchronized = timex.status & libc::STA_UNSYNC == 0;
    Some(Discipline { is_synchronized, error_us: u64::try_from(timex.maxerror).unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_answers_and_changes_nothing() {
        let before = SystemTime::now();
        let mut clock = WallClock::default();
        let (first, second) = (clock.now(), clock.now());
        assert!(second.at >= first.at && first.unix_ms > 0);
        // A sandbox may forbid the call. Then the quality is unknown, and it never claims more.
        match discipline() {
            None => assert_eq!(first.clock.error_us, None),
            Some(_) => assert!(first.clock.error_us.is_some()),
        }
        assert!(SystemTime::now() >= before);
    }

    #[test]
    fn a_clock_that_has_lost_its_source_is_in_holdover() {
        let mut clock = WallClock::default();
        let kernel = |is_synchronized| Some(Discipline { is_synchronized, error_us: 5 });
        let state = |clock: &WallClock, kernel| clock.judge(kernel).state;
        assert_eq!(state(&clock, kernel(false)), ClockState::Unsynchronized);
        assert_eq!(state(&clock, kernel(true)), ClockState::Synchronized);
        clock.was_synchronized = true;
        assert_eq!(state(&clock, kernel(false)), ClockState::Holdover);
        assert_eq!(clock.judge(None), ClockQuality::UNKNOWN);
        let year_2000 = 946_684_800_000;
        assert_eq!(clock.judge(kernel(true)).at(year_2000).state, ClockState::Unset);
    }
}
