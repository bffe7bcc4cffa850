//! Computes how far a picture as a whole is from the others.
//!
//! The distance is that to the nearest tenth of the others, not to the nearest one. Pictures of another product may
//! resemble each other perfectly, but they resemble few others. So a group of less than a tenth of a folder stands out.

use crate::backbone::{TapIdentity, pictures_at_once};
use crate::builder::few_at_once::few_at_once;
use crate::builder::store::Store;
use crate::feature_map::{FeatureMap, normalise};
use rayon::prelude::*;

/// The share of the others that must be near before a picture counts as having company.
const COMPANY: f64 = 0.1;
/// The largest number of pictures that the others are compared with, evenly taken from all.
const REFERENCES: usize = 512;
/// The number of quarters of a map.
const QUARTERS: usize = 4;
/// The largest number of times that the halves of a folder are computed again.
const ROUNDS: usize = 20;

/// Computes the distance of every picture to the nearest tenth of the others that are not of its own group. It uses
/// cosine distances of the mean vectors of the four quarters. Every layer counts relative to its median, and the result
/// is the mean over the layers.
pub fn remoteness(store: &Store, taps: &[TapIdentity], groups: &[u32]) -> (Vec<f64>, Halves) {
    let count = store.pictures();
    let of_picture = |picture: usize| store.maps(picture).iter().map(quarters).collect();
    let pictures: Vec<Vec<Vec<f32>>> = few_at_once(count, pictures_at_once(taps), of_picture);
    let wanted = count.min(REFERENCES);
    let references: Vec<usize> = (0..wanted).map(|i| i * count / wanted).collect();
    let is_other = |i: usize, at: usize| groups[references[at]] != groups[i];
    // The mean distances over the layers, `[picture][other]`. One layer after the other is added, to save memory.
    let mut joined = vec![vec![0.0f64; references.len()]; count];
    for (layer, _) in taps.iter().enumerate() {
        let of_picture = |i: usize| -> Vec<f64> {
            let of = |&j: &usize| distance(&pictures[i][layer], &pictures[j][layer]);
            references.iter().map(of).collect()
        };
        let distances: Vec<Vec<f64>> = (0..count).into_par_iter().map(of_picture).collect();
        let usual = usual_distance(&distances, is_other);
        for (sums, distances) in joined.iter_mut().zip(&distances) {
            let parts = distances.iter().map(|distance| distance / usual.max(1e-9));
            sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
        }
    }
    let layers = taps.len().max(1) as f64;
    joined.iter_mut().flatten().for_each(|sum| *sum /= layers);
    let remote = (joined.iter().enumerate())
        .map(|(i, others)| {
            let others = others.iter().enumerate().filter(|(at, _)| is_other(i, *at));
            let mut others: Vec<f64> = others.map(|(_, d)| *d).collect();
            let company = ((COMPANY * others.len() as f64) as usize).max(1);
            match others.len() {
                0 => 0.0,
                count => {
                    let at = company.min(count) - 1;
                    *others.select_nth_unstable_by(at, f64::total_cmp).1
                }
            }
        })
        .collect();
    let among: Vec<Vec<f64>> = references.iter().map(|&i| joined[i].clone()).collect();
    (remote, Halves::of(&among, &references))
}

/// Returns the median distance, `[picture][other]`, between pictures of different groups. It is 1 without such
/// pictures.
fn usual_distance(distances: &[Vec<f64>], is_other: impl Fn(usize, usize) -> bool) -> f64 {
    let mut all: Vec<f64> = Vec::with_capacity(distances.iter().map(Vec::len).sum());
    for (i, others) in distances.iter().enumerate() {
        let others = others.iter().enumerate().filter(|(at, _)| is_other(i, *at));
        all.extend(others.map(|(_, distance)| *distance));
    }
    let middle = all.len() / 2;
    if all.is_empty() { 1.0 } else { *all.select_nth_unstable_by(middle, f64::total_cmp).1 }
}

