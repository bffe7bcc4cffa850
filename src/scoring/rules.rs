//! Region rules: what of a map above the threshold makes a part bad.
//!
//! Without rules a part is judged by its score alone: by the largest value of the blurred map. With
//! rules it is judged by *regions*, connected pixels above the threshold of their zone: those that are
//! large enough count, and a part is bad when more of them count than are tolerated. Only a weak and small region is
//! tolerated: see [`TOLERATED_PEAK`] and [`TOLERATED_SHARE`]. The score stays what it is; rules only decide.
//!
//! Areas are pixels of the pictures that the template was built from, so that they mean the same on
//! every picture, whatever its size. `mm_per_pixel` belongs to these pictures, too.

use serde::{Deserialize, Serialize};

/// A pixel of the label map with this value is ignored.
pub const IGNORED: u8 = 255;
/// A region is tolerated only where the map stays within this many times its threshold: what is stronger is a
/// defect, whatever the number of regions that are tolerated.
pub const TOLERATED_PEAK: f32 = 2.0;
/// A region is tolerated only where it covers no more than this share of the picture.
pub const TOLERATED_SHARE: f64 = 0.02;
/// Most zones that a template can have.
pub const MAX_ZONES: usize = 254;

/// What makes a part bad, beside the thresholds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// Smaller regions do not count, in pixels of the pictures the template was built from.
    pub min_area_px: f32,
    /// Up to so many regions that count are tolerated, where each of them is weak and small.
    pub max_regions: u32,
    /// Side of such a pixel in millimetres; 0 where it is not known.
    pub mm_per_pixel: f32,
    /// Parts of the picture with rules of their own.
    pub zones: Vec<Zone>,
}

/// A part of the picture with rules of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Zone {
    /// Its value in the label map, 1 to 254.
    pub label: u8,
    /// Its name, for people.
    pub name: String,
    /// What is too much there.
    pub limit: Limit,
    /// Its own least area, in place of [`Rules::min_area_px`].
    pub min_area_px: Option<f32>,
}

/// The threshold of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Limit {
    /// This many times the template's threshold; the review threshold likewise.
    Factor(f32),
    /// This score; the review threshold in the same proportion as the template's.
    Score(f32),
}

impl Limit {
    /// The limit in a zone where the template's own threshold is `threshold`, and the level in use is
    /// `level`: the threshold itself, or the review threshold.
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
    /// Rules that decide as the score does.
    fn default() -> Self {
        Rules { min_area_px: 0.0, max_regions: 0, mm_per_pixel: 0.0, zones: Vec::new() }
    }
}

impl Rules {
    /// The zone of a label; `None` for the rest of the picture.
    pub fn zone(&self, label: u8) -> Option<&Zone> {
        self.zones.iter().find(|zone| zone.label == label)
    }

    /// The least area that counts in a zone.
    pub fn min_area_px(&self, zone: Option<&Zone>) -> f32 {
        zone.and_then(|zone| zone.min_area_px).unwrap_or(self.min_area_px)
    }

    /// An area in square millimetres, where the scale is known.
    pub fn mm2(&self, area_px: f64) -> Option<f64> {
        let side = f64::from(self.mm_per_pixel);
        (side > 0.0).then_some(area_px * side * side)
    }

    /// What makes no sense: numbers that are no numbers or out of range, labels that come twice.
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
