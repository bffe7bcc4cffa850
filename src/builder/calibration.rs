//! Computes a threshold from good parts alone, with what it promises.
//!
//! # Order statistics
//! Let n scores of good parts be given that the template has not seen, and a next good part like them. Its score is
//! equally likely to fall into each of the n + 1 gaps between the n scores, whatever the distribution. So with the k-th
//! largest score as threshold, the next good part is rejected with probability `k / (n + 1)`. Over all such sets of n,
//! the threshold's own false-reject rate follows `Beta(k, n + 1 - k)`. For a rate that was asked for, k is the largest
//! whole number with `k / (n + 1)` not above the rate. If `n + 1 < 1 / rate`, there is no such k, and the rate cannot
//! be promised.
//!
//! # An estimate
//! If no rate was asked for, nothing has to be promised, and few parts need not mean a lenient threshold. [`estimate`]
//! joins two estimates of the same quantile:
//!
//! - The first assumes a normal distribution above the median, with the root mean square of what lies above it, as a
//!   prediction for the next part (Student's t, times `sqrt(1 + 1/n)`). It needs few parts. It is wrong as far as the
//!   upper half of the scores is not normal. The lower half says nothing about the tail: on some products many parts
//!   score next to nothing.
//! - The second is that of Harrell and Davis, a mean of the sorted scores weighed by a beta distribution. It is right
//!   for every distribution, and it needs many parts.
//!
//! The second has the weight `n r / (n r + 5)` for the rate r. Both weigh the same if the scores hold five parts beyond
//! the quantile. A score more than four robust deviations above the median counts as that much. So a stray cannot move
//! the threshold far.
//!
//! Let m of n scores lie above a threshold. Whatever the distribution, the threshold's true rate lies between the rates
//! of the two neighbouring scores as thresholds. These are the lower quantile of `Beta(m, n + 1 - m)` and the upper one
//! of `Beta(m + 1, n - m)`.
//!
//! Among m further parts, the number of rejects follows the beta-binomial distribution of the same parameters.
//! [`Threshold::expected`] returns its central 95 %.

use statrs::distribution::{Beta, ContinuousCDF, StudentsT};
use statrs::function::beta::ln_beta;
use statrs::function::factorial::ln_binomial;

/// The share of the cases that the stated intervals cover.
pub const CONFIDENCE: f64 = 0.95;

/// Holds a threshold and what it promises about good parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// Above this score a part is rejected.
    pub score: f32,
    /// The number of scores at or above it, k.
    pub rank: usize,
    /// The number of scores that it comes from, n.
    pub pictures: usize,
    /// The 95 % interval of its true false-reject rate.
    pub interval: [f64; 2],
}

/// Says that there are too few good parts for the rate that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooFew {
    /// The number of good parts.
    pub pictures: usize,
    /// The number of good parts that the rate needs.
    pub needed: usize,
}

/// Computes the threshold that rejects at most `rate` (between 0 and 1) of good parts, from their `scores`.
///
/// Scores that are not numbers count as the worst.
pub fn threshold(scores: &[f32], rate: f64) -> Result<Threshold, TooFew> {
    let n = scores.len();
    // A product like 0.01 * 100 must not fall below 1 because of rounding.
    let rank = (rate * (n + 1) as f64 * (1.0 + 1e-12)) as usize;
    if rank == 0 || rank > n {
        let needed = ((1.0 / rate) * (1.0 - 1e-12)).ceil() as usize - 1;
        return Err(TooFew { pictures: n, needed: needed.max(n + 1) });
    }
    let mut sorted: Vec<f32> =
        scores.iter().map(|s| if s.is_nan() { f32::INFINITY } else { *s }).collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let tail = (1.0 - CONFIDENCE) / 2.0;
    let interval = Beta::new(rank as f64, (n + 1 - rank) as f64)
        .map_or([0.0, 1.0], |beta| [beta.inverse_cdf(tail), beta.inverse_cdf(1.0 - tail)]);
    Ok(Threshold { score: sorted[rank - 1], rank, pictures: n, interval })
}

/// Holds an estimate of the score that a given share of good parts exceeds.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// Above this score a part is rejected.
    pub score: f32,
    /// The number of scores above it.
    pub above: usize,
    /// The 95 % interval of its true false-reject rate.
    pub interval: [f64; 2],
}

