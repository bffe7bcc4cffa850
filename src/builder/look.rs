//! Computes what a picture alone shows, at the network's size: light, sharpness, and a small copy.
//!
//! It uses the network's size, because what is lost on the way to it changes nothing. A blur that the network does not
//! see harms neither template nor inspection.

use crate::image::NetworkImage;
use crate::scoring::blur::GaussianBlur;

/// The largest number of rows and columns of the small copy.
const COPY_SIDE: usize = 64;
/// The bytes that a look takes.
pub(super) const BYTES: u64 = (size_of::<Look>() + size_of::<f32>() * COPY_SIDE * COPY_SIDE) as u64;
/// The sigmas of the blurs between which detail is measured, in pixels. The first blur removes the finest detail. The
/// third removes coarse detail beyond the second.
const SIGMAS: [f32; 3] = [0.7, 1.4, 2.8];
/// The detail that counts as none, as a share of full scale: noise of recording.
const NO_DETAIL: f64 = 2e-4;
/// The sigma of the blur of the small copy, in its pixels. It removes noise before two pictures are compared.
const COPY_SIGMA: f32 = 1.5;
/// The largest number of rows and columns of the coarse copy.
const COARSE_SIDE: usize = 16;
/// The share of the copy's sides that is not compared when a shift is fitted.
const MARGIN: f64 = 0.09;
/// The largest shift that is fitted, in pixels of the copy.
const MOST_SHIFT: f64 = 1.0;
/// The largest constant difference that noise makes where it is clipped at white or black, as a share of full scale.
/// Noise of 5 steps of 255 shifts the mean by 2 steps.
const MOST_CONSTANT: f64 = 2.0 / 255.0;
/// Samples within this distance of black or white are clipped. It is one step of 8 bits.
const STEP: u16 = 257;

/// Holds light, sharpness and a small copy of one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// The mean of all samples, 0..=1.
    pub brightness: f64,
    /// The share of black samples, 0..=1.
    pub black: f64,
    /// The share of white samples, 0..=1.
    pub white: f64,
    /// The logarithm of coarse detail over finest detail: the higher, the softer. It depends more on the picture's
    /// sharpness than on what the picture shows.
    pub softness: f64,
    /// The grey copy, 0..=1, of at most 64 x 64 pixels.
    copy: Vec<f32>,
    /// The number of columns of the copy.
    columns: usize,
}

impl Look {
    /// Computes the look of a picture.
    pub fn new(image: &NetworkImage) -> Self {
        let (samples, width) = (image.samples(), image.width());
        let count = samples.len().max(1) as f64;
        let part =
            |of: &dyn Fn(u16) -> bool| samples.iter().filter(|s| of(**s)).count() as f64 / count;
        let grey: Vec<f32> = samples
            .chunks_exact(3)
            .map(|rgb| rgb.iter().map(|&v| f32::from(v)).sum::<f32>() / (3.0 * 65535.0))
            .collect();
        let blurred = SIGMAS.map(|sigma| GaussianBlur::new(sigma).apply(&grey, width));
        let fine = difference(&grey, &blurred[0]) + NO_DETAIL;
        let coarse = difference(&blurred[1], &blurred[2]) + NO_DETAIL;
        Look {
            brightness: samples.iter().map(|&s| f64::from(s)).sum::<f64>() / (65535.0 * count),
            black: part(&|s| s <= STEP),
            white: part(&|s| s >= u16::MAX - STEP),
            softness: (coarse / fine).ln(),
            copy: small_copy(&grey, image.height(), width),
            columns: width.min(COPY_SIDE),
        }
    }

    /// Returns the same look with a blurred copy, which can be compared in spite of noise.
    pub fn blurred(&self) -> Look {
        let copy = GaussianBlur::new(COPY_SIGMA).apply(&self.copy, self.columns);
        Look { copy, ..self.clone() }
    }

    /// Returns means over blocks of the copy, at most 16 x 16.
    pub fn coarse(&self) -> Vec<f32> {
        let rows = self.copy.len().checked_div(self.columns).unwrap_or(0);
        let side = |of: usize| of.min(COARSE_SIDE);
        let mut sum = vec![0.0f32; side(rows) * side(self.columns)];
        for (i, value) in self.copy.iter().enumerate() {
            let (x, y) = (i % self.columns, i / self.columns);
            let at =
                y * side(rows) / rows * side(self.columns) + x * side(self.columns) / self.columns;
            sum[at] += value;
        }
        let of_block = self.copy.len() as f32 / sum.len().max(1) as f32;
        sum.iter().map(|sum| sum / of_block).collect()
    }

