//! This module holds the colour scale of heat maps. The threshold sets the scale.
//!
//! The threshold lies at a fixed place of the scale. So the same colours mean the same for every
//! template, and after every change of the threshold. Below the threshold the scale is linear from
//! 0 on, so weak signals can be seen. Above it the scale is logarithmic up to [`TOP`] thresholds,
//! so the worst spot of a gross defect stands out from its surroundings.

use crate::template::HeaderV1;
use image::Rgb;

/// The scale ends at this many thresholds.
pub const TOP: f32 = 4.0;
/// The place of the threshold on the scale, 0..=1. The colours above are bright, from orange to
/// pale yellow. The colours below are dark, from black to red.
pub const AT_THRESHOLD: f32 = 0.6;

/// A colour scale, which turns values into places.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// A picture with a score above this value is bad.
    pub threshold: f32,
    /// The value at the top of the scale.
    pub top: f32,
}

impl Scale {
    /// Returns the scale of a template of any version. It follows the threshold that the template
    /// has now.
    pub fn of(header: &HeaderV1) -> Self {
        Scale::of_threshold(header.calibration.threshold)
    }

    /// Returns the scale for a threshold. Where the threshold is not above 0, the scale is linear
    /// and ends at 1.
    pub fn of_threshold(threshold: f32) -> Self {
        match threshold > 0.0 {
            true => Scale { threshold, top: (TOP * threshold).min(f32::MAX) },
            false => Scale { threshold: 0.0, top: 1.0 },
        }
    }

    /// Returns the place of a value on the scale. It is 0 for values up to 0 and for NaN,
    /// [`AT_THRESHOLD`] for the threshold, and 1 for the top and above.
    pub fn place(&self, value: f32) -> f32 {
        if !(self.threshold > 0.0 && self.top > self.threshold) {
            return within(value / self.top);
        }
        let part = value / self.threshold;
        if part > 1.0 {
            let above = part.ln() / (self.top / self.threshold).ln();
            AT_THRESHOLD + (1.0 - AT_THRESHOLD) * within(above)
        } else {
            AT_THRESHOLD * within(part)
        }
    }
}

/// Limits a value to 0..=1. NaN becomes 0.
fn within(value: f32) -> f32 {
    if value > 0.0 { value.min(1.0) } else { 0.0 }
}

/// Returns the colour of a place 0..=1 on the scale. The colour map is Inferno, which is
/// perceptually even, also in grey.
pub fn colour(place: f32) -> Rgb<u8> {
    let c = colorous::INFERNO.eval_continuous(f64::from(place.clamp(0.0, 1.0)));
    Rgb([c.r, c.g, c.b])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_has_its_place_whatever_it_is() {
        for threshold in [1e-3, 0.5, 2.0, 1e6] {
            let scale = Scale::of_threshold(threshold);
            let cases = [
                (f32::NEG_INFINITY, 0.0),
                (-1.0, 0.0),
                (0.0, 0.0),
                (0.5, 0.3),
                (1.0, AT_THRESHOLD),
                (2.0, 0.8),
                (4.0, 1.0),
                (1e9, 1.0),
                (f32::INFINITY, 1.0),
            ];
            for (thresholds, place) in cases {
                let found = scale.place(thresholds * threshold);
                assert!((found - place).abs() < 1e-5, "{thresholds} x {threshold}: {found}");
            }
        }
        let none = Scale::of_threshold(-1.0);
        assert_eq!((none.place(-1.0), none.place(0.5), none.place(3.0)), (0.0, 0.5, 1.0));
        assert_eq!(Scale::of_threshold(1.0).place(f32::NAN), 0.0);
    }

    /// Colours above the threshold are bright and colours well below it are dark, also in grey.
    #[test]
    fn colours_rise_in_brightness_and_the_threshold_divides_them() {
        let scale = Scale::of_threshold(1.0);
        let grey = |value: f32| {
            let [r, g, b] = colour(scale.place(value)).0.map(f32::from);
            0.299 * r + 0.587 * g + 0.114 * b
        };
        let greys: Vec<f32> = [0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 4.0].map(grey).to_vec();
        assert!(greys.windows(2).all(|pair| pair[0] + 8.0 < pair[1]), "{greys:?}");
        assert!(greys[2] < 70.0 && greys[3] > 110.0, "{greys:?}");
    }
}
