//! Reads a features file, complete or growing.

use super::{
    Header, PRELUDE, PictureRecord, RECORD_PRELUDE, RecordPrelude, Totals, damaged, data_error,
    parse_prelude, tap_values,
};
use crate::error::{Error, Kind, Result};
use crate::feature_map::FeatureMap;
use crate::files;
use crate::image::NetworkImage;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Holds an open features file: its header and records. The features are read one by one.
pub struct FeaturesFile {
    path: PathBuf,
    file: File,
    header: Header,
    records: Vec<Record>,
}

/// Describes a record and says where its samples begin.
pub(super) struct Record {
    pub picture: PictureRecord,
    pub prelude: RecordPrelude,
    pub start: u64,
    pub samples: u64,
}

impl FeaturesFile {
    /// Returns whether the file at `path` begins like a features file.
    pub fn is_one(path: &Path) -> bool {
        let mut start = [0; 8];
        let opened = files::open_regular(path, u64::MAX, Kind::Image).ok();
        opened.is_some_and(|mut file| file.read_exact(&mut start).is_ok()) && start == super::MAGIC
    }

    /// Opens a complete features file and checks its structure. The features themselves are checked when they are read.
    ///
    /// # Errors
    /// Returns [`crate::error::Kind::Image`] if the file is damaged, cut, unfinished or too new.
    pub fn open(path: &Path) -> Result<Self> {
        // There is no limit of length, because the pictures are read one by one.
        let file = files::open_regular(path, u64::MAX, Kind::Image)?;
        let read = || -> Result<Self> {
            let (header, totals, end) = read_head(&file)?;
            let totals = totals.ok_or_else(|| {
                data_error("the run that writes this file was interrupted").advise(
                    "run the same `hetmm features` command again: it continues where it stopped",
                )
            })?;
            let records = walk(&file, &header, end)?;
            let last = records.last().map_or(end, |r| end_of(r, &header));
            if last != totals.bytes
                || file.metadata().map_err(|e| unreadable(&e))?.len() != totals.bytes
                || totals_of(&records, last) != totals
            {
                return Err(damaged("its records (some are missing or too many)"));
            }
            let file = file.try_clone().map_err(|e| unreadable(&e))?;
            Ok(FeaturesFile { path: path.into(), file, header, records })
        };
        read().map_err(|e| e.within(path.display()))
    }

    /// Returns what all pictures share.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Returns the pictures, in the order of the file.
    pub fn pictures(&self) -> impl ExactSizeIterator<Item = &PictureRecord> {
        self.records.iter().map(|r| &r.picture)
    }

    /// Returns where the file is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the file and the name of picture `index`, for messages.
    pub fn name_of(&self, index: usize) -> String {
        let picture = self.records.get(index).map_or("", |record| &record.picture.name);
        format!("{}: {picture}", self.path.display())
    }

    /// Returns the file itself and its records.
    pub(super) fn parts(&self) -> (&File, &[Record]) {
        (&self.file, &self.records)
    }

    /// Reads the samples of picture `index` at network size.
    ///
    /// # Errors
    /// Returns [`crate::error::Kind::Image`] if they are damaged.
    pub fn image(&self, index: usize) -> Result<NetworkImage> {
        image_of(&self.file, &self.path, &self.header, self.record(index)?)
    }

    /// Reads the feature maps of picture `index`, in the order of the taps.
    ///
    /// # Errors
    /// Returns the same errors as [`FeaturesFile::image`].
    pub fn maps(&self, index: usize) -> Result<Vec<FeatureMap>> {
        maps_of(&self.file, &self.path, &self.header, self.record(index)?)
    }

    fn record(&self, index: usize) -> Result<&Record> {
        self.records.get(index).ok_or_else(|| data_error("the features file has no such picture"))
    }
}

/// Reads the samples of the picture of `record` from `file`. Messages call the file `path`.
pub(super) fn image_of(
    file: &File,
    path: &Path,
    header: &Header,
    record: &Record,
) -> Result<NetworkImage> {
    let mut bytes = vec![0; header.sample_bytes()];
    read_at(file, path, record.samples, &mut bytes)?;
    let samples: Vec<u16> =
        bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
    let id = &header.backbone;
    match crc32fast::hash(&bytes) == record.prelude.samples_crc {
        true => NetworkImage::from_samples(id.height as usize, id.width as usize, samples),
        false => None,
    }
    .ok_or_else(|| damaged_record(path, "samples", record))
}

