//! Counts failed logins on the page, so that somebody who guesses passwords cannot fill the records.

use crate::clock::LineTime;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The shortest time between two lines about failed logins.
const PAUSE: Duration = Duration::from_secs(10);

/// Counts failed logins between two lines.
#[derive(Debug, Default)]
pub struct Logins(Mutex<(Option<LineTime>, u64)>);

impl Logins {
    /// Counts a failure. Returns how many failures a line has to tell of, or `None` if one was written just before.
    pub(super) fn fail(&self, now: LineTime) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (told_at, failures) = &mut *state;
        *failures = failures.saturating_add(1);
        if told_at.is_some_and(|at| now.since(at) < PAUSE) {
            return None;
        }
        *told_at = Some(now);
        Some(std::mem::take(failures))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_failures_share_a_line_and_none_is_forgotten() {
        let (logins, start) = (Logins::default(), LineTime::default());
        let told: Vec<_> = (0..30).map(|s| logins.fail(start + Duration::from_secs(s))).collect();
        let lines: Vec<_> = told.iter().enumerate().filter_map(|(s, n)| Some((s, (*n)?))).collect();
        assert_eq!(lines, [(0, 1), (10, 10), (20, 10)]);
        assert_eq!(logins.fail(start + Duration::from_secs(300)), Some(10));
    }
}
