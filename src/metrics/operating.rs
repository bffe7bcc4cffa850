//! This module says what a threshold costs and what it catches: the operating curve, and precision
//! over recall.
//!
//! # The operating curve
//! Let `g` be the n scores of good pictures, sorted, and R a rate from 0 to 1. The *limit* for R is
//! the (1 - R) quantile of `g`: the value at position `(1 - R)(n - 1)`, linear between two
//! neighbours. The share *caught* at R is the share of the defective pictures whose score lies
//! above this limit. The curve shows this share against R. It needs no threshold, so it tells how
//! well a template ranks.
//!
//! A score that is NaN or infinite is rejected by any threshold, so it counts as above every limit.

use super::SortedScores;

/// The scores of good and of defective pictures, from which the effect of any threshold follows.
#[derive(Debug, Clone, PartialEq)]
pub struct OperatingCurve {
    /// The scores of the good pictures, lowest first.
    good: Vec<f64>,
    /// The scores of the defective pictures, lowest first.
    defective: Vec<f64>,
}

/// The numbers of good and defective pictures of some kind, for example of those above a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// The number of good pictures.
    pub good: usize,
    /// The number of defective pictures.
    pub defective: usize,
}

impl OperatingCurve {
    /// Makes the curve from the score of every picture, and whether it is defective.
    pub fn new(scored: impl IntoIterator<Item = (f32, bool)>) -> Self {
        let mut curve = OperatingCurve { good: Vec::new(), defective: Vec::new() };
        for (score, is_defective) in scored {
            let class = if is_defective { &mut curve.defective } else { &mut curve.good };
            class.push(if score.is_nan() { f64::INFINITY } else { f64::from(score) });
        }
        curve.good.sort_by(f64::total_cmp);
        curve.defective.sort_by(f64::total_cmp);
        curve
    }

    /// Returns the score that the share `rate` (0..=1) of the good pictures exceed, or `None`
    /// without good pictures.
    pub fn limit(&self, rate: f64) -> Option<f64> {
        let last = self.good.len().checked_sub(1)?;
        let position = (1.0 - rate).clamp(0.0, 1.0) * last as f64;
        let below = position.floor() as usize;
        let (low, high) = (self.good[below], self.good[(below + 1).min(last)]);
        let part = position - below as f64;
        // Two infinite scores have no difference, so no part of it can be taken.
        Some(if part == 0.0 || low == high { low } else { low + part * (high - low) })
    }

    /// Returns the share (0..=1) of the defective pictures that is caught where the share `rate` of
    /// the good ones is rejected. Returns `None` where one of the classes is empty.
    pub fn caught_at(&self, rate: f64) -> Option<f64> {
        let limit = self.limit(rate)?;
        self.share(self.defective.len() - at_most(&self.defective, limit))
    }

    /// Counts the pictures that `threshold` rejects.
    pub fn rejected(&self, threshold: f32) -> Counts {
        let above = |scores: &[f64]| scores.len() - at_most(scores, f64::from(threshold));
        Counts { good: above(&self.good), defective: above(&self.defective) }
    }

    /// Counts all pictures.
    pub fn counts(&self) -> Counts {
        Counts { good: self.good.len(), defective: self.defective.len() }
    }

    /// Returns the rate whose limit is `threshold`. It is 0 where no good picture is above the
    /// threshold, and 1 where all are. Returns `None` without good pictures.
    pub fn rate_of(&self, threshold: f32) -> Option<f64> {
        let threshold = f64::from(threshold);
        (!self.good.is_empty()).then(|| self.rate(at_most(&self.good, threshold), threshold))
    }

    /// Returns the corners of the curve from rate 0 up to the rate `to`, in the order of the rate:
    /// (rate, share caught). The list is empty where one of the classes is empty.
    pub fn corners(&self, to: f64) -> Vec<(f64, f64)> {
        let (Some(mut caught), Some(at_end)) = (self.caught_at(0.0), self.caught_at(to)) else {
            return Vec::new();
        };
        let mut corners = vec![(0.0, caught)];
        for (rank, &score) in self.defective.iter().rev().enumerate() {
            let rate = self.rate(self.good.partition_point(|good| *good < score), score);
            if rate <= 0.0 || score == f64::INFINITY {
                continue;
            }
            if rate >= to {
                break;
            }
            corners.push((rate, caught));
            caught = self.share(rank + 1).unwrap_or(caught);
            corners.push((rate, caught));
        }
        corners.push((to, at_end));
        corners
    }

