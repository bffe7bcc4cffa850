//! Holds the features of all pictures, in memory or in a scratch file.
//!
//! Pictures fill batches. Inside a batch the features stand layer by layer and *in pixel order*:
//! `[pixel][picture][channel]`. So selection reads one run of memory per batch at each pixel. A picture goes to its
//! place as soon as it comes, so nothing is held twice. A full batch goes to an unnamed scratch file if there would be
//! no room in the allowed memory for the next one. It is mapped back, and the system pages it in and out as needed.
//!
//! Turned copies of the pictures can follow behind the pictures. An *entry* is a picture or a copy of one.
#![allow(unsafe_code)]

use crate::backbone::TapIdentity;
use crate::error::{Choice, Error, Kind, NextStep, Result};
use crate::feature_map::FeatureMap;
use memmap2::Mmap;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The target size of one batch, in bytes.
const BATCH_BYTES: u64 = 192 << 20;

/// Holds feature maps of any number of pictures and of copies of them.
pub struct Store {
    taps: Vec<TapIdentity>,
    /// The largest number of entries of a batch.
    batch: usize,
    pictures: usize,
    /// The picture that every entry shows. The pictures come first.
    origins: Vec<u32>,
    batches: Vec<Batch>,
    /// The number of entries that are still to come.
    awaited: usize,
    in_memory: u64,
    max_memory: u64,
    scratch_folder: PathBuf,
}

/// Entries that stand together. Two stores can share the values.
struct Batch {
    /// The number of entries before this batch.
    first: usize,
    /// The place of every entry among the places of the batch, in rising order.
    places: Vec<u32>,
    /// The number of places that hold values.
    filled: usize,
    /// The number of all places.
    room: usize,
    data: Arc<Data>,
}

enum Data {
    Memory(Vec<f32>),
    Scratch(Mmap),
}

