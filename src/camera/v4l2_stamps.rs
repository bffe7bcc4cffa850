//! Estimates when a frame's exposure began, from the driver's time stamp.
//!
//! A frame counts for the part of a trigger only if its exposure began after that trigger. So an estimate must err on
//! the early side. If a frame seems older than it is, it costs one more frame of waiting. If it seems younger, the part
//! gets the verdict of the part before.

use super::v4l2_buffers::StampSource;
use crate::clock::LineTime;
use std::time::Duration;

/// Holds what is known about a camera's timing.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// The time between frames.
    pub interval: Duration,
    /// The exposure as set. `None` means that the camera sets it.
    pub exposure: Option<Duration>,
    /// Whether the driver says "start of exposure" but stamps the arrival of a frame's first bytes, as uvcvideo does.
    pub stamps_arrival: bool,
}

impl Timing {
    /// Returns when the exposure of a frame began.
    ///
    /// `stamp` comes from the driver. `taken` is the moment at which the frame was taken from its queue. At `empty`
    /// that queue was empty, so the frame came after it. A stamp of another clock says nothing. A stamp by which the
    /// exposure lies ahead says nothing, either. Then `empty` counts. A stamp that itself lies ahead may be right:
    /// vivid stamps an end of frame in advance.
    pub fn exposed_at(
        &self,
        stamp: LineTime,
        source: StampSource,
        empty: LineTime,
        taken: LineTime,
    ) -> LineTime {
        let began = stamp - self.lead(source);
        if source == StampSource::OtherClock || began > taken {
            return empty - self.interval.saturating_mul(2);
        }
        began
    }

    /// Returns how long before its stamp an exposure may have begun. Reading out takes one interval at most. Most
    /// sensors expose one frame while they read out the one before, so the exposure is added. If the camera sets it,
    /// the exposure counts as one interval.
    fn lead(&self, source: StampSource) -> Duration {
        if source == StampSource::StartOfExposure && !self.stamps_arrival {
            return Duration::ZERO;
        }
        self.interval.saturating_add(self.exposure.unwrap_or(self.interval))
    }

    /// Returns how long no frame may come before the camera counts as gone.
    pub fn longest_silence(&self) -> Duration {
        self.interval.saturating_mul(10).max(Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn exposed_at(exposure: Option<u64>, stamp: u64, source: StampSource) -> u64 {
        let timing = Timing {
            interval: Duration::from_millis(200),
            exposure: exposure.map(Duration::from_millis),
            stamps_arrival: false,
        };
        let at = |ms: u64| LineTime::from_nanos(ms * MS);
        timing.exposed_at(at(stamp), source, at(4_900), at(5_000)).as_nanos() / MS
    }

    #[test]
    fn stamps_are_taken_back_to_the_start_of_the_exposure() {
        use StampSource::{EndOfFrame, OtherClock, StartOfExposure};
        assert_eq!(exposed_at(None, 4_950, StartOfExposure), 4_950);
        assert_eq!(exposed_at(Some(10), 4_950, StartOfExposure), 4_950);
        assert_eq!(exposed_at(None, 4_950, EndOfFrame), 4_550);
        assert_eq!(exposed_at(Some(10), 4_950, EndOfFrame), 4_740);
        assert_eq!(exposed_at(Some(300), 4_950, EndOfFrame), 4_450);
        assert_eq!(exposed_at(None, 4_950, OtherClock), 4_500);
        assert_eq!(exposed_at(None, 5_180, EndOfFrame), 4_780, "stamped in advance");
        assert_eq!(exposed_at(None, 5_401, EndOfFrame), 4_500, "from the future");
        assert_eq!(exposed_at(None, 5_001, StartOfExposure), 4_500, "from the future");
        assert_eq!(exposed_at(None, 0, EndOfFrame), 0, "no stamp: older than any part");
    }

    #[test]
    fn stamps_of_arrival_are_not_taken_for_the_start_of_the_exposure() {
        let (interval, exposure) = (Duration::from_millis(200), Some(Duration::from_millis(10)));
        let timing = Timing { interval, exposure, stamps_arrival: true };
        let at = |ms: u64| LineTime::from_nanos(ms * MS);
        let began =
            timing.exposed_at(at(4_950), StampSource::StartOfExposure, at(4_900), at(5_000));
        assert_eq!(began, at(4_740));
    }

    #[test]
    fn silence_is_ten_frames_but_a_second_at_least() {
        for (interval_ms, want_ms) in [(10, 1_000), (200, 2_000)] {
            let interval = Duration::from_millis(interval_ms);
            let timing = Timing { interval, exposure: None, stamps_arrival: false };
            assert_eq!(timing.longest_silence(), Duration::from_millis(want_ms));
        }
    }
}
