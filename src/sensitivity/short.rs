//! A short form of the study, to be quick: dark spots alone, four in a picture.
//!
//! The spots are far from each other, so that what is found of one is not taken for another. There is no verdict on
//! each spot: it is found where something above the threshold overlaps or touches it. A picture that is above the
//! threshold far from all spots is left out.

use super::bench::Bench;
use super::defects::{Change, Defect, Kind};
use super::places::Dice;
use super::pod::{Pod, Trial};
use super::study::{KindResult, LEAST_RUNS, Plan, Subject};
use crate::error::Result;
use crate::image::{Picture, Size};
use rayon::prelude::*;

/// Spots in one picture.
pub const SPOTS: usize = 4;
/// Least distance between the rims of two spots, as a part of the picture's shorter side. What is above the threshold
/// so far from all rims does not come from a spot.
const FAR: f32 = 0.2;
/// So many places are drawn for a spot before it is given up.
const PLACES: usize = 40;
/// By this factor the second sizes go beyond those of a study: few tries prove a size only where most are hits.
const BEYOND: f64 = 1.6;

/// Tries to find dark spots, so many grey levels of 255 darker, in the pictures of `subject`: [`SPOTS`] in each of
/// `inspections` pictures, some of them more than once where there are fewer.
///
/// # Errors
/// As [`super::study::run`].
pub fn dark_spots(subject: &dyn Subject, contrast: f32, inspections: usize) -> Result<KindResult> {
    let plan = Plan::new(&[Kind::DarkSpot], &[contrast], LEAST_RUNS, 0);
    let bench = Bench::new(subject, &plan, &|_, _| {})?;
    let sizes = bench.sizes(Kind::DarkSpot);
    // A third of the inspections look for where hits turn into misses.
    let first = inspections.div_ceil(3);
    let mut trials = inspected(&bench, contrast, &sizes.sweep(), 0..first)?;
    let most = sizes.range.1;
    let focus = sizes.focus(Pod::of(&trials).as_ref());
    let focus: Vec<f64> = focus.into_iter().map(|size| (BEYOND * size).min(most)).collect();
    trials.extend(inspected(&bench, contrast, &focus, first..inspections)?);
    log::debug!("short form: {} spots in {inspections} pictures", trials.len());
    Ok(KindResult {
        kind: Kind::DarkSpot,
        contrast: Some(contrast),
        without_place: (SPOTS * inspections).saturating_sub(trials.len()),
        pod: Pod::of(&trials),
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
        let of_spot = |i: usize| sizes[(number * SPOTS + i) % sizes.len()];
        one(bench, contrast, [0, 1, 2, 3].map(of_spot), (number, number % count))
    };
    let results: Vec<Result<Vec<Trial>>> = numbers.into_par_iter().map(inspect).collect();
    let mut trials = Vec::new();
    for result in results {
        trials.extend(result?);
    }
    Ok(trials)
}

/// Inspects one picture with spots of these sizes; `number` is that of the inspection and of the picture.
fn one(
    bench: &Bench,
    contrast: f32,
    sizes: [f64; SPOTS],
    (number, index): (usize, usize),
) -> Result<Vec<Trial>> {
    let mut picture = bench.subject.picture(index)?;
    let size = Size { width: picture.width, height: picture.height };
    let mut spots: Vec<(Defect, Change, f64)> = Vec::new();
    let mut dice = Dice::new(bench.plan.seed, &[4, number as u64]);
    for px in sizes {
        let found = spot(bench, contrast, px, &picture, &spots, &mut dice);
        if let Some((defect, change)) = found {
            picture = change.on(&picture);
            spots.push((defect, change, px));
        }
    }
    let (_, above) = bench.judged(index, &picture)?;
    if is_above_elsewhere(bench, &above, size, spots.iter().map(|(defect, ..)| defect)) {
        return Ok(Vec::new());
    }
    let trial = |(_, change, px): &(Defect, Change, f64)| Trial {
        size: *px,
        found: bench.touches(change, size, &above),
        picture: index,
    };
    Ok(spots.iter().map(trial).collect())
}

/// A visible spot of `px` pixels of the pictures that the template was built from, far from the others.
fn spot(
    bench: &Bench,
    contrast: f32,
    px: f64,
    picture: &Picture,
    others: &[(Defect, Change, f64)],
    dice: &mut Dice,
) -> Option<(Defect, Change)> {
    let size = Size { width: picture.width, height: picture.height };
    let scale = f64::from(size.width) / f64::from(bench.size.width.max(1));
    let shape = (Kind::DarkSpot, (px * scale).max(1.0) as f32, contrast);
    let apart = FAR * size.width.min(size.height) as f32;
    let is_apart = |defect: &Defect| {
        others.iter().all(|(other, ..)| {
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

/// Whether something that is `above` lies far from all spots.
fn is_above_elsewhere<'a>(
    bench: &Bench,
    above: &[bool],
    size: Size,
    spots: impl Iterator<Item = &'a Defect> + Clone,
) -> bool {
    let columns = bench.map.width.max(1) as usize;
    let reach = FAR * size.width.min(size.height) as f32;
    let to_picture =
        |at: usize, side: u32, of: u32| (at as f32 + 0.5) * side as f32 / of.max(1) as f32;
    let is_far = |at: usize| {
        let x = to_picture(at % columns, size.width, bench.map.width);
        let y = to_picture(at / columns, size.height, bench.map.height);
        spots
            .clone()
            .all(|spot| (x - spot.place.0).hypot(y - spot.place.1) > reach + spot.size / 2.0)
    };
    above.iter().enumerate().any(|(at, above)| *above && is_far(at))
}
