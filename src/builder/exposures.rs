//! Finds pictures of the same exposure: one file in two formats or sizes, or a burst of one part.
//!
//! A statistic over parts must count such pictures once, because a template that was built from one of them knows the
//! others. Their files differ in every byte, so the pictures are compared by what they show.
//!
//! # How two pictures are compared
//! Small blurred copies are compared. Their margin does not count, because a shift brings something new there. Two
//! shots of one part differ by noise, which the blur removes, and by a small shift, which is fitted by least squares
//! along the gradients. A small constant difference is subtracted, too: where white is clipped, noise makes it darker.
//! A change of exposure is not fitted. The same part under another light is another exposure.
//!
//! # How small is small enough
//! The difference that remains between two shots of one part is noise. The blur makes it smaller than one step of 255
//! (`NOISE`). Parts differ by very different amounts from product to product, so a second limit comes from the folder.
//! Groups are joined, the nearest first, as long as any two of their pictures differ by less than `SAME` of the usual
//! difference of a part to the nearest other part. This limit is measured after the joining, because a folder where
//! every picture is there twice has no other measure. It is the worse error to treat different parts as one, since that
//! throws evidence away. So no group may hold more than half of the folder, unless its pictures are equal. The limits
//! were measured on a dozen folders of good parts and on doubles made of them, see `docs/thresholds.md`.

use super::look::Look;
use crate::template::ImageRecord;
use rayon::prelude::*;
use std::collections::HashMap;

/// The limit as a share of the usual difference to the nearest other part. In clean folders hardly any pair lies
/// between 0.15 and 0.2.
const SAME: f64 = 0.18;
/// The largest difference that noise, a resize or JPEG compression leaves after the blur, as a share of full scale.
const NOISE: f64 = 1.0 / 255.0;
/// The number of nearest pictures, by their coarse copies, that are compared closely.
const CANDIDATES: usize = 16;
/// Distances in the folder's order, as shares of its length. Pairs at these distances give the usual difference of any
/// two pictures.
const STRIDES: [f64; 4] = [0.5, 0.31, 0.17, 0.07];

/// Says which part every picture shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Parts {
    /// The part number of every picture. Parts are numbered in the order in which they first appear.
    pub of_picture: Vec<u32>,
    /// The first picture of every part.
    pub first: Vec<usize>,
}

/// Holds what was found about the pictures of a folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Exposures {
    /// Which part every picture shows.
    pub parts: Parts,
    /// For a picture that is not the first of its part: the nearest earlier picture of the part, and their difference
    /// relative to the usual one to the nearest other part. The difference is 0 for the same file.
    pub twins: Vec<Option<(usize, f64)>>,
}

impl Parts {
    /// Numbers the parts from any numbers that are equal for pictures of the same part.
    pub fn new(numbers: &[usize]) -> Self {
        let mut known = HashMap::new();
        let mut first = Vec::new();
        let of_picture = numbers
            .iter()
            .enumerate()
            .map(|(picture, number)| {
                *known.entry(number).or_insert_with(|| {
                    first.push(picture);
                    first.len() as u32 - 1
                })
            })
            .collect();
        Parts { of_picture, first }
    }

    /// Returns the number of different parts.
    pub fn count(&self) -> usize {
        self.first.len()
    }

    /// Returns the same for some of the pictures, in their order. `keep` says for each picture whether it stays.
    pub fn only(&self, keep: &[bool]) -> Self {
        let kept = self.of_picture.iter().zip(keep).filter(|(_, keep)| **keep);
        Parts::new(&kept.map(|(part, _)| *part as usize).collect::<Vec<_>>())
    }
}

/// Holds two pictures and, first, their difference.
type Pair = (f64, usize, usize);

