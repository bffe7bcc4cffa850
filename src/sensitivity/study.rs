//! The study: made-up defects of every kind, contrast and size, over all pictures, and what is found of them.
//!
//! A defect is *found* where the verdict on its picture is not ok, and something above the threshold overlaps or
//! touches it. So a false reject elsewhere in the picture is no hit. A picture that is rejected, or sent to review,
//! without any defect is left out, and so is a place that is above the threshold there.
//!
//! Everything is drawn by a generator with a seed. Tries are numbered, and each has a generator of its own, so the
//! result does not depend on the number of threads.

use super::blind::{BlindMap, Placed, cell_of};
use super::defects::{Change, Defect, Kind};
use super::places::{Dice, Places, part_of};
use super::pod::{Pod, Trial};
use super::sizes::Sizes;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::image::{NetworkImage, Picture, Size};
use crate::inspection::Inspector;
use crate::scoring::rules::IGNORED;
use crate::scoring::{Scored, Verdict};
use rayon::prelude::*;

/// Fewest tries of a kind and contrast: fewer prove nothing.
pub const LEAST_RUNS: usize = 60;
/// Most tries of a kind and contrast.
pub const MOST_RUNS: usize = 5000;
/// So many places are drawn for a try before it is given up.
const PLACES: usize = 40;

/// Good pictures that a template has not seen, and what scores them.
pub trait Subject: Sync {
    /// What inspects them.
    fn inspector(&self) -> &Inspector;

    /// How many pictures there are.
    fn count(&self) -> usize;

    /// Picture `index`, as its file has it.
    ///
    /// # Errors
    /// What the file refuses.
    fn picture(&self, index: usize) -> Result<Picture>;

    /// The score and map of `image`, which is picture `index` with or without a defect, at network size.
    ///
    /// # Errors
    /// What the feature extractor refuses.
    fn scored(&self, index: usize, image: &NetworkImage) -> Result<Scored>;
}

/// What is tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The kinds, those that have one with their contrast in grey levels of 255.
    pub kinds: Vec<(Kind, Option<f32>)>,
    /// How many tries each of them has.
    pub runs: usize,
    /// The seed of everything that is drawn.
    pub seed: u64,
    /// Whether pictures that cannot be read or inspected are left out instead of ending the study.
    pub skip_unreadable: bool,
}

impl Plan {
    /// All of `kinds`; those that have a contrast once with each of `contrasts`.
    pub fn new(kinds: &[Kind], contrasts: &[f32], runs: usize, seed: u64) -> Self {
        let of_kind = |&kind: &Kind| -> Vec<(Kind, Option<f32>)> {
            match kind.has_contrast() {
                true => contrasts.iter().map(|&contrast| (kind, Some(contrast))).collect(),
                false => vec![(kind, None)],
            }
        };
        Plan {
            kinds: kinds.iter().flat_map(of_kind).collect(),
            runs: runs.clamp(LEAST_RUNS, MOST_RUNS),
            seed,
            skip_unreadable: false,
        }
    }
}

/// What a study found.
#[derive(Debug)]
pub struct Study {
    /// The pictures that were used, by their numbers.
    pub used: Vec<usize>,
    /// The pictures that are not ok without any defect.
    pub rejected: Vec<usize>,
    /// The pictures that could not be read or inspected, with the reason.
    pub failed: Vec<Error>,
    /// The size that sizes are in pixels of: that of the pictures the template was built from.
    pub size: Size,
    /// Side of such a pixel in millimetres, where it is known.
    pub mm_per_pixel: Option<f64>,
    /// What was found, a kind and contrast, in the order of the plan.
    pub results: Vec<KindResult>,
    /// What was found, by place.
    pub blind_map: BlindMap,
}

