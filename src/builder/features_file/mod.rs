//! Reads and writes the features file. It keeps what the feature pass computes, so that it is computed only once.
//!
//! The file has a prelude, a header, and one record per picture: its description, its samples at network size, and its
//! feature maps. Records are appended as they are computed, and each has its own checksums. So an interrupted pass can
//! continue where it stopped. Only a complete file says in its prelude how many pictures and bytes it has.
//! `docs/features-format.md` describes the bytes. The template's container does not fit here, because it has to know
//! the length of everything before its first section.

mod merge;
mod read;
mod shards;
mod write;

pub use merge::{Merged, merge};
pub use read::FeaturesFile;
pub use shards::PartOfList;
pub(in crate::builder) use shards::require_whole;
pub use write::{Computed, Order, compute, growing};

use crate::backbone::{Identity, TapIdentity};
use crate::error::{Error, Kind, Result};
use crate::files::outputs::Format;
use serde::{Deserialize, Serialize};

/// The first bytes of every features file.
pub const MAGIC: [u8; 8] = *b"HETMF\r\n\x1a";
/// Says how a features file is recognised before another one replaces it.
pub const FORMAT: Format = Format {
    name: "a features file",
    reads: MAGIC.len() as u64,
    is_one: |bytes| bytes.starts_with(&MAGIC),
};
/// Says how a growing features file is recognised before it is continued or begun anew. An interruption may have cut it
/// anywhere, and a power loss may have left zeros at its beginning.
pub const GROWING: Format = Format {
    name: "a features file that was interrupted",
    reads: MAGIC.len() as u64,
    is_one: |bytes| MAGIC.starts_with(bytes) || bytes.iter().all(|&byte| byte == 0),
};
/// The major version of the format. Files of another one cannot be read.
pub const MAJOR: u16 = 1;
/// The minor version of the format.
pub const MINOR: u16 = 0;
const PRELUDE: usize = 64;
const RECORD_PRELUDE: usize = 32;
const RECORD_MAGIC: [u8; 4] = *b"PIC\x1a";
/// The largest header and the largest description of a picture that are read, in bytes.
const MAX_HEADER: u32 = 1 << 20;
const MAX_PICTURE: u32 = 1 << 16;
/// The largest number of bytes of the maps of one picture, which are read into memory together: 4 GiB.
const MAX_MAPS: u64 = 1 << 32;

/// Holds all versions of the header. Only append to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Versions {
    V1(Header),
    /// As `V1`, of a file that holds one part of a list.
    V2(Header, PartOfList),
}

/// Holds what all pictures of a file share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The backbone, with its preprocessing and taps.
    pub backbone: Identity,
    /// The feature extractor that computed, as [`crate::backbone::Backbone::extractor`] says.
    pub extractor: String,
    /// The preset that the taps come from.
    pub preset: String,
    /// The part of a list of pictures that the file holds; `None` for all of it.
    #[serde(skip)]
    pub part: Option<PartOfList>,
}

/// Describes one picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureRecord {
    /// The file name.
    pub name: String,
    /// The BLAKE3 of the file.
    pub digest: [u8; 32],
    /// The number of columns.
    pub width: u32,
    /// The number of rows.
    pub height: u32,
}

/// Holds the counts that make a file complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Totals {
    pictures: u64,
    bytes: u64,
    /// The CRC-32 of the preludes of all records.
    crc: u32,
}

impl Header {
    fn encode(&self) -> Result<Vec<u8>> {
        let versions = match self.part {
            Some(part) => Versions::V2(self.clone(), part),
            None => Versions::V1(self.clone()),
        };
        postcard::to_stdvec(&versions)
            .map_err(|e| data_error(format!("the header cannot be written: {e}")))
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let (versions, rest) = postcard::take_from_bytes(bytes).map_err(|e| {
            data_error(format!("its header cannot be read: {e}"))
                .advise("update this program: the file may come from a newer version")
        })?;
        let header = match versions {
            Versions::V1(header) => header,
            Versions::V2(header, part) => Header { part: Some(part), ..header },
        };
        let id = &header.backbone;
        let side = |side: &u32| (1..=4096).contains(side);
        let fine = rest.is_empty()
            && [id.height, id.width].iter().all(side)
            && (1..=16).contains(&id.taps.len())
            && id
                .taps
                .iter()
                .all(|t| side(&t.height) && side(&t.width) && (1..=65_536).contains(&t.channels))
            && header.part.is_none_or(|part| part.shard.is_possible())
            && header.map_bytes() as u64 <= MAX_MAPS;
        if fine { Ok(header) } else { Err(damaged("the header")) }
    }

