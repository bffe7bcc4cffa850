//! This module holds maps of unit feature vectors. A backbone computes them; matching and selection
//! use them.

/// The feature vectors of one layer, pixel by pixel: `data[(y * width + x) * channels + c]`.
///
/// Every vector has length 1 over its channels, or is all zero. A zero vector has similarity 0 with
/// everything. [`FeatureMap::normalised`] makes a map and keeps this true.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureMap {
    height: usize,
    width: usize,
    channels: usize,
    data: Vec<f32>,
    /// The number of vectors that were not finite. They are zero now.
    not_finite: usize,
}

/// The reason why a map cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// This number of vectors held values that are not finite, or values whose squares overflow.
    NotFinite(usize),
    /// Every vector is zero.
    AllZero,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::NotFinite(count) => write!(f, "not finite at {count} positions"),
            Fault::AllZero => f.write_str("zero at every position"),
        }
    }
}

impl FeatureMap {
    /// Takes `height * width * channels` raw values in pixel order and scales each vector to
    /// length 1. Vectors that are zero or not finite become zero.
    ///
    /// # Panics
    /// If the number of values is not the product of the sizes.
    pub fn normalised(height: usize, width: usize, channels: usize, mut data: Vec<f32>) -> Self {
        assert_eq!(data.len(), height * width * channels, "values of a feature map");
        let mut not_finite = 0;
        if channels > 0 {
            for vector in data.chunks_exact_mut(channels) {
                not_finite += usize::from(!normalise(vector).is_finite());
            }
        }
        FeatureMap { height, width, channels, data, not_finite }
    }

    /// Does the same as [`FeatureMap::normalised`] with planes as networks give them:
    /// `[channels, height, width]`.
    pub fn from_planes(channels: usize, height: usize, width: usize, planes: &[f32]) -> Self {
        let pixels = height * width;
        assert_eq!(planes.len(), pixels * channels, "values of a feature map");
        let mut squares = vec![0.0f64; pixels];
        let mut partial = vec![0.0f32; pixels];
        for planes in planes.chunks((PARTIAL * pixels).max(1)) {
            partial.fill(0.0);
            for plane in planes.chunks_exact(pixels) {
                partial.iter_mut().zip(plane).for_each(|(sum, v)| *sum += v * v);
            }
            squares.iter_mut().zip(&partial).for_each(|(sum, &v)| *sum += f64::from(v));
        }
        let not_finite = squares.iter().filter(|square| !square.is_finite()).count();
        let scales: Vec<f32> = squares.into_iter().map(scale).collect();
        let mut data = vec![0.0; planes.len()];
        // The loop takes eight planes at a time, so each cache line of the destination is written
        // in one go.
        for first in (0..channels).step_by(8) {
            let count = 8.min(channels - first);
            let group = &planes[first * pixels..(first + count) * pixels];
            for ((p, vector), scale) in data.chunks_exact_mut(channels).enumerate().zip(&scales) {
                for (c, value) in vector[first..first + count].iter_mut().enumerate() {
                    *value = group[c * pixels + p] * scale;
                }
            }
        }
        for (vector, scale) in data.chunks_exact_mut(channels.max(1)).zip(&scales) {
            // A multiplication by 0 does not turn infinity or NaN into 0.
            if *scale == 0.0 {
                vector.fill(0.0);
            }
        }
        FeatureMap { height, width, channels, data, not_finite }
    }

    /// Takes vectors from an earlier map without changing them. Returns `None` where their number
    /// does not fit the sizes, or where one of them has neither length 1 nor length 0.
    pub fn from_unit_vectors(
        height: usize,
        width: usize,
        channels: usize,
        data: Vec<f32>,
    ) -> Option<Self> {
        let is_unit = |vector: &[f32]| {
            let square: f64 = vector.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
            (square - 1.0).abs() < 1e-3 || square == 0.0
        };
        let fits =
            channels > 0 && data.len() == height.checked_mul(width)?.checked_mul(channels)?;
        (fits && data.chunks_exact(channels).all(is_unit)).then_some(FeatureMap {
            height,
            width,
            channels,
            data,
            not_finite: 0,
        })
    }

