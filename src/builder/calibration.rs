//! A threshold from good parts alone, with what it promises.
//!
//! # Order statistics
//! Let n scores of good parts be given that the template has not seen, and a next good part like
//! them. Its score is equally likely to fall into each of the n + 1 gaps between the n, whatever the
//! distribution. So with the k-th largest score as threshold, the next good part is rejected with
//! probability `k / (n + 1)`; over all such sets of n, the threshold's own false-reject rate follows
//! `Beta(k, n + 1 - k)`. For a rate asked for, k is the largest whole number with `k / (n + 1)` not
//! above it; there is none where `n + 1 < 1 / rate`: then the rate cannot be promised.
//!
//! Among m further parts the number of rejects follows the beta-binomial distribution of the same
//! parameters: [`Threshold::expected`] gives its central 95 %.

use statrs::distribution::{Beta, ContinuousCDF};
use statrs::function::beta::ln_beta;
use statrs::function::factorial::ln_binomial;

/// Part of the cases that the stated intervals cover.
pub const CONFIDENCE: f64 = 0.95;

/// A threshold and what it promises about good parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// Above this score a part is rejected.
    pub score: f32,
    /// How many of the scores lie at or above it, k.
    pub rank: usize,
    /// How many scores it comes from, n.
    pub pictures: usize,
    /// 95 % interval of its true false-reject rate.
    pub interval: [f64; 2],
}

/// Too few good parts for the rate asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooFew {
    /// How many there are.
    pub pictures: usize,
    /// How many it takes.
    pub needed: usize,
}

/// The threshold that rejects at most `rate` (between 0 and 1) of good parts, from their `scores`.
///
/// Scores that are no numbers count as the worst.
pub fn threshold(scores: &[f32], rate: f64) -> Result<Threshold, TooFew> {
    let n = scores.len();
    // A product like 0.01 * 100 must not fall below 1 by its rounding.
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

impl Threshold {
    /// The probability that the next good part is rejected, `k / (n + 1)`.
    pub fn rate(&self) -> f64 {
        self.rank as f64 / (self.pictures + 1) as f64
    }

    /// Between which numbers of rejects `parts` further good parts stay in 95 % of the cases.
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

    /// The promise itself: thresholds from random sets, tried on further random parts.
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
            // Any distribution will do: squares lean to small values.
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
