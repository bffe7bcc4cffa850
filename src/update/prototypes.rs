//! The prototypes of a layer in memory, where they can be replaced one by one.
//!
//! Stored vectors are moved as they are, byte by byte, and packed by the layout of
//! [`crate::matching::Sheets`]: what is taken out and put back leaves the same bytes.

use crate::error::{Error, Result};
use crate::matching::sheets::{PANEL, quantise};
use crate::matching::{Shape, Sheets, Storage, Values};
use crate::template::Template;
use crate::template::container::SectionKind;

/// All prototypes of a layer.
pub struct Prototypes {
    shape: Shape,
    storage: Storage,
    /// The values section: a whole number of 32-bit words with every storage type.
    words: Vec<u32>,
    scales: Vec<f32>,
    sources: Vec<u32>,
}

/// One prototype as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Prototype {
    /// One stored value a channel.
    pub vector: Vec<u8>,
    /// What 8-bit values are multiplied with; 0 with other storage types.
    pub scale: f32,
    /// The picture it comes from.
    pub source: u32,
}

impl Prototypes {
    /// A copy of a layer of `template`.
    pub fn read(template: &Template, layer: usize) -> Result<Self> {
        let header = template.header();
        let section = |kind| template.section(kind, layer).unwrap_or_default();
        let prototypes = Prototypes {
            shape: header.shape(layer).ok_or_else(|| Error::template("a layer has no shape"))?,
            storage: header.storage,
            words: bytemuck::pod_collect_to_vec(section(SectionKind::Values)),
            scales: bytemuck::pod_collect_to_vec(section(SectionKind::Scales)),
            sources: template.sources(layer).to_vec(),
        };
        // Proven when the template was opened; nothing below has to doubt it.
        if prototypes.view().is_none() {
            return Err(Error::template(format!("layer {layer} has no usable prototypes")));
        }
        Ok(prototypes)
    }

