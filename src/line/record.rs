//! Holds what is recorded of parts and of outputs.

use super::assessment::Assessment;
use super::tracker::{Finished, Line, Outcome, PartId, Reason};
use crate::clock::LineTime;
use crate::scoring::{DecidedBy, Region, Verdict};
use serde::Serialize;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Holds what is recorded of a part.
#[derive(Debug, Clone, Serialize)]
pub struct PartRecord {
    /// The number of the part.
    pub part: PartId,
    /// The wall clock when the part left, in milliseconds since 1970. It is for people. Nothing is timed by it.
    pub unix_ms: u64,
    /// The moment of its trigger on the monotonic clock, in microseconds.
    pub trigger_us: u64,
    /// The moment at which its outcome was carried out on the monotonic clock, in microseconds.
    pub gate_us: u64,
    /// The outcome: `passed` or `rejected`.
    pub outcome: &'static str,
    /// The reason why it was rejected.
    pub why: Option<Reason>,
    /// The score of its picture, if there is one.
    pub score: Option<f32>,
    /// The threshold of the template.
    pub threshold: Option<f32>,
    /// The verdict, if the part was inspected.
    pub verdict: Option<Verdict>,
    /// The rule that decided, and where.
    pub decided_by: Option<DecidedBy>,
    /// The regions where the part differs.
    pub regions: Vec<Region>,
    /// The microseconds of each stage.
    pub timing_us: Option<TimingUs>,
}

/// Holds the microseconds of each stage.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct TimingUs {
    /// From the trigger to the beginning of the exposure.
    pub exposure: u64,
    /// From the trigger to the frame in memory.
    pub frame: u64,
    /// Bringing the picture to network size.
    pub prepare: u64,
    /// Computing features.
    pub backbone: u64,
    /// Computing distances.
    pub matching: u64,
    /// Computing map, score and regions.
    pub scoring: u64,
}

impl PartRecord {
    /// Makes the record of a part.
    pub fn new(finished: &Finished, assessment: Option<Assessment>) -> Self {
        let us = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let (outcome, why) = match finished.outcome {
            Outcome::Passed => ("passed", None),
            Outcome::Rejected(reason) => ("rejected", Some(reason)),
        };
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let found = assessment.as_ref();
        PartRecord {
            part: finished.part,
            unix_ms: u64::try_from(unix.as_millis()).unwrap_or(0),
            trigger_us: finished.triggered_at.as_nanos() / 1000,
            gate_us: finished.at.as_nanos() / 1000,
            outcome,
            why,
            score: found.map(|a| a.score),
            threshold: found.map(|a| a.threshold),
            verdict: found.map(|a| a.verdict),
            decided_by: found.map(|a| a.decided_by.clone()),
            timing_us: found.map(|a| TimingUs {
                exposure: us(a.exposure),
                frame: us(a.frame),
                prepare: us(a.stages.prepare),
                backbone: us(a.stages.features),
                matching: us(a.stages.matching),
                scoring: us(a.stages.scoring),
            }),
            regions: assessment.map(|a| a.regions).unwrap_or_default(),
        }
    }
}

/// Holds a change of an output.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct EdgeRecord {
    line: Line,
    active: bool,
    due_us: u64,
    late_us: u64,
}

impl EdgeRecord {
    /// Makes the record of a change that was due at `due` and made at `at`.
    pub fn new(line: Line, active: bool, due: LineTime, at: LineTime) -> Self {
        let late_us = u64::try_from(at.since(due).as_micros()).unwrap_or(u64::MAX);
        EdgeRecord { line, active, due_us: due.as_nanos() / 1000, late_us }
    }
}