impl Store {
    /// Makes a store for maps of the given taps, into which `expected` pictures will come. It keeps at most `max_memory`
    /// bytes in memory, but at least one picture while it takes it.
    pub fn new(
        taps: &[TapIdentity],
        expected: usize,
        max_memory: u64,
        scratch_folder: PathBuf,
    ) -> Self {
        let per_picture = 4 * values(taps) as u64;
        let batch = (BATCH_BYTES.min(max_memory / 4) / per_picture.max(1)).clamp(1, 64) as usize;
        Store {
            taps: taps.to_vec(),
            batch,
            pictures: 0,
            origins: Vec::new(),
            batches: Vec::new(),
            awaited: expected,
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
        self.batches.iter().any(|b| matches!(*b.data, Data::Scratch(_)))
    }

    /// Announces so many further entries, so that no batch is larger than it has to be.
    pub fn expect(&mut self, entries: usize) {
        self.awaited = entries;
    }

    /// Adds a picture: its maps, in the order of the taps. The store must not hold copies yet.
    ///
    /// # Errors
    /// Returns an error if the scratch file cannot be written.
    pub fn push(&mut self, maps: &[FeatureMap]) -> Result<()> {
        self.push_copy(maps, self.pictures as u32)?;
        self.pictures += 1;
        Ok(())
    }

    /// Adds a copy: its maps and the picture that it shows.
    ///
    /// # Errors
    /// Returns an error if the scratch file cannot be written.
    pub fn push_copy(&mut self, maps: &[FeatureMap], origin: u32) -> Result<()> {
        if !self.batches.last_mut().is_some_and(|batch| batch.put(maps)) {
            let mut batch = self.open_batch();
            batch.put(maps);
            self.batches.push(batch);
        }
        self.origins.push(origin);
        self.awaited = self.awaited.saturating_sub(1);
        self.make_room()
    }

    /// Returns an empty batch for as many entries as are awaited and fit into memory, but for at least one.
    fn open_batch(&mut self) -> Batch {
        let of_entry = values(&self.taps);
        let fit = self.max_memory.saturating_sub(self.in_memory) / (4 * of_entry as u64).max(1);
        let awaited = if self.awaited == 0 { self.batch } else { self.awaited };
        let room = self.batch.min(awaited).min(fit as usize).max(1);
        self.in_memory += 4 * (room * of_entry) as u64;
        let data = Arc::new(Data::Memory(vec![0.0; room * of_entry]));
        Batch { first: self.entries(), places: Vec::new(), filled: 0, room, data }
    }

    /// Moves the last batch to a scratch file if it is full and if there would be no room for the next one.
    fn make_room(&mut self) -> Result<()> {
        let next = 4 * (self.batch.min(self.awaited) * values(&self.taps)) as u64;
        let Some(batch) = self.batches.last_mut().filter(|batch| batch.filled == batch.room) else {
            return Ok(());
        };
        if self.in_memory + next <= self.max_memory {
            return Ok(());
        }
        if let Data::Memory(values) = &*batch.data {
            let bytes = 4 * values.len() as u64;
            batch.data = Arc::new(Data::Scratch(spilled(&self.scratch_folder, values)?));
            self.in_memory -= bytes;
        }
        Ok(())
    }

    /// Writes all vectors at `pixel` of `layer` into `out`, `[entry][channel]`.
    pub fn vectors(&self, layer: usize, pixel: usize, out: &mut Vec<f32>) {
        out.clear();
        let channels = self.taps[layer].channels as usize;
        let before = self.offset(layer) + pixel * channels;
        for batch in &self.batches {
            match batch.run() {
                Some(run) => out.extend_from_slice(batch.vectors_at(before, channels, run)),
                None => batch.places.iter().for_each(|&place| {
                    let place = place as usize;
                    out.extend_from_slice(batch.vectors_at(before, channels, place..place + 1));
                }),
            }
        }
    }

    /// Returns the vector of one entry at `pixel` of `layer`.
    pub fn vector(&self, layer: usize, entry: usize, pixel: usize) -> &[f32] {
        let (batch, place) = self.find(entry);
        let channels = self.taps[layer].channels as usize;
        batch.vectors_at(self.offset(layer) + pixel * channels, channels, place..place + 1)
    }

    /// Returns the feature maps of one entry.
    pub fn maps(&self, entry: usize) -> Vec<FeatureMap> {
        let (batch, place) = self.find(entry);
        (self.taps.iter().enumerate())
            .map(|(layer, tap)| {
                let channels = tap.channels as usize;
                let mut data = Vec::with_capacity(pixels(tap) * channels);
                for pixel in 0..pixels(tap) {
                    let before = self.offset(layer) + pixel * channels;
                    data.extend_from_slice(batch.vectors_at(before, channels, place..place + 1));
                }
                FeatureMap::normalised(tap.height as usize, tap.width as usize, channels, data)
            })
            .collect()
    }

    /// Returns the batch of an entry, and its place there.
    fn find(&self, entry: usize) -> (&Batch, usize) {
        let behind = self.batches.partition_point(|batch| batch.first <= entry);
        let batch = &self.batches[behind - 1];
        (batch, batch.places[entry - batch.first] as usize)
    }

    /// Makes a store of some of the pictures, which are given in rising order, with all of their copies. It shares the
    /// features with this one, so it takes no memory of its own.
    pub fn subset(&self, pictures: &[usize]) -> Store {
        let mut numbers = vec![None; self.pictures];
        (0..).zip(pictures).for_each(|(new, &old): (u32, _)| numbers[old] = Some(new));
        let (mut origins, mut batches) = (Vec::new(), Vec::new());
        for batch in &self.batches {
            let of_batch = &self.origins[batch.first..batch.first + batch.places.len()];
            let number = |(&place, &old): (&u32, &u32)| Some((place, numbers[old as usize]?));
            let (places, kept): (Vec<u32>, Vec<u32>) =
                batch.places.iter().zip(of_batch).filter_map(number).unzip();
            if !places.is_empty() {
                batches.push(Batch {
                    first: origins.len(),
                    places,
                    data: batch.data.clone(),
                    ..*batch
                });
                origins.extend(kept);
            }
        }
        Store {
            taps: self.taps.clone(),
            pictures: pictures.len(),
            origins,
            batches,
            awaited: 0,
            scratch_folder: self.scratch_folder.clone(),
            ..*self
        }
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
    /// Puts the maps of an entry to the next free place. Returns false if there is none, or if another store shares the
    /// values.
    fn put(&mut self, maps: &[FeatureMap]) -> bool {
        let (room, place) = (self.room, self.filled);
        let Some(Data::Memory(values)) = Arc::get_mut(&mut self.data) else { return false };
        if place == room {
            return false;
        }
        let mut start = 0;
        for map in maps {
            let channels = map.channels();
            for pixel in 0..map.pixels() {
                let at = start + place * channels;
                values[at..at + channels].copy_from_slice(map.vector(pixel));
                start += room * channels;
            }
        }
        self.places.push(place as u32);
        self.filled += 1;
        true
    }

    /// Returns the places of the entries if they follow each other.
    fn run(&self) -> Option<Range<usize>> {
        let (first, last) = (*self.places.first()? as usize, *self.places.last()? as usize);
        (last - first + 1 == self.places.len()).then_some(first..last + 1)
    }

    /// Returns the vectors at these places, where every picture has `before` values before them.
    fn vectors_at(&self, before: usize, channels: usize, places: Range<usize>) -> &[f32] {
        let start = self.room * before;
        &self.values()[start + places.start * channels..start + places.end * channels]
    }

    fn values(&self) -> &[f32] {
        match &*self.data {
            Data::Memory(data) => data,
            Data::Scratch(map) => bytemuck::cast_slice(map),
        }
    }
}

/// Writes values to a file without a name and maps it.
fn spilled(folder: &Path, values: &[f32]) -> Result<Mmap> {
    let failed = |e| {
        Error::io(folder, "the scratch file for features cannot be written", &e).next(
            NextStep::OneOf(vec![
                NextStep::Do(
                    "free some space there, or set TMPDIR to a disk with more space".into(),
                ),
                NextStep::Choose(Choice::MaxMemory, "a larger number".into()),
            ]),
        )
    };
    let mut file = tempfile::tempfile_in(folder).map_err(failed)?;
    file.write_all(bytemuck::cast_slice(values)).map_err(failed)?;
    // SAFETY: the file has no name and this is its only handle, so nothing can change it.
    unsafe { Mmap::map(&file) }.map_err(failed)
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
            let mut store = Store::new(&taps, 11, max_memory, std::env::temp_dir());
            let all: Vec<_> = (0..11).map(maps).collect();
            for maps in &all {
                store.push(maps).expect("stores");
                assert!(store.in_memory() <= max_memory, "{} of {max_memory}", store.in_memory());
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
            let mut store = Store::new(&taps, 3, max_memory, std::env::temp_dir());
            all[..3].iter().for_each(|maps| store.push(maps).expect("stores"));
            store.expect(4);
            for (maps, origin) in all[3..].iter().zip([2, 0, 1, 2]) {
                store.push_copy(maps, origin).expect("stores");
            }
            assert_eq!((store.pictures(), store.entries()), (3, 7));
            assert_eq!(store.origins(), [0, 1, 2, 2, 0, 1, 2]);
            assert_eq!(store.entries_of(&[true, false, true]), 5);
            assert!((0..7).all(|i| are_same(&store.maps(i), &all[i])), "{max_memory}");
            let mut subset = store.subset(&[0, 2]);
            assert_eq!((subset.pictures(), subset.origins()), (2, &[0, 1, 1, 0, 1][..]));
            let mut vectors = Vec::new();
            subset.vectors(0, 0, &mut vectors);
            for (at, from) in [0, 2, 3, 4, 6].into_iter().enumerate() {
                assert!(are_same(&subset.maps(at), &all[from]), "{at}");
                assert_eq!(vectors[2 * at..2 * at + 2], *all[from][0].vector(0), "{at}");
            }
            // What comes later is in this store alone.
            subset.push_copy(&all[5], 1).expect("stores");
            assert!(
                are_same(&subset.maps(5), &all[5])
                    && (0..7).all(|i| are_same(&store.maps(i), &all[i]))
            );
        }
    }
}
