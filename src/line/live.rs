//! Holds what can be seen of the GPIO lines at any moment: counts and stamps of inputs, levels of outputs.
//!
//! The threads that own the lines write here, and nobody waits: every value is an atomic of its own.

use super::tracker::Line;
use crate::clock::LineTime;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

/// The bits of an output's state. A state of 0 means that the output is not wired.
const WIRED: u8 = 1;
const ACTIVE: u8 = 2;
const HIGH: u8 = 4;

/// Holds the levels that the outputs were set to last.
#[derive(Debug, Default)]
pub struct Levels([AtomicU8; Line::ALL.len()]);

impl Levels {
    /// Notes that an output was set.
    pub(super) fn note(&self, line: Line, active: bool, high: bool) {
        let bits = [(true, WIRED), (active, ACTIVE), (high, HIGH)];
        let state = bits.iter().filter(|(is_set, _)| *is_set).map(|(_, bit)| bit).sum();
        if let Some(slot) = self.0.get(line.index()) {
            slot.store(state, Ordering::Relaxed);
        }
    }

    fn to_json(&self) -> Vec<Value> {
        let outputs = Line::ALL.iter().zip(&self.0).map(|(line, state)| {
            let state = state.load(Ordering::Relaxed);
            let level = if state & HIGH == 0 { "low" } else { "high" };
            (state & WIRED != 0)
                .then(|| json!({"name": line, "active": state & ACTIVE != 0, "level": level}))
        });
        outputs.flatten().collect()
    }
}

/// Counts the edges of an input.
#[derive(Debug, Default)]
pub struct Traffic {
    count: AtomicU64,
    /// The moment of the last edge on the monotonic clock, in nanoseconds; 0 if there was none.
    last: AtomicU64,
}

impl Traffic {
    /// Notes an edge, and so many edges before it that were lost.
    pub(super) fn note(&self, at: LineTime, lost: u32) {
        self.count.fetch_add(u64::from(lost).saturating_add(1), Ordering::Relaxed);
        self.last.store(at.as_nanos(), Ordering::Relaxed);
    }

    /// Returns the number of edges so far.
    #[cfg(test)]
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    fn to_json(&self, name: &str, now: LineTime) -> Value {
        let last = self.last.load(Ordering::Relaxed);
        let ago = |last| now.since(LineTime::from_nanos(last));
        json!({
            "name": name,
            "count": self.count.load(Ordering::Relaxed),
            "last_us": (last > 0).then_some(last / 1000),
            "ago_us": (last > 0).then(|| microseconds(ago(last))),
        })
    }
}

/// Holds everything that can be seen of the GPIO lines.
#[derive(Debug, Clone, Default)]
pub struct Live {
    /// The inputs with their names.
    pub inputs: Vec<(&'static str, Arc<Traffic>)>,
    /// The outputs.
    pub outputs: Arc<Levels>,
}

impl Live {
    /// Returns the JSON for `hetmm-edge lines`.
    pub(super) fn to_json(&self, now: LineTime) -> Value {
        let inputs: Vec<Value> =
            self.inputs.iter().map(|(name, traffic)| traffic.to_json(name, now)).collect();
        json!({"at_us": now.as_nanos() / 1000, "inputs": inputs, "outputs": self.outputs.to_json()})
    }
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_last_is_shown() {
        let live = Live { inputs: vec![("trigger", Arc::default())], outputs: Arc::default() };
        let second = |n: u64| LineTime::from_nanos(n * 1_000_000_000);
        let none = json!({"name": "trigger", "count": 0, "last_us": null, "ago_us": null});
        assert_eq!(
            live.to_json(second(1)),
            json!({"at_us": 1_000_000, "inputs": [none], "outputs": []})
        );
        live.inputs[0].1.note(second(2), 0);
        live.inputs[0].1.note(second(3), 4);
        live.outputs.note(Line::Ng, true, false);
        live.outputs.note(Line::Fault, true, true);
        live.outputs.note(Line::Fault, false, true);
        let seen = live.to_json(second(5));
        assert_eq!(
            seen["inputs"][0],
            json!({"name": "trigger", "count": 6, "last_us": 3_000_000, "ago_us": 2_000_000})
        );
        assert_eq!(seen["outputs"][0], json!({"name": "ng", "active": true, "level": "low"}));
        assert_eq!(seen["outputs"][1], json!({"name": "fault", "active": false, "level": "high"}));
        assert_eq!(seen["outputs"].as_array().map(Vec::len), Some(2), "the others are not wired");
    }
}
