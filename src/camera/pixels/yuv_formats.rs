//! Converts YUV to RGB, by the `yuv` crate.

use super::format::PixelFormat;
use super::layout::{Layout, too_short};
use yuv::{YuvBiPlanarImage, YuvChromaSubsampling, YuvConversionMode, YuvError, YuvPackedImage};
use yuv::{YuvPlanarImageMut, YuvRange, YuvStandardMatrix};

fn unconverted(error: YuvError) -> String {
    format!("cannot be converted: {error}")
}

/// Converts YUYV and UYVY through separate planes. The crate's direct way rounds its factors to 6 bits, and this one
/// to 13.
pub(super) fn from_packed(bytes: &[u8], layout: &Layout) -> Result<Vec<u8>, String> {
    let Layout { width, range, matrix, .. } = *layout;
    let (yuy_stride, rgb_stride) = (width.saturating_mul(2), width.saturating_mul(3));
    let separate = match layout.format {
        PixelFormat::Uyvy => yuv::uyvy422_to_yuv422,
        _ => yuv::yuyv422_to_yuv422,
    };
    let rows = layout.rows(bytes)?;
    let mut rgb = vec![0; layout.sample_count()];
    let mut planes = YuvPlanarImageMut::alloc(width, 1, YuvChromaSubsampling::Yuv422);
    for (yuy, out) in rows.zip(rgb.chunks_mut(rgb_stride as usize)) {
        let packed = YuvPackedImage { yuy, yuy_stride, width, height: 1 };
        separate(&mut planes, &packed).map_err(unconverted)?;
        yuv::yuv422_to_rgb(&planes.to_fixed(), out, rgb_stride, range, matrix)
            .map_err(unconverted)?;
    }
    Ok(rgb)
}

/// Converts NV12, whose planes lie one behind the other.
pub(super) fn from_nv12(bytes: &[u8], layout: &Layout) -> Result<Vec<u8>, String> {
    let [stride, _] = layout.strides()?;
    let luma = stride.saturating_mul(layout.height as usize);
    let (y_plane, rest) = bytes.split_at_checked(luma).ok_or_else(|| too_short(bytes))?;
    from_planes(y_plane, rest, layout)
}

/// Converts a plane of Y and one of U and V in turn. Both must have the padding of their last row.
pub(super) fn from_planes(y: &[u8], uv: &[u8], layout: &Layout) -> Result<Vec<u8>, String> {
    let ([y_stride, uv_stride], height) = (layout.strides()?, layout.height as usize);
    let plane = |bytes: &'_ [u8], needed: Option<usize>| -> Result<usize, String> {
        needed.filter(|&n| n <= bytes.len()).ok_or_else(|| too_short(bytes))
    };
    let luma = plane(y, y_stride.checked_mul(height))?;
    let chroma = plane(uv, uv_stride.checked_mul(height / 2))?;
    let narrow = |stride: usize| u32::try_from(stride).map_err(|_| too_short(y));
    let (range, matrix): (YuvRange, YuvStandardMatrix) = (layout.range, layout.matrix);
    let image = YuvBiPlanarImage {
        y_plane: y.get(..luma).unwrap_or_default(),
        y_stride: narrow(y_stride)?,
        uv_plane: uv.get(..chroma).unwrap_or_default(),
        uv_stride: narrow(uv_stride)?,
        width: layout.width,
        height: layout.height,
    };
    let mut rgb = vec![0; layout.sample_count()];
    let rgb_stride = layout.width.saturating_mul(3);
    let mode = YuvConversionMode::Balanced;
    yuv::yuv_nv12_to_rgb(&image, &mut rgb, rgb_stride, range, matrix, mode).map_err(unconverted)?;
    Ok(rgb)
}
