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

/// When a point of the belt is at the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gate {
    At(LineTime),
    Count(u64),
    /// The end of a stretch whose end is not known yet.
    Open,
}

impl Gate {
    /// Whether the point has reached the gate at this moment and count.
    pub fn is_reached(self, now: LineTime, count: u64) -> bool {
        match self {
            Gate::At(due) => due <= now && due < LineTime::NEVER,
            Gate::Count(due) => due <= count,
            Gate::Open => false,
        }
    }

    /// The moment at which it is reached, where time alone decides.
    pub fn moment(self) -> Option<LineTime> {
        match self {
            Gate::At(due) => Some(due),
            Gate::Count(_) | Gate::Open => None,
        }
    }
}

/// A stretch of belt that passes the gate as one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    /// The part on it; `None` for belt on which unseen parts may lie.
    pub part: Option<(PartId, LineTime)>,
    /// Its first point at the gate.
    pub gate: Gate,
    /// Its last point at the gate.
    pub tail: Gate,
    /// `None` as long as its result is awaited.
    pub outcome: Option<Outcome>,
}

impl Stretch {
    /// Whether this part is on it.
    pub fn holds(&self, part: PartId) -> bool {
        self.part.is_some_and(|(id, _)| id == part)
    }
}