    /// Sizes of the layer.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// For matching.
    ///
    /// # Panics
    /// Never: that the sizes fit was checked by [`Prototypes::read`], and [`Prototypes::resize`] keeps it.
    pub fn sheets(&self) -> Sheets<'_> {
        self.view().expect("sizes that fit")
    }

    fn view(&self) -> Option<Sheets<'_>> {
        let values = match self.storage {
            Storage::F32 => Values::F32(bytemuck::cast_slice(&self.words)),
            Storage::F16 => Values::F16(bytemuck::cast_slice(&self.words)),
            Storage::I8 => {
                Values::I8 { values: bytemuck::cast_slice(&self.words), scales: &self.scales }
            }
        };
        Sheets::new(self.shape, values)
    }

    /// Bytes of the values section.
    pub fn values(&self) -> &[u8] {
        bytemuck::cast_slice(&self.words)
    }

    /// Bytes of the scales section.
    pub fn scales(&self) -> &[u8] {
        bytemuck::cast_slice(&self.scales)
    }

    /// Bytes of the sources section.
    pub fn sources(&self) -> &[u8] {
        bytemuck::cast_slice(&self.sources)
    }

    /// A unit vector as it would be stored.
    pub fn stored(&self, vector: &[f32], source: u32) -> Prototype {
        let mut scale = 0.0;
        let vector = match self.storage {
            Storage::F32 => bytemuck::cast_slice(vector).to_vec(),
            Storage::F16 => {
                let halves: Vec<half::f16> =
                    vector.iter().map(|&v| half::f16::from_f32(v)).collect();
                bytemuck::cast_slice(&halves).to_vec()
            }
            Storage::I8 => {
                let mut bytes = vec![0i8; vector.len()];
                scale = quantise(vector, &mut bytes);
                bytemuck::cast_slice(&bytes).to_vec()
            }
        };
        Prototype { vector, scale, source }
    }

    /// The prototype at a place.
    pub fn get(&self, pixel: usize, sheet: usize) -> Prototype {
        let size = self.storage.value_bytes();
        let bytes: &[u8] = bytemuck::cast_slice(&self.words);
        let vector = (0..self.shape.channels)
            .flat_map(|channel| {
                let at = self.at(pixel, sheet, channel);
                bytes[at..at + size].iter().copied()
            })
            .collect();
        Prototype {
            vector,
            scale: self.scales.get(self.scale_at(pixel, sheet)).copied().unwrap_or(0.0),
            source: self.sources[pixel * self.shape.sheets + sheet],
        }
    }

    /// Puts another prototype in a place.
    pub fn set(&mut self, pixel: usize, sheet: usize, prototype: &Prototype) {
        let size = self.storage.value_bytes();
        for (channel, value) in prototype.vector.chunks_exact(size).enumerate() {
            let at = self.at(pixel, sheet, channel);
            bytemuck::cast_slice_mut(&mut self.words)[at..at + size].copy_from_slice(value);
        }
        let scale_at = self.scale_at(pixel, sheet);
        if let Some(scale) = self.scales.get_mut(scale_at) {
            *scale = prototype.scale;
        }
        self.sources[pixel * self.shape.sheets + sheet] = prototype.source;
    }

    /// Gives the layer another number of sheets: the last ones go, or zero vectors of picture 0
    /// come at the end.
    pub fn resize(&mut self, sheets: usize) {
        if sheets == self.shape.sheets {
            return;
        }
        let shape = Shape { sheets, ..self.shape };
        let words = shape.values(self.storage).unwrap_or(0) * self.storage.value_bytes() / 4;
        let mut resized = Prototypes {
            shape,
            storage: self.storage,
            words: vec![0; words],
            scales: if self.scales.is_empty() { Vec::new() } else { vec![0.0; shape.scales()] },
            sources: vec![0; shape.pixels() * sheets],
        };
        for pixel in 0..shape.pixels() {
            for sheet in 0..sheets.min(self.shape.sheets) {
                resized.set(pixel, sheet, &self.get(pixel, sheet));
            }
        }
        *self = resized;
    }

    /// A sheet at `pixel` that only repeats the first one, as growing makes them; the last of them.
    pub fn spare(&self, pixel: usize) -> Option<usize> {
        let count = self.shape.sheets;
        let sources = &self.sources[pixel * count..(pixel + 1) * count];
        let repeats = |&sheet: &usize| {
            sources[sheet] == sources[0] && self.get(pixel, sheet) == self.get(pixel, 0)
        };
        (1..count).rev().find(repeats)
    }

    /// Whether one of `pixels` has no sheet to spare.
    pub fn is_full(&self, pixels: &[usize]) -> bool {
        pixels.iter().any(|&pixel| self.spare(pixel).is_none())
    }

    /// Adds a sheet that repeats the first one.
    pub fn grow(&mut self) {
        let sheet = self.shape.sheets;
        self.resize(sheet + 1);
        for pixel in 0..self.shape.pixels() {
            let first = self.get(pixel, 0);
            self.set(pixel, sheet, &first);
        }
    }

    /// The sheet at `pixel` that is missed least when `newcomer` takes its place: the one with the
    /// largest cosine to its nearest other, the newcomer among them; of two that are each other's
    /// nearest, the one whose second nearest is nearer.
    pub fn most_redundant(&self, pixel: usize, newcomer: &[f32]) -> usize {
        let count = self.shape.sheets;
        let mut cosines = vec![0.0f32; count * count];
        let mut to_newcomer = vec![0.0f32; count];
        let mut row = vec![0.0f32; count];
        for (channel, new) in newcomer.iter().enumerate() {
            self.channel(pixel, channel, &mut row);
            for (a, value) in row.iter().enumerate() {
                let of_a = &mut cosines[a * count + a..(a + 1) * count];
                of_a.iter_mut().zip(&row[a..]).for_each(|(sum, other)| *sum += value * other);
                to_newcomer[a] += value * new;
            }
        }
        let cosine = |a: usize, b: usize| cosines[a.min(b) * count + a.max(b)];
        // The nearest and second nearest of a sheet.
        let crowding = |a: usize| {
            let others = (0..count).filter(|&b| b != a).map(|b| cosine(a, b));
            others.chain([to_newcomer[a]]).fold([f32::NEG_INFINITY; 2], |[first, second], c| {
                if c > first { [c, first] } else { [first, second.max(c)] }
            })
        };
        (0..count)
            .map(|a| (a, crowding(a)))
            .reduce(|best, next| {
                let order = next.1[0].total_cmp(&best.1[0]).then(next.1[1].total_cmp(&best.1[1]));
                if order.is_gt() { next } else { best }
            })
            .map_or(0, |(sheet, _)| sheet)
    }

    /// The values of all sheets at `pixel` in one channel.
    fn channel(&self, pixel: usize, channel: usize, row: &mut [f32]) {
        let block = pixel * self.shape.block(self.storage);
        let padded = self.shape.padded_sheets();
        for (panel, row) in row.chunks_mut(PANEL).enumerate() {
            let at = block + self.shape.place(self.storage, panel * PANEL, channel);
            match self.storage {
                Storage::F32 => {
                    let values: &[f32] = bytemuck::cast_slice(&self.words);
                    row.copy_from_slice(&values[at..at + row.len()]);
                }
                Storage::F16 => {
                    let values: &[half::f16] = bytemuck::cast_slice(&self.words);
                    row.iter_mut().zip(&values[at..]).for_each(|(v, h)| *v = h.to_f32());
                }
                Storage::I8 => {
                    let values: &[i8] = bytemuck::cast_slice(&self.words);
                    let scales = &self.scales[pixel * padded + panel * PANEL..];
                    let stored =
                        values[at..].iter().step_by(crate::matching::sheets::CHANNEL_GROUP);
                    for ((v, &byte), scale) in row.iter_mut().zip(stored).zip(scales) {
                        *v = f32::from(byte) * scale;
                    }
                }
            }
        }
    }

    /// The first byte of a stored value.
    fn at(&self, pixel: usize, sheet: usize, channel: usize) -> usize {
        let block = pixel * self.shape.block(self.storage);
        (block + self.shape.place(self.storage, sheet, channel)) * self.storage.value_bytes()
    }

    fn scale_at(&self, pixel: usize, sheet: usize) -> usize {
        pixel * self.shape.padded_sheets() + sheet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One pixel, vectors of two channels at these angles.
    fn fan(storage: Storage, angles: &[f32]) -> Prototypes {
        let shape = Shape { height: 1, width: 1, channels: 2, sheets: angles.len() };
        let words = shape.values(storage).expect("fits") * storage.value_bytes() / 4;
        let scales = if storage == Storage::I8 { vec![0.0; shape.scales()] } else { Vec::new() };
        let mut fan = Prototypes {
            shape,
            storage,
            words: vec![0; words],
            scales,
            sources: vec![0; angles.len()],
        };
        for (sheet, angle) in angles.iter().enumerate() {
            let stored = fan.stored(&[angle.cos(), angle.sin()], sheet as u32);
            fan.set(0, sheet, &stored);
        }
        fan
    }

    const STORAGES: [Storage; 3] = [Storage::F32, Storage::F16, Storage::I8];

    #[test]
    fn what_is_taken_out_and_put_back_leaves_the_same_bytes() {
        for storage in STORAGES {
            let angles: Vec<f32> = (0..70).map(|i| i as f32 * 0.02).collect();
            let mut fan = fan(storage, &angles);
            let before = (fan.words.clone(), fan.scales.clone(), fan.sources.clone());
            let old = fan.get(0, 66);
            assert_eq!(old.source, 66);
            fan.resize(71);
            let new = fan.stored(&[0.0, -1.0], 9);
            fan.set(0, 66, &new);
            fan.set(0, 70, &new);
            assert!((fan.sheets().value(0, 66, 1) + 1.0).abs() < 1e-3);
            assert_eq!(fan.get(0, 66), new);
            fan.set(0, 66, &old);
            fan.resize(70);
            assert_eq!((fan.words, fan.scales, fan.sources), before);
        }
    }

    #[test]
    fn a_sheet_that_came_is_spare_until_it_is_used() {
        for storage in STORAGES {
            let mut fan = fan(storage, &[0.0, 0.5]);
            assert_eq!((fan.spare(0), fan.is_full(&[0])), (None, true));
            fan.grow();
            assert_eq!((fan.spare(0), fan.is_full(&[0])), (Some(2), false));
            let new = fan.stored(&[0.0, 1.0], 5);
            fan.set(0, 2, &new);
            assert_eq!(fan.spare(0), None);
            assert_eq!(fan.shape().sheets, 3);
        }
    }

    #[test]
    fn the_most_redundant_is_the_nearest_to_another() {
        let cases: [(&[f32], f32, usize); 5] = [
            // 1 and 2 are nearest to each other; the one that has another near goes.
            (&[0.0, 0.3, 0.4, 1.2], 2.0, 1),
            (&[0.0, 0.6, 0.7, 1.2], 2.0, 2),
            (&[0.0, 0.5, 0.6, 0.8], 2.0, 2),
            // The newcomer is nearer to 3 than any two are to each other.
            (&[0.0, 0.3, 0.6, 0.9], 0.95, 3),
            // Stand-ins for missing prototypes go first.
            (&[0.2, 0.9, 0.2, 0.5], 1.4, 0),
        ];
        for storage in STORAGES {
            for (angles, new, sheet) in cases {
                let got = fan(storage, angles).most_redundant(0, &[new.cos(), new.sin()]);
                assert_eq!(got, sheet, "{angles:?} and {new} as {storage}");
            }
        }
    }
}
