//! Holds what the inspection has found on a part, and how long it took.

use super::template_identity::TemplateIdentity;
use crate::clock::LineTime;
use crate::inspection::StageTimes;
use crate::scoring::{DecidedBy, Region, Verdict};
use std::sync::Arc;
use std::time::Duration;

/// Holds what was found on a part.
#[derive(Debug, Clone)]
pub struct Assessment {
    /// The score of the picture.
    pub score: f32,
    /// The template's threshold.
    pub threshold: f32,
    /// The verdict that follows from the score and the rules.
    pub verdict: Verdict,
    /// The rule that decided, and where.
    pub decided_by: DecidedBy,
    /// Whether the part passes.
    pub passes: bool,
    /// The regions where the part differs, the worst first.
    pub regions: Vec<Region>,
    /// The time from the trigger to the beginning of the exposure.
    pub exposure: Duration,
    /// The time from the trigger to the frame in memory.
    pub frame: Duration,
    /// The time of each stage of the inspection.
    pub stages: StageTimes,
    /// The moment at which the inspection was done.
    pub result_at: LineTime,
    /// The template that it was inspected with.
    pub template: Option<Arc<TemplateIdentity>>,
}
