//! The figures of an evaluation.

use crate::advice::{self, Line, Names};
use crate::dataset::TestPicture;
use crate::outputs::has_keys;
use crate::timing::{Timing, quantile};
use hetmm::files::outputs::Format;
use hetmm::metrics::advice::{Advice, Decisions};
use hetmm::metrics::{OperatingCurve, auroc};
use hetmm::scoring::Verdict;
use serde::Serialize;
use std::collections::BTreeMap;

/// How a file of figures is recognised before another one replaces it.
pub const FORMAT: Format = Format {
    name: "a file of figures",
    reads: 1 << 24,
    is_one: |bytes| has_keys(bytes, &["images", "image_auroc", "timing_ms"]),
};

/// All figures, as `--json` writes them.
#[derive(Serialize)]
pub struct Figures {
    pub images: usize,
    pub good: usize,
    pub defective: usize,
    pub image_auroc: Option<f64>,
    pub pixel_auroc: Option<f64>,
    pub aupro30: Option<f64>,
    /// Share of the defective pictures that is caught where 1 % of the good ones are rejected, by score alone; see
    /// [`OperatingCurve`].
    pub caught_at_1: Option<f64>,
    /// The same at 2 %.
    pub caught_at_2: Option<f64>,
    /// The same at 5 %.
    pub caught_at_5: Option<f64>,
    /// Image AUROC of each kind of defect against all good pictures.
    pub per_defect: BTreeMap<String, Option<f64>>,
    pub defects: BTreeMap<String, DefectCounts>,
    pub threshold: f32,
    pub false_rejects: usize,
    /// Defective pictures that are neither rejected nor sent to review.
    pub missed: usize,
    /// Defective pictures that are sent to review.
    pub reviewed: usize,
    pub timing_ms: StageTimes,
}

/// Counts of one kind of defect.
#[derive(Serialize)]
pub struct DefectCounts {
    pub images: usize,
    pub missed: usize,
}

/// Median of each stage, and the spread of the whole.
#[derive(Serialize)]
pub struct StageTimes {
    pub decode: f64,
    pub preprocess: f64,
    pub backbone: f64,
    pub matching: f64,
    pub scoring: f64,
    pub total_p50: f64,
    pub total_p99: f64,
}

/// Everything that was measured on a data set.
pub struct Evaluation {
    pub figures: Figures,
    /// One a picture, in the order of the data set.
    pub outcomes: Vec<Outcome>,
    /// Timings of the pictures that were timed.
    pub times: Vec<Timing>,
    /// Vertices of the per-region-overlap curve up to 30 % false positives; see
    /// [`hetmm::metrics::ProCurve`].
    pub pro: Vec<(f64, f64)>,
    /// What any threshold would do.
    pub curve: OperatingCurve,
    /// What the figures mean.
    pub advice: Advice,
}

/// What `eval --json` writes: the figures, what they mean, and the score of every picture.
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
    /// Its defect; null for a good picture.
    defect: Option<&'a str>,
    /// Null where it is not a finite number.
    score: f32,
    verdict: Verdict,
}

impl Evaluation {
    /// What the figures mean and what to try next, in words.
    pub fn advice_lines(&self, names: &Names) -> Vec<Line> {
        let f = &self.figures;
        let part = |count: usize, of: usize| count as f64 / of.max(1) as f64;
        let caught = 1.0 - part(f.missed, f.defective);
        advice::lines(&self.advice, caught, part(f.false_rejects, f.good), names)
    }

    /// What programs get.
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

/// One picture's result.
pub struct Outcome {
    pub picture: TestPicture,
    pub score: f32,
    pub verdict: Verdict,
}

impl Figures {
    /// From one outcome a picture, and the timings of those that were timed.
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
        let totals: Vec<f64> = times.iter().map(|t| t.total).collect();
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
                decode: median(|t| t.decode),
                preprocess: median(|t| t.preprocess),
                backbone: median(|t| t.backbone),
                matching: median(|t| t.matching),
                scoring: median(|t| t.scoring),
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
