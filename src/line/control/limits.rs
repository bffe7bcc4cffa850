//! How long answers are waited for, on both ends of the socket.

use std::time::Duration;

/// How long the line's thread is waited for.
pub(super) const ANSWER: Duration = Duration::from_secs(2);
/// How long a part may take from trigger to gate before its caller is sent away.
pub(super) const PART: Duration = Duration::from_secs(60);
