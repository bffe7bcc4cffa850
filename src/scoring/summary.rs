//! This module summarises every map on the way from a picture to its score, by one value per cell.
//!
//! A score is one number, and many wrong computations lead to the right number. For example, a
//! template that keeps every picture gives its own pictures a score of 0, whatever its weights are.
//! So a golden probe is compared by its maps. There are three kinds:
//!
//! - the distances of every layer in both directions, before they are joined;
//! - the anomaly map, which depends on the weights, the baseline and the kind of fusion;
//! - the blurred map.
//!
//! A map is cut into cells, at most [`CELLS`] along each side. So the summary stays small, and a
//! wrong place in a map shows.

use super::scorer::{Layer, Scored, Scorer};
use crate::matching::Distances;
use serde::{Deserialize, Serialize};

/// The most cells along each side of a map.
const CELLS: usize = 16;
/// The tolerance for a mean distance: a fixed part, and a part that is multiplied by the distance.
/// Features of two machines differ by rounding. Where they do, 8-bit values of the query jump by a
/// step.
const DISTANCE_TOLERANCE: [f32; 2] = [0.002, 0.005];
/// The same for the anomaly map and the blurred map. The layer weights magnify their values, which
/// are about 1 for a good part.
const MAP_TOLERANCE: [f32; 2] = [0.005, 0.005];

/// A short summary of the maps of a picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MapSummary {
    /// The mean distances of the cells, layer by layer: the forward map, then the backward map
    /// where there is one. They are rounded to 16 bits.
    #[serde(with = "halves")]
    distances: Vec<f32>,
    /// The means of the cells of the anomaly map.
    joined: Vec<f32>,
    /// The largest values of the cells of the blurred map. They are 0 in cells outside the region
    /// of interest.
    blurred: Vec<f32>,
}

/// The place where two summaries differ most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Deviation {
    /// The map in which they differ.
    pub map: Map,
    /// The expected value of the cell.
    pub expected: f32,
    /// The value that was found.
    pub found: f32,
}

/// A kind of map in a summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Map {
    /// The distance maps of all layers, in both directions.
    Distances,
    /// The anomaly map.
    Joined,
    /// The blurred map.
    Blurred,
}

impl std::fmt::Display for Deviation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let map = match self.map {
            Map::Distances => "distance maps",
            Map::Joined => "anomaly map",
            Map::Blurred => "blurred map",
        };
        write!(f, "its {map} have {:.4} where {:.4} was expected", self.found, self.expected)
    }
}

impl MapSummary {
    /// Makes a summary with as many values as [`Scorer::summary`] gives, all 0. For each layer,
    /// `layers` holds the rows, the columns and whether there is a backward direction. `size` is
    /// the rows and columns of the anomaly map.
    pub fn zeros(
        layers: impl Iterator<Item = (usize, usize, bool)>,
        size: (usize, usize),
    ) -> MapSummary {
        let cells = |height: usize, width: usize| height.min(CELLS) * width.min(CELLS);
        let distances = layers
            .map(|(height, width, both)| cells(height, width) * (1 + usize::from(both)))
            .sum();
        let map = vec![0.0; cells(size.0, size.1)];
        MapSummary { distances: vec![0.0; distances], joined: map.clone(), blurred: map }
    }

    /// Returns a summary of the same size with different values everywhere, for tests of the bytes.
    #[cfg(test)]
    pub fn numbered(mut self) -> MapSummary {
        let count = |values: &mut [f32], step: f32| {
            values.iter_mut().enumerate().for_each(|(i, value)| *value = i as f32 * step);
        };
        count(&mut self.distances, 0.125);
        count(&mut self.joined, 0.125);
        count(&mut self.blurred, -0.125);
        self
    }

    /// Returns whether it has as many values as `other`, all of them finite.
    pub fn is_like(&self, other: &MapSummary) -> bool {
        self.parts().iter().zip(other.parts()).all(|((_, own), (_, other))| {
            own.len() == other.len() && own.iter().all(|value| value.is_finite())
        })
    }

