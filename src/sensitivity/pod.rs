//! This module computes the size that is found in 90 % of the cases with 95 % confidence, from hits
//! and misses.
//!
//! # The bound
//! a90/95 is the size at which the lower 95 % confidence bound of the probability of detection
//! reaches 90 %. For hits and misses it comes from the likelihood ratio. Take the best of all
//! curves with 90 % at size a. Let c be the 90 % quantile of chi-square with one degree of freedom
//! (2.706). The log likelihood of that curve must not be below that of the fit by more than c / 2.
//! That leaves 5 % on each side, and only one side is used.
//!
//! # Tries on one picture resemble each other
//! The same picture is used for several tries, so these are not independent. The variance of the
//! fitted ln a90 is computed twice. The first comes from the model, the second from the sums of the
//! residuals of every picture (the sandwich of Liang and Zeger, 1986). Where the second is larger,
//! c is multiplied by their ratio, the *design effect*.
//!
//! # Where no curve fits
//! - One size separates hits from misses, or there are no misses. The sizes from the smallest
//!   without a miss are then joined until they hold 29 tries. 29 hits of 29 are evidence for 90 %
//!   with 95 % confidence, whatever the curve is.
//! - The bound lies beyond the largest size. It is then "above" that size. Nothing is said about
//!   sizes that were not tried.
//! - From some size on, fewer are found than 90 % allow by chance (5 %). The template is then blind
//!   somewhere. The curve ends at 1 and cannot show this. The size rises to the first size for
//!   which the tries agree.

use super::logit::{self, Counts, Line, derivatives, edges, profile, solve};
use serde::Serialize;
use statrs::distribution::{Binomial, DiscreteCDF};
use std::collections::BTreeMap;

/// The share of defects that must be found.
pub const SHARE: f64 = 0.9;
/// The one-sided confidence in that share.
pub const CONFIDENCE: f64 = 0.95;
/// The 90 % quantile of chi-square with one degree of freedom, which leaves 5 % on each side.
const QUANTILE: f64 = 2.705_543_454_095_404;
/// The number of points of a curve.
const POINTS: usize = 41;

/// One made-up defect that was inspected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trial {
    /// The size in pixels, above 0.
    pub size: f64,
    /// Whether the defect was found.
    pub found: bool,
    /// The picture that it was drawn into.
    pub picture: usize,
}

/// A size, as far as the tries can tell it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "relation", content = "px")]
pub enum Limit {
    /// The size is this.
    #[serde(rename = "=")]
    At(f64),
    /// The size is this or less. No smaller one was tried, or none was enough.
    #[serde(rename = "<=")]
    AtMost(f64),
    /// The size is more than this, the largest that was tried.
    #[serde(rename = ">")]
    Above(f64),
}

impl Limit {
    /// Returns the number of pixels by which the size is stated.
    pub fn px(self) -> f64 {
        match self {
            Limit::At(px) | Limit::AtMost(px) | Limit::Above(px) => px,
        }
    }

    /// Returns whether a size is known that is enough.
    pub fn is_reached(self) -> bool {
        !matches!(self, Limit::Above(_))
    }
}

/// The tries of one size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SizeCount {
    /// The size in pixels.
    pub px: f64,
    /// How many tries there were.
    pub tries: usize,
    /// How many defects were found.
    pub found: usize,
}

/// The fitted curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Fit {
    /// The value b0 of `logit POD = b0 + b1 ln(size)`.
    pub intercept: f64,
    /// The value b1 of the same equation.
    pub slope: f64,
    /// How much the tries on one picture resemble each other. 1 means not at all.
    pub design_effect: f64,
}

/// One point of the curve, with its one-sided 95 % bounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CurvePoint {
    /// The size in pixels.
    pub px: f64,
    /// The probability of detection.
    pub pod: f64,
    /// The lower bound of the probability, with 95 % confidence.
    pub lower: f64,
    /// The upper bound of the probability, with 95 % confidence.
    pub upper: f64,
}

