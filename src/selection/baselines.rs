//! This module holds the methods that the paper compares PTS with (Fig. 9): random draws and
//! k-means centroids.
//!
//! All draws come from a fixed seed, so the same pictures give the same template.

use crate::feature_map::normalise;
use linfa::DatasetBase;
use linfa::traits::{Fit, Predict};
use linfa_clustering::KMeans;
use ndarray_linfa::Array2;
use rand_xoshiro::Xoshiro256Plus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};

/// The most Lloyd iterations. The assignments of a few hundred vectors settle long before.
const ITERATIONS: u64 = 100;

/// Draws `count` different indices below `n` with `seed`, and returns them in rising order.
pub fn random_indices(n: usize, count: usize, seed: u64) -> Vec<usize> {
    let mut rng = Xoshiro256Plus::seed_from_u64(seed);
    let mut indices: Vec<usize> = (0..n).collect();
    // These are the first `count` steps of a Fisher-Yates shuffle.
    for i in 0..count.min(n) {
        let j = i + (rng.next_u64() % (n - i) as u64) as usize;
        indices.swap(i, j);
    }
    indices.truncate(count);
    indices.sort_unstable();
    indices
}

/// Clusters the rows of `points`, `[n, dimensions]`, into at most `count` clusters. Returns the
/// members of each non-empty cluster, in rising order.
pub fn kmeans(points: &[f32], dimensions: usize, count: usize, seed: u64) -> Vec<Vec<usize>> {
    let n = points.len().checked_div(dimensions).unwrap_or(0);
    let wide: Vec<f64> = points.iter().map(|&v| f64::from(v)).collect();
    let Ok(array) = Array2::from_shape_vec((n, dimensions), wide) else { return Vec::new() };
    let count = count.min(n);
    if count == 0 {
        return Vec::new();
    }
    let rng = Xoshiro256Plus::seed_from_u64(seed);
    let data = DatasetBase::from(array);
    let fitted =
        KMeans::params_with_rng(count, rng).n_runs(1).max_n_iterations(ITERATIONS).fit(&data);
    let mut clusters = vec![Vec::new(); count];
    match fitted {
        Ok(model) => {
            for (point, &cluster) in model.predict(data.records()).iter().enumerate() {
                clusters[cluster].push(point);
            }
        }
        // Fitting fails only where the points are too few or too equal to cluster.
        Err(_) => random_indices(n, count, seed)
            .into_iter()
            .zip(&mut clusters)
            .for_each(|(i, c)| c.push(i)),
    }
    clusters.retain(|members| !members.is_empty());
    clusters
}

/// Returns the normalised mean of the unit vectors `members` of `features`, `[n, channels]`, and
/// the member nearest to it.
pub fn centroid(features: &[f32], channels: usize, members: &[usize]) -> (Vec<f32>, usize) {
    let vector = |i: usize| &features[i * channels..(i + 1) * channels];
    let mut mean = vec![0.0f32; channels];
    for &i in members {
        mean.iter_mut().zip(vector(i)).for_each(|(m, v)| *m += v);
    }
    normalise(&mut mean);
    let cosine = |i: usize| -> f32 { vector(i).iter().zip(&mean).map(|(a, b)| a * b).sum() };
    let nearest =
        members.iter().copied().reduce(|best, i| if cosine(i) > cosine(best) { i } else { best });
    (mean, nearest.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_different_in_range_and_repeatable() {
        let drawn = random_indices(100, 30, 7);
        assert_eq!(drawn, random_indices(100, 30, 7));
        assert_ne!(drawn, random_indices(100, 30, 8));
        assert!(drawn.windows(2).all(|w| w[0] < w[1]) && drawn.len() == 30 && drawn[29] < 100);
        assert_eq!(random_indices(3, 9, 1), [0, 1, 2]);
    }

    #[test]
    fn clusters_are_found_and_centroids_are_unit_vectors() {
        let points: Vec<f32> = (0..30)
            .flat_map(|i| if i % 3 == 0 { [1.0, 0.01 * i as f32] } else { [0.01 * i as f32, 1.0] })
            .collect();
        let mut clusters = kmeans(&points, 2, 2, 1);
        clusters.sort();
        assert_eq!(clusters[0], (0..30).filter(|i| i % 3 == 0).collect::<Vec<_>>());
        let (mean, nearest) = centroid(&points, 2, &clusters[0]);
        assert!((mean[0].hypot(mean[1]) - 1.0).abs() < 1e-6);
        assert!(clusters[0].contains(&nearest));
    }

    #[test]
    fn equal_points_do_not_stop_it() {
        let clusters = kmeans(&[0.5; 20], 2, 4, 1);
        assert!(!clusters.is_empty() && clusters.len() <= 4);
    }
}
