//! This module computes all pairwise cosines of the vectors at one pixel.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, s};

/// The number of rows and columns of a block that is mirrored at the diagonal.
const BLOCK: usize = 32;
/// The number of rows that are computed at once. What is computed above the diagonal is at most so wide.
const ROWS: usize = 128;

/// The similarities and distances between the N vectors of one pixel, N x N, row by row.
///
/// The buffers are kept from pixel to pixel, so `compute` allocates only when N or C grows.
#[derive(Default)]
pub struct Gram {
    size: usize,
    wide: Vec<f64>,
    similarity: Vec<f64>,
    distance: Vec<f64>,
}

/// Returns the bytes of a [`Gram`] of so many vectors, with the vectors themselves and what products take on the way.
pub fn memory(vectors: usize, channels: usize) -> u64 {
    let values = size_of::<f32>() + 2 * size_of::<f64>();
    (vectors * (2 * size_of::<f64>() * vectors + values * channels)) as u64
}

impl Gram {
    /// Computes all products of the unit vectors in `features`, `[n, channels]`.
    ///
    /// Products are taken in double precision. The order in which OPTICS visits the vectors depends
    /// on differences that single precision would lose.
    pub fn compute(&mut self, features: &[f32], channels: usize) {
        let n = features.len().checked_div(channels).unwrap_or(0);
        self.size = n;
        self.wide.clear();
        self.wide.extend(features.iter().map(|&v| f64::from(v)));
        self.similarity.resize(n * n, 0.0);
        self.similarity.truncate(n * n);
        self.multiply(n, channels);
        self.mirror();
        self.distance.clear();
        self.distance.extend(self.similarity.iter().map(|&s| round15((1.0 - s).max(0.0))));
        for i in 0..n {
            self.distance[i * n + i] = 0.0;
        }
    }

    /// Computes the products at and below the diagonal.
    fn multiply(&mut self, n: usize, channels: usize) {
        let vectors = ArrayView2::from_shape((n, channels), &self.wide);
        let products = ArrayViewMut2::from_shape((n, n), &mut self.similarity);
        let (Ok(vectors), Ok(mut products)) = (vectors, products) else { return };
        for begin in (0..n).step_by(ROWS) {
            let end = n.min(begin + ROWS);
            let (rows, until) = (vectors.slice(s![begin..end, ..]), vectors.slice(s![..end, ..]));
            let mut block = products.slice_mut(s![begin..end, ..end]);
            general_mat_mul(1.0, &rows, &until.t(), 0.0, &mut block);
        }
    }

    /// Copies the values below the diagonal to above it, block by block. So both sides of a block
    /// stay in the first cache.
    fn mirror(&mut self) {
        let n = self.size;
        for rows in (0..n).step_by(BLOCK) {
            for columns in (0..=rows).step_by(BLOCK) {
                for i in rows..n.min(rows + BLOCK) {
                    for j in columns..i.min(columns + BLOCK) {
                        self.similarity[j * n + i] = self.similarity[i * n + j];
                    }
                }
            }
        }
    }

    /// Returns the number of vectors, N.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Returns the cosines of vector `i` with every vector.
    pub fn similarities(&self, i: usize) -> &[f64] {
        &self.similarity[i * self.size..(i + 1) * self.size]
    }

    /// Returns the distances `1 - cosine` of vector `i` to every vector. They are not below 0, and
    /// the distance to itself is 0. They are rounded to 15 decimals as in scikit-learn, so that the
    /// same distances tie.
    pub fn distances(&self, i: usize) -> &[f64] {
        &self.distance[i * self.size..(i + 1) * self.size]
    }
}

/// Rounds a value between 0 and 2 to 15 decimals, halves to even.
fn round15(value: f64) -> f64 {
    // Adding and subtracting 1.5 * 2^52 rounds to a whole number for magnitudes below 2^51.
    const WHOLE: f64 = 6_755_399_441_055_744.0;
    ((value * 1e15 + WHOLE) - WHOLE) / 1e15
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_symmetric_and_complete_across_blocks() {
        let (n, c) = (2 * BLOCK + 7, 5);
        let features: Vec<f32> =
            (0..n * c).map(|i| ((i * 37 % 101) as f32 - 50.0) / 90.0).collect();
        let mut gram = Gram::default();
        gram.compute(&features, c);
        for i in 0..n {
            for j in 0..n {
                let want: f64 = (0..c)
                    .map(|k| f64::from(features[i * c + k]) * f64::from(features[j * c + k]))
                    .sum();
                assert!((gram.similarities(i)[j] - want).abs() < 1e-12);
                assert_eq!(gram.similarities(i)[j].to_bits(), gram.similarities(j)[i].to_bits());
            }
        }
    }

    #[test]
    fn rounding_is_to_fifteen_decimals() {
        for value in [0.0, 0.123_456_789_012_345_67, 1.999_999_999_999_999_6, 3.3e-16] {
            assert_eq!(round15(value), (value * 1e15_f64).round_ties_even() / 1e15);
        }
    }
}
