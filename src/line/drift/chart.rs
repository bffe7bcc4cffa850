//! Adds up deviations in one direction.

use super::sample::Series;
use serde::{Deserialize, Serialize};

/// The largest deviation of one block that counts, in standard deviations. One wild block cannot make a warning.
const MOST_SIGMAS: f64 = 4.0;
/// The sum below which a warning ends, in standard deviations.
const CLEARS: f64 = 2.0;

/// Names the five charts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chart {
    /// Scores become higher.
    ScoreUp,
    /// Pictures become brighter.
    BrightnessUp,
    /// Pictures become darker.
    BrightnessDown,
    /// Pictures become less sharp.
    SharpnessDown,
    /// More pixels are clipped.
    ClippedUp,
}

impl Chart {
    /// Every chart, in the order in which they are stored and shown.
    pub const ALL: [Chart; 5] = [
        Chart::ScoreUp,
        Chart::BrightnessUp,
        Chart::BrightnessDown,
        Chart::SharpnessDown,
        Chart::ClippedUp,
    ];

    /// Returns the series that the chart looks at.
    pub const fn series(self) -> Series {
        match self {
            Chart::ScoreUp => Series::Score,
            Chart::BrightnessUp | Chart::BrightnessDown => Series::Brightness,
            Chart::SharpnessDown => Series::Sharpness,
            Chart::ClippedUp => Series::Clipped,
        }
    }

    /// Returns 1 if the chart looks for larger numbers, and -1 if it looks for smaller ones.
    pub const fn sign(self) -> f64 {
        match self {
            Chart::ScoreUp | Chart::BrightnessUp | Chart::ClippedUp => 1.0,
            Chart::BrightnessDown | Chart::SharpnessDown => -1.0,
        }
    }

    /// Returns what a warning of the chart says.
    pub const fn words(self) -> &'static str {
        match self {
            Chart::ScoreUp => "scores are higher than usual",
            Chart::BrightnessUp => "pictures are brighter than usual",
            Chart::BrightnessDown => "pictures are darker than usual",
            Chart::SharpnessDown => "pictures are less sharp than usual",
            Chart::ClippedUp => "more pixels than usual are overexposed",
        }
    }
}

/// Holds the sum of a chart (a one-sided CUSUM), in standard deviations of a block.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cusum {
    sum: f64,
    warns: bool,
}

impl Cusum {
    /// Adds a block. `z` is its deviation in the direction of the chart, in standard deviations. `k` and `h` are those
    /// of [`super::Settings`]. Returns whether the chart has begun (`true`) or ended (`false`) to warn.
    ///
    /// The sum grows to twice `h` at most, so that a warning ends within hours after its cause has gone.
    pub fn add(&mut self, z: f64, k: f64, h: f64) -> Option<bool> {
        let z = if z.is_finite() { z.clamp(-MOST_SIGMAS, MOST_SIGMAS) } else { 0.0 };
        self.sum = (self.sum + z - k).clamp(0.0, 2.0 * h);
        let warns = if self.warns { self.sum >= CLEARS } else { self.sum > h };
        let changes = warns != self.warns;
        self.warns = warns;
        changes.then_some(warns)
    }

    /// Returns the sum, in standard deviations.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// Returns whether the chart warns.
    pub fn warns(&self) -> bool {
        self.warns
    }

    /// Returns whether the sum can be that of a chart.
    pub(super) fn is_valid(&self) -> bool {
        (0.0..=1e6).contains(&self.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_chart_warns_above_h_and_ends_below_two() {
        let mut chart = Cusum::default();
        // Each row holds the deviation of a block, the sum after it, and what changes.
        let rows = [
            (0.5, 0.0, None),
            (3.0, 2.0, None),
            (100.0, 5.0, None),
            (4.0, 8.0, None),
            (4.0, 11.0, None),
            (4.0, 14.0, None),
            (1.5, 14.5, Some(true)),
            (-4.0, 9.5, None),
            (f64::NAN, 8.5, None),
            (-4.0, 3.5, None),
            (-0.5, 2.0, None),
            (0.9, 1.9, Some(false)),
            (4.0, 4.9, None),
        ];
        for (z, sum, changes) in rows {
            assert_eq!(chart.add(z, 1.0, 14.0), changes, "{z}");
            assert!((chart.sum() - sum).abs() < 1e-9, "{z}: {}", chart.sum());
        }
        let ends = (0..1000).filter(|_| chart.add(4.0, 1.0, 14.0) == Some(false)).count();
        assert_eq!((ends, chart.sum()), (0, 28.0));
        let blocks = (1..).find(|_| chart.add(0.0, 1.0, 14.0) == Some(false));
        assert_eq!(blocks, Some(27), "the warning ends in hours, whatever it was");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn sums_stay_in_their_range_and_larger_deviations_never_make_them_smaller(
            blocks in prop::collection::vec((any::<f64>(), 0.0..3.0), 0..200)
        ) {
            let (mut low, mut high) = (Cusum::default(), Cusum::default());
            for (z, more) in blocks {
                let z = if z.is_finite() { z } else { 0.0 };
                low.add(z, 1.0, 14.0);
                high.add(z + more, 1.0, 14.0);
                prop_assert!((0.0..=28.0).contains(&low.sum()));
                prop_assert!(high.sum() >= low.sum() - 1e-9);
                prop_assert!(low.is_valid() && high.is_valid());
            }
        }
    }
}
