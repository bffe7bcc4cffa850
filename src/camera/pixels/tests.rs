use super::format::{Mosaic, Packing};
use super::jpeg::JPEG_START;
use super::*;
use crate::image::decode;
use proptest::prelude::*;
use yuv::{YuvRange, YuvStandardMatrix};

pub(super) fn layout(format: PixelFormat, width: u32, height: u32) -> Layout {
    let (range, matrix) = (YuvRange::Limited, YuvStandardMatrix::Bt601);
    let (bytes_per_line, chroma_bytes_per_line) = (0, 0);
    let raw = RawSettings::default();
    Layout { format, width, height, bytes_per_line, chroma_bytes_per_line, range, matrix, raw }
}

/// Returns `bytes` as the buffers of a frame. Those of two planes are cut where the first one ends.
fn planes<'a>(bytes: &'a [u8], layout: &Layout) -> Vec<&'a [u8]> {
    if layout.format.planes() == 1 {
        return vec![bytes];
    }
    let luma = layout.strides().map_or(0, |[stride, _]| stride * layout.height as usize);
    let (first, second) = bytes.split_at(luma.min(bytes.len()));
    vec![first, second]
}

fn convert(bytes: &[u8], layout: &Layout) -> Result<Picture, String> {
    to_picture(&planes(bytes, layout), layout)
}

fn samples(bytes: &[u8], layout: &Layout) -> Vec<u8> {
    match convert(bytes, layout).expect("converts").samples {
        Samples::Eight(samples) => samples,
        Samples::Sixteen(_) => panic!("8 bits"),
    }
}

fn assert_near(got: &[u8], want: &[u8], tolerance: u8, case: &str) {
    assert_eq!(got.len(), want.len(), "{case}");
    let near = got.iter().zip(want).all(|(a, b)| a.abs_diff(*b) <= tolerance);
    assert!(near, "{case}: {got:?}, not {want:?}");
}

/// These are Y, U, V by BT.601 and R, G, B in limited range: Y = 16 + 65.481 R + 128.553 G + 24.966 B and so on.
const LIMITED: [([u8; 3], [u8; 3]); 6] = [
    ([16, 128, 128], [0, 0, 0]),
    ([235, 128, 128], [255, 255, 255]),
    ([126, 128, 128], [128, 128, 128]),
    ([81, 90, 240], [255, 0, 0]),
    ([145, 54, 34], [0, 255, 0]),
    ([41, 240, 110], [0, 0, 255]),
];
/// These are the same in full range: Y = 0.299 R + 0.587 G + 0.114 B, U and V from 0.5 to 255.5.
const FULL: [([u8; 3], [u8; 3]); 6] = [
    ([0, 128, 128], [0, 0, 0]),
    ([255, 128, 128], [255, 255, 255]),
    ([128, 128, 128], [128, 128, 128]),
    ([76, 85, 255], [255, 0, 0]),
    ([150, 44, 21], [0, 255, 0]),
    ([29, 255, 107], [0, 0, 255]),
];

#[test]
fn colours_of_yuv() {
    for (range, table) in [(YuvRange::Limited, LIMITED), (YuvRange::Full, FULL)] {
        for ([y, u, v], rgb) in table {
            let case = format!("{range:?} {rgb:?}");
            let yuyv = Layout { range, ..layout(PixelFormat::Yuyv, 4, 2) };
            let got = samples(&[y, u, y, v].repeat(4), &yuyv);
            assert_near(&got, &rgb.repeat(8), 2, &case);
            let nv12 = Layout { range, ..layout(PixelFormat::Nv12, 4, 2) };
            let got = samples(&[vec![y; 8], [u, v].repeat(2)].concat(), &nv12);
            assert_near(&got, &rgb.repeat(8), 2, &case);
        }
    }
}

#[test]
fn yuv_follows_the_formula_within_one_level() {
    for (y, u, v) in (0..10_000u32).map(|i| (16 + i % 220, 16 + i * 7 % 225, 16 + i * 11 % 225)) {
        let (luma, blue, red) =
            ((f64::from(y) - 16.0) / 219.0, f64::from(u) - 128.0, f64::from(v) - 128.0);
        let (blue, red) = (blue / 224.0, red / 224.0);
        let level = |value: f64| (value * 255.0).round().clamp(0.0, 255.0) as u8;
        let want = [
            level(luma + 1.402 * red),
            level(luma - 0.344_136 * blue - 0.714_136 * red),
            level(luma + 1.772 * blue),
        ];
        let [y, u, v] = [y as u8, u as u8, v as u8];
        let yuyv = samples(&[y, u, y, v], &layout(PixelFormat::Yuyv, 2, 1));
        assert_near(&yuyv, &want.repeat(2), 1, "YUYV");
        let nv12 = samples(&[y, y, y, y, u, v], &layout(PixelFormat::Nv12, 2, 2));
        assert_near(&nv12, &want.repeat(4), 1, "NV12");
    }
}

