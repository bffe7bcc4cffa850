//! Describes a part on its way from trigger to gate.

use crate::clock::LineTime;
use serde::Serialize;

/// Holds the number of a part, from 1, in the order of the triggers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PartId(pub u64);

/// Says why a part is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The part was inspected and is bad.
    Defect,
    /// The result was not there at the deadline.
    Late,
    /// No frame came for the part.
    NoFrame,
    /// The frame could not be used.
    BadFrame,
    /// The inspection failed.
    InspectionFailed,
    /// The part came while the production line was not ready.
    Missed,
    /// The part and a neighbour are too close to be told apart.
    TooClose,
    /// The trigger edge was lost. It is only known that there was one.
    LostTrigger,
    /// More parts were in flight than can be followed.
    Overflow,
    /// The production line was in its safe state, or took it.
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

    /// Returns the place of the reason in tables.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Returns whether the reason says that the production line failed, and not that the part is bad.
    pub const fn is_unproven(self) -> bool {
        !matches!(self, Reason::Defect)
    }
}

/// Says what became of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The part passed.
    Passed,
    /// The part was rejected.
    Rejected(Reason),
}

/// Describes a part that has reached the gate, or was rejected before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// The part.
    pub part: PartId,
    /// The moment at which it was triggered.
    pub triggered_at: LineTime,
    /// The moment at which its outcome was carried out.
    pub at: LineTime,
    /// The outcome.
    pub outcome: Outcome,
    /// Whether the part reached the gate, so that an output told the gate what to do with it.
    pub at_gate: bool,
}
