//! This module holds the prototypes of a layer in memory, where they can be replaced one by one.
//!
//! Stored vectors are moved as they are, byte by byte, and packed in the layout of
//! [`crate::matching::Sheets`]. So a vector that is taken out and put back leaves the same bytes.

use crate::error::{Error, Result};
use crate::matching::query::{CHANNEL_GROUP, quantise};
use crate::matching::sheets::{LARGEST_SCALE, LARGEST_VALUE, PANEL};
use crate::matching::{Shape, Sheets, Storage, Values};
use crate::template::Template;
use crate::template::container::SectionKind;

/// The number of sheets of a tile of cosines, down and across.
const ROWS: usize = 4;
const COLUMNS: usize = 16;

/// All prototypes of a layer.
pub struct Prototypes {
    shape: Shape,
    storage: Storage,
    /// The values section. It is a whole number of 32-bit words with every storage type.
    words: Vec<u32>,
    scales: Vec<f32>,
    sources: Vec<u32>,
}

/// One prototype as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Prototype {
    /// The stored values, one per channel.
    pub vector: Vec<u8>,
    /// The factor by which 8-bit values are multiplied. It is 0 with other storage types.
    pub scale: f32,
    /// The picture it comes from.
    pub source: u32,
}

impl Prototype {
    /// Returns whether its values are in the range of unit vectors.
    pub fn is_in_range(&self, storage: Storage) -> bool {
        let small = |v: f32| v.abs() <= LARGEST_VALUE;
        let pairs = self.vector.chunks_exact(2);
        let fours = self.vector.chunks_exact(4);
        match storage {
            Storage::F32 => fours.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).all(small),
            Storage::F16 => {
                pairs.map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()).all(small)
            }
            Storage::I8 => {
                (0.0..=LARGEST_SCALE).contains(&self.scale)
                    && !self.vector.contains(&(i8::MIN as u8))
            }
        }
    }
}

