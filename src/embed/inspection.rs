//! Holds the result of one inspection.

use crate::error::Result;
use crate::heatmap;
use crate::image::{Picture, PictureView, Samples, Size};
use crate::inspection::{Inspected, Pipeline, Timing};
use crate::scoring::{DecidedBy, Peak, Region, Scored, Verdict};
use std::sync::Arc;
use std::time::Duration;

/// Holds what was found in a picture.
///
/// There is no empty inspection, and none can be read as a plain true or false. A missing result is never "ok".
#[non_exhaustive]
pub struct Inspection {
    /// How much the picture differs from the good ones, at its worst place. It is not a number if the features cannot
    /// be used.
    pub score: f32,
    /// The verdict. With [`Verdict::Review`] a person should look at the part.
    pub verdict: Verdict,
    /// The rule that decided, and where.
    pub decided_by: DecidedBy,
    /// The regions of the picture above the threshold, in its pixels. Counted regions come first, then the worst.
    pub regions: Vec<Region>,
    /// The threshold of the template.
    pub threshold: f32,
    /// The review threshold. It equals `threshold` if the template has none.
    pub review: f32,
    /// The place that the score comes from, even if nothing is above the threshold.
    pub peak: Option<Peak>,
    /// The number of the template that decided: 1 for the first, and one more after each
    /// [`replace`](super::Inspector::replace).
    pub generation: u64,
    /// How long the stages took.
    pub timing: Timing,
    size: Size,
    scored: Scored,
    pipeline: Arc<Pipeline>,
}

/// Holds the blurred anomaly map, whose largest value is the score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Map<'a> {
    /// The number of columns of the network's input, not of the picture.
    pub width: usize,
    /// The number of rows of the network's input.
    pub height: usize,
    /// The values row by row. They are minus infinity outside the region of interest.
    pub values: &'a [f32],
}

impl Inspection {
    pub(crate) fn new(pipeline: Arc<Pipeline>, generation: u64, found: Inspected) -> Self {
        let thresholds = pipeline.thresholds();
        let Inspected { size, scored, decided, times, .. } = found;
        Inspection {
            score: scored.score,
            verdict: decided.verdict,
            decided_by: decided.by,
            regions: decided.regions,
            threshold: thresholds.reject,
            review: thresholds.review,
            peak: pipeline.peak(&scored, size),
            generation,
            timing: Timing::new(Duration::ZERO, times),
            size,
            scored,
            pipeline,
        }
    }

    /// Returns the same inspection with the time that decoding the picture took.
    pub fn after_decoding(mut self, decoding: Duration) -> Self {
        let decode_ms = decoding.as_secs_f64() * 1e3;
        self.timing.total_ms += decode_ms - self.timing.decode_ms;
        self.timing.decode_ms = decode_ms;
        self
    }

    /// Returns the columns and rows of the picture.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Returns the blurred anomaly map at the size of the network's input.
    pub fn map(&self) -> Map<'_> {
        let Size { width, height } = self.pipeline.backbone().identity().size();
        Map { width: width as usize, height: height as usize, values: &self.scored.blurred }
    }

    /// Returns how far each value of the map is above what it must exceed to belong to a region. Regions are the places
    /// above 0. There are as many values as in the map.
    pub fn excess(&self) -> Vec<f32> {
        self.pipeline.excess(&self.scored)
    }

    /// Draws picture, outline, map and colour scale side by side. `picture` must be the one that was inspected.
    ///
    /// The colours follow the template's threshold, so that those of several pictures can be compared.
    pub fn heatmap(&self, picture: &PictureView) -> Picture {
        let drawn = heatmap::draw(&self.pipeline, &picture.to_picture(), &self.scored);
        let (width, height) = drawn.dimensions();
        Picture { width, height, samples: Samples::Eight(drawn.into_raw()) }
    }

    /// Returns [`Inspection::heatmap`] as the bytes of a PNG file.
    ///
    /// # Errors
    /// Returns [`crate::ErrorKind::Io`] if the picture cannot be encoded.
    pub fn heatmap_png(&self, picture: &PictureView) -> Result<Vec<u8>> {
        let drawn = heatmap::draw(&self.pipeline, &picture.to_picture(), &self.scored);
        heatmap::marked_png(&drawn, heatmap::HEAT_MAP)
    }

    /// Returns the JSON object that the command `hetmm inspect` prints for a picture, without its key `image`. A score
    /// that is not a number is `null`.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "score": self.score, "threshold": self.threshold, "verdict": self.verdict,
            "decided_by": self.decided_by, "regions": self.regions, "peak": self.peak,
            "timing_ms": self.timing,
        })
    }
}

impl std::fmt::Debug for Inspection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inspection")
            .field("score", &self.score)
            .field("threshold", &self.threshold)
            .field("verdict", &self.verdict)
            .field("decided_by", &self.decided_by)
            .field("regions", &self.regions)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}
