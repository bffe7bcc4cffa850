//! The vectors of one layer's template, stored as the kernels read them.
//!
//! # Layout
//! All K vectors of a pixel stand together in a *block*, blocks in pixel order. A block is cut
//! into *panels* of 64 sheets; the last panel holds the rest, filled up with zero sheets to a
//! multiple of 4. Inside a panel of w sheets the value of channel c and sheet s stands at
//! `c * w + s`: one row per channel, sheets innermost.

use half::f16;
use serde::{Deserialize, Serialize};

/// Most sheets that one panel holds.
pub const PANEL: usize = 64;
/// The last panel is filled up with zero sheets to a multiple of this.
const LANE_GROUP: usize = 4;

/// How template values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Storage {
    /// 32-bit floating point.
    F32,
    /// 16-bit floating point; products are still taken and summed in 32 bits.
    F16,
}

impl Storage {
    /// Bytes of one value.
    pub fn value_bytes(self) -> usize {
        match self {
            Storage::F32 => 4,
            Storage::F16 => 2,
        }
    }
}

impl std::fmt::Display for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Storage::F32 => "f32",
            Storage::F16 => "f16",
        })
    }
}

/// Sizes of one layer's template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Values a vector has.
    pub channels: usize,
    /// Vectors a pixel has, K.
    pub sheets: usize,
}

impl Shape {
    /// Number of template pixels.
    pub fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Stored values of one pixel's block, zero sheets included.
    pub fn block(&self) -> usize {
        self.channels * self.sheets.next_multiple_of(LANE_GROUP)
    }

    /// Stored values of the layer; `None` where that does not fit the address space.
    pub fn values(&self) -> Option<usize> {
        self.sheets
            .checked_next_multiple_of(LANE_GROUP)?
            .checked_mul(self.channels)?
            .checked_mul(self.height)?
            .checked_mul(self.width)
    }

    /// Where panel `panel` of a block starts, and how many sheets wide it is.
    fn panel(&self, panel: usize) -> (usize, usize) {
        let padded = self.sheets.next_multiple_of(LANE_GROUP);
        (panel * PANEL * self.channels, (padded - panel * PANEL).min(PANEL))
    }

    /// Panels of a block.
    pub fn panels(&self) -> usize {
        self.sheets.div_ceil(PANEL)
    }
}

/// Stored values, borrowed from memory or from a mapped file.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    /// See [`Storage::F32`].
    F32(&'a [f32]),
    /// See [`Storage::F16`].
    F16(&'a [f16]),
}

/// One layer's template.
#[derive(Debug, Clone, Copy)]
pub struct Sheets<'a> {
    shape: Shape,
    values: Values<'a>,
}

impl<'a> Sheets<'a> {
    /// A view of stored values; `None` where their number does not fit the shape.
    pub fn new(shape: Shape, values: Values<'a>) -> Option<Self> {
        let count = match values {
            Values::F32(values) => values.len(),
            Values::F16(values) => values.len(),
        };
        (shape.values()? == count && shape.sheets > 0).then_some(Sheets { shape, values })
    }

    /// Its sizes.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// One stored value.
    pub fn value(&self, pixel: usize, sheet: usize, channel: usize) -> f32 {
        let (start, width) = self.shape.panel(sheet / PANEL);
        let at = pixel * self.shape.block() + start + channel * width + sheet % PANEL;
        match self.values {
            Values::F32(values) => values[at],
            Values::F16(values) => values[at].to_f32(),
        }
    }

    /// Unpacks panel `panel` of `pixel` into rows of `lanes` values, one row per channel; lanes
    /// beyond the panel's width are left as they are. `out` holds `channels * lanes` values.
    pub fn unpack(&self, pixel: usize, panel: usize, lanes: usize, out: &mut [f32]) {
        let (start, width) = self.shape.panel(panel);
        let from = pixel * self.shape.block() + start;
        let rows = from..from + width * self.shape.channels;
        match self.values {
            Values::F32(values) => {
                for (out, row) in out.chunks_exact_mut(lanes).zip(values[rows].chunks_exact(width))
                {
                    out[..width].copy_from_slice(row);
                }
            }
            Values::F16(values) => {
                use half::slice::HalfFloatSliceExt;
                for (out, row) in out.chunks_exact_mut(lanes).zip(values[rows].chunks_exact(width))
                {
                    row.convert_to_f32_slice(&mut out[..width]);
                }
            }
        }
    }
}

/// Packs the vectors of one pixel, `vectors[sheet]`, into a block. `block` holds
/// [`Shape::block`] values and is zero where no sheet stands.
pub fn pack(shape: Shape, vectors: &[&[f32]], block: &mut [f32]) {
    for (sheet, vector) in vectors.iter().enumerate() {
        let (start, width) = shape.panel(sheet / PANEL);
        for (c, &value) in vector.iter().enumerate() {
            block[start + c * width + sheet % PANEL] = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_vectors_are_found_again() {
        for sheets in [1, 4, 60, 63, 64, 65, 130] {
            let shape = Shape { height: 1, width: 2, channels: 3, sheets };
            let value = |p: usize, k: usize, c: usize| (p * 1000 + k * 4 + c) as f32;
            let mut stored = vec![0.0; shape.values().expect("fits")];
            for (p, block) in stored.chunks_exact_mut(shape.block()).enumerate() {
                let vectors: Vec<Vec<f32>> =
                    (0..sheets).map(|k| (0..3).map(|c| value(p, k, c)).collect()).collect();
                let vectors: Vec<&[f32]> = vectors.iter().map(Vec::as_slice).collect();
                pack(shape, &vectors, block);
            }
            let view = Sheets::new(shape, Values::F32(&stored)).expect("sizes agree");
            for p in 0..2 {
                for k in 0..sheets {
                    assert_eq!(view.value(p, k, 2), value(p, k, 2));
                    let mut panel = vec![f32::NAN; 3 * PANEL];
                    view.unpack(p, k / PANEL, PANEL, &mut panel);
                    assert_eq!(panel[PANEL + k % PANEL], value(p, k, 1));
                }
            }
        }
    }

    #[test]
    fn a_wrong_number_of_values_is_no_template() {
        let shape = Shape { height: 2, width: 2, channels: 3, sheets: 5 };
        assert!(Sheets::new(shape, Values::F32(&[0.0; 96])).is_some());
        assert!(Sheets::new(shape, Values::F32(&[0.0; 95])).is_none());
        let huge = Shape { height: usize::MAX, width: 2, channels: 3, sheets: 5 };
        assert!(Sheets::new(huge, Values::F32(&[])).is_none());
    }
}
