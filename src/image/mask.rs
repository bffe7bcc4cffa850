//! This module holds the region of interest: the part of a picture that counts.

use super::network_image::NetworkImage;
use super::picture::{Decoded, Picture, Samples};
use super::shape::Size;
use crate::error::{Error, Kind, Result};

/// The largest share of a mask's pixels that may be neither black nor white, because edges may be
/// soft.
const MOST_GREY: f64 = 0.05;
/// How far black and white may be from the ends of the scale, as a share of the scale.
const TOLERANCE: f64 = 0.1;

/// One flag per pixel at the network's size. It says whether defects there count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    height: usize,
    width: usize,
    inside: Vec<bool>,
}

impl Mask {
    /// Makes a mask from a picture that is white where defects count and black elsewhere.
    ///
    /// # Errors
    /// As [`require_black_and_white`].
    pub fn from_picture(picture: &Picture, height: usize, width: usize) -> Result<Self> {
        require_black_and_white(picture)?;
        Self::of_bright(picture, height, width)
    }

    /// Makes a mask of the pixels that are brighter than half.
    fn of_bright(picture: &Picture, height: usize, width: usize) -> Result<Self> {
        let size = Size { width: width as u32, height: height as u32 };
        let image = NetworkImage::new(&picture.view()?, size)?;
        let inside = image
            .samples()
            .chunks_exact(3)
            .map(|rgb| rgb.iter().map(|&v| u32::from(v)).sum::<u32>() > 3 * 65535 / 2)
            .collect();
        Ok(Mask { height, width, inside })
    }

    /// Makes a mask of the pixels that are more than half opaque. Returns `None` where the picture
    /// has no opacity values; see [`Decoded::opacity`].
    pub fn of_opacity(decoded: &Decoded, height: usize, width: usize) -> Result<Option<Self>> {
        let Some(opacity) = &decoded.opacity else { return Ok(None) };
        let Picture { width: columns, height: rows, .. } = decoded.picture;
        let samples = Samples::Eight(opacity.iter().flat_map(|&value| [value; 3]).collect());
        let picture = Picture { width: columns, height: rows, samples };
        // Opacity may have any value, because nobody drew it as a mask.
        Self::of_bright(&picture, height, width).map(Some)
    }

    /// Returns the mask of what counts in both masks, or `None` where their sizes differ.
    pub fn and(&self, other: &Mask) -> Option<Mask> {
        let inside = self.inside.iter().zip(&other.inside).map(|(a, b)| *a && *b).collect();
        ((self.height, self.width) == (other.height, other.width))
            .then_some(Mask { inside, ..*self })
    }

    /// Makes a mask from flags, or returns `None` where their number is wrong.
    pub fn from_flags(height: usize, width: usize, inside: Vec<bool>) -> Option<Self> {
        (height.checked_mul(width)? == inside.len()).then_some(Mask { height, width, inside })
    }

    /// Returns one flag per pixel, row by row.
    pub fn inside(&self) -> &[bool] {
        &self.inside
    }

    /// Returns the number of rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Returns the number of columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Flags the pixels of a map of `height` x `width` over the same picture that lie near the
    /// pixels that count. The distance is at most `radius` pixels of the map, along rows and along
    /// columns.
    pub fn within(&self, (height, width): (usize, usize), radius: usize) -> Vec<bool> {
        let mut inside = vec![false; height * width];
        for (at, _) in self.inside.iter().enumerate().filter(|(_, inside)| **inside) {
            let y = at / self.width * height / self.height;
            let x = at % self.width * width / self.width;
            inside[y * width + x] = true;
        }
        let mut near = inside.clone();
        for at in (0..inside.len()).filter(|&at| inside[at]) {
            let (y, x) = (at / width, at % width);
            for y in y.saturating_sub(radius)..(y + radius + 1).min(height) {
                let row = y * width;
                let end = (x + radius + 1).min(width);
                near[row + x.saturating_sub(radius)..row + end].fill(true);
            }
        }
        near
    }

    /// Returns how many pixels count.
    pub fn count(&self) -> usize {
        self.inside.iter().filter(|&&inside| inside).count()
    }
}

/// Refuses a mask that is not nearly black and white. It is most likely a photograph, and as a mask
/// it would leave out whatever happens to be dark.
///
/// # Errors
/// [`Kind::Image`], with the share of the pixels that are neither black nor white.
pub fn require_black_and_white(picture: &Picture) -> Result<()> {
    let grey = match &picture.samples {
        Samples::Eight(samples) => grey_share(samples, u8::MAX),
        Samples::Sixteen(samples) => grey_share(samples, u16::MAX),
    };
    if grey <= MOST_GREY {
        return Ok(());
    }
    let what =
        format!("{:.0} % of the pixels are neither black nor white: this is no mask", 100.0 * grey);
    Err(Error::new(Kind::Image, what)
        .advise("draw a mask on one of the pictures: white where defects count, black elsewhere"))
}

/// Returns the share of the pixels whose three samples are neither all nearly 0 nor all nearly
/// `most`.
fn grey_share<T: Copy + Into<f64>>(samples: &[T], most: T) -> f64 {
    let most = most.into();
    let is_black = |rgb: &[T]| rgb.iter().all(|&v| v.into() <= TOLERANCE * most);
    let is_white = |rgb: &[T]| rgb.iter().all(|&v| v.into() >= (1.0 - TOLERANCE) * most);
    let grey = samples.chunks_exact(3).filter(|rgb| !is_black(rgb) && !is_white(rgb)).count();
    grey as f64 / (samples.len() / 3).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(samples: Vec<u8>) -> Picture {
        Picture { width: 20, height: samples.len() as u32 / 60, samples: Samples::Eight(samples) }
    }

    #[test]
    fn a_photograph_is_no_mask_and_soft_edges_are_fine() {
        // One column of twenty is grey, as at a soft edge.
        let soft = |x: usize| {
            if x < 9 {
                0
            } else if x == 9 {
                128
            } else {
                250
            }
        };
        let mask = |grey: &dyn Fn(usize) -> u8| {
            picture((0..20 * 20).flat_map(|at| [grey(at % 20); 3]).collect())
        };
        let read = Mask::from_picture(&mask(&soft), 20, 20).expect("a mask");
        assert_eq!(read.count(), 20 * 11);
        let photograph = Mask::from_picture(&mask(&|x| 40 + 9 * x as u8), 20, 20);
        let told = photograph.expect_err("refused").to_string();
        assert!(told.contains("neither black nor white") && told.contains("->"), "{told}");
        let red: Vec<u8> =
            (0..400).flat_map(|at| if at < 40 { [255, 0, 0] } else { [255; 3] }).collect();
        assert!(Mask::from_picture(&picture(red), 20, 20).is_err());
        let deep: Vec<u16> =
            (0..400).flat_map(|at| [if at < 40 { 900 } else { 65_000 }; 3]).collect();
        let deep = Picture { width: 20, height: 20, samples: Samples::Sixteen(deep) };
        assert_eq!(Mask::from_picture(&deep, 20, 20).expect("a mask").count(), 360);
    }
}