impl Prototypes {
    /// Copies a layer of `template`.
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
        // Opening the template checked this already. The code below relies on it.
        if prototypes.view().is_none() {
            return Err(Error::template(format!("layer {layer} has no usable prototypes")));
        }
        Ok(prototypes)
    }

    /// Returns the sizes of the layer.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Returns the prototypes for matching.
    ///
    /// # Panics
    /// Never. [`Prototypes::read`] has checked that the sizes fit, and [`Prototypes::resize`] keeps
    /// it true.
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

    /// Returns the bytes of the values section.
    pub fn values(&self) -> &[u8] {
        bytemuck::cast_slice(&self.words)
    }

    /// Returns the bytes of the scales section.
    pub fn scales(&self) -> &[u8] {
        bytemuck::cast_slice(&self.scales)
    }

    /// Returns the bytes of the sources section.
    pub fn sources(&self) -> &[u8] {
        bytemuck::cast_slice(&self.sources)
    }

    /// Returns a unit vector as it would be stored.
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

    /// Returns the prototype at `pixel` on `sheet`.
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

    /// Replaces the prototype at `pixel` on `sheet`.
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

    /// Gives the layer another number of sheets. It removes the last sheets, or adds zero vectors
    /// of picture 0 at the end.
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
        // Panels that are full before and after hold the same bytes. In the panel after them, each
        // row of channels is as long as the panel has sheets. The kept sheets stand at the
        // beginning of each row.
        let kept = sheets.min(self.shape.sheets);
        let full = kept / PANEL * PANEL;
        let size = self.storage.value_bytes();
        let channels = shape.padded_channels(self.storage);
        let together = if self.storage == Storage::I8 { CHANNEL_GROUP } else { 1 };
        let begun = if kept > full { channels } else { 0 };
        for pixel in 0..shape.pixels() {
            let runs = std::iter::once((0, 0, full * channels * size));
            let rows = (0..begun).step_by(together);
            let rows = rows.map(|channel| (full, channel, (kept - full) * together * size));
            for (sheet, channel, length) in runs.chain(rows) {
                let (from, to) =
                    (self.at(pixel, sheet, channel), resized.at(pixel, sheet, channel));
                let old: &[u8] = bytemuck::cast_slice(&self.words);
                let new: &mut [u8] = bytemuck::cast_slice_mut(&mut resized.words);
                new[to..to + length].copy_from_slice(&old[from..from + length]);
            }
            if !self.scales.is_empty() {
                let (from, to) = (self.scale_at(pixel, 0), resized.scale_at(pixel, 0));
                resized.scales[to..to + kept].copy_from_slice(&self.scales[from..from + kept]);
            }
            let (from, to) = (pixel * self.shape.sheets, pixel * sheets);
            resized.sources[to..to + kept].copy_from_slice(&self.sources[from..from + kept]);
        }
        *self = resized;
    }

    /// Returns the last sheet at `pixel` that only repeats the first one, as growing makes them.
    pub fn spare(&self, pixel: usize) -> Option<usize> {
        let count = self.shape.sheets;
        let sources = &self.sources[pixel * count..(pixel + 1) * count];
        let repeats = |&sheet: &usize| {
            sources[sheet] == sources[0] && self.get(pixel, sheet) == self.get(pixel, 0)
        };
        (1..count).rev().find(repeats)
    }

    /// Returns the sheet at `pixel` that `newcomer` is to take: a spare one, or the most redundant.
    pub fn place_for(&self, pixel: usize, newcomer: &[f32]) -> usize {
        self.spare(pixel).unwrap_or_else(|| self.most_redundant(pixel, newcomer))
    }

    /// Returns whether one of `pixels` has no spare sheet.
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

    /// Returns the most redundant sheet at `pixel`, which `newcomer` is to replace. It is the sheet
    /// with the largest cosine to its nearest other, and the newcomer counts as another. Of two
    /// sheets that are each other's nearest, it is the one whose second nearest is nearer.
    pub fn most_redundant(&self, pixel: usize, newcomer: &[f32]) -> usize {
        let count = self.shape.sheets;
        let width = count.next_multiple_of(COLUMNS);
        let mut rows = vec![0.0f32; newcomer.len() * width];
        // These are the nearest and the second nearest of every sheet.
        let mut crowding = vec![[f32::NEG_INFINITY; 2]; count];
        let mut to_newcomer = vec![0.0f32; count];
        for ((channel, new), row) in newcomer.iter().enumerate().zip(rows.chunks_exact_mut(width)) {
            self.channel(pixel, channel, &mut row[..count]);
            to_newcomer.iter_mut().zip(&*row).for_each(|(sum, value)| *sum += value * new);
        }
        crowding.iter_mut().zip(to_newcomer).for_each(|(crowd, cosine)| nearer(crowd, cosine));
        // The cosines are computed tile by tile, in registers. With hundreds of sheets this takes
        // most of the time of an insertion.
        for first in (0..count).step_by(ROWS) {
            for column in (first / COLUMNS * COLUMNS..width).step_by(COLUMNS) {
                let cosines = tile(&rows, width, first, column);
                for (a, cosines) in (first..count).zip(cosines) {
                    for (b, cosine) in (column..count).zip(cosines).filter(|&(b, _)| b > a) {
                        nearer(&mut crowding[a], cosine);
                        nearer(&mut crowding[b], cosine);
                    }
                }
            }
        }
        (crowding.iter().enumerate())
            .reduce(|best, next| {
                let order = next.1[0].total_cmp(&best.1[0]).then(next.1[1].total_cmp(&best.1[1]));
                if order.is_gt() { next } else { best }
            })
            .map_or(0, |(sheet, _)| sheet)
    }

    /// Reads the values of all sheets at `pixel` in one channel.
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
                    let stored = values[at..].iter().step_by(CHANNEL_GROUP);
                    for ((v, &byte), scale) in row.iter_mut().zip(stored).zip(scales) {
                        *v = f32::from(byte) * scale;
                    }
                }
            }
        }
    }

    /// Returns the index of the first byte of a stored value.
    fn at(&self, pixel: usize, sheet: usize, channel: usize) -> usize {
        let block = pixel * self.shape.block(self.storage);
        (block + self.shape.place(self.storage, sheet, channel)) * self.storage.value_bytes()
    }

    fn scale_at(&self, pixel: usize, sheet: usize) -> usize {
        pixel * self.shape.padded_sheets() + sheet
    }
}

/// Computes the cosines of the sheets from `first` on with those from `column` on. `rows` holds the
/// values of all sheets, one row of `width` values per channel.
fn tile(rows: &[f32], width: usize, first: usize, column: usize) -> [[f32; COLUMNS]; ROWS] {
    let mut sums = [[0.0f32; COLUMNS]; ROWS];
    for row in rows.chunks_exact(width) {
        let (down, across) = (&row[first..first + ROWS], &row[column..column + COLUMNS]);
        for (sums, a) in sums.iter_mut().zip(down) {
            sums.iter_mut().zip(across).for_each(|(sum, b)| *sum += a * b);
        }
    }
    sums
}

