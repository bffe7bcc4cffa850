//! This module gathers the windows of a picture as the channels of a map, for the first convolution.

use super::lanes::Block;

/// The windows of a convolution that reads the picture.
#[derive(Debug)]
pub struct PictureWindows {
    /// Rows and columns of the window.
    pub window: [usize; 2],
    /// The strides along rows and columns.
    pub stride: [usize; 2],
    /// The rows above and the columns left of the picture.
    pub before: [usize; 2],
    /// The bytes that stand for zero in red, green and blue.
    pub zero: [u8; 3],
}

impl PictureWindows {
    /// Fills the panels of `out` with the windows of a picture of `size`, whose samples are
    /// `[row][column][colour]`. The channels are `[row][column][colour]` of a window. The map has a
    /// pixel for each of `windows`. Sizes are rows, then columns.
    pub fn gather(&self, samples: &[u8], size: [usize; 2], windows: [usize; 2], out: &mut [Block]) {
        let (PictureWindows { window, stride, before, zero }, [height, width]) = (self, size);
        let row_blocks = windows[1].div_ceil(4);
        let pitch = windows[0] * row_blocks;
        let columns = (windows[1] - 1) * stride[1] + window[1];
        // The rows of a window, with what lies outside the picture.
        let mut rows: Vec<Vec<u8>> =
            vec![zero.iter().copied().cycle().take(3 * columns).collect(); window[0]];
        let mut patch = vec![[0; 16]; out.len() / pitch];
        let inside = width.min(columns - before[1]);
        for y in 0..windows[0] {
            for (dy, row) in rows.iter_mut().enumerate() {
                let inner = &mut row[3 * before[1]..][..3 * inside];
                match (y * stride[0] + dy).checked_sub(before[0]).filter(|y| *y < height) {
                    Some(y) => inner.copy_from_slice(&samples[3 * y * width..][..3 * inside]),
                    None => inner.chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(zero)),
                }
            }
            for x in 0..windows[1] {
                let flat = patch.as_flattened_mut();
                for (dy, row) in rows.iter().enumerate() {
                    let of_row = &row[3 * x * stride[1]..][..3 * window[1]];
                    flat[dy * of_row.len()..][..of_row.len()].copy_from_slice(of_row);
                }
                for (panel, part) in patch.iter().enumerate() {
                    let block = &mut out[panel * pitch + y * row_blocks + x / 4];
                    block[16 * (x % 4)..][..16].copy_from_slice(part);
                }
            }
        }
    }
}
