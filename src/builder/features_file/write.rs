//! Writes the feature pass into a file, continues after an interruption, and adds to an existing file.
//!
//! The file grows beside its destination, under the same name with `.part` behind it. It is renamed when it is
//! complete. A run that finds such a file keeps those pictures in it that are the first ones of its own list and
//! unchanged. It continues behind them and cuts off the rest.

use super::read::{FeaturesFile, Record, end_of, image_of, maps_of, read_head, totals_of, walk};
use super::{Header, PartOfList, PictureRecord, RecordPrelude, data_error, prelude, shards};
use crate::backbone::Backbone;
use crate::builder::Progress;
use crate::builder::features::{Extracted, Manner, Source, extract, size_warnings};
use crate::builder::notices;
use crate::builder::shard::Shard;
use crate::builder::usable::Usable;
use crate::error::{Error, Result};
use crate::files;
use crate::wording::{counted, form};
use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Says what is to be computed.
pub struct Order<'a> {
    /// The file to write.
    pub destination: &'a Path,
    /// The pictures. If the file is one shard of them, this is the whole list.
    pub pictures: &'a [Source],
    /// The part of the pictures to compute; `None` for all.
    pub shard: Option<Shard>,
    /// The preset that the backbone's taps come from.
    pub preset: &'a str,
    /// Whether the pictures are added to those that the file has already.
    pub append: bool,
    /// Whether unreadable pictures are left out instead of ending the pass.
    pub skip_unreadable: bool,
}

/// Holds what was made.
#[derive(Debug)]
pub struct Computed {
    /// The number of pictures in the file.
    pub pictures: usize,
    /// The number of pictures that this run computed.
    pub computed: usize,
    /// The number of pictures kept from a run that was interrupted.
    pub taken_over: usize,
    /// The number of pictures that the file had before.
    pub kept: usize,
    /// The number of bytes of the file.
    pub bytes: u64,
    /// The errors of the pictures that could not be read.
    pub skipped: Vec<Error>,
    /// What a person should know about the pictures.
    pub warnings: Vec<String>,
}

/// Computes the features of all pictures into a file.
///
/// # Errors
/// Returns [`crate::error::Kind::Image`] if pictures are unreadable (unless they may be skipped) or if the file to add
/// to is of another backbone. Passes on the errors of the backbone and the disk. What was computed before an error
/// stays for the next run.
pub fn compute(order: &Order, backbone: &dyn Backbone, progress: Progress) -> Result<Computed> {
    let header = Header {
        backbone: backbone.identity().clone(),
        extractor: backbone.extractor().into(),
        preset: order.preset.into(),
        part: order.shard.map(|shard| PartOfList::new(shard, order.pictures)),
    };
    let pictures = own_pictures(order)?;
    let old = match order.append && order.destination.exists() {
        true => Some(open_to_append(order.destination, &header)?),
        false => None,
    };
    // An append that was interrupted has the old pictures first.
    let mut part = Part::open(order.destination, header)?;
    let kept = match &old {
        Some(old) => part.start_with(old)?,
        None => 0,
    };
    let known: HashSet<[u8; 32]> =
        old.iter().flat_map(|o| o.pictures()).map(|p| p.digest).collect();
    let (todo, mut skipped) = part.take_over(kept, pictures, &known)?;
    let taken_over = part.records.len() - kept;

    let mut computed = 0;
    let manner = Manner { skip_unreadable: order.skip_unreadable, ..Manner::default() };
    let mut facts = Vec::new();
    let more = extract(&todo, backbone, manner, progress, &mut |_, one| {
        computed += 1;
        facts.extend(one.seen.as_ref().map(|seen| (one.picture.name.clone(), seen.facts)));
        part.write(&one)
    })?;
    skipped.extend(more);
    if !skipped.is_empty() && !order.skip_unreadable {
        return Err(Error::unreadable(&skipped, pictures.len()));
    }
    if part.records.is_empty() {
        return Err(data_error("there is no picture to compute features of")
            .advise("give a folder of pictures of good parts"));
    }
    let mut warnings = size_warnings(part.records.iter().map(|r| &r.picture));
    warnings.extend(notices::of_set(&facts, None)?.iter().map(ToString::to_string));
    let pictures = part.records.len();
    let bytes = part.finish()?;
    Ok(Computed { pictures, computed, taken_over, kept, bytes, skipped, warnings })
}

/// Returns the pictures of the shard that was asked for.
fn own_pictures<'a>(order: &Order<'a>) -> Result<&'a [Source]> {
    let Some(shard) = order.shard else { return Ok(order.pictures) };
    let count = order.pictures.len();
    // All jobs refuse, not only those without a picture.
    if count < shard.of as usize {
        return Err(Error::usage(format!(
            "there {} {}, too few for {} shards",
            form(count, "is", "are"),
            counted(count, "picture"),
            shard.of
        ))
        .advise("use fewer shards"));
    }
    Ok(shard.part_of(order.pictures))
}