    /// Returns the reason why the map cannot be used, or `None` where it can. A single vector may
    /// be zero, because a network may find nothing at a position.
    pub fn fault(&self) -> Option<Fault> {
        match self.not_finite {
            0 => self.data.iter().all(|&v| v == 0.0).then_some(Fault::AllZero),
            count => Some(Fault::NotFinite(count)),
        }
    }

    /// Returns the number of rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Returns the number of columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns the number of values in a vector.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Returns the number of vectors.
    pub fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Returns all values, pixel by pixel.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// Returns the vector of pixel `y * width + x`.
    pub fn vector(&self, pixel: usize) -> &[f32] {
        &self.data[pixel * self.channels..(pixel + 1) * self.channels]
    }
}

/// The number of squares that are added in single precision before their sum goes into a double.
const PARTIAL: usize = 16;

/// Scales `vector` to length 1. A vector that is zero or not finite becomes zero. Returns the
/// square of its former length.
pub fn normalise(vector: &mut [f32]) -> f64 {
    let partial = |values: &[f32]| values.iter().fold(0.0f32, |sum, v| sum + v * v);
    let square = vector.chunks(PARTIAL).map(|values| f64::from(partial(values))).sum();
    let scale = scale(square);
    for value in vector {
        *value = if scale == 0.0 { 0.0 } else { *value * scale };
    }
    square
}

/// Returns the factor that makes a vector of this squared length a unit vector, or 0 where the
/// vector has no direction.
fn scale(square: f64) -> f32 {
    if square.is_finite() && square > 1e-24 { (1.0 / square.sqrt()) as f32 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_become_unit_vectors_in_pixel_order() {
        let planes: Vec<f32> = (0..11 * 6).map(|i| (i % 7) as f32 - 2.0).collect();
        let map = FeatureMap::from_planes(11, 2, 3, &planes);
        for p in 0..6 {
            let raw: Vec<f32> = (0..11).map(|c| planes[c * 6 + p]).collect();
            let length = raw.iter().map(|v| v * v).sum::<f32>().sqrt();
            for (got, raw) in map.vector(p).iter().zip(&raw) {
                assert!((got - raw / length).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn unit_vectors_are_taken_as_they_are_and_nothing_else() {
        let map = FeatureMap::normalised(1, 2, 3, vec![1.0, 2.0, 3.0, 0.0, 0.0, 0.0]);
        let again = FeatureMap::from_unit_vectors(1, 2, 3, map.data().to_vec());
        assert_eq!(again.as_ref(), Some(&map));
        assert_eq!(FeatureMap::from_unit_vectors(2, 2, 3, map.data().to_vec()), None);
        for wrong in [1.5, f32::NAN, 0.5] {
            assert_eq!(FeatureMap::from_unit_vectors(1, 1, 1, vec![wrong]), None);
        }
    }

    #[test]
    fn vectors_without_direction_become_zero() {
        for bad in [0.0, f32::NAN, f32::INFINITY, 1e-20] {
            let map = FeatureMap::normalised(1, 1, 3, vec![bad, 0.0, 0.0]);
            assert_eq!(map.data(), [0.0; 3], "{bad}");
        }
    }

    #[test]
    fn a_map_says_why_it_is_no_use() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        for (values, fault) in [
            ([0.0; 6], Some(Fault::AllZero)),
            ([1e-20; 6], Some(Fault::AllZero)),
            ([1.0, 2.0, 0.0, 0.0, 0.0, 0.0], None),
            ([1.0, nan, 1.0, 1.0, 1.0, 1.0], Some(Fault::NotFinite(1))),
            ([inf, 1.0, 1.0, 1.0, 1.0, -inf], Some(Fault::NotFinite(2))),
            ([1e30, 1.0, 1.0, 1.0, 1.0, 1.0], Some(Fault::NotFinite(1))),
        ] {
            let planes: Vec<f32> = (0..6).map(|i| values[i % 3 * 2 + i / 3]).collect();
            assert_eq!(FeatureMap::normalised(1, 3, 2, values.to_vec()).fault(), fault);
            assert_eq!(FeatureMap::from_planes(2, 1, 3, &planes).fault(), fault);
        }
    }
}
