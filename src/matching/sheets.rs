//! This module holds the vectors of one layer's template, stored as the kernels read them.
//!
//! # Layout
//! All K vectors of a pixel stand together in a *block*, and the blocks stand in pixel order. A
//! block is cut into *panels* of 64 sheets. The last panel holds the rest, padded with zero sheets
//! to a multiple of 4. Inside a panel of w sheets, the value of channel c and sheet s stands at
//! `c * w + s`. So there is one row per channel, with the sheets innermost.
//!
//! 8-bit panels take four channels at a time, as dot-product instructions do. Channels are padded
//! with zeros to a multiple of 4. Channel c of sheet s stands at `(c / 4 * w + s) * 4 + c % 4`. A
//! vector is its bytes times one scale, `max |v| / 127`. The scales stand apart, `[pixel][sheet]`,
//! padded like the panels.

use super::kernel::Kernel;
use super::panel::{BytePanel, PanelView};
use super::query::{CHANNEL_GROUP, quantise};
use half::f16;
use serde::{Deserialize, Serialize};

#[cfg(target_endian = "big")]
compile_error!("templates are little-endian and read in place: this target is not supported");

/// The most sheets that one panel holds.
pub const PANEL: usize = 64;
/// The last panel is padded with zero sheets to a multiple of this.
const LANE_GROUP: usize = 4;
/// The largest magnitude of a value of a unit vector, with some room for rounding.
pub const LARGEST_VALUE: f32 = 1.001;
/// The largest scale of 8-bit values. The largest value of a vector stands at 127 steps.
pub const LARGEST_SCALE: f32 = LARGEST_VALUE / 127.0;

/// How template values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Storage {
    /// Values are 32-bit floating point.
    F32,
    /// Values are 16-bit floating point. Products are still taken and summed in 32 bits.
    F16,
    /// Values are 8-bit integers with one scale per vector. Products are summed exactly in 32-bit
    /// integers.
    I8,
}

impl Storage {
    /// Returns the number of bytes of one value.
    pub fn value_bytes(self) -> usize {
        match self {
            Storage::F32 => 4,
            Storage::F16 => 2,
            Storage::I8 => 1,
        }
    }
}

impl std::fmt::Display for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Storage::F32 => "f32",
            Storage::F16 => "f16",
            Storage::I8 => "i8",
        })
    }
}

/// The sizes of one layer's template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// The number of rows.
    pub height: usize,
    /// The number of columns.
    pub width: usize,
    /// The number of values of a vector.
    pub channels: usize,
    /// The number of vectors per pixel, K.
    pub sheets: usize,
}

impl Shape {
    /// Returns the number of template pixels.
    pub fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Returns the number of sheets, with the zero sheets.
    pub fn padded_sheets(&self) -> usize {
        self.sheets.next_multiple_of(LANE_GROUP)
    }

    /// Returns the number of channels, with the zero channels that `storage` needs.
    pub fn padded_channels(&self, storage: Storage) -> usize {
        match storage {
            Storage::I8 => self.channels.next_multiple_of(CHANNEL_GROUP),
            _ => self.channels,
        }
    }

    /// Returns the number of stored values of one pixel's block, with zero sheets and zero
    /// channels.
    pub fn block(&self, storage: Storage) -> usize {
        self.padded_channels(storage) * self.padded_sheets()
    }

    /// Returns the number of stored values of the layer, or `None` where it does not fit the
    /// address space.
    pub fn values(&self, storage: Storage) -> Option<usize> {
        self.sheets.checked_add(LANE_GROUP)?;
        self.padded_sheets()
            .checked_mul(self.padded_channels(storage))?
            .checked_mul(self.height)?
            .checked_mul(self.width)
    }

    /// Returns the number of scales of the layer.
    pub fn scales(&self) -> usize {
        self.pixels() * self.padded_sheets()
    }

    /// Returns where panel `panel` of a block starts, and how many sheets wide it is.
    fn panel(&self, panel: usize, storage: Storage) -> (usize, usize) {
        let start = panel * PANEL * self.padded_channels(storage);
        (start, (self.padded_sheets() - panel * PANEL).min(PANEL))
    }

    /// Returns the index of the value of `channel` of `sheet` in its pixel's block.
    pub fn place(&self, storage: Storage, sheet: usize, channel: usize) -> usize {
        let (start, width) = self.panel(sheet / PANEL, storage);
        start
            + match storage {
                Storage::I8 => int_place(channel, sheet % PANEL, width),
                _ => channel * width + sheet % PANEL,
            }
    }

