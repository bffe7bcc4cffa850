//! This module says what the figures of a test mean, and what to try next.
//!
//! Missed defects have two causes, and each cause has its own remedy. If a template ranks defective
//! pictures above good ones, another threshold catches them, and no other template is needed. If it
//! does not rank them, every threshold misses them, and the template or its pictures must change.
//! One figure tells the two apart: the share of defects that is caught where 5 % of the good
//! pictures are rejected. It does not depend on the threshold.

use super::OperatingCurve;

/// The rates of rejected good pictures at which figures are stated.
pub const RATES: [f64; 3] = [0.01, 0.02, 0.05];

/// A template ranks well if it catches this share of the defects where 5 % of the good pictures are
/// rejected.
const RANKS_WELL: f64 = 0.8;
/// A template also ranks well if its image AUROC is at least this.
const HIGH_AUROC: f64 = 0.95;
/// A difference between two shares of the pictures that is worth another threshold.
const WORTH_WHILE: f64 = 0.1;
/// A difference between two shares of the defects that is too small to decide anything.
const SLIGHT: f64 = 0.05;
/// From this number of good pictures on, more pictures seldom help.
const MANY_PICTURES: usize = 200;
/// The network inputs to try one after the other, in pixels a side.
const INPUT_SIDES_PX: [u32; 2] = [384, 512];

/// The verdicts on the pictures of a test, as counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decisions {
    /// The number of good pictures.
    pub good: usize,
    /// The number of good pictures that were rejected.
    pub false_rejects: usize,
    /// The number of defective pictures.
    pub defective: usize,
    /// The number of defective pictures that passed.
    pub missed: usize,
    /// The number of missed pictures whose score is above the threshold. Region rules let them
    /// pass.
    pub passed_by_rules: usize,
    /// The image AUROC (0..=1), where it exists.
    pub auroc: Option<f64>,
}

/// The preparation of a template: what has already been done for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prepared {
    /// Whether a mask leaves out a part of the picture.
    pub has_mask: bool,
    /// Whether odd pictures were left out when the template was built.
    pub leaves_out_strays: bool,
    /// The side of the network's input, in pixels.
    pub input_side_px: u32,
    /// The longer side of the pictures that the template was built from, in pixels.
    pub picture_side_px: u32,
    /// The number of good pictures that the template was built from.
    pub pictures: usize,
}

/// The meaning of the figures.
#[derive(Debug, Clone, PartialEq)]
pub enum Advice {
    /// Good or defective pictures are missing, so nothing can be said.
    Incomplete,
    /// Few defects are missed and few good pictures are rejected.
    Sound,
    /// Region rules let defective pictures pass whose score is above the threshold.
    RulesHideDefects {
        /// The number of these pictures.
        passed: usize,
    },
    /// The template ranks well, and a lower threshold catches far more defects.
    ThresholdTooHigh(Choice),
    /// The template ranks well. A higher threshold rejects far fewer good pictures and catches
    /// nearly the same defects.
    ThresholdTooLow(Choice),
    /// The template ranks well and its threshold makes use of that, but defects are still missed.
    AtItsLimit(Remedies),
    /// The template does not rank: no threshold catches most defects.
    DoesNotRank(Remedies),
}

/// Another threshold that could be set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// The share of the good pictures that it rejects, one of [`RATES`].
    pub rate: f64,
    /// The score that this share of the good pictures exceed in this test.
    pub limit: f64,
    /// The share of the defective pictures that it catches.
    pub caught: f64,
}

/// The steps to try on a template that misses too many defects.
#[derive(Debug, Clone, PartialEq)]
pub struct Remedies {
    /// The share of the defective pictures that is caught where 5 % of the good ones are rejected.
    pub caught_at_5: f64,
    /// The steps in the order in which to try them, without those that are done.
    pub steps: Vec<Step>,
}