    /// Returns the rate at which the limit reaches `score`, where `below` good pictures lie below
    /// it.
    fn rate(&self, below: usize, score: f64) -> f64 {
        let count = self.good.len();
        if below == 0 || below >= count {
            return if below == 0 { 1.0 } else { 0.0 };
        }
        let (low, high) = (self.good[below - 1], self.good[below]);
        let part =
            if low.is_finite() && high.is_finite() { (score - low) / (high - low) } else { 0.0 };
        1.0 - ((below - 1) as f64 + part.clamp(0.0, 1.0)) / (count - 1) as f64
    }

    fn share(&self, caught: usize) -> Option<f64> {
        let all = self.defective.len();
        (all > 0).then(|| caught as f64 / all as f64)
    }
}

/// Counts how many of the sorted `scores` are at most `limit`. An infinite score never is.
fn at_most(scores: &[f64], limit: f64) -> usize {
    scores.partition_point(|score| *score <= limit && *score < f64::INFINITY)
}

/// One point of a ranking, where all pictures above some score count as defective.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The rejected good pictures, as a part 0..=1 of the good ones.
    pub false_rejects: f64,
    /// The rejected defective pictures, as a part 0..=1 of the defective ones.
    pub found: f64,
    /// The part of the rejected pictures that are defective, 0..=1. It is 1 where none is rejected.
    pub precision: f64,
}

/// Returns the vertices of the curves, one per distinct score, beginning with "nothing is
/// rejected".
///
/// It returns `None` where one of the two classes is empty, because then neither curve exists.
pub fn vertices(scored: &[(f32, bool)]) -> Option<Vec<Point>> {
    let bad = scored.iter().filter(|(_, bad)| *bad).count();
    let good = scored.len() - bad;
    if good == 0 || bad == 0 {
        return None;
    }
    let sorted = SortedScores::new(scored.iter().map(|&(s, bad)| (s, u32::from(bad))).collect());
    let (mut rejected, mut found) = (0, 0);
    let mut points = vec![point(0, 0, good, bad)];
    for tie in sorted.ties() {
        let hits = tie.iter().filter(|(_, class)| *class != 0).count();
        found += hits;
        rejected += tie.len() - hits;
        points.push(point(rejected, found, good, bad));
    }
    Some(points)
}

/// Returns the point of a threshold. It rejects each score that is not at most `threshold`, as the
/// verdict does.
pub fn operating_point(scored: &[(f32, bool)], threshold: f32) -> Point {
    let count = |bad: bool, rejected: bool| {
        // A score that is NaN is rejected.
        let passes = |score: f32| score <= threshold;
        scored.iter().filter(|(s, b)| *b == bad && !(rejected && passes(*s))).count()
    };
    point(count(false, true), count(true, true), count(false, false), count(true, false))
}

/// Computes the average precision: the mean, over the defective pictures, of the precision at which
/// each is found. Ties are taken together.
pub fn average_precision(vertices: &[Point]) -> f64 {
    vertices.windows(2).map(|pair| (pair[1].found - pair[0].found) * pair[1].precision).sum()
}

