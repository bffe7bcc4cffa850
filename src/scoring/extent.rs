//! This module decides how far a region reaches: down to a part of its own peak.
//!
//! A threshold is set by what good parts show. A strong defect lies far above it, and its blurred
//! flanks are also above it. So a contour at the threshold encloses several times the defect. So a
//! pixel belongs to the extent of a region only if it is above two values. One is the threshold,
//! and the other is [`REACH`] of the local peak from which the pixel descends. `docs/outlines.md`
//! compares extents with masks.
//!
//! # Local peaks
//! Pixels are taken from the highest to the lowest. A pixel without a neighbour that was taken
//! before is a new peak. Any other pixel descends from the peaks of its neighbours. It belongs to
//! those of which it has [`REACH`]. Two peaks become one where their flanks meet above [`REACH`] of
//! both. So a weak defect beside a strong one keeps an extent of its own.

/// The part of the local peak down to which a region reaches.
pub const REACH: f32 = 0.6;

/// Returns the value that each pixel must exceed to belong to a region. It is the larger of the
/// pixel's limit and [`REACH`] of the peak from which the pixel descends. `map` has `width`
/// columns, and `limit` is the threshold of a pixel. A pixel that is not above its limit, or that
/// is NaN, gets its limit.
pub fn cuts(map: &[f32], width: usize, limit: &dyn Fn(usize) -> f32) -> Vec<f32> {
    cuts_at(map, width, limit, REACH)
}

fn cuts_at(map: &[f32], width: usize, limit: &dyn Fn(usize) -> f32, reach: f32) -> Vec<f32> {
    let mut cuts: Vec<f32> = (0..map.len()).map(limit).collect();
    let width = width.max(1);
    // A border of one pixel belongs to no peak, so that every pixel has eight neighbours.
    let padded = width + 2;
    let mut order = Vec::new();
    for (y, (values, limits)) in map.chunks(width).zip(cuts.chunks(width)).enumerate() {
        for ((&value, limit), place) in values.iter().zip(limits).zip((y + 1) * padded + 1..) {
            if value > *limit {
                order.push(key(value, place as u32));
            }
        }
    }
    sort(&mut order);
    let mut peaks = Peaks {
        of_pixel: vec![NONE; padded * (map.len().div_ceil(width) + 2)],
        parent: Vec::new(),
        value: Vec::new(),
    };
    for &key in &order {
        peaks.add(key as u32 as usize, padded, value_of(key), reach);
    }
    for (y, (values, cuts)) in map.chunks(width).zip(cuts.chunks_mut(width)).enumerate() {
        for ((value, cut), place) in values.iter().zip(cuts).zip((y + 1) * padded + 1..) {
            if value > cut {
                let height = peaks.height_at(place);
                if height > 0.0 && height.is_finite() {
                    *cut = cut.max(reach * height);
                }
            }
        }
    }
    cuts
}

/// Returns what sorts pixels from the highest value to the lowest, and from the first place to the
/// last where values are equal.
fn key(value: f32, place: u32) -> u64 {
    u64::from(!ordered(value)) << 32 | u64::from(place)
}

/// Returns the value of a key.
fn value_of(key: u64) -> f32 {
    let bits = !((key >> 32) as u32);
    f32::from_bits(if bits >> 31 == 0 { !bits } else { bits & !(1 << 31) })
}

