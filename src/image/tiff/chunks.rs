//! This module puts the strips and tiles of a TIFF together into one picture.

use super::unsupported::unsupported;
use crate::error::{Error, Result};
use crate::image::Samples;
use crate::image::limits::unreadable;
use crate::image::samples::{Layout, Raw, Sample, colour};
use tiff::decoder::DecodingResult;

/// How far a float may be above 1 or below 0. Rounding and sharpening overshoot a little, and the
/// overshoot is clipped.
const OVERSHOOT: f32 = 0.01;

/// The samples of a strip or tile.
pub(super) enum Values {
    Eight(Vec<u8>),
    Sixteen(Vec<u16>),
    /// Colours from a palette, three samples per pixel.
    Colours(Vec<u8>),
}

impl Values {
    /// Takes the decoded values of a chunk of `columns` columns, with `bits` bits per sample.
    pub(super) fn of(
        read: DecodingResult,
        columns: usize,
        bits: u8,
        palette: Option<&[[u8; 3]]>,
    ) -> Result<Self> {
        match (read, palette) {
            (DecodingResult::U8(values), palette) => {
                let values = if bits < 8 { unpacked(&values, columns, bits) } else { values };
                Ok(match palette {
                    None => Values::Eight(scaled(values, bits)),
                    Some(palette) => {
                        let colour = |&i: &u8| palette.get(usize::from(i)).copied();
                        let colours = values.iter().flat_map(|i| colour(i).unwrap_or_default());
                        Values::Colours(colours.collect())
                    }
                })
            }
            (DecodingResult::U16(values), None) => Ok(Values::Sixteen(values)),
            (DecodingResult::F32(values), None) => {
                let values: Option<Vec<u16>> = values.iter().map(|&v| from_float(v)).collect();
                values.map(Values::Sixteen).ok_or_else(floats_out_of_range)
            }
            (DecodingResult::F16(_) | DecodingResult::F64(_), _) => {
                Err(unsupported(&format!("of {bits}-bit floats")))
            }
            (DecodingResult::U32(_) | DecodingResult::U64(_), _) => {
                Err(unsupported(&format!("of {bits}-bit integers")))
            }
            _ => Err(unsupported(&format!("of signed {bits}-bit integers"))),
        }
    }
}

/// Scales a float from 0 (black) to 1 (white) to 16 bits. Returns `None` where the value is outside
/// that range.
fn from_float(value: f32) -> Option<u16> {
    let in_range = (-OVERSHOOT..=1.0 + OVERSHOOT).contains(&value);
    in_range.then(|| (value.clamp(0.0, 1.0) * 65535.0).round() as u16)
}

fn floats_out_of_range() -> Error {
    unreadable(
        "a TIFF of floats that are not between 0 and 1: 0 is understood as black, 1 as white",
    )
    .advise("divide the values by the one that means white, or save it with 8 or 16 bits a sample")
}

/// Puts each sample of 1, 2 or 4 bits into a byte of its own. Rows begin at whole bytes.
fn unpacked(packed: &[u8], columns: usize, bits: u8) -> Vec<u8> {
    let per_byte = usize::from(8 / bits.clamp(1, 8));
    let row_bytes = columns.div_ceil(per_byte).max(1);
    let mask = ((1u16 << bits) - 1) as u8;
    let rows = packed.chunks_exact(row_bytes);
    rows.flat_map(|row| {
        (0..columns).map(move |x| {
            let shift = 8 - usize::from(bits) * (x % per_byte + 1);
            row[x / per_byte] >> shift & mask
        })
    })
    .collect()
}

/// Scales samples of less than 8 bits to the full scale of 8 bits.
fn scaled(mut values: Vec<u8>, bits: u8) -> Vec<u8> {
    if bits < 8 {
        let full = (1u16 << bits) - 1;
        values.iter_mut().for_each(|v| *v = (u16::from(*v) * 255 / full) as u8);
    }
    values
}

