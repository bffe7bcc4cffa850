//! Follows the belt between trigger and gate.

use super::part::{Outcome, PartId, Reason};
use super::settings::Travel;
use crate::clock::LineTime;
use std::collections::VecDeque;

/// Says when a point of the belt is at the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gate {
    /// The point is at the gate at this moment.
    At(LineTime),
    /// The point is at the gate at this count of the encoder.
    Count(u64),
    /// The end of the stretch is not known yet.
    Open,
}

impl Gate {
    /// Returns whether the point has reached the gate at this moment and count.
    pub fn is_reached(self, now: LineTime, count: u64) -> bool {
        match self {
            Gate::At(due) => due <= now && due < LineTime::NEVER,
            Gate::Count(due) => due <= count,
            Gate::Open => false,
        }
    }

    /// Returns the moment at which the point reaches the gate, if time alone decides.
    pub fn moment(self) -> Option<LineTime> {
        match self {
            Gate::At(due) => Some(due),
            Gate::Count(_) | Gate::Open => None,
        }
    }
}

/// Describes a stretch of belt that passes the gate as one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    /// The part on the stretch, with the moment of its trigger. It is `None` for belt on which unseen parts may lie.
    pub part: Option<(PartId, LineTime)>,
    /// When its first point is at the gate.
    pub gate: Gate,
    /// When its last point is at the gate.
    pub tail: Gate,
    /// The outcome. It is `None` while the result is awaited.
    pub outcome: Option<Outcome>,
}

impl Stretch {
    /// Returns whether this part is on the stretch.
    pub fn holds(&self, part: PartId) -> bool {
        self.part.is_some_and(|(id, _)| id == part)
    }
}

/// Holds the belt in a bounded number of places.
///
/// The bound is that of [`Settings::max_in_flight`](super::Settings::max_in_flight), at least one. Every stretch comes
/// in by [`Belt::push`], which refuses it when all places are taken. So the bound always holds. Then the caller uses
/// [`Belt::grow_last`]: the last stretch reaches over the new one, and all of it is rejected. No belt is forgotten, and
/// none passes because a place was missing.
///
/// Regular use does not reach the bound. A part takes one place, and no more than `travel / pitch + 1` parts fit
/// between trigger and gate, where `pitch` is the usual distance of two parts. A configuration is sound if
/// `max_in_flight` is larger than that. The default of 256 places is enough for a travel of 5 s at a pitch of 20 ms.
/// Only trouble takes more places: triggers that bounce, lost edges (one more place each) and watches that go blind
/// (one more each time). The belt around these is rejected anyway.
#[derive(Debug)]
pub(super) struct Belt {
    travel: Travel,
    places: usize,
    /// The stretches before the gate, in the order of the belt. There are never more than `places`.
    waiting: VecDeque<Stretch>,
    /// The last point of the rejected belt that is passing the gate. A later stretch never ends before an earlier one,
    /// so one point stands for all of them.
    passing: Option<Gate>,
}

impl Belt {
    /// Makes an empty belt with so many places.
    pub fn new(travel: Travel, places: usize) -> Self {
        Belt { travel, places: places.max(1), waiting: VecDeque::new(), passing: None }
    }

    /// Returns when something that is at the trigger at this moment and count reaches the gate.
    pub fn gate_of(&self, at: LineTime, count: u64) -> Gate {
        match self.travel {
            Travel::Time(delay) => Gate::At(at + delay),
            Travel::Counts(counts) => Gate::Count(count.saturating_add(counts)),
        }
    }

    /// Returns the point that is at the gate at this moment and count.
    pub fn at_gate(&self, at: LineTime, count: u64) -> Gate {
        match self.travel {
            Travel::Time(_) => Gate::At(at),
            Travel::Counts(_) => Gate::Count(count),
        }
    }

    /// Returns whether only the count decides when the gate is reached.
    pub fn moves_by_counts(&self) -> bool {
        matches!(self.travel, Travel::Counts(_))
    }

