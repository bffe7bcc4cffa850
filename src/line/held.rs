//! Holds lines of the chain back until it is known whether the valve has followed the pulse of a part.
//!
//! Only lines of the chain wait, in their order, on the thread of the records. Nobody waits for them.

use super::evidence::Event;
use super::gate::Followed;
use super::record::{Gate, PartRecord, in_us};
use super::tracker::Line;
use crate::clock::LineTime;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// The largest number of lines that wait.
const MOST: usize = 4096;
/// The number of answers that are remembered. Parts whose pulses merged need the answer of one pulse again.
const KEPT: usize = 64;

/// Holds what a line of the chain is made from.
pub(super) enum Content {
    /// A part.
    Part(Arc<PartRecord>),
    /// An event.
    Event(Box<Event>),
}

/// Holds the lines that wait.
pub(super) struct Held {
    /// The longest time that a line waits.
    patience: Duration,
    /// The lines with the ends of their waits.
    waiting: VecDeque<(LineTime, Content)>,
    /// The latest answers: the numbers of pulses, and the moments of their edges in microseconds.
    answers: VecDeque<(u64, Option<u64>)>,
}

impl Held {
    /// Makes a place for lines of which none waits longer than `patience`.
    pub fn new(patience: Duration) -> Self {
        Held { patience, waiting: VecDeque::new(), answers: VecDeque::new() }
    }

    /// Adds a line.
    pub fn push(&mut self, content: Content, now: LineTime) {
        self.waiting.push_back((now + self.patience, content));
    }

    /// Notes whether the valve has followed a pulse.
    pub fn followed(&mut self, answer: Followed) {
        if self.answers.len() >= KEPT {
            self.answers.pop_front();
        }
        self.answers.push_back((answer.pulse, answer.seen.map(in_us)));
    }

    /// Returns the moment at which the oldest line need not wait any more.
    pub fn until(&self) -> Option<LineTime> {
        self.waiting.front().map(|(until, _)| *until)
    }

    /// Returns the oldest line, if it need not wait at `now`. A part for which no answer came has none of an edge.
    pub fn take(&mut self, now: LineTime) -> Option<Content> {
        let (until, content) = self.waiting.front()?;
        let must_wait = *until > now && self.waiting.len() <= MOST;
        if must_wait && pulse_of(content).is_some_and(|pulse| self.answer(pulse).is_none()) {
            return None;
        }
        let (_, content) = self.waiting.pop_front()?;
        Some(self.complete(content))
    }

    /// Adds to the record of a part when its pulse was seen.
    fn complete(&self, content: Content) -> Content {
        let Some(pulse) = pulse_of(&content) else { return content };
        let Content::Part(record) = content else { return content };
        let seen_us = Some(self.answer(pulse).flatten());
        let mut record = Arc::unwrap_or_clone(record);
        record.gate = record.gate.map(|gate| Gate { seen_us, ..gate });
        Content::Part(Arc::new(record))
    }

    /// Returns the answer for a pulse, if it is known: the moment of its edge.
    fn answer(&self, pulse: u64) -> Option<Option<u64>> {
        let mut answers = self.answers.iter().rev();
        answers.find(|(number, _)| *number == pulse).map(|(_, seen)| *seen)
    }
}

/// Returns the number of the pulse whose edge a line shows.
fn pulse_of(content: &Content) -> Option<u64> {
    let Content::Part(record) = content else { return None };
    record.gate.filter(|gate| gate.line == Line::Ng).map(|gate| gate.pulse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::tracker::{Finished, Outcome, PartId, Reason};

    fn ms(ms: u64) -> LineTime {
        LineTime::from_nanos(ms * 1_000_000)
    }

    fn part(number: u64, pulse: Option<(Line, u64)>) -> Content {
        let (part, outcome) = (PartId(number), Outcome::Rejected(Reason::Defect));
        let finished = Finished { part, triggered_at: ms(0), at: ms(1), outcome, at_gate: true };
        let gate = pulse.map(|(line, pulse)| Gate {
            line,
            due_us: 1,
            at_us: 2,
            took_us: 3,
            pulse,
            seen_us: None,
        });
        Content::Part(Arc::new(PartRecord::new(&finished, None, gate)))
    }

    /// Returns the number of the part and what it says of its edge, for each line that need not wait.
    fn taken(held: &mut Held, now: u64) -> Vec<(u64, Option<Option<u64>>)> {
        let lines = std::iter::from_fn(|| held.take(ms(now)));
        let shown = lines.map(|content| match content {
            Content::Part(record) => (record.part.0, record.gate.and_then(|gate| gate.seen_us)),
            Content::Event(_) => (0, None),
        });
        shown.collect()
    }

    #[test]
    fn a_line_waits_for_the_edge_of_its_pulse_and_those_behind_it_keep_their_order() {
        let mut held = Held::new(Duration::from_millis(100));
        held.push(part(1, None), ms(0));
        assert_eq!(taken(&mut held, 0), [(1, None)], "nothing is to be seen of it");
        held.push(part(2, Some((Line::Ng, 1))), ms(0));
        held.push(part(3, Some((Line::Ok, 1))), ms(1));
        held.push(Content::Event(Box::new(Event::Stop {})), ms(2));
        assert!(taken(&mut held, 5).is_empty());
        held.followed(Followed { pulse: 1, seen: Some(ms(4)) });
        let expected = [(2, Some(Some(4000))), (3, None), (0, None)];
        assert_eq!(taken(&mut held, 5), expected);
        // Another part of the same pulse comes later.
        held.push(part(4, Some((Line::Ng, 1))), ms(50));
        held.push(part(5, Some((Line::Ng, 2))), ms(50));
        held.followed(Followed { pulse: 2, seen: None });
        assert_eq!(taken(&mut held, 50), [(4, Some(Some(4000))), (5, Some(None))]);
        assert_eq!(held.until(), None);
    }

    #[test]
    fn without_an_answer_a_line_waits_no_longer_than_it_may() {
        let mut held = Held::new(Duration::from_millis(100));
        held.push(part(1, Some((Line::Ng, 1))), ms(10));
        held.push(part(2, Some((Line::Ng, 2))), ms(20));
        assert_eq!((taken(&mut held, 109), held.until()), (vec![], Some(ms(110))));
        assert_eq!(taken(&mut held, 110), [(1, Some(None))]);
        assert_eq!(taken(&mut held, 120), [(2, Some(None))]);
    }

    #[test]
    fn the_lines_that_wait_are_bounded() {
        let mut held = Held::new(Duration::from_millis(100));
        for number in 0..MOST as u64 + 2 {
            held.push(part(number, Some((Line::Ng, number))), ms(0));
        }
        assert_eq!(taken(&mut held, 0), [(0, Some(None)), (1, Some(None))]);
        for pulse in 0..1000 {
            held.followed(Followed { pulse, seen: None });
        }
        assert_eq!(held.answers.len(), KEPT);
    }
}