/// Finds the pictures of the same exposure.
pub fn find(images: &[ImageRecord], looks: &[Look]) -> Exposures {
    let count = images.len();
    let blurred: Vec<Look> = looks.par_iter().map(Look::blurred).collect();
    let mut pairs = equal_files(images);
    pairs.extend(near_pairs(&blurred));
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let (groups, nearest) = joined(&pairs, &blurred);
    let parts = Parts::new(&groups.roots());
    let mut twins: Vec<Option<(usize, f64)>> = vec![None; count];
    for &(difference, a, b) in &pairs {
        let (earlier, later) = (a.min(b), a.max(b));
        if parts.of_picture[a] == parts.of_picture[b] && twins[later].is_none() {
            let ratio = if difference == 0.0 { 0.0 } else { difference / nearest };
            twins[later] = Some((earlier, ratio));
        }
    }
    // A picture that is near only to later ones of its part is named with the first.
    for (picture, &part) in parts.of_picture.iter().enumerate() {
        let first = parts.first[part as usize];
        if first != picture && twins[picture].is_none() {
            twins[picture] = Some((first, SAME));
        }
    }
    Exposures { parts, twins }
}

/// Returns pairs of pictures with equal files: each picture with the first of them.
fn equal_files(images: &[ImageRecord]) -> Vec<Pair> {
    let mut first = HashMap::new();
    let of = |(picture, image): (usize, &ImageRecord)| {
        let earlier = *first.entry(image.digest).or_insert(picture);
        (earlier != picture).then_some((0.0, earlier, picture))
    };
    images.iter().enumerate().filter_map(of).collect()
}

/// Returns every picture paired with those that are nearest to it, and how they differ.
fn near_pairs(looks: &[Look]) -> Vec<Pair> {
    let coarse: Vec<Vec<f32>> = looks.par_iter().map(Look::coarse).collect();
    let mut pairs: Vec<(usize, usize)> = (0..looks.len())
        .into_par_iter()
        .flat_map_iter(|i| {
            let mut others: Vec<(f32, usize)> = (0..looks.len())
                .filter(|&j| j != i)
                .map(|j| (square_distance(&coarse[i], &coarse[j]), j))
                .collect();
            if others.len() > CANDIDATES {
                others.select_nth_unstable_by(CANDIDATES, |a, b| {
                    a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
                });
                others.truncate(CANDIDATES);
            }
            others.into_iter().map(move |(_, j)| (i.min(j), i.max(j)))
        })
        .collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs.into_par_iter().map(|(a, b)| (looks[a].residual(&looks[b]), a, b)).collect()
}

fn square_distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// Returns the median difference of pictures that are far from each other in the folder's order. A shift is fitted
/// here, too. Without that, parts that differ only in their position would look equal.
fn usual_difference(looks: &[Look]) -> f64 {
    let count = looks.len();
    let strides = STRIDES.map(|part| ((part * count as f64) as usize).max(1));
    let pairs = strides.into_iter().flat_map(|s| (0..count).map(move |i| (i, (i + s) % count)));
    let pairs: Vec<(usize, usize)> = pairs.filter(|(a, b)| a != b).collect();
    let mut all: Vec<f64> = pairs.par_iter().map(|&(a, b)| looks[a].residual(&looks[b])).collect();
    median(&mut all).unwrap_or(0.0)
}

/// Joins pictures of the same exposure into groups, from `pairs` in rising order. Also returns the usual difference of
/// a part to its nearest other part.
fn joined(pairs: &[Pair], looks: &[Look]) -> (Forest, f64) {
    let usual = usual_difference(looks);
    let mut groups = Forest::new(looks.len());
    let mut best = (groups.clone(), usual);
    for (at, &(difference, a, b)) in pairs.iter().enumerate() {
        if difference > NOISE {
            break;
        }
        if !groups.may_join(a, b, difference, looks) {
            continue;
        }
        groups.join(a, b);
        let others = nearest_others(&pairs[at + 1..], &groups).unwrap_or(usual);
        if difference == 0.0 || groups.widest <= SAME * others {
            best = (groups.clone(), others);
        }
    }
    (best.0, best.1.max(f64::MIN_POSITIVE))
}