    /// Returns the root mean square difference of two pictures inside the margin, without a small shift and a small
    /// constant. It is symmetric. It is meant for blurred copies of pictures of equal network size.
    pub fn residual(&self, other: &Look) -> f64 {
        let rows = self.copy.len().checked_div(self.columns).unwrap_or(0);
        let margin = |of: usize| (of as f64 * MARGIN).ceil().max(1.0) as usize;
        let (top, left) = (margin(rows), margin(self.columns));
        if rows <= 2 * top || self.columns <= 2 * left {
            return self.distance(other);
        }
        // The sums are of the gradients gx and gy of the mean picture, of the difference d, and of their products.
        let (mut count, mut sums) = (0.0f64, [0.0f64; 9]);
        let (a, b) = (&self.copy, &other.copy);
        for y in top..rows - top {
            for i in y * self.columns + left..(y + 1) * self.columns - left {
                let mean = |at: usize| f64::from(a[at] + b[at]) / 2.0;
                let gx = (mean(i + 1) - mean(i - 1)) / 2.0;
                let gy = (mean(i + self.columns) - mean(i - self.columns)) / 2.0;
                let d = f64::from(a[i] - b[i]);
                let terms = [gx, gy, d, gx * gx, gx * gy, gy * gy, gx * d, gy * d, d * d];
                sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
                count += 1.0;
            }
        }
        let [gx, gy, d, xx, xy, yy, xd, yd, dd] = sums.map(|sum| sum / count);
        let constant = (d.abs() - MOST_CONSTANT).max(0.0);
        let (xx, xy, yy) = (xx - gx * gx, xy - gx * gy, yy - gy * gy);
        let (xd, yd, dd) = (xd - gx * d, yd - gy * d, dd - d * d);
        let determinant = xx * yy - xy * xy;
        let left = match determinant > 1e-9 * xx * yy && determinant > 0.0 {
            false => dd,
            true => {
                let (mut u, mut v) =
                    ((yy * xd - xy * yd) / determinant, (xx * yd - xy * xd) / determinant);
                let length = u.hypot(v);
                if length > MOST_SHIFT {
                    (u, v) = (u / length * MOST_SHIFT, v / length * MOST_SHIFT);
                }
                dd - 2.0 * (u * xd + v * yd) + u * u * xx + 2.0 * u * v * xy + v * v * yy
            }
        };
        (left.max(0.0) + constant * constant).sqrt()
    }

    /// Returns the root mean square difference of the small copies of two pictures of equal network size.
    pub fn distance(&self, other: &Look) -> f64 {
        difference(&self.copy, &other.copy)
    }
}

/// Returns the root mean square difference.
fn difference(a: &[f32], b: &[f32]) -> f64 {
    let square: f32 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
    (f64::from(square) / a.len().max(1) as f64).sqrt()
}

/// Returns means over blocks.
fn small_copy(grey: &[f32], height: usize, width: usize) -> Vec<f32> {
    let (rows, columns) = (height.min(COPY_SIDE), width.min(COPY_SIDE));
    let mut sum = vec![0.0f32; rows * columns];
    let mut count = vec![0.0f32; rows * columns];
    for (i, value) in grey.iter().enumerate() {
        let at = (i / width * rows / height) * columns + i % width * columns / width;
        sum[at] += value;
        count[at] += 1.0;
    }
    sum.iter().zip(count).map(|(sum, count)| sum / count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(value: impl Fn(usize, usize) -> f32) -> NetworkImage {
        let samples = (0..100 * 120)
            .flat_map(|i| [(value(i % 120, i / 120).clamp(0.0, 1.0) * 65535.0) as u16; 3])
            .collect();
        NetworkImage::from_samples(100, 120, samples).expect("fits")
    }

    fn texture(x: usize, y: usize) -> f32 {
        0.3 + 0.2 * ((x * 37 + y * 91 + x * y) % 17) as f32 / 17.0
    }

    #[test]
    fn softness_tells_blur_and_not_contrast_or_light() {
        let sharp = Look::new(&image(texture));
        let faint = Look::new(&image(|x, y| 0.5 + 0.5 * (texture(x, y) - 0.3)));
        let around = |x: usize, y: usize| {
            let near = (0..25).map(|i| texture((x + i % 5).min(119), (y + i / 5).min(99)));
            near.sum::<f32>() / 25.0
        };
        let soft = Look::new(&image(around));
        assert!((sharp.softness - faint.softness).abs() < 0.1);
        assert!(soft.softness > sharp.softness + 0.5, "{} {}", soft.softness, sharp.softness);
    }

    #[test]
    fn light_and_copies() {
        let half = Look::new(&image(|x, _| if x < 60 { 0.0 } else { 1.0 }));
        assert!((half.black - 0.5).abs() < 1e-9 && (half.white - 0.5).abs() < 1e-9);
        assert!((half.brightness - 0.5).abs() < 1e-9);
        let dark = Look::new(&image(|_, _| 0.0));
        assert!((half.distance(&dark) - 0.5f64.sqrt()).abs() < 1e-3);
        assert_eq!(half.distance(&half), 0.0);
        assert_eq!(dark.softness, 0.0, "no detail at all is neither sharp nor soft");
    }
}
