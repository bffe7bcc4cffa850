//! Finds the edge that follows a pulse, as a pure state machine.

use crate::clock::LineTime;
use crate::line::gate::{Followed, Pulse};
use std::collections::VecDeque;
use std::time::Duration;

/// The largest number of edges that are kept without a pulse, and of pulses without an edge.
const MOST: usize = 256;

/// Joins pulses with edges, each in the order of time.
#[derive(Debug)]
pub(super) struct Matcher {
    /// The longest time from a pulse to its edge.
    limit: Duration,
    /// How much later than its stamp an edge may be handed over.
    grace: Duration,
    pulses: VecDeque<Pulse>,
    edges: VecDeque<LineTime>,
}

impl Matcher {
    pub fn new(limit: Duration, grace: Duration) -> Self {
        Matcher { limit, grace, pulses: VecDeque::new(), edges: VecDeque::new() }
    }

    /// Adds a pulse.
    pub fn pulse(&mut self, pulse: Pulse) {
        self.pulses.push_back(pulse);
    }

    /// Adds an edge. Of edges that follow no pulse, only the latest are kept.
    pub fn edge(&mut self, at: LineTime) {
        if self.edges.len() >= MOST {
            self.edges.pop_front();
        }
        self.edges.push_back(at);
    }

    /// Returns the answer for the oldest pulse without one, if it is known at `now`. An edge belongs to one pulse. Edges
    /// before a pulse belong to none, for example those of a contact that bounces.
    pub fn answer(&mut self, now: LineTime) -> Option<Followed> {
        let pulse = *self.pulses.front()?;
        while self.edges.front().is_some_and(|edge| *edge < pulse.from) {
            self.edges.pop_front();
        }
        let end = pulse.at + self.limit;
        let seen = self.edges.front().copied().filter(|edge| *edge <= end);
        // Somebody who adds pulses and never asks must not fill the memory.
        let is_over = now > end + self.grace || self.pulses.len() > MOST;
        if seen.is_none() && !is_over {
            return None;
        }
        self.pulses.pop_front();
        if seen.is_some() {
            self.edges.pop_front();
        }
        Some(Followed { pulse: pulse.number, seen })
    }

    /// Returns whether every pulse has its answer.
    pub fn is_idle(&self) -> bool {
        self.pulses.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(us: u64) -> LineTime {
        LineTime::from_nanos(us * 1000)
    }

    fn pulse(number: u64, at: u64) -> Pulse {
        Pulse { number, from: us(at - 10), at: us(at) }
    }

    /// A pulse has its edge up to 20 ms later, and the edge may be handed over 5 ms after that.
    fn matcher() -> Matcher {
        Matcher::new(Duration::from_millis(20), Duration::from_millis(5))
    }

    fn answer(pulse: u64, seen: Option<u64>) -> Option<Followed> {
        Some(Followed { pulse, seen: seen.map(us) })
    }

    #[test]
    fn an_edge_in_time_is_seen_whether_it_comes_before_or_after_the_news_of_its_pulse() {
        let mut matcher = matcher();
        matcher.edge(us(999));
        assert_eq!(matcher.answer(us(1000)), None, "there is no pulse");
        matcher.pulse(pulse(1, 1000));
        assert_eq!(matcher.answer(us(1001)), answer(1, Some(999)), "it came during the call");
        matcher.pulse(pulse(2, 50_000));
        assert_eq!(matcher.answer(us(51_000)), None);
        matcher.edge(us(70_000));
        assert_eq!(matcher.answer(us(74_000)), answer(2, Some(70_000)), "at the last moment");
        assert!(matcher.is_idle());
    }

    #[test]
    fn an_edge_that_is_missing_or_late_is_not_seen() {
        let mut matcher = matcher();
        matcher.pulse(pulse(1, 1000));
        assert_eq!(matcher.answer(us(26_000)), None, "it may still be handed over");
        assert_eq!(matcher.answer(us(26_001)), answer(1, None));
        matcher.pulse(pulse(2, 100_000));
        matcher.edge(us(120_001));
        assert_eq!(matcher.answer(us(121_000)), None);
        assert_eq!(matcher.answer(us(125_001)), answer(2, None), "the edge was too late");
    }

    #[test]
    fn an_edge_before_its_pulse_and_a_bounce_belong_to_nobody() {
        let mut matcher = matcher();
        matcher.edge(us(500));
        matcher.pulse(pulse(1, 1000));
        matcher.edge(us(2000));
        matcher.edge(us(2100));
        matcher.edge(us(2200));
        assert_eq!(matcher.answer(us(3000)), answer(1, Some(2000)));
        matcher.pulse(pulse(2, 40_000));
        assert_eq!(matcher.answer(us(40_001)), None, "the bounce was before this pulse");
        assert_eq!(matcher.answer(us(70_000)), answer(2, None));
    }

    #[test]
    fn a_missing_edge_shows_also_where_pulses_follow_each_other_quickly() {
        let mut matcher = matcher();
        for number in 1..=3 {
            matcher.pulse(pulse(number, number * 8000));
        }
        matcher.edge(us(8100));
        matcher.edge(us(24_100));
        let mut answers = vec![];
        for now in (0..100).map(|ms| us(ms * 1000)) {
            answers.extend(std::iter::from_fn(|| matcher.answer(now)));
        }
        let unseen = answers.iter().filter(|answer| answer.seen.is_none()).count();
        assert_eq!((answers.len(), unseen), (3, 1));
    }

    #[test]
    fn what_nobody_asks_for_is_bounded() {
        let mut matcher = matcher();
        for at in 0..10_000 {
            matcher.edge(us(at));
        }
        assert_eq!(matcher.edges.len(), MOST);
        for number in 1..=MOST as u64 + 2 {
            matcher.pulse(pulse(number, 20_000));
        }
        assert_eq!(matcher.answer(us(20_000)), answer(1, None));
        assert_eq!(matcher.answer(us(20_000)), answer(2, None));
        assert_eq!(matcher.answer(us(20_000)), None);
    }
}