/// Does the same as [`image_of`] for the feature maps.
pub(super) fn maps_of(
    file: &File,
    path: &Path,
    header: &Header,
    record: &Record,
) -> Result<Vec<FeatureMap>> {
    let mut values = vec![0.0f32; header.map_bytes() / 4];
    let start = record.samples + header.sample_bytes() as u64;
    read_at(file, path, start, bytemuck::cast_slice_mut(&mut values))?;
    if crc32fast::hash(bytemuck::cast_slice(&values)) != record.prelude.maps_crc {
        return Err(damaged_record(path, "features", record));
    }
    let mut rest = &values[..];
    (header.backbone.taps.iter())
        .map(|tap| {
            let (own, others) = rest.split_at(tap_values(tap));
            rest = others;
            let (height, width) = (tap.height as usize, tap.width as usize);
            FeatureMap::from_unit_vectors(height, width, tap.channels as usize, own.to_vec())
                .ok_or_else(|| damaged_record(path, "features", record))
        })
        .collect()
}

fn read_at(file: &File, path: &Path, start: u64, into: &mut [u8]) -> Result<()> {
    files::read_exact_at(file, into, start)
        .map_err(|e| Error::io(path, "the features cannot be read", &e))
}

fn damaged_record(path: &Path, part: &str, record: &Record) -> Error {
    damaged(&format!("the {part} of {}", record.picture.name)).within(path.display())
}

/// Reads the header, the totals if the file is complete, and the offset of the first record.
pub(super) fn read_head(file: &File) -> Result<(Header, Option<Totals>, u64)> {
    let mut file = file;
    let mut prelude = [0; PRELUDE];
    let cut = |_| damaged("its first bytes");
    file.seek(SeekFrom::Start(0)).map_err(|e| unreadable(&e))?;
    file.read_exact(&mut prelude).map_err(|_| {
        data_error("not a features file")
            .advise("give a .features file that `hetmm features` wrote")
    })?;
    let (length, crc, totals) = parse_prelude(&prelude)?;
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header).map_err(cut)?;
    if crc32fast::hash(&header) != crc {
        return Err(damaged("the header"));
    }
    Ok((Header::decode(&header)?, totals, (PRELUDE + header.len()) as u64))
}

/// Reads the records from `start` on, up to the end of the file or the first incomplete record.
pub(super) fn walk(file: &File, header: &Header, start: u64) -> Result<Vec<Record>> {
    let length = file.metadata().map_err(|e| unreadable(&e))?.len();
    let mut reader = BufReader::with_capacity(4096, file);
    let mut records = Vec::new();
    let mut at = start;
    while let Some(record) = next(&mut reader, at, records.len() as u32) {
        at = end_of(&record, header);
        if at > length {
            break;
        }
        records.push(record);
    }
    Ok(records)
}

/// Reads record `number` at `start`, or returns `None` if there is none.
fn next(reader: &mut BufReader<&File>, start: u64, number: u32) -> Option<Record> {
    reader.seek(SeekFrom::Start(start)).ok()?;
    let mut bytes = [0; RECORD_PRELUDE];
    reader.read_exact(&mut bytes).ok()?;
    let prelude = RecordPrelude::decode(&bytes, number)?;
    let mut picture = vec![0; prelude.picture_bytes as usize];
    reader.read_exact(&mut picture).ok()?;
    if crc32fast::hash(&picture) != prelude.picture_crc {
        return None;
    }
    let samples = start + (RECORD_PRELUDE + picture.len()) as u64;
    let picture: PictureRecord = postcard::from_bytes(&picture).ok()?;
    let whole = picture.width > 0 && picture.height > 0;
    whole.then_some(Record { picture, prelude, start, samples })
}

/// Returns the offset of the end of a record.
pub(super) fn end_of(record: &Record, header: &Header) -> u64 {
    record.samples + (header.sample_bytes() + header.map_bytes()) as u64
}

/// Computes the totals that the prelude of a complete file with these records has.
pub(super) fn totals_of(records: &[Record], bytes: u64) -> Totals {
    let mut crc = crc32fast::Hasher::new();
    records.iter().for_each(|r| crc.update(&r.prelude.encode()));
    Totals { pictures: records.len() as u64, bytes, crc: crc.finalize() }
}

fn unreadable(e: &std::io::Error) -> Error {
    data_error(format!("cannot be read: {e}"))
}
