//! Inspecting one picture with a watch on every stage.

use hetmm::Result;
use hetmm::builder::Source;
use hetmm::image::{self, Facts, Picture, Size};
use hetmm::inspection::Pipeline;
use hetmm::scoring::{Decided, Scored};
use serde::Serialize;
use std::time::Instant;

/// Milliseconds of each stage.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Timing {
    pub decode: f64,
    pub preprocess: f64,
    pub backbone: f64,
    pub matching: f64,
    pub scoring: f64,
    pub total: f64,
}

/// A picture and what was found.
pub struct Inspected {
    pub picture: Picture,
    pub facts: Facts,
    pub anomaly_map: Vec<f32>,
    pub scored: Scored,
    pub decided: Decided,
    pub timing: Timing,
}

impl Inspected {
    /// Columns and rows of the picture.
    pub fn size(&self) -> Size {
        Size { width: self.picture.width, height: self.picture.height }
    }
}

/// Reads and inspects a picture.
pub fn inspect(pipeline: &Pipeline, source: &Source) -> Result<Inspected> {
    let mut last = Instant::now();
    let start = last;
    let mut lap = || {
        let now = Instant::now();
        let lap = now.duration_since(last).as_secs_f64() * 1e3;
        last = now;
        lap
    };
    let mut timing = Timing::default();
    let name = |e: hetmm::Error| e.within(source.path.display());
    let decoded = image::decode_with_opacity(&image::load(&source.path)?).map_err(name)?;
    timing.decode = lap();
    let facts = Facts::of(&decoded);
    let picture = decoded.picture;
    let image = pipeline.prepare(&picture).map_err(name)?;
    timing.preprocess = lap();
    let features = pipeline.features(&image)?;
    timing.backbone = lap();
    let distances = pipeline.distances(&features, None);
    timing.matching = lap();
    let anomaly_map = pipeline.anomaly_map(&distances);
    let scored = pipeline.score(&anomaly_map);
    let decided = pipeline.decide(&scored, picture.width, picture.height);
    timing.scoring = lap();
    timing.total = start.elapsed().as_secs_f64() * 1e3;
    Ok(Inspected { picture, facts, anomaly_map, scored, decided, timing })
}

/// The value below which the part `quantile` of `values` lies; 0 for none.
pub fn quantile(values: &[f64], quantile: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (quantile * sorted.len() as f64).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or(0.0)
}
