//! Templates: whole files, the postcard header, and the journal. Checksums and seal are made right, so that what they
//! cover is read.

use crate::seeds::forged::Parts;
use crate::seeds::{self, with_journal};
use hetmm::template::{Template, header};
use hetmm::update::{self, journal};
use std::path::PathBuf;
use std::sync::OnceLock;

/// Reads all of a template that was accepted.
fn use_all(template: &Template) {
    let _ = template.check_prototypes();
    if let Ok(entries) = journal::read(template) {
        journal::since_threshold(template, &entries);
    }
    let (built, inserted) = template.pictures();
    assert_eq!(built.len() + inserted.len(), template.header().build.images.len());
    for layer in 0..template.layers() {
        let shape = template.sheets(layer).shape();
        assert!(template.sources(layer).len() >= shape.pixels() * shape.sheets);
        template.baseline(layer);
    }
    (0..template.header().probes.len()).for_each(|probe| drop(template.probe(probe)));
    template.mask();
}

pub fn whole(input: &[u8]) {
    let mut file = input.to_vec();
    repair(&mut file);
    // A file of right form also gets a right seal.
    if let Ok(parsed) = hetmm::template::container::parse(&file)
        && parsed.sections.len() == parsed.table.len() / 32
    {
        file = Parts::of(&file).sealed();
    }
    if let Ok(template) = Template::from_bytes(&file) {
        use_all(&template);
    }
}

/// Computes the checksums of a file anew, as far as its lengths make sense.
fn repair(file: &mut [u8]) {
    let u32_at = |file: &[u8], at: usize| {
        file.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)
    };
    let put = |file: &mut [u8], at: usize, crc: u32| {
        if let Some(place) = file.get_mut(at..at + 4) {
            place.copy_from_slice(&crc.to_le_bytes());
        }
    };
    let (header, count) = (u32_at(file, 12).min(file.len()), u32_at(file, 20).min(64));
    let table = 32 + header;
    for entry in (0..count).map(|i| table + 32 * i) {
        let (start, length) = (u32_at(file, entry + 8), u32_at(file, entry + 16));
        let crc = file.get(start..start.saturating_add(length)).map(crc32fast::hash);
        put(file, entry + 4, crc.unwrap_or(0));
    }
    let crc = file.get(32..table).map_or(0, crc32fast::hash);
    put(file, 16, crc);
    let crc = file.get(table..table + 32 * count).map_or(0, crc32fast::hash);
    put(file, 24, crc);
    let crc = file.get(..28).map_or(0, crc32fast::hash);
    put(file, 28, crc);
}

pub fn header(input: &[u8]) {
    if let Ok((header, settings)) = header::decode(input) {
        let written = header.encode(&settings).expect("what was read can be written");
        assert_eq!(header::decode(&written).expect("and read again"), (header, settings));
    }
    static PARTS: OnceLock<Parts> = OnceLock::new();
    let parts = PARTS.get_or_init(|| Parts::of(&seeds::template()));
    let parts = Parts { header: input.to_vec(), ..parts.clone() };
    if let Ok(template) = Template::from_bytes(&parts.sealed()) {
        use_all(&template);
    }
}

pub fn journal(input: &[u8]) {
    let file = with_journal(&[input]);
    let template = Template::from_bytes(&file).expect("a journal is not read with the template");
    let Ok(entries) = journal::read(&template) else { return };
    journal::since_threshold(&template, &entries);
    for (entry, _) in &entries {
        let written = entry.encode().expect("what was read can be written");
        let again = Template::from_bytes(&with_journal(&[&written])).expect("opens");
        let again = journal::read(&again).expect("what was written can be read");
        assert_eq!(&again[0].0, entry);
    }
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    let path = FILE.get_or_init(|| seeds::scratch().join("template.hetmm"));
    std::fs::write(path, &file).expect("writes");
    // It compares the BLAKE3 of what it makes with that in the entry, so it is nearly always refused.
    let _ = update::undo(path, None);
}
