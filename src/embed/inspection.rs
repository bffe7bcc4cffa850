//! The result of one inspection.

use crate::error::Result;
use crate::heatmap;
use crate::image::{Picture, PictureView, Samples, Size};
use crate::inspection::{Inspected, Pipeline, Timing};
use crate::scoring::{DecidedBy, Peak, Region, Scored, Verdict};
use std::sync::Arc;
use std::time::Duration;

/// What was found in a picture.
///
/// ```
/// use hetmm::{Inspection, Verdict};
///
/// fn passes(found: hetmm::Result<Inspection>) -> bool {
///     // What failed says nothing about the part. With review, a person should look.
///     found.is_ok_and(|found| found.verdict == Verdict::Ok)
/// }
/// # assert!(!passes(Err(hetmm::Error::usage("nothing"))));
/// ```
///
/// There is no empty inspection, and none can be read as a plain true or false: a result that is not there is not
/// "ok".
#[non_exhaustive]
pub struct Inspection {
    /// How much the picture differs from the good ones, at its worst place. Not a number where the features are no use.
    pub score: f32,
    /// What to do with the part. With [`Verdict::Review`] a person should look.
    pub verdict: Verdict,
    /// The rule that decided, and where.
    pub decided_by: DecidedBy,
    /// Where the picture is above the threshold, in its pixels; what counts first, then the worst first.
    pub regions: Vec<Region>,
    /// The threshold of the template.
    pub threshold: f32,
    /// The threshold for review; the same as `threshold` where the template has none.
    pub review: f32,
    /// Where the score comes from, also where nothing is above the threshold.
    pub peak: Option<Peak>,
    /// Which template decided: 1 for the first, and one more after each [`replace`](super::Inspector::replace).
    pub generation: u64,
    /// How long it took.
    pub timing: Timing,
    size: Size,
    scored: Scored,
    pipeline: Arc<Pipeline>,
}

/// The blurred anomaly map, whose largest value is the score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Map<'a> {
    /// Columns: those of the network's input, not of the picture.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Row after row; minus infinity outside the region of interest.
    pub values: &'a [f32],
}

impl Inspection {
    pub(super) fn new(pipeline: Arc<Pipeline>, generation: u64, found: Inspected) -> Self {
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

    /// The same inspection of a picture that took so long to decode.
    pub fn after_decoding(mut self, decoding: Duration) -> Self {
        let decode_ms = decoding.as_secs_f64() * 1e3;
        self.timing.total_ms += decode_ms - self.timing.decode_ms;
        self.timing.decode_ms = decode_ms;
        self
    }

    /// Columns and rows of the picture.
    pub fn size(&self) -> Size {
        self.size
    }

    /// The blurred anomaly map at the size of the network's input.
    pub fn map(&self) -> Map<'_> {
        let Size { width, height } = self.pipeline.backbone().identity().size();
        Map { width: width as usize, height: height as usize, values: &self.scored.blurred }
    }

    /// How far each value of the map is above what it must exceed to belong to a region; regions are where it is
    /// above 0. As many values as the map has.
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

    /// [`Inspection::heatmap`] as the bytes of a PNG file.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Io`] where the picture cannot be encoded.
    pub fn heatmap_png(&self, picture: &PictureView) -> Result<Vec<u8>> {
        let drawn = heatmap::draw(&self.pipeline, &picture.to_picture(), &self.scored);
        heatmap::marked_png(&drawn, heatmap::HEAT_MAP)
    }

    /// The object that `hetmm inspect --json` prints for a picture, without its key `image`. A score that is not a
    /// number is `null`.
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
