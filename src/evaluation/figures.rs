//! The results of an evaluation as numbers.

use super::picture::TestPicture;
use crate::inspection::Timing;
use crate::metrics::advice::{Advice, Decisions};
use crate::metrics::{OperatingCurve, auroc, quantile};
use crate::scoring::Verdict;
use serde::Serialize;
use std::collections::BTreeMap;

/// All results, as `hetmm eval --json` writes them.
#[derive(Serialize)]
pub struct Figures {
    /// How many pictures.
    pub images: usize,
    /// How many of them are good.
    pub good: usize,
    /// How many of them show a defect.
    pub defective: usize,
    /// Image AUROC (0..=1). Null without good or without defective pictures.
    pub image_auroc: Option<f64>,
    /// Pixel AUROC (0..=1). Null without masks.
    pub pixel_auroc: Option<f64>,
    /// AUPRO up to 30 % false positives (0..=1). Null without masks.
    pub aupro30: Option<f64>,
    /// Share of the defective pictures that is caught if 1 % of the good ones are rejected, by score alone. See
    /// [`OperatingCurve`].
    pub caught_at_1: Option<f64>,
    /// The same at 2 %.
    pub caught_at_2: Option<f64>,
    /// The same at 5 %.
    pub caught_at_5: Option<f64>,
    /// Image AUROC of each kind of defect against all good pictures.
    pub per_defect: BTreeMap<String, Option<f64>>,
    /// Counts by kind of defect.
    pub defects: BTreeMap<String, DefectCounts>,
    /// The threshold of the template.
    pub threshold: f32,
    /// Good pictures that are rejected.
    pub false_rejects: usize,
    /// Defective pictures that are neither rejected nor sent to review.
    pub missed: usize,
    /// Defective pictures that are sent to review.
    pub reviewed: usize,
    /// Milliseconds per picture, of the pictures that were inspected alone and timed.
    pub timing_ms: StageTimes,
}

/// Counts of one kind of defect.
#[derive(Serialize)]
pub struct DefectCounts {
    /// How many pictures.
    pub images: usize,
    /// Those that pass.
    pub missed: usize,
}

/// Median of each stage, and the spread of the whole.
#[derive(Serialize)]
pub struct StageTimes {
    /// Decoding.
    pub decode: f64,
    /// The resize.
    pub preprocess: f64,
    /// The feature extractor.
    pub backbone: f64,
    /// The matching.
    pub matching: f64,
    /// Map, score and verdict.
    pub scoring: f64,
    /// Median of the whole.
    pub total_p50: f64,
    /// 99th percentile of the whole.
    pub total_p99: f64,
}

/// Everything that was measured on a data set.
pub struct Evaluation {
    /// The results as numbers.
    pub figures: Figures,
    /// One outcome per picture, in the order of the data set.
    pub outcomes: Vec<Outcome>,
    /// Timings of the pictures that were timed.
    pub times: Vec<Timing>,
    /// Vertices of the per-region-overlap curve up to 30 % false positives; see
    /// [`crate::metrics::ProCurve`].
    pub pro: Vec<(f64, f64)>,
    /// What any threshold would do.
    pub curve: OperatingCurve,
    /// What the results mean.
    pub advice: Advice,
}

/// What `eval --json` writes: the results, their meaning, and the score of every picture.
#[derive(Serialize)]
pub struct Written<'a> {
    #[serde(flatten)]
    figures: &'a Figures,
    /// See [`Advice::name`].
    advice: &'static str,
    scores: Vec<PictureScore<'a>>,
}

/// The score of one picture.
#[derive(Serialize)]
struct PictureScore<'a> {
    /// Its path, as it was given.
    image: String,
    /// Its defect. Null for a good picture.
    defect: Option<&'a str>,
    /// Null if it is not a finite number.
    score: f32,
    verdict: Verdict,
}

impl Evaluation {
    /// The data for programs.
    pub fn written(&self) -> Written<'_> {
        Written {
            figures: &self.figures,
            advice: self.advice.name(),
            scores: self.outcomes.iter().map(PictureScore::of).collect(),
        }
    }
}

