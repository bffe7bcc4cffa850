//! Holds what the watch sees of one part.

use crate::clock::LineTime;
use crate::image::Appearance;
use serde::{Deserialize, Serialize};

/// The smallest score, and the smallest sharpness, that is told from 0.
const LEAST: f64 = 1e-6;

/// Names the four series of numbers that are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Series {
    /// The natural logarithm of the score.
    Score,
    /// The mean brightness, from 0 to 1.
    Brightness,
    /// The natural logarithm of the sharpness.
    Sharpness,
    /// The share of clipped pixels, from 0 to 1.
    Clipped,
}

impl Series {
    /// Every series, in the order of [`Sample::values`].
    pub const ALL: [Series; 4] =
        [Series::Score, Series::Brightness, Series::Sharpness, Series::Clipped];

    /// Returns the number of this series among numbers in the order of [`Series::ALL`].
    pub(super) const fn of<T: Copy>(self, all: &[T; Series::ALL.len()]) -> T {
        let [score, brightness, sharpness, clipped] = *all;
        match self {
            Series::Score => score,
            Series::Brightness => brightness,
            Series::Sharpness => sharpness,
            Series::Clipped => clipped,
        }
    }

    /// Returns the smallest standard deviation that a reference may have, in the unit of the series. A smaller one would
    /// make a chart warn of changes that nobody can measure. It is half a per cent of a score or of the sharpness, an
    /// eighth of a grey level of 255, and one pixel of two thousand.
    pub const fn least_sigma(self) -> f64 {
        match self {
            Series::Score | Series::Sharpness => 0.005,
            Series::Brightness | Series::Clipped => 0.0005,
        }
    }
}

/// Holds what the watch sees of one judged part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// The moment at which the part was judged.
    pub at: LineTime,
    /// The numbers of the part, in the order of [`Series::ALL`].
    pub values: [f64; Series::ALL.len()],
    /// The natural logarithm of score / threshold. A part is rejected above 0.
    pub ratio: f64,
}

impl Sample {
    /// Makes a sample, or returns `None` if the score is not a number or the threshold is not above 0.
    pub fn new(at: LineTime, score: f32, threshold: f32, seen: Appearance) -> Option<Self> {
        let ln = |value: f64| value.max(LEAST).ln();
        let score = ln(Some(f64::from(score)).filter(|score| score.is_finite())?);
        let threshold = Some(f64::from(threshold)).filter(|t| t.is_finite() && *t > 0.0)?.ln();
        let [brightness, sharpness, clipped] =
            [seen.brightness, seen.sharpness, seen.clipped].map(f64::from);
        let values = [score, brightness, ln(sharpness), clipped];
        let is_number = values.iter().all(|value| value.is_finite());
        is_number.then_some(Sample { at, values, ratio: score - threshold })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_become_samples() {
        let seen = Appearance { brightness: 0.5, sharpness: 0.0, clipped: 0.25 };
        let sample = |score, threshold| Sample::new(LineTime::default(), score, threshold, seen);
        let good = sample(2.0, 2.0).expect("numbers");
        assert_eq!(good.values, [2_f64.ln(), 0.5, LEAST.ln(), 0.25]);
        assert_eq!(good.ratio, 0.0);
        assert_eq!(sample(-1.0, 1.0).expect("numbers").ratio, LEAST.ln());
        for (score, threshold) in [
            (f32::NAN, 1.0),
            (f32::INFINITY, 1.0),
            (1.0, 0.0),
            (1.0, -1.0),
            (1.0, f32::NAN),
            (1.0, f32::INFINITY),
        ] {
            assert_eq!(sample(score, threshold), None, "{score} {threshold}");
        }
        let seen = Appearance { brightness: f32::NAN, ..seen };
        assert_eq!(Sample::new(LineTime::default(), 1.0, 1.0, seen), None);
    }
}
