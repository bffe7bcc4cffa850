//! This module holds the methods that the paper compares PTS with (Fig. 9): random draws and
//! centroids of clusters. `kmeans` finds the clusters.
//!
//! All draws come from a fixed seed, so the same pictures give the same template.

use crate::feature_map::normalise;
use rand_xoshiro::Xoshiro256Plus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};

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
        let mut clusters = crate::selection::kmeans::kmeans(&points, 2, 2, 1);
        clusters.sort();
        assert_eq!(clusters[0], (0..30).filter(|i| i % 3 == 0).collect::<Vec<_>>());
        let (mean, nearest) = centroid(&points, 2, &clusters[0]);
        assert!((mean[0].hypot(mean[1]) - 1.0).abs() < 1e-6);
        assert!(clusters[0].contains(&nearest));
    }
}
