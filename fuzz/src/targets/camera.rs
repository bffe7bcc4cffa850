//! The frames of a camera, in every pixel format.

use crate::bytes::Bytes;
use hetmm::camera::{Align, BayerMode, Layout, PixelFormat, RawSettings, to_picture};
use hetmm::image::Samples;
use yuv::{YuvRange, YuvStandardMatrix};

fn layout(bytes: &mut Bytes) -> Layout {
    let formats: Vec<PixelFormat> = PixelFormat::all().collect();
    let format = formats[bytes.between(0, formats.len() - 1)];
    // Most sizes are small; some are those that a broken driver says.
    let side = |bytes: &mut Bytes| match bytes.u8() {
        255 => bytes.u32(),
        small => u32::from(small % 48),
    };
    let stride = |bytes: &mut Bytes| match bytes.u8() {
        0..=127 => 0,
        255 => bytes.u32(),
        other => u32::from(other) + 64,
    };
    Layout {
        format,
        width: side(bytes),
        height: side(bytes),
        bytes_per_line: stride(bytes),
        chroma_bytes_per_line: stride(bytes),
        range: if bytes.flag() { YuvRange::Full } else { YuvRange::Limited },
        matrix: if bytes.flag() { YuvStandardMatrix::Bt709 } else { YuvStandardMatrix::Bt601 },
        raw: RawSettings {
            align: if bytes.flag() { Align::High } else { Align::Low },
            black: bytes.u16(),
            white_balance: [bytes.u8(), bytes.u8(), bytes.u8()].map(|v| f32::from(v) / 16.0),
            bayer: if bytes.flag() { BayerMode::Half } else { BayerMode::Bilinear },
        },
    }
}

pub fn run(input: &[u8]) {
    let mut bytes = Bytes(input);
    let layout = layout(&mut bytes);
    // Repeated, so that small inputs fill a frame.
    let times = bytes.between(1, 32);
    let cut = usize::from(bytes.u16());
    let frame = bytes.0.repeat(times);
    let (first, second) = frame.split_at(cut.min(frame.len()));
    let buffers: [&[&[u8]]; 3] = [&[&frame], &[first, second], &[]];
    for planes in buffers {
        let Ok(picture) = to_picture(planes, &layout) else { continue };
        let found = match &picture.samples {
            Samples::Eight(samples) => samples.len(),
            Samples::Sixteen(samples) => samples.len(),
        };
        assert_eq!(found, 3 * picture.width as usize * picture.height as usize);
    }
}

/// One input for each format.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = (0..PixelFormat::all().count())
        .map(|format| {
            let mut seed = vec![format as u8, 8, 6, 0, 0, 1, 0, 0, 4, 0, 16, 20, 24, 1, 15, 48, 0];
            seed.extend(1..=96);
            seed
        })
        .collect();
    for jpeg in crate::seeds::jpegs().into_iter().take(2) {
        let at = PixelFormat::all().position(|format| format == PixelFormat::Mjpg).unwrap_or(0);
        seeds.push(
            [&[at as u8, 24, 20, 0, 0, 1, 0, 0, 4, 0, 16, 16, 16, 1, 0, 48, 0], &jpeg[..]].concat(),
        );
    }
    seeds
}
