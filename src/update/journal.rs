//! This module holds the journal: what was inserted into a template, by whom and when, and how to
//! undo it.
//!
//! Each entry is one optional section, in order. It holds a postcard value of `enum Record`. A
//! reader that does not know these sections loses only the history. An entry is checked against the
//! template before any of its numbers is used.

use super::prototypes::Prototype;
use crate::error::{Error, Result};
use crate::template::container::SectionKind;
use crate::template::header::{self, Header};
use crate::template::{HeaderV1, Template};
use serde::{Deserialize, Serialize};

/// The most entries that a template accepts.
pub const MAX_ENTRIES: usize = 2000;

/// All versions of an entry. New versions are only appended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Record {
    /// The first version.
    V1(Entry),
    /// This version adds the zones of the region rules from before. It is written where there were
    /// any.
    V2(Entry, Vec<Run>),
}

/// A run of pixels of a label map that have the same label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    label: u8,
    pixels: u32,
}

/// One picture that was inserted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The number of the entry, counted from 1.
    pub id: u32,
    /// The time in seconds since 1970, by the clock of the machine that inserted the picture.
    pub when_unix_s: u64,
    /// The person or program that inserted it.
    pub who: String,
    /// The name of the picture's file.
    pub name: String,
    /// The BLAKE3 of the picture's file.
    pub digest: [u8; 32],
    /// A small JPEG of the picture.
    pub thumbnail: Vec<u8>,
    /// The picture's score before the insertion.
    pub score_before: f32,
    /// The picture's score after the insertion.
    pub score_after: f32,
    /// Whether it was inserted although it looked like a defect.
    pub forced: bool,
    /// The number of prototypes that came into the template.
    pub added: u32,
    /// The BLAKE3 of the template file before. Of several pictures that were inserted together,
    /// only the first one has it.
    pub file_before: Option<[u8; 32]>,
    /// The header before, without its list of pictures.
    pub header_before: Header,
    /// The number of pictures in the header before.
    pub images_before: u32,
    /// The changed parts of the template as they were before, layer by layer.
    pub layers: Vec<LayerBefore>,
    /// The zones of the region rules before, one label per pixel at the network's input size. The
    /// list is empty where there were none.
    #[serde(skip)]
    pub zones_before: Vec<u8>,
}

/// The changes that an insertion made in a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerBefore {
    /// The number of sheets before.
    pub sheets: u32,
    /// The prototypes that were replaced.
    pub replaced: Vec<Replaced>,
}

/// A prototype that was replaced by another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replaced {
    /// The pixel where it was.
    pub pixel: u32,
    /// The sheet it was on.
    pub sheet: u32,
    /// The picture it came from.
    pub source: u32,
    /// The scale of its 8-bit values.
    pub scale: f32,
    /// Its stored values.
    pub vector: Vec<u8>,
}

impl Record {
    /// Returns the entry, or `None` where it holds zones that do not fit `pixels` pixels.
    fn into_entry(self, pixels: usize) -> Option<Entry> {
        match self {
            Record::V1(entry) => Some(entry),
            Record::V2(mut entry, runs) => {
                let total: u64 = runs.iter().map(|run| u64::from(run.pixels)).sum();
                if total != pixels as u64 {
                    return None;
                }
                entry.zones_before = (runs.iter())
                    .flat_map(|run| std::iter::repeat_n(run.label, run.pixels as usize))
                    .collect();
                Some(entry)
            }
        }
    }
}

/// Encodes a label map as runs.
fn runs(labels: &[u8]) -> Vec<Run> {
    let same = labels.chunk_by(|a, b| a == b);
    same.map(|run| Run { label: run[0], pixels: run.len() as u32 }).collect()
}

impl Replaced {
    /// Records the prototype that `pixel` had on `sheet`.
    pub fn new(pixel: usize, sheet: usize, prototype: Prototype) -> Self {
        let Prototype { vector, scale, source } = prototype;
        Replaced { pixel: pixel as u32, sheet: sheet as u32, source, scale, vector }
    }

    /// Returns the prototype as it was stored.
    pub fn prototype(&self) -> Prototype {
        Prototype { vector: self.vector.clone(), scale: self.scale, source: self.source }
    }
}

impl Entry {
    /// Encodes the entry as the bytes of its section.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let record = match self.zones_before.is_empty() {
            true => Record::V1(self.clone()),
            false => Record::V2(self.clone(), runs(&self.zones_before)),
        };
        postcard::to_stdvec(&record)
            .map_err(|e| Error::template(format!("the journal cannot be written: {e}")))
    }

    /// Refuses values that no insertion writes.
    fn check(&self, header: &HeaderV1, index: usize) -> std::result::Result<(), &'static str> {
        let require = |holds: bool, what| if holds { Ok(()) } else { Err(what) };
        require(self.id as usize == index + 1, "number")?;
        require(self.layers.len() == header.layers.len(), "layers")?;
        let images = header.build.images.len();
        require((1..images).contains(&(self.images_before as usize)), "pictures")?;
        self.check_header_before(header)?;
        for (layer, before) in self.layers.iter().enumerate() {
            let shape = header.shape(layer).ok_or("layers")?;
            let sheets = before.sheets as usize;
            require((1..=shape.sheets).contains(&sheets), "sheets")?;
            for replaced in &before.replaced {
                require((replaced.pixel as usize) < shape.pixels(), "pixel")?;
                require((replaced.sheet as usize) < sheets, "sheet")?;
                require((replaced.source as usize) < images, "source")?;
                let length = shape.channels * header.storage.value_bytes();
                require(replaced.vector.len() == length, "vector")?;
                require(replaced.prototype().is_in_range(header.storage), "vector")?;
            }
        }
        Ok(())
    }

    /// Checks that the header from before makes sense, and belongs to the same template.
    fn check_header_before(&self, header: &HeaderV1) -> std::result::Result<(), &'static str> {
        let (mut before, settings) = self.header_before.clone().into_parts();
        // Entries leave out the pictures. New pictures are only ever appended to the others.
        before.build.images =
            header.build.images.iter().take(self.images_before as usize).cloned().collect();
        header::validate(&before, &settings)?;
        let sheets = before.layers.iter().map(|layer| layer.sheets);
        let is_same = before.backbone == header.backbone
            && before.storage == header.storage
            && sheets.eq(self.layers.iter().map(|layer| layer.sheets));
        if is_same { Ok(()) } else { Err("header before") }
    }
}

