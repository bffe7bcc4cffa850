//! Counts since the start, as on the display of a smart camera.

use super::part::{Outcome, Reason};

/// Holds the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// The number of triggers, including lost ones.
    pub triggers: u64,
    /// The number of parts that passed.
    pub passed: u64,
    /// The numbers of rejected parts by reason, in the order of [`Reason::ALL`].
    pub rejected: [u64; Reason::ALL.len()],
    /// The number of results that came after their deadline.
    pub late_results: u64,
    /// The number of times that the alarm was raised.
    pub alarms: u64,
}

impl Counters {
    /// Returns the number of parts that were rejected for `reason`.
    pub fn rejected_for(&self, reason: Reason) -> u64 {
        self.rejected.get(reason.index()).copied().unwrap_or(0)
    }

    /// Returns the number of all rejected parts.
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