/// What was found of one kind and contrast.
#[derive(Debug, Clone, PartialEq)]
pub struct KindResult {
    /// The kind.
    pub kind: Kind,
    /// Its contrast, where it has one.
    pub contrast: Option<f32>,
    /// The analysis; `None` where no defect could be placed.
    pub pod: Option<Pod>,
    /// Tries for which no place was left: nowhere would the defect have been visible.
    pub without_place: usize,
    /// Places that were passed over because they are above the threshold without a defect.
    pub already_above: usize,
}

/// Called with how many tries are done, of how many.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// Tries to find made-up defects in the pictures of `subject`.
///
/// # Errors
/// [`crate::error::Kind::Image`] where pictures are unreadable (unless they may be skipped), where none is ok without a
/// defect, or where the region of interest is empty.
pub fn run(subject: &dyn Subject, plan: &Plan, progress: Progress) -> Result<Study> {
    let mut bench = Bench::new(subject, plan, progress)?;
    let undamaged = bench.undamaged()?;
    let sizes: Vec<Sizes> = plan.kinds.iter().map(|(kind, _)| bench.sizes(*kind)).collect();
    let sweeps = sizes.iter().enumerate().map(|(of, sizes)| (of, sizes.sweep(), 0..sizes.first));
    let mut done = bench.attempt(&bench.plan_tries(sweeps, &undamaged.used))?;
    let focus: Vec<(usize, Vec<f64>, std::ops::Range<usize>)> = (sizes.iter().enumerate())
        .map(|(of, sizes)| {
            let pod = Pod::of(&trials(&done, of));
            (of, sizes.focus(pod.as_ref()), sizes.first..plan.runs)
        })
        .collect();
    done.extend(bench.attempt(&bench.plan_tries(focus.into_iter(), &undamaged.used))?);
    let results: Vec<KindResult> =
        (0..plan.kinds.len()).map(|of| result(plan.kinds[of], of, &done)).collect();
    let rules = subject.inspector().template().settings().rules.as_ref();
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

/// A defect of number `of` in the plan and of `size` pixels, drawn into the first of the `used` pictures where it is
/// visible; `None` where it is in none of the first ones.
///
/// # Errors
/// What the files refuse.
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

/// One made-up defect that is to be inspected.
#[derive(Debug, Clone, Copy)]
struct Try {
    /// Number of its kind and contrast in the plan.
    of: usize,
    /// Its number among those of the kind.
    number: usize,
    /// In pixels of the pictures that the template was built from.
    size: f64,
    picture: usize,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
struct Done {
    tried: Try,
    /// Where it was placed and whether it was found; `None` where there was no place.
    outcome: Option<(usize, bool)>,
    already_above: usize,
}

/// Pictures without defects.
#[derive(Default)]
struct Undamaged {
    used: Vec<usize>,
    rejected: Vec<usize>,
    failed: Vec<Error>,
}

/// What a study works with.
struct Bench<'a> {
    subject: &'a dyn Subject,
    plan: &'a Plan,
    progress: Progress<'a>,
    places: Places,
    /// Size of the map.
    map: Size,
    /// Size of the pictures that the template was built from.
    size: Size,
    /// Where each used picture is above a threshold without a defect; empty for nowhere.
    above: Vec<Vec<bool>>,
    /// Tries that are done.
    done: std::sync::atomic::AtomicUsize,
}

impl<'a> Bench<'a> {
    fn new(subject: &'a dyn Subject, plan: &'a Plan, progress: Progress<'a>) -> Result<Self> {
        let template = subject.inspector().template();
        let header = template.header();
        let map = Size { width: header.backbone.width, height: header.backbone.height };
        let mut counts = match template.mask() {
            Some(mask) => mask.inside().to_vec(),
            None => vec![true; map.width as usize * map.height as usize],
        };
        counts.iter_mut().zip(template.zones()).for_each(|(c, zone)| *c &= *zone != IGNORED);
        let places = Places::new(map, counts);
        if places.is_empty() {
            return Err(Error::new(ErrorKind::Image, "the region of interest is empty")
                .advise("there is no place where a defect would count: change the mask or the zones"));
        }
        let (width, height) = header.picture_size();
        let size = Size { width, height };
        let above = vec![Vec::new(); subject.count()];
        let done = Default::default();
        Ok(Bench { subject, plan, progress, places, map, size, above, done })
    }

    fn sizes(&self, kind: Kind) -> Sizes {
        Sizes::new(kind, self.size, self.map, self.plan.runs)
    }

    /// Inspects the pictures as they are.
    fn undamaged(&mut self) -> Result<Undamaged> {
        let count = self.subject.count();
        let inspect = |index: usize| -> Result<(Verdict, Vec<bool>)> {
            let picture = self.subject.picture(index)?;
            self.judged(index, &picture)
        };
        let all: Vec<usize> = (0..count).collect();
        let (mut found, mut above_of) = (Undamaged::default(), vec![Vec::new(); count]);
        for few in all.chunks(chunk()) {
            let results: Vec<_> = few.par_iter().map(|&index| inspect(index)).collect();
            for (&index, result) in few.iter().zip(results) {
                match result {
                    Ok((Verdict::Ok, above)) => {
                        found.used.push(index);
                        if above.contains(&true) {
                            above_of[index] = above;
                        }
                    }
                    Ok(_) => found.rejected.push(index),
                    Err(e) if e.kind() == ErrorKind::Image => found.failed.push(e),
                    Err(e) => return Err(e),
                }
            }
        }
        self.above = above_of;
        if !found.failed.is_empty() && !self.plan.skip_unreadable {
            return Err(Error::unreadable(&found.failed, count));
        }
        match found.used.is_empty() {
            true => Err(none_is_ok(found.rejected.len())),
            false => Ok(found),
        }
    }

    /// The verdict on a picture, and where it is above the threshold that decided.
    fn judged(&self, index: usize, picture: &Picture) -> Result<(Verdict, Vec<bool>)> {
        let inspector = self.subject.inspector();
        let image = inspector.prepare(picture)?;
        let scored = self.subject.scored(index, &image)?;
        let verdict = inspector.decide(&scored, picture.width, picture.height).verdict;
        let thresholds = inspector.thresholds();
        // What a good picture has above the lower threshold could hide a defect.
        let level = if verdict == Verdict::Ng { thresholds.reject } else { thresholds.review };
        Ok((verdict, inspector.is_above(&scored, level)))
    }

    /// The tries with these sizes and numbers of every kind, spread over the pictures.
    fn plan_tries(
        &self,
        kinds: impl Iterator<Item = (usize, Vec<f64>, std::ops::Range<usize>)>,
        used: &[usize],
    ) -> Vec<Try> {
        let mut tries = Vec::new();
        for (of, sizes, numbers) in kinds {
            for number in numbers {
                // The pictures in ever new orders, so that every size meets all of them.
                let round = (number / used.len()) as u64;
                let order = Dice::new(self.plan.seed, &[1, of as u64, round]).order(used.len());
                let picture = used[order[number % used.len()]];
                tries.push(Try { of, number, size: sizes[number % sizes.len()], picture });
            }
        }
        tries
    }

    /// Draws and inspects defects, picture by picture.
    fn attempt(&self, tries: &[Try]) -> Result<Vec<Done>> {
        let mut order: Vec<&Try> = tries.iter().collect();
        order.sort_by_key(|one| one.picture);
        let mut done = Vec::with_capacity(tries.len());
        for of_picture in order.chunk_by(|a, b| a.picture == b.picture) {
            let Some(first) = of_picture.first() else { continue };
            let picture = self.subject.picture(first.picture)?;
            // A thread that waits for its matching takes up another try: few at a time, so that they do not pile up
            // on its stack.
            for few in of_picture.chunks(chunk()) {
                let results: Vec<Result<Done>> =
                    few.par_iter().map(|one| self.inspect(**one, &picture)).collect();
                for result in results {
                    done.push(result?);
                }
            }
        }
        Ok(done)
    }

    /// Draws one defect into `picture` and inspects it.
    fn inspect(&self, tried: Try, picture: &Picture) -> Result<Done> {
        let (drawn, already_above) = self.draw(tried, picture);
        let outcome = match drawn {
            None => None,
            Some((defect, change)) => {
                let (verdict, above) = self.judged(tried.picture, &change.on(picture))?;
                let size = Size { width: picture.width, height: picture.height };
                let is_found = verdict != Verdict::Ok && self.touches(&change, size, &above);
                let part = |at: f32, side: u32| f64::from(at) / f64::from(side);
                let (x, y) = (part(defect.place.0, size.width), part(defect.place.1, size.height));
                Some((cell_of(x, y), is_found))
            }
        };
        let done = self.done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        (self.progress)(done, self.plan.kinds.len() * self.plan.runs);
        Ok(Done { tried, outcome, already_above })
    }

    /// A visible defect, and how many places were passed over because they are above the threshold already.
    fn draw(&self, tried: Try, picture: &Picture) -> (Option<(Defect, Change)>, usize) {
        let (kind, contrast) = self.plan.kinds[tried.of];
        let size = Size { width: picture.width, height: picture.height };
        let scale = f64::from(size.width) / f64::from(self.size.width.max(1));
        let pixels = (tried.size * scale).max(1.0) as f32;
        let full = self.full_scale(picture);
        let numbers = [2, tried.of as u64, tried.number as u64];
        let mut dice = Dice::new(self.plan.seed, &numbers);
        let offset = Dice::new(self.plan.seed, &[3, tried.of as u64]).part();
        let mut already_above = 0;
        for attempt in 0..PLACES {
            let part = (attempt == 0).then(|| part_of(tried.number, offset));
            let shape = (kind, pixels, contrast.unwrap_or_default());
            let Some(defect) = self.places.draw(shape, size, part, &mut dice) else { continue };
            let change = defect.draw(picture, full);
            if !defect.is_visible(&change) {
                continue;
            }
            if self.touches(&change, size, &self.above[tried.picture]) {
                already_above += 1;
                continue;
            }
            return (Some((defect, change)), already_above);
        }
        (None, already_above)
    }

    /// The largest sample that a picture of this depth can have.
    fn full_scale(&self, picture: &Picture) -> f32 {
        let bits = self.subject.inspector().template().settings().reading.bits();
        match (&picture.samples, bits) {
            (crate::image::Samples::Eight(_), _) => 255.0,
            (crate::image::Samples::Sixteen(_), bits) => {
                ((1u32 << bits.unwrap_or(16)) - 1) as f32
            }
        }
    }

    /// Whether something that is `above` lies on a defect or beside it.
    fn touches(&self, change: &Change, size: Size, above: &[bool]) -> bool {
        let (width, height) = (self.map.width as usize, self.map.height as usize);
        if above.is_empty() {
            return false;
        }
        let mut last = None;
        change.places().filter_map(|place| self.places.pixel(size, place)).any(|pixel| {
            if last.replace(pixel) == Some(pixel) {
                return false;
            }
            let (x, y) = (pixel % width, pixel / width);
            let rows = y.saturating_sub(1)..=(y + 1).min(height - 1);
            let columns = x.saturating_sub(1)..=(x + 1).min(width - 1);
            rows.flat_map(|row| columns.clone().map(move |column| row * width + column))
                .any(|at| above.get(at) == Some(&true))
        })
    }
}

/// Pictures or tries that are handed to the threads at once.
fn chunk() -> usize {
    4 * rayon::current_num_threads()
}

fn none_is_ok(rejected: usize) -> Error {
    let what = format!("none of the {rejected} good pictures is ok as it is: nothing can be made up in them");
    Error::new(ErrorKind::Image, what)
        .advise("see what they score, and give good parts that pass, or set the threshold anew")
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