/// The probability of detection of one kind of defect.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pod {
    /// How many tries there were.
    pub tries: usize,
    /// How many defects were found.
    pub found: usize,
    /// The size that is found half the time.
    pub a50: Limit,
    /// The size that is found in 90 % of the cases.
    pub a90: Limit,
    /// The size that is found in 90 % of the cases, with 95 % confidence.
    pub a90_95: Limit,
    /// The curve, where one fits.
    pub fit: Option<Fit>,
    /// The tries by size, smallest first.
    pub sizes: Vec<SizeCount>,
    /// The points of the curve and its bounds, smallest size first. The list is empty where no
    /// curve fits.
    pub curve: Vec<CurvePoint>,
}

impl Pod {
    /// Analyses `trials`, or returns `None` where there are none.
    pub fn of(trials: &[Trial]) -> Option<Pod> {
        Pod::with(trials, 1.0)
    }

    /// Does the same as [`Pod::of`] with a design effect of at least `least`, for tries that are
    /// known to be alike.
    pub fn with(trials: &[Trial], least: f64) -> Option<Pod> {
        let sizes = by_size(trials);
        let (first, last) = (sizes.first()?, sizes.last()?);
        let range = (first.px, last.px);
        let counts: Vec<Counts> = sizes.iter().map(counts_of).collect();
        let rising = logit::fit(&counts).filter(|line| line.slope > 0.0);
        let fitted = rising.map(|line| Fitted::new(line, &counts, trials, least));
        let bound = match &fitted {
            Some(fitted) => fitted.bound(range),
            None => by_runs(&sizes),
        };
        let estimate = |share| match &fitted {
            Some(fitted) => within(fitted.line.place(share).exp(), range),
            None => estimate_without_curve(&counts, share, range),
        };
        let found = sizes.iter().map(|s| s.found).sum();
        let (a50, a90) = (estimate(0.5), estimate(SHARE));
        Some(Pod {
            tries: trials.len(),
            found,
            a50,
            a90,
            a90_95: agreeing(bound, &sizes),
            fit: fitted.as_ref().map(Fitted::told),
            curve: fitted.map_or_else(Vec::new, |fitted| fitted.curve(range)),
            sizes,
        })
    }

    /// Returns the probability that a defect of `size` pixels is found, or `None` where nothing was
    /// found at all.
    pub fn probability(&self, size: f64) -> Option<f64> {
        match (&self.fit, self.found) {
            (_, 0) => None,
            (Some(fit), _) => {
                let line = Line { intercept: fit.intercept, slope: fit.slope };
                Some(line.probability(size.ln()))
            }
            (None, _) => Some(f64::from(u8::from(size >= self.a50.px()))),
        }
    }
}

fn by_size(trials: &[Trial]) -> Vec<SizeCount> {
    let mut counts: BTreeMap<u64, SizeCount> = BTreeMap::new();
    for trial in trials.iter().filter(|t| t.size > 0.0) {
        // The bits of positive numbers are in the order of the numbers.
        let count = counts.entry(trial.size.to_bits()).or_insert(SizeCount {
            px: trial.size,
            tries: 0,
            found: 0,
        });
        count.tries += 1;
        count.found += usize::from(trial.found);
    }
    counts.into_values().collect()
}

fn counts_of(size: &SizeCount) -> Counts {
    Counts { x: size.px.ln(), hits: size.found as f64, tries: size.tries as f64 }
}

/// Returns a size, as far as it lies among those that were tried.
fn within(size: f64, (least, most): (f64, f64)) -> Limit {
    match size {
        size if size <= least => Limit::AtMost(least),
        size if size <= most => Limit::At(size),
        _ => Limit::Above(most),
    }
}

/// Returns the size for `share` where no rising curve fits.
fn estimate_without_curve(counts: &[Counts], share: f64, (least, most): (f64, f64)) -> Limit {
    match edges(counts) {
        (None, _) => Limit::AtMost(least),
        (_, None) => Limit::Above(most),
        (Some(miss), Some(hit)) if miss <= hit => Limit::AtMost(hit.exp()),
        _ => {
            let (hits, tries) =
                counts.iter().fold((0.0, 0.0), |(h, t), c| (h + c.hits, t + c.tries));
            if hits >= share * tries { Limit::AtMost(least) } else { Limit::Above(most) }
        }
    }
}

/// Returns the bound without a curve: the first size up to which enough tries in a row were all
/// found.
fn by_runs(sizes: &[SizeCount]) -> Limit {
    let most = sizes.last().map_or(0.0, |s| s.px);
    let after_misses = sizes.iter().rposition(|s| s.found < s.tries).map_or(0, |at| at + 1);
    let mut tries = 0;
    for size in &sizes[after_misses..] {
        tries += size.tries as i32;
        if SHARE.powi(tries) <= 1.0 - CONFIDENCE {
            return Limit::AtMost(size.px);
        }
    }
    Limit::Above(most)
}

