//! Takes template files apart, changes them, and puts them together again with right checksums.
#![allow(dead_code)]

use hetmm::template::container::{self, Section, SectionKind};
use hetmm::template::header::Header;
use hetmm::template::{HeaderV1, Settings};

/// Holds a template file in sections.
#[derive(Clone)]
pub struct Parts {
    pub header: Vec<u8>,
    pub sections: Vec<(SectionKind, u16, Vec<u8>)>,
}

impl Parts {
    /// Returns the sections of a whole file.
    pub fn of(file: &[u8]) -> Self {
        let parsed = container::parse(file).expect("a whole file");
        let bytes = |s: &Section| file[s.range.start as usize..s.range.end as usize].to_vec();
        Parts {
            header: parsed.header.to_vec(),
            sections: parsed.sections.iter().map(|s| (s.kind, s.index, bytes(s))).collect(),
        }
    }

    /// Returns what the header says, or `None` if it is not a header.
    pub fn decoded(&self) -> Option<(HeaderV1, Settings)> {
        let (header, rest) = postcard::take_from_bytes::<Header>(&self.header).ok()?;
        rest.is_empty().then(|| header.into_parts())
    }

    /// Returns the same with another header.
    pub fn with_header(&self, change: impl FnOnce(&mut HeaderV1, &mut Settings)) -> Self {
        let (mut header, mut settings) = self.decoded().expect("a header");
        change(&mut header, &mut settings);
        Parts { header: header.encode(&settings).expect("encodes"), ..self.clone() }
    }

    /// Returns the bytes of a section, which can then be changed.
    pub fn section(&mut self, kind: SectionKind, index: u16) -> &mut Vec<u8> {
        let found = self.sections.iter_mut().find(|s| (s.0, s.1) == (kind, index));
        &mut found.expect("a section").2
    }

    /// Returns the file with right checksums.
    pub fn file(&self) -> Vec<u8> {
        let sections = self.table();
        let mut file = container::head(&self.header, &sections);
        for (section, (_, _, bytes)) in sections.iter().zip(&self.sections) {
            file.resize(section.range.start as usize, 0);
            file.extend(bytes);
        }
        file
    }

    /// Returns the file with right checksums and a new seal, as only a program that knows the format can make it.
    pub fn sealed(&self) -> Vec<u8> {
        let Some((header, mut settings)) = self.decoded() else { return self.file() };
        let seal = header.seal(&settings, &container::table(&self.table())).expect("encodes");
        if let (Some(proof), Some(seal)) = (&mut settings.proof, seal) {
            proof.seal = seal;
        }
        Parts { header: header.encode(&settings).expect("encodes"), ..self.clone() }.file()
    }

    fn table(&self) -> Vec<Section> {
        let lengths: Vec<_> =
            self.sections.iter().map(|(k, i, bytes)| (*k, *i, bytes.len() as u64)).collect();
        let mut sections = container::lay_out(self.header.len(), &lengths);
        for (section, (_, _, bytes)) in sections.iter_mut().zip(&self.sections) {
            section.crc = crc32fast::hash(bytes);
        }
        sections
    }
}

/// Gives random numbers that a seed repeats.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// Returns numbers that cause trouble, and small steps away from `value`.
    pub fn float(&mut self, value: f32) -> f32 {
        match self.below(14) {
            0 => f32::NAN,
            1 => f32::INFINITY,
            2 => f32::NEG_INFINITY,
            3 => 0.0,
            4 => -0.0,
            5 => 1e38,
            6 => 1e-40,
            7 => -value,
            8 => value * 2.0,
            9 => value * 0.5,
            10 => value + 0.2,
            11 => value - 0.2,
            12 => 1.0,
            _ => f32::from_bits(value.to_bits() ^ 1 << self.below(32)),
        }
    }
}