    /// Returns the number of panels of a block.
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
    /// See [`Storage::I8`].
    I8 {
        /// The bytes of the vectors.
        values: &'a [i8],
        /// The factor by which each vector's bytes are multiplied.
        scales: &'a [f32],
    },
}

impl Values<'_> {
    fn storage(&self) -> Storage {
        match self {
            Values::F32(_) => Storage::F32,
            Values::F16(_) => Storage::F16,
            Values::I8 { .. } => Storage::I8,
        }
    }
}

/// The vectors of one layer's template.
#[derive(Debug, Clone, Copy)]
pub struct Sheets<'a> {
    shape: Shape,
    values: Values<'a>,
}

impl<'a> Sheets<'a> {
    /// Makes a view of stored values, or returns `None` where their number does not fit the shape.
    pub fn new(shape: Shape, values: Values<'a>) -> Option<Self> {
        let count = match values {
            Values::F32(values) => values.len(),
            Values::F16(values) => values.len(),
            Values::I8 { values, scales } if scales.len() == shape.scales() => values.len(),
            Values::I8 { .. } => return None,
        };
        (shape.values(values.storage())? == count && shape.sheets > 0)
            .then_some(Sheets { shape, values })
    }

    /// Returns the sizes.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Returns the stored values.
    pub fn values(&self) -> Values<'a> {
        self.values
    }

    /// Returns whether every vector is zero.
    pub fn is_all_zero(&self) -> bool {
        match self.values {
            Values::F32(values) => values.iter().all(|&v| v == 0.0),
            Values::F16(values) => values.iter().all(|v| v.to_f32() == 0.0),
            Values::I8 { values, scales } => {
                scales.iter().all(|&s| s == 0.0) || values.iter().all(|&v| v == 0)
            }
        }
    }

    /// Returns one stored value, in 32 bits.
    pub fn value(&self, pixel: usize, sheet: usize, channel: usize) -> f32 {
        let storage = self.values.storage();
        let at = pixel * self.shape.block(storage) + self.shape.place(storage, sheet, channel);
        match self.values {
            Values::F32(values) => values[at],
            Values::F16(values) => values[at].to_f32(),
            Values::I8 { values, scales } => {
                f32::from(values[at]) * scales[pixel * self.shape.padded_sheets() + sheet]
            }
        }
    }

    /// Returns panel `panel` of `pixel` in 32 bits, in place or widened by `kernel` into `room`. It
    /// is empty for 8-bit values; see [`Sheets::byte_panel`].
    pub fn panel<'b>(
        &self,
        kernel: Kernel,
        pixel: usize,
        panel: usize,
        start: &'b [f32; PANEL],
        room: &'b mut Vec<f32>,
    ) -> PanelView<'b>
    where
        'a: 'b,
    {
        let storage = self.values.storage();
        let (from, width) = self.shape.panel(panel, storage);
        let from = pixel * self.shape.block(storage) + from;
        let length = width * self.shape.channels;
        let (rows, ahead) = match self.values {
            Values::I8 { .. } => (&[][..], &[][..]),
            Values::F32(values) => in_place(values, from, length),
            Values::F16(values) => {
                room.resize(length, 0.0);
                kernel.widen(&values[from..from + length], room);
                (room.as_slice(), &[][..])
            }
        };
        PanelView { rows, ahead, width, start }
    }

    /// Returns panel `panel` of `pixel` in 8 bits, in place, or `None` unless the values are 8-bit.
    pub fn byte_panel<'b>(
        &self,
        pixel: usize,
        panel: usize,
        start: &'b [f32; PANEL],
    ) -> Option<BytePanel<'b>>
    where
        'a: 'b,
    {
        let Values::I8 { values, scales } = self.values else { return None };
        let (from, width) = self.shape.panel(panel, Storage::I8);
        let from = pixel * self.shape.block(Storage::I8) + from;
        let length = width * self.shape.padded_channels(Storage::I8);
        let (rows, ahead) = in_place(values, from, length);
        let first = pixel * self.shape.padded_sheets() + panel * PANEL;
        Some(BytePanel { rows, ahead, width, scale: &scales[first..first + width], start })
    }

    /// Returns how the values are stored.
    pub fn storage(&self) -> Storage {
        self.values.storage()
    }
}

