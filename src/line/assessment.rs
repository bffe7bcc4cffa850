//! What the inspection has found on a part, and how long it took.

use crate::inspection::StageTimes;
use crate::scoring::{DecidedBy, Region, Verdict};
use std::time::Duration;

/// What was found on a part.
#[derive(Debug, Clone)]
pub struct Assessment {
    /// Image score.
    pub score: f32,
    /// The template's threshold.
    pub threshold: f32,
    /// What the score means.
    pub verdict: Verdict,
    /// The rule that decided, and where.
    pub decided_by: DecidedBy,
    /// Whether the part passes.
    pub passes: bool,
    /// Where it differs, the worst first.
    pub regions: Vec<Region>,
    /// From the trigger to the begin of the exposure.
    pub exposure: Duration,
    /// From the trigger to the frame in memory.
    pub frame: Duration,
    /// Time for each stage of the inspection.
    pub stages: StageTimes,
}
