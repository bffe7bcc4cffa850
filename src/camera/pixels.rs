//! Turns the raw bytes of a camera's frame into a picture.
//!
//! Every row is checked against the bytes that came. A frame that is too short cannot be used. It never becomes a
//! picture with an invented rest.

use crate::image::{Picture, Samples, decode};
use serde::{Deserialize, Serialize};
use std::fmt;
use yuv::{YuvBiPlanarImage, YuvChromaSubsampling, YuvConversionMode, YuvError, YuvPackedImage};
use yuv::{YuvPlanarImageMut, YuvRange, YuvStandardMatrix};

/// Says how a camera lays out its pixels, by the names that V4L2 gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PixelFormat {
    /// YUV 4:2:2, packed: Y0 U Y1 V.
    Yuyv,
    /// YUV 4:2:0: a plane of Y, then one of U and V in turn.
    Nv12,
    /// 8 bits of brightness.
    Grey,
    /// Red, green, blue, 8 bits each.
    Rgb3,
    /// Blue, green, red, 8 bits each.
    Bgr3,
    /// A JPEG per frame.
    Mjpg,
}

impl PixelFormat {
    /// Every format that can be read.
    pub const ALL: [PixelFormat; 6] = [
        PixelFormat::Yuyv,
        PixelFormat::Nv12,
        PixelFormat::Grey,
        PixelFormat::Rgb3,
        PixelFormat::Bgr3,
        PixelFormat::Mjpg,
    ];

    /// Returns the name in configurations, which is also V4L2's four-character code.
    pub fn name(self) -> &'static str {
        match self {
            PixelFormat::Yuyv => "YUYV",
            PixelFormat::Nv12 => "NV12",
            PixelFormat::Grey => "GREY",
            PixelFormat::Rgb3 => "RGB3",
            PixelFormat::Bgr3 => "BGR3",
            PixelFormat::Mjpg => "MJPG",
        }
    }

    /// Returns V4L2's four-character code as the kernel's number.
    pub fn four_character_code(self) -> u32 {
        self.name().bytes().rev().fold(0, |code, byte| code << 8 | u32::from(byte))
    }

    /// Returns whether colour is sampled only every second pixel, across and down. That makes odd sizes ambiguous.
    fn needs_even(self) -> (bool, bool) {
        match self {
            PixelFormat::Yuyv => (true, false),
            PixelFormat::Nv12 => (true, true),
            _ => (false, false),
        }
    }

    /// Returns the bytes of a row of `width` pixels without padding. It is zero for JPEG, which has no rows.
    fn row_bytes(self, width: usize) -> usize {
        match self {
            PixelFormat::Yuyv => width.saturating_mul(2),
            PixelFormat::Nv12 | PixelFormat::Grey => width,
            PixelFormat::Rgb3 | PixelFormat::Bgr3 => width.saturating_mul(3),
            PixelFormat::Mjpg => 0,
        }
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for PixelFormat {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let names = PixelFormat::ALL.map(PixelFormat::name).join(", ");
        let found = PixelFormat::ALL.into_iter().find(|f| f.name() == name);
        found.ok_or_else(|| format!("{name} is not one of {names}"))
    }
}

/// Holds everything that has to be known to read a frame's bytes.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// How the pixels are laid out.
    pub format: PixelFormat,
    /// The number of columns.
    pub width: u32,
    /// The number of rows.
    pub height: u32,
    /// The bytes from one row's start to the next one's. Zero means no padding.
    pub bytes_per_line: u32,
    /// The range of YUV: limited or full.
    pub range: YuvRange,
    /// The matrix of YUV: the weights of the colours.
    pub matrix: YuvStandardMatrix,
}

impl Layout {
    /// Returns the bytes from row to row, checked against what a row needs.
    fn stride(&self) -> Result<usize, String> {
        let row = self.format.row_bytes(self.width as usize);
        match self.bytes_per_line as usize {
            0 => Ok(row),
            stride if stride >= row => Ok(stride),
            stride => Err(format!("rows of {stride} bytes hold no {} pixels", self.width)),
        }
    }
}

