//! Describes a stretch of belt and the facts that are known about it.

use hetmm::line::tracker::{Outcome, Reason};

/// A moment or place that is never reached.
pub const NEVER: u64 = u64::MAX;

/// Describes a stretch of belt, from its first point at the gate to its last. Places are moments in nanoseconds or
/// encoder counts.
pub struct Stretch {
    /// The part on it and when it was triggered. It is `None` for belt on which unseen parts may lie.
    pub part: Option<(u64, u64)>,
    pub first: u64,
    pub last: u64,
    /// Whether its end is not known yet. Until it is, `last` is [`NEVER`].
    pub without_end: bool,
    /// The moment until which an answer must be there.
    pub deadline: u64,
    /// The reason for which it was rejected when it was placed on the belt.
    pub placed: Option<Reason>,
    /// The answer that came while nothing was known: `Some(None)` is good.
    pub answer: Option<Option<Reason>>,
    /// Whether nothing was known when its deadline or the gate came.
    pub overdue: bool,
    /// Whether it cannot be told from its neighbour.
    pub doubted: bool,
    /// Whether it stands for parts that found no room.
    pub grown: bool,
    /// The call in which it met the gate.
    pub entered: Option<u64>,
    /// The call in which its last point met the gate.
    pub left: Option<u64>,
    /// Whether the safe state has removed it.
    pub wiped: bool,
}

impl Stretch {
    /// Makes a stretch of belt that is rejected whatever lies on it.
    pub fn without_part(first: u64, last: u64) -> Self {
        Stretch {
            part: None,
            first,
            last,
            without_end: false,
            deadline: NEVER,
            placed: Some(Reason::LostTrigger),
            answer: None,
            overdue: false,
            doubted: false,
            grown: false,
            entered: None,
            left: None,
            wiped: false,
        }
    }

    /// Makes the stretch of one part.
    pub fn of_part(part: u64, triggered_at: u64, gate: u64, deadline: u64) -> Self {
        let part = Some((part, triggered_at));
        Stretch { part, deadline, placed: None, ..Stretch::without_part(gate, gate) }
    }

    /// Returns the outcome as far as it is known. Doubt is stronger than every other fact. An answer or a deadline is
    /// only noted if nothing was known, so there is at most one of them.
    pub fn verdict(&self) -> Option<Outcome> {
        let rejected = |reason| Some(Outcome::Rejected(reason));
        match (self.doubted, self.placed, self.overdue, self.answer) {
            (true, ..) => rejected(Reason::TooClose),
            (_, Some(reason), ..) => rejected(reason),
            (_, _, true, _) => rejected(Reason::Late),
            (_, _, _, Some(Some(reason))) => rejected(reason),
            _ if self.grown => rejected(Reason::Overflow),
            (_, _, _, Some(None)) => Some(Outcome::Passed),
            _ => None,
        }
    }

    /// Returns whether nothing is known about it before the gate.
    pub fn awaits_answer(&self) -> bool {
        !self.wiped && self.entered.is_none() && self.verdict().is_none()
    }

    /// Returns whether it keeps the reject output active.
    pub fn holds_the_gate(&self) -> bool {
        let at_gate = self.entered.is_some() && self.left.is_none() && !self.wiped;
        at_gate && self.verdict() != Some(Outcome::Passed)
    }

    /// Returns whether nothing more can become of it.
    pub fn is_over(&self) -> bool {
        self.wiped || (self.entered.is_some() && !self.holds_the_gate())
    }
}
