//! This module groups vectors around means: k-means with Lloyd's steps, begun as k-means++ begins
//! (Arthur and Vassilvitskii, 2007).
//!
//! All choices at random come from a seed, so the same vectors give the same clusters.

use rand_xoshiro::Xoshiro256Plus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};

/// The most steps. The clusters of a few hundred vectors settle long before.
const STEPS: usize = 100;
/// The number of sums that a distance is added up in, so that the compiler can use vector instructions.
const LANES: usize = 8;

/// Clusters the rows of `points`, `[n, dimensions]`, into at most `count` clusters. Returns the
/// members of each non-empty cluster, in rising order. There are fewer clusters than `count` if there
/// are fewer different rows.
pub fn kmeans(points: &[f32], dimensions: usize, count: usize, seed: u64) -> Vec<Vec<usize>> {
    if dimensions == 0 {
        return Vec::new();
    }
    let rows: Vec<&[f32]> = points.chunks_exact(dimensions).collect();
    let mut means = first_means(&rows, count, seed);
    if means.is_empty() {
        return Vec::new();
    }
    let mut cluster_of = Vec::new();
    for _ in 0..STEPS {
        let nearest: Vec<usize> = rows.iter().map(|row| nearest_mean(row, &means)).collect();
        if nearest == cluster_of {
            break;
        }
        cluster_of = nearest;
        move_means(&rows, &cluster_of, &mut means);
    }
    let mut clusters = vec![Vec::new(); means.len()];
    for (row, &cluster) in cluster_of.iter().enumerate() {
        clusters[cluster].push(row);
    }
    clusters.retain(|members| !members.is_empty());
    clusters
}

/// Chooses rows that lie apart: each is drawn with a probability that grows with the square of its
/// distance to those that are chosen already.
fn first_means(rows: &[&[f32]], count: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut rng = Xoshiro256Plus::seed_from_u64(seed);
    let mut means: Vec<Vec<f32>> = Vec::new();
    let mut distances = vec![f32::INFINITY; rows.len()];
    while means.len() < count.min(rows.len()) {
        let chosen = if means.is_empty() {
            (rng.next_u64() % rows.len() as u64) as usize
        } else {
            let total: f64 = distances.iter().map(|&d| f64::from(d)).sum();
            if total <= 0.0 {
                break;
            }
            drawn_by_weight(&distances, share(rng.next_u64()) * total)
        };
        means.push(rows[chosen].to_vec());
        for (distance, row) in distances.iter_mut().zip(rows) {
            *distance = distance.min(squared_distance(row, rows[chosen]));
        }
    }
    means
}

/// Returns a number from 0 to below 1 of 53 random bits.
fn share(random: u64) -> f64 {
    (random >> 11) as f64 / (1u64 << 53) as f64
}

/// Returns the index at which the sum of the weights passes `place`.
fn drawn_by_weight(weights: &[f32], place: f64) -> usize {
    let mut sum = 0.0;
    let passed = weights.iter().position(|&weight| {
        sum += f64::from(weight);
        sum > place
    });
    // Rounding can leave `place` at the very end, and then the last row with a weight is meant.
    passed.or_else(|| weights.iter().rposition(|&weight| weight > 0.0)).unwrap_or(0)
}

/// Returns the index of the mean that is nearest to `row`, and the first of those that are equally near.
fn nearest_mean(row: &[f32], means: &[Vec<f32>]) -> usize {
    let mut best = (f32::INFINITY, 0);
    for (index, mean) in means.iter().enumerate() {
        let distance = squared_distance(row, mean);
        if distance < best.0 {
            best = (distance, index);
        }
    }
    best.1
}

/// Moves each mean to the middle of its rows. A mean without rows stays where it is.
fn move_means(rows: &[&[f32]], cluster_of: &[usize], means: &mut [Vec<f32>]) {
    let dimensions = means.first().map_or(0, Vec::len);
    let mut sums = vec![vec![0.0f64; dimensions]; means.len()];
    let mut counts = vec![0u32; means.len()];
    for (row, &cluster) in rows.iter().zip(cluster_of) {
        counts[cluster] += 1;
        sums[cluster].iter_mut().zip(*row).for_each(|(sum, &v)| *sum += f64::from(v));
    }
    for ((mean, sum), &count) in means.iter_mut().zip(&sums).zip(&counts) {
        if count > 0 {
            mean.iter_mut().zip(sum).for_each(|(m, s)| *m = (s / f64::from(count)) as f32);
        }
    }
}

fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (whole_a, rest_a) = a.as_chunks::<LANES>();
    let (whole_b, rest_b) = b.as_chunks::<LANES>();
    for (x, y) in whole_a.iter().zip(whole_b) {
        for lane in 0..LANES {
            sums[lane] += (x[lane] - y[lane]).powi(2);
        }
    }
    let rest: f32 = rest_a.iter().zip(rest_b).map(|(x, y)| (x - y).powi(2)).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the sum of the squared distances of all rows to the means of their clusters.
    fn spread(points: &[f32], dimensions: usize, clusters: &[Vec<usize>]) -> f64 {
        let row = |i: usize| &points[i * dimensions..(i + 1) * dimensions];
        let of_cluster = |members: &Vec<usize>| -> f64 {
            (0..dimensions)
                .map(|d| {
                    let values: Vec<f64> = members.iter().map(|&i| f64::from(row(i)[d])).collect();
                    let mean = values.iter().sum::<f64>() / values.len() as f64;
                    values.iter().map(|v| (v - mean).powi(2)).sum::<f64>()
                })
                .sum()
        };
        clusters.iter().map(of_cluster).sum()
    }

    #[test]
    fn every_row_is_in_one_cluster_and_the_same_seed_gives_the_same() {
        let mut rng = Xoshiro256Plus::seed_from_u64(9);
        let points: Vec<f32> = (0..300).map(|_| share(rng.next_u64()) as f32).collect();
        let clusters = kmeans(&points, 3, 7, 1);
        assert_eq!(clusters, kmeans(&points, 3, 7, 1));
        assert_eq!(clusters.len(), 7);
        let mut all = clusters.concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        assert!(clusters.iter().all(|members| members.is_sorted()));
        // Any grouping that pays no heed to the points has a far larger spread.
        let by_number: Vec<Vec<usize>> = (0..7).map(|c| (c..100).step_by(7).collect()).collect();
        assert!(spread(&points, 3, &clusters) < 0.5 * spread(&points, 3, &by_number));
    }

    #[test]
    fn groups_that_lie_apart_are_found() {
        let points: Vec<f32> = (0..60)
            .flat_map(|i| {
                [[0.0f32, 0.0], [9.0, 0.0], [0.0, 9.0]][i % 3].map(|v| v + 0.01 * i as f32)
            })
            .collect();
        for seed in 0..20 {
            let mut clusters = kmeans(&points, 2, 3, seed);
            clusters.sort();
            let expected = [0, 1, 2].map(|first| (first..60).step_by(3).collect::<Vec<_>>());
            assert_eq!(clusters, expected, "seed {seed}");
        }
    }

    #[test]
    fn few_or_equal_rows_give_fewer_clusters() {
        assert_eq!(kmeans(&[0.5; 20], 2, 4, 1), [(0..10).collect::<Vec<_>>()]);
        assert_eq!(kmeans(&[1.0, 2.0], 1, 5, 1).len(), 2);
        assert!(kmeans(&[], 3, 2, 1).is_empty() && kmeans(&[1.0], 0, 2, 1).is_empty());
        assert!(kmeans(&[1.0, 2.0], 1, 0, 1).is_empty());
    }
}
