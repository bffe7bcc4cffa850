//! This module turns pictures about their centre, at the network's input size.
//!
//! The network's pixels need not be square in the picture, so a turn rotates in the picture's own
//! pixels. Between pixels it interpolates with cubic splines (Catmull and Rom). Bilinear
//! interpolation would blur, and the finest features of a turned picture would differ from those of
//! an ordinary picture. Beyond its edge the picture's border is repeated, so the content there is
//! made up. [`Turn::shows`] tells where that is.

use super::{Mask, NetworkImage, Size};

/// Half the width of the spline, in pixels.
const REACH: i64 = 2;

/// A turn about the centre of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Turn {
    degrees: f64,
    sine: f64,
    cosine: f64,
}

impl Turn {
    /// Makes a turn by any angle in degrees. It is clockwise where rows are counted downwards.
    pub fn new(degrees: f64) -> Self {
        let (sine, cosine) = degrees.to_radians().sin_cos();
        Turn { degrees, sine, cosine }
    }

    /// Returns the angle in degrees.
    pub fn degrees(&self) -> f64 {
        self.degrees
    }

    /// Returns the point of the picture that the turned picture shows at `(x, y)`. Both points are
    /// measured from the centre, as parts of the sides of a picture of `size`.
    fn source(&self, (x, y): (f64, f64), size: Size) -> (f64, f64) {
        let (width, height) = (f64::from(size.width), f64::from(size.height));
        let (x, y) = (x * width, y * height);
        ((self.cosine * x + self.sine * y) / width, (self.cosine * y - self.sine * x) / height)
    }

    /// Returns where the centre of cell `(column, row)` of a grid over the turned picture comes
    /// from. The result is in cells of the same grid over the picture, counted from the centre of
    /// the first cell.
    fn source_cell(
        &self,
        (column, row): (usize, usize),
        (height, width): (usize, usize),
        size: Size,
    ) -> (f64, f64) {
        let part = |at: usize, of: usize| (at as f64 + 0.5) / of as f64 - 0.5;
        let cell = |part: f64, of: usize| (part + 0.5) * of as f64 - 0.5;
        let (x, y) = self.source((part(column, width), part(row, height)), size);
        (cell(x, width), cell(y, height))
    }

    /// Returns `image` turned. `size` is the size of the picture that `image` was made from.
    pub fn apply(&self, image: &NetworkImage, size: Size) -> NetworkImage {
        let (height, width) = (image.height(), image.width());
        let mut samples = Vec::with_capacity(image.samples().len());
        for row in 0..height {
            for column in 0..width {
                let at = self.source_cell((column, row), (height, width), size);
                samples.extend(interpolated(image, at));
            }
        }
        NetworkImage::from_samples(height, width, samples).unwrap_or_else(|| image.clone())
    }

    /// Lays a grid of `height` x `width` cells over a picture of `size`. Says for every cell
    /// whether the turned picture shows a part of the picture there.
    pub fn shows(&self, (height, width): (usize, usize), size: Size) -> Vec<bool> {
        let inside = |at: f64, of: usize| (-0.5 - EDGE..=of as f64 - 0.5 + EDGE).contains(&at);
        (0..height * width)
            .map(|i| {
                let (x, y) = self.source_cell((i % width, i / width), (height, width), size);
                inside(x, width) && inside(y, height)
            })
            .collect()
    }

    /// Returns the share of `mask` that the turned picture still fills with content from inside the
    /// mask, 0..=1. The mask lies over a picture of `size`.
    pub fn overlap(&self, mask: &Mask, size: Size) -> f64 {
        let (height, width) = (mask.height(), mask.width());
        let nearest = |at: f64, of: usize| at.round().clamp(0.0, of as f64 - 1.0) as usize;
        let cells = (0..height * width).filter(|&i| mask.inside()[i]);
        let filled = cells.filter(|i| {
            let (x, y) = self.source_cell((i % width, i / width), (height, width), size);
            mask.inside()[nearest(y, height) * width + nearest(x, width)]
        });
        filled.count() as f64 / mask.count().max(1) as f64
    }
}

/// The tolerance for rounding errors of the angles' sine and cosine, in cells.
const EDGE: f64 = 1e-9;