/// The picture into which strips and tiles are put.
pub(super) struct Canvas {
    width: usize,
    height: usize,
    layout: Layout,
    /// Whether each channel has strips or tiles of its own.
    planar: bool,
    samples: Option<Samples>,
    opacity: Option<Vec<u8>>,
}

impl Canvas {
    /// Makes an empty picture. It reserves memory only when the first strip has been decoded.
    pub(super) fn new((width, height): (u32, u32), layout: Layout, planar: bool) -> Self {
        let (width, height) = (width as usize, height as usize);
        Canvas { width, height, layout, planar, samples: None, opacity: None }
    }

    /// Puts a chunk of `columns` columns at column and row `at`. `plane` is its channel where each
    /// channel has its own chunks.
    pub(super) fn put(&mut self, at: (u32, u32), columns: usize, plane: usize, values: Values) {
        let pixels = self.width * self.height;
        if self.layout.alpha().is_some() {
            self.opacity.get_or_insert_with(|| vec![255; pixels]);
        }
        let wide = matches!(values, Values::Sixteen(_));
        let target = self.samples.get_or_insert_with(|| match wide {
            true => Samples::Sixteen(vec![0; 3 * pixels]),
            false => Samples::Eight(vec![0; 3 * pixels]),
        });
        let mut place = Place {
            width: self.width,
            at: (at.0 as usize, at.1 as usize),
            columns: columns.max(1),
            layout: self.layout,
            opacity: self.opacity.as_deref_mut(),
        };
        match (target, values) {
            (Samples::Eight(target), Values::Eight(values)) => match self.planar {
                true => place.plane(target, &values, plane),
                false => place.pixels(target, &values),
            },
            (Samples::Sixteen(target), Values::Sixteen(values)) => match self.planar {
                true => place.plane(target, &values, plane),
                false => place.pixels(target, &values),
            },
            (Samples::Eight(target), Values::Colours(values)) => {
                place.layout = Layout::Rgb;
                place.pixels(target, &values);
            }
            // All chunks have the same kind as the first.
            _ => {}
        }
    }

    /// Returns the whole picture.
    pub(super) fn finish(self, multiplied: bool) -> Raw {
        let Canvas { width, height, samples, opacity, .. } = self;
        let samples = samples.unwrap_or_else(|| Samples::Eight(vec![0; 3 * width * height]));
        Raw { width: width as u32, height: height as u32, samples, opacity, multiplied }
    }
}

/// The place of a chunk in the picture.
struct Place<'a> {
    width: usize,
    at: (usize, usize),
    columns: usize,
    layout: Layout,
    opacity: Option<&'a mut [u8]>,
}

impl Place<'_> {
    /// Puts interleaved samples into the picture.
    fn pixels<T: Sample>(&mut self, target: &mut [T], values: &[T]) {
        let channels = self.layout.channels();
        for (row, line) in values.chunks_exact(channels * self.columns).enumerate() {
            let first = (self.at.1 + row) * self.width + self.at.0;
            for (pixel, from) in (first..).zip(line.chunks_exact(channels)) {
                target[3 * pixel..3 * pixel + 3].copy_from_slice(&colour(self.layout, from));
                if let (Some(alpha), Some(opacity)) = (self.layout.alpha(), &mut self.opacity) {
                    opacity[pixel] = from[alpha].opacity();
                }
            }
        }
    }

    /// Puts the samples of one channel into the picture.
    fn plane<T: Sample>(&mut self, target: &mut [T], values: &[T], plane: usize) {
        for (row, line) in values.chunks_exact(self.columns).enumerate() {
            let first = (self.at.1 + row) * self.width + self.at.0;
            for (pixel, &value) in (first..).zip(line) {
                match &mut self.opacity {
                    Some(opacity) if self.layout.alpha() == Some(plane) => {
                        opacity[pixel] = value.opacity();
                    }
                    _ if self.layout == Layout::GreyAlpha => {
                        target[3 * pixel..3 * pixel + 3].fill(value);
                    }
                    _ => target[3 * pixel + plane] = value,
                }
            }
        }
    }
}
