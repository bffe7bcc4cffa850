//! Learns what is usual.

use super::sample::Series;
use super::statistics::{lag1, median, sigma};
use serde::{Deserialize, Serialize};

/// Up to this correlation of neighbouring blocks, the charts have few false alarms as they are. Beyond it, deviations are
/// measured against a wider standard deviation.
const CALM_CORRELATION: f64 = 0.35;
/// The largest correlation that is told from 1.
const MOST_CORRELATION: f64 = 0.95;
/// The largest deviation that counts for the correlation, in standard deviations.
const MOST_SIGMAS: f64 = 4.0;

/// Says what is usual for one series.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usual {
    /// The median of the blocks.
    pub centre: f64,
    /// The standard deviation of a block.
    pub sigma: f64,
    /// The correlation of a block with the one before it.
    pub lag1: f64,
}

impl Usual {
    /// Learns from the medians of blocks in their order. Returns `None` if there are none.
    pub fn learn(blocks: &[f64], least_sigma: f64) -> Option<Self> {
        let centre = median(blocks)?;
        let sigma = sigma(blocks, centre)?.max(least_sigma);
        let limited = |value: &f64| ((value - centre) / sigma).clamp(-MOST_SIGMAS, MOST_SIGMAS);
        let lag1 = lag1(&blocks.iter().map(limited).collect::<Vec<f64>>());
        Some(Usual { centre, sigma, lag1 })
    }

    /// Returns the factor by which the standard deviation is widened, at least 1.
    ///
    /// The sum of correlated blocks swings more widely than that of independent ones, by the root of
    /// (1 + r) / (1 - r). The factor takes the sum back to where it is at `CALM_CORRELATION`. To subtract what
    /// follows from the block before would also subtract most of a lasting shift (`docs/drift.md` has the comparison).
    pub fn widening(&self) -> f64 {
        let swing = |lag1: f64| ((1.0 + lag1) / (1.0 - lag1)).sqrt();
        swing(self.lag1.clamp(CALM_CORRELATION, MOST_CORRELATION)) / swing(CALM_CORRELATION)
    }

    /// Returns how far a block is from the centre, in widened standard deviations.
    pub fn z(&self, value: f64) -> f64 {
        (value - self.centre) / (self.sigma * self.widening())
    }

    /// Returns whether the numbers can have been learned.
    pub(super) fn is_valid(&self, least_sigma: f64) -> bool {
        let is_sigma = self.sigma.is_finite() && self.sigma >= least_sigma;
        self.centre.is_finite() && is_sigma && (-1.0..=1.0).contains(&self.lag1)
    }
}

/// Says what is usual for every series.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// What is usual for each series, in the order of [`Series::ALL`].
    pub series: [Usual; Series::ALL.len()],
}

impl Reference {
    /// Learns from blocks in their order. Returns `None` if there are none.
    pub fn learn(blocks: &[[f64; Series::ALL.len()]]) -> Option<Self> {
        let usual = |series: Series| {
            let values: Vec<f64> = blocks.iter().map(|medians| series.of(medians)).collect();
            Usual::learn(&values, series.least_sigma())
        };
        let [score, brightness, sharpness, clipped] = Series::ALL.map(usual);
        Some(Reference { series: [score?, brightness?, sharpness?, clipped?] })
    }

    /// Returns what is usual for a series.
    pub fn of(&self, series: Series) -> Usual {
        series.of(&self.series)
    }

    /// Returns how far the medians of a block are from what is usual, in widened standard deviations.
    pub fn deviations(&self, medians: &[f64; Series::ALL.len()]) -> [f64; Series::ALL.len()] {
        Series::ALL.map(|series| self.of(series).z(series.of(medians)))
    }

    /// Returns whether the numbers can be those of a reference.
    pub(super) fn is_valid(&self) -> bool {
        Series::ALL.iter().all(|series| self.of(*series).is_valid(series.least_sigma()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_blocks_have_the_least_deviation_and_no_correlation() {
        let usual = Usual::learn(&[0.25; 144], 0.0005).expect("blocks");
        assert_eq!(usual, Usual { centre: 0.25, sigma: 0.0005, lag1: 0.0 });
        assert!(usual.is_valid(0.0005) && !usual.is_valid(0.001));
        assert!((usual.z(0.2505) - 1.0).abs() < 1e-6);
        assert_eq!(Usual::learn(&[], 0.1), None);
    }

    #[test]
    fn a_strong_correlation_widens_and_a_weak_one_does_not() {
        // sqrt(1.7 / 0.3 / (1.35 / 0.65)) and sqrt(1.95 / 0.05 / (1.35 / 0.65))
        let table = [
            (-1.0, 1.0),
            (0.0, 1.0),
            (0.35, 1.0),
            (0.7, 1.651_785),
            (0.95, 4.333_333),
            (1.0, 4.333_333),
        ];
        for (lag1, wanted) in table {
            let usual = Usual { centre: 1.0, sigma: 2.0, lag1 };
            assert!((usual.widening() - wanted).abs() < 1e-5, "{lag1}");
            assert!((usual.z(5.0) - 2.0 / wanted).abs() < 1e-5, "{lag1}");
        }
    }
}
