//! Says how a frame's bytes are laid out, and finds its rows. Every row is checked against the bytes that came.

use super::format::PixelFormat;
use super::settings::RawSettings;
use crate::image::Size;
use yuv::{YuvRange, YuvStandardMatrix};

/// Holds everything that has to be known to read a frame's bytes.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// How the pixels are laid out.
    pub format: PixelFormat,
    /// The number of columns of the sensor.
    pub width: u32,
    /// The number of rows of the sensor.
    pub height: u32,
    /// The bytes from one row's start to the next one's. Zero means no padding.
    pub bytes_per_line: u32,
    /// The same for the second plane of a frame, if it has one.
    pub chroma_bytes_per_line: u32,
    /// The range of YUV: limited or full.
    pub range: YuvRange,
    /// The matrix of YUV: the weights of the colours.
    pub matrix: YuvStandardMatrix,
    /// What a sensor's own samples mean.
    pub raw: RawSettings,
}

impl Layout {
    /// Refuses a layout by which no frame can be read.
    ///
    /// # Errors
    /// Returns what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        let (even_width, even_height) = self.format.needs_even();
        let odd = |side: u32| !side.is_multiple_of(2);
        if (even_width && odd(self.width)) || (even_height && odd(self.height)) {
            return Err(format!(
                "{} has no pictures of {} x {}, an odd size",
                self.format, self.width, self.height
            ));
        }
        self.strides().map(drop)
    }

    /// Returns the size of the pictures.
    pub fn picture_size(&self) -> Size {
        let sensor = Size { width: self.width, height: self.height };
        self.format.picture_size(sensor, self.raw.bayer)
    }

    /// Returns the number of samples of the picture. Call it only after the check of the frame's size, so that no more
    /// memory is reserved than came.
    pub(super) fn sample_count(&self) -> usize {
        let Size { width, height } = self.picture_size();
        (width as usize).saturating_mul(height as usize).saturating_mul(3)
    }

    /// Returns the bytes from row to row of both planes, checked against what a row needs.
    pub(super) fn strides(&self) -> Result<[usize; 2], String> {
        let row = self.format.row_bytes(self.width as usize);
        let checked = |bytes_per_line: u32| match bytes_per_line as usize {
            0 => Ok(row),
            stride if stride >= row => Ok(stride),
            stride => Err(format!("rows of {stride} bytes hold no {} pixels", self.width)),
        };
        let first = checked(self.bytes_per_line)?;
        // Planes in one buffer have one stride.
        let second = match self.format.planes() {
            1 => first,
            _ => checked(self.chroma_bytes_per_line)?,
        };
        Ok([first, second])
    }

    /// Returns the rows without their padding, exactly as many as the sensor has. The last row needs no padding.
    pub(super) fn rows<'a>(
        &self,
        bytes: &'a [u8],
    ) -> Result<impl Iterator<Item = &'a [u8]> + use<'a>, String> {
        let ([stride, _], height) = (self.strides()?, self.height as usize);
        let row = self.format.row_bytes(self.width as usize);
        let needed = height.checked_sub(1).and_then(|h| h.checked_mul(stride)?.checked_add(row));
        if row == 0 || needed.is_none_or(|n| bytes.len() < n) {
            return Err(too_short(bytes));
        }
        Ok(bytes.chunks(stride).take(height).filter_map(move |line| line.get(..row)))
    }
}

/// Says that a frame or a plane of it is too short.
pub(super) fn too_short(bytes: &[u8]) -> String {
    format!("{} bytes are too few for a frame", bytes.len())
}
