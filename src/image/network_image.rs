//! This module holds a picture at the network's input size.

use super::reading::Reading;
use super::shape::Size;
use super::view::{Packed, PictureView};
use crate::error::{Error, Kind, Result};
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{InnerPixel, U8x3, U16x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

/// RGB samples at the network's input size, 16 bits each (8-bit samples times 257), interleaved.
///
/// An anti-aliased bilinear filter squashes the picture to this size. The aspect ratio is not kept,
/// as in the paper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkImage {
    height: usize,
    width: usize,
    samples: Vec<u16>,
}

impl NetworkImage {
    /// Brings `picture` to `size`.
    ///
    /// # Errors
    /// [`Kind::Image`] where the resize fails.
    pub fn new(picture: &PictureView, size: Size) -> Result<Self> {
        let from = picture.size();
        let samples = match picture.packed() {
            Packed::Eight(samples) => {
                let resized: Vec<U8x3> = resize(bytemuck::cast_slice(&samples), from, size)?;
                resized.iter().flat_map(|p| p.0.map(|v| u16::from(v) * 257)).collect()
            }
            Packed::Sixteen(samples) => {
                let resized: Vec<U16x3> = resize(bytemuck::cast_slice(&samples), from, size)?;
                resized.iter().flat_map(|p| p.0).collect()
            }
        };
        Ok(NetworkImage { height: size.height as usize, width: size.width as usize, samples })
    }

    /// As [`NetworkImage::new`], for a picture whose samples are to be understood as `reading` says.
    ///
    /// # Errors
    /// As [`NetworkImage::new`] and [`Reading::at_full_scale`].
    pub fn read(picture: &PictureView, reading: Reading, size: Size) -> Result<Self> {
        match reading.at_full_scale(picture)? {
            Some(scaled) => Self::new(&scaled.view()?, size),
            None => Self::new(picture, size),
        }
    }

    /// Takes samples that were stored at the network's input size. Returns `None` where their
    /// number is wrong.
    pub fn from_samples(height: usize, width: usize, samples: Vec<u16>) -> Option<Self> {
        let count = height.checked_mul(width)?.checked_mul(3)?;
        (samples.len() == count).then_some(NetworkImage { height, width, samples })
    }

    /// Returns the number of rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Returns the number of columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns all samples, `[y][x][rgb]`.
    pub fn samples(&self) -> &[u16] {
        &self.samples
    }

    /// Returns `size` rows and columns from row and column `start` on, or `None` where they are not
    /// all inside.
    pub fn cropped(&self, start: (usize, usize), size: (usize, usize)) -> Option<Self> {
        let ((top, left), (height, width)) = (start, size);
        let mut samples = Vec::with_capacity(3 * height * width);
        for y in top..top + height {
            let row = self.samples.get(3 * y * self.width..3 * (y + 1) * self.width)?;
            samples.extend_from_slice(row.get(3 * left..3 * (left + width))?);
        }
        Some(NetworkImage { height, width, samples })
    }

    /// Returns the picture with dark and bright exchanged.
    pub fn inverted(&self) -> Self {
        NetworkImage { samples: self.samples.iter().map(|v| u16::MAX - v).collect(), ..*self }
    }

    /// Returns the picture with its columns (left to right), its rows (top to bottom), or both in
    /// reverse order.
    pub fn mirrored(&self, columns: bool, rows: bool) -> Self {
        let mut samples = Vec::with_capacity(self.samples.len());
        let row_length = (3 * self.width).max(1);
        let mut copy = |row: &[u16]| match columns {
            true => samples.extend(row.chunks_exact(3).rev().flatten()),
            false => samples.extend_from_slice(row),
        };
        match rows {
            true => self.samples.chunks_exact(row_length).rev().for_each(&mut copy),
            false => self.samples.chunks_exact(row_length).for_each(&mut copy),
        }
        NetworkImage { samples, ..*self }
    }

