//! This module tells where the score comes from: the connected regions above the threshold.

use super::components::label_components;
use super::extent::cuts;
use crate::image::Size;
use serde::Serialize;

/// A connected region of the blurred map above its threshold, in pixels of the picture. The box and
/// the area are those of its extent; see [`super::extent`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Region {
    /// The left edge.
    pub x: u32,
    /// The top edge.
    pub y: u32,
    /// The number of columns of the bounding box.
    pub width: u32,
    /// The number of rows of the bounding box.
    pub height: u32,
    /// The number of pixels of its extent.
    pub area: u32,
    /// The largest value in the region.
    pub peak: f32,
    /// The area in square millimetres, where the scale is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub area_mm2: Option<f64>,
    /// The name of the zone that the region belongs to, where it belongs to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Whether the region counts. It is stated where a template has rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<bool>,
}

/// A region with its pixels in the map.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The region in pixels of the picture.
    pub region: Region,
    /// All its pixels above the threshold, in their order in the map.
    pub pixels: Vec<usize>,
    /// How many of these pixels belong to its extent.
    pub extent: usize,
}

/// Finds the regions of `blurred`, a map of `map_width` columns, where it is above `limit` of the
/// pixel. The worst region comes first. Edges and areas are scaled to a picture of `size`.
pub fn regions(
    blurred: &[f32],
    map_width: usize,
    limit: &dyn Fn(usize) -> f32,
    size: Size,
) -> Vec<Found> {
    let Size { width, height } = size;
    let above: Vec<bool> = blurred.iter().enumerate().map(|(at, &v)| v > limit(at)).collect();
    // Most parts are good and have no regions.
    if !above.contains(&true) {
        return Vec::new();
    }
    let (label, count) = label_components(&above, map_width);
    let cuts = cuts(blurred, map_width, limit);
    let map_height = blurred.len() / map_width.max(1);
    let mut boxes = vec![Bounds::default(); count as usize];
    for (pixel, &label) in label.iter().enumerate() {
        if let Some(bounds) = (label as usize).checked_sub(1).and_then(|l| boxes.get_mut(l)) {
            bounds.take(pixel, map_width, blurred[pixel], cuts[pixel]);
        }
    }
    let scale =
        |at: usize, of: usize, to: u32| (at as f64 * f64::from(to) / of as f64).round() as u32;
    let mut regions: Vec<Found> = boxes
        .into_iter()
        .map(|b| {
            let (x, y) = (scale(b.left, map_width, width), scale(b.top, map_height, height));
            let pixel = f64::from(width) * f64::from(height) / blurred.len() as f64;
            let region = Region {
                x,
                y,
                width: scale(b.right, map_width, width) - x,
                height: scale(b.bottom, map_height, height) - y,
                area: (b.extent as f64 * pixel).round() as u32,
                peak: b.peak,
                area_mm2: None,
                zone: None,
                counts: None,
            };
            Found { region, pixels: b.pixels, extent: b.extent }
        })
        .collect();
    regions.sort_by(|a, b| b.region.peak.total_cmp(&a.region.peak));
    regions
}

/// The properties of a region, which are gathered pixel by pixel.
#[derive(Clone)]
struct Bounds {
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
    pixels: Vec<usize>,
    extent: usize,
    peak: f32,
}

impl Default for Bounds {
    fn default() -> Self {
        let (left, top, peak) = (usize::MAX, usize::MAX, f32::NEG_INFINITY);
        Bounds { left, top, right: 0, bottom: 0, pixels: Vec::new(), extent: 0, peak }
    }
}

impl Bounds {
    /// Adds a pixel above its threshold. It belongs to the extent where it is above `cut`.
    fn take(&mut self, pixel: usize, map_width: usize, value: f32, cut: f32) {
        self.pixels.push(pixel);
        self.peak = self.peak.max(value);
        if value > cut {
            let (x, y) = (pixel % map_width, pixel / map_width);
            self.left = self.left.min(x);
            self.top = self.top.min(y);
            self.right = self.right.max(x + 1);
            self.bottom = self.bottom.max(y + 1);
            self.extent += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { width: 80, height: 80 };

    #[test]
    fn boxes_are_in_picture_pixels_and_the_worst_comes_first() {
        let mut map = vec![0.1; 8 * 4];
        map[9] = 0.6;
        map[10] = 0.7;
        map[31] = 0.9;
        let found = regions(&map, 8, &|_| 0.5, SIZE);
        let whole = |x, y, width, height, area, peak| Region {
            x,
            y,
            width,
            height,
            area,
            peak,
            area_mm2: None,
            zone: None,
            counts: None,
        };
        let expected = [
            Found { region: whole(70, 60, 10, 20, 200, 0.9), pixels: vec![31], extent: 1 },
            Found { region: whole(10, 20, 20, 20, 400, 0.7), pixels: vec![9, 10], extent: 2 },
        ];
        assert_eq!(found, expected);
        assert!(regions(&map, 8, &|_| 0.9, SIZE).is_empty());
        let stricter_left = |at: usize| if [0, 8, 16, 24].contains(&at) { 0.05 } else { 0.5 };
        assert_eq!(regions(&map, 8, &stricter_left, SIZE)[1].pixels, [0, 8, 9, 10, 16, 24]);
    }
}
