//! Inspecting one picture with a watch on every stage.

use hetmm::Result;
use hetmm::builder::Source;
use hetmm::image::{self, Facts, Picture};
use hetmm::inspection::{Inspected, Pipeline, StageTimes};
use serde::Serialize;
use std::time::{Duration, Instant};

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

impl Timing {
    /// The stages of an inspection, after a picture that took so many milliseconds to decode.
    pub fn new(decode: f64, times: StageTimes) -> Self {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let stages = [times.prepare, times.features, times.matching, times.scoring].map(ms);
        let [preprocess, backbone, matching, scoring] = stages;
        let total = decode + stages.iter().sum::<f64>();
        Timing { decode, preprocess, backbone, matching, scoring, total }
    }
}

/// A picture's file, and what was found.
pub struct FileInspected {
    pub picture: Picture,
    pub facts: Facts,
    pub found: Inspected,
    pub timing: Timing,
}

/// Reads and inspects a picture.
pub fn inspect(pipeline: &Pipeline, source: &Source) -> Result<FileInspected> {
    let start = Instant::now();
    let name = |e: hetmm::Error| e.within(source.path.display());
    let decoded = image::decode_with_opacity(&image::load(&source.path)?).map_err(name)?;
    let decode = start.elapsed().as_secs_f64() * 1e3;
    let facts = Facts::of(&decoded);
    let picture = decoded.picture;
    let view = picture.view().map_err(name)?;
    let found = pipeline.inspect(&view, &|| start.elapsed()).map_err(name)?;
    let timing = Timing::new(decode, found.times);
    Ok(FileInspected { picture, facts, found, timing })
}

/// The value below which the part `quantile` of `values` lies; 0 for none.
pub fn quantile(values: &[f64], quantile: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (quantile * sorted.len() as f64).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or(0.0)
}
