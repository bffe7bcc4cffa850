//! This module inspects a picture file and measures the time of every stage.

use crate::Result;
use crate::builder::Source;
use crate::image::{self, Facts, Picture};
use crate::inspection::{Inspected, Pipeline, Timing};
use std::time::Instant;

/// The result for one picture file.
pub struct FileInspected {
    /// The decoded picture.
    pub picture: Picture,
    /// Special properties of the picture.
    pub facts: Facts,
    /// What was found.
    pub found: Inspected,
    /// How long it took.
    pub timing: Timing,
}

/// Reads and inspects a picture.
///
/// # Errors
/// As [`Pipeline::inspect`] and [`image::load`]; they name the file.
pub fn inspect_file(pipeline: &Pipeline, source: &Source) -> Result<FileInspected> {
    let start = Instant::now();
    let name = |e: crate::Error| e.within(source.path.display());
    let decoded = image::decode_with_opacity(&image::load(&source.path)?).map_err(name)?;
    let decode = start.elapsed();
    let facts = Facts::of(&decoded);
    let picture = decoded.picture;
    let view = picture.view().map_err(name)?;
    let found = pipeline.inspect(&view, &|| start.elapsed()).map_err(name)?;
    let timing = Timing::new(decode, found.times);
    Ok(FileInspected { picture, facts, found, timing })
}
