//! This module decodes a picture file into RGB samples.

use super::limits::{check_size, several, truncated, unreadable};
use super::picture::{Decoded, Picture, Samples};
use super::samples::{Layout, Raw, assemble};
use super::shape::Size;
use super::{jpeg, tiff, webp};
use crate::containment::quietly;
use crate::error::{Error, Result};
use image::codecs::{bmp, jpeg as jpeg_codec, png, pnm, webp as webp_codec};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageBuffer, ImageDecoder, ImageFormat, Limits, Luma, Rgb};
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

/// The largest picture file that is read into memory: 1 GiB.
const MAX_FILE_BYTES: u64 = 1 << 30;
/// The memory that a decoder may reserve besides the picture itself, for rows, tables and profiles.
/// The longest row of an allowed picture takes 100 MB.
const SPARE_BYTES: u64 = 128 << 20;
/// The first bytes of a BigTIFF, for both byte orders.
const BIG_TIFF: [&[u8]; 2] = [b"II\x2b\0", b"MM\0\x2b"];

/// Reads and decodes a picture file; see [`load`] and [`decode`].
pub fn read(path: &Path) -> Result<Picture> {
    decode(&load(path)?).map_err(|e| e.within(path.display()))
}

/// Reads the bytes of a picture file.
///
/// # Errors
/// [`crate::error::Kind::Image`] where it is not a regular file or is too large,
/// [`crate::error::Kind::Io`] where it cannot be read.
pub fn load(path: &Path) -> Result<Vec<u8>> {
    let unreadable = |e| Error::io(path, "the picture cannot be read", &e);
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(Error::image(path, "is a folder, not a picture"));
    }
    // Opening a pipe would wait for its other end, and a device may never end.
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
    // The file may grow in the meantime.
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    match bytes.len() as u64 {
        length if length > MAX_FILE_BYTES => Err(too_large(length)),
        _ => Ok(bytes),
    }
}

/// Decodes a picture from the bytes of its file.
///
/// The format is PNG, JPEG, BMP, TIFF, PNM or WebP; the content tells which. A grey pixel becomes
/// three equal samples. A transparent pixel becomes darker by as much as it is clear. EXIF
/// orientation is applied.
///
/// The function returns for any bytes, because a panic of a decoder becomes an error. A decoder
/// reserves no more than 256 MiB beside the picture that the header declares, before and after its
/// conversion.
///
/// # Errors
/// [`crate::error::Kind::Image`], with a next step.
pub fn decode(bytes: &[u8]) -> Result<Picture> {
    Ok(decode_with_opacity(bytes)?.picture)
}

/// Does the same as [`decode`], and also returns how opaque each pixel is.
///
/// # Errors
/// As [`decode`].
pub fn decode_with_opacity(bytes: &[u8]) -> Result<Decoded> {
    quietly(|| decode_uncontained(bytes)).unwrap_or_else(|panic| {
        Err(unreadable(format!(
            "cannot be decoded: its decoder has failed because of a bug: {panic}"
        ))
        .advise("save it again as PNG, or remove it"))
    })
}

/// Returns the columns and rows of the upright picture in the bytes of a file. It decodes the
/// picture only where the header is not enough.
///
/// # Errors
/// As [`decode`].
pub fn size_of(bytes: &[u8]) -> Result<Size> {
    let by_header = quietly(|| header_size(bytes)).unwrap_or(Ok(None));
    if let Ok(Some(size)) = by_header {
        return Ok(size);
    }
    let Picture { width, height, .. } = decode(bytes)?;
    Ok(Size { width, height })
}

/// The number of bytes at the start of a file in which its size is looked for first.
const HEAD_BYTES: u64 = 128 << 10;

/// Does the same as [`size_of`] for a file, and reads no more of it than its format needs.
///
/// # Errors
/// As [`load`] and [`decode`].
pub fn size_of_file(path: &Path) -> Result<Size> {
    let is_file = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    if is_file && let Ok(file) = File::open(path) {
        let mut head = Vec::new();
        let read = file.take(HEAD_BYTES).read_to_end(&mut head);
        let by_header = quietly(|| header_size(&head)).unwrap_or(Ok(None));
        if let (Ok(_), Ok(Some(size))) = (read, by_header) {
            return Ok(size);
        }
    }
    size_of(&load(path)?).map_err(|e| e.within(path.display()))
}