    /// Returns the number of stretches before the gate.
    pub fn followed(&self) -> usize {
        self.waiting.len()
    }

    /// Returns the number of parts before the gate.
    pub fn parts(&self) -> usize {
        self.waiting.iter().filter(|s| s.part.is_some()).count()
    }

    /// Returns whether all places are taken.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= self.places
    }

    /// Returns whether no more than half of the places are taken.
    pub fn has_much_room(&self) -> bool {
        self.waiting.len() * 2 <= self.places
    }

    /// Puts a stretch behind the last one. Returns false if there is no place for it.
    #[must_use]
    pub fn push(&mut self, stretch: Stretch) -> bool {
        let has_room = !self.is_full();
        if has_room {
            self.waiting.push_back(stretch);
        }
        has_room
    }

    /// Returns whether a part is before the gate.
    pub fn holds(&self, part: PartId) -> bool {
        self.waiting.iter().any(|s| s.holds(part))
    }

    /// Returns the stretch with a part.
    pub fn stretch_of(&mut self, part: PartId) -> Option<&mut Stretch> {
        self.waiting.iter_mut().find(|s| s.holds(part))
    }

    /// Returns the part that is nearest to the gate.
    pub fn first_part(&self) -> Option<PartId> {
        self.waiting.iter().find_map(|s| s.part).map(|(id, _)| id)
    }

    /// Rejects the last stretch, because nobody can tell it from a neighbour.
    pub fn doubt_last(&mut self) {
        if let Some(last) = self.waiting.back_mut() {
            last.outcome = Some(Outcome::Rejected(Reason::TooClose));
        }
    }

    /// Makes the last stretch reach to `tail`, and rejects it.
    pub fn grow_last(&mut self, tail: Gate, reason: Reason) {
        if let Some(last) = self.waiting.back_mut() {
            last.tail = last.tail.max(tail);
            if !matches!(last.outcome, Some(Outcome::Rejected(_))) {
                last.outcome = Some(Outcome::Rejected(reason));
            }
        }
    }

    /// Ends every stretch whose end was not known.
    pub fn end_open(&mut self, end: Gate) {
        let tails = self.waiting.iter_mut().map(|s| &mut s.tail).chain(&mut self.passing);
        for tail in tails.filter(|tail| **tail == Gate::Open) {
            *tail = end;
        }
    }

    /// Forgets the belt. Returns the parts that were before the gate, with their triggers.
    pub fn clear(&mut self) -> impl Iterator<Item = (PartId, LineTime)> {
        self.passing = None;
        std::mem::take(&mut self.waiting).into_iter().filter_map(|stretch| stretch.part)
    }

    /// Takes the first stretch off the belt if it has reached the gate.
    pub fn take_at_gate(&mut self, at: LineTime, count: u64) -> Option<Stretch> {
        let is_there = self.waiting.front().is_some_and(|s| s.gate.is_reached(at, count));
        if is_there { self.waiting.pop_front() } else { None }
    }

    /// Notes that rejected belt passes the gate up to `tail`.
    pub fn pass_rejected(&mut self, tail: Gate) {
        self.passing = self.passing.max(Some(tail));
    }

    /// Returns the moment at which the last of the rejected belt passed the gate. It does so once, and returns `None`
    /// otherwise.
    pub fn take_passed(&mut self, at: LineTime, count: u64) -> Option<LineTime> {
        let tail = self.passing.take_if(|tail| tail.is_reached(at, count))?;
        Some(tail.moment().unwrap_or(at))
    }

    /// Returns when the belt moves next, if time alone decides.
    pub fn next_move(&self) -> Option<LineTime> {
        let first = self.waiting.front().and_then(|stretch| stretch.gate.moment());
        let last = self.passing.and_then(Gate::moment);
        first.into_iter().chain(last).min()
    }
}