#[test]
fn every_pixel_has_its_own_brightness_and_padding_is_skipped() {
    // There are two rows of black and white. 0xEE pads each row, but not necessarily the last.
    let yuyv = Layout { bytes_per_line: 6, ..layout(PixelFormat::Yuyv, 2, 2) };
    let bytes = [16, 128, 235, 128, 0xEE, 0xEE, 235, 128, 16, 128];
    let (black, white) = ([0u8; 3], [255u8; 3]);
    let want = [black, white, white, black].concat();
    assert_near(&samples(&bytes, &yuyv), &want, 1, "YUYV");
    let nv12 = Layout { bytes_per_line: 3, ..layout(PixelFormat::Nv12, 2, 2) };
    let bytes = [16, 235, 0xEE, 235, 16, 0xEE, 128, 128, 0xEE];
    assert_near(&samples(&bytes, &nv12), &want, 1, "NV12");
    let grey = Layout { bytes_per_line: 4, ..layout(PixelFormat::Grey, 2, 2) };
    let bytes = [0, 9, 0xEE, 0xEE, 200, 255];
    assert_eq!(samples(&bytes, &grey), [0, 0, 0, 9, 9, 9, 200, 200, 200, 255, 255, 255]);
    let rgb = Layout { bytes_per_line: 4, ..layout(PixelFormat::Rgb3, 1, 2) };
    assert_eq!(samples(&[1, 2, 3, 0xEE, 4, 5, 6], &rgb), [1, 2, 3, 4, 5, 6]);
    let bgr = Layout { bytes_per_line: 4, ..layout(PixelFormat::Bgr3, 1, 2) };
    assert_eq!(samples(&[1, 2, 3, 0xEE, 4, 5, 6, 7, 8], &bgr), [3, 2, 1, 6, 5, 4]);
}

#[test]
fn frames_that_are_too_short_or_of_an_odd_size_are_garbage() {
    for format in PixelFormat::all() {
        let whole = layout(format, 4, 4);
        let planar = [PixelFormat::Nv12, PixelFormat::Nm12].contains(&format);
        let needed = if planar { 24 } else { format.row_bytes(4) * 4 };
        for length in 0..needed {
            let got = convert(&vec![1; length], &whole);
            assert!(got.is_err(), "{format} {length}");
        }
        let is_whole = convert(&vec![1; needed], &whole).is_ok();
        assert_eq!(is_whole, format != PixelFormat::Mjpg, "{format} {needed}");
        let buffers = [&[1; 99][..]; 3];
        let wrong_count = 3 - format.planes();
        assert!(to_picture(&buffers[..wrong_count], &whole).is_err(), "{format} buffers");
        assert!(to_picture(&[], &whole).is_err(), "{format} no buffer");
        let narrow = Layout { bytes_per_line: 3, ..whole };
        assert!(convert(&[128; 999], &narrow).is_err(), "{format} stride");
        let none = layout(format, 0, 0);
        assert!(convert(&[128; 999], &none).is_err(), "{format} empty");
        let huge = layout(format, u32::MAX - 1, u32::MAX - 1);
        assert!(convert(&[128; 999], &huge).is_err(), "{format} huge");
    }
    let bayer = PixelFormat::Bayer(Mosaic::Rggb, Packing::Eight);
    for (format, width, height) in [
        (PixelFormat::Yuyv, 3, 2),
        (PixelFormat::Uyvy, 3, 2),
        (PixelFormat::Nv12, 3, 2),
        (PixelFormat::Nv12, 2, 3),
        (PixelFormat::Nm12, 2, 3),
        (bayer, 3, 2),
        (bayer, 2, 3),
    ] {
        assert!(convert(&[128; 99], &layout(format, width, height)).is_err(), "{format}");
    }
}

