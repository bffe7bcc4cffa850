//! The region of interest: what of a picture counts.

use super::{Decoded, NetworkImage, Picture, Samples};
use crate::error::Result;

/// One flag a pixel at network size: whether defects there count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    height: usize,
    width: usize,
    inside: Vec<bool>,
}

impl Mask {
    /// A mask picture, white where defects count, black where they do not.
    pub fn from_picture(picture: &Picture, height: usize, width: usize) -> Result<Self> {
        let image = NetworkImage::new(picture, height, width)?;
        let inside = image
            .samples()
            .chunks_exact(3)
            .map(|rgb| rgb.iter().map(|&v| u32::from(v)).sum::<u32>() > 3 * 65535 / 2)
            .collect();
        Ok(Mask { height, width, inside })
    }

    /// Where a picture is opaque by more than half; `None` where it is everywhere.
    pub fn of_opacity(decoded: &Decoded, height: usize, width: usize) -> Result<Option<Self>> {
        let Some(opacity) = &decoded.opacity else { return Ok(None) };
        let Picture { width: columns, height: rows, .. } = decoded.picture;
        let samples = Samples::Eight(opacity.iter().flat_map(|&value| [value; 3]).collect());
        let picture = Picture { width: columns, height: rows, samples };
        Self::from_picture(&picture, height, width).map(Some)
    }

    /// What counts in both masks; `None` where their sizes differ.
    pub fn and(&self, other: &Mask) -> Option<Mask> {
        let inside = self.inside.iter().zip(&other.inside).map(|(a, b)| *a && *b).collect();
        ((self.height, self.width) == (other.height, other.width))
            .then_some(Mask { inside, ..*self })
    }

    /// A mask from flags; `None` where their number is wrong.
    pub fn from_flags(height: usize, width: usize, inside: Vec<bool>) -> Option<Self> {
        (height.checked_mul(width)? == inside.len()).then_some(Mask { height, width, inside })
    }

    /// One flag a pixel, row by row.
    pub fn inside(&self) -> &[bool] {
        &self.inside
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many pixels count.
    pub fn count(&self) -> usize {
        self.inside.iter().filter(|&&inside| inside).count()
    }
}