/// Estimates the score that a share `rate` (between 0 and 1) of good parts exceeds. It needs the held-out `scores` of
/// at least two parts, which belong to `items` items. Parts of one item are alike, so the interval is as wide as for
/// `items` parts.
pub fn estimate(scores: &[f32], rate: f64, items: usize) -> Estimate {
    let mut sorted: Vec<f64> = scores.iter().map(|&score| f64::from(score)).collect();
    sorted.sort_by(f64::total_cmp);
    let score = quantile(&capped(sorted), rate) as f32;
    let above = scores.iter().filter(|&&s| s > score).count();
    let independent = items.min(scores.len()) as f64;
    let events = above as f64 * independent / scores.len().max(1) as f64;
    let side = (1.0 - CONFIDENCE) / 2.0;
    let of_beta = |a: f64, b: f64, p: f64| Beta::new(a, b).map(|beta| beta.inverse_cdf(p));
    let interval = [
        of_beta(events, independent + 1.0 - events, side).unwrap_or(0.0),
        of_beta(events + 1.0, independent - events, 1.0 - side).unwrap_or(1.0),
    ];
    Estimate { score, above, interval }
}

/// A score beyond this number of robust deviations above the median counts as that much.
const MOST_DEVIATIONS: f64 = 4.0;
/// The factor that turns the median excess over the median of normally distributed values into their standard
/// deviation.
const NORMAL: f64 = 1.4826;
/// The number of scores beyond the quantile at which the sorted scores weigh as much as the fitted distribution.
const ENOUGH_BEYOND: f64 = 5.0;
/// The largest number of deviations that the fitted distribution adds. It matters for two or three parts.
const FARTHEST: f64 = 5.0;

