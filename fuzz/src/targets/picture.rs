//! The decoders of pictures, one target for each format. The first bytes always name the format.

use crate::seeds::by_hand::repair_png;
use hetmm::image::{Samples, decode, size_of};

fn check(bytes: &[u8]) {
    let Ok(picture) = decode(bytes) else { return };
    let values = 3 * picture.width as usize * picture.height as usize;
    let found = match &picture.samples {
        Samples::Eight(samples) => samples.len(),
        Samples::Sixteen(samples) => samples.len(),
    };
    assert_eq!(found, values);
    let size = size_of(bytes).expect("a picture that can be decoded has a size");
    assert_eq!((size.width, size.height), (picture.width, picture.height));
}

fn begin_with(start: &[u8], input: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    bytes.resize(bytes.len().max(start.len()), 0);
    bytes[..start.len()].copy_from_slice(start);
    bytes
}

pub fn png(input: &[u8]) {
    let mut bytes = begin_with(b"\x89PNG\r\n\x1a\n", input);
    repair_png(&mut bytes);
    check(&bytes);
}

pub fn jpeg(input: &[u8]) {
    check(&begin_with(b"\xff\xd8\xff", input));
}

pub fn tiff(input: &[u8]) {
    let starts: [&[u8]; 4] = [b"II\x2a\0", b"MM\0\x2a", b"II\x2b\0", b"MM\0\x2b"];
    match starts.iter().any(|start| input.starts_with(start)) {
        true => check(input),
        false => check(&begin_with(starts[usize::from(input.first().unwrap_or(&0) % 4)], input)),
    }
}

pub fn webp(input: &[u8]) {
    let mut bytes = begin_with(b"RIFF", input);
    bytes.resize(bytes.len().max(12), 0);
    let length = (bytes.len() - 8) as u32;
    bytes[4..8].copy_from_slice(&length.to_le_bytes());
    bytes[8..12].copy_from_slice(b"WEBP");
    check(&bytes);
}

pub fn bmp(input: &[u8]) {
    check(&begin_with(b"BM", input));
}

pub fn pnm(input: &[u8]) {
    let mut bytes = begin_with(b"P1", input);
    if let Some(kind @ b'1'..=b'7') = input.get(1) {
        bytes[1] = *kind;
    }
    check(&bytes);
}
