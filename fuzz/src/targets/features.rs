//! Features files, with right checksums as far as their lengths make sense.

use crate::seeds::scratch;
use hetmm::backbone::{Identity, TapIdentity};
use hetmm::builder::features_file::{FeaturesFile, Header, PictureRecord};
use std::path::PathBuf;
use std::sync::OnceLock;

const PRELUDE: usize = 64;
const RECORD: usize = 32;

fn u32_at(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

fn put_crc(bytes: &mut [u8], at: usize, of: std::ops::Range<usize>) {
    let crc = bytes.get(of).map_or(0, crc32fast::hash);
    put(bytes, at, &crc.to_le_bytes());
}

/// Returns the bytes of samples and of maps of each picture, as the header says.
fn sizes(header: &[u8]) -> Option<(usize, usize)> {
    let header: Header = postcard::from_bytes(header.get(1..)?).ok()?;
    let id = &header.backbone;
    let area = |height: u32, width: u32| u128::from(height) * u128::from(width);
    let samples = 6 * area(id.height, id.width);
    let values = |tap: &TapIdentity| {
        area(tap.height, tap.width).saturating_mul(4 * u128::from(tap.channels))
    };
    let maps = id.taps.iter().map(values).fold(0u128, u128::saturating_add);
    Some((usize::try_from(samples).ok()?, usize::try_from(maps).ok()?))
}

fn repair(bytes: &mut [u8]) {
    let length = bytes.len() as u64;
    let records = PRELUDE + u32_at(bytes, 12).min(bytes.len());
    let sizes = bytes.get(PRELUDE..records).and_then(sizes);
    let (mut at, mut pictures, mut all) = (records, 0u64, crc32fast::Hasher::new());
    while let Some((samples, maps)) = sizes.filter(|_| at.saturating_add(RECORD) <= bytes.len()) {
        let described = at + RECORD + u32_at(bytes, at + 8);
        let sampled = described.saturating_add(samples);
        let end = sampled.saturating_add(maps);
        put_crc(bytes, at + 12, at + RECORD..described);
        put_crc(bytes, at + 16, described..sampled);
        put_crc(bytes, at + 20, sampled..end);
        put_crc(bytes, at + 28, at..at + 28);
        all.update(&bytes[at..at + RECORD]);
        pictures += 1;
        at = end;
    }
    put_crc(bytes, 16, PRELUDE..records);
    put(bytes, 20, &all.finalize().to_le_bytes());
    put(bytes, 24, &pictures.to_le_bytes());
    put(bytes, 32, &length.to_le_bytes());
    put_crc(bytes, PRELUDE - 4, 0..PRELUDE - 4);
}

pub fn run(input: &[u8]) {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    let path = FILE.get_or_init(|| scratch().join("a.features"));
    let mut bytes = input.to_vec();
    repair(&mut bytes);
    std::fs::write(path, &bytes).expect("writes");
    let Ok(file) = FeaturesFile::open(path) else { return };
    for picture in 0..file.pictures().len() {
        if let Ok(maps) = file.maps(picture) {
            assert!(maps.iter().all(|map| map.data().iter().all(|v| v.abs() < 1.01)));
        }
        let _ = file.image(picture);
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let tap = |name: &str, side| TapIdentity {
        name: name.into(),
        channels: 3,
        height: side,
        width: side,
    };
    let header = Header {
        backbone: Identity {
            name: "net".into(),
            digest: [3; 32],
            height: 8,
            width: 8,
            mean: [0.5; 3],
            std: [0.25; 3],
            taps: vec![tap("a", 2), tap("b", 1)],
        },
        extractor: "tract".into(),
        preset: "default".into(),
        part: None,
    };
    let header = postcard::to_stdvec(&header).expect("encodes");
    let file = |count: u32| {
        let mut bytes = b"HETMF\r\n\x1a\x01\0\0\0".to_vec();
        bytes.extend((header.len() as u32 + 1).to_le_bytes());
        bytes.resize(PRELUDE, 0);
        bytes.push(0);
        bytes.extend(&header);
        for number in 0..count {
            let name = format!("{number}.png");
            let picture = PictureRecord { name, digest: [7; 32], width: 16, height: 16 };
            let picture = postcard::to_stdvec(&picture).expect("encodes");
            bytes.extend(b"PIC\x1a");
            bytes.extend(number.to_le_bytes());
            bytes.extend((picture.len() as u32).to_le_bytes());
            bytes.extend([0; 20]);
            bytes.extend(&picture);
            bytes.extend([100; 6 * 64]);
            bytes.extend([0.6f32, 0.0, 0.8].repeat(5).iter().flat_map(|v| v.to_le_bytes()));
        }
        repair(&mut bytes);
        bytes
    };
    vec![file(1), file(3)]
}
