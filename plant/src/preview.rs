//! Makes a small JPEG of a picture that the feed hands over as a file in memory.

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder, RgbImage, imageops};
use serde::Deserialize;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// The longer side of a preview, in pixels.
const LONGEST: u32 = 960;
/// The quality of the JPEG, 1 to 100.
const QUALITY: u8 = 80;
/// The largest picture that is read, in bytes.
const MAX_BYTES: u64 = 128 << 20;

/// Describes a picture on its way: the fields of the feed's message.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Raw {
    /// The part in the picture.
    pub part: u64,
    /// The number of columns.
    pub width: u32,
    /// The number of rows.
    pub height: u32,
    /// The number of values of a pixel.
    pub channels: u32,
    /// The bits of a value: 8 or 16, the latter in the order of this machine's bytes.
    pub bits: u32,
}

/// Holds a picture that a page can show.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The part in the picture.
    pub part: u64,
    /// The number of columns of the whole picture. Regions are given in its pixels.
    pub width: u32,
    /// The number of rows of the whole picture.
    pub height: u32,
    /// The JPEG, which may have fewer pixels.
    pub jpeg: bytes::Bytes,
}

impl Preview {
    /// Reads a picture from its file in memory.
    ///
    /// # Errors
    /// Says what the description and the file disagree about.
    pub fn read(raw: Raw, file: &File) -> Result<Self, String> {
        let pixels = u64::from(raw.width) * u64::from(raw.height);
        let wanted = pixels.saturating_mul(3 * u64::from(raw.bits / 8));
        if raw.channels != 3 || !matches!(raw.bits, 8 | 16) || !(1..=MAX_BYTES).contains(&wanted) {
            return Err(format!("a picture of an unknown kind: {raw:?}"));
        }
        let length = file.metadata().map_err(|e| e.to_string())?.len();
        if length != wanted {
            return Err(format!("{length} bytes, and {wanted} were announced"));
        }
        let mut samples = vec![0; usize::try_from(wanted).map_err(|e| e.to_string())?];
        file.read_exact_at(&mut samples, 0).map_err(|e| e.to_string())?;
        if raw.bits == 16 {
            let high = |pair: &[u8]| match pair {
                [first, second] => (u16::from_ne_bytes([*first, *second]) >> 8) as u8,
                _ => 0,
            };
            samples = samples.chunks_exact(2).map(high).collect();
        }
        let whole = RgbImage::from_raw(raw.width, raw.height, samples);
        let jpeg =
            jpeg_of(&whole.ok_or("the picture has another size than was announced")?, LONGEST)?;
        Ok(Preview { part: raw.part, width: raw.width, height: raw.height, jpeg })
    }

    /// Returns what a page needs to know before it fetches the picture.
    pub fn summary(&self) -> serde_json::Value {
        serde_json::json!({"part": self.part, "width": self.width, "height": self.height})
    }
}

/// Returns a JPEG of a picture whose longer side has at most `most` pixels.
///
/// # Errors
/// Says why the picture cannot be encoded.
pub fn jpeg_of(whole: &RgbImage, most: u32) -> Result<bytes::Bytes, String> {
    let (width, height) = whole.dimensions();
    let longest = width.max(height);
    let scaled = |side: u32| {
        let side = u64::from(side) * u64::from(most) / u64::from(longest.max(1));
        u32::try_from(side).unwrap_or(most).max(1)
    };
    let small = (longest > most).then(|| imageops::thumbnail(whole, scaled(width), scaled(height)));
    let shown = small.as_ref().unwrap_or(whole);
    let mut jpeg = vec![];
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY)
        .write_image(shown.as_raw(), shown.width(), shown.height(), ExtendedColorType::Rgb8)
        .map_err(|e| e.to_string())?;
    Ok(jpeg.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("writes");
        file
    }

    #[test]
    fn a_large_picture_becomes_a_small_jpeg_of_the_same_shape() {
        let raw = Raw { part: 7, width: 1920, height: 960, channels: 3, bits: 16 };
        let samples: Vec<u8> = (0..1920 * 960 * 3).flat_map(|_| 0x8040_u16.to_ne_bytes()).collect();
        let preview = Preview::read(raw, &file(&samples)).expect("a preview");
        assert_eq!((preview.part, preview.width, preview.height), (7, 1920, 960));
        let small = image::load_from_memory(&preview.jpeg).expect("a JPEG").to_rgb8();
        assert_eq!(small.dimensions(), (960, 480));
        assert!(small.pixels().all(|pixel| pixel.0.iter().all(|v| v.abs_diff(0x80) < 3)));
    }

    #[test]
    fn a_picture_that_is_not_what_it_says_is_refused() {
        let raw = Raw { part: 7, width: 4, height: 4, channels: 3, bits: 8 };
        assert!(Preview::read(raw, &file(&[0; 48])).is_ok());
        assert!(Preview::read(raw, &file(&[0; 47])).expect_err("short").contains("47 bytes"));
        for raw in [
            Raw { width: 0, ..raw },
            Raw { channels: 4, ..raw },
            Raw { bits: 12, ..raw },
            Raw { width: u32::MAX, height: u32::MAX, ..raw },
        ] {
            assert!(Preview::read(raw, &file(&[0; 48])).is_err(), "{raw:?}");
        }
    }
}
