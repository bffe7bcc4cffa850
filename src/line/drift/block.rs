//! Joins parts to blocks.

use super::sample::{Sample, Series};
use super::settings::Settings;
use super::statistics::median;
use super::thinned::Thinned;
use crate::clock::LineTime;

/// The largest number of parts that a block keeps. The median of so many is as good as that of all.
const MOST: usize = 8192;

/// Holds the medians of a block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Block {
    /// The moment at which the block was closed.
    pub at: LineTime,
    /// The medians, in the order of [`Series::ALL`].
    pub medians: [f64; Series::ALL.len()],
}

/// Says what became of a block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Closed {
    /// The block counts.
    Whole(Block),
    /// The block had too few parts in the longest time that a block may have. It does not count, because its medians
    /// would be less certain than those of the reference.
    TooFew,
}

/// Collects the parts of the present block.
#[derive(Debug, Clone)]
pub(super) struct Collector {
    begun: Option<LineTime>,
    samples: Thinned<[f64; Series::ALL.len()]>,
}

impl Collector {
    /// Makes a collector without a part.
    pub(super) fn new() -> Self {
        Collector { begun: None, samples: Thinned::new(MOST) }
    }

    /// Adds a part. A block begins with its first part.
    pub(super) fn add(&mut self, sample: &Sample) {
        self.begun.get_or_insert(sample.at);
        self.samples.push(sample.values);
    }

    /// Returns how many parts the present block has.
    pub(super) fn parts(&self) -> u32 {
        self.samples.seen()
    }

    /// Forgets the present block.
    pub(super) fn clear(&mut self) {
        self.begun = None;
        self.samples.clear();
    }

    /// Closes the present block if it is complete at `now`, or if it can no longer become complete.
    pub(super) fn close(&mut self, now: LineTime, settings: &Settings) -> Option<Closed> {
        let lasts = now.since(self.begun?);
        let is_large = self.samples.seen() >= settings.block_parts;
        let closed = match (is_large, lasts) {
            (true, lasts) if lasts >= settings.block => self.medians(now).map(Closed::Whole)?,
            (false, lasts) if lasts >= settings.longest_block() => Closed::TooFew,
            _ => return None,
        };
        self.clear();
        Some(closed)
    }

    fn medians(&self, at: LineTime) -> Option<Block> {
        let of = |series: Series| {
            let values: Vec<f64> = self.samples.values().iter().map(|all| series.of(all)).collect();
            median(&values)
        };
        let [score, brightness, sharpness, clipped] = Series::ALL.map(of);
        let medians = [score?, brightness?, sharpness?, clipped?];
        Some(Block { at, medians })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> LineTime {
        LineTime::from_nanos(0) + Duration::from_secs(seconds)
    }

    fn collect(parts: u32, every_s: u64) -> Collector {
        let mut collector = Collector::new();
        for part in 0..parts {
            let value = f64::from(part);
            let at = at(u64::from(part) * every_s);
            collector.add(&Sample { at, values: [value, 2.0 * value, 0.0, 1.0], ratio: 0.0 });
        }
        collector
    }

    #[test]
    fn a_block_needs_its_time_and_its_parts() {
        let settings = Settings::default();
        // Each row holds the parts, the seconds between them, the moment, and whether the block counts by then.
        let table = [
            (101, 1, 599, None),
            (101, 1, 600, Some(true)),
            (49, 30, 3599, None),
            (49, 30, 3600, Some(false)),
            (50, 30, 1470, Some(true)),
            (50, 30, 40_000, Some(true)),
        ];
        for (parts, every_s, moment, wanted) in table {
            let closed = collect(parts, every_s).close(at(moment), &settings);
            let counts = closed.map(|closed| closed != Closed::TooFew);
            assert_eq!(counts, wanted, "{parts} {every_s} {moment}");
        }
        assert_eq!(Collector::new().close(at(100_000), &settings), None, "nothing came");
    }

    #[test]
    fn a_closed_block_holds_medians_and_the_next_begins_empty() {
        let mut collector = collect(101, 10);
        let closed = collector.close(at(1000), &Settings::default());
        let medians = [50.0, 100.0, 0.0, 1.0];
        assert_eq!(closed, Some(Closed::Whole(Block { at: at(1000), medians })));
        assert_eq!((collector.parts(), collector.close(at(9000), &Settings::default())), (0, None));
    }
}
