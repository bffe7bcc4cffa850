//! The deadlines of parts that wait for their result.

use super::part::PartId;
use crate::clock::LineTime;
use std::collections::VecDeque;

/// Fewest deadlines that are kept before those of parts that have left are looked for.
const FEWEST: usize = 16;

/// Deadlines, in their order. Those of parts that have their result are kept, too: they cost nothing when they come.
///
/// Never more than twice the parts that may be in flight, or [`FEWEST`].
#[derive(Debug)]
pub(super) struct Deadlines {
    queue: VecDeque<(LineTime, PartId)>,
    most: usize,
}

impl Deadlines {
    /// For a line with at most so many parts between trigger and gate.
    pub fn new(max_in_flight: usize) -> Self {
        let most = max_in_flight.saturating_mul(2).max(FEWEST);
        Deadlines { queue: VecDeque::new(), most }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Adds the deadline of a part that has just come; `first` is the part that is nearest to the gate.
    ///
    /// On a fast belt with an encoder parts leave before their deadlines. Their deadlines are forgotten when there
    /// are too many. What stays belongs to parts on the belt, which are at most half as many as there is room for.
    pub fn push(&mut self, deadline: LineTime, part: PartId, first: Option<PartId>) {
        if self.queue.len() >= self.most {
            // Part numbers rise along the belt.
            self.queue.retain(|(_, id)| first.is_some_and(|first| *id >= first));
        }
        self.queue.push_back((deadline, part));
    }

    /// The next one.
    pub fn next(&self) -> Option<LineTime> {
        self.queue.front().map(|(deadline, _)| *deadline)
    }

    /// Takes the part of a deadline that is over.
    pub fn take_due(&mut self, at: LineTime) -> Option<PartId> {
        let is_over = self.next().is_some_and(|deadline| deadline <= at);
        if is_over { self.queue.pop_front().map(|(_, part)| part) } else { None }
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.queue.clear();
    }
}