/// Returns the bytes that [`remoteness`] of so many pictures takes: the mean vectors, and four distances in double
/// precision for each pair.
pub fn memory(pictures: usize, taps: &[TapIdentity]) -> u64 {
    let channels: usize = taps.iter().map(|tap| tap.channels as usize).sum();
    let vectors = 4 * QUARTERS * channels;
    (pictures * (vectors + 4 * 8 * pictures.min(REFERENCES))) as u64
}

/// Describes a folder divided into two halves around two medoids: every picture belongs to the nearer one.
#[derive(Debug, Clone, PartialEq)]
pub struct Halves {
    /// The mean distance between pictures of different halves, relative to the larger mean distance inside one half.
    pub apart: f64,
    /// The share of the smaller half.
    pub share: f64,
    /// The medoid of each half, that of the smaller half first.
    pub medoids: [usize; 2],
}

impl Halves {
    /// Divides the `pictures` by their distances to each other.
    fn of(distances: &[Vec<f64>], pictures: &[usize]) -> Self {
        let count = distances.len();
        let nearest_of = |members: &[usize]| -> usize {
            let sum = |&i: &usize| -> f64 { members.iter().map(|&j| distances[i][j]).sum() };
            let best = members.iter().map(|i| (sum(i), *i)).min_by(|a, b| a.0.total_cmp(&b.0));
            best.map_or(0, |(_, i)| i)
        };
        let farthest_from = |from: usize| -> usize {
            let all = (0..count).map(|i| (distances[from][i], i));
            all.max_by(|a, b| a.0.total_cmp(&b.0)).map_or(0, |(_, i)| i)
        };
        let all: Vec<usize> = (0..count).collect();
        let mut medoids = [0, 0];
        medoids[1] = farthest_from(nearest_of(&all));
        medoids[0] = farthest_from(medoids[1]);
        let mut halves = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            let is_first = |i: &usize| distances[medoids[0]][*i] <= distances[medoids[1]][*i];
            let (first, second) = all.iter().partition::<Vec<usize>, _>(|i| is_first(i));
            halves = [first, second];
            let next = [nearest_of(&halves[0]), nearest_of(&halves[1])];
            if next == medoids || halves.iter().any(Vec::is_empty) {
                break;
            }
            medoids = next;
        }
        let [first, second] = &halves;
        let mean = |a: &[usize], b: &[usize], pairs: usize| -> f64 {
            let sum: f64 = a.iter().flat_map(|&i| b.iter().map(move |&j| distances[i][j])).sum();
            sum / pairs.max(1) as f64
        };
        let inside = |half: &[usize]| mean(half, half, half.len() * half.len().saturating_sub(1));
        let between = mean(first, second, first.len() * second.len());
        let apart = between / inside(first).max(inside(second)).max(1e-9);
        let share = first.len().min(second.len()) as f64 / count.max(1) as f64;
        let mut medoids = medoids.map(|at| pictures.get(at).copied().unwrap_or(0));
        if first.len() > second.len() {
            medoids.reverse();
        }
        Halves { apart: if share > 0.0 { apart } else { 0.0 }, share, medoids }
    }
}

/// Returns the mean vectors of the four quarters of a map, each scaled to length 1, one after the other.
fn quarters(map: &FeatureMap) -> Vec<f32> {
    let mut sums = vec![0.0; QUARTERS * map.channels()];
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

/// Returns the mean cosine distance of the quarters.
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
        let mut store = Store::new(&taps, 43, 1 << 20, std::env::temp_dir());
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
        all.iter().for_each(|maps| store.push(maps).expect("stores"));
        let groups: Vec<u32> = (0..43).collect();
        let (remote, halves) = remoteness(&store, &taps, &groups);
        let most = remote[..40].iter().copied().fold(0.0, f64::max);
        assert!(remote[40..].iter().all(|r| *r > 5.0 * most), "{remote:?}");
        assert!(halves.apart > 2.0, "{halves:?}");
    }
}