/// Returns the samples of `image` at column `x` and row `y`. The border is repeated.
fn interpolated(image: &NetworkImage, (x, y): (f64, f64)) -> [u16; 3] {
    let (height, width) = (image.height() as i64, image.width() as i64);
    let (left, top) = (x.floor() as i64 - REACH + 1, y.floor() as i64 - REACH + 1);
    let (columns, rows) = (weights(x - x.floor()), weights(y - y.floor()));
    let mut sum = [0.0f32; 3];
    for (row, row_weight) in (top..).zip(rows) {
        let start = row.clamp(0, height - 1) * width;
        for (column, column_weight) in (left..).zip(columns) {
            let at = 3 * (start + column.clamp(0, width - 1)) as usize;
            let weight = row_weight * column_weight;
            for (sum, &sample) in sum.iter_mut().zip(&image.samples()[at..at + 3]) {
                *sum += weight * f32::from(sample);
            }
        }
    }
    // The conversion cuts a float that does not fit to the ends of the range.
    sum.map(|v| v.round() as u16)
}

/// Returns the weights of the four samples around a point that lies `t`, 0..1, behind the second
/// sample.
fn weights(t: f64) -> [f32; 4] {
    let (t2, t3) = (t * t, t * t * t);
    [
        -0.5 * t3 + t2 - 0.5 * t,
        1.5 * t3 - 2.5 * t2 + 1.0,
        -1.5 * t3 + 2.0 * t2 + 0.5 * t,
        0.5 * t3 - 0.5 * t2,
    ]
    .map(|weight| weight as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARE: Size = Size { width: 100, height: 100 };

    /// Makes a picture whose samples are `value(column, row)`, each colour a little more than the
    /// one before.
    fn image(height: usize, width: usize, value: impl Fn(usize, usize) -> u16) -> NetworkImage {
        let samples = (0..height * width)
            .flat_map(|i| [0, 1, 2].map(|c| value(i % width, i / width) + c))
            .collect();
        NetworkImage::from_samples(height, width, samples).expect("fits")
    }

    #[test]
    fn quarter_turns_move_pixels_and_nothing_else() {
        let value = |x: usize, y: usize| (1000 + 700 * x + 31 * y * y) as u16;
        let picture = image(9, 9, value);
        let cases = [
            (0.0, image(9, 9, value)),
            (90.0, image(9, 9, |x, y| value(y, 8 - x))),
            (180.0, image(9, 9, |x, y| value(8 - x, 8 - y))),
            (270.0, image(9, 9, |x, y| value(8 - y, x))),
        ];
        for (degrees, expected) in cases {
            let turn = Turn::new(degrees);
            assert_eq!(turn.apply(&picture, SQUARE), expected, "{degrees}");
            assert!(turn.shows((9, 9), SQUARE).iter().all(|&shown| shown), "{degrees}");
        }
    }

    #[test]
    fn a_turn_goes_round_in_the_pixels_of_the_picture() {
        // A disc in a picture of 200 x 100 that is squeezed into a square must stay the ellipse
        // that it is there.
        let size = Size { width: 200, height: 100 };
        let value = |x: usize, y: usize| {
            let (dx, dy) = (2.0 * (x as f64 - 31.5), y as f64 - 31.5);
            (30000.0 - 10.0 * (dx * dx + dy * dy).min(1600.0)) as u16
        };
        let picture = image(64, 64, value);
        let turned = Turn::new(37.0).apply(&picture, size);
        let inside = |i: &usize| value(i % 64, i / 64) > 20000;
        let differ = (0..64 * 64)
            .filter(inside)
            .map(|i| picture.samples()[3 * i].abs_diff(turned.samples()[3 * i]));
        assert!(differ.max().expect("a disc") < 100);
    }

    #[test]
    fn what_lies_outside_the_picture_is_told() {
        let size = Size { width: 200, height: 100 };
        let shown = Turn::new(90.0).shows((10, 20), size);
        // After a quarter turn, a picture of 2 x 1 fills the middle half of its columns.
        for (i, shown) in shown.iter().enumerate() {
            assert_eq!(*shown, (5..15).contains(&(i % 20)), "{i}");
        }
    }

    #[test]
    fn a_round_mask_turns_and_a_strip_does_not() {
        let mask = |inside: &dyn Fn(f64, f64) -> bool| {
            let flag = |i: usize| inside((i % 64) as f64 - 31.5, (i / 64) as f64 - 31.5);
            Mask::from_flags(64, 64, (0..64 * 64).map(flag).collect()).expect("fits")
        };
        let (round, strip) =
            (mask(&|x, y| x * x + y * y < 500.0), mask(&|_, y| (-8.0..8.0).contains(&y)));
        let overlap = |mask: &Mask, degrees| Turn::new(degrees).overlap(mask, SQUARE);
        assert!(overlap(&round, 33.0) > 0.97);
        assert!((overlap(&strip, 90.0) - 0.25).abs() < 0.01);
        assert_eq!(overlap(&strip, 180.0), 1.0);
    }
}
