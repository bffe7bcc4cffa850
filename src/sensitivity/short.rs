//! This module is a short and quick form of the study. It uses dark spots alone, four of one size
//! in a picture.
//!
//! The spots are far from each other. There is no verdict on each of them: a spot is found where
//! something above the threshold overlaps or touches it. A strong response to one spot may reach
//! another. So a spot in a blind place can count as found beside others of its size. For that
//! reason the tries of a picture count as half as many. A picture that is above the threshold, but
//! at none of its spots, is left out.

use super::bench::Bench;
use super::defects::{Change, Defect, Kind};
use super::places::Dice;
use super::plan::{LEAST_RUNS, Plan, Subject};
use super::pod::{Pod, Trial};
use super::sizes::{FOCUS, Sizes};
use super::study::KindResult;
use crate::error::Result;
use crate::image::{Picture, Size};
use rayon::prelude::*;

/// The number of spots in one picture.
pub const SPOTS: usize = 4;
/// The least distance between the rims of two spots, as a part of the picture's shorter side.
const APART: f32 = 0.3;
/// The least design effect: how much the spots of one picture are taken to resemble each other.
const DESIGN_EFFECT: f64 = 2.0;
/// The number of places that are drawn for a spot before the spot is given up.
const PLACES: usize = 40;
/// The last inspections try sizes that are found with probabilities between these. 29 hits in a row
/// are enough evidence for a size.
const LAST: (f64, f64) = (0.8, 0.99);

/// Tries to find dark spots in the pictures of `subject`. The spots are `contrast` grey levels of
/// 255 darker. There are [`SPOTS`] in each of `inspections` pictures, and some pictures are used
/// more than once where there are fewer.
///
/// # Errors
/// As [`super::study::run`].
pub fn dark_spots(subject: &dyn Subject, contrast: f32, inspections: usize) -> Result<KindResult> {
    let plan = Plan::new(&[Kind::DarkSpot], &[contrast], LEAST_RUNS, 0);
    let bench = Bench::new(subject, &plan, &|_, _| {})?;
    // The first inspections look for the size where hits turn into misses, each with one size. The
    // later ones look closer.
    let first = (2 * inspections).div_ceil(7);
    let second = 2 * first;
    let sizes = Sizes { count: first, ..bench.sizes(Kind::DarkSpot) };
    let mut trials = inspected(&bench, contrast, &sizes.sweep(), 0..first)?;
    let closer = sizes.focus(Pod::of(&trials).as_ref(), FOCUS);
    trials.extend(inspected(&bench, contrast, &closer, first..second)?);
    let last = sizes.focus(Pod::of(&trials).as_ref(), LAST);
    trials.extend(inspected(&bench, contrast, &last, second..inspections)?);
    let pod = Pod::with(&trials, DESIGN_EFFECT);
    log::debug!("short form: {inspections} inspections, {:?}", pod.as_ref().map(|p| &p.sizes));
    Ok(KindResult {
        kind: Kind::DarkSpot,
        contrast: Some(contrast),
        without_place: (SPOTS * inspections).saturating_sub(trials.len()),
        pod,
        already_above: 0,
    })
}

/// Inspects pictures with spots of these sizes.
fn inspected(
    bench: &Bench,
    contrast: f32,
    sizes: &[f64],
    numbers: std::ops::Range<usize>,
) -> Result<Vec<Trial>> {
    let count = bench.subject.count().max(1);
    let inspect = |number: usize| -> Result<Vec<Trial>> {
        one(bench, contrast, sizes[number % sizes.len()], (number, number % count))
    };
    let numbers: Vec<usize> = numbers.collect();
    let mut trials = Vec::new();
    for few in numbers.chunks(bench.subject.pipeline().pictures_at_once()) {
        let results: Vec<Result<Vec<Trial>>> = few.par_iter().map(|&n| inspect(n)).collect();
        for result in results {
            trials.extend(result?);
        }
    }
    Ok(trials)
}

/// Inspects one picture with spots of `px` pixels of the pictures that the template was built from.
/// The pair holds the numbers of the inspection and of the picture.
fn one(
    bench: &Bench,
    contrast: f32,
    px: f64,
    (number, index): (usize, usize),
) -> Result<Vec<Trial>> {
    let mut picture = bench.subject.picture(index)?;
    let size = Size { width: picture.width, height: picture.height };
    let mut spots: Vec<(Defect, Change)> = Vec::new();
    let mut dice = Dice::new(bench.plan.seed, &[4, number as u64]);
    for _ in 0..SPOTS {
        let found = spot(bench, contrast, px, &picture, &spots, &mut dice);
        if let Some((defect, change)) = found {
            picture = change.on(&picture);
            spots.push((defect, change));
        }
    }
    let (_, above) = bench.judged(index, &picture)?;
    let touched: Vec<bool> =
        spots.iter().map(|(_, change)| bench.touches(change, size, &above)).collect();
    let is_elsewhere = above.contains(&true) && !touched.contains(&true);
    if is_elsewhere {
        return Ok(Vec::new());
    }
    Ok(touched.into_iter().map(|found| Trial { size: px, found, picture: index }).collect())
}

/// Draws a visible spot of this size, far from the others.
fn spot(
    bench: &Bench,
    contrast: f32,
    px: f64,
    picture: &Picture,
    others: &[(Defect, Change)],
    dice: &mut Dice,
) -> Option<(Defect, Change)> {
    let size = Size { width: picture.width, height: picture.height };
    let scale = f64::from(size.width) / f64::from(bench.size.width.max(1));
    let shape = (Kind::DarkSpot, (px * scale).max(1.0) as f32, contrast);
    let apart = APART * size.width.min(size.height) as f32;
    let is_apart = |defect: &Defect| {
        others.iter().all(|(other, _)| {
            let (dx, dy) = (defect.place.0 - other.place.0, defect.place.1 - other.place.1);
            dx.hypot(dy) >= apart + (defect.size + other.size) / 2.0
        })
    };
    (0..PLACES).find_map(|_| {
        let defect = bench.places.draw(shape, size, None, dice).filter(is_apart)?;
        let change = defect.draw(picture, bench.full_scale(picture));
        defect.is_visible(&change).then_some((defect, change))
    })
}
