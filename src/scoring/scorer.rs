//! This module computes the anomaly map (Eqs. 6 and 10) and the score of a picture (the paper's
//! image score, Eq. 11).
//!
//! # Excess over the baseline
//! Even a good part is not equally near to its template everywhere. Edges, print and texture always
//! leave some distance, and a plain background leaves none. The excess matters: how much *more*
//! distance a part has at a position than good parts have there. So a template can carry a
//! *baseline* `B_j` for every layer. It is the mean leave-one-out distance map of the template's
//! good pictures:
//!
//! ```text
//! S+ = sum over layers j of w_j * upsample(a S_f + (1 - a) S_b - B_j)
//! ```
//!
//! Without a baseline (`B_j = 0`) this is the paper's Eq. 10. A value below 0 means that the part
//! is nearer to the template than usual.
//!
//! # Root mean
//! In a plain sum, the coarse layers smear over everything around a defect, because their pixels
//! are large. [`Fusion::RootMean`] takes a generalised mean over the layers in place of the sum:
//!
//! ```text
//! S+ = ( 1/V * sum over j of v_j * ( max(w_j * upsample(..), 0) + e )^(1/4) )^4 - e,    e = 0.3
//! ```
//!
//! Here `v_j` are the votes of layer j, and V is the sum of all votes. The mean is high where
//! several layers agree. Coarse layers tell that something is wrong, and fine layers tell where.
//! The weights are one over the usual peak of a layer, so e is 0.3 of that peak. It keeps a single
//! silent layer from vetoing the others.

use super::blur::GaussianBlur;
use super::fusion::{DistanceMap, add_upsampled, mutual};
use crate::image::Mask;
use crate::matching::Distances;
use serde::{Deserialize, Serialize};

/// The way in which the layers are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fusion {
    /// The weighted sum (Eq. 10).
    Sum,
    /// The generalised mean with exponent 1/4.
    RootMean,
}

impl std::fmt::Display for Fusion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Fusion::Sum => "sum",
            Fusion::RootMean => "root-mean",
        })
    }
}

/// The floor `e` of the root mean.
const FLOOR: f32 = 0.3;

/// The data of one layer that the scorer needs.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The number of rows of the layer's maps.
    pub height: usize,
    /// The number of columns of the layer's maps.
    pub width: usize,
    /// The factor by which the layer's distances are multiplied.
    pub weight: f32,
    /// The weight of the layer in the root mean over layers, above 0. The usual value is 1. A plain
    /// sum does not use it.
    pub votes: f32,
    /// The mean distance map of good parts, or nothing where there is no baseline.
    pub baseline: Vec<f32>,
}

/// Turns the distances of all layers into one map and one score.
pub struct Scorer {
    height: usize,
    width: usize,
    alpha: f32,
    fusion: Fusion,
    layers: Vec<Layer>,
    blur: GaussianBlur,
    roi: Option<RegionOfInterest>,
    /// The region that region rules judge, where they ignore a part of the picture.
    judged: Option<RegionOfInterest>,
}

/// A region of interest, and its blurred indicator.
struct RegionOfInterest {
    inside: Vec<bool>,
    coverage: Vec<f32>,
}

impl RegionOfInterest {
    fn new(inside: Vec<bool>, blur: &GaussianBlur, width: usize) -> Self {
        let indicator: Vec<f32> = inside.iter().map(|&i| f32::from(u8::from(i))).collect();
        RegionOfInterest { coverage: blur.apply(&indicator, width), inside }
    }

    fn hide_outside(&self, map: &mut [f32], with: f32) {
        map.iter_mut()
            .zip(&self.inside)
            .filter(|(_, inside)| !**inside)
            .for_each(|(v, _)| *v = with);
    }
}

/// The score of a picture, and the map of which it is the maximum.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// The largest value of the blurred map inside the region of interest.
    pub score: f32,
    /// The blurred map at the network's input size. It is minus infinity outside the region of
    /// interest.
    pub blurred: Vec<f32>,
    /// The map that region rules judge instead, where they ignore a part of the picture. It is
    /// blurred over the rest alone, and is minus infinity where the picture is ignored.
    pub judged: Option<Vec<f32>>,
}

impl Scored {
    /// Returns the map that region rules judge.
    pub fn for_rules(&self) -> &[f32] {
        self.judged.as_ref().unwrap_or(&self.blurred)
    }
}