/// Returns the median, over groups, of the difference to the nearest other group, or `None` if no pair joins two
/// groups.
fn nearest_others(pairs: &[Pair], groups: &Forest) -> Option<f64> {
    let mut nearest = vec![f64::INFINITY; groups.parent.len()];
    for &(difference, a, b) in pairs {
        let (a, b) = (groups.root(a), groups.root(b));
        if a != b {
            nearest[a] = nearest[a].min(difference);
            nearest[b] = nearest[b].min(difference);
        }
    }
    median(&mut nearest.into_iter().filter(|d| d.is_finite()).collect::<Vec<_>>())
}

fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(middle, f64::total_cmp).1)
}

/// Holds groups that are joined pair by pair.
#[derive(Clone)]
struct Forest {
    parent: Vec<usize>,
    /// The pictures of every group, stored at its root.
    members: Vec<Vec<usize>>,
    /// The largest difference inside any group.
    widest: f64,
}

impl Forest {
    fn new(count: usize) -> Self {
        Forest {
            parent: (0..count).collect(),
            members: (0..count).map(|i| vec![i]).collect(),
            widest: 0.0,
        }
    }

    fn root(&self, mut i: usize) -> usize {
        while self.parent[i] != i {
            i = self.parent[i];
        }
        i
    }

    /// Returns whether two pictures are in different groups and no two pictures of these groups differ by more than
    /// noise. The difference of the two pictures themselves is given. Updates the largest difference.
    fn may_join(&mut self, a: usize, b: usize, difference: f64, looks: &[Look]) -> bool {
        let (a, b) = (self.root(a), self.root(b));
        let (first, second) = (&self.members[a], &self.members[b]);
        let is_large = 2 * (first.len() + second.len()) > looks.len().max(4);
        if a == b || (is_large && difference > 0.0) {
            return false;
        }
        let mut widest = difference;
        if first.len() + second.len() > 2 && difference > 0.0 {
            for &i in first {
                for &j in second {
                    widest = widest.max(looks[i].residual(&looks[j]));
                }
            }
        }
        if widest <= NOISE {
            self.widest = self.widest.max(widest);
        }
        widest <= NOISE
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        let (into, from) = (a.min(b), a.max(b));
        let moved = std::mem::take(&mut self.members[from]);
        moved.iter().for_each(|&picture| self.parent[picture] = into);
        self.members[into].extend(moved);
    }

