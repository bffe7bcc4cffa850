//! What the part tracker wants to be done.

use super::part::{Finished, PartId};
use crate::clock::LineTime;
use serde::Serialize;

/// The outputs, by what they mean.
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
    /// Light for an exposure.
    Strobe,
    /// Something is wrong. Wired so that energised means healthy.
    Fault,
    /// Changes its level as long as the part tracker lives.
    Heartbeat,
}

impl Line {
    /// Every output, in the order of [`Line::index`].
    pub const ALL: [Line; 7] =
        [Line::Ok, Line::Ng, Line::Ready, Line::Busy, Line::Strobe, Line::Fault, Line::Heartbeat];

    /// Its place in tables.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Whether the line is active in the safe state.
    pub const fn active_when_safe(self, ng_active_when_safe: bool) -> bool {
        match self {
            Line::Fault => true,
            Line::Ng => ng_active_when_safe,
            _ => false,
        }
    }
}

/// What has to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// An output changes.
    Set {
        /// Which.
        line: Line,
        /// Whether it becomes active; polarity is the output's own affair.
        active: bool,
        /// When it should have happened: now, or earlier where the part tracker was called late.
        at: LineTime,
    },
    /// Take and inspect the picture of a part.
    Capture {
        /// The part.
        part: PartId,
        /// When it was triggered.
        triggered_at: LineTime,
        /// A result after this moment is worth nothing.
        deadline: LineTime,
    },
    /// A part has its outcome.
    Finished(Finished),
}
