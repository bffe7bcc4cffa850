//! This module handles the outer form of the file: prelude, header bytes, section table, aligned
//! sections.
//!
//! Checks cover every byte. A CRC-32 covers the prelude, the header, the table and each section.
//! The padding between them must be zero, and the file must end where the table says. All numbers
//! are little-endian. Every length is checked against the file before it is used.

use crate::error::{Error, Result};
use crate::files::outputs::Format;
use std::ops::Range;

/// The first bytes of every template. The line ends in it catch transfers in text mode.
pub const MAGIC: [u8; 8] = *b"HETMM\r\n\x1a";
/// The format by which a template is recognised before another template replaces it.
pub const FORMAT: Format = Format {
    name: "a template",
    reads: MAGIC.len() as u64,
    is_one: |bytes| bytes.starts_with(&MAGIC),
};
/// The major version. Files of another major version cannot be read.
pub const MAJOR: u16 = 1;
/// The minor version. Files of a newer minor version can be read, except for what is new in them.
pub const MINOR: u16 = 0;
/// The number of bytes of the prelude.
pub const PRELUDE: usize = 32;
/// The number of bytes of one entry of the section table.
pub const ENTRY: usize = 32;
/// Sections start at multiples of this.
pub const ALIGNMENT: u64 = 64;
/// The largest header that is read, in bytes.
const MAX_HEADER: u64 = 1 << 30;
/// The most sections that a file may have.
pub const MAX_SECTIONS: u32 = 4096;
/// The bit that marks optional section kinds. A reader may skip such a section if it does not know
/// the kind.
pub const OPTIONAL: u16 = 0x8000;

/// The kind of content of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SectionKind {
    /// The prototype values of a layer, in the layout of `matching::sheets`.
    Values,
    /// The source picture of every prototype of a layer, u32, `[pixel][sheet]`.
    Sources,
    /// The factors by which the vectors of a layer's 8-bit values are multiplied, f32.
    Scales,
    /// The region of interest, one byte per pixel at the network's input size, 0 or 1.
    Mask,
    /// The mean leave-one-out distance map of a layer, f32, `[pixel]`.
    Baseline,
    /// The samples of a golden probe at the network's input size, u16, `[y][x][rgb]`.
    Probe,
    /// The zones of the region rules, one label per pixel at the network's input size. 255 is
    /// ignored.
    Zones,
    /// One picture that was inserted later, and the data to undo the insertion.
    Journal,
}

impl SectionKind {
    fn code(self) -> u16 {
        match self {
            SectionKind::Values => 1,
            SectionKind::Sources => 2,
            SectionKind::Scales => 3,
            SectionKind::Mask => 4,
            SectionKind::Baseline => 5,
            SectionKind::Probe => 6,
            SectionKind::Zones => 7,
            SectionKind::Journal => OPTIONAL | 1,
        }
    }

    fn from_code(code: u16) -> Option<Self> {
        use SectionKind::{Baseline, Journal, Mask, Probe, Scales, Sources, Values, Zones};
        [Values, Sources, Scales, Mask, Baseline, Probe, Zones, Journal]
            .into_iter()
            .find(|kind| kind.code() == code)
    }
}

/// The place of a section in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The kind of its content.
    pub kind: SectionKind,
    /// The number of the layer or probe that it belongs to.
    pub index: u16,
    /// Its bytes in the file.
    pub range: Range<u64>,
    /// The CRC-32 of its bytes.
    pub crc: u32,
}

impl std::fmt::Display for Section {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "section {:?} {}", self.kind, self.index)
    }
}

/// The parts of a file that passed all checks.
#[derive(Debug)]
pub struct Parsed<'a> {
    /// The header's bytes.
    pub header: &'a [u8],
    /// The bytes of the section table.
    pub table: &'a [u8],
    /// All sections of known kinds.
    pub sections: Vec<Section>,
}

/// Checks all of `file` and returns its parts.
///
/// # Errors
/// [`crate::error::Kind::Template`], which names the damaged part.
pub fn parse(file: &[u8]) -> Result<Parsed<'_>> {
    let prelude = file.get(..PRELUDE).ok_or_else(|| cut("the prelude"))?;
    if prelude[..8] != MAGIC {
        return Err(Error::template("not a hetmm template")
            .advise("give the .hetmm file that `hetmm build` wrote"));
    }
    let major = u16_at(prelude, 8);
    if crc32fast::hash(&prelude[..28]) != u32_at(prelude, 28) {
        return Err(damaged("the prelude"));
    }
    if major != MAJOR {
        return Err(Error::template(format!(
            "the template has format {major}, this program reads {MAJOR}"
        ))
        .advise(if major > MAJOR {
            "update this program"
        } else {
            "build the template again"
        }));
    }
    let header_end = PRELUDE as u64 + u64::from(u32_at(prelude, 12));
    let count = u32_at(prelude, 20);
    if header_end > MAX_HEADER || count > MAX_SECTIONS {
        return Err(damaged("the prelude"));
    }
    let header = slice(file, PRELUDE as u64..header_end).ok_or_else(|| cut("the header"))?;
    if crc32fast::hash(header) != u32_at(prelude, 16) {
        return Err(damaged("the header"));
    }
    let table_end = header_end + u64::from(count) * ENTRY as u64;
    let table = slice(file, header_end..table_end).ok_or_else(|| cut("the section table"))?;
    if crc32fast::hash(table) != u32_at(prelude, 24) {
        return Err(damaged("the section table"));
    }
    let mut sections = Vec::new();
    let mut end = table_end;
    for entry in table.chunks_exact(ENTRY) {
        let (code, index) = (u16_at(entry, 0), u16_at(entry, 2));
        let (offset, length) = (u64_at(entry, 8), u64_at(entry, 16));
        let name = SectionKind::from_code(code).map_or_else(
            || format!("section of kind {code}"),
            |kind| format!("section {kind:?} {index}"),
        );
        let range =
            offset..offset.checked_add(length).ok_or_else(|| damaged("the section table"))?;
        if offset != end.next_multiple_of(ALIGNMENT) || u64_at(entry, 24) != 0 {
            return Err(damaged("the section table"));
        }
        let padding = slice(file, end..offset).ok_or_else(|| cut(&name))?;
        if padding.iter().any(|&b| b != 0) {
            return Err(damaged(&format!("the padding before {name}")));
        }
        let bytes = slice(file, range.clone()).ok_or_else(|| cut(&name))?;
        if crc32fast::hash(bytes) != u32_at(entry, 4) {
            return Err(damaged(&name));
        }
        end = range.end;
        match SectionKind::from_code(code) {
            Some(kind) => sections.push(Section { kind, index, range, crc: u32_at(entry, 4) }),
            None if code & OPTIONAL != 0 => {}
            None => {
                return Err(Error::template(format!(
                    "the template has a section that this program does not know ({name})"
                ))
                .advise("update this program"));
            }
        }
    }
    if end != file.len() as u64 {
        return Err(damaged("the end of the file (there is more than the table says)"));
    }
    Ok(Parsed { header, table, sections })
}