/// Reads the journal of a template, oldest entry first, with the bytes of every entry.
///
/// # Errors
/// [`crate::error::Kind::Template`] where an entry does not fit the template.
pub fn read(template: &Template) -> Result<Vec<(Entry, &[u8])>> {
    let sections = template.sections().iter().filter(|s| s.kind == SectionKind::Journal);
    sections
        .enumerate()
        .map(|(index, section)| {
            let unusable = |why: &dyn std::fmt::Display| {
                Error::template(format!("entry {} of the journal cannot be used: {why}", index + 1))
                    .advise("the template inspects as before; to insert or undo, build it again")
            };
            let bytes = template.section_bytes(section);
            let (record, rest) =
                postcard::take_from_bytes::<Record>(bytes).map_err(|e| unusable(&e))?;
            let id = &template.header().backbone;
            let entry = record
                .into_entry(id.height as usize * id.width as usize)
                .ok_or_else(|| unusable(&"zones"))?;
            if !rest.is_empty() || usize::from(section.index) != index {
                return Err(unusable(&"it is longer than it says, or out of place"));
            }
            entry.check(template.header(), index).map_err(|what| unusable(&what))?;
            Ok((entry, bytes))
        })
        .collect()
}

/// Counts the pictures at the end of the journal that were inserted since the current threshold was
/// set.
pub fn since_threshold(template: &Template, journal: &[(Entry, &[u8])]) -> usize {
    let in_force = (template.header().calibration.threshold, template.decision());
    let had_it = |(entry, _): &&(Entry, &[u8])| {
        let (header, settings) = entry.header_before.clone().into_parts();
        (header.calibration.threshold, settings.decision.as_ref()) == in_force
    };
    journal.iter().rev().take_while(had_it).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::header::tests::sample;

    /// Makes a header of 5 sheets, 2 x 4 pixels and 3 channels of 16 bits, and the entry of its
    /// last picture.
    fn inserted() -> (HeaderV1, Entry) {
        let mut header = sample();
        header.build.images.push(header.build.images[0].clone());
        let replaced = Replaced { pixel: 7, sheet: 4, source: 0, scale: 0.0, vector: vec![1; 6] };
        let entry = Entry {
            id: 1,
            when_unix_s: 1_790_000_000,
            who: "Ada".into(),
            name: "b.png".into(),
            digest: [8; 32],
            thumbnail: vec![0xff, 0xd8],
            score_before: 1.25,
            score_after: 0.25,
            forced: false,
            added: 1,
            file_before: Some([7; 32]),
            header_before: sample().versioned(&Default::default()),
            images_before: 1,
            layers: vec![LayerBefore { sheets: 5, replaced: vec![replaced] }],
            zones_before: Vec::new(),
        };
        (header, entry)
    }

    #[test]
    fn entries_are_frozen() {
        let (header, entry) = inserted();
        assert_eq!(entry.check(&header, 0), Ok(()));
        let bytes = entry.encode().expect("encodes");
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, include_str!("../../tests/golden/journal_v1.hex").trim());
        assert_eq!(postcard::from_bytes(&bytes), Ok(Record::V1(entry)));
    }

    #[test]
    fn entries_with_zones_are_frozen() {
        let (_, mut entry) = inserted();
        entry.zones_before = [vec![0; 300], vec![2; 7], vec![255; 13]].concat();
        let bytes = entry.encode().expect("encodes");
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, include_str!("../../tests/golden/journal_v2.hex").trim());
        let read = || postcard::from_bytes::<Record>(&bytes).expect("decodes");
        assert_eq!(read().into_entry(320), Some(entry));
        for pixels in [0, 319, 321] {
            assert_eq!(read().into_entry(pixels), None);
        }
    }

    #[test]
    fn entries_that_do_not_fit_the_template_are_refused() {
        let spoil: [fn(&mut Entry); 10] = [
            |e| e.id = 2,
            |e| e.layers.clear(),
            |e| e.images_before = 0,
            |e| e.images_before = 2,
            |e| e.layers[0].sheets = 6,
            |e| e.layers[0].sheets = 0,
            |e| e.layers[0].replaced[0].pixel = 8,
            |e| e.layers[0].replaced[0].sheet = 5,
            |e| e.layers[0].replaced[0].source = 2,
            |e| e.layers[0].replaced[0].vector.truncate(5),
        ];
        for (case, spoil) in spoil.iter().enumerate() {
            let (header, mut entry) = inserted();
            spoil(&mut entry);
            assert!(entry.check(&header, 0).is_err(), "case {case}");
        }
    }

    #[test]
    fn random_bytes_never_panic() {
        let good = inserted().1.encode().expect("encodes");
        for at in 0..good.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[at] = value;
                for bytes in [&bytes[..], &bytes[..at]] {
                    let record = postcard::from_bytes::<Record>(bytes).ok();
                    if let Some(entry) = record.and_then(|record| record.into_entry(8)) {
                        let _ = entry.check(&inserted().0, 0);
                    }
                }
            }
        }
    }
}
