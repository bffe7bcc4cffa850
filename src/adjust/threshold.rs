//! Puts a threshold from fresh good parts into a template that is built.

use crate::builder::calibration::Threshold;
use crate::error::Result;
use crate::files::Lock;
use crate::scoring::Thresholds;
use crate::template::{Basis, Decision, HeaderV1, Origin, Settings, Template, writer};
use std::path::Path;

/// Holds the thresholds that fresh good parts give.
#[derive(Debug, Clone, PartialEq)]
pub struct FromFreshParts<'a> {
    /// The threshold for rejection, with its rank among the scores of the parts.
    pub reject: &'a Threshold,
    /// The review threshold, if one was asked for.
    pub review: Option<&'a Threshold>,
    /// The rate of false rejects that was asked for, 0..1.
    pub false_reject: f64,
}

impl FromFreshParts<'_> {
    /// Returns both thresholds. Without a review threshold, the threshold for rejection counts as both.
    pub fn thresholds(&self) -> Thresholds {
        let review = self.review.map_or(self.reject.score, |review| review.score);
        Thresholds { reject: self.reject.score, review }
    }

    /// Returns what the template records of the decision.
    pub fn decision(&self) -> Decision {
        Decision {
            review: self.thresholds().review,
            basis: Basis::FreshParts,
            false_reject: self.false_reject as f32,
            rank: self.reject.rank as u32,
            interval: self.reject.interval.map(|v| v as f32),
        }
    }

    /// Returns the header and settings of `template` with these thresholds.
    pub fn apply(&self, template: &Template) -> (HeaderV1, Settings) {
        let mut header = template.header().clone();
        header.calibration.threshold = self.reject.score;
        header.calibration.pictures = self.reject.pictures as u32;
        let decision = Some(self.decision());
        let mut settings = Settings { decision, ..template.settings().clone() };
        settings.evidence.iter_mut().for_each(|evidence| evidence.origin = Origin::Rank);
        (header, settings)
    }

    /// Writes `template` with these thresholds to `path`. Returns the bytes of the file.
    ///
    /// # Errors
    /// Returns the same errors as [`writer::rewrite`].
    pub fn write(&self, template: &Template, path: &Path, lock: Option<&Lock>) -> Result<u64> {
        let (header, settings) = self.apply(template);
        writer::rewrite(path, lock, template, header, settings, template.zones())
    }
}
