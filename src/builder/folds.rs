//! Scores of good pictures that their template has not seen, by folds.
//!
//! The pictures are dealt into parts like cards; every part is scored against a template built from
//! the others. A leave-one-out score needs no second selection, but is too high: a picture that is
//! unusual gives many prototypes, and without them the template has a hole where a template built
//! without the picture would have put others. The templates here are a little poorer than the one
//! that is delivered, so the threshold errs to the side of too few rejects of good parts.

use super::calibration::{self, TooFew};
use super::gather::Gathered;
use super::{Options, Progress, Stage, draft_header, fill, section_lengths};
use crate::backbone::Backbone;
use crate::error::{Error, Kind, Result};
use crate::inspection::Inspector;
use crate::template::writer::Draft;
use crate::template::{Basis, Decision, Settings};
use rayon::prelude::*;
use std::path::Path;
use std::sync::Arc;

/// The threshold for a false-reject rate and how it came about.
///
/// # Errors
/// [`Kind::Image`] where there are too few pictures for the rate.
pub fn decide(
    pass: &Gathered,
    backbone: &Arc<dyn Backbone>,
    options: &Options,
    rate: f64,
    destination: &Path,
    progress: Progress,
) -> Result<(f32, Decision)> {
    // Whether there are enough is known before anything is computed.
    calibration::threshold(&vec![0.0; pass.images.len()], rate).map_err(|e| too_few(&e, rate))?;
    let scores = scores(pass, backbone, options, destination, progress)?;
    let threshold = calibration::threshold(&scores, rate).map_err(|e| too_few(&e, rate))?;
    let decision = Decision {
        review: threshold.score,
        basis: Basis::Folds(options.folds.min(scores.len()) as u32),
        false_reject: rate as f32,
        rank: threshold.rank as u32,
        interval: threshold.interval.map(|v| v as f32),
    };
    Ok((threshold.score, decision))
}

/// The refusal of a rate that so few pictures cannot promise.
pub fn too_few(e: &TooFew, rate: f64) -> Error {
    Error::new(
        Kind::Image,
        format!(
            "{} good pictures cannot promise a false-reject rate of {}: that takes {}",
            e.pictures,
            percent(rate),
            e.needed
        ),
    )
    .advise(format!(
        "give {} more, or ask for {} at the least",
        e.needed - e.pictures,
        percent(1.0 / (e.pictures + 1) as f64)
    ))
}

/// A rate in per cent, rounded up to two digits, so that asking for what is advised is enough.
fn percent(rate: f64) -> String {
    format!("{} %", (rate * 1e4 * (1.0 - 1e-9)).ceil() / 100.0)
}

/// The score of every picture against a template without its part.
fn scores(
    pass: &Gathered,
    backbone: &Arc<dyn Backbone>,
    options: &Options,
    destination: &Path,
    progress: Progress,
) -> Result<Vec<f32>> {
    let count = pass.images.len();
    let folds = options.folds.min(count);
    let mut scores = vec![f32::NAN; count];
    let silent = |_: Stage, _: usize, _: usize| {};
    for fold in 0..folds {
        progress(Stage::Folds, fold, folds);
        let (out, kept): (Vec<usize>, Vec<usize>) = (0..count).partition(|i| i % folds == fold);
        let store = pass.store.subset(&kept, options.max_memory)?;
        let images = kept.iter().map(|&i| pass.images[i].clone()).collect();
        let sheets = options.sheets.of(kept.len());
        let mut header = draft_header(backbone.identity(), options, sheets, images);
        header.probes.clear();
        let lengths = section_lengths(&header, options)?;
        // Never finished: the file has no name that anyone sees, and goes with the draft.
        let mut draft = Draft::create(destination, header, Settings::default(), &lengths)?;
        fill(&mut draft, &store, backbone, options, &silent)?;
        let inspector = Inspector::new(draft.preview()?, backbone.clone())?;
        let of_fold: Vec<f32> = out
            .par_iter()
            .map(|&i| {
                let distances = inspector.distances(&pass.store.maps(i), None);
                inspector.score(&inspector.anomaly_map(&distances)).score
            })
            .collect();
        out.iter().zip(of_fold).for_each(|(&i, score)| scores[i] = score);
    }
    progress(Stage::Folds, folds, folds);
    Ok(scores)
}