impl Scorer {
    /// Makes a scorer. `height` x `width` is the network's input size, to which maps are upsampled.
    /// `sigma` is in pixels of that size.
    ///
    /// With a region of interest, values outside it count nowhere. The blur near its edge averages
    /// over the inside alone.
    pub fn new(
        (height, width): (usize, usize),
        alpha: f32,
        fusion: Fusion,
        layers: Vec<Layer>,
        sigma: f32,
        mask: Option<&Mask>,
    ) -> Self {
        let blur = GaussianBlur::new(sigma);
        let roi = mask.map(|mask| RegionOfInterest::new(mask.inside().to_vec(), &blur, width));
        Scorer { height, width, alpha, fusion, layers, blur, roi, judged: None }
    }

    /// Makes region rules ignore the pixels of the map where `ignored` is true. The map that they
    /// judge is then blurred without these pixels. The score and [`Scored::blurred`] do not change.
    pub fn ignoring(mut self, ignored: &[bool]) -> Self {
        if ignored.contains(&true) {
            let of_interest =
                |at: usize| self.roi.as_ref().is_none_or(|roi| roi.inside.get(at) == Some(&true));
            let counts = |(at, &ignored): (usize, &bool)| !ignored && of_interest(at);
            let inside = ignored.iter().enumerate().map(counts).collect();
            self.judged = Some(RegionOfInterest::new(inside, &self.blur, self.width));
        }
        self
    }