/// Keeps the two largest of these cosines.
fn nearer([first, second]: &mut [f32; 2], cosine: f32) {
    if cosine > *first {
        (*first, *second) = (cosine, *first);
    } else {
        *second = second.max(cosine);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes one pixel with vectors of two channels at these angles.
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
    fn resizing_over_panels_keeps_every_sheet_and_nothing_else() {
        for storage in STORAGES {
            for (from, to) in [(3, 200), (64, 65), (130, 128), (129, 64), (200, 3), (66, 70)] {
                let angles: Vec<f32> = (0..from.max(to)).map(|i| i as f32 * 0.01).collect();
                let mut resized = fan(storage, &angles[..from]);
                resized.resize(to);
                let mut expected = fan(storage, &angles[..to]);
                let nothing =
                    Prototype { vector: vec![0; 2 * storage.value_bytes()], scale: 0.0, source: 0 };
                (from..to).for_each(|sheet| expected.set(0, sheet, &nothing));
                assert_eq!(resized.words, expected.words, "{storage} {from} {to}");
                assert_eq!(resized.scales, expected.scales, "{storage} {from} {to}");
                assert_eq!(resized.sources, expected.sources, "{storage} {from} {to}");
            }
        }
    }

    #[test]
    fn resizing_keeps_every_channel_of_every_pixel() {
        let all = |storage: Storage, sheets: usize, set: usize| {
            let shape = Shape { height: 1, width: 3, channels: 6, sheets };
            let words = shape.values(storage).expect("fits") * storage.value_bytes() / 4;
            let scales =
                if storage == Storage::I8 { vec![0.0; shape.scales()] } else { Vec::new() };
            let sources = vec![0; shape.pixels() * sheets];
            let mut all = Prototypes { shape, storage, words: vec![0; words], scales, sources };
            for (pixel, sheet) in (0..3).flat_map(|pixel| (0..set).map(move |sheet| (pixel, sheet)))
            {
                let vector: Vec<f32> = (0..6)
                    .map(|channel| ((pixel * 211 + sheet * 6 + channel) as f32).sin())
                    .collect();
                let stored = all.stored(&vector, (pixel * 1000 + sheet) as u32);
                all.set(pixel, sheet, &stored);
            }
            all
        };
        for storage in STORAGES {
            for (from, to) in
                [(5, 6), (6, 5), (60, 61), (61, 60), (64, 65), (65, 64), (63, 130), (130, 63)]
            {
                let mut resized = all(storage, from, from);
                resized.resize(to);
                let expected = all(storage, to, from.min(to));
                assert_eq!(resized.words, expected.words, "{storage} {from} {to}");
                assert_eq!(resized.scales, expected.scales, "{storage} {from} {to}");
                assert_eq!(resized.sources, expected.sources, "{storage} {from} {to}");
            }
        }
    }

    /// The result is compared with the definition, over more sheets than a band has.
    #[test]
    fn the_most_redundant_of_many_is_that_of_the_definition() {
        for storage in STORAGES {
            for seed in 0..20u32 {
                let angle = |i: u32| {
                    (i.wrapping_mul(2_654_435_761).wrapping_add(seed * 77_777) % 100_000) as f32
                        * 1e-5
                };
                let angles: Vec<f32> = (0..150).map(angle).collect();
                let fan = fan(storage, &angles);
                let view = fan.sheets();
                let new = [0.5f32.cos(), 0.5f32.sin()];
                let vector = |sheet: usize| [view.value(0, sheet, 0), view.value(0, sheet, 1)];
                let cosine = |a: [f32; 2], b: [f32; 2]| 0.0 + a[0] * b[0] + a[1] * b[1];
                let nearest = |a: usize| {
                    let mut all: Vec<f32> = (0..150)
                        .filter(|&b| b != a)
                        .map(|b| cosine(vector(a.min(b)), vector(a.max(b))))
                        .chain([cosine(vector(a), new)])
                        .collect();
                    all.sort_by(|a, b| b.total_cmp(a));
                    [all[0], all[1]]
                };
                let got = fan.most_redundant(0, &new);
                let largest = (0..150).map(nearest).reduce(|a, b| if b > a { b } else { a });
                assert_eq!(Some(nearest(got)), largest, "{storage}, seed {seed}");
            }
        }
    }

    #[test]
    fn a_sheet_to_spare_stays_one_until_it_is_taken() {
        for storage in STORAGES {
            let mut fan = fan(storage, &[0.1, 0.5, 0.9]);
            assert_eq!(fan.spare(0), None);
            fan.grow();
            fan.grow();
            for (angle, left) in [(1.5f32, Some(3)), (2.0, None)] {
                let taken = fan.place_for(0, &[angle.cos(), angle.sin()]);
                let new = fan.stored(&[angle.cos(), angle.sin()], 9);
                fan.set(0, taken, &new);
                assert_eq!(fan.spare(0), left, "{storage}");
            }
        }
    }

    #[test]
    fn the_most_redundant_is_the_nearest_to_another() {
        let cases: [(&[f32], f32, usize); 5] = [
            // Sheets 1 and 2 are nearest to each other. The one that has another sheet nearby goes.
            (&[0.0, 0.3, 0.4, 1.2], 2.0, 1),
            (&[0.0, 0.6, 0.7, 1.2], 2.0, 2),
            (&[0.0, 0.5, 0.6, 0.8], 2.0, 2),
            // The newcomer is nearer to sheet 3 than any two sheets are to each other.
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
