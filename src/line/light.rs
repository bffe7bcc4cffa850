//! Holds when the light of the strobe output was on. The hub thread writes it, and the camera's thread reads it.
//!
//! Neither waits for the other. What is read while it changes counts as no light.

use crate::clock::LineTime;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// The number of pulses that are remembered. More parts than this seldom wait for their frames.
const PULSES: usize = 16;
/// The beginning of a pulse that there is not, in nanoseconds.
const NEVER: u64 = u64::MAX;

/// Holds the moments of one pulse in nanoseconds. An `off` of zero means that the light is still on.
struct Pulse {
    on: AtomicU64,
    off: AtomicU64,
}

/// Holds the last pulses of the light.
pub struct Light {
    pulses: [Pulse; PULSES],
    /// The number of pulses so far.
    count: AtomicUsize,
}

impl Default for Light {
    fn default() -> Self {
        let pulses = [(); PULSES].map(|()| Pulse { on: NEVER.into(), off: 0.into() });
        Light { pulses, count: 0.into() }
    }
}

impl Light {
    /// Notes that the light was on at `at`, and not before. Only one thread may call this and [`Light::off`].
    pub fn on(&self, at: LineTime) {
        let count = self.count.load(Ordering::SeqCst);
        let Some(pulse) = self.pulses.get(count % PULSES) else { return };
        pulse.on.store(NEVER, Ordering::SeqCst);
        pulse.off.store(0, Ordering::SeqCst);
        pulse.on.store(at.as_nanos(), Ordering::SeqCst);
        self.count.store(count.wrapping_add(1), Ordering::SeqCst);
    }

    /// Notes that the light may have been off from `at` on. It means nothing before the first pulse.
    pub fn off(&self, at: LineTime) {
        let last = self.count.load(Ordering::SeqCst).wrapping_sub(1);
        if let Some(pulse) = self.pulses.get(last % PULSES)
            && pulse.off.load(Ordering::SeqCst) == 0
        {
            // Zero would mean that it is on.
            pulse.off.store(at.as_nanos().max(1), Ordering::SeqCst);
        }
    }

    /// Returns whether one pulse covered an exposure that began at `exposed_at`. `now` is a moment before the call.
    pub fn covered(&self, exposed_at: LineTime, exposure: Duration, now: LineTime) -> bool {
        let end = (exposed_at + exposure).as_nanos();
        self.pulses.iter().any(|pulse| {
            let on = pulse.on.load(Ordering::SeqCst);
            let off = pulse.off.load(Ordering::SeqCst);
            let is_same = pulse.on.load(Ordering::SeqCst) == on;
            let until = if off == 0 { now.as_nanos() } else { off };
            is_same && on <= exposed_at.as_nanos() && end <= until
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> LineTime {
        LineTime::from_nanos(ms * 1_000_000)
    }

    fn covered(light: &Light, begin: u64, end: u64, now: u64) -> bool {
        light.covered(at(begin), Duration::from_millis(end - begin), at(now))
    }

    #[test]
    fn only_an_exposure_inside_one_pulse_is_covered() {
        let light = Light::default();
        light.off(at(5));
        assert!(!covered(&light, 10, 20, 100), "there was no pulse");
        light.on(at(100));
        assert!(covered(&light, 100, 110, 110), "still on");
        assert!(!covered(&light, 99, 110, 200), "began before the light");
        assert!(!covered(&light, 105, 120, 119), "not over yet");
        light.off(at(150));
        light.off(at(400));
        assert!(covered(&light, 100, 150, 300));
        assert!(!covered(&light, 140, 151, 300), "ended after the light");
        light.on(at(200));
        light.off(at(250));
        assert!(!covered(&light, 140, 210, 300), "across two pulses");
        assert!(covered(&light, 110, 120, 300) && covered(&light, 210, 220, 300));
    }

    #[test]
    fn old_pulses_are_forgotten_and_never_joined_with_new_ones() {
        let light = Light::default();
        for pulse in 0..3 * PULSES as u64 {
            light.on(at(1000 * pulse + 100));
            light.off(at(1000 * pulse + 200));
        }
        let last = 1000 * (3 * PULSES as u64 - 1);
        for pulse in 0..3 * PULSES as u64 {
            let begin = 1000 * pulse + 110;
            let is_remembered = 1000 * pulse + 1000 * (PULSES as u64 - 1) >= last;
            assert_eq!(covered(&light, begin, begin + 10, last + 500), is_remembered, "{pulse}");
            assert!(!covered(&light, begin, begin + 100, last + 500), "{pulse}");
        }
    }

    /// A reader that sees half of a change must not take an old beginning for that of the new pulse.
    #[test]
    fn a_reader_beside_the_writer_sees_no_light_that_there_was_not() {
        let (light, written) = (Light::default(), AtomicU64::new(0));
        const LAST: u64 = 300_000;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for pulse in 1..=LAST {
                    light.on(at(10 * pulse));
                    light.off(at(10 * pulse + 1));
                    written.store(pulse, Ordering::SeqCst);
                }
            });
            let mut pulse = 0;
            while pulse < LAST {
                pulse = written.load(Ordering::SeqCst);
                let begin = 10 * pulse + 2;
                assert!(!covered(&light, begin, begin + 1, begin + 1), "{begin} was dark");
            }
        });
    }
}
