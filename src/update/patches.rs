//! This module computes what a further good picture changes in a position-free layer.

use super::journal::Replaced;
use super::prototypes::Prototypes;
use crate::feature_map::FeatureMap;
use crate::matching::sheets::Sheets;
use rayon::prelude::*;

/// By default, a position-free layer grows to a multiple of this many patches.
const CAPACITY: usize = 2048;
/// The most patches that one picture adds. A good part rarely has more that is new.
const MOST_NEW: usize = 64;
/// A pixel stops being new when its distance to the added patches falls below this part of its
/// former distance.
const STILL_NEW: f32 = 0.8;

/// Chooses those of the pixels `new` of `map` that differ from each other. `far` gives their
/// distances to the template. The most distant pixel comes first, and no pixel is near to one
/// before it.
pub fn different(map: &FeatureMap, new: &[usize], far: impl Fn(usize) -> f32) -> Vec<usize> {
    let mut left: Vec<(usize, f32)> = new.iter().map(|&pixel| (pixel, far(pixel))).collect();
    let mut chosen = Vec::new();
    while chosen.len() < MOST_NEW {
        let farthest = left.iter().copied().reduce(|a, b| if b.1 > a.1 { b } else { a });
        let Some((pixel, _)) = farthest else { break };
        chosen.push(pixel);
        let vector = map.vector(pixel);
        left.retain(|&(other, distance)| {
            1.0 - dot(map.vector(other), vector) >= STILL_NEW * distance && other != pixel
        });
    }
    chosen
}

/// Adds the vectors of `map` at the pixels `new` to a layer. They go behind its patches as far as
/// it may grow, and then replace the most redundant ones. Returns what was in these places.
pub fn take_in(
    prototypes: &mut Prototypes,
    map: &FeatureMap,
    new: &[usize],
    source: u32,
) -> Vec<Replaced> {
    let before = prototypes.shape().sheets;
    let capacity = before.next_multiple_of(CAPACITY);
    let grown = (before + new.len()).min(capacity);
    let replaced = redundant(&prototypes.sheets(), before + new.len() - grown);
    prototypes.resize(grown);
    let places = (before..grown).chain(replaced.iter().copied());
    let mut old = Vec::new();
    for (&pixel, sheet) in new.iter().zip(places) {
        if sheet < before {
            old.push(Replaced::new(0, sheet, prototypes.get(0, sheet)));
        }
        let stored = prototypes.stored(map.vector(pixel), source);
        prototypes.set(0, sheet, &stored);
    }
    old
}

/// Returns the `count` most redundant patches: those with the largest cosine to their nearest
/// other. Of two patches that are near to each other, only one goes.
fn redundant(sheets: &Sheets, count: usize) -> Vec<usize> {
    if count == 0 {
        return Vec::new();
    }
    let shape = sheets.shape();
    let vectors: Vec<Vec<f32>> = (0..shape.sheets)
        .map(|sheet| (0..shape.channels).map(|channel| sheets.value(0, sheet, channel)).collect())
        .collect();
    let nearest = |sheet: usize| {
        let others = (0..vectors.len()).filter(|&other| other != sheet);
        let cosines = others.map(|other| (dot(&vectors[sheet], &vectors[other]), other));
        cosines.reduce(|a, b| if b.0 > a.0 { b } else { a }).unwrap_or((f32::NEG_INFINITY, sheet))
    };
    let nearest: Vec<(f32, usize)> = (0..vectors.len()).into_par_iter().map(nearest).collect();
    let mut order: Vec<usize> = (0..vectors.len()).collect();
    order.sort_by(|&a, &b| nearest[b].0.total_cmp(&nearest[a].0).then(a.cmp(&b)));
    let mut goes = vec![false; vectors.len()];
    let mut chosen = Vec::new();
    // A second round is needed where there are fewer pairs than patches to replace.
    for stays_a_pair in [true, false] {
        for &sheet in &order {
            if chosen.len() < count && !goes[sheet] && !(stays_a_pair && goes[nearest[sheet].1]) {
                goes[sheet] = true;
                chosen.push(sheet);
            }
        }
    }
    chosen
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (left, right) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = left.remainder().iter().zip(right.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in left.zip(right) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(angles: &[f32]) -> FeatureMap {
        let data = angles.iter().flat_map(|a| [a.to_radians().cos(), a.to_radians().sin()]);
        FeatureMap::normalised(1, angles.len(), 2, data.collect())
    }

    #[test]
    fn of_pixels_that_are_alike_one_is_taken() {
        let map = map(&[0.0, 80.0, 81.0, 79.0, 40.0, 41.0]);
        let far = |pixel: usize| [0.0, 0.5, 0.52, 0.49, 0.2, 0.21][pixel];
        assert_eq!(different(&map, &[1, 2, 3, 4, 5], far), [2, 5]);
        assert!(different(&map, &[], far).is_empty());
    }

    #[test]
    fn a_pair_loses_one_patch_and_the_lonely_ones_stay() {
        let map = map(&[0.0, 30.0, 31.0, 60.0, 62.0, 90.0]);
        let shape = crate::matching::Shape { height: 1, width: 1, channels: 2, sheets: 6 };
        let vectors: Vec<&[f32]> = (0..6).map(|pixel| map.vector(pixel)).collect();
        let mut values = vec![0.0; shape.block(crate::matching::Storage::F32)];
        crate::matching::sheets::pack(shape, &vectors, &mut values);
        let sheets =
            Sheets::new(shape, crate::matching::Values::F32(&values)).expect("sizes that fit");
        assert_eq!(redundant(&sheets, 2), [1, 3]);
        assert!(redundant(&sheets, 0).is_empty());
        let mut all = redundant(&sheets, 6);
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4, 5]);
    }
}
