//! This module holds a part of a picture as numbers to draw on: grey levels of 255, three per
//! pixel.

use crate::image::{Picture, Samples};

/// One pixel: red, green and blue, in grey levels from 0 to 255.
pub type Levels = [f32; 3];

/// A rectangle of a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Texture {
    /// The column of its left edge in the picture.
    pub left: u32,
    /// The row of its top edge in the picture.
    pub top: u32,
    /// The number of columns.
    pub width: u32,
    /// The number of rows.
    pub height: u32,
    /// The pixels, row by row.
    pub pixels: Vec<Levels>,
}

impl Texture {
    /// Copies the part of `picture` within `reach` pixels of (`x`, `y`). The picture's samples go
    /// up to `full`.
    pub fn around(picture: &Picture, full: f32, (x, y): (f32, f32), reach: f32) -> Texture {
        let start = |at: f32| (at - reach).floor().max(0.0) as u32;
        let end = |at: f32, side: u32| ((at + reach).ceil().max(0.0) as u32 + 1).min(side);
        let (right, bottom) = (end(x, picture.width), end(y, picture.height));
        let (left, top) = (start(x).min(right), start(y).min(bottom));
        let (width, height) = (right - left, bottom - top);
        let mut pixels = Vec::with_capacity(width as usize * height as usize);
        for row in top..bottom {
            for column in left..right {
                pixels.push(levels(picture, full, column, row));
            }
        }
        Texture { left, top, width, height, pixels }
    }

    /// Returns the centre of pixel `at` in the picture.
    pub fn centre(&self, at: usize) -> (f32, f32) {
        let width = self.width.max(1) as usize;
        let (x, y) = (at % width, at / width);
        (self.left as f32 + x as f32 + 0.5, self.top as f32 + y as f32 + 0.5)
    }

    /// Returns the pixel at a place of the picture, or the nearest one.
    pub fn at(&self, (x, y): (f32, f32)) -> Levels {
        let column = (x.floor() - self.left as f32).clamp(0.0, self.width.max(1) as f32 - 1.0);
        let row = (y.floor() - self.top as f32).clamp(0.0, self.height.max(1) as f32 - 1.0);
        let at = row as usize * self.width as usize + column as usize;
        self.pixels.get(at).copied().unwrap_or_default()
    }

    /// Returns the same rectangle, smoothed twice by a mean over a square of `2 * radius + 1`
    /// pixels.
    pub fn smoothed(&self, radius: usize) -> Texture {
        let (width, height) = (self.width as usize, self.height as usize);
        let mut pixels = self.pixels.clone();
        for _ in 0..2 {
            pixels = transposed(&mean_along_rows(&pixels, width, radius), width);
            pixels = transposed(&mean_along_rows(&pixels, height, radius), height);
        }
        Texture { pixels, ..self.clone() }
    }
}

fn levels(picture: &Picture, full: f32, column: u32, row: u32) -> Levels {
    let at = 3 * (row as usize * picture.width as usize + column as usize);
    let scale = 255.0 / full;
    let three =
        |of: &dyn Fn(usize) -> f32| [of(at) * scale, of(at + 1) * scale, of(at + 2) * scale];
    match &picture.samples {
        Samples::Eight(samples) => three(&|at| samples.get(at).map_or(0.0, |&v| f32::from(v))),
        Samples::Sixteen(samples) => three(&|at| samples.get(at).map_or(0.0, |&v| f32::from(v))),
    }
}

/// Computes the mean over `2 * radius + 1` pixels of a row. The ends of the row are repeated.
fn mean_along_rows(pixels: &[Levels], width: usize, radius: usize) -> Vec<Levels> {
    let mut means = Vec::with_capacity(pixels.len());
    let count = (2 * radius + 1) as f64;
    for row in pixels.chunks_exact(width.max(1)) {
        let at = |i: isize| row[i.clamp(0, width as isize - 1) as usize].map(f64::from);
        let reach = radius as isize;
        let mut sum = [0.0f64; 3];
        let mut add = |pixel: [f64; 3], sign: f64| {
            sum.iter_mut().zip(pixel).for_each(|(sum, v)| *sum += sign * v);
            sum
        };
        for i in -reach..reach {
            add(at(i), 1.0);
        }
        for i in 0..width as isize {
            let now = add(at(i + reach), 1.0);
            means.push(now.map(|v| (v / count) as f32));
            add(at(i - reach), -1.0);
        }
    }
    means
}

/// Exchanges rows and columns. The rows have `width` pixels.
fn transposed(pixels: &[Levels], width: usize) -> Vec<Levels> {
    let height = pixels.len() / width.max(1);
    (0..pixels.len()).map(|at| pixels[at % height * width + at / height]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp() -> Picture {
        let sample = |at: usize| ((at / 3 % 20) * 10) as u8;
        let samples = Samples::Eight((0..20 * 10 * 3).map(sample).collect());
        Picture { width: 20, height: 10, samples }
    }

    #[test]
    fn what_lies_around_a_place_ends_at_the_edges() {
        let texture = Texture::around(&ramp(), 255.0, (1.5, 9.5), 3.0);
        assert_eq!((texture.left, texture.top, texture.width, texture.height), (0, 6, 6, 4));
        assert_eq!(texture.at((4.9, 7.0)), [40.0; 3]);
        assert_eq!(texture.at((400.0, -7.0)), [50.0; 3]);
        assert_eq!(texture.centre(7), (1.5, 7.5));
        let outside = Texture::around(&ramp(), 255.0, (900.0, 5.0), 3.0);
        assert!(outside.pixels.is_empty() && outside.at((3.0, 3.0)) == [0.0; 3]);
    }

    #[test]
    fn smoothing_keeps_an_even_slope_and_flattens_a_point() {
        let mut texture = Texture::around(&ramp(), 255.0, (10.0, 5.0), 30.0);
        let smooth = texture.smoothed(2);
        assert!((smooth.at((10.5, 5.5))[0] - 100.0).abs() < 1e-3);
        texture.pixels.fill([0.0; 3]);
        texture.pixels[5 * 20 + 10] = [255.0; 3];
        let smooth = texture.smoothed(1);
        let sum: f32 = smooth.pixels.iter().map(|p| p[0]).sum();
        assert!((sum - 255.0).abs() < 1e-2 && smooth.at((10.5, 5.5))[0] < 60.0, "{sum}");
    }
}