fn open_to_append(path: &Path, header: &Header) -> Result<FeaturesFile> {
    let old = FeaturesFile::open(path)?;
    shards::require_whole(&old)?;
    let differences = old.header().differences(header);
    if differences.is_empty() {
        return Ok(old);
    }
    Err(data_error(format!(
        "{}: its features are of another kind (different: {differences})\n  there: {}, {}\n  here:  {}, {}",
        path.display(),
        old.header().extractor,
        old.header().backbone,
        header.extractor,
        header.backbone
    ))
    .advise("use the options with which it was made, or write to another file"))
}

/// Returns the file that grows beside `destination` until it is complete.
pub fn growing(destination: &Path) -> PathBuf {
    let mut path = destination.as_os_str().to_owned();
    path.push(".part");
    path.into()
}

/// Holds a features file that grows.
pub(super) struct Part {
    destination: PathBuf,
    path: PathBuf,
    file: File,
    header: Header,
    header_bytes: Vec<u8>,
    records: Vec<Record>,
    end: u64,
}

impl Part {
    /// Opens the growing file of `destination` with the complete records that it has. A file with another header is
    /// begun anew.
    pub(super) fn open(destination: &Path, header: Header) -> Result<Self> {
        if destination.is_dir() {
            return Err(Error::usage(format!("{}: this is a folder", destination.display()))
                .advise("give the name of a .features file"));
        }
        let path = growing(destination);
        let failed = |e: std::io::Error| Error::io(&path, "cannot be written", &e);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(data_error(format!(
                    "{}: another run is writing this file",
                    path.display()
                ))
                .advise("wait until it is done, or write to another file"));
            }
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        let header_bytes = header.encode()?;
        let start = (super::PRELUDE + header_bytes.len()) as u64;
        let records = match read_head(&file) {
            Ok((found, _, end)) if found == header => walk(&file, &header, end)?,
            _ => Vec::new(),
        };
        let part = Part {
            destination: destination.into(),
            path,
            file,
            header,
            header_bytes,
            records,
            end: start,
        };
        part.proven()
    }

    /// Cuts the file before the first record whose features fail their checksum. What a power cut leaves behind need
    /// not have a clean end.
    fn proven(mut self) -> Result<Self> {
        let mut sound = 0;
        while let Some(record) = self.records.get(sound)
            && self.is_sound(record)?
        {
            sound += 1;
        }
        self.cut_to(sound)?;
        Ok(self)
    }

    fn is_sound(&self, record: &Record) -> Result<bool> {
        let mut bytes = vec![0; self.header.sample_bytes() + self.header.map_bytes()];
        let mut file = &self.file;
        file.seek(SeekFrom::Start(record.samples)).map_err(|e| self.cannot_write(&e))?;
        file.read_exact(&mut bytes).map_err(|e| self.cannot_write(&e))?;
        let (samples, maps) = bytes.split_at(self.header.sample_bytes());
        Ok(crc32fast::hash(samples) == record.prelude.samples_crc
            && crc32fast::hash(maps) == record.prelude.maps_crc)
    }

    /// Keeps the first `count` records, behind a prelude that says that the file is not complete.
    pub(super) fn cut_to(&mut self, count: usize) -> Result<()> {
        self.records.truncate(count);
        let start = (super::PRELUDE + self.header_bytes.len()) as u64;
        self.end = self.records.last().map_or(start, |r| end_of(r, &self.header));
        self.write_head(false)?;
        self.file.set_len(self.end).map_err(|e| self.cannot_write(&e))
    }

    /// Makes the records of `old` the first ones, and returns their number.
    fn start_with(&mut self, old: &FeaturesFile) -> Result<usize> {
        let there = self.records.iter().map(|r| r.prelude);
        let (_, records) = old.parts();
        let same = records.len() <= self.records.len()
            && there.zip(records).all(|(there, record)| there == record.prelude);
        if !same {
            self.cut_to(0)?;
            for index in 0..records.len() {
                self.copy(old, index)?;
            }
        }
        Ok(records.len())
    }

    /// Adds record `index` of another file.
    pub(super) fn copy(&mut self, from: &FeaturesFile, index: usize) -> Result<()> {
        let (_, records) = from.parts();
        let picture = records[index].picture.clone();
        let image = from.image(index)?;
        let maps = from.maps(index)?;
        self.write(&Extracted { picture, image, maps, seen: None })
    }

    /// Returns the pictures that are still to be computed, and the errors of those that cannot be read. It cuts off the
    /// records from `kept` on that are not the first of `pictures`. It leaves out pictures whose digest is `known`.
    fn take_over<'a>(
        &mut self,
        kept: usize,
        pictures: &'a [Source],
        known: &HashSet<[u8; 32]>,
    ) -> Result<(Vec<&'a Source>, Vec<Error>)> {
        let mut at = kept;
        let mut skipped = Vec::new();
        let mut todo = Vec::new();
        for (i, source) in pictures.iter().enumerate() {
            if at == self.records.len() && known.is_empty() {
                todo.extend(&pictures[i..]);
                break;
            }
            match source.digest() {
                Ok(digest) if known.contains(&digest) => {}
                Ok(digest) if todo.is_empty() && self.is_record(at, source, &digest) => at += 1,
                // A picture without a record was unreadable then, or has changed since.
                Ok(_) if todo.is_empty() && at < self.records.len() => match source.read() {
                    Ok(_) => todo.push(source),
                    Err(e) => skipped.push(e),
                },
                Ok(_) => todo.push(source),
                Err(e) => skipped.push(e),
            }
        }
        if at < self.records.len() {
            self.cut_to(at)?;
        }
        Ok((todo, skipped))
    }

    fn is_record(&self, at: usize, source: &Source, digest: &[u8; 32]) -> bool {
        let record = self.records.get(at).map(|r| &r.picture);
        record.is_some_and(|p| p.digest == *digest && p.name == source.name())
    }

    /// Appends a picture.
    pub(super) fn write(&mut self, one: &Extracted) -> Result<()> {
        let samples: Vec<u8> = one.image.samples().iter().flat_map(|v| v.to_le_bytes()).collect();
        let mut maps_crc = crc32fast::Hasher::new();
        one.maps.iter().for_each(|map| maps_crc.update(bytemuck::cast_slice(map.data())));
        let picture = postcard::to_stdvec(&one.picture)
            .map_err(|e| data_error(format!("{}: {e}", one.picture.name)))?;
        let prelude = RecordPrelude {
            number: self.records.len() as u32,
            picture_bytes: picture.len() as u32,
            picture_crc: crc32fast::hash(&picture),
            samples_crc: crc32fast::hash(&samples),
            maps_crc: maps_crc.finalize(),
        };
        let mut bytes = Vec::with_capacity(super::RECORD_PRELUDE + picture.len() + samples.len());
        bytes.extend(prelude.encode());
        bytes.extend(&picture);
        let record = Record {
            picture: PictureRecord::clone(&one.picture),
            prelude,
            start: self.end,
            samples: self.end + bytes.len() as u64,
        };
        bytes.extend(&samples);
        self.file.seek(SeekFrom::Start(record.start)).map_err(|e| self.cannot_write(&e))?;
        self.file.write_all(&bytes).map_err(|e| self.cannot_write(&e))?;
        for map in &one.maps {
            let bytes = bytemuck::cast_slice(map.data());
            self.file.write_all(bytes).map_err(|e| self.cannot_write(&e))?;
        }
        self.end = end_of(&record, &self.header);
        self.records.push(record);
        Ok(())
    }

    fn write_head(&mut self, whole: bool) -> Result<()> {
        let totals = whole.then(|| totals_of(&self.records, self.end));
        let head = [&prelude(&self.header_bytes, totals)[..], &self.header_bytes].concat();
        let written = self.file.seek(SeekFrom::Start(0)).and_then(|_| self.file.write_all(&head));
        written.map_err(|e| self.cannot_write(&e))
    }

    /// Refuses features that say nothing. Usually two pictures are enough to show that they say something.
    fn check_usable(&self) -> Result<()> {
        let mut usable = Usable::new(&self.header.backbone);
        let (file, path, header) = (&self.file, &self.path, &self.header);
        for record in &self.records {
            let maps = maps_of(file, path, header, record)?;
            usable.push(&maps, || image_of(file, path, header, record))?;
            if usable.is_settled() {
                break;
            }
        }
        usable.finish().map(|_| ()).map_err(|e| e.within(path.display()))
    }

    /// Says in the prelude that the file is complete, and renames it to its destination. Returns its bytes.
    ///
    /// # Errors
    /// Returns [`crate::error::Kind::Model`] if the features say nothing. Passes on the errors of the disk.
    pub(super) fn finish(mut self) -> Result<u64> {
        self.check_usable()?;
        // Sync the records first: a prelude must not claim what a power cut can undo.
        self.file.sync_all().map_err(|e| self.cannot_write(&e))?;
        self.write_head(true)?;
        self.file.sync_all().map_err(|e| self.cannot_write(&e))?;
        files::rename(&self.path, &self.destination)?;
        Ok(self.end)
    }

    fn cannot_write(&self, e: &std::io::Error) -> Error {
        Error::io(&self.path, "cannot be written", e)
    }
}
