//! Region rules say when values above the threshold make a part bad.
//!
//! Without rules, only the score judges a part: the largest value of the blurred map. With rules,
//! *regions* judge it. A region is a set of connected pixels above the threshold of their zone.
//! Regions that are large enough count, and a part is bad when more of them count than are
//! tolerated. Only a weak and small region is tolerated; see [`TOLERATED_PEAK`] and
//! [`TOLERATED_SHARE`]. Rules only decide, and never change the score.
//!
//! Areas are in pixels of the pictures that the template was built from. So they mean the same on
//! every picture, whatever its size. `mm_per_pixel` refers to these pictures, too.

use serde::{Deserialize, Serialize};

/// The value in the label map that marks ignored pixels.
pub const IGNORED: u8 = 255;
/// A region is tolerated only where the map stays within this many times its threshold. A stronger
/// region is a defect, whatever number of regions is tolerated.
pub const TOLERATED_PEAK: f32 = 2.0;
/// A region is tolerated only where it covers at most this share of the picture.
pub const TOLERATED_SHARE: f64 = 0.02;
/// The most zones that a template can have.
pub const MAX_ZONES: usize = 254;

/// The rules that decide about a part, besides the thresholds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// The least area that counts, in pixels of the pictures that the template was built from.
    pub min_area_px: f32,
    /// The number of counting regions that are tolerated, where each of them is weak and small.
    pub max_regions: u32,
    /// The side of such a pixel in millimetres, or 0 where it is not known.
    pub mm_per_pixel: f32,
    /// The parts of the picture that have rules of their own.
    pub zones: Vec<Zone>,
}

/// A part of the picture that has rules of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Zone {
    /// The zone's value in the label map, 1 to 254.
    pub label: u8,
    /// The zone's name, for people.
    pub name: String,
    /// The threshold of the zone.
    pub limit: Limit,
    /// The zone's own least area, in place of [`Rules::min_area_px`].
    pub min_area_px: Option<f32>,
}

/// The threshold of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Limit {
    /// The zone's threshold is this many times the template's threshold. The same factor applies to
    /// the review threshold.
    Factor(f32),
    /// The zone's threshold is this score. Its review threshold has the same proportion to it as
    /// the template's.
    Score(f32),
}

impl Limit {
    /// Returns the limit in a zone at `level`. `threshold` is the template's own threshold, and
    /// `level` is either that threshold or the review threshold.
    pub fn of(self, level: f32, threshold: f32) -> f32 {
        match self {
            Limit::Factor(factor) => factor * level,
            Limit::Score(score) if level == threshold => score,
            // Both are positive where rules are accepted.
            Limit::Score(score) => score * (level / threshold),
        }
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Limit::Factor(factor) => write!(f, "{factor} x the threshold"),
            Limit::Score(score) => write!(f, "{score}"),
        }
    }
}

impl Default for Rules {
    /// Makes rules that decide as the score does.
    fn default() -> Self {
        Rules { min_area_px: 0.0, max_regions: 0, mm_per_pixel: 0.0, zones: Vec::new() }
    }
}

impl Rules {
    /// Returns the zone of a label, or `None` for the rest of the picture.
    pub fn zone(&self, label: u8) -> Option<&Zone> {
        self.zones.iter().find(|zone| zone.label == label)
    }

    /// Returns the least area that counts in a zone.
    pub fn min_area_px(&self, zone: Option<&Zone>) -> f32 {
        zone.and_then(|zone| zone.min_area_px).unwrap_or(self.min_area_px)
    }

    /// Converts an area to square millimetres, where the scale is known.
    pub fn mm2(&self, area_px: f64) -> Option<f64> {
        let side = f64::from(self.mm_per_pixel);
        (side > 0.0).then_some(area_px * side * side)
    }

    /// Refuses numbers that are not finite or out of range, and labels that come twice. The error
    /// names the wrong value.
    pub fn validate(&self) -> Result<(), &'static str> {
        let area = |a: f32| a.is_finite() && (0.0..1e9).contains(&a);
        let require = |holds: bool, what| if holds { Ok(()) } else { Err(what) };
        require(area(self.min_area_px), "least area")?;
        require(self.max_regions <= 10_000, "number of tolerated regions")?;
        require((0.0..1e6).contains(&self.mm_per_pixel), "millimetres per pixel")?;
        require(self.zones.len() <= MAX_ZONES, "number of zones")?;
        for (i, zone) in self.zones.iter().enumerate() {
            require((1..=254).contains(&zone.label), "label of a zone")?;
            require(self.zones[..i].iter().all(|z| z.label != zone.label), "label of a zone")?;
            require(zone.name.len() <= 64 && !zone.name.is_empty(), "name of a zone")?;
            let (Limit::Factor(limit) | Limit::Score(limit)) = zone.limit;
            require(limit > 0.0 && limit < 1e6, "threshold of a zone")?;
            require(zone.min_area_px.is_none_or(area), "least area of a zone")?;
        }
        Ok(())
    }
}
