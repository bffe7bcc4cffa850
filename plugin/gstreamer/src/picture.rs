//! The way from a buffer to a view of its pixels.
//!
//! The buffer is mapped as plain bytes, and every size is checked against them. `VideoFrameRef` is not used: it takes
//! for granted that the last row has its padding. A frame that was cropped by its `GstVideoMeta` ends earlier.

use gst_video::{VideoCropMeta, VideoFormat, VideoInfo, VideoMeta};
use hetmm::{Error, ErrorKind, PictureView, Result};

/// The formats that the element takes, the usual ones first.
pub const FORMATS: [VideoFormat; 13] = [
    VideoFormat::Rgb,
    VideoFormat::Bgr,
    VideoFormat::Rgbx,
    VideoFormat::Bgrx,
    VideoFormat::Xrgb,
    VideoFormat::Xbgr,
    VideoFormat::Rgba,
    VideoFormat::Bgra,
    VideoFormat::Argb,
    VideoFormat::Abgr,
    VideoFormat::Gray8,
    VideoFormat::Gray16Le,
    VideoFormat::Gray16Be,
];

/// Where the pixels of a frame lie in its buffer.
struct Layout {
    width: u32,
    height: u32,
    /// The byte at which the first row starts.
    offset: usize,
    /// The bytes from the start of a row to the start of the next.
    stride: usize,
}

/// Calls `work` with a view of the frame in `buffer`, whose caps are those of `info`. Alpha is not read.
///
/// # Errors
/// Returns [`ErrorKind::Image`] if the frame is damaged or its bytes do not fit its caps. Returns the errors of `work`,
/// too.
pub fn with_view<T>(
    buffer: &gst::BufferRef,
    info: &VideoInfo,
    work: impl FnOnce(&PictureView) -> Result<T>,
) -> Result<T> {
    let layout = layout(buffer, info)?;
    let mapped = buffer.map_readable().map_err(|_| {
        unusable("its memory cannot be read")
            .advise("copy the frame to system memory, with nvvidconv on a Jetson board")
    })?;
    let bytes = mapped.get(layout.offset..).unwrap_or_default();
    let Layout { width, height, stride, .. } = layout;
    let view = match info.format() {
        VideoFormat::Rgb => PictureView::rgb8(bytes, width, height, stride),
        VideoFormat::Bgr => PictureView::bgr8(bytes, width, height, stride),
        VideoFormat::Rgbx | VideoFormat::Rgba => PictureView::rgbx8(bytes, width, height, stride),
        VideoFormat::Bgrx | VideoFormat::Bgra => PictureView::bgrx8(bytes, width, height, stride),
        VideoFormat::Xrgb | VideoFormat::Argb => PictureView::xrgb8(bytes, width, height, stride),
        VideoFormat::Xbgr | VideoFormat::Abgr => PictureView::xbgr8(bytes, width, height, stride),
        VideoFormat::Gray8 => PictureView::gray8(bytes, width, height, stride),
        VideoFormat::Gray16Le => return gray16(bytes, &layout, u16::from_le_bytes, work),
        VideoFormat::Gray16Be => return gray16(bytes, &layout, u16::from_be_bytes, work),
        other => Err(unusable(format!("the format {other} is not supported"))),
    };
    work(&view?)
}

/// Finds the pixels. A `GstVideoMeta` comes before the caps, which say only what is usual.
fn layout(buffer: &gst::BufferRef, info: &VideoInfo) -> Result<Layout> {
    if buffer.flags().contains(gst::BufferFlags::CORRUPTED) {
        return Err(unusable("its source has marked it as corrupted")
            .advise("check the camera and its cable"));
    }
    if buffer.meta::<VideoCropMeta>().is_some() {
        return Err(unusable("it has a GstVideoCropMeta, and its pixels are not cropped yet")
            .advise("put videoconvert before hetmm"));
    }
    let (width, height) = (info.width(), info.height());
    let (offset, stride) = match buffer.meta::<VideoMeta>() {
        Some(meta) => {
            let told = (meta.format(), meta.width(), meta.height());
            if told != (info.format(), width, height) {
                return Err(unusable(format!(
                    "its GstVideoMeta says {} {} x {}, and its caps say {} {width} x {height}",
                    told.0,
                    told.1,
                    told.2,
                    info.format()
                )));
            }
            (meta.offset().first().copied(), meta.stride().first().copied())
        }
        None => (info.offset().first().copied(), info.stride().first().copied()),
    };
    let stride = stride.and_then(|stride| usize::try_from(stride).ok());
    match (offset, stride) {
        (Some(offset), Some(stride)) => Ok(Layout { width, height, offset, stride }),
        _ => Err(unusable("its rows lie upside down or nowhere")),
    }
}

/// Calls `work` with a view of 16-bit samples. They are copied only if the processor cannot read them as they lie.
fn gray16<T>(
    bytes: &[u8],
    layout: &Layout,
    sample: fn([u8; 2]) -> u16,
    work: impl FnOnce(&PictureView) -> Result<T>,
) -> Result<T> {
    let &Layout { width, height, stride, .. } = layout;
    let is_native = sample([1, 0]) == u16::from_ne_bytes([1, 0]);
    let whole = &bytes[..bytes.len() / 2 * 2];
    if let Ok(samples) = bytemuck::try_cast_slice(whole)
        && is_native
        && stride.is_multiple_of(2)
    {
        return work(&PictureView::gray16(samples, width, height, stride)?);
    }
    // Rows without padding, of which the last may lack its own.
    let row = 2 * width as usize;
    let rows = (0..height as usize).map(|y| {
        let start = y.checked_mul(stride)?;
        bytes.get(start..start.checked_add(row)?)
    });
    let mut samples = Vec::with_capacity(width as usize * height as usize);
    for bytes in rows {
        let bytes = bytes.ok_or_else(|| unusable("it has fewer bytes than its caps say"))?;
        samples.extend(bytes.chunks_exact(2).map(|pair| sample([pair[0], pair[1]])));
    }
    work(&PictureView::gray16(&samples, width, height, row)?)
}

fn unusable(why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Image, why.to_string()).within("the frame")
}