/// Turns a frame's bytes into a picture.
///
/// `GREY` is used as it is, without stretching a limited range, because cameras fill the full one.
///
/// # Errors
/// Returns why the frame cannot be used: the bytes are too few or are not what `layout` says.
pub fn to_picture(bytes: &[u8], layout: &Layout) -> Result<Picture, String> {
    let (even_width, even_height) = layout.format.needs_even();
    let odd = |side: u32| !side.is_multiple_of(2);
    if (even_width && odd(layout.width)) || (even_height && odd(layout.height)) {
        return Err(format!(
            "{} has no pictures of {} x {}, an odd size",
            layout.format, layout.width, layout.height
        ));
    }
    let samples = match layout.format {
        PixelFormat::Yuyv => from_yuyv(bytes, layout)?,
        PixelFormat::Nv12 => from_nv12(bytes, layout)?,
        PixelFormat::Grey => from_rows(bytes, layout, |row, out| {
            out.extend(row.iter().flat_map(|&grey| [grey; 3]));
        })?,
        PixelFormat::Rgb3 => from_rows(bytes, layout, |row, out| out.extend_from_slice(row))?,
        PixelFormat::Bgr3 => from_rows(bytes, layout, |row, out| {
            let (pixels, _) = row.as_chunks::<3>();
            out.extend(pixels.iter().flat_map(|&[blue, green, red]| [red, green, blue]));
        })?,
        PixelFormat::Mjpg => return from_jpeg(bytes, layout),
    };
    Ok(Picture { width: layout.width, height: layout.height, samples: Samples::Eight(samples) })
}

fn too_short(bytes: &[u8]) -> String {
    format!("{} bytes are too few for a frame", bytes.len())
}

fn unconverted(error: YuvError) -> String {
    format!("cannot be converted: {error}")
}

/// Returns the rows without their padding, exactly as many as the picture has. The last row needs no padding.
fn rows<'a>(
    bytes: &'a [u8],
    layout: &Layout,
) -> Result<impl Iterator<Item = &'a [u8]> + use<'a>, String> {
    let (stride, height) = (layout.stride()?, layout.height as usize);
    let row = layout.format.row_bytes(layout.width as usize);
    let needed = height.checked_sub(1).and_then(|h| h.checked_mul(stride)?.checked_add(row));
    if row == 0 || needed.is_none_or(|n| bytes.len() < n) {
        return Err(too_short(bytes));
    }
    Ok(bytes.chunks(stride).take(height).filter_map(move |line| line.get(..row)))
}

fn from_rows(
    bytes: &[u8],
    layout: &Layout,
    append: impl Fn(&[u8], &mut Vec<u8>),
) -> Result<Vec<u8>, String> {
    let rows = rows(bytes, layout)?;
    let mut out = Vec::with_capacity(sample_count(layout));
    rows.for_each(|row| append(row, &mut out));
    Ok(out)
}

/// Returns the number of samples. Call it only after the check of the frame's size, so that no more memory is reserved
/// than came.
fn sample_count(layout: &Layout) -> usize {
    (layout.width as usize).saturating_mul(layout.height as usize).saturating_mul(3)
}

/// Converts YUYV through separate planes. The crate's direct way rounds its factors to 6 bits, and this one to 13.
fn from_yuyv(bytes: &[u8], layout: &Layout) -> Result<Vec<u8>, String> {
    let Layout { width, range, matrix, .. } = *layout;
    let (yuy_stride, rgb_stride) = (width.saturating_mul(2), width.saturating_mul(3));
    let rows = rows(bytes, layout)?;
    let mut rgb = vec![0; sample_count(layout)];
    let mut planes = YuvPlanarImageMut::alloc(width, 1, YuvChromaSubsampling::Yuv422);
    for (yuy, out) in rows.zip(rgb.chunks_mut(rgb_stride as usize)) {
        let packed = YuvPackedImage { yuy, yuy_stride, width, height: 1 };
        yuv::yuyv422_to_yuv422(&mut planes, &packed).map_err(unconverted)?;
        yuv::yuv422_to_rgb(&planes.to_fixed(), out, rgb_stride, range, matrix)
            .map_err(unconverted)?;
    }
    Ok(rgb)
}

fn from_nv12(bytes: &[u8], layout: &Layout) -> Result<Vec<u8>, String> {
    let stride = layout.stride()?;
    let luma = stride.saturating_mul(layout.height as usize);
    let planes = bytes.split_at_checked(luma);
    let chroma = luma / 2;
    let (Some((y_plane, rest)), Ok(stride)) = (planes, u32::try_from(stride)) else {
        return Err(too_short(bytes));
    };
    let uv_plane = rest.get(..chroma).ok_or_else(|| too_short(bytes))?;
    let image = YuvBiPlanarImage {
        y_plane,
        y_stride: stride,
        uv_plane,
        uv_stride: stride,
        width: layout.width,
        height: layout.height,
    };
    let mut rgb = vec![0; sample_count(layout)];
    let rgb_stride = layout.width.saturating_mul(3);
    let mode = YuvConversionMode::Balanced;
    yuv::yuv_nv12_to_rgb(&image, &mut rgb, rgb_stride, layout.range, layout.matrix, mode)
        .map_err(unconverted)?;
    Ok(rgb)
}

