//! A part on its way from trigger to gate.

use crate::clock::LineTime;
use serde::Serialize;

/// Number of a part, from 1, in the order of the triggers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PartId(pub u64);

/// Why a part is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It was inspected and is bad.
    Defect,
    /// Its result was not there at the deadline.
    Late,
    /// No frame came for it.
    NoFrame,
    /// Its frame could not be used.
    BadFrame,
    /// Its inspection failed.
    InspectionFailed,
    /// It came while the line was not ready.
    Missed,
    /// It and a neighbour are too close to be told apart.
    TooClose,
    /// Its trigger edge was lost; only that there was one is known.
    LostTrigger,
    /// More parts were in flight than can be followed.
    Overflow,
    /// The line was in, or went into, its safe state.
    Safe,
}

impl Reason {
    /// Every reason, in the order of [`Reason::index`].
    pub const ALL: [Reason; 10] = [
        Reason::Defect,
        Reason::Late,
        Reason::NoFrame,
        Reason::BadFrame,
        Reason::InspectionFailed,
        Reason::Missed,
        Reason::TooClose,
        Reason::LostTrigger,
        Reason::Overflow,
        Reason::Safe,
    ];

    /// Its place in tables.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Whether it says that the line failed, not that the part is bad.
    pub const fn is_unproven(self) -> bool {
        !matches!(self, Reason::Defect)
    }
}

/// What became of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It went on.
    Passed,
    /// It was pushed off the line.
    Rejected(Reason),
}

/// A part that has reached the gate, or was given up before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// The part.
    pub part: PartId,
    /// When it was triggered.
    pub triggered_at: LineTime,
    /// When its outcome was carried out.
    pub at: LineTime,
    /// What became of it.
    pub outcome: Outcome,
}
