//! Holds what the device says about itself: counters and percentiles.

use super::assessment::Assessment;
use super::tracker::{Counters, Fault, Reason};
use crate::clock::LineTime;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The time in which the heartbeat of the status counts one on, in nanoseconds.
const HEARTBEAT_NS: u64 = 500_000_000;
/// The number of durations over which a percentile is computed.
const WINDOW: usize = 4096;

/// Holds the latest durations of one kind.
#[derive(Debug, Clone, Default)]
pub struct Series {
    latest: Vec<u32>,
    next: usize,
    count: u64,
    longest: u32,
}

impl Series {
    /// Adds one duration. A duration longer than 71 minutes counts as 71 minutes.
    pub fn add(&mut self, duration: Duration) {
        let microseconds = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
        self.count += 1;
        self.longest = self.longest.max(microseconds);
        if self.latest.len() < WINDOW {
            self.latest.push(microseconds);
        } else if let Some(slot) = self.latest.get_mut(self.next) {
            *slot = microseconds;
        }
        self.next = (self.next + 1) % WINDOW;
    }

    /// Returns the number of all durations.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns percentiles in microseconds, by nearest rank over the latest durations, and the longest duration ever.
    pub fn to_json(&self) -> Value {
        let mut sorted = self.latest.clone();
        sorted.sort_unstable();
        let rank = |per_mille: usize| {
            let at = (sorted.len() * per_mille).div_ceil(1000).saturating_sub(1);
            sorted.get(at).copied()
        };
        json!({
            "count": self.count, "p50": rank(500), "p99": rank(990), "p999": rank(999),
            "max": self.longest,
        })
    }
}

/// Holds the durations of everything that is timed.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// The times from when an output was due to its change.
    pub pulse_lateness: Series,
    frame: Series,
    backbone: Series,
    matching: Series,
    inspection: Series,
    trigger_to_result: Series,
}

impl Samples {
    /// Adds the times of one inspection.
    pub fn add(&mut self, assessment: &Assessment, triggered_at: LineTime, now: LineTime) {
        let stages = assessment.stages;
        self.frame.add(assessment.frame);
        self.backbone.add(stages.features);
        self.matching.add(stages.matching);
        self.inspection.add(stages.prepare + stages.features + stages.matching + stages.scoring);
        self.trigger_to_result.add(now.since(triggered_at));
    }
}

/// Holds the state of the hub at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The moment at which the hub thread made it.
    pub at: LineTime,
    /// Whether the production line is in the safe state.
    pub safe: bool,
    /// The time until commissioning ends by itself, while it lasts.
    pub commissioning: Option<Duration>,
    /// Whether a trigger would be accepted.
    pub ready: bool,
    /// The faults that are present.
    pub faults: Vec<Fault>,
    /// The number of parts between trigger and gate.
    pub in_flight: usize,
    /// The number of captures without an answer.
    pub outstanding: usize,
    /// The counters.
    pub counters: Counters,
    /// The durations.
    pub samples: Samples,
}

impl Snapshot {
    /// Returns the JSON for `hetmm-edge status`.
    pub fn to_json(&self) -> Value {
        let state = match (self.safe, self.ready) {
            _ if self.commissioning.is_some() => "commissioning",
            (true, _) => "safe",
            (false, true) => "ready",
            (false, false) => "not_ready",
        };
        let counters = &self.counters;
        let rejected: Map<String, Value> = (Reason::ALL.iter())
            .map(|reason| {
                let name = serde_json::to_value(reason).ok();
                let name = name.as_ref().and_then(Value::as_str).unwrap_or("unknown").to_owned();
                (name, json!(counters.rejected_for(*reason)))
            })
            .collect();
        let samples = &self.samples;
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "state": state,
            "heartbeat": self.at.as_nanos() / HEARTBEAT_NS,
            "commissioning_s": self.commissioning.map(|left| left.as_secs()),
            "faults": self.faults,
            "in_flight": self.in_flight,
            "waiting_for_result": self.outstanding,
            "counters": {
                "triggers": counters.triggers,
                "passed": counters.passed,
                "rejected": counters.rejected_total(),
                "rejected_for": rejected,
                "late_results": counters.late_results,
                "alarms": counters.alarms,
            },
            "latency_us": {
                "trigger_to_frame": samples.frame.to_json(),
                "backbone": samples.backbone.to_json(),
                "matching": samples.matching.to_json(),
                "inspection": samples.inspection.to_json(),
                "trigger_to_result": samples.trigger_to_result.to_json(),
                "pulse_lateness": samples.pulse_lateness.to_json(),
            },
        })
    }
}