    /// Returns the bytes of a picture's samples: u16, `[y][x][rgb]`.
    fn sample_bytes(&self) -> usize {
        6 * self.backbone.height as usize * self.backbone.width as usize
    }

    /// Returns the bytes of a picture's maps: f32, tap by tap, `[y][x][channel]`.
    fn map_bytes(&self) -> usize {
        self.backbone.taps.iter().map(|tap| 4 * tap_values(tap)).sum()
    }

    /// Returns in words what differs from another file's header. It is empty if both files may be merged.
    fn differences(&self, other: &Header) -> String {
        let mut differences = self.backbone.differences(&other.backbone);
        if self.extractor != other.extractor {
            differences.push("engine");
        }
        differences.join(", ")
    }
}

fn tap_values(tap: &TapIdentity) -> usize {
    tap.height as usize * tap.width as usize * tap.channels as usize
}

/// Encodes the prelude. `totals` are `None` while the file grows.
fn prelude(header: &[u8], totals: Option<Totals>) -> [u8; PRELUDE] {
    let totals = totals.unwrap_or(Totals { pictures: 0, bytes: 0, crc: 0 });
    let mut bytes = [0; PRELUDE];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &MAGIC);
    put(8, &MAJOR.to_le_bytes());
    put(10, &MINOR.to_le_bytes());
    put(12, &(header.len() as u32).to_le_bytes());
    put(16, &crc32fast::hash(header).to_le_bytes());
    put(20, &totals.crc.to_le_bytes());
    put(24, &totals.pictures.to_le_bytes());
    put(32, &totals.bytes.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..PRELUDE - 4]).to_le_bytes();
    bytes[PRELUDE - 4..].copy_from_slice(&crc);
    bytes
}

/// Parses a prelude: the length and checksum of the header, and the totals of a complete file.
fn parse_prelude(bytes: &[u8; PRELUDE]) -> Result<(u32, u32, Option<Totals>)> {
    if bytes[..8] != MAGIC {
        return Err(data_error("not a features file")
            .advise("give a .features file that `hetmm features` wrote"));
    }
    if crc32fast::hash(&bytes[..PRELUDE - 4]) != u32_at(bytes, PRELUDE - 4) {
        return Err(damaged("the prelude"));
    }
    let major = u16::from_le_bytes([bytes[8], bytes[9]]);
    if major != MAJOR {
        return Err(data_error(format!(
            "the file has format {major}, but this program reads format {MAJOR}"
        ))
        .advise("compute the features again with this version of the program"));
    }
    let length = u32_at(bytes, 12);
    if length > MAX_HEADER {
        return Err(damaged("the prelude"));
    }
    let totals =
        Totals { pictures: u64_at(bytes, 24), bytes: u64_at(bytes, 32), crc: u32_at(bytes, 20) };
    Ok((length, u32_at(bytes, 16), (totals.bytes > 0).then_some(totals)))
}

/// Holds the first bytes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RecordPrelude {
    number: u32,
    picture_bytes: u32,
    picture_crc: u32,
    samples_crc: u32,
    maps_crc: u32,
}

impl RecordPrelude {
    fn encode(&self) -> [u8; RECORD_PRELUDE] {
        let mut bytes = [0; RECORD_PRELUDE];
        bytes[..4].copy_from_slice(&RECORD_MAGIC);
        let numbers =
            [self.number, self.picture_bytes, self.picture_crc, self.samples_crc, self.maps_crc, 0];
        for (place, number) in bytes[4..28].chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let crc = crc32fast::hash(&bytes[..28]).to_le_bytes();
        bytes[28..].copy_from_slice(&crc);
        bytes
    }

    /// Returns `None` if these are not the first bytes of record `number`.
    fn decode(bytes: &[u8; RECORD_PRELUDE], number: u32) -> Option<Self> {
        let prelude = RecordPrelude {
            number,
            picture_bytes: u32_at(bytes, 8),
            picture_crc: u32_at(bytes, 12),
            samples_crc: u32_at(bytes, 16),
            maps_crc: u32_at(bytes, 20),
        };
        (prelude.encode() == *bytes && prelude.picture_bytes <= MAX_PICTURE).then_some(prelude)
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

fn data_error(what: impl Into<String>) -> Error {
    Error::new(Kind::Image, what)
}

fn damaged(part: &str) -> Error {
    data_error(format!("the features file is damaged in {part}"))
        .advise("copy the file again from its source, or compute the features again")
}
