//! Chooses the prototypes of a position-free layer: patches from any position of any good picture.
//!
//! The search takes the farthest first. The first patch is the candidate nearest to the mean of all. Every further
//! patch is the candidate that is farthest from those chosen so far. So rare appearances get one patch each, and
//! frequent ones get no more than they need. The candidates are a fixed random share of all positions of all pictures,
//! at most [`CANDIDATES`], and fewer if vectors are long. They are compared in 8 bits. PatchCore uses a random
//! projection to 64 values (Roth et al., CVPR 2022). It is as quick and chooses worse, because the search prefers the
//! points whose distance the projection overestimates.
//!
//! # Lazy search
//! The distance of a candidate to the chosen patches only ever falls. So an old distance is an upper bound. A candidate
//! is compared with the later patches only when its bound is the largest of all. This finds the same patches as
//! comparing all candidates with each new patch, with a small share of the work.
//!
//! # Templates without a fold
//! A template without a fold keeps the patches of the other folds. From there it adds patches, farthest first, until it
//! has as many again. The matching kernel computes the distances of all candidates to the patches of each fold.

use super::store::Store;
use crate::backbone::TapIdentity;
use crate::feature_map::FeatureMap;
use crate::matching::query::quantise;
use crate::matching::sheets::pack_bytes;
use crate::matching::{Shape, Sheets, Storage, Values, Windows, match_layer};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// The largest number of candidates of a layer.
const CANDIDATES: usize = 32_768;
/// The largest number of bytes of all candidates: what a processor's caches hold.
const CANDIDATE_BYTES: usize = 16 << 20;
/// The number of candidates whose distances are computed at the same time. It bounds the memory.
const POINTS_AT_ONCE: usize = 4096;

/// Names a position of a good picture or of a copy of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patch {
    /// The number of its entry in the store.
    pub entry: u32,
    /// The pixel of the tap's map.
    pub pixel: u32,
}

/// Holds what was chosen for a layer.
pub struct Chosen {
    /// The patches of the template.
    pub patches: Vec<Patch>,
    /// For every fold, the patches of a template without it.
    pub without: Vec<Vec<Patch>>,
}

/// Chooses `count` patches of tap `layer` of `store`, at the pixels of its map for which `counts` is true. An empty
/// `counts` means all pixels. `fold` holds the fold of every picture, numbered below `folds`, or is empty. The result
/// is the same for any number of threads. If there are fewer candidates than `count`, patches repeat.
pub fn choose(
    store: &Store,
    (layer, tap, counts): (usize, &TapIdentity, &[bool]),
    count: usize,
    (fold, folds): (&[u32], usize),
    seed: u64,
) -> Chosen {
    let patches = candidates(store.entries(), tap, counts, seed);
    let points = Points::new(store, layer, tap.channels as usize, &patches);
    let origins = store.origins();
    let fold_of = |at: usize| {
        let picture = origins[patches[at].entry as usize];
        fold.get(picture as usize).copied().unwrap_or(0)
    };
    let folds_of: Vec<u32> = (0..patches.len()).map(fold_of).collect();
    let everything = Search::new(&points, vec![f32::INFINITY; points.len()]);
    let chosen = everything.run(vec![points.nearest_to_mean()], count);
    let to_folds: Vec<Vec<f32>> = (0..folds as u32)
        .map(|fold| {
            let of_fold: Vec<usize> =
                chosen.iter().copied().filter(|&at| folds_of[at] == fold).collect();
            points.distances_to(&of_fold)
        })
        .collect();
    let without: Vec<Vec<usize>> = (0..folds as u32)
        .into_par_iter()
        .map(|out| {
            let kept = chosen.iter().copied().filter(|&at| folds_of[at] != out).collect();
            let nearest = (0..points.len())
                .map(|at| match folds_of[at] == out {
                    true => NEVER,
                    false => {
                        let others =
                            to_folds.iter().enumerate().filter(|(f, _)| *f != out as usize);
                        others.map(|(_, to)| to[at]).fold(f32::INFINITY, f32::min)
                    }
                })
                .collect();
            Search::new(&points, nearest).run(kept, count)
        })
        .collect();
    let patches_of = |chosen: &Vec<usize>| {
        let mut of: Vec<Patch> = chosen.iter().map(|&at| patches[at]).collect();
        let first = of.first().copied().unwrap_or(Patch { entry: 0, pixel: 0 });
        of.resize(count, first);
        of
    };
    Chosen { patches: patches_of(&chosen), without: without.iter().map(patches_of).collect() }
}