    /// Returns the rows and columns of the anomaly map.
    pub fn size(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// Returns the layers, in their order.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Returns the distances of a layer with both directions joined (Eq. 6), before any baseline.
    pub fn mutual(&self, distances: &Distances) -> Vec<f32> {
        if distances.backward.is_empty() {
            distances.forward.clone()
        } else {
            mutual(&distances.forward, &distances.backward, self.alpha)
        }
    }

    /// Computes the anomaly map `S+` at the network's input size. It is 0 outside the region of
    /// interest.
    pub fn anomaly_map(&self, distances: &[Distances]) -> Vec<f32> {
        let mut sum = vec![0.0; self.height * self.width];
        match self.fusion {
            Fusion::Sum => {
                for (layer, distances) in self.layers.iter().zip(distances) {
                    self.add(layer, distances, layer.weight, &mut sum);
                }
            }
            Fusion::RootMean => {
                let mut map = vec![0.0; sum.len()];
                for (layer, distances) in self.layers.iter().zip(distances) {
                    map.fill(0.0);
                    self.add(layer, distances, layer.weight, &mut map);
                    // A NaN must stay NaN, and `f32::max` would make it 0.
                    let positive = |v: f32| if v < 0.0 { 0.0 } else { v };
                    let votes = layer.votes;
                    sum.iter_mut()
                        .zip(&map)
                        .for_each(|(sum, v)| *sum += votes * (positive(*v) + FLOOR).sqrt().sqrt());
                }
                let count: f32 = self.layers.iter().map(|layer| layer.votes).sum();
                sum.iter_mut().for_each(|v| *v = (*v / count).powi(4) - FLOOR);
            }
        }
        self.hide_outside(&mut sum, 0.0);
        sum
    }

    /// Computes the largest value of one layer's blurred map, where the layer is taken alone with
    /// weight 1.
    pub fn layer_peak(&self, layer: usize, distances: &Distances) -> f32 {
        let mut map = vec![0.0; self.height * self.width];
        self.add(&self.layers[layer], distances, 1.0, &mut map);
        self.hide_outside(&mut map, 0.0);
        self.score(&map).score
    }

    /// Computes the score of a picture: the largest value of the blurred anomaly map (Eq. 11).
    pub fn score(&self, anomaly_map: &[f32]) -> Scored {
        let blurred = self.blurred(anomaly_map, self.roi.as_ref());
        let score = blurred.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let judged = self.judged.as_ref().map(|judged| {
            let mut map = anomaly_map.to_vec();
            judged.hide_outside(&mut map, 0.0);
            self.blurred(&map, Some(judged))
        });
        Scored { score, blurred, judged }
    }

    /// Blurs a map that is 0 outside `roi`, over the inside alone.
    fn blurred(&self, map: &[f32], roi: Option<&RegionOfInterest>) -> Vec<f32> {
        let mut blurred = self.blur.apply(map, self.width);
        if let Some(roi) = roi {
            blurred
                .iter_mut()
                .zip(&roi.coverage)
                .for_each(|(value, coverage)| *value /= coverage.max(1e-6));
            roi.hide_outside(&mut blurred, f32::NEG_INFINITY);
        }
        blurred
    }

    fn add(&self, layer: &Layer, distances: &Distances, weight: f32, sum: &mut [f32]) {
        let mut data = self.mutual(distances);
        data.iter_mut().zip(&layer.baseline).for_each(|(distance, usual)| *distance -= usual);
        let map = DistanceMap { height: layer.height, width: layer.width, data };
        add_upsampled(&map, weight, sum, self.height, self.width);
    }

    fn hide_outside(&self, map: &mut [f32], with: f32) {
        if let Some(roi) = &self.roi {
            roi.hide_outside(map, with);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(size: usize, weight: f32, baseline: f32) -> Layer {
        Layer {
            height: size,
            width: size,
            weight,
            votes: 1.0,
            baseline: vec![baseline; size * size],
        }
    }

    fn flat(value: f32) -> Distances {
        Distances { forward: vec![value; 16], backward: vec![value / 2.0; 16] }
    }

    #[test]
    fn layers_and_directions_are_weighted_and_the_baseline_taken_off() {
        let plain = Layer { baseline: Vec::new(), ..layer(4, 2.0, 0.0) };
        let scorer =
            Scorer::new((8, 8), 0.5, Fusion::Sum, vec![plain, layer(4, 1.0, 0.1)], 1.0, None);
        let map = scorer.anomaly_map(&[flat(0.4), flat(0.8)]);
        assert!(map.iter().all(|v| (v - (2.0 * 0.3 + 0.6 - 0.1)).abs() < 1e-6));
        assert!((scorer.score(&map).score - 1.1).abs() < 1e-5);
        assert!((scorer.layer_peak(1, &flat(0.8)) - 0.5).abs() < 1e-5);
    }

    #[test]
    fn the_root_mean_of_equal_layers_is_their_value_and_disagreement_lowers_it() {
        let layers = vec![layer(4, 1.0, 0.0), layer(4, 1.0, 0.0)];
        let scorer = Scorer::new((8, 8), 1.0, Fusion::RootMean, layers, 1.0, None);
        let at = |a: f32, b: f32| scorer.anomaly_map(&[flat(a), flat(b)])[27];
        assert!((at(2.0, 2.0) - 2.0).abs() < 1e-5);
        assert!(at(4.0, 0.0) < 1.9 && at(4.0, 0.0) > 1.0, "{}", at(4.0, 0.0));
    }

    #[test]
    fn a_layer_with_two_votes_counts_as_two_equal_layers() {
        let scorer = |layers| Scorer::new((8, 8), 1.0, Fusion::RootMean, layers, 1.0, None);
        let one = || layer(4, 1.0, 0.1);
        let two = scorer(vec![one(), Layer { votes: 2.0, ..one() }]);
        let three = scorer(vec![one(), one(), one()]);
        let want = three.anomaly_map(&[flat(0.5), flat(3.0), flat(3.0)]);
        let found = two.anomaly_map(&[flat(0.5), flat(3.0)]);
        assert!(found.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-5));
    }

    #[test]
    fn nearer_than_usual_is_below_zero() {
        let scorer = Scorer::new((8, 8), 1.0, Fusion::Sum, vec![layer(4, 1.0, 0.5)], 1.0, None);
        assert!((scorer.score(&scorer.anomaly_map(&[flat(0.2)])).score + 0.3).abs() < 1e-6);
    }

    #[test]
    fn what_lies_outside_the_region_of_interest_counts_nowhere() {
        let inside: Vec<bool> = (0..64).map(|i| i % 8 < 4).collect();
        let mask = Mask::from_flags(8, 8, inside.clone()).expect("fits");
        let scorer =
            Scorer::new((8, 8), 1.0, Fusion::Sum, vec![layer(8, 1.0, 0.0)], 2.0, Some(&mask));
        let defect_outside: Vec<f32> =
            (0..64).map(|i| if i % 8 == 6 { 9.0 } else { 0.1 }).collect();
        let map =
            scorer.anomaly_map(&[Distances { forward: defect_outside, backward: Vec::new() }]);
        let scored = scorer.score(&map);
        assert!((scored.score - 0.1).abs() < 1e-6, "{}", scored.score);
        assert!(
            scored
                .blurred
                .iter()
                .zip(&inside)
                .all(|(v, inside)| *inside || *v == f32::NEG_INFINITY)
        );
    }
}
