//! This module draws pictures of results: the part, its anomaly map, and the outline of what is
//! above the threshold.

mod files;
mod layout;
mod letters;
mod scale;

pub use files::{
    FORMAT, HEAT_MAP, THUMBNAIL, is_marked_png, marked_png, marked_thumbnail, picture_png, png,
    thumbnail,
};
pub use scale::{AT_THRESHOLD, Scale, TOP, colour};

use crate::image::{Picture, Samples, Size};
use crate::inspection::Pipeline;
use crate::scoring::Scored;
use image::{RgbImage, imageops};
use layout::{OUTLINE, Panel};

/// The longest side of a panel, in pixels. Larger pictures are scaled down.
const PANEL: u32 = 640;

/// Draws the panels side by side, each with its name. They show the picture, the picture with
/// outlines, and the blurred map in colours; the colour scale stands beside them. The outlines
/// surround the regions above the threshold of their zone.
///
/// The template's threshold sets the colour scale, so the colours of different pictures can be
/// compared.
pub fn draw(pipeline: &Pipeline, picture: &Picture, scored: &Scored) -> RgbImage {
    let panel = panel(picture, PANEL);
    let (width, height) = panel.dimensions();
    let header = pipeline.template().header();
    let (map_size, size) = (header.backbone.size(), Size { width, height });
    let scale = Scale::of(header);
    let excess = pipeline.excess(scored);
    let at = |x: u32, y: u32| sample(&excess, map_size, (x, y), size);
    let outlined = RgbImage::from_fn(width, height, |x, y| {
        if on_outline(&at, x, y, width, height, 0.0) { OUTLINE } else { *panel.get_pixel(x, y) }
    });
    let above = match excess.iter().any(|value| *value > 0.0) {
        true => "above the threshold",
        false => "nothing above threshold",
    };
    let panels = [
        Panel { name: "picture".into(), image: panel },
        Panel { name: above.into(), image: outlined },
        Panel {
            name: format!("anomaly map, score {}", layout::number(scored.score)),
            image: heat(pipeline, scored, width, height),
        },
    ];
    layout::side_by_side(&panels, scale)
}

/// Draws the blurred map in colours, at any size.
pub fn heat(pipeline: &Pipeline, scored: &Scored, width: u32, height: u32) -> RgbImage {
    let id = &pipeline.template().header().backbone;
    heat_of(
        &scored.blurred,
        id.size(),
        Scale::of(pipeline.template().header()),
        Size { width, height },
    )
}

/// Draws a map of `map_size` values in a colour scale, at `size`.
pub fn heat_of(map: &[f32], map_size: Size, scale: Scale, size: Size) -> RgbImage {
    RgbImage::from_fn(size.width, size.height, |x, y| {
        colour(scale.place(sample(map, map_size, (x, y), size)))
    })
}

/// Returns the picture with 8 bits. Its longest side is at most `limit` pixels.
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

/// Returns the map's value at a pixel of a panel, by bilinear interpolation.
fn sample(map: &[f32], map_size: Size, (x, y): (u32, u32), size: Size) -> f32 {
    let place = |at: u32, size: u32, of: u32| {
        let position =
            ((at as f32 + 0.5) * of as f32 / size as f32 - 0.5).clamp(0.0, (of - 1) as f32);
        let low = position as u32;
        (low, (low + 1).min(of - 1), position - low as f32)
    };
    let (left, right, fx) = place(x, size.width, map_size.width);
    let (above, below, fy) = place(y, size.height, map_size.height);
    let value = |x: u32, y: u32| map.get((y * map_size.width + x) as usize).copied().unwrap_or(0.0);
    // Outside the region of interest the map is minus infinity, and zero times minus infinity is
    // NaN.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A mask leaves columns out. No strips may be drawn at the upper and lower edge over those
    /// columns.
    #[test]
    fn nothing_is_outlined_where_a_mask_leaves_the_picture_out() {
        let map_size = Size { width: 8, height: 8 };
        let is_left_out = |at: usize| at % 8 < 4;
        let map: Vec<f32> =
            (0..64).map(|at| if is_left_out(at) { f32::NEG_INFINITY } else { -1.0 }).collect();
        for (width, height) in [(8, 8), (80, 60), (5, 3)] {
            let at = |x: u32, y: u32| sample(&map, map_size, (x, y), Size { width, height });
            for (x, y) in (0..width * height).map(|i| (i % width, i / width)) {
                assert!(at(x, y) <= -1.0, "{x}, {y} of {width} x {height}: {}", at(x, y));
                assert!(!on_outline(&at, x, y, width, height, 0.0), "{x}, {y}");
            }
        }
    }
}