    /// Returns the worst place where `found` is farther from these expected values than rounding
    /// explains. `slack` is the number by which the tolerance is multiplied. It is 1 where both
    /// summaries come from 32-bit numbers.
    pub fn deviation(&self, found: &MapSummary, slack: f32) -> Option<Deviation> {
        let parts = self.parts().into_iter().zip(found.parts());
        let mut worst: Option<(f32, Deviation)> = None;
        for ((map, expected), (_, found)) in parts {
            if expected.len() != found.len() {
                return Some(Deviation { map, expected: 0.0, found: f32::NAN });
            }
            let level = match map {
                Map::Distances => 0.0,
                _ => root_mean_square(expected),
            };
            let [fixed, relative] = match map {
                Map::Distances => DISTANCE_TOLERANCE,
                _ => MAP_TOLERANCE,
            };
            for (&expected, &found) in expected.iter().zip(found) {
                let excess =
                    (found - expected).abs() / (fixed + relative * expected.abs().max(level));
                // A NaN is always a difference.
                let excess = if excess.is_nan() { f32::INFINITY } else { excess };
                if excess > worst.as_ref().map_or(slack, |(worst, _)| *worst) {
                    worst = Some((excess, Deviation { map, expected, found }));
                }
            }
        }
        worst.map(|(_, deviation)| deviation)
    }

    fn parts(&self) -> [(Map, &[f32]); 3] {
        [
            (Map::Distances, &self.distances),
            (Map::Joined, &self.joined),
            (Map::Blurred, &self.blurred),
        ]
    }
}

impl Scorer {
    /// Computes the score of a picture with these distances, and the summary of its maps.
    pub fn summary(&self, distances: &[Distances]) -> (Scored, MapSummary) {
        let map = self.anomaly_map(distances);
        let scored = self.score(&map);
        let (joined, blurred) = (self.joined_means(&map), self.blurred_peaks(&scored));
        (scored, MapSummary { distances: self.distance_means(distances), joined, blurred })
    }

    /// Returns whether the summary of these distances has a [`MapSummary::deviation`] from
    /// `expected`. The anomaly map and then the blurred map take most of the time. They are
    /// computed only where the maps before them agree.
    pub fn deviates(&self, distances: &[Distances], expected: &MapSummary, slack: f32) -> bool {
        let mut found = expected.clone();
        found.distances = self.distance_means(distances);
        if expected.deviation(&found, slack).is_some() {
            return true;
        }
        let map = self.anomaly_map(distances);
        found.joined = self.joined_means(&map);
        if expected.deviation(&found, slack).is_some() {
            return true;
        }
        found.blurred = self.blurred_peaks(&self.score(&map));
        expected.deviation(&found, slack).is_some()
    }

    fn distance_means(&self, distances: &[Distances]) -> Vec<f32> {
        let mut means = Vec::new();
        for (layer, distances) in self.layers().iter().zip(distances) {
            let &Layer { height, width, .. } = layer;
            for map in [&distances.forward, &distances.backward] {
                let cells = if map.is_empty() { Vec::new() } else { cells(map, height, width) };
                means.extend(cells.iter().map(|cell| half::f16::from_f32(mean(cell)).to_f32()));
            }
        }
        means
    }

    fn joined_means(&self, anomaly_map: &[f32]) -> Vec<f32> {
        let (height, width) = self.size();
        cells(anomaly_map, height, width).iter().map(|cell| mean(cell)).collect()
    }

    fn blurred_peaks(&self, scored: &Scored) -> Vec<f32> {
        let (height, width) = self.size();
        cells(&scored.blurred, height, width).iter().map(|cell| largest(cell)).collect()
    }
}

/// Returns the values of every cell of a map, row by row.
fn cells(map: &[f32], height: usize, width: usize) -> Vec<Vec<f32>> {
    let (rows, columns) = (height.min(CELLS), width.min(CELLS));
    let mut cells = vec![Vec::new(); rows * columns];
    for (at, &value) in map.iter().enumerate().take(height * width) {
        let (y, x) = (at / width * rows / height, at % width * columns / width);
        cells[y * columns + x].push(value);
    }
    cells
}

fn mean(cell: &[f32]) -> f32 {
    let sum: f64 = cell.iter().map(|&value| f64::from(value)).sum();
    (sum / cell.len().max(1) as f64) as f32
}

/// Returns the largest value of a cell, or 0 where the whole cell is outside the region of
/// interest. A NaN stays NaN.
fn largest(cell: &[f32]) -> f32 {
    let larger = |a: f32, b: &f32| if b.is_nan() || *b > a { *b } else { a };
    match cell.iter().fold(f32::NEG_INFINITY, larger) {
        f32::NEG_INFINITY => 0.0,
        value => value,
    }
}