    /// Returns `(sample / 65535 - mean) / std` as three planes, red first. This is the network's
    /// input.
    pub fn normalised(&self, mean: [f32; 3], std: [f32; 3]) -> Vec<f32> {
        let pixels = self.height * self.width;
        let mut planes = vec![0.0; 3 * pixels];
        for (c, plane) in planes.chunks_exact_mut(pixels.max(1)).enumerate() {
            let (scale, offset) = (1.0 / (65535.0 * std[c]), mean[c] / std[c]);
            for (value, sample) in plane.iter_mut().zip(self.samples.iter().skip(c).step_by(3)) {
                *value = f32::from(*sample) * scale - offset;
            }
        }
        planes
    }
}

fn resize<P: PixelTrait + InnerPixel + Copy + bytemuck::AnyBitPattern>(
    source: &[P],
    from: Size,
    to: Size,
) -> Result<Vec<P>> {
    if from == to {
        return Ok(source.to_vec());
    }
    let wrong = |why: String| Error::new(Kind::Image, format!("cannot be resized: {why}"));
    let view =
        TypedImageRef::new(from.width, from.height, source).map_err(|e| wrong(e.to_string()))?;
    let mut target: TypedImage<P> = TypedImage::new(to.width, to.height);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new().resize_typed(&view, &mut target, &options).map_err(|e| wrong(e.to_string()))?;
    Ok(target.pixels().to_vec())
}

#[cfg(test)]
mod tests {
    use super::super::picture::{Picture, Samples};
    use super::*;

    #[test]
    fn eight_and_sixteen_bits_agree() {
        let eight: Vec<u8> = (0..20 * 30 * 3).map(|i| (i * 7 % 256) as u8).collect();
        let sixteen = eight.iter().map(|&v| u16::from(v) * 257).collect();
        let a = Picture { width: 30, height: 20, samples: Samples::Eight(eight) };
        let b = Picture { width: 30, height: 20, samples: Samples::Sixteen(sixteen) };
        let at_16 = |picture: &Picture| {
            let view = picture.view().expect("fits");
            NetworkImage::new(&view, Size { width: 16, height: 16 }).expect("resizes")
        };
        let (a, b) = (at_16(&a), at_16(&b));
        for (a, b) in a.samples().iter().zip(b.samples()) {
            // 8-bit samples are rounded to whole steps of 257 after each of the two directions.
            assert!(a.abs_diff(*b) <= 257, "{a} {b}");
        }
    }

    #[test]
    fn fine_stripes_average_out() {
        let stripes: Vec<u8> =
            (0..512 * 8).flat_map(|i| [if i % 2 == 0 { 0 } else { 200 }; 3]).collect();
        let picture = Picture { width: 512, height: 8, samples: Samples::Eight(stripes) };
        let small =
            NetworkImage::new(&picture.view().expect("fits"), Size { width: 32, height: 8 })
                .expect("resizes");
        assert!(small.samples().iter().all(|v| (v / 257).abs_diff(100) <= 2));
    }

    #[test]
    fn mirrored_rows_and_columns() {
        // The picture has two rows of three pixels. The samples of a pixel are 10 times its number
        // and up.
        let of = |pixels: [u16; 6]| {
            let samples = pixels.iter().flat_map(|p| [10 * p, 10 * p + 1, 10 * p + 2]).collect();
            NetworkImage::from_samples(2, 3, samples).expect("fits")
        };
        let image = of([0, 1, 2, 3, 4, 5]);
        for (columns, rows, expected) in [
            (false, false, [0, 1, 2, 3, 4, 5]),
            (true, false, [2, 1, 0, 5, 4, 3]),
            (false, true, [3, 4, 5, 0, 1, 2]),
            (true, true, [5, 4, 3, 2, 1, 0]),
        ] {
            assert_eq!(image.mirrored(columns, rows), of(expected), "{columns} {rows}");
        }
    }

    #[test]
    fn normalised_planes() {
        let image = NetworkImage::from_samples(1, 2, vec![65535, 0, 0, 0, 65535, 0]).expect("fits");
        let planes = image.normalised([0.5, 0.5, 0.0], [0.5, 0.25, 1.0]);
        assert_eq!(planes, [1.0, -1.0, -2.0, 2.0, 0.0, 0.0]);
    }
}