/// Returns the bytes that [`choose`] takes for a layer of this `shape`, with so many folds, on so many threads.
pub fn memory(shape: Shape, folds: usize, threads: usize) -> u64 {
    // The candidates with their folds, and their distances to the patches of each fold.
    let of_candidate = 2 * size_of::<Patch>() + size_of::<f32>() * (1 + folds);
    // A search holds distances, counts of comparisons, marks, and a heap that was grown by doubling.
    let of_search = size_of::<f32>() + size_of::<usize>() + 1 + 2 * size_of::<Bound>();
    let searches = threads.min(folds).max(1);
    // The patches of a fold, as vectors and packed, beside a few candidates as vectors and in 8 bits.
    let vectors = (size_of::<f32>() + 1) * shape.channels * (shape.sheets + POINTS_AT_ONCE);
    (CANDIDATE_BYTES + CANDIDATES * (of_candidate + searches * of_search) + vectors) as u64
}

/// Returns a fixed random share of all positions that count, in order.
fn candidates(entries: usize, tap: &TapIdentity, counts: &[bool], seed: u64) -> Vec<Patch> {
    let pixels = tap.height * tap.width;
    let counts = |pixel: &u32| counts.get(*pixel as usize).copied().unwrap_or(true);
    let pixels: Vec<u32> = (0..pixels).filter(counts).collect();
    let all = entries * pixels.len();
    let patch =
        |at: usize| Patch { entry: (at / pixels.len()) as u32, pixel: pixels[at % pixels.len()] };
    let most = CANDIDATES.min(CANDIDATE_BYTES / tap.channels.max(1) as usize);
    if all <= most {
        return (0..all).map(patch).collect();
    }
    // Take one position of every stretch. So they are spread evenly over pictures and map.
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    (0..most)
        .map(|at| {
            let (first, end) = (at * all / most, (at + 1) * all / most);
            patch(first + (random.next_u64() % (end - first) as u64) as usize)
        })
        .collect()
}

/// Holds unit vectors in 8 bits, each with one scale.
struct Points {
    bytes: Vec<i8>,
    scales: Vec<f32>,
    channels: usize,
}

impl Points {
    fn new(store: &Store, layer: usize, channels: usize, patches: &[Patch]) -> Self {
        let mut points = Points {
            bytes: vec![0; patches.len() * channels],
            scales: vec![0.0; patches.len()],
            channels,
        };
        let vectors = points.bytes.par_chunks_exact_mut(channels).zip(&mut points.scales);
        vectors.zip(patches).for_each(|((bytes, scale), patch)| {
            let vector = store.vector(layer, patch.entry as usize, patch.pixel as usize);
            *scale = quantise(vector, bytes);
        });
        points
    }

    fn len(&self) -> usize {
        self.scales.len()
    }

    fn get(&self, at: usize) -> &[i8] {
        &self.bytes[at * self.channels..(at + 1) * self.channels]
    }

    /// Returns the cosine distance of two points.
    fn distance(&self, a: usize, b: usize) -> f32 {
        let sum = dot(self.get(a), self.get(b)) as f32;
        (1.0 - self.scales[a] * self.scales[b] * sum).max(0.0)
    }

    /// Returns the distance of every point to the nearest of `patches`. It is infinite if there are no patches.
    fn distances_to(&self, patches: &[usize]) -> Vec<f32> {
        if patches.is_empty() {
            return vec![f32::INFINITY; self.len()];
        }
        let vector = |at: usize| -> Vec<f32> {
            self.get(at).iter().map(|&byte| self.scales[at] * f32::from(byte)).collect()
        };
        let vectors: Vec<Vec<f32>> = patches.iter().map(|&at| vector(at)).collect();
        let vectors: Vec<&[f32]> = vectors.iter().map(Vec::as_slice).collect();
        let channels = self.channels;
        let shape = Shape { height: 1, width: 1, channels, sheets: patches.len() };
        let mut values = vec![0i8; shape.block(Storage::I8)];
        let mut scales = vec![0.0; shape.padded_sheets()];
        pack_bytes(shape, &vectors, &mut values, &mut scales);
        let windows = Windows { forward: 0, backward: 0 };
        let sheets = Sheets::new(shape, Values::I8 { values: &values, scales: &scales });
        let Some(sheets) = sheets else { return vec![f32::INFINITY; self.len()] };
        let mut distances = Vec::with_capacity(self.len());
        for first in (0..self.len()).step_by(POINTS_AT_ONCE) {
            let some = first..(first + POINTS_AT_ONCE).min(self.len());
            let count = some.len();
            let query = FeatureMap::normalised(1, count, channels, some.flat_map(vector).collect());
            distances.extend(match_layer(&query, &sheets, windows, None).forward);
        }
        distances
    }

