//! Holds the features of all pictures, in memory or in a scratch file.
//!
//! Pictures come in batches. Inside a batch the features stand layer by layer and *in pixel order*:
//! `[pixel][picture][channel]`. So selection reads one run of memory per batch at each pixel. A batch that does not fit
//! into the allowed memory goes to an unnamed scratch file and is mapped back. The system then pages it in and out as
//! needed.
//!
//! Turned copies of the pictures can follow behind the pictures. An *entry* is a picture or a copy of one.
#![allow(unsafe_code)]

use crate::backbone::TapIdentity;
use crate::error::{Choice, Error, Kind, NextStep, Result};
use crate::feature_map::FeatureMap;
use memmap2::Mmap;
use rayon::prelude::*;
use std::io::Write;
use std::path::PathBuf;

/// The target size of one batch, in bytes.
const BATCH_BYTES: u64 = 192 << 20;

/// Holds feature maps of any number of pictures and of copies of them.
pub struct Store {
    taps: Vec<TapIdentity>,
    batch: usize,
    pictures: usize,
    /// The picture that every entry shows. The pictures come first.
    origins: Vec<u32>,
    batches: Vec<Batch>,
    in_memory: u64,
    max_memory: u64,
    scratch_folder: PathBuf,
}

struct Batch {
    /// The number of entries before this batch.
    first: usize,
    entries: usize,
    data: Data,
}

enum Data {
    Memory(Vec<f32>),
    Scratch(Mmap),
}

impl Store {
    /// Makes a store for maps of the given taps. It keeps at most `max_memory` bytes in memory.
    pub fn new(taps: &[TapIdentity], max_memory: u64, scratch_folder: PathBuf) -> Self {
        let per_picture = 4 * values(taps) as u64;
        let batch = (BATCH_BYTES.min(max_memory / 4) / per_picture.max(1)).clamp(1, 64) as usize;
        Store {
            taps: taps.to_vec(),
            batch,
            pictures: 0,
            origins: Vec::new(),
            batches: Vec::new(),
            in_memory: 0,
            max_memory,
            scratch_folder,
        }
    }

    /// Returns the number of entries that one batch should hold.
    pub fn batch_size(&self) -> usize {
        self.batch
    }

    /// Returns the number of pictures. They are the first entries.
    pub fn pictures(&self) -> usize {
        self.pictures
    }

    /// Returns for every entry the picture that it shows, itself or turned.
    pub fn origins(&self) -> &[u32] {
        &self.origins
    }

    /// Returns the number of entries: pictures and copies.
    pub fn entries(&self) -> usize {
        self.origins.len()
    }

    /// Returns the bytes of the store that lie in memory.
    pub fn in_memory(&self) -> u64 {
        self.in_memory
    }

    /// Returns whether some of the store lies in a scratch file.
    pub fn is_spilled(&self) -> bool {
        self.batches.iter().any(|b| matches!(b.data, Data::Scratch(_)))
    }

    /// Adds a batch of pictures: for every picture its maps, in the order of the taps. The store must not hold copies
    /// yet.
    pub fn push(&mut self, maps: &[Vec<FeatureMap>]) -> Result<()> {
        let origins: Vec<u32> = (self.pictures..).map(|i| i as u32).take(maps.len()).collect();
        self.push_copies(maps, &origins)?;
        self.pictures += maps.len();
        Ok(())
    }

    /// Adds a batch of copies: for every copy its maps and the picture that it shows.
    pub fn push_copies(&mut self, maps: &[Vec<FeatureMap>], origins: &[u32]) -> Result<()> {
        let mut data = Vec::with_capacity(maps.len() * values(&self.taps));
        for (layer, tap) in self.taps.iter().enumerate() {
            for pixel in 0..pixels(tap) {
                for picture in maps {
                    data.extend_from_slice(picture[layer].vector(pixel));
                }
            }
        }
        let bytes = 4 * data.len() as u64;
        let data = if self.in_memory + bytes <= self.max_memory {
            self.in_memory += bytes;
            Data::Memory(data)
        } else {
            Data::Scratch(self.spill(&data)?)
        };
        self.batches.push(Batch { first: self.entries(), entries: maps.len(), data });
        self.origins.extend_from_slice(origins);
        Ok(())
    }