/// Returns `length` values from `from` on, and up to `length` of the values after them.
fn in_place<T>(values: &[T], from: usize, length: usize) -> (&[T], &[T]) {
    let (rows, rest) = values[from..].split_at(length);
    (rows, &rest[..length.min(rest.len())])
}

/// Returns the index of a value in an 8-bit panel of `width` sheets.
fn int_place(channel: usize, sheet: usize, width: usize) -> usize {
    (channel / CHANNEL_GROUP * width + sheet) * CHANNEL_GROUP + channel % CHANNEL_GROUP
}

/// Packs the vectors of one pixel, `vectors[sheet]`, into a block of bytes and their scales.
/// `block` holds [`Shape::block`] values and `scales` holds [`Shape::padded_sheets`]. The caller
/// fills both with zeros, which remain where no sheet stands.
pub fn pack_bytes(shape: Shape, vectors: &[&[f32]], block: &mut [i8], scales: &mut [f32]) {
    let mut bytes = vec![0; shape.channels];
    for (sheet, vector) in vectors.iter().enumerate() {
        let (start, width) = shape.panel(sheet / PANEL, Storage::I8);
        scales[sheet] = quantise(vector, &mut bytes);
        for (c, &value) in bytes.iter().enumerate() {
            block[start + int_place(c, sheet % PANEL, width)] = value;
        }
    }
}

/// Packs the vectors of one pixel, `vectors[sheet]`, into a block. `block` holds [`Shape::block`]
/// values. The caller fills it with zeros, which remain where no sheet stands.
pub fn pack(shape: Shape, vectors: &[&[f32]], block: &mut [f32]) {
    for (sheet, vector) in vectors.iter().enumerate() {
        let (start, width) = shape.panel(sheet / PANEL, Storage::F32);
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
            let mut stored = vec![0.0; shape.values(Storage::F32).expect("fits")];
            for (p, block) in stored.chunks_exact_mut(shape.block(Storage::F32)).enumerate() {
                let vectors: Vec<Vec<f32>> =
                    (0..sheets).map(|k| (0..3).map(|c| value(p, k, c)).collect()).collect();
                let vectors: Vec<&[f32]> = vectors.iter().map(Vec::as_slice).collect();
                pack(shape, &vectors, block);
            }
            let view = Sheets::new(shape, Values::F32(&stored)).expect("sizes agree");
            for p in 0..2 {
                for k in 0..sheets {
                    assert_eq!(view.value(p, k, 2), value(p, k, 2));
                    let mut room = Vec::new();
                    let panel = view.panel(Kernel::best(), p, k / PANEL, &[0.0; PANEL], &mut room);
                    assert_eq!(panel.rows[panel.width + k % PANEL], value(p, k, 1));
                    assert!(panel.ahead.is_empty() == (p == 1 && k / PANEL == shape.panels() - 1));
                }
            }
        }
    }

    #[test]
    fn bytes_keep_vectors_to_half_a_scale() {
        for sheets in [1, 7, 64, 70] {
            let shape = Shape { height: 1, width: 1, channels: 6, sheets };
            let value = |k: usize, c: usize| ((k * 37 + c * 11) % 29) as f32 / 29.0 - 0.5;
            let vectors: Vec<Vec<f32>> =
                (0..sheets).map(|k| (0..6).map(|c| value(k, c)).collect()).collect();
            let views: Vec<&[f32]> = vectors.iter().map(Vec::as_slice).collect();
            let mut values = vec![0; shape.values(Storage::I8).expect("fits")];
            let mut scales = vec![0.0; shape.scales()];
            pack_bytes(shape, &views, &mut values, &mut scales);
            let view = Sheets::new(shape, Values::I8 { values: &values, scales: &scales })
                .expect("sizes agree");
            for (k, scale) in scales.iter().enumerate().take(sheets) {
                for c in 0..6 {
                    assert!((view.value(0, k, c) - value(k, c)).abs() <= 0.5001 * scale);
                }
            }
            let panel = view.byte_panel(0, 0, &[0.0; PANEL]).expect("8 bits");
            let byte = f32::from(panel.rows[panel.width * 4 + 1]);
            assert!((byte * panel.scale[0] - value(0, 5)).abs() <= 0.5001 * scales[0]);
        }
        assert_eq!(quantise(&[0.0; 3], &mut [1; 3]), 0.0);
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