/// Returns the size that the header of a file states, or `None` where only decoding can tell it. It
/// may panic.
fn header_size(bytes: &[u8]) -> Result<Option<Size>> {
    let input = || Cursor::new(bytes);
    match image::guess_format(bytes) {
        Ok(ImageFormat::Png) => upright_size(png::PngDecoder::new(input()).map_err(undecodable)?),
        Ok(ImageFormat::Jpeg) => {
            upright_size(jpeg_codec::JpegDecoder::new(input()).map_err(undecodable)?)
        }
        Ok(ImageFormat::Bmp) => upright_size(bmp::BmpDecoder::new(input()).map_err(undecodable)?),
        Ok(ImageFormat::Pnm) => upright_size(pnm::PnmDecoder::new(input()).map_err(undecodable)?),
        _ => Ok(None),
    }
}

fn upright_size(mut decoder: impl ImageDecoder) -> Result<Option<Size>> {
    let (width, height) = decoder.dimensions();
    let turned = matches!(
        decoder.orientation().map_err(undecodable)?,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    );
    Ok(Some(if turned { Size { width: height, height: width } } else { Size { width, height } }))
}

/// Decodes a picture without containment. It may panic, because decoders are other people's code.
fn decode_uncontained(bytes: &[u8]) -> Result<Decoded> {
    let input = || Cursor::new(bytes);
    let is_big_tiff = BIG_TIFF.iter().any(|start| bytes.starts_with(start));
    let format = if is_big_tiff { Ok(ImageFormat::Tiff) } else { image::guess_format(bytes) };
    let (raw, orientation) = match format {
        Ok(ImageFormat::Png) => {
            let mut limits = Limits::no_limits();
            limits.max_alloc = Some(SPARE_BYTES);
            let decoder = png::PngDecoder::with_limits(input(), limits).map_err(undecodable)?;
            if decoder.is_apng().map_err(undecodable)? {
                return Err(several("a PNG animation"));
            }
            pixels(decoder, bytes.len())?
        }
        Ok(ImageFormat::Jpeg) => {
            jpeg::check(bytes)?;
            pixels(jpeg_codec::JpegDecoder::new(input()).map_err(undecodable)?, bytes.len())?
        }
        Ok(ImageFormat::Bmp) => {
            pixels(bmp::BmpDecoder::new(input()).map_err(undecodable)?, bytes.len())?
        }
        Ok(ImageFormat::Pnm) => {
            pixels(pnm::PnmDecoder::new(input()).map_err(undecodable)?, bytes.len())?
        }
        Ok(ImageFormat::WebP) => {
            webp::check_chunks(bytes)?;
            pixels(webp_codec::WebPDecoder::new(input()).map_err(undecodable)?, bytes.len())?
        }
        Ok(ImageFormat::Tiff) => tiff::decode(bytes)?,
        _ => {
            return Err(unreadable("not a picture in a known format").advise(
                "PNG, JPEG, BMP, TIFF, PNM and WebP are read; convert it, or move it out of the folder",
            ));
        }
    };
    Ok(upright(raw.over_black(), orientation))
}

/// Reads everything that a decoder of the `image` crate gives.
fn pixels(mut decoder: impl ImageDecoder, file_bytes: usize) -> Result<(Raw, Orientation)> {
    let (width, height) = decoder.dimensions();
    check_size(width, height, file_bytes)?;
    let orientation = decoder.orientation().map_err(undecodable)?;
    let (layout, wide) = match decoder.color_type() {
        ColorType::L8 => (Layout::Grey, false),
        ColorType::La8 => (Layout::GreyAlpha, false),
        ColorType::Rgb8 => (Layout::Rgb, false),
        ColorType::Rgba8 => (Layout::RgbAlpha, false),
        ColorType::L16 => (Layout::Grey, true),
        ColorType::La16 => (Layout::GreyAlpha, true),
        ColorType::Rgb16 => (Layout::Rgb, true),
        ColorType::Rgba16 => (Layout::RgbAlpha, true),
        other => {
            return Err(unreadable(format!("samples of the kind {other:?} are not supported"))
                .advise("save it again with 8 or 16 bits per sample"));
        }
    };
    let count = width as usize * height as usize * layout.channels();
    let raw = if wide {
        let mut values = vec![0u16; count];
        decoder.read_image(bytemuck::cast_slice_mut(&mut values)).map_err(undecodable)?;
        assemble((width, height), layout, values)
    } else {
        let mut values = vec![0u8; count];
        decoder.read_image(&mut values).map_err(undecodable)?;
        assemble((width, height), layout, values)
    };
    Ok((raw, orientation))
}