impl<'a> PictureScore<'a> {
    fn of(outcome: &'a Outcome) -> Self {
        let Outcome { picture, score, verdict } = outcome;
        PictureScore {
            image: picture.source.path.display().to_string(),
            defect: picture.defect.as_deref(),
            score: *score,
            verdict: *verdict,
        }
    }
}

/// What any threshold would do to these pictures.
pub fn operating_curve(outcomes: &[Outcome]) -> OperatingCurve {
    OperatingCurve::new(outcomes.iter().map(|o| (o.score, o.picture.defect.is_some())))
}

/// The result of one picture.
pub struct Outcome {
    /// The picture.
    pub picture: TestPicture,
    /// Its score.
    pub score: f32,
    /// What is done with the part.
    pub verdict: Verdict,
}

impl Figures {
    /// Makes the results from one outcome per picture, and from the times of the timed pictures.
    pub fn new(
        outcomes: &[Outcome],
        pixel_auroc: Option<f64>,
        aupro30: Option<f64>,
        threshold: f32,
        times: &[Timing],
    ) -> Self {
        let good: Vec<&Outcome> = outcomes.iter().filter(|o| o.picture.defect.is_none()).collect();
        let bad: Vec<&Outcome> = outcomes.iter().filter(|o| o.picture.defect.is_some()).collect();
        let against_good = |bad: &[&Outcome]| {
            auroc(good.iter().map(|o| (o.score, false)).chain(bad.iter().map(|o| (o.score, true))))
        };
        let missed = |bad: &[&Outcome]| bad.iter().filter(|o| o.verdict == Verdict::Ok).count();
        let mut kinds: BTreeMap<String, Vec<&Outcome>> = BTreeMap::new();
        for outcome in &bad {
            kinds
                .entry(outcome.picture.defect.clone().unwrap_or_default())
                .or_default()
                .push(outcome);
        }
        let median =
            |stage: fn(&Timing) -> f64| quantile(&times.iter().map(stage).collect::<Vec<_>>(), 0.5);
        let curve = operating_curve(outcomes);
        let totals: Vec<f64> = times.iter().map(|t| t.total_ms).collect();
        Figures {
            images: outcomes.len(),
            good: good.len(),
            defective: bad.len(),
            image_auroc: against_good(&bad),
            pixel_auroc,
            aupro30,
            caught_at_1: curve.caught_at(0.01),
            caught_at_2: curve.caught_at(0.02),
            caught_at_5: curve.caught_at(0.05),
            per_defect: kinds.iter().map(|(name, bad)| (name.clone(), against_good(bad))).collect(),
            defects: kinds
                .iter()
                .map(|(name, bad)| {
                    (name.clone(), DefectCounts { images: bad.len(), missed: missed(bad) })
                })
                .collect(),
            threshold,
            false_rejects: good.iter().filter(|o| o.verdict == Verdict::Ng).count(),
            missed: missed(&bad),
            reviewed: bad.iter().filter(|o| o.verdict == Verdict::Review).count(),
            timing_ms: StageTimes {
                decode: median(|t| t.decode_ms),
                preprocess: median(|t| t.preprocess_ms),
                backbone: median(|t| t.backbone_ms),
                matching: median(|t| t.matching_ms),
                scoring: median(|t| t.scoring_ms),
                total_p50: quantile(&totals, 0.5),
                total_p99: quantile(&totals, 0.99),
            },
        }
    }
}

impl Figures {
    /// How the pictures were decided, for advice.
    pub fn decisions(&self, outcomes: &[Outcome]) -> Decisions {
        let is_passed_by_rules = |o: &&Outcome| {
            o.picture.defect.is_some() && o.verdict == Verdict::Ok && o.score > self.threshold
        };
        Decisions {
            good: self.good,
            false_rejects: self.false_rejects,
            defective: self.defective,
            missed: self.missed,
            passed_by_rules: outcomes.iter().filter(is_passed_by_rules).count(),
            auroc: self.image_auroc,
        }
    }
}
