//! What is recorded of parts and of outputs.

use super::assessment::Assessment;
use super::tracker::{Finished, Line, Outcome, PartId, Reason};
use crate::clock::LineTime;
use crate::scoring::{DecidedBy, Region, Verdict};
use serde::Serialize;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What is recorded of a part.
#[derive(Debug, Clone, Serialize)]
pub struct PartRecord {
    /// Its number.
    pub part: PartId,
    /// Wall clock when it left, milliseconds since 1970; for people, nothing is timed by it.
    pub unix_ms: u64,
    /// When it was triggered, on the monotonic clock.
    pub trigger_us: u64,
    /// When its outcome was carried out, on the monotonic clock.
    pub gate_us: u64,
    /// `passed` or `rejected`.
    pub outcome: &'static str,
    /// Why it was rejected.
    pub why: Option<Reason>,
    /// Image score, where there is one.
    pub score: Option<f32>,
    /// Threshold of the template.
    pub threshold: Option<f32>,
    /// What the score means.
    pub verdict: Option<Verdict>,
    /// The rule that decided, and where.
    pub decided_by: Option<DecidedBy>,
    /// Where it differs.
    pub regions: Vec<Region>,
    /// Microseconds of each stage.
    pub timing_us: Option<TimingUs>,
}

/// Microseconds of each stage.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct TimingUs {
    /// From trigger to the begin of the exposure.
    pub exposure: u64,
    /// From trigger to the frame in memory.
    pub frame: u64,
    /// To network size.
    pub prepare: u64,
    /// Features.
    pub backbone: u64,
    /// Distances.
    pub matching: u64,
    /// Map, score, regions.
    pub scoring: u64,
}

impl PartRecord {
    /// The record of a part.
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

/// A change of an output.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct EdgeRecord {
    line: Line,
    active: bool,
    due_us: u64,
    late_us: u64,
}

impl EdgeRecord {
    /// A change that was due at `due` and made at `at`.
    pub fn new(line: Line, active: bool, due: LineTime, at: LineTime) -> Self {
        let late_us = u64::try_from(at.since(due).as_micros()).unwrap_or(u64::MAX);
        EdgeRecord { line, active, due_us: due.as_nanos() / 1000, late_us }
    }
}
