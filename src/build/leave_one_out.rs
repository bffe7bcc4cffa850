//! Every good picture against the template without its own prototypes.

use super::store::Store;
use super::{Progress, Stage};
use crate::inspection::Inspector;
use crate::matching::Distances;
use rayon::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Leave-one-out distances of all good pictures.
pub struct LeaveOneOut {
    /// `[picture][layer]`.
    distances: Vec<Vec<Distances>>,
}

impl LeaveOneOut {
    /// Matches every picture of `store` against the template, less the prototypes it gave.
    pub fn compute(inspector: &Inspector, store: &Store, progress: Progress) -> Self {
        let done = AtomicUsize::new(0);
        let distances = (0..store.pictures())
            .into_par_iter()
            .map(|picture| {
                let distances = inspector.distances(&store.maps(picture), Some(picture as u32));
                progress(Stage::LeaveOneOut, done.fetch_add(1, Ordering::Relaxed) + 1, store.pictures());
                distances
            })
            .collect();
        LeaveOneOut { distances }
    }

    /// The score of every picture.
    pub fn scores(&self, inspector: &Inspector) -> Vec<f32> {
        self.distances.par_iter().map(|d| inspector.score(&inspector.anomaly_map(d)).score).collect()
    }

    /// Layer weights.
    pub fn weights(&self) -> Vec<f32> {
        self.distances.first().map_or_else(Vec::new, |layers| vec![1.0; layers.len()])
    }
}
