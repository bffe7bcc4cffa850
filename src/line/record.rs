//! Holds what is recorded of parts and of outputs.

use super::assessment::Assessment;
use super::template_identity::TemplateIdentity;
use super::tracker::{Finished, Line, Outcome, PartId, Reason};
use crate::clock::LineTime;
use crate::scoring::{DecidedBy, Region, Verdict};
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Holds what is recorded of a part. The fields that are skipped here are part of the evidence only.
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
    /// The beginning of its exposure on the monotonic clock, in microseconds.
    #[serde(skip)]
    pub exposure_us: Option<u64>,
    /// The end of its inspection on the monotonic clock, in microseconds.
    #[serde(skip)]
    pub result_us: Option<u64>,
    /// The template that it was compared with.
    #[serde(skip)]
    pub template: Option<Arc<TemplateIdentity>>,
    /// What the gate was told. `None` if no output tells the gate of such a part, or if the part did not reach it.
    #[serde(skip)]
    pub gate: Option<Gate>,
}

/// Says when and how an output told the gate what to do with a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Gate {
    /// The output: *ng* or *ok*.
    pub line: Line,
    /// The moment at which the pulse was due on the monotonic clock, in microseconds.
    pub due_us: u64,
    /// The moment right after the system call that began the pulse, in microseconds.
    pub at_us: u64,
    /// The time that this system call took, in microseconds.
    pub took_us: u64,
    /// The number of the pulse on this output since the start of the program. Parts whose pulses merged share it.
    pub pulse: u64,
    /// The moment at which the feedback input saw the pulse, in microseconds. The outer value is `None` if nothing is
    /// wired to it, or if nobody has asked yet. The inner one is `None` if no edge came in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_us: Option<Option<u64>>,
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
    pub fn new(finished: &Finished, assessment: Option<Assessment>, gate: Option<Gate>) -> Self {
        let us = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let (outcome, why) = match finished.outcome {
            Outcome::Passed => ("passed", None),
            Outcome::Rejected(reason) => ("rejected", Some(reason)),
        };
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let found = assessment.as_ref();
        let exposed_at = found.map(|a| finished.triggered_at + a.exposure);
        PartRecord {
            part: finished.part,
            unix_ms: u64::try_from(unix.as_millis()).unwrap_or(0),
            trigger_us: in_us(finished.triggered_at),
            gate_us: in_us(finished.at),
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
            exposure_us: exposed_at.map(in_us),
            result_us: found.map(|a| in_us(a.result_at)),
            template: found.and_then(|a| a.template.clone()),
            gate,
            regions: assessment.map(|a| a.regions).unwrap_or_default(),
        }
    }
}

/// Returns a moment in microseconds of the monotonic clock.
pub(super) fn in_us(at: LineTime) -> u64 {
    at.as_nanos() / 1000
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
        EdgeRecord { line, active, due_us: in_us(due), late_us }
    }
}
