//! Holds the times for which both ends of the socket wait for answers.

use std::time::Duration;

/// The time for which the hub thread is waited for.
pub(super) const ANSWER: Duration = Duration::from_secs(2);
/// The time that a part may take from trigger to gate before its client is turned away.
pub(super) const PART: Duration = Duration::from_secs(60);
