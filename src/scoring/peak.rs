//! This module tells where the score of a picture comes from, whatever its verdict is.

use super::Scored;
use crate::image::Size;
use serde::Serialize;

/// The largest value of the blurred map, and its place in the picture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Peak {
    /// The column, in pixels of the picture.
    pub x: u32,
    /// The row, in pixels of the picture.
    pub y: u32,
    /// The value there, which is the score of the picture.
    pub value: f32,
}

impl Scored {
    /// Returns the peak of a map of `map_width` columns, for a picture of `size`. Of several equal peaks it returns the first one, row by row. It returns `None` where
    /// no value of the map is finite.
    pub fn peak(&self, map_width: usize, size: Size) -> Option<Peak> {
        let Size { width, height } = size;
        let mut best: Option<(usize, f32)> = None;
        for (at, &value) in self.blurred.iter().enumerate() {
            let is_larger = best.is_none_or(|(_, largest)| value > largest);
            if value.is_finite() && is_larger {
                best = Some((at, value));
            }
        }
        let (at, value) = best?;
        let map_height = self.blurred.len() / map_width.max(1);
        // This is the middle of the map's pixel.
        let place = |at: usize, of: usize, to: u32| {
            let middle = (2 * at as u64 + 1) * u64::from(to) / (2 * of.max(1) as u64);
            (middle as u32).min(to.saturating_sub(1))
        };
        let (x, y) = (at % map_width.max(1), at / map_width.max(1));
        Some(Peak { x: place(x, map_width, width), y: place(y, map_height, height), value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peak(blurred: Vec<f32>, (width, height): (u32, u32)) -> Option<(u32, u32, f32)> {
        let scored = Scored { score: 0.0, blurred, judged: None };
        scored.peak(8, Size { width, height }).map(|peak| (peak.x, peak.y, peak.value))
    }

    #[test]
    fn the_peak_is_in_pixels_of_the_picture() {
        let mut map = vec![-0.5; 8 * 4];
        map[10] = 0.25;
        // The peak is in column 2 of 8 and in row 1 of 4.
        assert_eq!(peak(map.clone(), (80, 80)), Some((25, 30, 0.25)));
        assert_eq!(peak(map.clone(), (8, 4)), Some((2, 1, 0.25)));
        assert_eq!(peak(map.clone(), (4, 2)), Some((1, 0, 0.25)));
        map[31] = 0.25;
        assert_eq!(peak(map.clone(), (80, 80)), Some((25, 30, 0.25)), "the first of two");
        map[31] = 0.5;
        map[0] = f32::NAN;
        map[1] = f32::NEG_INFINITY;
        assert_eq!(peak(map, (80, 80)), Some((75, 70, 0.5)));
        assert_eq!(peak(vec![f32::NAN; 32], (80, 80)), None);
        assert_eq!(peak(vec![-1.0; 32], (80, 80)), Some((5, 10, -1.0)));
    }
}
