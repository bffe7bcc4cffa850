//! Decides which part the result registers show.

use crate::part::Part;
use std::collections::VecDeque;
use std::sync::Arc;

/// The number of parts that wait to be acknowledged.
const RING: usize = 16;

/// Holds the part that is shown, and those that wait. Without buffering, the newest part is shown. With it, every part
/// is shown until it is acknowledged.
#[derive(Debug, Default)]
pub struct Results {
    waiting: VecDeque<(u16, Arc<Part>)>,
    shown: Option<(u16, Arc<Part>)>,
    count: u16,
    buffers: bool,
    valid: bool,
    overrun: bool,
}

impl Results {
    /// Notes a part.
    pub fn add(&mut self, part: Arc<Part>) {
        self.count = self.count.wrapping_add(1);
        let result = (self.count, part);
        if !self.buffers || !self.valid {
            (self.shown, self.valid) = (Some(result), true);
            return;
        }
        if self.waiting.len() >= RING {
            self.waiting.pop_front();
            self.overrun = true;
        }
        self.waiting.push_back(result);
    }

    /// Notes that parts are missing.
    pub fn lose(&mut self) {
        self.overrun = true;
    }

    /// Switches buffering on or off. Off, the newest part is shown.
    pub fn buffer(&mut self, on: bool) {
        if self.buffers && !on {
            if let Some(newest) = self.waiting.pop_back() {
                self.shown = Some(newest);
            }
            self.waiting.clear();
            self.overrun = false;
        }
        self.buffers = on;
    }

    /// Acknowledges the part that is shown. The next one is shown, if one waits.
    pub fn acknowledge(&mut self) {
        self.valid = false;
        self.overrun = false;
        if let Some(next) = self.waiting.pop_front() {
            (self.shown, self.valid) = (Some(next), true);
        }
    }

    /// Returns the part that is shown, with its number.
    pub fn shown(&self) -> Option<(u16, &Part)> {
        self.shown.as_ref().map(|(number, part)| (*number, &**part))
    }

    /// Returns whether a part is shown that was not acknowledged.
    pub fn is_valid(&self) -> bool {
        self.valid
    }

    /// Returns whether parts were dropped since the last acknowledgement.
    pub fn has_overrun(&self) -> bool {
        self.overrun
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn part(number: u64) -> Arc<Part> {
        let message = json!({
            "part": number, "unix_ms": 0, "trigger_us": 0, "outcome": "passed", "why": null, "score": null,
            "threshold": null,
        });
        Arc::new(Part::read(message).expect("a part"))
    }

    fn shown(results: &Results) -> Option<(u16, u64)> {
        results.shown().map(|(number, part)| (number, part.part))
    }

    #[test]
    fn without_buffering_the_newest_part_is_shown() {
        let mut results = Results::default();
        assert_eq!((shown(&results), results.is_valid()), (None, false));
        (10..13).for_each(|number| results.add(part(number)));
        assert_eq!((shown(&results), results.is_valid()), (Some((3, 12)), true));
        results.acknowledge();
        assert_eq!((shown(&results), results.is_valid()), (Some((3, 12)), false));
    }

    #[test]
    fn with_buffering_every_part_is_shown_and_the_seventeenth_that_waits_drops_the_oldest() {
        let mut results = Results::default();
        results.buffer(true);
        (1..=17).for_each(|number| results.add(part(number)));
        assert!(!results.has_overrun());
        results.add(part(18));
        assert!(results.has_overrun());
        let mut seen = vec![];
        while results.is_valid() {
            seen.push(shown(&results).expect("a part").1);
            results.acknowledge();
        }
        assert_eq!(seen, [1].into_iter().chain(3..=18).collect::<Vec<u64>>());
        assert!(!results.has_overrun());
        (19..=25).for_each(|number| results.add(part(number)));
        results.buffer(false);
        assert_eq!(shown(&results), Some((25, 25)));
    }
}
