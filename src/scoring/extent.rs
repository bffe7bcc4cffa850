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
    let mut order: Vec<usize> = (0..map.len()).filter(|&at| map[at] > cuts[at]).collect();
    order.sort_by(|&a, &b| map[b].total_cmp(&map[a]).then(a.cmp(&b)));
    let mut peaks =
        Peaks { of_pixel: vec![NONE; map.len()], parent: Vec::new(), value: Vec::new() };
    for &at in &order {
        let value = map[at];
        let mut own = NONE;
        let mut highest = NONE;
        for near in neighbours(at, width, map.len()) {
            let peak = peaks.of(near);
            if peak == NONE {
                continue;
            }
            if highest == NONE || peaks.value[peak] > peaks.value[highest] {
                highest = peak;
            }
            if value > reach * peaks.value[peak] {
                own = if own == NONE { peak } else { peaks.join(own, peak) };
            }
        }
        peaks.of_pixel[at] = match (own, highest) {
            (NONE, NONE) => peaks.new_at(value),
            // The pixel is on the flank of a peak, below its reach.
            (NONE, highest) => highest,
            (own, _) => own,
        };
    }
    for at in order {
        let height = peaks.value[peaks.of(at)];
        if height > 0.0 && height.is_finite() {
            cuts[at] = cuts[at].max(reach * height);
        }
    }
    cuts
}

/// The index that stands for no peak.
const NONE: usize = usize::MAX;

/// Local peaks, which become one where their flanks meet.
struct Peaks {
    /// The peak from which every pixel descends.
    of_pixel: Vec<usize>,
    /// For each peak, the peak that it was joined with, or itself where it was not joined.
    parent: Vec<usize>,
    /// The height of each peak.
    value: Vec<f32>,
}

impl Peaks {
    fn new_at(&mut self, value: f32) -> usize {
        self.parent.push(self.parent.len());
        self.value.push(value);
        self.parent.len() - 1
    }

    /// Returns the peak from which a pixel descends now.
    fn of(&self, pixel: usize) -> usize {
        match self.of_pixel[pixel] {
            NONE => NONE,
            peak => self.root(peak),
        }
    }

    fn root(&self, mut peak: usize) -> usize {
        while self.parent[peak] != peak {
            peak = self.parent[peak];
        }
        peak
    }

    /// Joins two peaks into one, the higher.
    fn join(&mut self, a: usize, b: usize) -> usize {
        let (high, low) = if self.value[a] >= self.value[b] { (a, b) } else { (b, a) };
        self.parent[low] = high;
        high
    }
}

/// Returns the up to eight neighbours of a pixel of a map of `count` pixels.
fn neighbours(at: usize, width: usize, count: usize) -> impl Iterator<Item = usize> {
    let (x, y, height) = (at % width, at / width, count / width);
    let rows = y.saturating_sub(1)..=(y + 1).min(height - 1);
    rows.flat_map(move |v| {
        (x.saturating_sub(1)..=(x + 1).min(width - 1)).map(move |u| v * width + u)
    })
    .filter(move |&near| near != at)
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

    #[test]
    fn neighbours_touch_diagonally_and_stay_in_the_map() {
        let of = |at| neighbours(at, 3, 6).collect::<Vec<_>>();
        assert_eq!(of(0), [1, 3, 4]);
        assert_eq!(of(4), [0, 1, 2, 3, 5]);
    }
}
