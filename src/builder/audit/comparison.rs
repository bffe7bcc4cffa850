//! Compares every picture with the others: holds the distances, and the scorer that turns them into one map.

use super::neighbours::{self, References};
use super::robust;
use crate::backbone::Identity;
use crate::builder::store::Store;
use crate::image::Mask;
use crate::matching::Distances;
use crate::scoring::blur::GaussianBlur;
use crate::scoring::{Fusion, Layer, Scored, Scorer};
use rayon::prelude::*;

/// Maps are scored at the network's size divided by this number. There is one score per picture and round.
const COARSER: usize = 4;
/// The sigma of the blur before the largest value is taken, in pixels of an input of 256.
const SIGMA: f32 = 4.0;
/// The sigma of the blur that describes the surroundings of a place, in pixels of an input of 256.
const SURROUNDINGS_SIGMA: f32 = 24.0;
/// The smallest mean peak that a layer's weight is derived from.
const LEAST_PEAK: f64 = 1e-3;

/// Holds the distances of every picture to the others.
pub struct Comparison {
    /// The distances, `[picture][layer]`.
    distances: Vec<Vec<Distances>>,
    scorer: Scorer,
    surroundings: GaussianBlur,
    /// The rows and columns of the scored maps.
    pub size: (usize, usize),
}

impl Comparison {
    /// Compares every picture of `store` with all `references` except those of its own group. The `kept` pictures
    /// define what is usual.
    pub fn new(
        store: &Store,
        backbone: &Identity,
        mask: Option<&Mask>,
        (kept, groups): (&[bool], &[u32]),
        references: &[References],
        step: &(dyn Fn() + Sync),
    ) -> Self {
        let taps = &backbone.taps;
        let distances = neighbours::distances(store, taps, references, groups, step);
        let coarser = |side: u32| (side as usize / COARSER).max(1);
        let size = (coarser(backbone.height), coarser(backbone.width));
        let scale = ((size.0 * size.1) as f32).sqrt() / 256.0;
        let sigma = SIGMA * scale;
        let mask = mask.and_then(|mask| coarse_mask(mask, size));
        let usual: Vec<&Vec<Distances>> =
            distances.iter().zip(kept).filter(|(_, kept)| **kept).map(|(d, _)| d).collect();
        let layers = |weights: &[f32]| -> Vec<Layer> {
            taps.iter()
                .enumerate()
                .map(|(layer, tap)| Layer {
                    height: tap.height as usize,
                    width: tap.width as usize,
                    weight: weights[layer],
                    votes: 1.0,
                    baseline: mean(usual.iter().map(|d| d[layer].forward.as_slice())),
                })
                .collect()
        };
        let scorer =
            |layers| Scorer::new(size, 1.0, Fusion::RootMean, layers, sigma, mask.as_ref());
        let plain = scorer(layers(&vec![1.0; taps.len()]));
        let weights: Vec<f32> = (0..taps.len())
            .map(|layer| {
                let peaks: Vec<f32> =
                    usual.par_iter().map(|d| plain.layer_peak(layer, &d[layer])).collect();
                let sum: f64 = peaks.iter().map(|&p| f64::from(p)).sum();
                (1.0 / (sum / peaks.len().max(1) as f64).max(LEAST_PEAK)) as f32
            })
            .collect();
        let scorer = scorer(layers(&weights));
        let surroundings = GaussianBlur::new(SURROUNDINGS_SIGMA * scale);
        Comparison { distances, scorer, surroundings, size }
    }

    /// Returns the map of a picture and its largest value.
    pub fn scored(&self, picture: usize) -> Scored {
        self.scorer.score(&self.scorer.anomaly_map(&self.distances[picture]))
    }

    /// Returns how far the map of a picture rises above its surroundings, at the place where it does so most.
    pub fn contrast(&self, scored: &Scored) -> f32 {
        // Outside a region of interest the map is minus infinity.
        let known = |v: &f32| if v.is_finite() { *v } else { 0.0 };
        let inside: Vec<f32> = scored.blurred.iter().map(known).collect();
        let around = self.surroundings.apply(&inside, self.size.1);
        let above = scored.blurred.iter().zip(around).map(|(value, around)| value - around);
        above.fold(f32::NEG_INFINITY, f32::max)
    }

    /// Returns the mean distance of every picture, over all places and layers. Each layer counts relative to what is
    /// usual among the `kept` pictures.
    pub fn spread(&self, kept: &[bool]) -> Vec<f64> {
        let of_layer = |layer: usize| -> Vec<f64> {
            let means: Vec<f64> = self
                .distances
                .iter()
                .map(|d| {
                    let forward = &d[layer].forward;
                    let sum: f64 = forward.iter().map(|&v| f64::from(v)).sum();
                    sum / forward.len().max(1) as f64
                })
                .collect();
            let used = means.iter().zip(kept).filter(|(_, kept)| **kept).map(|(m, _)| *m);
            let usual = robust::Spread::of(used, 0.0).centre.max(LEAST_PEAK);
            means.iter().map(|m| m / usual).collect()
        };
        let layers = self.distances.first().map_or(0, Vec::len);
        let mut sum = vec![0.0; self.distances.len()];
        for layer in 0..layers {
            sum.iter_mut().zip(of_layer(layer)).for_each(|(sum, v)| *sum += v / layers as f64);
        }
        sum
    }
}

/// Returns the mean of maps of equal length. It is empty if there are no maps.
fn mean<'a>(maps: impl Iterator<Item = &'a [f32]>) -> Vec<f32> {
    let mut sum: Vec<f64> = Vec::new();
    let mut count = 0u32;
    for map in maps {
        sum.resize(map.len(), 0.0);
        sum.iter_mut().zip(map).for_each(|(sum, v)| *sum += f64::from(*v));
        count += 1;
    }
    sum.iter().map(|v| (v / f64::from(count.max(1))) as f32).collect()
}

/// Returns the region of interest at the size of the maps, or `None` if nothing of it is left.
fn coarse_mask(mask: &Mask, (height, width): (usize, usize)) -> Option<Mask> {
    let place = |at: usize, of: usize, from: usize| (2 * at + 1) * from / (2 * of);
    let inside: Vec<bool> = (0..height * width)
        .map(|i| {
            let (x, y) = (i % width, i / width);
            let at = place(y, height, mask.height()) * mask.width() + place(x, width, mask.width());
            mask.inside()[at]
        })
        .collect();
    Mask::from_flags(height, width, inside).filter(|mask| mask.count() > 0)
}
