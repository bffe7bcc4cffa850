//! From a picture file to RGB samples.

use crate::error::{Error, Result};
use image::{DynamicImage, ImageDecoder, ImageReader, Limits};
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

/// Most pixels that a picture may have: 100 megapixels.
pub const MAX_PIXELS: u64 = 100_000_000;
/// Fewest rows and columns that a picture may have.
pub const MIN_SIDE: u32 = 8;
/// Largest picture file that is read into memory: 1 GiB.
const MAX_FILE_BYTES: u64 = 1 << 30;
/// File name extensions of the formats that are decoded.
const EXTENSIONS: [&str; 14] = [
    "png", "jpg", "jpeg", "jpe", "jfif", "bmp", "tif", "tiff", "pnm", "pgm", "ppm", "pbm", "pam",
    "webp",
];

/// A decoded picture: three interleaved samples (RGB) a pixel, upright.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `width * height * 3` samples.
    pub samples: Samples,
}

/// Samples as the file has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Samples {
    /// 8 bits a sample.
    Eight(Vec<u8>),
    /// 16 bits a sample, full scale.
    Sixteen(Vec<u16>),
}

/// Whether a file of this name is taken for a picture when a folder is read.
pub fn is_picture_name(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    !hidden && extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str()))
}

/// Reads and decodes a picture file; see [`load`] and [`decode`].
pub fn read(path: &Path) -> Result<Picture> {
    decode(&load(path)?).map_err(|e| e.within(path.display()))
}

/// The bytes of a picture file.
///
/// # Errors
/// [`crate::error::Kind::Image`] where it is no file or too large, [`crate::error::Kind::Io`]
/// where it cannot be read.
pub fn load(path: &Path) -> Result<Vec<u8>> {
    let unreadable = |e| Error::io(path, "the picture cannot be read", &e);
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(Error::image(path, "is a folder, not a picture"));
    }
    // Opening a pipe waits for its other end, and a device may never end.
    if !metadata.is_file() {
        return Err(Error::image(path, "not a regular file")
            .advise("pictures are read from files: copy it into one"));
    }
    let too_large = |bytes: u64| Error::image(path, format!("{bytes} bytes, more than 1 GiB"));
    if metadata.len() > MAX_FILE_BYTES {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    let file = File::open(path).map_err(unreadable)?;
    // It may grow meanwhile.
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    match bytes.len() as u64 {
        length if length > MAX_FILE_BYTES => Err(too_large(length)),
        _ => Ok(bytes),
    }
}

/// Decodes a picture from the bytes of its file.
///
/// PNG, JPEG, BMP, TIFF, PNM and WebP, told apart by their content. Grey becomes three equal
/// samples, alpha is dropped, EXIF orientation is applied.
///
/// # Errors
/// [`crate::error::Kind::Image`], with a next step.
pub fn decode(bytes: &[u8]) -> Result<Picture> {
    let wrong = |why: String| Error::new(crate::error::Kind::Image, why);
    let reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|e| wrong(format!("cannot be read: {e}")))?;
    if reader.format().is_none() {
        return Err(wrong("not a picture in a known format".into()).advise(
            "PNG, JPEG, BMP, TIFF, PNM and WebP are read; convert it, or take it out of the folder",
        ));
    }
    if reader.format() == Some(image::ImageFormat::Jpeg) && !jpeg_has_end(bytes) {
        return Err(truncated("the JPEG has no end marker"));
    }
    let mut reader = reader;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_PIXELS * 8);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|e| undecodable(&e))?;
    let (width, height) = decoder.dimensions();
    if width < MIN_SIDE || height < MIN_SIDE {
        return Err(wrong(format!("{width} x {height} pixels are too few to inspect"))
            .advise(format!("pictures need at least {MIN_SIDE} x {MIN_SIDE} pixels")));
    }
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(wrong(format!(
            "{width} x {height} pixels are more than {} million",
            MAX_PIXELS / 1_000_000
        ))
        .advise("crop or scale the picture first; the network sees a few hundred pixels a side"));
    }
    let orientation = decoder.orientation().map_err(|e| undecodable(&e))?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(|e| undecodable(&e))?;
    image.apply_orientation(orientation);
    let (width, height) = (image.width(), image.height());
    let samples = match image {
        DynamicImage::ImageLuma16(_)
        | DynamicImage::ImageLumaA16(_)
        | DynamicImage::ImageRgb16(_)
        | DynamicImage::ImageRgba16(_)
        | DynamicImage::ImageRgb32F(_)
        | DynamicImage::ImageRgba32F(_) => Samples::Sixteen(image.into_rgb16().into_raw()),
        _ => Samples::Eight(image.into_rgb8().into_raw()),
    };
    Ok(Picture { width, height, samples })
}

