//! Sets the threshold of a build: from the held-out scores of good parts, or as given.

use super::blocks::{self, Dealt};
use super::calibration;
use super::exposures::Parts;
use super::folds::too_few;
use super::gather::Gathered;
use super::options::Options;
use crate::error::{Error, Kind, Result};
use crate::template::{Basis, Decision, Evidence, Origin};

/// The share of good parts that the threshold of a plain build rejects.
pub const USUAL_RATE: f64 = 0.02;

/// The ratio of the held-out scores of good parts to their leave-one-out scores that is worth a warning. Random folds
/// give 1.0 to 1.1.
const MUCH_HIGHER: f32 = 1.25;
/// The smallest number of parts for such a comparison. With fewer, a fold removes much of what the template knows.
const FEWEST_COMPARED: usize = 30;
/// Refuses pictures that leave nothing to set a threshold by, if no threshold was given.
pub(super) fn refuse_too_few(pass: &Gathered, parts: &Parts, options: &Options) -> Result<()> {
    let Some(first) = pass.images.first() else {
        return Err(Error::new(Kind::Image, "there is no good picture to build from")
            .advise("give a folder of pictures of good parts"));
    };
    if options.threshold.is_some() {
        return Ok(());
    }
    if let Some(rate) = options.false_reject {
        // Check this before anything else is computed.
        let refused = |e| match pass.images.len() - parts.count() {
            0 => too_few(&e, rate),
            doubles => too_few(&e, rate).within(format!(
                "{doubles} of {} pictures show the same exposure as others",
                pass.images.len()
            )),
        };
        calibration::threshold(&vec![0.0; parts.count()], rate).map_err(refused)?;
    }
    let what = match (pass.images.len(), parts.count()) {
        (1, _) => {
            format!(
                "{} is the only picture, so there are no others to set a threshold with",
                first.name
            )
        }
        (count, 1) => format!(
            "all {count} pictures show the same exposure of one part, so there are no others to set a threshold with"
        ),
        _ => return Ok(()),
    };
    Err(Error::new(Kind::Image, what).advise(
        "give pictures of different good parts (20 are a start), or choose a threshold yourself",
    ))
}

/// Returns the refusal of parts of which none can be held out, because all of them belong together.
pub(super) fn one_item(parts: usize) -> Error {
    let what = format!(
        "all {parts} parts count as one item, so there are no others to set a threshold with"
    );
    Error::new(Kind::Image, what)
        .advise("group the pictures by the part of their names that differs between items, or choose a threshold yourself")
}

/// Deals the parts into folds by the names of their first pictures.
pub(super) fn deal(pass: &Gathered, parts: &Parts, options: &Options) -> Dealt {
    let names: Vec<&str> = parts.first.iter().map(|&i| pass.images[i].name.as_str()).collect();
    let label = options.group_by.as_ref().map(|pattern| {
        move |name: &str| match pattern.captures(name) {
            Some(found) => found.get(1).or(found.get(0)).map_or("", |m| m.as_str()).to_string(),
            None => name.to_string(),
        }
    });
    let label = label.as_ref().map(|label| label as &dyn Fn(&str) -> String);
    blocks::deal(&names, label, options.folds_of(pass.images.len()))
}

/// Returns what a build knows of good parts before it has their scores.
pub(super) fn evidence(parts: &Parts, dealt: &Dealt, options: &Options) -> Evidence {
    let scored = if options.threshold.is_some() { 0 } else { parts.count() };
    Evidence {
        origin: match (options.threshold, options.false_reject) {
            (Some(_), _) => Origin::Given,
            (None, Some(_)) => Origin::Rank,
            (None, None) => Origin::Estimate,
        },
        grouping: dealt.grouping,
        items: dealt.items as u32,
        parts: parts.of_picture.clone(),
        scores: vec![0.0; scored],
    }
}

/// Returns the threshold from the held-out `scores` of parts with its decision, or the threshold that was given.
pub(super) fn decide(
    scores: &[f32],
    dealt: &Dealt,
    options: &Options,
) -> Result<(f32, Option<Decision>)> {
    let basis = Basis::Folds(dealt.folds as u32);
    let decision = |score, rate: f64, rank: usize, interval: [f64; 2]| Decision {
        review: score,
        basis,
        false_reject: rate as f32,
        rank: rank as u32,
        interval: interval.map(|v| v as f32),
    };
    let (threshold, decision) = match (options.threshold, options.false_reject) {
        (Some(threshold), _) => (threshold, None),
        (None, Some(rate)) => {
            let found = calibration::threshold(scores, rate).map_err(|e| too_few(&e, rate))?;
            (found.score, Some(decision(found.score, rate, found.rank, found.interval)))
        }
        (None, None) => {
            let found = calibration::estimate(scores, USUAL_RATE, dealt.items);
            let rank = found.above.max(1);
            (found.score, Some(decision(found.score, USUAL_RATE, rank, found.interval)))
        }
    };
    if let Some(bad) = scores.iter().find(|score| !score.is_finite()) {
        return Err(Error::model(format!("a good picture has a score of {bad}"))
            .advise("check the backbone: its features are not usable for these pictures"));
    }
    Ok((threshold, decision))
}

/// Returns a warning if parts score much higher without their neighbours in the folder than without themselves alone,
/// as from random folds. Then the neighbours know something of them that parts of another day do not share.
pub(super) fn neighbours_alike(
    held_out: &[f32],
    left_out: &[f32],
    parts: &Parts,
) -> Option<String> {
    let upper = |mut scores: Vec<f32>| -> f32 {
        scores.sort_by(f32::total_cmp);
        scores.get(3 * scores.len() / 4).copied().unwrap_or(0.0)
    };
    let left_out: Vec<f32> = parts.first.iter().map(|&picture| left_out[picture]).collect();
    let times = upper(held_out.to_vec()) / upper(left_out);
    (parts.count() >= FEWEST_COMPARED && times.is_finite() && times > MUCH_HIGHER).then(|| {
        format!(
            "good parts score {times:.1} times as high if their neighbours in the folder are held out, too. The neighbours \
             resemble each other, as pictures of one item or with the same lighting do. Parts of another item or day \
             may be rejected more often than estimated: calibrate with fresh parts"
        )
    })
}

/// Refuses a threshold that says nothing, if the good pictures have these scores.
pub(super) fn require_threshold(threshold: f32, scores: &[f32]) -> Result<()> {
    if threshold.is_finite() && threshold > 0.0 && !scores.iter().any(|score| score.is_nan()) {
        return Ok(());
    }
    Err(Error::new(
        Kind::Image,
        format!(
            "the good pictures do not differ from each other, so their scores give an unusable threshold of {threshold}"
        ),
    )
    .advise("give pictures of different good parts, or choose a threshold yourself"))
}
