//! Compares the scores of the first day with the good pictures that the template was built from.

use super::reference::Usual;
use super::statistics::{MEDIAN_TO_MEAN, median, sigma};
use serde::Serialize;

/// The smallest number of pictures with a score. Fewer say too little.
const LEAST_PICTURES: usize = 5;
/// The difference above which the watch warns, in standard deviations of the difference.
const LIMIT: f64 = 3.0;

/// Sums up the scores of the good pictures of a template, each against the template without the picture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct GoodPictures {
    /// The number of pictures.
    pub count: u32,
    /// The median of ln(score).
    pub centre: f64,
    /// The standard deviation of ln(score), by the median absolute deviation.
    pub sigma: f64,
}

impl GoodPictures {
    /// Sums up scores. Those that are not above 0 are unknown. Returns `None` if there are too few.
    pub fn new(scores: impl Iterator<Item = f32>) -> Option<Self> {
        let known = scores.filter(|score| score.is_finite() && *score > 0.0);
        let scores: Vec<f64> = known.map(|score| f64::from(score).ln()).collect();
        let centre = (scores.len() >= LEAST_PICTURES).then(|| median(&scores))??;
        let count = u32::try_from(scores.len()).unwrap_or(u32::MAX);
        Some(GoodPictures { count, centre, sigma: sigma(&scores, centre)? })
    }

    /// Returns how far the scores of the line are above those of the good pictures, in standard deviations of the
    /// difference. `usual` was learned from so many blocks.
    pub fn sigmas_below(&self, usual: &Usual, blocks: u32) -> f64 {
        let of_pictures = self.sigma / f64::from(self.count.max(1)).sqrt();
        let lag1 = usual.lag1.clamp(0.0, 0.99);
        let alone = f64::from(blocks.max(1)) * (1.0 - lag1) / (1.0 + lag1);
        let of_line = usual.sigma / alone.sqrt();
        let deviation = MEDIAN_TO_MEAN * of_pictures.hypot(of_line);
        (usual.centre - self.centre) / deviation.max(f64::MIN_POSITIVE)
    }
}

/// Returns whether a difference is a reason to warn.
pub(super) fn is_far(sigmas: f64) -> bool {
    sigmas > LIMIT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_far_above_those_of_the_good_pictures_are_told() {
        let spread = (0..101).map(|at| (0.01 * (at as f32 - 50.0)).exp());
        let pictures = GoodPictures::new(spread).expect("enough");
        assert!(pictures.centre.abs() < 1e-6 && (pictures.sigma - 0.25 * 1.4826).abs() < 1e-3);
        let of_line = |centre| Usual { centre, sigma: 0.1, lag1: 0.5 };
        let sigmas = |centre| pictures.sigmas_below(&of_line(centre), 144);
        // 1.2533 * sqrt(0.3707^2 / 101 + 0.1^2 * 3 / 144)
        assert!((sigmas(0.2) - 0.2 / 0.04962).abs() < 0.02, "{}", sigmas(0.2));
        assert!(is_far(sigmas(0.2)) && !is_far(sigmas(0.1)) && !is_far(sigmas(-9.0)));
    }

    #[test]
    fn unknown_scores_do_not_count() {
        let unknown = [f32::NAN, 0.0, -1.0, f32::INFINITY];
        let with = |known: usize| unknown.into_iter().chain(std::iter::repeat_n(1.0, known));
        assert_eq!(GoodPictures::new(with(4)), None);
        assert_eq!(GoodPictures::new(with(5)).map(|pictures| pictures.count), Some(5));
    }
}
