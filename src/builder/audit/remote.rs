//! How far a picture as a whole is from the others.
//!
//! Not from the nearest, but from the nearest tenth: pictures of another product resemble each other
//! perfectly, and still few others. What makes up less than a tenth of a folder stands out.

use crate::backbone::TapIdentity;
use crate::builder::store::Store;
use crate::feature_map::{FeatureMap, normalise};
use rayon::prelude::*;

/// Part of the others that must be near before a picture has company.
const COMPANY: f64 = 0.1;
/// Most pictures that the others are compared with, evenly taken from all.
const REFERENCES: usize = 512;

/// The distance of every picture to the nearest tenth of the others that are not of its own group: cosine
/// distances of the mean vectors of the quarters, every layer in parts of its median, mean over layers.
pub fn remoteness(store: &Store, taps: &[TapIdentity], groups: &[u32]) -> Vec<f64> {
    let count = store.pictures();
    let pictures: Vec<Vec<Vec<f32>>> = (0..count)
        .into_par_iter()
        .map(|picture| store.maps(picture).iter().map(quarters).collect())
        .collect();
    let wanted = count.min(REFERENCES);
    let references: Vec<usize> = (0..wanted).map(|i| i * count / wanted).collect();
    // `[picture][other][layer]`, without the own group.
    let distances: Vec<Vec<Vec<f64>>> = (0..count)
        .into_par_iter()
        .map(|i| {
            let others = references.iter().filter(|&&j| groups[j] != groups[i]);
            others
                .map(|&j| {
                    let layers = pictures[i].iter().zip(&pictures[j]);
                    layers.map(|(a, b)| distance(a, b)).collect()
                })
                .collect()
        })
        .collect();
    let usual: Vec<f64> = (0..taps.len())
        .map(|layer| {
            let mut all: Vec<f64> = distances.iter().flatten().map(|d| d[layer]).collect();
            let middle = all.len() / 2;
            if all.is_empty() { 1.0 } else { *all.select_nth_unstable_by(middle, f64::total_cmp).1 }
        })
        .collect();
    distances
        .iter()
        .map(|others| {
            let parts = |d: &Vec<f64>| -> f64 {
                d.iter().zip(&usual).map(|(d, usual)| d / usual.max(1e-9)).sum()
            };
            let mut joined: Vec<f64> =
                others.iter().map(|d| parts(d) / taps.len().max(1) as f64).collect();
            let company = ((COMPANY * joined.len() as f64) as usize).max(1);
            match joined.len() {
                0 => 0.0,
                others => {
                    let at = company.min(others) - 1;
                    *joined.select_nth_unstable_by(at, f64::total_cmp).1
                }
            }
        })
        .collect()
}

/// The mean vectors of the four quarters of a map, each of length 1, one after the other.
fn quarters(map: &FeatureMap) -> Vec<f32> {
    let mut sums = vec![0.0; 4 * map.channels()];
    for pixel in 0..map.pixels() {
        let (x, y) = (pixel % map.width(), pixel / map.width());
        let quarter = 2 * (2 * y / map.height()) + 2 * x / map.width();
        let sum = &mut sums[quarter * map.channels()..(quarter + 1) * map.channels()];
        sum.iter_mut().zip(map.vector(pixel)).for_each(|(s, v)| *s += v);
    }
    sums.chunks_exact_mut(map.channels()).for_each(|sum| {
        normalise(sum);
    });
    sums
}

/// The mean cosine distance of the quarters.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let product: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    f64::from(1.0 - product / 4.0).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_of_its_own_is_remote_and_half_of_all_pictures_are_not() {
        let taps = [TapIdentity { name: "t".into(), channels: 3, height: 2, width: 2 }];
        let mut store = Store::new(&taps, 1 << 20, std::env::temp_dir());
        // Two kinds of good pictures, 20 of each, and three others that are equal to each other.
        let direction = |i: usize| match i {
            0..20 => [1.0, 0.1, 0.0],
            20..40 => [0.1, 1.0, 0.0],
            _ => [0.0, 0.0, 1.0],
        };
        let map = |i: usize| {
            let noise = (i % 7) as f32 * 0.01;
            let data = direction(i).map(|v| v + noise).repeat(4);
            vec![FeatureMap::normalised(2, 2, 3, data)]
        };
        let all: Vec<_> = (0..43).map(map).collect();
        for batch in all.chunks(store.batch_size()) {
            store.push(batch).expect("stores");
        }
        let groups: Vec<u32> = (0..43).collect();
        let remote = remoteness(&store, &taps, &groups);
        let most = remote[..40].iter().copied().fold(0.0, f64::max);
        assert!(remote[40..].iter().all(|r| *r > 5.0 * most), "{remote:?}");
    }
}