/// Raises a bound to the first size from which on the tries do not contradict it.
fn agreeing(bound: Limit, sizes: &[SizeCount]) -> Limit {
    let Some(last) = sizes.last().filter(|_| bound.is_reached()) else { return bound };
    let agrees = |from: f64| {
        let beyond = sizes.iter().filter(|s| s.px >= from);
        let (found, tries) = beyond.fold((0, 0), |(f, t), s| (f + s.found, t + s.tries));
        let chance = Binomial::new(SHARE, tries as u64).map_or(0.0, |b| b.cdf(found as u64));
        chance >= 1.0 - CONFIDENCE
    };
    if agrees(bound.px()) {
        return bound;
    }
    let larger = sizes.iter().map(|s| s.px).filter(|px| *px > bound.px());
    larger.into_iter().find(|px| agrees(*px)).map_or(Limit::Above(last.px), Limit::At)
}

/// A rising curve, and the data from which its bounds are computed.
struct Fitted<'a> {
    line: Line,
    counts: &'a [Counts],
    best: f64,
    design_effect: f64,
}

impl<'a> Fitted<'a> {
    fn new(line: Line, counts: &'a [Counts], trials: &[Trial], least: f64) -> Self {
        let design_effect = design_effect(line, counts, trials).max(least);
        Fitted { line, counts, best: line.log_likelihood(counts), design_effect }
    }

    fn told(&self) -> Fit {
        let Line { intercept, slope } = self.line;
        Fit { intercept, slope, design_effect: self.design_effect }
    }

    /// Returns whether a curve with `probability` at `x` is too unlikely.
    fn is_excluded(&self, x: f64, probability: f64) -> bool {
        let drop = 2.0 * (self.best - profile(self.counts, x, probability));
        drop > QUANTILE * self.design_effect
    }

    /// Returns the size from which on the lower bound of the probability is at least 90 %.
    fn bound(&self, (least, most): (f64, f64)) -> Limit {
        let start = self.line.place(SHARE);
        let end = most.ln();
        if start >= end || !self.is_excluded(end, SHARE) {
            return Limit::Above(most);
        }
        let at = bisect(start, end, |x| self.is_excluded(x, SHARE));
        within(at.exp(), (least, most))
    }

    fn curve(&self, (least, most): (f64, f64)) -> Vec<CurvePoint> {
        let (from, to) = (least.ln(), most.ln());
        let point = |i: usize| {
            let x = from + (to - from) * i as f64 / (POINTS - 1) as f64;
            let eta = logit::logit(self.line.probability(x).clamp(1e-9, 1.0 - 1e-9));
            let p = |eta: f64| 1.0 / (1.0 + (-eta).exp());
            let bound = |end: f64| p(bisect(eta, end, |eta| self.is_excluded(x, p(eta))));
            CurvePoint { px: x.exp(), pod: p(eta), lower: bound(-21.0), upper: bound(21.0) }
        };
        (0..POINTS).map(point).collect()
    }
}

/// Returns the place between `inside` and `outside` from which on `is_outside` holds.
fn bisect(mut inside: f64, mut outside: f64, is_outside: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..40 {
        let middle = 0.5 * (inside + outside);
        match is_outside(middle) {
            true => outside = middle,
            false => inside = middle,
        }
    }
    outside
}

