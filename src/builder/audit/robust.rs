//! Computes centre and spread of values, some of which are wrong.

/// The factor that turns the median absolute deviation of normally distributed values into their standard deviation.
const NORMAL: f64 = 1.4826;

/// Holds the centre and the spread of most of a set of values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The median.
    pub centre: f64,
    /// The median absolute deviation, scaled to a standard deviation.
    pub deviation: f64,
}

impl Spread {
    /// Computes the spread of the finite `values`. The deviation is never below `least`. So values that differ only by
    /// rounding have no outliers.
    pub fn of(values: impl Iterator<Item = f64>, least: f64) -> Self {
        let mut values: Vec<f64> = values.filter(|v| v.is_finite()).collect();
        let centre = median(&mut values);
        let mut deviations: Vec<f64> = values.iter().map(|v| (v - centre).abs()).collect();
        Spread { centre, deviation: (NORMAL * median(&mut deviations)).max(least) }
    }

    /// Returns how many deviations `value` lies above the centre.
    pub fn z(&self, value: f64) -> f64 {
        (value - self.centre) / self.deviation
    }
}

/// Returns the median. For an even number of values it is the mean of the two in the middle, and for none it is 0.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match (values.get(half.wrapping_sub(1)), values.get(half)) {
        (Some(below), Some(above)) if values.len().is_multiple_of(2) => (below + above) / 2.0,
        (_, Some(middle)) => *middle,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_wrong_values_moves_neither_centre_nor_spread_far() {
        let good = (0..200).map(|i| f64::from(i * 37 % 200) / 200.0);
        let clean = Spread::of(good.clone(), 1e-6);
        let spoiled = Spread::of(good.chain((0..60).map(|_| 1e6)), 1e-6);
        assert!((clean.centre - 0.4975).abs() < 1e-9, "{clean:?}");
        assert!((clean.deviation - NORMAL * 0.25).abs() < 0.01, "{clean:?}");
        assert!((spoiled.centre - clean.centre).abs() < 0.2, "{spoiled:?}");
        assert!(spoiled.deviation < 1.5 * clean.deviation, "{spoiled:?}");
        assert!(spoiled.z(1e6) > 1e5);
    }

    #[test]
    fn few_equal_or_odd_values() {
        let of = |values: &[f64]| Spread::of(values.iter().copied(), 0.5);
        for (values, centre, deviation) in [
            (&[][..], 0.0, 0.5),
            (&[3.0], 3.0, 0.5),
            (&[3.0, 3.0, 3.0, 9.0], 3.0, 0.5),
            (&[1.0, 2.0], 1.5, NORMAL * 0.5),
            (&[f64::NAN, f64::INFINITY, 2.0], 2.0, 0.5),
        ] {
            assert_eq!(of(values), Spread { centre, deviation }, "{values:?}");
        }
    }
}