/// Returns the median of sorted values, or 0 if there are none.
fn median(sorted: &[f64]) -> f64 {
    match sorted.len() {
        0 => 0.0,
        n => (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0,
    }
}

/// Returns how far the values above the median of `sorted` lie above it, in rising order.
fn excess(sorted: &[f64]) -> Vec<f64> {
    let centre = median(sorted);
    sorted.iter().map(|v| v - centre).filter(|v| *v > 0.0).collect()
}

/// Returns the sorted values with those far above the others reduced to the limit. It changes nothing for fewer than
/// five.
fn capped(mut sorted: Vec<f64>) -> Vec<f64> {
    let most = median(&sorted) + MOST_DEVIATIONS * NORMAL * median(&excess(&sorted));
    if sorted.len() >= 5 {
        sorted.iter_mut().for_each(|v| *v = v.min(most));
    }
    sorted
}

/// Returns the value that a next one exceeds with probability `rate`, from sorted values.
fn quantile(sorted: &[f64], rate: f64) -> f64 {
    let n = sorted.len() as f64;
    let excess = excess(sorted);
    let square = excess.iter().map(|v| v * v).sum::<f64>() / excess.len().max(1) as f64;
    let freedom = (n / 2.0 - 1.0).max(1.0);
    let factor = StudentsT::new(0.0, 1.0, freedom).map_or(FARTHEST, |t| t.inverse_cdf(1.0 - rate));
    let fitted =
        median(sorted) + square.sqrt() * factor.min(FARTHEST) * (1.0 + 1.0 / n.max(1.0)).sqrt();
    let say = n * rate / (n * rate + ENOUGH_BEYOND);
    say * harrell_davis(sorted, rate) + (1.0 - say) * fitted
}

/// Returns the quantile of Harrell and Davis (Biometrika 1982) that a share `rate` exceeds, of sorted values.
fn harrell_davis(sorted: &[f64], rate: f64) -> f64 {
    let n = sorted.len() as f64;
    let Ok(beta) = Beta::new((n + 1.0) * (1.0 - rate), (n + 1.0) * rate) else {
        return sorted.last().copied().unwrap_or(0.0);
    };
    let mut below = 0.0;
    let weighed = sorted.iter().enumerate().map(|(i, value)| {
        let up_to = beta.cdf((i as f64 + 1.0) / n);
        let weight = up_to - std::mem::replace(&mut below, up_to);
        weight * value
    });
    weighed.sum()
}

impl Threshold {
    /// Returns the probability that the next good part is rejected, `k / (n + 1)`.
    pub fn rate(&self) -> f64 {
        self.rank as f64 / (self.pictures + 1) as f64
    }

    /// Returns the range of the number of rejects among `parts` further good parts that holds in 95 % of the cases.
    pub fn expected(&self, parts: usize) -> [usize; 2] {
        let (a, b) = (self.rank as f64, (self.pictures + 1 - self.rank) as f64);
        let chance = |rejects: usize| {
            let (x, m) = (rejects as f64, parts as f64);
            (ln_binomial(parts as u64, rejects as u64) + ln_beta(x + a, m - x + b) - ln_beta(a, b))
                .exp()
        };
        let tail = (1.0 - CONFIDENCE) / 2.0;
        let mut below = 0.0;
        let mut range = [0, parts];
        for rejects in 0..=parts {
            let up_to = below + chance(rejects);
            if below <= tail && up_to > tail {
                range[0] = rejects;
            }
            if up_to >= 1.0 - tail {
                range[1] = rejects;
                break;
            }
            below = up_to;
        }
        range
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rank_is_the_largest_that_keeps_the_promise() {
        let cases =
            [(99, 0.01, Some(1)), (98, 0.01, None), (199, 0.01, Some(2)), (200, 0.05, Some(10))];
        for (n, rate, rank) in cases {
            let scores: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let got = threshold(&scores, rate);
            assert_eq!(got.as_ref().ok().map(|t| t.rank), rank, "{n} at {rate}");
            if let Ok(got) = got {
                assert_eq!(scores.iter().filter(|&&s| s >= got.score).count(), got.rank);
                assert!(
                    got.rate() <= rate
                        && got.interval[0] < got.rate()
                        && got.rate() < got.interval[1]
                );
            }
        }
        assert_eq!(threshold(&[1.0; 98], 0.01), Err(TooFew { pictures: 98, needed: 99 }));
        assert_eq!(threshold(&[], 0.5), Err(TooFew { pictures: 0, needed: 1 }));
    }

    #[test]
    fn what_is_no_number_counts_as_the_worst() {
        let scores = [1.0, f32::NAN, 2.0];
        assert_eq!(threshold(&scores, 0.25).map(|t| t.score), Ok(f32::INFINITY));
        assert_eq!(threshold(&scores, 0.5).map(|t| t.score), Ok(2.0));
    }

    /// Returns a pseudo-random number from a normal distribution.
    fn normal(state: &mut u64) -> f64 {
        let mut random = || {
            *state ^= *state << 13;
            *state ^= *state >> 7;
            *state ^= *state << 17;
            ((*state >> 11) as f64 + 0.5) / (1u64 << 53) as f64
        };
        (-2.0 * random().ln()).sqrt() * (std::f64::consts::TAU * random()).cos()
    }

    #[test]
    fn an_estimate_from_few_or_many_parts_rejects_about_what_it_says() {
        let mut state = 88_172_645_463_325_252u64;
        let usual = statrs::distribution::Normal::new(0.0, 1.0).expect("a distribution");
        for parts in [5, 10, 20, 40, 200, 1000] {
            let (trials, mut rate, mut inside) = (400, 0.0, 0);
            for _ in 0..trials {
                let scores: Vec<f32> =
                    (0..parts).map(|_| (3.0 + 0.5 * normal(&mut state)) as f32).collect();
                let found = estimate(&scores, 0.02, parts);
                let real = 1.0 - usual.cdf(2.0 * (f64::from(found.score) - 3.0));
                rate += real / f64::from(trials);
                inside += i32::from(found.interval[0] <= real && real <= found.interval[1]);
            }
            assert!((0.01..0.03).contains(&rate), "{parts} parts: {rate}");
            assert!(f64::from(inside) >= 0.93 * f64::from(trials), "{parts} parts: {inside}");
        }
    }

    #[test]
    fn one_stray_score_hardly_moves_an_estimate() {
        let mut state = 1_234_567u64;
        let mut scores: Vec<f32> =
            (0..40).map(|_| (3.0 + 0.5 * normal(&mut state)) as f32).collect();
        let clean = estimate(&scores, 0.02, 40).score;
        scores.push(1e4);
        let spoiled = estimate(&scores, 0.02, 41).score;
        assert!(clean < spoiled && spoiled < 1.4 * clean, "{spoiled} {clean}");
    }

    #[test]
    fn estimates_of_very_few_equal_or_negative_scores_are_numbers() {
        for scores in
            [&[1.0, 2.0][..], &[0.0, 0.0, 0.0], &[-2.0, -1.0, -1.5, 0.5], &[1.0; 30], &[3.0, 3.0]]
        {
            let found = estimate(scores, 0.02, scores.len());
            let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let least = largest - 1e-5 * largest.abs();
            assert!(found.score.is_finite() && found.score >= least, "{scores:?}: {found:?}");
            assert!(found.interval[0] <= 0.02 && 0.02 <= found.interval[1], "{found:?}");
        }
    }

    /// Checks the promise itself: it computes thresholds from random sets and tries them on further random parts.
    #[test]
    fn rejects_fall_into_the_stated_range_as_often_as_stated() {
        let mut state = 88_172_645_463_325_252u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 24) as f32
        };
        let (mut inside, mut rejected, trials, parts) = (0, 0, 2000, 150);
        for _ in 0..trials {
            // Any distribution will do. Squares favour small values.
            let scores: Vec<f32> = (0..299).map(|_| random().powi(2)).collect();
            let threshold = threshold(&scores, 0.02).expect("enough");
            let rejects = (0..parts).filter(|_| random().powi(2) > threshold.score).count();
            let [low, high] = threshold.expected(parts);
            inside += usize::from((low..=high).contains(&rejects));
            rejected += rejects;
        }
        assert!(inside as f64 >= 0.94 * f64::from(trials), "{inside} of {trials}");
        let rate = rejected as f64 / (trials as usize * parts) as f64;
        assert!((rate - 0.02).abs() < 0.001, "{rate}");
    }
}
