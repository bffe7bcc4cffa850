//! Where the score comes from: connected regions above the threshold.

use super::components::label_components;
use serde::Serialize;

/// A connected region of the blurred map above the threshold, in pixels of the picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Region {
    /// Left edge.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Columns of the bounding box.
    pub width: u32,
    /// Rows of the bounding box.
    pub height: u32,
    /// Pixels of the region.
    pub area: u32,
    /// Largest value in the region.
    pub peak: f32,
}

/// Regions of `blurred`, a map of `map_width` columns, above `threshold`; worst first. Edges and
/// areas are scaled to a picture of `width` x `height` pixels.
pub fn regions(
    blurred: &[f32],
    map_width: usize,
    threshold: f32,
    width: u32,
    height: u32,
) -> Vec<Region> {
    let above: Vec<bool> = blurred.iter().map(|&v| v > threshold).collect();
    let (label, count) = label_components(&above, map_width);
    let map_height = blurred.len() / map_width.max(1);
    let mut boxes = vec![(usize::MAX, usize::MAX, 0, 0, 0usize, f32::MIN); count as usize];
    for (pixel, &label) in label.iter().enumerate() {
        let Some(region) = (label as usize).checked_sub(1).and_then(|l| boxes.get_mut(l)) else {
            continue;
        };
        let (x, y) = (pixel % map_width, pixel / map_width);
        region.0 = region.0.min(x);
        region.1 = region.1.min(y);
        region.2 = region.2.max(x + 1);
        region.3 = region.3.max(y + 1);
        region.4 += 1;
        region.5 = region.5.max(blurred[pixel]);
    }
    let scale =
        |at: usize, of: usize, to: u32| (at as f64 * f64::from(to) / of as f64).round() as u32;
    let mut regions: Vec<Region> = boxes
        .into_iter()
        .map(|(left, top, right, bottom, area, peak)| {
            let (x, y) = (scale(left, map_width, width), scale(top, map_height, height));
            Region {
                x,
                y,
                width: scale(right, map_width, width) - x,
                height: scale(bottom, map_height, height) - y,
                area: (area as f64 * f64::from(width) * f64::from(height) / blurred.len() as f64)
                    .round() as u32,
                peak,
            }
        })
        .collect();
    regions.sort_by(|a, b| b.peak.total_cmp(&a.peak));
    regions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_in_picture_pixels_and_the_worst_comes_first() {
        let mut map = vec![0.1; 8 * 4];
        map[9] = 0.6;
        map[10] = 0.7;
        map[31] = 0.9;
        let found = regions(&map, 8, 0.5, 80, 80);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], Region { x: 70, y: 60, width: 10, height: 20, area: 200, peak: 0.9 });
        assert_eq!(found[1], Region { x: 10, y: 20, width: 20, height: 20, area: 400, peak: 0.7 });
        assert!(regions(&map, 8, 0.9, 80, 80).is_empty());
    }
}