/// Makes the bytes of the section table.
pub fn table(sections: &[Section]) -> Vec<u8> {
    let mut table = Vec::with_capacity(sections.len() * ENTRY);
    for section in sections {
        table.extend(section.kind.code().to_le_bytes());
        table.extend(section.index.to_le_bytes());
        table.extend(section.crc.to_le_bytes());
        table.extend(section.range.start.to_le_bytes());
        table.extend((section.range.end - section.range.start).to_le_bytes());
        table.extend(0u64.to_le_bytes());
    }
    table
}

/// Makes the bytes before the first section: prelude, header and table.
pub fn head(header: &[u8], sections: &[Section]) -> Vec<u8> {
    let table = table(sections);
    let mut head = Vec::with_capacity(PRELUDE + header.len() + table.len());
    head.extend(MAGIC);
    head.extend(MAJOR.to_le_bytes());
    head.extend(MINOR.to_le_bytes());
    head.extend((header.len() as u32).to_le_bytes());
    head.extend(crc32fast::hash(header).to_le_bytes());
    head.extend((sections.len() as u32).to_le_bytes());
    head.extend(crc32fast::hash(&table).to_le_bytes());
    head.extend(crc32fast::hash(&head[..28]).to_le_bytes());
    head.extend(header);
    head.extend(table);
    head
}

/// Lays out sections of the given lengths after a header of `header` bytes.
pub fn lay_out(header: usize, lengths: &[(SectionKind, u16, u64)]) -> Vec<Section> {
    let mut end = (PRELUDE + header + lengths.len() * ENTRY) as u64;
    lengths
        .iter()
        .map(|&(kind, index, length)| {
            let start = end.next_multiple_of(ALIGNMENT);
            end = start + length;
            Section { kind, index, range: start..end, crc: 0 }
        })
        .collect()
}

fn slice(file: &[u8], range: Range<u64>) -> Option<&[u8]> {
    file.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

fn cut(part: &str) -> Error {
    Error::template(format!("the template is cut off in {part}"))
        .advise("copy it again from its source, or build it again")
}

fn damaged(part: &str) -> Error {
    Error::template(format!("the template is damaged in {part}"))
        .advise("copy it again from its source, or build it again")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(contents: &[(SectionKind, u16, &[u8])]) -> Vec<u8> {
        let header = b"header";
        let lengths: Vec<_> = contents.iter().map(|(k, i, b)| (*k, *i, b.len() as u64)).collect();
        let mut sections = lay_out(header.len(), &lengths);
        for (section, (_, _, bytes)) in sections.iter_mut().zip(contents) {
            section.crc = crc32fast::hash(bytes);
        }
        let mut file = head(header, &sections);
        for (section, (_, _, bytes)) in sections.iter().zip(contents) {
            file.resize(section.range.start as usize, 0);
            file.extend(*bytes);
        }
        file
    }

    fn sample() -> Vec<u8> {
        file(&[
            (SectionKind::Values, 0, &[7; 100]),
            (SectionKind::Values, 1, &[]),
            (SectionKind::Mask, 0, &[1; 9]),
        ])
    }

    #[test]
    fn what_is_written_is_read() {
        let file = sample();
        let parsed = parse(&file).expect("whole");
        assert_eq!(parsed.header, b"header");
        assert_eq!(parsed.sections.len(), 3);
        assert!(parsed.sections.iter().all(|s| s.range.start % ALIGNMENT == 0));
        assert_eq!(file[parsed.sections[2].range.start as usize..], [1; 9]);
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        let whole = sample();
        for end in 0..whole.len() {
            assert!(parse(&whole[..end]).is_err(), "cut at {end}");
        }
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&flipped).is_err(), "bit {bit}");
        }
        assert!(parse(&[&whole[..], b"x"].concat()).is_err());
    }

    #[test]
    fn messages_name_the_part_and_a_newer_format_says_so() {
        let mut newer = sample();
        newer[8] = 2;
        let crc = crc32fast::hash(&newer[..28]).to_le_bytes();
        newer[28..32].copy_from_slice(&crc);
        assert!(parse(&newer).expect_err("newer").to_string().contains("update this program"));
        let mut flipped = sample();
        let last = flipped.len() - 1;
        flipped[last] ^= 1;
        assert!(parse(&flipped).expect_err("flipped").to_string().contains("section Mask 0"));
    }
}
