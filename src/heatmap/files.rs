//! This module writes the pictures of results as files, and recognises such files later.

use super::panel;
use crate::error::{Error, Kind, Result};
use crate::files::outputs::Format;
use crate::image::{Picture, Samples};
use image::codecs::jpeg::JpegEncoder;
use image::{ImageBuffer, Rgb, RgbImage};
use std::io::Cursor;

/// Returns the bytes of a PNG file.
pub fn png(image: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    image
        .write_to(&mut bytes, image::ImageFormat::Png)
        .map_err(|e| Error::new(Kind::Io, format!("a PNG cannot be made: {e}")))?;
    Ok(bytes.into_inner())
}

/// The format by which a heat map is recognised before another heat map replaces it.
pub const FORMAT: Format =
    Format { name: "a heat map", reads: 256, is_one: |bytes| is_marked_png(bytes, HEAT_MAP) };
/// The format by which a thumbnail is recognised before another thumbnail replaces it.
pub const THUMBNAIL: Format =
    Format { name: "a thumbnail", reads: 256, is_one: is_marked_thumbnail };

/// The word by which [`marked_png`] marks a heat map.
pub const HEAT_MAP: &str = "heat map";

/// Returns the bytes of a PNG file that says that this program drew it, and what it shows. The mark
/// is a chunk `Software: hetmm VERSION (WHAT)` right behind the first chunk.
pub fn marked_png(image: &RgbImage, what: &str) -> Result<Vec<u8>> {
    let mut bytes = png(image)?;
    let text = format!("{SOFTWARE}{} ({what})", env!("CARGO_PKG_VERSION"));
    let mut chunk = (text.len() as u32 - 4).to_be_bytes().to_vec();
    chunk.extend(text.as_bytes());
    chunk.extend(crc32fast::hash(text.as_bytes()).to_be_bytes());
    bytes.splice(PNG_HEAD..PNG_HEAD, chunk);
    Ok(bytes)
}

/// Returns whether a file that begins with these bytes is a PNG from [`marked_png`] that shows
/// `what`.
pub fn is_marked_png(bytes: &[u8], what: &str) -> bool {
    let Some((length, chunk)) = bytes.get(PNG_HEAD..).and_then(|rest| rest.split_first_chunk())
    else {
        return false;
    };
    let length = u32::from_be_bytes(*length) as usize;
    let text = chunk.get(..length.saturating_add(4)).unwrap_or_default();
    let mark = format!(" ({what})");
    bytes.starts_with(b"\x89PNG\r\n\x1a\n")
        && text.starts_with(SOFTWARE.as_bytes())
        && text.ends_with(mark.as_bytes())
}

/// The number of bytes of a PNG file before its second chunk.
const PNG_HEAD: usize = 33;
/// The beginning of the chunk that says who drew a PNG: its type and the start of its content.
const SOFTWARE: &str = "tEXtSoftware\0hetmm ";

/// Returns the bytes of a JPEG file from [`thumbnail`] with a comment that marks it as a thumbnail.
pub fn marked_thumbnail(jpeg: &[u8]) -> Vec<u8> {
    let (head, rest) = jpeg.split_at(JPEG_HEAD.min(jpeg.len()));
    [head, COMMENT, rest].concat()
}

fn is_marked_thumbnail(bytes: &[u8]) -> bool {
    let rest = bytes.get(JPEG_HEAD..);
    bytes.starts_with(b"\xff\xd8") && rest.is_some_and(|rest| rest.starts_with(COMMENT))
}

/// The number of bytes of a JPEG file before its first segment.
const JPEG_HEAD: usize = 2;
/// The comment segment that marks a thumbnail.
const COMMENT: &[u8] = b"\xff\xfe\0\x11hetmm thumbnail";

/// Returns the bytes of a PNG file of a picture, without loss.
///
/// # Errors
/// [`Kind::Image`] where the picture has too few samples for its size.
pub fn picture_png(picture: &Picture) -> Result<Vec<u8>> {
    let (width, height) = (picture.width, picture.height);
    let wrong = || Error::new(Kind::Image, "a picture has too few samples");
    match &picture.samples {
        Samples::Eight(samples) => {
            let image = RgbImage::from_raw(width, height, samples.clone()).ok_or_else(wrong)?;
            png(&image)
        }
        Samples::Sixteen(samples) => {
            let image: ImageBuffer<Rgb<u16>, _> =
                ImageBuffer::from_raw(width, height, samples.clone()).ok_or_else(wrong)?;
            let mut bytes = Cursor::new(vec![]);
            image
                .write_to(&mut bytes, image::ImageFormat::Png)
                .map_err(|e| Error::new(Kind::Io, format!("a PNG cannot be made: {e}")))?;
            Ok(bytes.into_inner())
        }
    }
}

/// Returns a small JPEG of the picture. Its longest side is at most `limit` pixels.
pub fn thumbnail(picture: &Picture, limit: u32) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 80)
        .encode_image(&panel(picture, limit))
        .map_err(|e| Error::new(Kind::Image, format!("a JPEG cannot be made: {e}")))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_pictures_open_and_are_recognised_and_others_are_not() {
        let image = RgbImage::from_pixel(9, 7, Rgb([10, 200, 30]));
        let marked = marked_png(&image, HEAT_MAP).expect("encodes");
        assert_eq!(image::load_from_memory(&marked).expect("a picture").to_rgb8(), image);
        assert!((FORMAT.is_one)(&marked) && !is_marked_png(&marked, "demo part"));
        let plain = png(&image).expect("encodes");
        assert!(
            !(FORMAT.is_one)(&plain) && !(FORMAT.is_one)(&[]) && !(FORMAT.is_one)(&marked[..40])
        );
        let mut jpeg = Vec::new();
        JpegEncoder::new(&mut jpeg).encode_image(&image).expect("encodes");
        let thumbnail = marked_thumbnail(&jpeg);
        let opened = image::load_from_memory(&thumbnail).expect("a picture").to_rgb8();
        assert_eq!(opened, image::load_from_memory(&jpeg).expect("a picture").to_rgb8());
        assert!((THUMBNAIL.is_one)(&thumbnail) && !(THUMBNAIL.is_one)(&jpeg));
        assert_eq!(marked_thumbnail(&[]), COMMENT);
    }
}