/// Returns the variance of the fitted ln a90 with the tries of one picture taken together, divided
/// by that of independent tries. It is at least 1, and it is 1 where there is only one picture.
fn design_effect(line: Line, counts: &[Counts], trials: &[Trial]) -> f64 {
    let (_, information) = derivatives(counts, line);
    let x90 = line.place(SHARE);
    let gradient = [-1.0 / line.slope, -x90 / line.slope];
    let Some(direction) = solve(information, gradient) else { return 1.0 };
    let plain = gradient[0] * direction[0] + gradient[1] * direction[1];
    let mut of_pictures: BTreeMap<usize, f64> = BTreeMap::new();
    for trial in trials {
        let x = trial.size.ln();
        let rest = f64::from(u8::from(trial.found)) - line.probability(x);
        *of_pictures.entry(trial.picture).or_default() += rest * (direction[0] + direction[1] * x);
    }
    let pictures = of_pictures.len() as f64;
    if pictures < 2.0 {
        return 1.0;
    }
    let together: f64 = of_pictures.values().map(|sum| sum * sum).sum();
    (together * pictures / (pictures - 1.0) / plain).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes tries from `(size, found, tries)`. Number i of a size is on picture `picture(i)`, and
    /// the found ones come first.
    fn trials(of: &[(f64, usize, usize)], picture: impl Fn(usize) -> usize) -> Vec<Trial> {
        let of_size = |&(size, found, tries): &(f64, usize, usize)| -> Vec<Trial> {
            let trial = |i| Trial { size, found: i < found, picture: picture(i) };
            (0..tries).map(trial).collect()
        };
        of.iter().flat_map(of_size).collect()
    }

    fn near(limit: Limit, want: f64) -> bool {
        matches!(limit, Limit::At(px) if (px / want - 1.0).abs() < 1e-5)
    }

    /// The numbers come from statsmodels (GLM) and scipy (profile likelihood, `brentq`) for Bliss's
    /// beetles. The size is 10 to the power of Dobson's log10 dose. Every try is a picture of its
    /// own.
    #[test]
    fn a_published_example_has_the_bounds_that_scipy_computes() {
        let dose = [1.6907, 1.7242, 1.7552, 1.7842, 1.8113, 1.8369, 1.8610, 1.8839];
        let killed =
            [(6, 59), (13, 60), (18, 62), (28, 56), (52, 63), (53, 59), (61, 62), (60, 60)];
        let mut all = Vec::new();
        for (dose, (found, tries)) in dose.iter().zip(killed) {
            let from = all.len();
            all.extend(trials(&[(10f64.powf(*dose), found, tries)], |i| from + i));
        }
        let pod = Pod::of(&all).expect("tries");
        // Independent tries may also differ from the model in the other direction.
        let design = pod.fit.expect("a fit").design_effect;
        assert!((1.0..1.2).contains(&design), "{design}");
        assert!(near(pod.a50, 59.118_167_6), "{:?}", pod.a50);
        assert!(near(pod.a90, 68.522_856_3), "{:?}", pod.a90);
        let counts: Vec<Counts> = pod.sizes.iter().map(counts_of).collect();
        let line = logit::fit(&counts).expect("a fit");
        let fitted = Fitted {
            line,
            counts: &counts,
            best: line.log_likelihood(&counts),
            design_effect: 1.0,
        };
        assert!(near(fitted.bound((49.0, 77.0)), 70.270_220_2));
    }

    /// The numbers come from statsmodels and scipy: the sandwich with groups, times groups /
    /// (groups - 1), and a profile likelihood.
    #[test]
    fn tries_on_one_picture_widen_the_bound() {
        let of = [
            (2.0, 0, 10),
            (3.0, 1, 10),
            (4.0, 2, 10),
            (6.0, 4, 10),
            (8.0, 8, 10),
            (12.0, 9, 10),
            (16.0, 10, 10),
            (24.0, 10, 10),
        ];
        for (picture, design, bound) in [
            (&(|i: usize| i % 5) as &dyn Fn(usize) -> usize, 1.364_854_4, None),
            (&|i| i / 2, 2.761_126_8, Some(19.051_821_8)),
        ] {
            let pod = Pod::of(&trials(&of, picture)).expect("tries");
            let fit = pod.fit.expect("a fit");
            assert!((fit.intercept + 6.901_851_94).abs() < 1e-6 && near(pod.a90, 10.674_288_5));
            assert!((fit.design_effect - design).abs() < 1e-5, "{fit:?}");
            assert!(bound.is_none_or(|bound| near(pod.a90_95, bound)), "{:?}", pod.a90_95);
        }
        let twice = Pod::with(&trials(&of, |i| i), 2.761_126_8).expect("tries");
        assert!(near(twice.a90_95, 19.051_821_8), "{:?}", twice.a90_95);
        let alone = Pod::of(&trials(&of, |_| 0)).expect("tries");
        assert!(near(alone.a90_95, 14.437_552_1), "{:?}", alone.a90_95);
        let lower = |px: f64| {
            let next = alone.curve.iter().position(|p| p.px >= px).expect("a point");
            let (a, b) = (&alone.curve[next - 1], &alone.curve[next]);
            a.lower + (b.lower - a.lower) * (px - a.px) / (b.px - a.px)
        };
        // scipy gives 0.756843 at 10 px. The curve reaches 90 % at the bound.
        assert!((lower(10.0) - 0.756_843).abs() < 2e-3, "{}", lower(10.0));
        assert!((lower(14.437_552_1) - 0.9).abs() < 2e-3);
    }

    #[test]
    fn where_no_curve_fits_nothing_is_invented() {
        use Limit::{Above, AtMost};
        for (what, of, a50, a90_95) in [
            ("no hits", vec![(2.0, 0, 40), (8.0, 0, 40)], Above(8.0), Above(8.0)),
            ("hits everywhere", vec![(2.0, 40, 40), (8.0, 40, 40)], AtMost(2.0), AtMost(2.0)),
            ("too few of them", vec![(2.0, 9, 9), (8.0, 9, 9)], AtMost(2.0), Above(8.0)),
            (
                "few in each size",
                vec![(2.0, 0, 9), (4.0, 15, 15), (8.0, 15, 15)],
                AtMost(4.0),
                AtMost(8.0),
            ),
            ("parted", vec![(2.0, 0, 30), (4.0, 30, 30), (8.0, 9, 9)], AtMost(4.0), AtMost(4.0)),
            (
                "parted at a size",
                vec![(2.0, 0, 30), (4.0, 15, 30), (8.0, 30, 30)],
                AtMost(4.0),
                AtMost(8.0),
            ),
            ("falling", vec![(2.0, 20, 40), (8.0, 9, 40)], Above(8.0), Above(8.0)),
        ] {
            let pod = Pod::of(&trials(&of, |i| i)).expect("tries");
            assert_eq!((pod.a50, pod.a90_95), (a50, a90_95), "{what}");
            assert!(pod.curve.is_empty() && pod.fit.is_none(), "{what}");
        }
        assert_eq!(Pod::of(&[]), None);
    }

    #[test]
    fn nothing_is_said_beyond_the_largest_size() {
        let rising = [(2.0, 2, 20), (4.0, 8, 20), (8.0, 16, 20)];
        let pod = Pod::of(&trials(&rising, |i| i)).expect("tries");
        assert_eq!((pod.a90, pod.a90_95), (Limit::Above(8.0), Limit::Above(8.0)));
    }

    /// A third of the places is blind. The curve of the model ends at 1, and the tries do not.
    #[test]
    fn a_blind_share_is_not_hidden_by_the_curve() {
        let of = [(2.0, 0, 60), (4.0, 24, 60), (8.0, 45, 60), (16.0, 46, 60), (32.0, 45, 60)];
        let pod = Pod::of(&trials(&of, |i| i)).expect("tries");
        assert_eq!(pod.a90_95, Limit::Above(32.0), "{pod:?}");
        let with_recovery = [(2.0, 0, 60), (4.0, 50, 60), (8.0, 48, 60), (16.0, 60, 60)];
        let pod = Pod::of(&trials(&with_recovery, |i| i)).expect("tries");
        assert!(pod.a90_95.px() > 8.0, "{:?}", pod.a90_95);
    }

    /// This tests the promise itself. Of many studies of one known curve, at most about 5 % may
    /// state a size that is too small.
    #[test]
    fn a_stated_size_is_large_enough_in_95_of_100_studies() {
        let truth = Line { intercept: -7.0, slope: 3.6 };
        let real = truth.place(SHARE).exp();
        let mut state = 88_172_645_463_325_252u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        let (mut too_small, studies) = (0, 100);
        for _ in 0..studies {
            let trials: Vec<Trial> = (0..160)
                .map(|i| {
                    let size = 4.0 * 1.35f64.powi(i % 8);
                    let found = random() < truth.probability(size.ln());
                    Trial { size, found, picture: i as usize % 20 }
                })
                .collect();
            let pod = Pod::of(&trials).expect("tries");
            too_small += usize::from(pod.a90_95.is_reached() && pod.a90_95.px() < real);
        }
        assert!(too_small as f64 <= 0.09 * f64::from(studies), "{too_small} of {studies}");
    }
}
