//! Pictures of results: the part, its anomaly map, and the outline of what is above threshold.

use crate::error::{Error, Kind, Result};
use crate::files::outputs::Format;
use crate::image::{Picture, Samples};
use crate::inspection::Inspector;
use crate::scoring::Scored;
use image::codecs::jpeg::JpegEncoder;
use image::{ImageBuffer, Rgb, RgbImage, imageops};
use std::io::Cursor;

/// Longest side of a panel; larger pictures are scaled down.
const PANEL: u32 = 640;
/// Space between panels, and width of the colour bar.
const GAP: u32 = 8;
const BAR: u32 = 20;
const OUTLINE: Rgb<u8> = Rgb([0, 255, 255]);

/// The bytes of a PNG file.
pub fn png(image: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    image
        .write_to(&mut bytes, image::ImageFormat::Png)
        .map_err(|e| Error::new(Kind::Io, format!("a PNG cannot be made: {e}")))?;
    Ok(bytes.into_inner())
}

/// How a heat map is recognised before another one replaces it.
pub const FORMAT: Format =
    Format { name: "a heat map", reads: 256, is_one: |bytes| is_marked_png(bytes, HEAT_MAP) };
/// How a thumbnail is recognised before another one replaces it.
pub const THUMBNAIL: Format =
    Format { name: "a thumbnail", reads: 256, is_one: is_marked_thumbnail };

/// What [`marked_png`] calls a heat map.
pub const HEAT_MAP: &str = "heat map";

/// The bytes of a PNG file that says that this program has drawn it, and what: a chunk
/// `Software: hetmm VERSION (WHAT)` right behind the first one.
pub fn marked_png(image: &RgbImage, what: &str) -> Result<Vec<u8>> {
    let mut bytes = png(image)?;
    let text = format!("{SOFTWARE}{} ({what})", env!("CARGO_PKG_VERSION"));
    let mut chunk = (text.len() as u32 - 4).to_be_bytes().to_vec();
    chunk.extend(text.as_bytes());
    chunk.extend(crc32fast::hash(text.as_bytes()).to_be_bytes());
    bytes.splice(PNG_HEAD..PNG_HEAD, chunk);
    Ok(bytes)
}

/// Whether a file that begins with these bytes is a PNG by [`marked_png`] that shows `what`.
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

/// Bytes of a PNG file before its second chunk.
const PNG_HEAD: usize = 33;
/// How the type and the content of the chunk begin that says who has drawn a PNG.
const SOFTWARE: &str = "tEXtSoftware\0hetmm ";

/// The bytes of a JPEG file by [`thumbnail`] with a comment that says so.
pub fn marked_thumbnail(jpeg: &[u8]) -> Vec<u8> {
    let (head, rest) = jpeg.split_at(JPEG_HEAD.min(jpeg.len()));
    [head, COMMENT, rest].concat()
}

fn is_marked_thumbnail(bytes: &[u8]) -> bool {
    let rest = bytes.get(JPEG_HEAD..);
    bytes.starts_with(b"\xff\xd8") && rest.is_some_and(|rest| rest.starts_with(COMMENT))
}

/// Bytes of a JPEG file before its first segment.
const JPEG_HEAD: usize = 2;
/// A comment segment of a JPEG file.
const COMMENT: &[u8] = b"\xff\xfe\0\x11hetmm thumbnail";

/// The bytes of a PNG file of a picture, without loss.
///
/// # Errors
/// [`Kind::Image`] where it has too few samples for its size.
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

/// The panels side by side: the picture, the picture with the outline of the regions above
/// the threshold of their zone, the blurred map in the template's colour scale, the scale.
///
/// The colour scale belongs to the template: colours of different pictures can be compared.
pub fn draw(inspector: &Inspector, picture: &Picture, scored: &Scored) -> RgbImage {
    let panel = panel(picture, PANEL);
    let (width, height) = panel.dimensions();
    let header = inspector.template().header();
    let map_size = (header.backbone.width, header.backbone.height);
    let scale = Scale::of(inspector);
    let threshold = scale.threshold;
    let excess = inspector.excess(scored);
    let at = |x: u32, y: u32| sample(&excess, map_size, (x, y), (width, height));
    let heat = heat(inspector, scored, width, height);
    let outlined = RgbImage::from_fn(width, height, |x, y| {
        if on_outline(&at, x, y, width, height, 0.0) { OUTLINE } else { *panel.get_pixel(x, y) }
    });
    let mark = height - 1 - (scale.place(threshold) * (height - 1) as f32) as u32;
    let bar = RgbImage::from_fn(BAR, height, |_, y| {
        if y.abs_diff(mark) <= 1 {
            OUTLINE
        } else {
            colour((height - 1 - y) as f32 / (height - 1).max(1) as f32)
        }
    });
    let mut all = RgbImage::from_pixel(3 * width + 3 * GAP + BAR, height, Rgb([255; 3]));
    let mut x = 0;
    for part in [&panel, &outlined, &heat, &bar] {
        imageops::replace(&mut all, part, i64::from(x), 0);
        x += part.width() + GAP;
    }
    all
}

/// The blurred map in the template's colour scale, at any size.
pub fn heat(inspector: &Inspector, scored: &Scored, width: u32, height: u32) -> RgbImage {
    let id = &inspector.template().header().backbone;
    heat_of(&scored.blurred, (id.width, id.height), Scale::of(inspector), (width, height))
}