    /// Returns the point nearest to the mean of all. Of equally near points it returns the first.
    fn nearest_to_mean(&self) -> usize {
        let mut mean = vec![0.0f32; self.channels];
        for at in 0..self.len() {
            let values = self.get(at).iter().map(|&byte| self.scales[at] * f32::from(byte));
            mean.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
        let along = |at: usize| -> f32 {
            let products =
                self.get(at).iter().zip(&mean).map(|(&byte, mean)| f32::from(byte) * mean);
            self.scales[at] * products.sum::<f32>()
        };
        let better = |a: (f32, usize), b: (f32, usize)| if b.0 > a.0 { b } else { a };
        (0..self.len()).map(|at| (along(at), at)).fold((f32::NEG_INFINITY, 0), better).1
    }
}

fn dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| i32::from(i16::from(a) * i16::from(b))).sum()
}

/// Marks a candidate that may not be chosen. It is below every distance.
const NEVER: f32 = -1.0;

/// Holds a candidate with an upper bound of its distance to the chosen ones. Of equal bounds, the first candidate ranks
/// highest.
#[derive(Clone, Copy, PartialEq)]
struct Bound {
    distance: f32,
    candidate: usize,
}

impl Eq for Bound {}

impl Ord for Bound {
    fn cmp(&self, other: &Self) -> Ordering {
        self.distance.total_cmp(&other.distance).then(other.candidate.cmp(&self.candidate))
    }
}

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Searches candidates, farthest first.
struct Search<'a> {
    points: &'a Points,
    /// The distance of every candidate to what was chosen before the search, or [`NEVER`] if it may not be chosen.
    nearest: Vec<f32>,
}

impl<'a> Search<'a> {
    fn new(points: &'a Points, nearest: Vec<f32>) -> Self {
        Search { points, nearest }
    }