/// One step to try.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// Mask out what does not belong to the part: background, fixtures, ragged edges.
    Mask,
    /// Look among the good pictures for some that do not belong there.
    Strays,
    /// Set another threshold, from fresh good parts.
    Threshold(Choice),
    /// Let the network see more pixels: this number a side.
    Size(u32),
    /// Take more pictures of good parts.
    MorePictures,
}

impl Advice {
    /// Returns a word for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Advice::Incomplete => "incomplete",
            Advice::Sound => "sound",
            Advice::RulesHideDefects { .. } => "rules-hide-defects",
            Advice::ThresholdTooHigh(_) => "threshold-too-high",
            Advice::ThresholdTooLow(_) => "threshold-too-low",
            Advice::AtItsLimit(_) => "at-its-limit",
            Advice::DoesNotRank(_) => "does-not-rank",
        }
    }
}

/// Says what a test means for a template.
pub fn advise(curve: &OperatingCurve, decisions: &Decisions, template: &Prepared) -> Advice {
    let Some(caught_at_5) = curve.caught_at(0.05) else { return Advice::Incomplete };
    let part = |count: usize, of: usize| count as f64 / of.max(1) as f64;
    let Decisions { false_rejects, missed, passed_by_rules, .. } = *decisions;
    let rejected = part(false_rejects, decisions.good);
    let missing = part(missed, decisions.defective);
    let gain = caught_at_5 - (1.0 - missing);
    let ranks_well =
        caught_at_5 >= RANKS_WELL || decisions.auroc.is_some_and(|auroc| auroc >= HIGH_AUROC);
    if missing > WORTH_WHILE && 2 * passed_by_rules > missed {
        return Advice::RulesHideDefects { passed: passed_by_rules };
    }
    // One picture may always be an odd one.
    let is_strict = rejected > WORTH_WHILE && false_rejects > 1;
    let is_too_high = gain > WORTH_WHILE && rejected < 0.05;
    let choice = |least: f64| choice(curve, least);
    match (is_too_high, ranks_well) {
        (true, true) => {
            if let Some(choice) = choice(caught_at_5 - SLIGHT) {
                return Advice::ThresholdTooHigh(choice);
            }
        }
        (false, true) if is_strict => {
            if let Some(choice) = choice((1.0 - missing - SLIGHT).min(caught_at_5)) {
                return Advice::ThresholdTooLow(choice);
            }
        }
        _ => {}
    }
    if missing <= WORTH_WHILE && !is_strict {
        return Advice::Sound;
    }
    let threshold = if is_too_high { choice(caught_at_5 - SLIGHT) } else { None };
    let remedies = Remedies { caught_at_5, steps: steps(template, threshold) };
    if ranks_well { Advice::AtItsLimit(remedies) } else { Advice::DoesNotRank(remedies) }
}

/// Returns the smallest rate at which at least the share `caught` of the defects is caught.
fn choice(curve: &OperatingCurve, caught: f64) -> Option<Choice> {
    RATES.into_iter().find_map(|rate| {
        let found = Choice { rate, limit: curve.limit(rate)?, caught: curve.caught_at(rate)? };
        (found.caught >= caught).then_some(found)
    })
}