/// A map of `columns` x `rows` values in a colour scale, `width` x `height` pixels large.
pub fn heat_of(
    map: &[f32],
    (columns, rows): (u32, u32),
    scale: Scale,
    (width, height): (u32, u32),
) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        colour(scale.place(sample(map, (columns, rows), (x, y), (width, height))))
    })
}

/// From values to places on the colour scale: logarithmic from 0 to the template's top, so that
/// both what good parts show and the worst spot of a gross defect can be told apart.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Above this value a picture is bad.
    pub threshold: f32,
    /// The value at the top.
    pub top: f32,
}

impl Scale {
    /// The scale of a template.
    pub fn of(inspector: &Inspector) -> Self {
        let calibration = &inspector.template().header().calibration;
        Scale { threshold: calibration.threshold, top: calibration.scale_top }
    }

    /// 0 for values up to 0, 1 for the top and above.
    pub fn place(&self, value: f32) -> f32 {
        let unit = if self.threshold > 0.0 { self.threshold } else { self.top };
        ((value.max(0.0) / unit).ln_1p() / (self.top / unit).ln_1p()).clamp(0.0, 1.0)
    }
}

/// The picture, 8 bits, its longest side no longer than `limit` pixels.
pub fn panel(picture: &Picture, limit: u32) -> RgbImage {
    let samples = match &picture.samples {
        Samples::Eight(samples) => samples.clone(),
        Samples::Sixteen(samples) => samples.iter().map(|v| (v >> 8) as u8).collect(),
    };
    let whole = RgbImage::from_raw(picture.width, picture.height, samples).unwrap_or_default();
    let longest = picture.width.max(picture.height);
    if longest <= limit {
        return whole;
    }
    let scaled =
        |side: u32| (u64::from(side) * u64::from(limit) / u64::from(longest)).max(1) as u32;
    imageops::resize(
        &whole,
        scaled(picture.width),
        scaled(picture.height),
        imageops::FilterType::Triangle,
    )
}

/// A small JPEG of the picture, its longest side no longer than `limit` pixels.
pub fn thumbnail(picture: &Picture, limit: u32) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 80)
        .encode_image(&panel(picture, limit))
        .map_err(|e| Error::new(Kind::Image, format!("a JPEG cannot be made: {e}")))?;
    Ok(bytes)
}

/// The map's value at a pixel of a panel, bilinear.
fn sample(
    map: &[f32],
    (map_width, map_height): (u32, u32),
    (x, y): (u32, u32),
    (width, height): (u32, u32),
) -> f32 {
    let place = |at: u32, size: u32, of: u32| {
        let position =
            ((at as f32 + 0.5) * of as f32 / size as f32 - 0.5).clamp(0.0, (of - 1) as f32);
        let low = position as u32;
        (low, (low + 1).min(of - 1), position - low as f32)
    };
    let (left, right, fx) = place(x, width, map_width);
    let (above, below, fy) = place(y, height, map_height);
    let value = |x: u32, y: u32| map.get((y * map_width + x) as usize).copied().unwrap_or(0.0);
    // Outside the region of interest the map is minus infinity, and zero times that is no number.
    let mixed =
        |a: f32, b: f32, part: f32| if part > 0.0 { a * (1.0 - part) + b * part } else { a };
    let row = |y: u32| mixed(value(left, y), value(right, y), fx);
    mixed(row(above), row(below), fy)
}

fn on_outline(
    at: &dyn Fn(u32, u32) -> f32,
    x: u32,
    y: u32,
    width: u32,
    height: u32,
    threshold: f32,
) -> bool {
    if at(x, y) <= threshold {
        return false;
    }
    let near = |dx: i64, dy: i64| {
        let (u, v) = (i64::from(x) + dx, i64::from(y) + dy);
        u < 0
            || v < 0
            || u >= i64::from(width)
            || v >= i64::from(height)
            || at(u as u32, v as u32) <= threshold
    };
    near(-2, 0) || near(2, 0) || near(0, -2) || near(0, 2)
}

/// The colour of a place 0..=1 on the scale. Inferno: perceptually even, also in grey.
pub fn colour(value: f32) -> Rgb<u8> {
    let c = colorous::INFERNO.eval_continuous(f64::from(value.clamp(0.0, 1.0)));
    Rgb([c.r, c.g, c.b])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Strips were drawn at the upper and lower edge over columns that a mask had left out.
    #[test]
    fn nothing_is_outlined_where_a_mask_leaves_the_picture_out() {
        let (columns, rows) = (8, 8);
        let is_left_out = |at: usize| at % 8 < 4;
        let map: Vec<f32> =
            (0..64).map(|at| if is_left_out(at) { f32::NEG_INFINITY } else { -1.0 }).collect();
        for (width, height) in [(8, 8), (80, 60), (5, 3)] {
            let at = |x: u32, y: u32| sample(&map, (columns, rows), (x, y), (width, height));
            for (x, y) in (0..width * height).map(|i| (i % width, i / width)) {
                assert!(at(x, y) <= -1.0, "{x}, {y} of {width} x {height}: {}", at(x, y));
                assert!(!on_outline(&at, x, y, width, height, 0.0), "{x}, {y}");
            }
        }
    }

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