    /// Adds candidates to the `chosen` ones, until there are `count` or no more candidates. The search knows the
    /// distances to the chosen ones. The exception is the first search, which does not know any distances yet.
    fn run(mut self, mut chosen: Vec<usize>, count: usize) -> Vec<usize> {
        let is_first = self.nearest.iter().all(|distance| distance.is_infinite());
        let known = if is_first { 0 } else { chosen.len() };
        let mut taken = vec![false; self.points.len()];
        chosen.iter().for_each(|&at| taken[at] = true);
        // This counts the patches that every candidate was compared with.
        let mut compared = vec![known; self.points.len()];
        let open = (0..self.points.len()).filter(|&at| !taken[at] && self.nearest[at] != NEVER);
        let bound = |candidate: usize| Bound { distance: self.nearest[candidate], candidate };
        let mut bounds: BinaryHeap<Bound> = open.map(bound).collect();
        while chosen.len() < count {
            let Some(Bound { candidate, .. }) = bounds.pop() else { break };
            let rival = bounds.peek().copied();
            let distance = &mut self.nearest[candidate];
            let is_beaten =
                |distance: f32| rival.is_some_and(|rival| Bound { distance, candidate } < rival);
            for &patch in &chosen[compared[candidate]..] {
                compared[candidate] += 1;
                *distance = distance.min(self.points.distance(candidate, patch));
                if is_beaten(*distance) {
                    break;
                }
            }
            if compared[candidate] == chosen.len() && !is_beaten(*distance) {
                chosen.push(candidate);
            } else {
                bounds.push(Bound { distance: *distance, candidate });
            }
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes pictures of one row of unit vectors of two channels, at these angles in degrees.
    fn store(pictures: &[&[f32]]) -> (Store, TapIdentity) {
        let width = pictures[0].len();
        let tap = TapIdentity { name: "t".into(), channels: 2, height: 1, width: width as u32 };
        let taps = std::slice::from_ref(&tap);
        let mut store = Store::new(taps, pictures.len(), 1 << 20, std::env::temp_dir());
        let maps: Vec<Vec<FeatureMap>> = pictures
            .iter()
            .map(|angles| {
                let data = angles.iter().flat_map(|a| [a.to_radians().cos(), a.to_radians().sin()]);
                vec![FeatureMap::normalised(1, width, 2, data.collect())]
            })
            .collect();
        maps.iter().for_each(|maps| store.push(maps).expect("room"));
        (store, tap)
    }

    fn angles(pictures: &[&[f32]], patches: &[Patch]) -> Vec<f32> {
        patches.iter().map(|p| pictures[p.entry as usize][p.pixel as usize]).collect()
    }

    #[test]
    fn patches_are_chosen_farthest_first_from_all_positions() {
        let pictures: [&[f32]; 3] = [&[40.0, 42.0, 41.0], &[0.0, 44.0, 43.0], &[45.0, 90.0, 46.0]];
        let (store, tap) = store(&pictures);
        let chosen = choose(&store, (0, &tap, &[]), 3, (&[], 0), 7);
        let mut found = angles(&pictures, &chosen.patches);
        assert!((40.0..=46.0).contains(&found[0]), "the first is in the middle: {found:?}");
        found.remove(0);
        found.sort_by(f32::total_cmp);
        assert_eq!(found, [0.0, 90.0]);
    }

    #[test]
    fn a_template_without_a_fold_has_none_of_its_patches_and_as_many() {
        let pictures: [&[f32]; 4] =
            [&[0.0, 10.0, 20.0], &[30.0, 90.0, 35.0], &[5.0, 60.0, 25.0], &[45.0, 70.0, 15.0]];
        let (store, tap) = store(&pictures);
        let fold = [0, 1, 0, 1];
        let chosen = choose(&store, (0, &tap, &[]), 5, (&fold, 2), 7);
        assert_eq!(chosen.without.len(), 2);
        for (out, patches) in chosen.without.iter().enumerate() {
            assert_eq!(patches.len(), 5);
            assert!(patches.iter().all(|p| fold[p.entry as usize] != out as u32), "{patches:?}");
            // The search would choose the same in a store that never had the fold: the ends are always there.
            let kept: Vec<f32> = angles(&pictures, patches);
            let ends: &[f32] = if out == 0 { &[15.0, 90.0] } else { &[0.0, 60.0] };
            assert!(ends.iter().all(|end| kept.contains(end)), "{out}: {kept:?}");
        }
    }

    #[test]
    fn only_pixels_that_count_are_chosen() {
        let pictures: [&[f32]; 2] = [&[0.0, 10.0, 20.0], &[30.0, 90.0, 35.0]];
        let (store, tap) = store(&pictures);
        let chosen = choose(&store, (0, &tap, &[true, false, true]), 4, (&[], 0), 7);
        let mut pixels: Vec<u32> = chosen.patches.iter().map(|patch| patch.pixel).collect();
        pixels.sort_unstable();
        assert_eq!(pixels, [0, 0, 2, 2]);
    }

    #[test]
    fn fewer_candidates_than_patches_repeat_the_first() {
        let pictures: [&[f32]; 1] = [&[0.0, 50.0]];
        let (store, tap) = store(&pictures);
        let chosen = choose(&store, (0, &tap, &[]), 5, (&[0], 1), 7);
        assert_eq!(chosen.patches.len(), 5);
        assert!(chosen.patches[2..].iter().all(|p| *p == chosen.patches[0]));
        assert_eq!(chosen.without[0].len(), 5, "nothing is left, but the sizes fit");
    }

    /// Follows the definition: every candidate is compared with every new patch.
    #[test]
    fn the_lazy_search_finds_what_the_plain_one_finds() {
        let row: Vec<f32> = (0..200).map(|i| (i * 53 % 360) as f32 * 1.01).collect();
        let (store, tap) = store(&[&row, &row[..]]);
        let patches = candidates(store.entries(), &tap, &[], 1);
        let points = Points::new(&store, 0, 2, &patches);
        let first = points.nearest_to_mean();
        let lazy = Search::new(&points, vec![f32::INFINITY; points.len()]).run(vec![first], 50);
        let mut plain = vec![first];
        while plain.len() < 50 {
            let far = |at: usize| -> f32 {
                plain.iter().map(|&patch| points.distance(at, patch)).fold(f32::INFINITY, f32::min)
            };
            let open = (0..points.len()).filter(|at| !plain.contains(at));
            let next = open.map(|at| Bound { distance: far(at), candidate: at }).max();
            plain.push(next.expect("candidates").candidate);
        }
        assert_eq!(lazy, plain);
    }

    #[test]
    fn threads_change_nothing() {
        let row: Vec<f32> = (0..300).map(|i| (i * 37 % 360) as f32).collect();
        let rows: Vec<Vec<f32>> =
            (0..20).map(|k| row.iter().map(|a| a * (1.0 + k as f32 / 31.0)).collect()).collect();
        let pictures: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
        let (store, tap) = store(&pictures);
        let fold: Vec<u32> = (0..20).map(|i| i % 4).collect();
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
            pool.install(|| choose(&store, (0, &tap, &[]), 64, (&fold, 4), 7))
        };
        let (one, three) = (with(1), with(3));
        assert_eq!(one.patches, three.patches);
        assert_eq!(one.without, three.without);
    }
}
