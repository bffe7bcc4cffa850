//! Names what the part tracker wants to be done.

use super::part::{Finished, PartId};
use crate::clock::LineTime;
use serde::Serialize;

/// Names the outputs by what they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// A part passes.
    Ok,
    /// A part is rejected.
    Ng,
    /// A trigger would be accepted.
    Ready,
    /// A part waits for its result.
    Busy,
    /// The light for an exposure is on.
    Strobe,
    /// Something is wrong. It is wired so that energised means healthy.
    Fault,
    /// The level changes as long as the part tracker lives.
    Heartbeat,
    /// Light, focus or parts drift. It concerns no single part.
    Warning,
}

impl Line {
    /// Every output, in the order of [`Line::index`].
    pub const ALL: [Line; 8] = [
        Line::Ok,
        Line::Ng,
        Line::Ready,
        Line::Busy,
        Line::Strobe,
        Line::Fault,
        Line::Heartbeat,
        Line::Warning,
    ];

    /// Returns the place of the output in tables.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Returns whether the output is active in the safe state.
    pub const fn active_when_safe(self, ng_active_when_safe: bool) -> bool {
        match self {
            Line::Fault => true,
            Line::Ng => ng_active_when_safe,
            _ => false,
        }
    }
}

/// Says what has to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Change an output.
    Set {
        /// The output.
        line: Line,
        /// Whether it becomes active. The output itself knows its polarity.
        active: bool,
        /// The moment at which it should have happened: now, or earlier if the part tracker was called late.
        at: LineTime,
    },
    /// Take and inspect the picture of a part.
    Capture {
        /// The part.
        part: PartId,
        /// The moment at which it was triggered.
        triggered_at: LineTime,
        /// The moment after which a result is worth nothing.
        deadline: LineTime,
    },
    /// A part has its outcome.
    Finished(Finished),
}