/// An APP0 segment that marks a JPEG as one of a motion JPEG. Cameras leave out the Huffman tables that all of them
/// share. The decoder adds the tables if it sees this mark, which cameras leave out as well.
const MOTION_JPEG_MARK: &[u8] = b"\xFF\xE0\x00\x10AVI1\0\0\0\0\0\0\0\0\0\0";
const JPEG_START: &[u8] = b"\xFF\xD8";

fn from_jpeg(bytes: &[u8], layout: &Layout) -> Result<Picture, String> {
    let rest = bytes.strip_prefix(JPEG_START).ok_or_else(|| "not a JPEG".to_owned())?;
    let marked = [JPEG_START, MOTION_JPEG_MARK, rest].concat();
    let picture = decode(&marked).map_err(|e| first_line(&e))?;
    if (picture.width, picture.height) != (layout.width, layout.height) {
        return Err(format!(
            "a JPEG of {} x {} in place of {} x {}",
            picture.width, picture.height, layout.width, layout.height
        ));
    }
    Ok(picture)
}

/// Returns an error without its advice, which is for people with a file at hand.
pub(super) fn first_line(error: &crate::error::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layout(format: PixelFormat, width: u32, height: u32) -> Layout {
        let (range, matrix) = (YuvRange::Limited, YuvStandardMatrix::Bt601);
        Layout { format, width, height, bytes_per_line: 0, range, matrix }
    }

    fn samples(bytes: &[u8], layout: &Layout) -> Vec<u8> {
        match to_picture(bytes, layout).expect("converts").samples {
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
        for (y, u, v) in (0..10_000u32).map(|i| (16 + i % 220, 16 + i * 7 % 225, 16 + i * 11 % 225))
        {
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
        for format in PixelFormat::ALL {
            let whole = layout(format, 4, 4);
            let needed = if format == PixelFormat::Nv12 { 24 } else { format.row_bytes(4) * 4 };
            for length in 0..needed {
                let got = to_picture(&vec![128; length], &whole);
                assert!(got.is_err(), "{format} {length}");
            }
            let narrow = Layout { bytes_per_line: 3, ..whole };
            assert!(to_picture(&[128; 999], &narrow).is_err(), "{format} stride");
            let none = layout(format, 0, 0);
            assert!(to_picture(&[128; 999], &none).is_err(), "{format} empty");
            let huge = layout(format, u32::MAX - 1, u32::MAX - 1);
            assert!(to_picture(&[128; 999], &huge).is_err(), "{format} huge");
        }
        for (format, width, height) in
            [(PixelFormat::Yuyv, 3, 2), (PixelFormat::Nv12, 3, 2), (PixelFormat::Nv12, 2, 3)]
        {
            assert!(to_picture(&[128; 99], &layout(format, width, height)).is_err(), "{format}");
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
        let want = to_picture(&whole, &layout).expect("decodes");
        assert_eq!(want.samples, decode(&whole).expect("decodes").samples);
        assert_eq!(to_picture(&bare, &layout).expect("decodes"), want);
        let padded = [bare, vec![0; 500]].concat();
        assert_eq!(to_picture(&padded, &layout).expect("decodes"), want);
        let other = Layout { height: 16, ..layout };
        assert!(to_picture(&whole, &other).is_err(), "another size");
        for cut in [0, 1, 2, 20, whole.len() / 2, whole.len() - 1] {
            assert!(to_picture(&whole[..cut], &layout).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn names_are_v4l2s() {
        assert_eq!(PixelFormat::Yuyv.four_character_code(), 0x5659_5559);
        for format in PixelFormat::ALL {
            assert_eq!(serde_json::to_string(&format).expect("writes"), format!("\"{format}\""));
            assert_eq!(format.name().parse(), Ok(format));
        }
        assert!("JPEG".parse::<PixelFormat>().is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_bring_it_down(
            bytes in proptest::collection::vec(any::<u8>(), 0..600),
            start_of_jpeg in any::<bool>(),
            (width, height, bytes_per_line) in (0u32..20, 0u32..20, 0u32..70),
        ) {
            for format in PixelFormat::ALL {
                let size = Layout { bytes_per_line, ..layout(format, width, height) };
                let head: &[u8] = if start_of_jpeg { JPEG_START } else { &[] };
                if let Ok(picture) = to_picture(&[head, &bytes].concat(), &size) {
                    let Samples::Eight(samples) = picture.samples else { panic!("8 bits") };
                    prop_assert_eq!(samples.len() as u32, width * height * 3);
                }
            }
        }
    }
}