/// Returns bits that have the order of [`f32::total_cmp`].
fn ordered(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

/// From this number on, keys are sorted by their digits.
const MANY: usize = 2048;
/// The bits of a digit, and where the digits of a value stand in its key.
const DIGIT: u32 = 11;
const DIGITS: [u32; 3] = [32, 32 + DIGIT, 32 + 2 * DIGIT];

/// Sorts keys that are in the order of their places. So it sorts by the values alone, digit by
/// digit, and keeps the order where digits are equal.
fn sort(keys: &mut Vec<u64>) {
    if keys.len() < MANY {
        keys.sort_unstable();
        return;
    }
    let mut sorted = vec![0; keys.len()];
    for shift in DIGITS {
        let digit = |key: u64| (key >> shift) as usize & ((1 << DIGIT) - 1);
        let mut next = [0usize; 1 << DIGIT];
        keys.iter().for_each(|&key| next[digit(key)] += 1);
        let mut first = 0;
        for next in &mut next {
            first += std::mem::replace(next, first);
        }
        for &key in keys.iter() {
            let next = &mut next[digit(key)];
            sorted[*next] = key;
            *next += 1;
        }
        std::mem::swap(keys, &mut sorted);
    }
}

/// The number that stands for no peak.
const NONE: u32 = u32::MAX;

/// Local peaks, which become one where their flanks meet.
struct Peaks {
    /// The peak from which every pixel descends.
    of_pixel: Vec<u32>,
    /// For each peak, a peak that it was joined with, or itself where it was not joined.
    parent: Vec<u32>,
    /// The height of each peak.
    value: Vec<f32>,
}

impl Peaks {
    /// Gives the pixel at place `here` of rows of `padded` pixels its peak. All higher pixels have
    /// theirs.
    fn add(&mut self, here: usize, padded: usize, value: f32, reach: f32) {
        let (mut own, mut highest, mut last) = (NONE, NONE, NONE);
        for row in [here - padded - 1, here - 1, here + padded - 1] {
            for near in row..row + 3 {
                let known = self.of_pixel[near];
                // Most neighbours descend from the same peak, and it is enough to look at it once.
                if known == NONE || known == last {
                    continue;
                }
                last = known;
                let peak = self.root(known);
                let height = self.value[peak as usize];
                if highest == NONE || height > self.value[highest as usize] {
                    highest = peak;
                }
                if value > reach * height && own != peak {
                    own = if own == NONE { peak } else { self.join(own, peak) };
                }
            }
        }
        self.of_pixel[here] = match (own, highest) {
            (NONE, NONE) => self.new_at(value),
            // The pixel is on the flank of a peak, below its reach.
            (NONE, highest) => highest,
            (own, _) => own,
        };
    }

    fn new_at(&mut self, value: f32) -> u32 {
        let peak = self.parent.len() as u32;
        self.parent.push(peak);
        self.value.push(value);
        peak
    }

    /// Returns the height of the peak from which a pixel that was added descends.
    fn height_at(&mut self, pixel: usize) -> f32 {
        let peak = self.root(self.of_pixel[pixel]);
        self.value[peak as usize]
    }

    fn root(&mut self, mut peak: u32) -> u32 {
        loop {
            let parent = self.parent[peak as usize];
            if parent == peak {
                return peak;
            }
            // The next search takes half the steps.
            let next = self.parent[parent as usize];
            self.parent[peak as usize] = next;
            peak = next;
        }
    }

    /// Joins two peaks into one, the higher.
    fn join(&mut self, a: u32, b: u32) -> u32 {
        let is_higher = self.value[a as usize] >= self.value[b as usize];
        let (high, low) = if is_higher { (a, b) } else { (b, a) };
        self.parent[low as usize] = high;
        high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(row: &[f32], limit: f32) -> Vec<bool> {
        let cuts = cuts(row, row.len(), &|_| limit);
        row.iter().zip(cuts).map(|(value, cut)| *value > cut).collect()
    }

    fn marks(row: &[f32], limit: f32) -> String {
        inside(row, limit).iter().map(|&inside| if inside { '#' } else { '.' }).collect()
    }

    #[test]
    fn a_region_reaches_down_to_a_part_of_its_peak_and_never_below_the_limit() {
        let strong = [0.0, 1.5, 4.0, 6.0, 8.0, 6.0, 4.0, 1.5, 0.0];
        assert_eq!(marks(&strong, 1.0), "...###...");
        assert_eq!(marks(&strong, 5.0), "...###...");
        assert_eq!(marks(&strong, 7.0), "....#....");
        assert_eq!(marks(&strong, 8.0), ".........");
    }

    #[test]
    fn a_weak_peak_beside_a_strong_one_keeps_its_extent() {
        let two = [0.0, 9.0, 10.0, 9.0, 2.0, 1.2, 2.5, 3.0, 2.5, 1.2, 0.0];
        assert_eq!(marks(&two, 1.0), ".###..###..");
        // Where their flanks meet above that part of both, two peaks become one.
        let one = [0.0, 8.0, 10.0, 6.5, 9.0, 8.0, 4.0, 0.0];
        assert_eq!(marks(&one, 1.0), ".#####..");
    }

    #[test]
    fn what_is_no_number_or_outside_belongs_to_nothing() {
        let odd = [f32::NAN, f32::NEG_INFINITY, 3.0, f32::INFINITY, 2.0];
        assert!(!inside(&odd, 1.0)[0] && !inside(&odd, 1.0)[1]);
        assert!(cuts(&[], 0, &|_| 1.0).is_empty());
    }

    /// Pixels in the order of their values, each with all eight neighbours, without any shortcut.
    fn plain(map: &[f32], width: usize, limit: f32) -> Vec<f32> {
        let mut order: Vec<usize> = (0..map.len()).filter(|&at| map[at] > limit).collect();
        order.sort_by(|&a, &b| map[b].total_cmp(&map[a]).then(a.cmp(&b)));
        let (mut peak_of, mut heights) = (vec![None; map.len()], Vec::<f32>::new());
        for &at in &order {
            let near = (0..map.len()).filter(|&other| {
                let apart = |v: fn(usize, usize) -> usize| v(at, width).abs_diff(v(other, width));
                other != at && apart(|i, w| i % w) <= 1 && apart(|i, w| i / w) <= 1
            });
            let near: Vec<usize> = near.filter_map(|other| peak_of[other]).collect();
            let mut reached: Vec<usize> =
                near.iter().copied().filter(|&p| map[at] > REACH * heights[p]).collect();
            reached.sort_by(|&a: &usize, &b| heights[b].total_cmp(&heights[a]).then(a.cmp(&b)));
            let highest =
                near.iter().copied().reduce(|a, b| if heights[b] > heights[a] { b } else { a });
            peak_of[at] = Some(match (reached.first(), highest) {
                (Some(&own), _) => {
                    for peak in peak_of.iter_mut().flatten().filter(|peak| reached.contains(peak)) {
                        *peak = own;
                    }
                    own
                }
                (None, Some(highest)) => highest,
                (None, None) => {
                    heights.push(map[at]);
                    heights.len() - 1
                }
            });
        }
        let height = |at: usize| peak_of[at].map(|peak| heights[peak]).filter(|h| *h > 0.0);
        let cut = |at: usize| height(at).map_or(limit, |height| limit.max(REACH * height));
        (0..map.len()).map(cut).collect()
    }

    #[test]
    fn shortcuts_change_nothing() {
        for (width, height, seed) in
            [(1, 1, 1u32), (9, 1, 2), (1, 7, 3), (12, 9, 4), (20, 20, 5), (61, 47, 6)]
        {
            let mut state = seed;
            let map: Vec<f32> = (0..width * height)
                .map(|i| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let hill = ((i % width) as f32 * 0.9).sin() + ((i / width) as f32 * 0.7).cos();
                    2.0 * hill + (state >> 28) as f32 * 0.2
                })
                .collect();
            for limit in [-9.0, 0.5, 2.0] {
                assert_eq!(
                    cuts(&map, width, &|_| limit),
                    plain(&map, width, limit),
                    "{width} {limit}"
                );
            }
        }
    }
}