    fn roots(&self) -> Vec<usize> {
        (0..self.parent.len()).map(|i| self.root(i)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::NetworkImage;

    fn pseudo_random(mut state: u32) -> impl FnMut() -> f32 {
        move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32
        }
    }

    /// Makes a picture of part number `part`: soft spots of its own on a common shape, `shift` pixels to the right,
    /// with noise.
    fn picture(part: u32, shift: f32, noise: f32, seed: u32) -> Look {
        let mut random = pseudo_random(part.wrapping_mul(97) + 13);
        let spots: Vec<[f32; 3]> =
            (0..40).map(|_| [random() * 128.0, random() * 128.0, random() * 0.2 - 0.1]).collect();
        let mut grain = pseudo_random(seed);
        let mut samples = Vec::new();
        for i in 0..128 * 128 {
            let (x, y) = ((i % 128) as f32 - shift, (i / 128) as f32);
            let shape = if (x - 64.0).hypot(y - 64.0) < 40.0 { 0.7 } else { 0.3 };
            let of = |s: &[f32; 3]| s[2] * (-((x - s[0]).hypot(y - s[1]) / 6.0).powi(2)).exp();
            let value = shape + spots.iter().map(of).sum::<f32>() + noise * (grain() - 0.5);
            samples.extend([(value.clamp(0.0, 1.0) * 65535.0) as u16; 3]);
        }
        Look::new(&NetworkImage::from_samples(128, 128, samples).expect("fits"))
    }

    fn images(count: usize) -> Vec<ImageRecord> {
        let image = |i: usize| ImageRecord {
            name: format!("{i}.png"),
            digest: [i as u8; 32],
            width: 128,
            height: 128,
            score: f32::NAN,
        };
        (0..count).map(image).collect()
    }

    #[test]
    fn different_parts_count_and_shots_of_one_part_do_not() {
        let parts: Vec<Look> = (0..24).map(|i| picture(i, 0.0, 0.04, 100 + i)).collect();
        assert_eq!(find(&images(24), &parts).parts.count(), 24);
        // A burst of four pictures of one part has noise of its own and a shift of one pixel between them.
        let mut burst = parts.clone();
        burst.extend((0..3).map(|i| picture(5, i as f32 - 1.0, 0.04, 200 + i)));
        let found = find(&images(27), &burst);
        assert_eq!(found.parts.count(), 24);
        assert!((24..27).all(|i| found.parts.of_picture[i] == 5), "{:?}", found.parts);
        assert!(found.twins[24].is_some_and(|(_, ratio)| ratio > 0.0 && ratio < SAME));
        // If every part is there twice, the nearest other picture does not measure how parts differ.
        let mut all = parts.clone();
        all.extend((0..24).map(|i| picture(i, 0.5, 0.04, 300 + i)));
        let found = find(&images(48), &all);
        assert_eq!(found.parts.count(), 24);
        assert!((0..24).all(|i| found.parts.of_picture[i] == found.parts.of_picture[24 + i]));
    }

    /// It is the worse error to treat different parts as one, so a group stays below half of the folder.
    #[test]
    fn no_group_holds_more_than_half_of_the_folder() {
        let mut looks: Vec<Look> = (0..20).map(|i| picture(3, 0.0, 0.02, 100 + i)).collect();
        looks.extend((0..5).map(|i| picture(50 + i, 0.0, 0.02, 100 + i)));
        let parts = find(&images(25), &looks).parts;
        let size = |part: u32| parts.of_picture.iter().filter(|of| **of == part).count();
        assert!((0..parts.count() as u32).all(|part| size(part) <= 12), "{parts:?}");
    }

    /// Parts in a fixture differ by a small shift and noise, and each of them counts.
    #[test]
    fn parts_that_differ_in_their_position_alone_are_different_parts() {
        let shifted = |i: u32| picture(5, (i % 7) as f32 * 0.7, 0.04, 100 + i);
        let looks: Vec<Look> = (0..21).map(shifted).collect();
        assert!(find(&images(21), &looks).parts.count() > 10);
    }

    #[test]
    fn equal_files_and_equal_pictures_are_one_part() {
        let look = picture(1, 0.0, 0.0, 1);
        let mut records = images(5);
        records[3].digest = records[0].digest;
        let looks = vec![
            look.clone(),
            picture(2, 0.0, 0.0, 1),
            picture(3, 0.0, 0.0, 1),
            look.clone(),
            look,
        ];
        let found = find(&records, &looks);
        assert_eq!(found.parts.of_picture, [0, 1, 2, 0, 0]);
        assert_eq!(found.parts.first, [0, 1, 2]);
        assert_eq!(found.twins[3], Some((0, 0.0)));
        let same = vec![looks[0].clone(); 4];
        assert_eq!(find(&images(4), &same).parts.count(), 1);
        assert_eq!(find(&[], &[]).parts.count(), 0);
        assert_eq!(find(&images(1), &same[..1]).parts.count(), 1);
    }

    #[test]
    fn parts_are_numbered_anew_where_pictures_are_left_out() {
        let parts = Parts::new(&[7, 3, 7, 9, 3]);
        assert_eq!(
            (parts.of_picture.as_slice(), parts.first.as_slice()),
            (&[0, 1, 0, 2, 1][..], &[0, 1, 3][..])
        );
        let kept = parts.only(&[false, true, true, true, true]);
        assert_eq!(
            (kept.of_picture.as_slice(), kept.first.as_slice()),
            (&[0, 1, 2, 0][..], &[0, 1, 2][..])
        );
    }
}