/// Turns the picture as its camera was held.
fn upright(decoded: Decoded, orientation: Orientation) -> Decoded {
    if orientation == Orientation::NoTransforms {
        return decoded;
    }
    let Decoded { picture: Picture { width, height, samples }, opacity } = decoded;
    let turned = |image: Option<DynamicImage>| {
        let mut image = image.unwrap_or_default();
        image.apply_orientation(orientation);
        image
    };
    let buffer = match samples {
        Samples::Eight(values) => {
            ImageBuffer::<Rgb<u8>, _>::from_raw(width, height, values).map(DynamicImage::from)
        }
        Samples::Sixteen(values) => {
            ImageBuffer::<Rgb<u16>, _>::from_raw(width, height, values).map(DynamicImage::from)
        }
    };
    let image = turned(buffer);
    let (upright_width, upright_height) = (image.width(), image.height());
    let samples = match image {
        DynamicImage::ImageRgb16(image) => Samples::Sixteen(image.into_raw()),
        image => Samples::Eight(image.into_rgb8().into_raw()),
    };
    let opacity = opacity.map(|values| {
        let buffer = ImageBuffer::<Luma<u8>, _>::from_raw(width, height, values);
        turned(buffer.map(DynamicImage::from)).into_luma8().into_raw()
    });
    let picture = Picture { width: upright_width, height: upright_height, samples };
    Decoded { picture, opacity }
}

fn undecodable(error: image::ImageError) -> Error {
    match &error {
        image::ImageError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            truncated("the file ends in the middle of the picture")
        }
        image::ImageError::Limits(e) => unreadable(format!("too large: {e}")).advise(
            "crop or scale the picture first; the network sees a few hundred pixels a side",
        ),
        _ => unreadable(format!("cannot be decoded: {error}"))
            .advise("save it again as PNG or JPEG, or remove it"),
    }
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
            let size = size_of(&encoded(&gradient(), format)).expect("a picture");
            assert_eq!(size, Size { width: 16, height: 12 }, "{format:?}");
            assert_eq!(picture.samples, want, "{format:?}");
        }
    }

    #[test]
    fn the_head_of_a_file_tells_its_size() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let large = DynamicImage::from(ImageBuffer::from_fn(300, 200, |x, y| {
            Rgb([(x * y * 7 % 251) as u8, (x * x + y) as u8, (y * y * 3 + x * 5) as u8])
        }));
        let plain = encoded(&large, ImageFormat::Jpeg);
        // Four segments of 60,000 bytes stand before the size. That is more than the head holds.
        let segment = [&b"\xFF\xE2\xEA\x60"[..], &[0; 59_998]].concat();
        let late = [&plain[..2], &segment.repeat(4), &plain[2..]].concat();
        let formats = [
            ImageFormat::Png,
            ImageFormat::Bmp,
            ImageFormat::Tiff,
            ImageFormat::Pnm,
            ImageFormat::WebP,
        ];
        let files = formats.map(|format| encoded(&large, format));
        for bytes in files.into_iter().chain([plain, late]) {
            let path = folder.path().join("p");
            std::fs::write(&path, &bytes).expect("writes");
            assert_eq!(size_of_file(&path).expect("a picture"), Size { width: 300, height: 200 });
        }
        std::fs::write(folder.path().join("p"), b"some text").expect("writes");
        assert!(size_of_file(&folder.path().join("p")).is_err());
        assert!(size_of_file(folder.path()).is_err());
        assert!(size_of_file(&folder.path().join("absent")).is_err());
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
        // This APP1 segment has one entry: orientation 6, "rotate 90 degrees clockwise".
        let exif = b"\xFF\xE1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let plain = encoded(&gradient(), ImageFormat::Jpeg);
        let turned = [&plain[..2], &exif[..], &plain[2..]].concat();
        let picture = decode(&turned).expect("decodes");
        assert_eq!((picture.width, picture.height), (12, 16));
        assert_eq!(size_of(&turned).expect("a picture"), Size { width: 12, height: 16 });
    }
}