fn truncated(why: &str) -> Error {
    Error::new(crate::error::Kind::Image, format!("incomplete: {why}"))
        .advise("copy the picture again from its source, or take it out")
}

fn undecodable(error: &image::ImageError) -> Error {
    match error {
        image::ImageError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            truncated("the file ends in the middle of the picture")
        }
        image::ImageError::Limits(e) => {
            Error::new(crate::error::Kind::Image, format!("too large: {e}")).advise(
                "crop or scale the picture first; the network sees a few hundred pixels a side",
            )
        }
        _ => Error::new(crate::error::Kind::Image, format!("cannot be decoded: {error}"))
            .advise("save it anew as PNG or JPEG, or take it out"),
    }
}

/// Whether an end-of-image marker follows the last start-of-scan marker. Inside a scan an `FF D9`
/// cannot occur, so a file cut off there has none; the decoder would fill the rest with grey.
fn jpeg_has_end(bytes: &[u8]) -> bool {
    let last = |marker: [u8; 2]| bytes.windows(2).rposition(|w| w == marker);
    matches!((last([0xFF, 0xDA]), last([0xFF, 0xD9])), (Some(scan), Some(end)) if end > scan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageBuffer, ImageFormat, Luma, Rgb, Rgba};

    fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).expect("encodes");
        bytes.into_inner()
    }

    fn gradient() -> DynamicImage {
        ImageBuffer::from_fn(16, 12, |x, y| Rgb([x as u8 * 15, y as u8 * 20, 200])).into()
    }

    #[test]
    fn lossless_formats_give_the_same_samples() {
        let want = Samples::Eight(gradient().into_rgb8().into_raw());
        for format in [
            ImageFormat::Png,
            ImageFormat::Bmp,
            ImageFormat::Tiff,
            ImageFormat::Pnm,
            ImageFormat::WebP,
        ] {
            let picture = decode(&encoded(&gradient(), format)).expect("decodes");
            assert_eq!((picture.width, picture.height), (16, 12), "{format:?}");
            assert_eq!(picture.samples, want, "{format:?}");
        }
    }

    #[test]
    fn depth_and_channels() {
        let grey: DynamicImage = ImageBuffer::from_fn(8, 8, |x, _| Luma([x as u16 * 8000])).into();
        let picture = decode(&encoded(&grey, ImageFormat::Png)).expect("decodes");
        let Samples::Sixteen(samples) = picture.samples else { panic!("16 bits") };
        assert_eq!(samples[21..24], [56000; 3]);
        let clear: DynamicImage = ImageBuffer::from_fn(8, 8, |_, _| Rgba([9, 8, 7, 0u8])).into();
        let picture = decode(&encoded(&clear, ImageFormat::Png)).expect("decodes");
        assert_eq!(picture.samples, Samples::Eight([9, 8, 7].repeat(64)));
    }

    #[test]
    fn pictures_cut_anywhere_are_refused() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Bmp, ImageFormat::Tiff] {
            let bytes = encoded(&gradient(), format);
            for cut in [1, 10, bytes.len() / 2, bytes.len() - 20] {
                assert!(decode(&bytes[..cut]).is_err(), "{format:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn what_is_no_picture_is_refused_with_a_next_step() {
        let dot: DynamicImage = ImageBuffer::from_pixel(1, 1, Rgb([1u8, 2, 3])).into();
        let cases: [(&[u8], &str); 3] = [
            (b"", "known format"),
            (b"some text", "known format"),
            (&encoded(&dot, ImageFormat::Png), "too few"),
        ];
        for (bytes, want) in cases {
            let error = decode(bytes).expect_err("refused").to_string();
            assert!(error.contains(want) && error.contains("->"), "{error}");
        }
    }

    #[test]
    fn exif_orientation_is_applied() {
        // An APP1 segment with one entry: orientation 6, "rotate 90 degrees clockwise".
        let exif = b"\xFF\xE1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let plain = encoded(&gradient(), ImageFormat::Jpeg);
        let turned = [&plain[..2], &exif[..], &plain[2..]].concat();
        let picture = decode(&turned).expect("decodes");
        assert_eq!((picture.width, picture.height), (12, 16));
    }
}