    fn spill(&self, data: &[f32]) -> Result<Mmap> {
        let failed = |e| {
            Error::io(&self.scratch_folder, "the scratch file for features cannot be written", &e)
                .next(NextStep::OneOf(vec![
                    NextStep::Do(
                        "free some space there, or set TMPDIR to a disk with more space".into(),
                    ),
                    NextStep::Choose(Choice::MaxMemory, "a larger number".into()),
                ]))
        };
        let mut file = tempfile::tempfile_in(&self.scratch_folder).map_err(failed)?;
        file.write_all(bytemuck::cast_slice(data)).map_err(failed)?;
        // SAFETY: the file has no name and this is its only handle, so nothing can change it.
        unsafe { Mmap::map(&file) }.map_err(failed)
    }

    /// Writes all vectors at `pixel` of `layer` into `out`, `[entry][channel]`.
    pub fn vectors(&self, layer: usize, pixel: usize, out: &mut Vec<f32>) {
        out.clear();
        let channels = self.taps[layer].channels as usize;
        for batch in &self.batches {
            let start = batch.entries * (self.offset(layer) + pixel * channels);
            out.extend_from_slice(&batch.values()[start..start + batch.entries * channels]);
        }
    }

    /// Returns the vector of one entry at `pixel` of `layer`.
    pub fn vector(&self, layer: usize, entry: usize, pixel: usize) -> &[f32] {
        let behind = self.batches.partition_point(|batch| batch.first <= entry);
        let batch = &self.batches[behind - 1];
        let channels = self.taps[layer].channels as usize;
        let at = self.offset(layer) + pixel * channels;
        let start = batch.entries * at + (entry - batch.first) * channels;
        &batch.values()[start..start + channels]
    }

    /// Returns the feature maps of one entry.
    pub fn maps(&self, entry: usize) -> Vec<FeatureMap> {
        let behind = self.batches.partition_point(|batch| batch.first <= entry);
        let batch = &self.batches[behind - 1];
        let within = entry - batch.first;
        (self.taps.iter().enumerate())
            .map(|(layer, tap)| {
                let channels = tap.channels as usize;
                let mut data = Vec::with_capacity(pixels(tap) * channels);
                for pixel in 0..pixels(tap) {
                    let start =
                        batch.entries * (self.offset(layer) + pixel * channels) + within * channels;
                    data.extend_from_slice(&batch.values()[start..start + channels]);
                }
                FeatureMap::normalised(tap.height as usize, tap.width as usize, channels, data)
            })
            .collect()
    }

    /// Makes a store of some of the pictures, in the given order, with all of their copies.
    pub fn subset(&self, pictures: &[usize], max_memory: u64) -> Result<Store> {
        let mut subset = Store::new(&self.taps, max_memory, self.scratch_folder.clone());
        let maps = |entries: &[usize]| -> Vec<_> {
            entries.par_iter().map(|&entry| self.maps(entry)).collect()
        };
        for chunk in pictures.chunks(subset.batch_size()) {
            subset.push(&maps(chunk))?;
        }
        let new_number = |old: u32| pictures.iter().position(|&picture| picture == old as usize);
        let (copies, origins): (Vec<usize>, Vec<u32>) = (self.pictures..self.entries())
            .filter_map(|entry| Some((entry, new_number(self.origins[entry])? as u32)))
            .unzip();
        let size = subset.batch_size();
        for (chunk, origins) in copies.chunks(size).zip(origins.chunks(size)) {
            subset.push_copies(&maps(chunk), origins)?;
        }
        Ok(subset)
    }

    /// Returns the number of entries that show pictures that are `kept`.
    pub fn entries_of(&self, kept: &[bool]) -> usize {
        self.origins.iter().filter(|&&picture| kept[picture as usize]).count()
    }

