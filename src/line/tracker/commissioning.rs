//! Keeps the rules of commissioning: when it ends, and when the reject output may be pulsed.

use crate::clock::LineTime;
use std::time::Duration;

/// The smallest time between the beginnings of two test pulses.
pub const TEST_PULSE_PITCH: Duration = Duration::from_secs(1);

/// Says why a test pulse is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PulseRefusal {
    /// The production line is not being commissioned.
    NotCommissioning,
    /// The pulse would begin too early after the last one, or in the past.
    TooSoon,
    /// Commissioning would end before the pulse does, or a pulse has no width.
    NoTime,
}

/// Says what is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The test pulse begins.
    Begin,
    /// The test pulse ends.
    End,
    /// Commissioning ends.
    Over,
}

/// Holds a test pulse.
#[derive(Debug, Clone, Copy)]
struct TestPulse {
    /// The moment of its next edge.
    at: LineTime,
    has_begun: bool,
}

/// Holds the state of commissioning.
#[derive(Debug)]
pub(super) struct Commissioning {
    until: LineTime,
    pulse: Option<TestPulse>,
    /// The earliest beginning of the next test pulse.
    next_from: LineTime,
}

impl Commissioning {
    /// Begins commissioning. It ends by itself at `until`.
    pub fn new(until: LineTime) -> Self {
        Commissioning { until, pulse: None, next_from: LineTime::default() }
    }

    /// Returns the moment at which commissioning ends by itself.
    pub fn until(&self) -> LineTime {
        self.until
    }

    /// Returns whether a test pulse waits for its beginning or lasts.
    pub fn is_pulsing(&self) -> bool {
        self.pulse.is_some()
    }

    /// Returns whether a test pulse of this width may be asked for at `now` that begins at `due`.
    pub fn may_pulse(
        &self,
        now: LineTime,
        due: LineTime,
        width: Duration,
    ) -> Result<(), PulseRefusal> {
        if self.pulse.is_some() || due < self.next_from || due < now {
            return Err(PulseRefusal::TooSoon);
        }
        if width.is_zero() || due + width >= self.until {
            return Err(PulseRefusal::NoTime);
        }
        Ok(())
    }

    /// Schedules a test pulse that [`Commissioning::may_pulse`] allows.
    pub fn schedule(&mut self, due: LineTime) {
        self.pulse = Some(TestPulse { at: due, has_begun: false });
        self.next_from = due + TEST_PULSE_PITCH;
    }

    /// Returns the next moment at which something has to be done.
    pub fn next(&self) -> LineTime {
        self.pulse.map_or(self.until, |pulse| pulse.at.min(self.until))
    }

    /// Returns what is due at `at`, of which `now` is not earlier. A pulse that begins late still has its full width. One
    /// whose end would never come does not begin: the reject output would keep its level for ever.
    pub fn step(&mut self, now: LineTime, at: LineTime, width: Duration) -> Option<Step> {
        let due = self.pulse.filter(|pulse| pulse.at <= at && pulse.at < LineTime::NEVER);
        match due {
            Some(TestPulse { has_begun: true, .. }) => {
                self.pulse = None;
                Some(Step::End)
            }
            // It would be cut off in the same moment, or would never end.
            Some(pulse) if now >= self.until || now.max(pulse.at) + width == LineTime::NEVER => {
                self.pulse = None;
                None
            }
            Some(pulse) => {
                self.pulse = Some(TestPulse { at: now.max(pulse.at) + width, has_begun: true });
                self.next_from = now.max(pulse.at) + TEST_PULSE_PITCH;
                Some(Step::Begin)
            }
            None if self.until <= at && self.until < LineTime::NEVER => Some(Step::Over),
            None => None,
        }
    }
}
