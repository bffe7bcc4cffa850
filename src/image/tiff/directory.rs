//! This module looks at the directories of a TIFF file before a decoder reserves memory for what
//! they declare.

use crate::error::Result;
use crate::image::limits::{several, truncated, unreadable};

/// The most directories that are counted.
const MOST_DIRECTORIES: u32 = 1000;
/// The bit of the subfile type that says "this directory holds a smaller version of another".
const REDUCED: u64 = 1;
const SUBFILE_TYPE: u16 = 254;
const PHOTOMETRIC: u16 = 262;

/// The part of the first directory that says how to read its samples.
pub(super) struct Directory {
    /// The position of the value of the photometric interpretation in the file, if there is one.
    pub(super) photometric_at: Option<usize>,
}

/// Looks through all directories.
///
/// # Errors
/// [`crate::error::Kind::Image`] where a directory does not lie in the file, or an entry is longer
/// than the file. The same where there are several pictures or none.
pub(super) fn check(bytes: &[u8]) -> Result<Directory> {
    let file = File::new(bytes).ok_or_else(|| truncated("the TIFF header is cut off"))?;
    let mut at = file.number(file.first_at, file.word).unwrap_or(0);
    let (mut directories, mut pages, mut first) = (0, 0, None);
    while at != 0 {
        directories += 1;
        if directories > MOST_DIRECTORIES {
            return Err(unreadable(format!(
                "a TIFF of more than {MOST_DIRECTORIES} directories, which may be a circle"
            ))
            .advise("save the picture that shows the part as a file of its own"));
        }
        let (found, next) = file.directory(at)?;
        if found.subfile_type & REDUCED == 0 || first.is_none() {
            pages += 1;
        }
        first.get_or_insert(Directory { photometric_at: found.photometric_at });
        at = next;
    }
    match (first, pages) {
        (Some(directory), 1) => Ok(directory),
        (Some(_), pages) => Err(several(format_args!("a TIFF of {pages} pages"))),
        (None, _) => {
            Err(unreadable("a TIFF without a picture").advise("save it again, or remove it"))
        }
    }
}

/// The contents of a directory that matter here.
#[derive(Default)]
struct Found {
    subfile_type: u64,
    photometric_at: Option<usize>,
}

/// The bytes of a file, and how numbers are written in it.
struct File<'a> {
    bytes: &'a [u8],
    little_endian: bool,
    /// The number of bytes of an offset: 4, or 8 in a BigTIFF.
    word: usize,
    /// The position of the offset of the first directory.
    first_at: usize,
}

impl<'a> File<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let little_endian = bytes.starts_with(b"II");
        let mut file = File { bytes, little_endian, word: 4, first_at: 4 };
        if file.number(2, 2)? == 43 {
            (file.word, file.first_at) = (8, 8);
        }
        Some(file)
    }

    /// Returns the number of `length` bytes at `at`.
    fn number(&self, at: usize, length: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at.checked_add(length)?)?;
        let add = |value: u64, &byte: &u8| value << 8 | u64::from(byte);
        Some(match self.little_endian {
            true => bytes.iter().rev().fold(0, add),
            false => bytes.iter().fold(0, add),
        })
    }

    /// Returns the contents of the directory at `at`, and the position of the next directory, or 0
    /// where there is none.
    fn directory(&self, at: u64) -> Result<(Found, u64)> {
        let outside = || truncated("a TIFF directory lies outside the file");
        let count_bytes = if self.word == 8 { 8 } else { 2 };
        let entry_bytes = 4 + 2 * self.word;
        let at = usize::try_from(at).map_err(|_| outside())?;
        let count = self.number(at, count_bytes).ok_or_else(outside)?;
        let count = usize::try_from(count).map_err(|_| outside())?;
        let entries = at.saturating_add(count_bytes);
        let end = count.checked_mul(entry_bytes).and_then(|length| entries.checked_add(length));
        let end = end.filter(|&end| end <= self.bytes.len()).ok_or_else(outside)?;
        let mut found = Found::default();
        for entry in (entries..end).step_by(entry_bytes) {
            self.entry(entry, &mut found)
                .ok_or_else(|| truncated("a TIFF entry says that it is longer than the file"))?;
        }
        // Old writers leave out the last offset.
        Ok((found, self.number(end, self.word).unwrap_or(0)))
    }

    /// Reads the entry at `at`. Returns `None` where its values cannot lie in the file.
    fn entry(&self, at: usize, found: &mut Found) -> Option<()> {
        let (tag, kind) = (self.number(at, 2)?, self.number(at + 2, 2)?);
        let count = self.number(at + 4, self.word)?;
        let value_at = at + 4 + self.word;
        let value_bytes = match kind {
            1 | 2 | 6 | 7 => 1,
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 | 16 | 17 | 18 => 8,
            _ => 0,
        };
        let length = count.checked_mul(value_bytes as u64)?;
        if length > self.bytes.len() as u64 {
            return None;
        }
        match tag as u16 {
            SUBFILE_TYPE if value_bytes > 0 && value_bytes <= self.word => {
                found.subfile_type = self.number(value_at, value_bytes)?;
            }
            PHOTOMETRIC if kind == 3 => found.photometric_at = Some(value_at),
            _ => {}
        }
        Some(())
    }
}
