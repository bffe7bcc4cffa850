//! This module computes the likelihood of hits and misses by size. The model is a logistic curve on
//! the logarithm of size:
//!
//! ```text
//! POD(a) = 1 / (1 + exp(-(b0 + b1 ln a)))
//! ```
//!
//! This is the usual model for hit/miss data of MIL-HDBK-1823A, appendix G. [`fit`] finds its
//! maximum of likelihood by Newton's method. [`profile`] is the largest likelihood of all curves
//! that pass through a given point. It gives a bound by the likelihood ratio, which is right where
//! the usual quadratic approximation is not.

/// The tries of one size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counts {
    /// The natural logarithm of the size.
    pub x: f64,
    /// How many defects were found.
    pub hits: f64,
    /// How many tries there were.
    pub tries: f64,
}

impl Counts {
    fn misses(&self) -> f64 {
        self.tries - self.hits
    }

    /// Returns their log likelihood where the logit of the probability of detection is `eta`.
    fn log_likelihood(&self, eta: f64) -> f64 {
        -self.hits * softplus(-eta) - self.misses() * softplus(eta)
    }
}

/// A logistic curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// The logit at size 1.
    pub intercept: f64,
    /// The number of logits for each factor of e in size.
    pub slope: f64,
}

impl Line {
    /// Returns the probability of detection at the logarithm `x` of a size.
    pub fn probability(&self, x: f64) -> f64 {
        sigmoid(self.intercept + self.slope * x)
    }

    /// Returns the logarithm of the size that is found with `probability`, for a slope above 0.
    pub fn place(&self, probability: f64) -> f64 {
        (logit(probability) - self.intercept) / self.slope
    }

    /// Returns the log likelihood of `counts`.
    pub fn log_likelihood(&self, counts: &[Counts]) -> f64 {
        counts.iter().map(|c| c.log_likelihood(self.intercept + self.slope * c.x)).sum()
    }
}

/// Returns the logarithm of the odds of a probability.
pub fn logit(probability: f64) -> f64 {
    (probability / (1.0 - probability)).ln()
}

fn sigmoid(eta: f64) -> f64 {
    1.0 / (1.0 + (-eta).exp())
}

/// Computes `ln(1 + exp(v))` without overflow.
fn softplus(v: f64) -> f64 {
    v.max(0.0) + (-v.abs()).exp().ln_1p()
}

/// Returns the largest `x` with a miss and the smallest `x` with a hit, where there are any.
pub fn edges(counts: &[Counts]) -> (Option<f64>, Option<f64>) {
    let misses = counts.iter().filter(|c| c.misses() > 0.0).map(|c| c.x);
    let hits = counts.iter().filter(|c| c.hits > 0.0).map(|c| c.x);
    (misses.reduce(f64::max), hits.reduce(f64::min))
}

/// Returns whether the likelihood has a maximum: some miss is larger than some hit, and some hit is
/// larger than some miss. Otherwise one size separates hits from misses, and an infinitely steep
/// curve fits best.
pub fn has_maximum(counts: &[Counts]) -> bool {
    let (Some(largest_miss), Some(least_hit)) = edges(counts) else { return false };
    let smallest = |some: &dyn Fn(&Counts) -> bool| {
        counts.iter().filter(|c| some(c)).map(|c| c.x).fold(f64::INFINITY, f64::min)
    };
    let largest = |some: &dyn Fn(&Counts) -> bool| {
        counts.iter().filter(|c| some(c)).map(|c| c.x).fold(f64::NEG_INFINITY, f64::max)
    };
    let (is_hit, is_miss) = (|c: &Counts| c.hits > 0.0, |c: &Counts| c.misses() > 0.0);
    largest_miss > least_hit && largest(&is_hit) > smallest(&is_miss)
}

/// Returns the curve of largest likelihood, or `None` where there is none; see [`has_maximum`].
pub fn fit(counts: &[Counts]) -> Option<Line> {
    if !has_maximum(counts) {
        return None;
    }
    let tries: f64 = counts.iter().map(|c| c.tries).sum();
    let centre = counts.iter().map(|c| c.tries * c.x).sum::<f64>() / tries;
    let centred: Vec<Counts> = counts.iter().map(|c| Counts { x: c.x - centre, ..*c }).collect();
    let mut line = Line { intercept: 0.0, slope: 0.0 };
    let mut likelihood = line.log_likelihood(&centred);
    for _ in 0..100 {
        let (score, information) = derivatives(&centred, line);
        let Some(step) = solve(information, score) else { break };
        let mut part = 1.0;
        let moved = loop {
            let next = Line {
                intercept: line.intercept + part * step[0],
                slope: line.slope + part * step[1],
            };
            let better = next.log_likelihood(&centred);
            if better >= likelihood || part < 1e-9 {
                likelihood = better.max(likelihood);
                break next;
            }
            part /= 2.0;
        };
        line = moved;
        if step[0].abs() + step[1].abs() < 1e-12 * (1.0 + line.slope.abs()) {
            break;
        }
    }
    Some(Line { intercept: line.intercept - line.slope * centre, slope: line.slope })
}

/// A symmetric matrix of two rows: its two diagonal entries, then the off-diagonal entry.
pub type Matrix = [f64; 3];