    /// Returns the number of values of one picture before `layer`.
    fn offset(&self, layer: usize) -> usize {
        values(&self.taps[..layer])
    }
}

impl Batch {
    fn values(&self) -> &[f32] {
        match &self.data {
            Data::Memory(data) => data,
            Data::Scratch(map) => bytemuck::cast_slice(map),
        }
    }
}

/// Returns the scratch folder, or refuses if it does not exist. It does so before hours are spent.
pub fn scratch_folder() -> Result<PathBuf> {
    let folder = std::env::temp_dir();
    if folder.is_dir() {
        return Ok(folder);
    }
    Err(Error::new(
        Kind::Io,
        format!("{}: this is not a folder, so it cannot hold temporary files", folder.display()),
    )
    .advise("set TMPDIR to a folder on a disk with enough space"))
}

fn pixels(tap: &TapIdentity) -> usize {
    tap.height as usize * tap.width as usize
}

fn values(taps: &[TapIdentity]) -> usize {
    taps.iter().map(|t| pixels(t) * t.channels as usize).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_scratch_file_give_back_the_same() {
        let taps = [(3, 2, 2), (5, 1, 2)].map(|(channels, height, width)| TapIdentity {
            name: "t".into(),
            channels,
            height,
            width,
        });
        let maps = |i: usize| -> Vec<FeatureMap> {
            let value = |v: usize| ((i * 97 + v * 31) % 17) as f32 - 8.5;
            vec![
                FeatureMap::normalised(2, 2, 3, (0..12).map(value).collect()),
                FeatureMap::normalised(1, 2, 5, (12..22).map(value).collect()),
            ]
        };
        for max_memory in [1 << 20, 900, 0] {
            let mut store = Store::new(&taps, max_memory, std::env::temp_dir());
            let all: Vec<_> = (0..11).map(maps).collect();
            for batch in all.chunks(store.batch_size()) {
                store.push(batch).expect("stores");
            }
            assert_eq!((store.pictures(), store.is_spilled()), (11, max_memory < 968));
            let mut vectors = Vec::new();
            store.vectors(1, 1, &mut vectors);
            for (i, maps) in all.iter().enumerate() {
                assert_eq!(vectors[i * 5..(i + 1) * 5], *maps[1].vector(1));
                assert!(are_same(&store.maps(i), maps));
            }
        }
    }

    fn are_same(got: &[FeatureMap], want: &[FeatureMap]) -> bool {
        let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-6;
        got.iter().zip(want).all(|(a, b)| a.data().iter().zip(b.data()).all(close))
    }

    #[test]
    fn copies_go_with_their_pictures() {
        let taps = [TapIdentity { name: "t".into(), channels: 2, height: 1, width: 1 }];
        let angles = [0.1f32, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7];
        let all = angles.map(|a| vec![FeatureMap::normalised(1, 1, 2, vec![a.cos(), a.sin()])]);
        for max_memory in [1 << 20, 40, 0] {
            let mut store = Store::new(&taps, max_memory, std::env::temp_dir());
            store.push(&all[..2]).expect("stores");
            store.push(&all[2..3]).expect("stores");
            store.push_copies(&all[3..], &[2, 0, 1, 2]).expect("stores");
            assert_eq!((store.pictures(), store.entries()), (3, 7));
            assert_eq!(store.origins(), [0, 1, 2, 2, 0, 1, 2]);
            assert_eq!(store.entries_of(&[true, false, true]), 5);
            assert!((0..7).all(|i| are_same(&store.maps(i), &all[i])), "{max_memory}");
            let subset = store.subset(&[2, 0], max_memory).expect("stores");
            assert_eq!((subset.pictures(), subset.origins()), (2, &[0, 1, 0, 1, 0][..]));
            for (at, from) in [2, 0, 3, 4, 6].into_iter().enumerate() {
                assert!(are_same(&subset.maps(at), &all[from]), "{at}");
            }
        }
    }
}