fn point(rejected_good: usize, found_bad: usize, good: usize, bad: usize) -> Point {
    let part = |count: usize, of: usize| if of == 0 { 0.0 } else { count as f64 / of as f64 };
    let rejected = rejected_good + found_bad;
    Point {
        false_rejects: part(rejected_good, good),
        found: part(found_bad, bad),
        precision: if rejected == 0 { 1.0 } else { part(found_bad, rejected) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCORED: [(f32, bool); 6] =
        [(0.1, false), (0.4, true), (0.4, false), (0.3, false), (0.8, true), (0.9, true)];

    /// Takes the good scores 1 to 5, so that the limit for R is 5 - 4 R.
    fn five_good(defective: &[f32]) -> OperatingCurve {
        let good = (1..=5).map(|score| (score as f32, false));
        OperatingCurve::new(good.chain(defective.iter().map(|&score| (score, true))))
    }

    #[test]
    fn limits_and_what_is_caught_at_them_by_hand() {
        let curve = five_good(&[6.0, 4.9, 4.7, 2.0]);
        // The limits are 5, 4.96, 4.92, 4.8, 4, 3, 1. A score at the limit is not above it.
        let cases = [
            (0.0, 5.0, 0.25),
            (0.01, 4.96, 0.25),
            (0.02, 4.92, 0.25),
            (0.05, 4.8, 0.5),
            (0.25, 4.0, 0.75),
            (0.5, 3.0, 0.75),
            (1.0, 1.0, 1.0),
        ];
        for (rate, limit, caught) in cases {
            let found = curve.limit(rate).expect("good pictures");
            assert!((found - limit).abs() < 1e-12, "{rate}: {found}");
            assert_eq!(curve.caught_at(rate), Some(caught), "{rate}");
        }
        assert_eq!(five_good(&[4.0, 4.0]).caught_at(0.25), Some(0.0), "at the limit");
        let twenty = OperatingCurve::new((0..20).map(|i| (i as f32, false)).chain([(18.5, true)]));
        // The positions are 0.95 * 19 = 18.05 and 0.98 * 19 = 18.62.
        assert!((twenty.limit(0.05).expect("good pictures") - 18.05).abs() < 1e-12);
        assert_eq!((twenty.caught_at(0.05), twenty.caught_at(0.02)), (Some(1.0), Some(0.0)));
    }

    #[test]
    fn an_empty_class_has_no_figure_and_what_is_no_number_is_caught() {
        assert_eq!(five_good(&[]).caught_at(0.05), None);
        let no_good = OperatingCurve::new([(3.0, true)]);
        assert_eq!((no_good.limit(0.05), no_good.caught_at(0.05)), (None, None));
        assert!(no_good.corners(1.0).is_empty() && no_good.rate_of(3.0).is_none());
        let one_good = OperatingCurve::new([(1.0, false), (f32::NAN, true), (1.0, true)]);
        assert_eq!((one_good.limit(0.3), one_good.caught_at(0.3)), (Some(1.0), Some(0.5)));
        let spoiled = OperatingCurve::new([(1.0, false), (f32::NAN, false), (9.0, true)]);
        assert_eq!((spoiled.caught_at(0.05), spoiled.caught_at(1.0)), (Some(0.0), Some(1.0)));
        assert_eq!(spoiled.rejected(9.0), Counts { good: 1, defective: 0 });
    }

    #[test]
    fn thresholds_have_their_counts_and_their_place_on_the_curve() {
        let curve = five_good(&[6.0, 4.9, 4.7, 2.0]);
        let cases = [
            (9.0, 0, 0, 0.0),
            (5.0, 0, 1, 0.0),
            (4.8, 1, 2, 0.05),
            (4.0, 1, 3, 0.25),
            (1.5, 4, 4, 0.875),
            (0.5, 5, 4, 1.0),
        ];
        for (threshold, good, defective, rate) in cases {
            assert_eq!(curve.rejected(threshold), Counts { good, defective }, "{threshold}");
            let found = curve.rate_of(threshold).expect("good pictures");
            assert!((found - rate).abs() < 1e-6, "{threshold}: {found}");
        }
    }

    #[test]
    fn the_corners_are_where_the_share_changes() {
        let curve = five_good(&[6.0, 4.9, 4.7, 2.0]);
        let rounded = |to| -> Vec<(f64, f64)> {
            let round = |v: f64| (v * 1e4).round() / 1e4;
            curve.corners(to).into_iter().map(|(rate, caught)| (round(rate), caught)).collect()
        };
        assert_eq!(rounded(0.05), [(0.0, 0.25), (0.025, 0.25), (0.025, 0.5), (0.05, 0.5)]);
        let whole = rounded(1.0);
        assert_eq!(
            whole[3..],
            [(0.075, 0.5), (0.075, 0.75), (0.75, 0.75), (0.75, 1.0), (1.0, 1.0)]
        );
        for pair in curve.corners(1.0).windows(2) {
            let middle = (pair[0].0 + pair[1].0) / 2.0;
            let is_level = pair[0].1 == pair[1].1;
            assert!(!is_level || curve.caught_at(middle) == Some(pair[0].1), "{pair:?}");
        }
    }

    #[test]
    fn vertices_of_a_small_ranking() {
        let points = vertices(&SCORED).expect("both classes");
        let found: Vec<_> =
            points.iter().map(|p| (p.false_rejects * 3.0, p.found * 3.0, p.precision)).collect();
        let want = [
            (0.0, 0.0, 1.0),
            (0.0, 1.0, 1.0),
            (0.0, 2.0, 1.0),
            (1.0, 3.0, 0.75),
            (2.0, 3.0, 0.6),
            (3.0, 3.0, 0.5),
        ];
        assert_eq!(found, want);
        assert!((average_precision(&points) - (2.0 + 0.75) / 3.0).abs() < 1e-12);
        assert_eq!(vertices(&SCORED[..1]), None);
    }

    #[test]
    fn the_operating_point_lies_on_the_curve_and_a_score_at_the_threshold_passes() {
        let points = vertices(&SCORED).expect("both classes");
        for threshold in [0.0, 0.1, 0.3, 0.4, 0.8, 0.9, 2.0] {
            assert!(points.contains(&operating_point(&SCORED, threshold)), "{threshold}");
        }
        assert_eq!(operating_point(&SCORED, 0.4).found * 3.0, 2.0);
        assert_eq!(operating_point(&[(f32::NAN, true)], 0.4).found, 1.0);
    }
}
