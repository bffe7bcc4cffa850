//! This module extracts regions from a density ordering by steepness (the xi method of the OPTICS
//! paper, Sec. 4.3).
//!
//! In the reachability plot a dense region is a valley. A point is *steep down* where the next
//! reachability is lower by a factor of at least `1 - xi`. It is *steep up* where the next one is
//! higher by as much. A steep area is a run of such points. It has no point in the wrong direction,
//! and at most `min_samples` flat ones in a row. A region runs from a steep-down area to a later
//! steep-up area, and everything between them is lower than both.
//!
//! As in scikit-learn, an infinite reachability closes the plot, and Definitions 9 and 11.4c are
//! read as their authors meant them. A region's end is pulled in until its last point was reached
//! from inside (predecessor correction, Schubert and Gertz, LWDA 2018).

use super::optics::Ordering;

/// The steepness of a region's walls.
const XI: f64 = 0.05;

/// Returns the region number of every vector, or `None` where it belongs to no region.
///
/// Smaller regions are numbered before those around them. A region that overlaps a numbered one is
/// dropped. Regions have at least `min_samples` vectors.
pub fn extract_regions(ordering: &Ordering, min_samples: usize) -> Vec<Option<usize>> {
    let mut region_at = vec![None; ordering.order.len()];
    let mut count = 0;
    for (start, end) in valleys(ordering, min_samples) {
        let span = &mut region_at[start..=end];
        if span.iter().all(Option::is_none) {
            span.fill(Some(count));
            count += 1;
        }
    }
    let mut region_of = vec![None; region_at.len()];
    for (&vector, region) in ordering.order.iter().zip(region_at) {
        region_of[vector] = region;
    }
    region_of
}

/// A steep-down area that may open a region.
struct Descent {
    start: usize,
    end: usize,
    /// The highest reachability since its end.
    highest_since: f64,
}

/// The plot that is read: reachabilities in order of visit, closed by infinity.
struct Plot<'a> {
    height: Vec<f64>,
    ordering: &'a Ordering,
    min_samples: usize,
}

/// The direction of a steep area.
#[derive(Clone, Copy, PartialEq)]
enum Slope {
    Down,
    Up,
}

fn valleys(ordering: &Ordering, min_samples: usize) -> Vec<(usize, usize)> {
    let mut height: Vec<f64> = ordering.order.iter().map(|&v| ordering.reachability[v]).collect();
    height.push(f64::INFINITY);
    let plot = Plot { height, ordering, min_samples };
    let n = ordering.order.len();

    let mut descents: Vec<Descent> = Vec::new();
    let mut found = Vec::new();
    let mut highest = 0.0f64;
    let mut at = 0;
    while let Some((steep, slope)) = (at..n).find_map(|i| Some((i, plot.steep(i)?))) {
        highest = plot.height[at..=steep].iter().fold(highest, |a, &b| a.max(b));
        if highest.is_infinite() {
            descents.clear();
        } else {
            descents.retain(|d| highest <= plot.height[d.start] * (1.0 - XI));
            for descent in &mut descents {
                descent.highest_since = descent.highest_since.max(highest);
            }
        }
        let end = plot.area_end(steep, slope);
        match slope {
            Slope::Down => descents.push(Descent { start: steep, end, highest_since: 0.0 }),
            // The innermost region comes first.
            Slope::Up => found.extend(
                descents.iter().rev().filter_map(|descent| plot.valley(descent, steep, end)),
            ),
        }
        at = end + 1;
        highest = plot.height[at];
    }
    found
}

impl Plot<'_> {
    fn ratio(&self, i: usize) -> f64 {
        self.height[i] / self.height[i + 1]
    }

    fn steep(&self, i: usize) -> Option<Slope> {
        // A ratio of two infinities is NaN, which is steep in no direction.
        let ratio = self.ratio(i);
        if ratio >= 1.0 / (1.0 - XI) {
            Some(Slope::Down)
        } else if ratio <= 1.0 - XI {
            Some(Slope::Up)
        } else {
            None
        }
    }

    /// Returns the last steep point of the area that starts at `start`.
    fn area_end(&self, start: usize, slope: Slope) -> usize {
        let (mut end, mut flat) = (start, 0);
        for i in start..self.height.len() - 1 {
            let wrong_way = match slope {
                Slope::Down => self.ratio(i) < 1.0,
                Slope::Up => self.ratio(i) > 1.0,
            };
            if self.steep(i) == Some(slope) {
                flat = 0;
                end = i;
            } else if wrong_way {
                break;
            } else {
                flat += 1;
                if flat > self.min_samples {
                    break;
                }
            }
        }
        end
    }

    /// Returns the region between a descent and the ascent `up_start..=up_end`, if there is one
    /// (Def. 11).
    fn valley(&self, descent: &Descent, up_start: usize, up_end: usize) -> Option<(usize, usize)> {
        let height = &self.height;
        let (mut start, mut end) = (descent.start, up_end);
        let rim = height[up_end + 1];
        if rim * (1.0 - XI) < descent.highest_since {
            return None;
        }
        let brink = height[descent.start];
        if brink * (1.0 - XI) >= rim {
            while height[start + 1] > rim && start < descent.end {
                start += 1;
            }
        } else if rim * (1.0 - XI) >= brink {
            while height[end - 1] > brink && end > up_start {
                end -= 1;
            }
        }
        end = self.last_reached_from_inside(start, end)?;
        let large_enough = end + 1 - start >= self.min_samples;
        (large_enough && start <= descent.end && end >= up_start).then_some((start, end))
    }

    /// Returns the last position up to `end` that is lower than the start, or that was reached from
    /// a vector between the start and itself.
    fn last_reached_from_inside(&self, start: usize, end: usize) -> Option<usize> {
        let order = &self.ordering.order;
        (start + 1..=end).rev().find(|&e| {
            self.height[start] > self.height[e]
                || self.ordering.predecessor[order[e]].is_some_and(|p| order[start..e].contains(&p))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::gram::Gram;
    use crate::selection::optics::optics;

    #[test]
    fn two_tight_groups_are_two_regions() {
        // The last vector is a stray. scikit-learn also counts it to the second group.
        let angles = [0.0, 0.01, 0.02, 0.015, 1.5, 1.51, 1.52, 1.515, 3.0f32];
        let features: Vec<f32> = angles.iter().flat_map(|a| [a.cos(), a.sin()]).collect();
        let mut gram = Gram::default();
        gram.compute(&features, 2);
        let regions = extract_regions(&optics(&gram, 3), 3);
        assert_eq!(regions, [0, 0, 0, 0, 1, 1, 1, 1, 1].map(Some));
    }
}
