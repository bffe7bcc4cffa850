//! The colour scale of heat maps: it is set by the threshold.
//!
//! The threshold lies at a fixed place of the scale, so that the same colours mean the same for every template, and
//! after every change of the threshold. Below it the scale is even, from 0 on: weak signals can be seen. Above it the
//! scale is logarithmic up to [`TOP`] thresholds: the worst spot of a gross defect stands out from what lies around it.

use crate::template::HeaderV1;
use image::Rgb;

/// The scale ends at this many thresholds.
pub const TOP: f32 = 4.0;
/// Where the threshold lies on the scale, 0..=1. The colours above are bright, from orange to pale yellow; those below
/// are dark, from black to red.
pub const AT_THRESHOLD: f32 = 0.6;

/// From values to places on the colour scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// Above this value a picture is bad.
    pub threshold: f32,
    /// The value at the top.
    pub top: f32,
}

impl Scale {
    /// The scale of a template, of any version: it follows the threshold that the template has now.
    pub fn of(header: &HeaderV1) -> Self {
        Scale::of_threshold(header.calibration.threshold)
    }

    /// The scale for a threshold. Where that is not above 0 the scale is even and ends at 1.
    pub fn of_threshold(threshold: f32) -> Self {
        match threshold > 0.0 {
            true => Scale { threshold, top: (TOP * threshold).min(f32::MAX) },
            false => Scale { threshold: 0.0, top: 1.0 },
        }
    }

    /// 0 for values up to 0 and what is no number, [`AT_THRESHOLD`] for the threshold, 1 for the top and above.
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

/// The value between 0 and 1; 0 for what is no number.
fn within(value: f32) -> f32 {
    if value > 0.0 { value.min(1.0) } else { 0.0 }
}

/// The colour of a place 0..=1 on the scale. Inferno: perceptually even, also in grey.
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

    /// What is above the threshold is bright and what is well below is dark, in grey, too.
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
