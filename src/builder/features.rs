//! The feature pass: every picture read once, decoded, and run through the backbone.

use super::store::{Store, scratch_folder};
use super::{Options, Progress, Stage};
use crate::backbone::Backbone;
use crate::error::{Error, Kind, Result};
use crate::feature_map::FeatureMap;
use crate::image::{self, NetworkImage, Picture};
use crate::template::ImageRecord;
use rayon::prelude::*;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A picture to build from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its file.
    pub path: PathBuf,
}

impl Source {
    /// The name that goes into templates: the file's own, without folders.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }

    /// The decoded picture and the BLAKE3 of its file.
    pub fn read(&self) -> Result<(Picture, [u8; 32])> {
        let bytes = image::load(&self.path)?;
        let picture = image::decode(&bytes).map_err(|e| e.within(self.path.display()))?;
        Ok((picture, blake3::hash(&bytes).into()))
    }
}

/// What the pass gives.
pub struct Pass {
    /// Features of the pictures that could be read.
    pub store: Store,
    /// Their records, in the order of the store.
    pub images: Vec<ImageRecord>,
    /// Their files, likewise.
    pub sources: Vec<Source>,
    /// The others, with the reason.
    pub skipped: Vec<Error>,
    /// Things a person should know.
    pub warnings: Vec<String>,
}

/// Runs `backbone` over `pictures`, on all threads of the pool.
pub fn compute(
    pictures: &[Source],
    backbone: &dyn Backbone,
    options: &Options,
    progress: Progress,
) -> Result<Pass> {
    let id = backbone.identity();
    let mut store = Store::new(&id.taps, options.max_memory, scratch_folder()?);
    let (mut images, mut sources, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
    let done = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let one = |source: &Source| -> Result<(ImageRecord, Vec<FeatureMap>)> {
        let result = (|| {
            let (picture, digest) = source.read()?;
            let (width, height) = (picture.width, picture.height);
            let record =
                ImageRecord { name: source.name(), digest, width, height, score: f32::NAN };
            // Once a picture has failed there is no build; the rest is read only to name all
            // that fail.
            if failed.load(Ordering::Relaxed) && !options.skip_unreadable {
                return Ok((record, Vec::new()));
            }
            let image = NetworkImage::new(&picture, id.height as usize, id.width as usize)?;
            Ok((record, backbone.features(&image)?))
        })();
        if result.is_err() {
            failed.store(true, Ordering::Relaxed);
        }
        progress(Stage::Features, done.fetch_add(1, Ordering::Relaxed) + 1, pictures.len());
        result
    };
    // Batches are filled up across unreadable pictures, so that all but the last are full.
    let mut pending: Vec<Vec<FeatureMap>> = Vec::new();
    for chunk in pictures.chunks(store.batch_size()) {
        let results: Vec<_> = chunk.par_iter().map(one).collect();
        for (source, result) in chunk.iter().zip(results) {
            match result {
                Ok((record, maps)) => {
                    images.push(record);
                    sources.push(source.clone());
                    pending.push(maps);
                }
                Err(e) => skipped.push(e),
            }
        }
        if skipped.is_empty() || options.skip_unreadable {
            while pending.len() >= store.batch_size() {
                let rest = pending.split_off(store.batch_size());
                store.push(&pending)?;
                pending = rest;
            }
        } else {
            pending.clear();
        }
    }
    if !skipped.is_empty() && !options.skip_unreadable {
        return Err(unreadable(&skipped, pictures.len()));
    }
    if !pending.is_empty() {
        store.push(&pending)?;
    }
    let warnings = size_warnings(&images);
    Ok(Pass { store, images, sources, skipped, warnings })
}

/// One error for all pictures that could not be read.
pub fn unreadable(errors: &[Error], of: usize) -> Error {
    let kind = errors.iter().map(Error::kind).find(|&k| k != Kind::Image).unwrap_or(Kind::Image);
    let list: Vec<String> = errors.iter().map(|e| e.to_string()).collect();
    Error::new(
        kind,
        format!("{} of {of} pictures cannot be used\n{}", errors.len(), list.join("\n")),
    )
    .advise("mend or remove them, or leave them out with --skip-unreadable")
}

fn size_warnings(images: &[ImageRecord]) -> Vec<String> {
    let Some(first) = images.first() else { return Vec::new() };
    let aspect = |i: &ImageRecord| f64::from(i.width) / f64::from(i.height);
    let odd: Vec<&ImageRecord> =
        images.iter().filter(|i| (aspect(i) / aspect(first)).ln().abs() > 0.02).collect();
    let Some(example) = odd.first() else { return Vec::new() };
    vec![format!(
        "{} of {} pictures have another shape than {} ({} x {}), as {} ({} x {}): all are squashed to one \
         size, so parts will look different",
        odd.len(),
        images.len(),
        first.name,
        first.width,
        first.height,
        example.name,
        example.width,
        example.height
    )]
}