/// Returns the first derivatives of the log likelihood by intercept and slope, and the information
/// matrix.
pub fn derivatives(counts: &[Counts], line: Line) -> ([f64; 2], Matrix) {
    let (mut score, mut information) = ([0.0; 2], [0.0; 3]);
    for c in counts {
        let p = line.probability(c.x);
        let (rest, weight) = (c.hits - c.tries * p, c.tries * p * (1.0 - p));
        score[0] += rest;
        score[1] += rest * c.x;
        information[0] += weight;
        information[1] += weight * c.x * c.x;
        information[2] += weight * c.x;
    }
    (score, information)
}

/// Solves `matrix * v = right`, or returns `None` where the matrix is singular.
pub fn solve([a, d, b]: Matrix, right: [f64; 2]) -> Option<[f64; 2]> {
    let determinant = a * d - b * b;
    let v =
        [(d * right[0] - b * right[1]) / determinant, (a * right[1] - b * right[0]) / determinant];
    (determinant > 0.0 && v.iter().all(|v| v.is_finite())).then_some(v)
}

/// The steepest curve that is tried, in logits for each factor of e in size.
const STEEPEST: f64 = 1e4;

/// Returns the largest log likelihood of all curves that do not fall and have `probability` at `x`.
pub fn profile(counts: &[Counts], x: f64, probability: f64) -> f64 {
    let there = logit(probability);
    let rise = |slope: f64| -> f64 {
        let at = |c: &Counts| {
            let along = c.x - x;
            (c.hits - c.tries * sigmoid(there + slope * along)) * along
        };
        counts.iter().map(at).sum()
    };
    // The log likelihood is concave in the slope, so its maximum is where it stops rising.
    let (mut low, mut high) = (0.0, 1.0);
    while rise(high) > 0.0 && high < STEEPEST {
        (low, high) = (high, 2.0 * high);
    }
    for _ in 0..50 {
        let middle = 0.5 * (low + high);
        match rise(middle) > 0.0 {
            true => low = middle,
            false => high = middle,
        }
    }
    counts.iter().map(|c| c.log_likelihood(there + low * (c.x - x))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: &[(f64, f64, f64)]) -> Vec<Counts> {
        of.iter().map(|&(size, hits, tries)| Counts { x: size.ln(), hits, tries }).collect()
    }

    /// The data are those of Bliss (1935), as analysed by Dobson, An Introduction to Generalized
    /// Linear Models. They count beetles killed by gas, by the logarithm to base 10 of the dose.
    /// The published intercept is -60.72, and the published slope is 34.27.
    #[test]
    fn a_published_example_has_its_published_fit() {
        let beetles = [
            (1.6907, 6.0, 59.0),
            (1.7242, 13.0, 60.0),
            (1.7552, 18.0, 62.0),
            (1.7842, 28.0, 56.0),
            (1.8113, 52.0, 63.0),
            (1.8369, 53.0, 59.0),
            (1.8610, 61.0, 62.0),
            (1.8839, 60.0, 60.0),
        ];
        let counts: Vec<Counts> =
            beetles.iter().map(|&(x, hits, tries)| Counts { x, hits, tries }).collect();
        let line = fit(&counts).expect("a fit");
        assert!((line.intercept + 60.717_454_56).abs() < 1e-5, "{line:?}");
        assert!((line.slope - 34.270_325_73).abs() < 1e-5, "{line:?}");
        assert!((line.place(0.5) - 1.771_719).abs() < 1e-5);
    }

    #[test]
    fn hits_and_misses_that_one_size_parts_have_no_maximum() {
        for (what, of, has) in [
            ("parted", vec![(1.0, 0.0, 5.0), (2.0, 5.0, 5.0)], false),
            ("parted at a size", vec![(1.0, 0.0, 5.0), (2.0, 2.0, 5.0), (4.0, 5.0, 5.0)], false),
            ("the wrong way round", vec![(1.0, 5.0, 5.0), (2.0, 0.0, 5.0)], false),
            ("no hits", vec![(1.0, 0.0, 5.0), (2.0, 0.0, 5.0)], false),
            ("no misses", vec![(1.0, 5.0, 5.0)], false),
            ("nothing", vec![], false),
            ("overlap", vec![(1.0, 1.0, 5.0), (2.0, 4.0, 5.0)], true),
        ] {
            let counts = counts(&of);
            assert_eq!((has_maximum(&counts), fit(&counts).is_some()), (has, has), "{what}");
        }
    }

    #[test]
    fn a_profile_is_highest_on_the_fitted_curve() {
        let counts = counts(&[(2.0, 1.0, 10.0), (4.0, 4.0, 10.0), (8.0, 9.0, 10.0)]);
        let line = fit(&counts).expect("a fit");
        let best = line.log_likelihood(&counts);
        for probability in [0.2, 0.5, 0.9] {
            let x = line.place(probability);
            assert!((profile(&counts, x, probability) - best).abs() < 1e-9);
            assert!(profile(&counts, x + 0.3, probability) < best - 1e-3);
            assert!(profile(&counts, x - 0.3, probability) < best - 1e-3);
        }
    }
}
