//! The anomaly map (Eqs. 6 and 10) and the image score (Eq. 11).

use super::blur::GaussianBlur;
use super::fusion::{DistanceMap, add_upsampled, mutual};
use crate::image::Mask;
use crate::matching::Distances;

/// Turns the distances of all layers into one map and one score.
pub struct Scorer {
    height: usize,
    width: usize,
    alpha: f32,
    weights: Vec<f32>,
    blur: GaussianBlur,
    mask: Option<Region>,
}

/// A region of interest and its blurred indicator.
struct Region {
    inside: Vec<bool>,
    coverage: Vec<f32>,
}

/// The score of a picture and the map it is the maximum of.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Largest value of the blurred map.
    pub score: f32,
    /// The blurred map, at network size; 0 outside the region of interest.
    pub blurred: Vec<f32>,
}

impl Scorer {
    /// `height` x `width` is the network's input size, to which maps are upsampled; `weights` has
    /// one number a layer, `sigma` is in pixels of that size.
    ///
    /// With a region of interest, what lies outside counts nowhere, and the blur near its edge
    /// averages over the inside alone.
    pub fn new(
        (height, width): (usize, usize),
        alpha: f32,
        weights: Vec<f32>,
        sigma: f32,
        mask: Option<&Mask>,
    ) -> Self {
        let blur = GaussianBlur::new(sigma);
        let mask = mask.map(|mask| {
            let inside = mask.inside().to_vec();
            let indicator: Vec<f32> = inside.iter().map(|&i| f32::from(u8::from(i))).collect();
            Region { coverage: blur.apply(&indicator, width), inside }
        });
        Scorer { height, width, alpha, weights, blur, mask }
    }

    /// The anomaly map `S+` at network size: `sum over layers of w * upsample(a S_f + (1-a) S_b)`.
    ///
    /// `layers` holds the height, width and distances of each layer's map.
    pub fn anomaly_map(&self, layers: &[(usize, usize, &Distances)]) -> Vec<f32> {
        let mut sum = vec![0.0; self.height * self.width];
        for (&(height, width, distances), &weight) in layers.iter().zip(&self.weights) {
            let data = if distances.backward.is_empty() {
                distances.forward.clone()
            } else {
                mutual(&distances.forward, &distances.backward, self.alpha)
            };
            let map = DistanceMap { height, width, data };
            add_upsampled(&map, weight, &mut sum, self.height, self.width);
        }
        if let Some(mask) = &self.mask {
            sum.iter_mut().zip(&mask.inside).filter(|(_, inside)| !**inside).for_each(|(v, _)| *v = 0.0);
        }
        sum
    }

    /// The image score: the largest value of the blurred anomaly map.
    pub fn score(&self, anomaly_map: &[f32]) -> Scored {
        let mut blurred = self.blur.apply(anomaly_map, self.width);
        if let Some(mask) = &self.mask {
            for ((value, &inside), &coverage) in blurred.iter_mut().zip(&mask.inside).zip(&mask.coverage) {
                *value = if inside { *value / coverage } else { 0.0 };
            }
        }
        let score = blurred.iter().copied().fold(0.0, f32::max);
        Scored { score, blurred }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(value: f32) -> Distances {
        Distances { forward: vec![value; 16], backward: vec![value / 2.0; 16] }
    }

    #[test]
    fn layers_and_directions_are_weighted() {
        let scorer = Scorer::new((8, 8), 0.5, vec![2.0, 1.0], 1.0, None);
        let (a, b) = (flat(0.4), flat(0.8));
        let map = scorer.anomaly_map(&[(4, 4, &a), (4, 4, &b)]);
        assert!(map.iter().all(|v| (v - (2.0 * 0.3 + 0.6)).abs() < 1e-6));
        assert!((scorer.score(&map).score - 1.2).abs() < 1e-5);
    }

    #[test]
    fn what_lies_outside_the_region_of_interest_counts_nowhere() {
        let inside: Vec<bool> = (0..64).map(|i| i % 8 < 4).collect();
        let mask = Mask::from_flags(8, 8, inside.clone()).expect("fits");
        let scorer = Scorer::new((8, 8), 1.0, vec![1.0], 2.0, Some(&mask));
        let defect_outside: Vec<f32> = (0..64).map(|i| if i % 8 == 6 { 9.0 } else { 0.1 }).collect();
        let distances = Distances { forward: defect_outside, backward: Vec::new() };
        let map = scorer.anomaly_map(&[(8, 8, &distances)]);
        let scored = scorer.score(&map);
        assert!((scored.score - 0.1).abs() < 1e-6, "{}", scored.score);
        assert!(scored.blurred.iter().zip(&inside).all(|(v, inside)| *inside || *v == 0.0));
    }
}
