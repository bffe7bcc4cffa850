//! This module runs the study. It tries made-up defects of every kind, contrast and size over all
//! pictures, and notes what is found.
//!
//! A defect is *found* where the verdict on its picture is not ok, and something above the
//! threshold overlaps or touches it. So a false reject elsewhere in the picture is no hit. A
//! picture that is rejected or sent to review without any defect is left out. A place that is
//! already above the threshold without a defect is also left out.
//!
//! A generator with a seed draws everything. Tries are numbered and each has a generator of its
//! own, so the result does not depend on the number of threads.

use super::bench::{Bench, Done, Try};
use super::blind::{BlindMap, Placed};
use super::defects::{Defect, Kind};
use super::plan::{Plan, Progress, Subject};
use super::pod::{Pod, Trial};
use super::sizes::{FOCUS, Sizes};
use crate::error::{Error, Result};
use crate::image::{Picture, Size};

/// The results of a study.
#[derive(Debug)]
pub struct Study {
    /// The numbers of the pictures that were used.
    pub used: Vec<usize>,
    /// The numbers of the pictures that are not ok without any defect.
    pub rejected: Vec<usize>,
    /// The pictures that could not be read or inspected, with the reason.
    pub failed: Vec<Error>,
    /// The size of the pictures that the template was built from. Sizes of defects are in pixels of
    /// these pictures.
    pub size: Size,
    /// The side of such a pixel in millimetres, where it is known.
    pub mm_per_pixel: Option<f64>,
    /// The results for each kind and contrast, in the order of the plan.
    pub results: Vec<KindResult>,
    /// The results by place.
    pub blind_map: BlindMap,
}

/// The results for one kind and contrast.
#[derive(Debug, Clone, PartialEq)]
pub struct KindResult {
    /// The kind of defect.
    pub kind: Kind,
    /// Its contrast, where it has one.
    pub contrast: Option<f32>,
    /// The analysis, or `None` where no defect could be placed.
    pub pod: Option<Pod>,
    /// The number of tries without a place. The defect would have been visible at none of the drawn
    /// places.
    pub without_place: usize,
    /// The number of places that were skipped because they are above the threshold without a
    /// defect.
    pub already_above: usize,
}

/// Tries to find made-up defects in the pictures of `subject`.
///
/// # Errors
/// [`crate::error::Kind::Image`] where pictures are unreadable (unless they may be skipped), where
/// no picture is ok without a defect, or where the region of interest is empty.
pub fn run(subject: &dyn Subject, plan: &Plan, progress: Progress) -> Result<Study> {
    let mut bench = Bench::new(subject, plan, progress)?;
    let undamaged = bench.undamaged()?;
    let sizes: Vec<Sizes> = plan.kinds.iter().map(|(kind, _)| bench.sizes(*kind)).collect();
    let sweeps = sizes.iter().enumerate().map(|(of, sizes)| (of, sizes.sweep(), 0..sizes.first));
    let mut done = bench.attempt(&bench.plan_tries(sweeps, &undamaged.used))?;
    let focus: Vec<(usize, Vec<f64>, std::ops::Range<usize>)> = (sizes.iter().enumerate())
        .map(|(of, sizes)| {
            let pod = Pod::of(&trials(&done, of));
            (of, sizes.focus(pod.as_ref(), FOCUS), sizes.first..plan.runs)
        })
        .collect();
    done.extend(bench.attempt(&bench.plan_tries(focus.into_iter(), &undamaged.used))?);
    let results: Vec<KindResult> =
        (0..plan.kinds.len()).map(|of| result(plan.kinds[of], of, &done)).collect();
    let rules = subject.pipeline().template().settings().rules.as_ref();
    Ok(Study {
        used: undamaged.used,
        rejected: undamaged.rejected,
        failed: undamaged.failed,
        size: bench.size,
        mm_per_pixel: rules.map(|r| f64::from(r.mm_per_pixel)).filter(|side| *side > 0.0),
        blind_map: blind_map(&done, &results),
        results,
    })
}

/// A picture with a made-up defect.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// The number of the picture that it was drawn into.
    pub index: usize,
    /// The picture with the defect.
    pub picture: Picture,
    /// The defect.
    pub defect: Defect,
}

/// Draws a defect of number `of` in the plan and of `size` pixels into the first of the `used`
/// pictures where it is visible. Returns `None` where it is visible in none of the first four.
///
/// # Errors
/// Those of reading the files.
pub fn example(
    subject: &dyn Subject,
    plan: &Plan,
    used: &[usize],
    of: usize,
    size: f64,
) -> Result<Option<Example>> {
    let bench = Bench::new(subject, plan, &|_, _| {})?;
    for (number, &index) in used.iter().take(4).enumerate() {
        let picture = subject.picture(index)?;
        let tried = Try { of, number: plan.runs + number, size, picture: index };
        if let (Some((defect, change)), _) = bench.draw(tried, &picture) {
            return Ok(Some(Example { index, picture: change.on(&picture), defect }));
        }
    }
    Ok(None)
}

fn trials(done: &[Done], of: usize) -> Vec<Trial> {
    let trial = |d: &Done| {
        let (_, found) = d.outcome?;
        Some(Trial { size: d.tried.size, found, picture: d.tried.picture })
    };
    done.iter().filter(|d| d.tried.of == of).filter_map(trial).collect()
}

fn result((kind, contrast): (Kind, Option<f32>), of: usize, done: &[Done]) -> KindResult {
    let own = || done.iter().filter(|d| d.tried.of == of);
    KindResult {
        kind,
        contrast,
        pod: Pod::of(&trials(done, of)),
        without_place: own().filter(|d| d.outcome.is_none()).count(),
        already_above: own().map(|d| d.already_above).sum(),
    }
}

fn blind_map(done: &[Done], results: &[KindResult]) -> BlindMap {
    let placed = |d: &Done| {
        let (cell, found) = d.outcome?;
        let expected = results.get(d.tried.of)?.pod.as_ref()?.probability(d.tried.size)?;
        Some(Placed { cell, found, expected })
    };
    BlindMap::new(&done.iter().filter_map(placed).collect::<Vec<_>>())
}
