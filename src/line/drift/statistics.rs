//! Computes robust statistics of short lists of finite numbers.

/// The factor that makes the median absolute deviation of normal numbers their standard deviation.
pub(super) const MAD_TO_SIGMA: f64 = 1.4826;
/// The factor by which the median of normal numbers is less certain than their mean.
pub(super) const MEDIAN_TO_MEAN: f64 = 1.2533;

/// Returns the median, or `None` of an empty list. It is the mean of the two middle numbers of an even count.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        return Some(*values.select_nth_unstable_by(middle, f64::total_cmp).1);
    }
    let (below, upper, _) =
        (!values.is_empty()).then(|| values.select_nth_unstable_by(middle, f64::total_cmp))?;
    let lower = below.iter().copied().max_by(f64::total_cmp)?;
    Some((lower + *upper) / 2.0)
}

/// Returns a quantile by nearest rank, or `None` of an empty list. `share` is from 0 to 1.
pub(super) fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut values = values.to_vec();
    let rank = (share * values.len() as f64).ceil() as usize;
    let at = rank.clamp(1, values.len().max(1)).saturating_sub(1);
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(at, f64::total_cmp).1)
}

/// Returns the standard deviation by the median absolute deviation from `centre`, or `None` of an empty list.
pub(super) fn sigma(values: &[f64], centre: f64) -> Option<f64> {
    let deviations: Vec<f64> = values.iter().map(|value| (value - centre).abs()).collect();
    median(&deviations).map(|deviation| MAD_TO_SIGMA * deviation)
}

/// Returns the correlation of neighbours in a list, from -1 to 1. It is 0 for fewer than three numbers and for equal
/// numbers.
pub(super) fn lag1(values: &[f64]) -> f64 {
    if values.len() < 3 {
        return 0.0;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let deviations: Vec<f64> = values.iter().map(|value| value - mean).collect();
    let neighbours = deviations.iter().zip(deviations.iter().skip(1));
    let together: f64 = neighbours.map(|(before, value)| before * value).sum();
    let alone: f64 = deviations.iter().map(|deviation| deviation * deviation).sum();
    if alone > 0.0 { (together / alone).clamp(-1.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_quantiles_of_short_lists() {
        let table: [(&[f64], Option<f64>); 5] = [
            (&[], None),
            (&[3.0], Some(3.0)),
            (&[4.0, 1.0], Some(2.5)),
            (&[5.0, 1.0, 4.0], Some(4.0)),
            (&[5.0, 1.0, 4.0, -8.0], Some(2.5)),
        ];
        for (values, wanted) in table {
            assert_eq!(median(values), wanted, "{values:?}");
        }
        let ten: Vec<f64> = (1..=10).rev().map(f64::from).collect();
        for (share, wanted) in [(0.0, 1.0), (0.1, 1.0), (0.11, 2.0), (0.95, 10.0), (1.0, 10.0)] {
            assert_eq!(quantile(&ten, share), Some(wanted), "{share}");
        }
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn one_wild_number_does_not_move_the_standard_deviation() {
        let mut values: Vec<f64> = (0..101).map(f64::from).collect();
        let calm = sigma(&values, 50.0).expect("numbers");
        assert!((calm - 25.0 * MAD_TO_SIGMA).abs() < 1e-9);
        values[100] = 1e9;
        assert_eq!(sigma(&values, 50.0), Some(calm));
    }

    #[test]
    fn neighbours_correlate_as_they_should() {
        let falling_and_rising: Vec<f64> =
            (0..100).map(|at| if at % 2 == 0 { 1.0 } else { -1.0 }).collect();
        assert!(lag1(&falling_and_rising) < -0.98);
        let slow: Vec<f64> = (0..100).map(|at| (f64::from(at) / 20.0).sin()).collect();
        assert!(lag1(&slow) > 0.95);
        assert_eq!((lag1(&[7.0; 30]), lag1(&[1.0, 2.0])), (0.0, 0.0));
    }
}
