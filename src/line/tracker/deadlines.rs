//! Holds the deadlines of parts that wait for their result.

use super::part::PartId;
use crate::clock::LineTime;
use std::collections::VecDeque;

/// The smallest number of deadlines at which those of parts that have left are removed.
const FEWEST: usize = 16;

/// Holds deadlines in their order. Deadlines of parts that have their result stay, too. They have no effect when they
/// come.
///
/// There are never more than twice the parts that may be in flight, or [`FEWEST`].
#[derive(Debug)]
pub(super) struct Deadlines {
    queue: VecDeque<(LineTime, PartId)>,
    most: usize,
}

impl Deadlines {
    /// Makes an empty queue for at most so many parts between trigger and gate.
    pub fn new(max_in_flight: usize) -> Self {
        let most = max_in_flight.saturating_mul(2).max(FEWEST);
        Deadlines { queue: VecDeque::new(), most }
    }

    /// Returns the number of deadlines.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Adds the deadline of a part that has just come. `first` is the part that is nearest to the gate.
    ///
    /// On a fast belt with an encoder, parts leave before their deadlines. Their deadlines are forgotten when there are
    /// too many. The rest belongs to parts on the belt, which fill at most half of the room.
    pub fn push(&mut self, deadline: LineTime, part: PartId, first: Option<PartId>) {
        if self.queue.len() >= self.most {
            // Part numbers rise along the belt.
            self.queue.retain(|(_, id)| first.is_some_and(|first| *id >= first));
        }
        self.queue.push_back((deadline, part));
    }

    /// Returns the next deadline.
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
