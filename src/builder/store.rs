//! The features of all pictures, in memory or in a scratch file.
//!
//! Pictures come in batches. Inside a batch the features stand layer by layer and *in pixel
//! order*: `[pixel][picture][channel]`, so that what selection reads at one pixel is one run of
//! memory per batch. A batch that would not fit the memory allowed goes to an unnamed scratch
//! file and is mapped back: the system then pages it in and out as needed.
#![allow(unsafe_code)]

use crate::backbone::TapIdentity;
use crate::error::{Error, Kind, Result};
use crate::feature_map::FeatureMap;
use memmap2::Mmap;
use rayon::prelude::*;
use std::io::Write;
use std::path::PathBuf;

/// Bytes that one batch aims at.
const BATCH_BYTES: u64 = 192 << 20;

/// Feature maps of any number of pictures.
pub struct Store {
    taps: Vec<TapIdentity>,
    batch: usize,
    pictures: usize,
    batches: Vec<Batch>,
    in_memory: u64,
    max_memory: u64,
    scratch_folder: PathBuf,
}

struct Batch {
    pictures: usize,
    data: Data,
}

enum Data {
    Memory(Vec<f32>),
    Scratch(Mmap),
}

impl Store {
    /// A store for maps of the given taps that keeps at most `max_memory` bytes in memory.
    pub fn new(taps: &[TapIdentity], max_memory: u64, scratch_folder: PathBuf) -> Self {
        let per_picture = 4 * values(taps) as u64;
        let batch = (BATCH_BYTES.min(max_memory / 4) / per_picture.max(1)).clamp(1, 64) as usize;
        Store {
            taps: taps.to_vec(),
            batch,
            pictures: 0,
            batches: Vec::new(),
            in_memory: 0,
            max_memory,
            scratch_folder,
        }
    }

    /// Pictures that one batch holds; only the last may hold fewer.
    pub fn batch_size(&self) -> usize {
        self.batch
    }

    /// Number of pictures.
    pub fn pictures(&self) -> usize {
        self.pictures
    }

    /// Bytes of it that lie in memory.
    pub fn in_memory(&self) -> u64 {
        self.in_memory
    }

    /// Whether some of it lies in a scratch file.
    pub fn is_spilled(&self) -> bool {
        self.batches.iter().any(|b| matches!(b.data, Data::Scratch(_)))
    }

    /// Adds a batch: for every picture its maps, in the order of the taps.
    pub fn push(&mut self, maps: &[Vec<FeatureMap>]) -> Result<()> {
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
        self.pictures += maps.len();
        self.batches.push(Batch { pictures: maps.len(), data });
        Ok(())
    }

    fn spill(&self, data: &[f32]) -> Result<Mmap> {
        let failed = |e| {
            Error::io(&self.scratch_folder, "the scratch file for features cannot be written", &e)
                .advise("free some space there, set TMPDIR to a roomier disk, or allow more --max-memory")
        };
        let mut file = tempfile::tempfile_in(&self.scratch_folder).map_err(failed)?;
        file.write_all(bytemuck::cast_slice(data)).map_err(failed)?;
        // SAFETY: the file has no name and this is its only handle, so nothing can change it.
        unsafe { Mmap::map(&file) }.map_err(failed)
    }

    /// All vectors at `pixel` of `layer`, `[picture][channel]`, into `out`.
    pub fn vectors(&self, layer: usize, pixel: usize, out: &mut Vec<f32>) {
        out.clear();
        let channels = self.taps[layer].channels as usize;
        for batch in &self.batches {
            let start = batch.pictures * (self.offset(layer) + pixel * channels);
            out.extend_from_slice(&batch.values()[start..start + batch.pictures * channels]);
        }
    }

    /// The vector of one picture at `pixel` of `layer`.
    pub fn vector(&self, layer: usize, picture: usize, pixel: usize) -> &[f32] {
        let (batch, within) = (&self.batches[picture / self.batch], picture % self.batch);
        let channels = self.taps[layer].channels as usize;
        let start = batch.pictures * (self.offset(layer) + pixel * channels) + within * channels;
        &batch.values()[start..start + channels]
    }

    /// The feature maps of one picture.
    pub fn maps(&self, picture: usize) -> Vec<FeatureMap> {
        let (batch, within) = (&self.batches[picture / self.batch], picture % self.batch);
        (self.taps.iter().enumerate())
            .map(|(layer, tap)| {
                let channels = tap.channels as usize;
                let mut data = Vec::with_capacity(pixels(tap) * channels);
                for pixel in 0..pixels(tap) {
                    let start = batch.pictures * (self.offset(layer) + pixel * channels)
                        + within * channels;
                    data.extend_from_slice(&batch.values()[start..start + channels]);
                }
                FeatureMap::normalised(tap.height as usize, tap.width as usize, channels, data)
            })
            .collect()
    }

    /// A store of some of the pictures, in the order given.
    pub fn subset(&self, pictures: &[usize], max_memory: u64) -> Result<Store> {
        let mut subset = Store::new(&self.taps, max_memory, self.scratch_folder.clone());
        for chunk in pictures.chunks(subset.batch_size()) {
            let maps: Vec<_> = chunk.par_iter().map(|&i| self.maps(i)).collect();
            subset.push(&maps)?;
        }
        Ok(subset)
    }

    /// Values of one picture before `layer`.
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

/// Refuses stores whose scratch folder does not exist, before hours are spent.
pub fn scratch_folder() -> Result<PathBuf> {
    let folder = std::env::temp_dir();
    if folder.is_dir() {
        return Ok(folder);
    }
    Err(Error::new(Kind::Io, format!("{}: not a folder for temporary files", folder.display()))
        .advise("set TMPDIR to a folder on a roomy disk"))
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
                for (got, want) in store.maps(i).iter().zip(maps) {
                    assert!(got.data().iter().zip(want.data()).all(|(a, b)| (a - b).abs() < 1e-6));
                }
            }
        }
    }
}