/// Returns the steps that can still be tried, in their order.
fn steps(template: &Prepared, threshold: Option<Choice>) -> Vec<Step> {
    let larger = |side: &&u32| {
        **side > template.input_side_px && template.picture_side_px > template.input_side_px
    };
    let steps = [
        (!template.has_mask).then_some(Step::Mask),
        (!template.leaves_out_strays).then_some(Step::Strays),
        threshold.map(Step::Threshold),
        INPUT_SIDES_PX.iter().find(larger).map(|side| Step::Size(*side)),
        (template.pictures < MANY_PICTURES).then_some(Step::MorePictures),
    ];
    steps.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Prepared = Prepared {
        has_mask: false,
        leaves_out_strays: false,
        input_side_px: 256,
        picture_side_px: 600,
        pictures: 90,
    };

    /// Gives advice on 101 good scores from 0 to 1, so that the limits are 0.99, 0.98 and 0.95. Of
    /// 100 defects, `above` score 2, `between` score 0.965, and the rest score 0.5. `threshold` is
    /// the threshold.
    fn advice(above: usize, between: usize, threshold: f32, auroc: f64) -> Advice {
        let good = (0..=100).map(|i| (i as f32 / 100.0, false));
        let score = |i: usize| if i < above { 2.0 } else { 0.5 };
        let between_or =
            |i: usize| if (above..above + between).contains(&i) { 0.965 } else { score(i) };
        let curve = OperatingCurve::new(good.chain((0..100).map(|i| (between_or(i), true))));
        let rejected = curve.rejected(threshold);
        let decisions = Decisions {
            good: 101,
            false_rejects: rejected.good,
            defective: 100,
            missed: 100 - rejected.defective,
            passed_by_rules: 0,
            auroc: Some(auroc),
        };
        advise(&curve, &decisions, &PLAIN)
    }

    #[test]
    fn a_wrong_threshold_and_a_bad_ranking_are_told_apart() {
        let too_high = advice(90, 0, 2.5, 0.97);
        let Advice::ThresholdTooHigh(choice) = too_high else { panic!("{too_high:?}") };
        assert_eq!((choice.rate, choice.caught), (0.01, 0.9));
        assert!((choice.limit - 0.99).abs() < 1e-6);
        let five_percent = advice(60, 30, 1.5, 0.97);
        let Advice::ThresholdTooHigh(choice) = five_percent else { panic!("{five_percent:?}") };
        assert_eq!((choice.rate, choice.caught), (0.05, 0.9));
        let too_low = advice(95, 0, 0.8, 0.97);
        let Advice::ThresholdTooLow(choice) = too_low else { panic!("{too_low:?}") };
        assert_eq!((choice.rate, choice.caught), (0.01, 0.95));
        let bad = advice(30, 0, 0.98, 0.7);
        let Advice::DoesNotRank(remedies) = bad else { panic!("{bad:?}") };
        assert_eq!(remedies.caught_at_5, 0.3);
        assert_eq!(remedies.steps, [Step::Mask, Step::Strays, Step::Size(384), Step::MorePictures]);
        let both = advice(40, 0, 2.5, 0.7);
        let Advice::DoesNotRank(remedies) = both else { panic!("{both:?}") };
        assert!(matches!(remedies.steps[2], Step::Threshold(Choice { rate: 0.01, .. })));
        assert_eq!(advice(95, 0, 0.98, 0.97), Advice::Sound);
        assert_eq!(advice(85, 0, 0.98, 0.97).name(), "at-its-limit");
    }

    #[test]
    fn rules_that_hide_defects_and_missing_classes_are_named() {
        let curve = OperatingCurve::new([(1.0, false), (3.0, true), (3.0, true)]);
        let decisions = Decisions {
            good: 1,
            false_rejects: 0,
            defective: 2,
            missed: 2,
            passed_by_rules: 2,
            auroc: Some(1.0),
        };
        let found = advise(&curve, &decisions, &PLAIN);
        assert_eq!(found, Advice::RulesHideDefects { passed: 2 });
        let one_class = OperatingCurve::new([(1.0, false)]);
        assert_eq!(advise(&one_class, &decisions, &PLAIN), Advice::Incomplete);
    }

    #[test]
    fn what_is_done_is_not_advised() {
        let cases = [
            (PLAIN, vec![Step::Mask, Step::Strays, Step::Size(384), Step::MorePictures]),
            (
                Prepared { has_mask: true, input_side_px: 384, ..PLAIN },
                vec![Step::Strays, Step::Size(512), Step::MorePictures],
            ),
            (
                Prepared { picture_side_px: 200, pictures: 300, ..PLAIN },
                vec![Step::Mask, Step::Strays],
            ),
            (
                Prepared { leaves_out_strays: true, input_side_px: 512, ..PLAIN },
                vec![Step::Mask, Step::MorePictures],
            ),
        ];
        for (template, want) in cases {
            assert_eq!(steps(&template, None), want, "{template:?}");
        }
    }
}
