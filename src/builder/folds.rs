//! Scores of good pictures that their template has not seen, by folds.
//!
//! The pictures are dealt into parts like cards; every part is scored against a template built from
//! the others. A leave-one-out score needs no second selection, but is too high: a picture that is
//! unusual gives many prototypes, and without them the template has a hole where a template built
//! without the picture would have put others. The templates here are a little poorer than the one
//! that is delivered, so the threshold errs to the side of too few rejects of good parts.
//!
//! A picture that is there twice is one good part: a template that was built from its double has seen
//! it. So pictures of equal digest are dealt together and give one score. Pictures that only resemble
//! each other, as two shots of one part do, count as two; `audit` lists them.

use super::calibration::{self, Threshold, TooFew};
use super::gather::Gathered;
use super::{Options, Progress, Stage, draft_header, fill, section_lengths};
use crate::backbone::Backbone;
use crate::error::{Error, Kind, Result};
use crate::inspection::Inspector;
use crate::template::writer::Draft;
use crate::template::{Basis, Decision, ImageRecord, Settings};
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// The threshold for a false-reject rate and how it came about.
///
/// # Errors
/// [`Kind::Image`] where there are too few different pictures for the rate.
pub fn decide(
    pass: &Gathered,
    backbone: &Arc<dyn Backbone>,
    options: &Options,
    rate: f64,
    destination: &Path,
    progress: Progress,
) -> Result<(Threshold, Decision)> {
    let parts = different(&pass.images);
    let refused = |e: TooFew| match pass.images.len() - parts.len() {
        0 => too_few(&e, rate),
        doubles => too_few(&e, rate)
            .within(format!("{doubles} of {} pictures are doubles of others", pass.images.len())),
    };
    // Whether there are enough is known before anything is computed.
    calibration::threshold(&vec![0.0; parts.len()], rate).map_err(refused)?;
    if parts.len() < 2 {
        return Err(Error::new(Kind::Image, "all pictures are the same one")
            .advise("give pictures of different good parts"));
    }
    let scores = scores(pass, &parts, backbone, options, destination, progress)?;
    let threshold = calibration::threshold(&scores, rate).map_err(refused)?;
    let decision = Decision {
        review: threshold.score,
        basis: Basis::Folds(options.folds.min(scores.len()) as u32),
        false_reject: rate as f32,
        rank: threshold.rank as u32,
        interval: threshold.interval.map(|v| v as f32),
    };
    Ok((threshold, decision))
}

/// The pictures by their digest, in the order in which each is there first.
fn different(images: &[ImageRecord]) -> Vec<Vec<usize>> {
    let mut number = HashMap::new();
    let mut parts: Vec<Vec<usize>> = Vec::new();
    for (picture, image) in images.iter().enumerate() {
        let part = *number.entry(image.digest).or_insert(parts.len());
        match parts.get_mut(part) {
            Some(same) => same.push(picture),
            None => parts.push(vec![picture]),
        }
    }
    parts
}

/// Deals `parts` into `folds`, and gives the pictures that the template of `fold` is built from, in
/// their order, and the parts that it is to score.
fn deal(parts: &[Vec<usize>], fold: usize, folds: usize) -> (Vec<usize>, Vec<usize>) {
    let (out, kept): (Vec<usize>, Vec<usize>) =
        (0..parts.len()).partition(|part| part % folds == fold);
    let mut kept: Vec<usize> = kept.into_iter().flat_map(|part| parts[part].clone()).collect();
    kept.sort_unstable();
    (kept, out)
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

/// The score of every one of `parts` against a template without its fold.
fn scores(
    pass: &Gathered,
    parts: &[Vec<usize>],
    backbone: &Arc<dyn Backbone>,
    options: &Options,
    destination: &Path,
    progress: Progress,
) -> Result<Vec<f32>> {
    let folds = options.folds.min(parts.len());
    let mut scores = vec![f32::NAN; parts.len()];
    let silent = |_: Stage, _: usize, _: usize| {};
    for fold in 0..folds {
        progress(Stage::Folds, fold, folds);
        let (kept, out) = deal(parts, fold, folds);
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
            .map(|&part| {
                // The others of a part are the same picture.
                let distances = inspector.distances(&pass.store.maps(parts[part][0]), None);
                inspector.score(&inspector.anomaly_map(&distances)).score
            })
            .collect();
        out.iter().zip(of_fold).for_each(|(&part, score)| scores[part] = score);
    }
    progress(Stage::Folds, folds, folds);
    Ok(scores)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(digests: &[u8]) -> Vec<ImageRecord> {
        let image = |(i, &digest): (usize, &u8)| ImageRecord {
            name: format!("{i}.png"),
            digest: [digest; 32],
            width: 8,
            height: 8,
            score: f32::NAN,
        };
        digests.iter().enumerate().map(image).collect()
    }

    #[test]
    fn doubles_are_one_part() {
        for (digests, want) in [
            (&[][..], vec![]),
            (&[7, 8, 9], vec![vec![0], vec![1], vec![2]]),
            (&[7, 8, 7, 9, 8, 7], vec![vec![0, 2, 5], vec![1, 4], vec![3]]),
            (&[7, 7, 7], vec![vec![0, 1, 2]]),
        ] {
            assert_eq!(different(&images(digests)), want, "{digests:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_template_is_built_from_a_double_of_what_it_scores(
            digests in proptest::collection::vec(0u8..20, 2..40), folds in 2usize..8
        ) {
            let parts = different(&images(&digests));
            let folds = folds.min(parts.len());
            let mut scored = vec![0; parts.len()];
            for fold in 0..folds {
                let (kept, out) = deal(&parts, fold, folds);
                for &part in &out {
                    scored[part] += 1;
                    let digest = digests[parts[part][0]];
                    proptest::prop_assert!(kept.iter().all(|&i| digests[i] != digest));
                }
                let left_out: usize = out.iter().map(|&part| parts[part].len()).sum();
                proptest::prop_assert_eq!(kept.len() + left_out, digests.len());
                proptest::prop_assert!(kept.is_sorted());
            }
            proptest::prop_assert!(scored.iter().all(|&times| times == 1));
        }
    }
}
