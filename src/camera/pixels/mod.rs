//! Turns the raw bytes of a camera's frame into a picture.
//!
//! Every row is checked against the bytes that came. A frame that is too short cannot be used. It never becomes a
//! picture with an invented rest.

mod bayer;
mod format;
mod jpeg;
mod layout;
mod raw;
mod settings;
mod yuv_formats;

pub use format::PixelFormat;
pub use jpeg::first_line;
pub use layout::Layout;
pub use settings::{Align, BayerMode, RawSettings};

use crate::image::{Picture, Samples, Size};

/// Turns a frame's bytes into a picture. `planes` holds the frame's buffers, in order.
///
/// `GREY` is used as it is, without stretching a limited range, because cameras fill the full one. Formats with more
/// than 8 bits and those of Bayer sensors become pictures of 16 bits at full scale.
///
/// # Errors
/// Returns why the frame cannot be used: the bytes are too few or are not what `layout` says.
pub fn to_picture(planes: &[&[u8]], layout: &Layout) -> Result<Picture, String> {
    layout.check()?;
    let bytes = match planes {
        [only] if layout.format.planes() == 1 => *only,
        [first, _] if layout.format.planes() == 2 => *first,
        _ => return Err(format!("{} buffers hold no {}", planes.len(), layout.format)),
    };
    let samples = match layout.format {
        PixelFormat::Yuyv | PixelFormat::Uyvy => {
            Samples::Eight(yuv_formats::from_packed(bytes, layout)?)
        }
        PixelFormat::Nv12 => Samples::Eight(yuv_formats::from_nv12(bytes, layout)?),
        PixelFormat::Nm12 => {
            let chroma = planes.get(1).copied().unwrap_or_default();
            Samples::Eight(yuv_formats::from_planes(bytes, chroma, layout)?)
        }
        PixelFormat::Grey => from_rows(bytes, layout, |row, out| {
            out.extend(row.iter().flat_map(|&grey| [grey; 3]));
        })?,
        PixelFormat::Rgb3 => from_rows(bytes, layout, |row, out| out.extend_from_slice(row))?,
        PixelFormat::Bgr3 => from_rows(bytes, layout, |row, out| {
            let (pixels, _) = row.as_chunks::<3>();
            out.extend(pixels.iter().flat_map(|&[blue, green, red]| [red, green, blue]));
        })?,
        PixelFormat::Mjpg => return jpeg::from_jpeg(bytes, layout),
        PixelFormat::Bayer(..) => Samples::Sixteen(bayer::from_bayer(bytes, layout)?),
        PixelFormat::Y10
        | PixelFormat::Y12
        | PixelFormat::Y16
        | PixelFormat::Y10p
        | PixelFormat::Y12p
        | PixelFormat::Y10b => Samples::Sixteen(raw::from_grey(bytes, layout)?),
    };
    let Size { width, height } = layout.picture_size();
    Ok(Picture { width, height, samples })
}

fn from_rows(
    bytes: &[u8],
    layout: &Layout,
    append: impl Fn(&[u8], &mut Vec<u8>),
) -> Result<Samples, String> {
    let rows = layout.rows(bytes)?;
    let mut out = Vec::with_capacity(layout.sample_count());
    rows.for_each(|row| append(row, &mut out));
    Ok(Samples::Eight(out))
}

#[cfg(test)]
mod raw_tests;
#[cfg(test)]
mod tests;
