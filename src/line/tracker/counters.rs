//! Counts since the start, as on the display of a smart camera.

use super::part::{Outcome, Reason};

/// What has been counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Triggers, the lost ones included.
    pub triggers: u64,
    /// Parts that passed.
    pub passed: u64,
    /// Parts that were rejected, by reason, in the order of [`Reason::ALL`].
    pub rejected: [u64; Reason::ALL.len()],
    /// Results that came after their deadline.
    pub late_results: u64,
    /// Times that the alarm was raised.
    pub alarms: u64,
}

impl Counters {
    /// Parts that were rejected for `reason`.
    pub fn rejected_for(&self, reason: Reason) -> u64 {
        self.rejected.get(reason.index()).copied().unwrap_or(0)
    }

    /// Parts that were rejected.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.iter().sum()
    }

    pub(super) fn finish(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Rejected(reason) => {
                if let Some(count) = self.rejected.get_mut(reason.index()) {
                    *count += 1;
                }
            }
        }
    }
}
