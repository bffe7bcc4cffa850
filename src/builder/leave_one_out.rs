//! Scores every good picture against the template without its own prototypes.

use super::few_at_once::{few_at_once, maps_at_once};
use super::store::Store;
use super::{Progress, Stage};
use crate::inspection::Pipeline;
use crate::matching::Distances;
use crate::scoring::Fusion;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The smallest mean peak that a layer's weight is derived from. Good parts that are closer to each other count as
/// equal. Otherwise the weight would amplify noise.
const LEAST_PEAK: f64 = 1e-3;
/// The distance if nothing was left to compare with.
const NOTHING: f32 = 2.0;

/// Returns for each layer the group of the picture that every prototype comes from. `group` holds the group of every
/// picture.
pub fn groups(pipeline: &Pipeline, group: &[u32]) -> Vec<Vec<u32>> {
    let template = pipeline.template();
    let of_layer = |layer| -> Vec<u32> {
        template.sources(layer).iter().map(|&picture| group[picture as usize]).collect()
    };
    (0..template.layers()).map(of_layer).collect()
}

/// Holds the leave-one-out distances of all good pictures.
pub struct LeaveOneOut {
    /// The distances, `[picture][layer]`.
    distances: Vec<Vec<Distances>>,
}

impl LeaveOneOut {
    /// Matches every picture of `store` against the template without the prototypes from pictures of its part. `part`
    /// holds the part of every picture.
    pub fn compute(pipeline: &Pipeline, store: &Store, part: &[u32], progress: Progress) -> Self {
        let done = AtomicUsize::new(0);
        let parts = groups(pipeline, part);
        let of_picture = |picture: usize| {
            let distances = pipeline.distances_without(&store.maps(picture), &parts, part[picture]);
            let count = done.fetch_add(1, Ordering::Relaxed) + 1;
            progress(Stage::LeaveOneOut, count, store.pictures());
            distances
        };
        let at_once = pipeline.backbone().identity().pictures_at_once();
        LeaveOneOut { distances: few_at_once(store.pictures(), at_once, of_picture) }
    }

    /// Returns `share` of the mean distance map of a layer, over the pictures for which `counts` returns true. This is
    /// what good parts leave there. It is zero for a single picture.
    pub fn baseline(
        &self,
        pipeline: &Pipeline,
        layer: usize,
        share: f32,
        counts: &dyn Fn(usize) -> bool,
    ) -> Vec<f32> {
        let pixels = self.distances.first().map_or(0, |layers| layers[layer].forward.len());
        let mut sum = vec![0.0f64; pixels];
        let mut count = vec![0u32; pixels];
        let counted = self.distances.iter().enumerate().filter(|(picture, _)| counts(*picture));
        for (_, distances) in counted {
            let joined = pipeline.scorer().mutual(&distances[layer]);
            for (((sum, count), value), forward) in
                sum.iter_mut().zip(&mut count).zip(joined).zip(&distances[layer].forward)
            {
                if *forward != NOTHING {
                    *sum += f64::from(value);
                    *count += 1;
                }
            }
        }
        let mean = |(sum, count): (&f64, u32)| (sum / f64::from(count.max(1))) as f32;
        sum.iter().zip(count).map(|both| share * mean(both)).collect()
    }

    /// Returns the layer weights: one over the mean peak of the layer's own blurred map, over the good pictures. For a
    /// sum they are also divided by the number of layers. So every layer counts by how far it stands out from its usual
    /// value on good parts, and a good picture scores about 1.
    pub fn weights(&self, pipeline: &Pipeline) -> Vec<f32> {
        let layers = pipeline.template().layers();
        (0..layers)
            .map(|layer| {
                let peak = |picture: usize| {
                    pipeline.scorer().layer_peak(layer, &self.distances[picture][layer])
                };
                let peaks = few_at_once(self.distances.len(), maps_at_once(pipeline), peak);
                let sum: f64 = peaks.iter().map(|&p| f64::from(p)).sum();
                let mean = (sum / peaks.len().max(1) as f64).max(LEAST_PEAK);
                let parts =
                    if pipeline.template().header().fusion == Fusion::Sum { layers } else { 1 };
                (1.0 / (mean * parts as f64)) as f32
            })
            .collect()
    }

    /// Returns the score of every picture.
    pub fn scores(&self, pipeline: &Pipeline) -> Vec<f32> {
        let score =
            |picture: usize| pipeline.score(&pipeline.anomaly_map(&self.distances[picture])).score;
        few_at_once(self.distances.len(), maps_at_once(pipeline), score)
    }
}
