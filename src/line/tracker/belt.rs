//! The belt between trigger and gate, as far as it is followed.

use super::part::{Outcome, PartId, Reason};
use super::settings::Travel;
use crate::clock::LineTime;
use std::collections::VecDeque;

/// When a point of the belt is at the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gate {
    /// At this moment.
    At(LineTime),
    /// At this count of the encoder.
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

/// The belt, in a bounded number of places.
///
/// The bound is that of [`Settings::max_in_flight`](super::Settings::max_in_flight), at least one. Every stretch
/// comes in by [`Belt::push`], which refuses it when all places are taken, so the bound holds whatever happens.
/// [`Belt::grow_last`] is what is left then: the last stretch reaches over the new one, and all of it is rejected.
/// No belt is forgotten, and none passes for want of a place.
///
/// Regular use does not reach the bound. A part takes one place, and no more than `travel / pitch + 1` parts fit between
/// trigger and gate, where `pitch` is the usual distance of two parts. A configuration is sound when `max_in_flight` is
/// larger than that. The default of 256 places is enough for a travel of 5 s at a pitch of 20 ms. More places are taken
/// in trouble only: by triggers that bounce, by lost edges (one more place each) and by watches that go blind (one more
/// each time). The belt around these is rejected anyway.
#[derive(Debug)]
pub(super) struct Belt {
    travel: Travel,
    places: usize,
    /// Before the gate, in the order of the belt. Never more than `places`.
    waiting: VecDeque<Stretch>,
    /// The last point of the rejected belt that is passing the gate. A later stretch never ends before an earlier one,
    /// so one point stands for all of them.
    passing: Option<Gate>,
}

impl Belt {
    /// An empty belt with so many places.
    pub fn new(travel: Travel, places: usize) -> Self {
        Belt { travel, places: places.max(1), waiting: VecDeque::new(), passing: None }
    }

    /// Where something that is at the trigger at this moment and count meets the gate.
    pub fn gate_of(&self, at: LineTime, count: u64) -> Gate {
        match self.travel {
            Travel::Time(delay) => Gate::At(at + delay),
            Travel::Counts(counts) => Gate::Count(count.saturating_add(counts)),
        }
    }

    /// What is at the gate at this moment and count.
    pub fn at_gate(&self, at: LineTime, count: u64) -> Gate {
        match self.travel {
            Travel::Time(_) => Gate::At(at),
            Travel::Counts(_) => Gate::Count(count),
        }
    }

    /// Whether only the count tells when the gate is reached.
    pub fn moves_by_counts(&self) -> bool {
        matches!(self.travel, Travel::Counts(_))
    }

    /// Stretches before the gate.
    pub fn followed(&self) -> usize {
        self.waiting.len()
    }

    /// Parts before the gate.
    pub fn parts(&self) -> usize {
        self.waiting.iter().filter(|s| s.part.is_some()).count()
    }

    /// Whether all places are taken.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= self.places
    }

    /// Whether no more than half of the places are taken.
    pub fn has_much_room(&self) -> bool {
        self.waiting.len() * 2 <= self.places
    }

    /// Puts a stretch behind the last one; false where there is no place for it.
    #[must_use]
    pub fn push(&mut self, stretch: Stretch) -> bool {
        let has_room = !self.is_full();
        if has_room {
            self.waiting.push_back(stretch);
        }
        has_room
    }

    /// Whether a part is before the gate.
    pub fn holds(&self, part: PartId) -> bool {
        self.waiting.iter().any(|s| s.holds(part))
    }

    /// The stretch with a part.
    pub fn stretch_of(&mut self, part: PartId) -> Option<&mut Stretch> {
        self.waiting.iter_mut().find(|s| s.holds(part))
    }

    /// The part that is nearest to the gate.
    pub fn first_part(&self) -> Option<PartId> {
        self.waiting.iter().find_map(|s| s.part).map(|(id, _)| id)
    }

    /// Rejects the last stretch, since nobody can tell it from a neighbour.
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

    /// Forgets the belt; gives the parts that were before the gate, with their triggers.
    pub fn clear(&mut self) -> impl Iterator<Item = (PartId, LineTime)> {
        self.passing = None;
        std::mem::take(&mut self.waiting).into_iter().filter_map(|stretch| stretch.part)
    }

    /// Takes the first stretch off the belt where it has reached the gate.
    pub fn take_at_gate(&mut self, at: LineTime, count: u64) -> Option<Stretch> {
        let is_there = self.waiting.front().is_some_and(|s| s.gate.is_reached(at, count));
        if is_there { self.waiting.pop_front() } else { None }
    }

    /// Notes that rejected belt passes the gate up to `tail`.
    pub fn pass_rejected(&mut self, tail: Gate) {
        self.passing = self.passing.max(Some(tail));
    }

    /// Whether the last of the rejected belt has passed the gate, once: when it was due.
    pub fn take_passed(&mut self, at: LineTime, count: u64) -> Option<LineTime> {
        let tail = self.passing.take_if(|tail| tail.is_reached(at, count))?;
        Some(tail.moment().unwrap_or(at))
    }

    /// When the belt moves next, where time alone decides.
    pub fn next_move(&self) -> Option<LineTime> {
        let first = self.waiting.front().and_then(|stretch| stretch.gate.moment());
        let last = self.passing.and_then(Gate::moment);
        first.into_iter().chain(last).min()
    }
}