fn root_mean_square(values: &[f32]) -> f32 {
    let sum: f64 = values.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
    (sum / values.len().max(1) as f64).sqrt() as f32
}

/// Stores numbers as 16-bit floating point, two bytes each.
mod halves {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub fn serialize<S: Serializer>(values: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> =
            values.iter().flat_map(|&value| half::f16::from_f32(value).to_le_bytes()).collect();
        bytes.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
        let bytes = Vec::<u8>::deserialize(deserializer)?;
        if !bytes.len().is_multiple_of(2) {
            return Err(D::Error::custom("an odd number of bytes for 16-bit numbers"));
        }
        let value = |pair: &[u8]| half::f16::from_le_bytes([pair[0], pair[1]]).to_f32();
        Ok(bytes.chunks_exact(2).map(value).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Fusion;
    use super::*;

    fn scorer() -> Scorer {
        let layer = |size| Layer {
            height: size,
            width: size,
            weight: 2.0,
            votes: 1.0,
            baseline: Vec::new(),
        };
        Scorer::new((40, 40), 0.5, Fusion::Sum, vec![layer(20), layer(4)], 1.0, None)
    }

    fn distances() -> Vec<Distances> {
        let map = |size: usize, step: usize| -> Vec<f32> {
            (0..size * size).map(|i| ((i * step) % 97) as f32 / 97.0).collect()
        };
        let both =
            |size, step| Distances { forward: map(size, step), backward: map(size, step + 2) };
        vec![both(20, 7), Distances { backward: Vec::new(), ..both(4, 11) }]
    }

    #[test]
    fn a_summary_is_the_means_of_the_cells_and_keeps_its_size() {
        let (scored, summary) = scorer().summary(&distances());
        assert_eq!(summary.distances.len(), 2 * 256 + 16);
        let zeros = MapSummary::zeros([(20, 20, true), (4, 4, false)].into_iter(), (40, 40));
        assert!(summary.is_like(&zeros) && zeros.is_like(&summary));
        // The last layer has fewer pixels than cells, so its pixels are the cells.
        for (got, want) in summary.distances[512..].iter().zip(&distances()[1].forward) {
            assert!((got - want).abs() < 1e-3);
        }
        let largest = summary.blurred.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        assert_eq!(largest, scored.score);
        let bytes = postcard::to_stdvec(&summary).expect("encodes");
        assert_eq!(bytes.len(), postcard::to_stdvec(&zeros).expect("encodes").len());
        assert_eq!(postcard::from_bytes(&bytes), Ok(summary));
    }

    #[test]
    fn a_change_in_any_map_shows_and_rounding_does_not() {
        let (_, expected) = scorer().summary(&distances());
        assert_eq!(expected.deviation(&expected, 1.0), None);
        type Change<'a> = &'a dyn Fn(&mut Vec<Distances>);
        let with = |change: Change<'_>| {
            let mut changed = distances();
            change(&mut changed);
            scorer().summary(&changed).1
        };
        let rounded = with(&|d| d[0].forward.iter_mut().for_each(|v| *v += 1e-4));
        assert_eq!(expected.deviation(&rounded, 1.0), None);
        assert!(!scorer().deviates(&distances(), &expected, 1.0));
        let cases: [Change<'_>; 4] = [
            &|d| d[0].forward[7] += 0.1,
            &|d| d[0].backward[399] -= 0.1,
            &|d| d[1].forward[0] += 0.02,
            &|d| d[1].forward[0] = f32::NAN,
        ];
        for (i, change) in cases.iter().enumerate() {
            assert!(expected.deviation(&with(change), 1.0).is_some(), "case {i}");
            let mut changed = distances();
            change(&mut changed);
            assert!(scorer().deviates(&changed, &expected, 1.0), "case {i}");
        }
        // Only the anomaly map or the blurred map shows these changes.
        let other = |alpha, sigma| {
            let layers = scorer().layers().to_vec();
            Scorer::new((40, 40), alpha, Fusion::Sum, layers, sigma, None)
        };
        for other in [other(0.9, 1.0), other(0.5, 3.0)] {
            let found = other.summary(&distances()).1;
            assert_eq!(found.distances, expected.distances);
            assert!(expected.deviation(&found, 1.0).is_some());
            assert!(other.deviates(&distances(), &expected, 1.0));
        }
        let fewer = MapSummary { blurred: Vec::new(), ..expected.clone() };
        assert!(expected.deviation(&fewer, 1.0).is_some() && !fewer.is_like(&expected));
    }
}