fn jpeg() -> Vec<u8> {
    let picture = image::RgbImage::from_fn(16, 8, |x, _| image::Rgb([x as u8 * 9, 60, 90]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Jpeg).expect("encodes");
    bytes.into_inner()
}

/// Returns the segments of a JPEG before its scan, without the Huffman tables, and the scan.
fn without_tables(jpeg: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (jpeg[..2].to_vec(), &jpeg[2..]);
    while rest[1] != 0xDA {
        let (segment, after) = rest.split_at(2 + rest[2] as usize * 256 + rest[3] as usize);
        if segment[1] != 0xC4 {
            out.extend_from_slice(segment);
        }
        rest = after;
    }
    [out, rest.to_vec()].concat()
}

#[test]
fn jpegs_with_and_without_huffman_tables_are_the_same_picture() {
    let (whole, bare) = (jpeg(), without_tables(&jpeg()));
    assert!(bare.len() + 400 < whole.len(), "tables were taken out");
    let layout = layout(PixelFormat::Mjpg, 16, 8);
    let want = convert(&whole, &layout).expect("decodes");
    assert_eq!(want.samples, decode(&whole).expect("decodes").samples);
    assert_eq!(convert(&bare, &layout).expect("decodes"), want);
    let padded = [bare, vec![0; 500]].concat();
    assert_eq!(convert(&padded, &layout).expect("decodes"), want);
    let other = Layout { height: 16, ..layout };
    assert!(convert(&whole, &other).is_err(), "another size");
    for cut in [0, 1, 2, 20, whole.len() / 2, whole.len() - 1] {
        assert!(convert(&whole[..cut], &layout).is_err(), "cut at {cut}");
    }
}

proptest! {
    #[test]
    fn no_bytes_bring_it_down(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        start_of_jpeg in any::<bool>(),
        (width, height, bytes_per_line) in (0u32..20, 0u32..20, 0u32..70),
    ) {
        for format in PixelFormat::all() {
            let size = Layout { bytes_per_line, ..layout(format, width, height) };
            let head: &[u8] = if start_of_jpeg { JPEG_START } else { &[] };
            if let Ok(picture) = convert(&[head, &bytes].concat(), &size) {
                let samples = match picture.samples {
                    Samples::Eight(samples) => samples.len(),
                    Samples::Sixteen(samples) => samples.len(),
                };
                prop_assert_eq!(samples as u32, picture.width * picture.height * 3);
                let half = if format.is_bayer() { 2 } else { 1 };
                prop_assert_eq!((picture.width * half, picture.height * half), (width, height));
            }
        }
    }

    /// UYVY is YUYV with its bytes swapped, and NM12 is NV12 in two buffers, each with its own padding.
    #[test]
    fn other_orders_and_buffers_hold_the_same_picture(
        bytes in proptest::collection::vec(any::<u8>(), 24 * 8 + 24 * 4),
        (columns, rows) in (1u32..=8, 1u32..=4),
        (padding, chroma_padding) in (0u32..8, 0u32..8),
    ) {
        let (width, height) = (2 * columns, 2 * rows);
        let yuyv = Layout { bytes_per_line: 2 * width + padding / 2 * 2, ..layout(PixelFormat::Yuyv, width, height) };
        let swapped: Vec<u8> = bytes.chunks(2).flat_map(|pair| [pair[1], pair[0]]).collect();
        let uyvy = Layout { format: PixelFormat::Uyvy, ..yuyv };
        prop_assert_eq!(convert(&swapped, &uyvy), convert(&bytes, &yuyv));

        let nv12 = Layout { bytes_per_line: width + padding, ..layout(PixelFormat::Nv12, width, height) };
        let (stride, chroma_stride) = (width + padding, width + chroma_padding);
        let luma = (stride * height) as usize;
        let nm12 = Layout { chroma_bytes_per_line: chroma_stride, format: PixelFormat::Nm12, ..nv12 };
        let rows = bytes[luma..].chunks(stride as usize).take(height as usize / 2);
        let chroma: Vec<u8> = rows
            .flat_map(|row| {
                let end = vec![0xEE; chroma_padding as usize];
                [row[..width as usize].to_vec(), end].concat()
            })
            .collect();
        let split = to_picture(&[&bytes[..luma], &chroma], &nm12);
        prop_assert!(split.is_ok());
        prop_assert_eq!(split, convert(&bytes, &nv12));
        prop_assert!(to_picture(&[&bytes[..luma], &chroma[..chroma.len() - 1]], &nm12).is_err());
        prop_assert!(to_picture(&[&bytes[..luma - 1], &chroma], &nm12).is_err());
    }
}
