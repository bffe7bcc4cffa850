//! This module is the bench of a study. It draws made-up defects into pictures and inspects them.

use super::blind::cell_of;
use super::defects::{Change, Defect, Kind};
use super::places::{Dice, Places, part_of};
use super::plan::{Plan, Progress, Subject};
use super::sizes::Sizes;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::image::{Picture, Samples, Size};
use crate::inspection::Pipeline;
use crate::scoring::Verdict;
use crate::scoring::rules::IGNORED;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of places that are drawn for a try before the try is given up.
const PLACES: usize = 40;

/// One made-up defect that is to be inspected.
#[derive(Debug, Clone, Copy)]
pub struct Try {
    /// The number of its kind and contrast in the plan.
    pub of: usize,
    /// Its number among the tries of the kind.
    pub number: usize,
    /// The size in pixels of the pictures that the template was built from.
    pub size: f64,
    pub picture: usize,
}

/// The result of a try.
#[derive(Debug, Clone, Copy)]
pub struct Done {
    pub tried: Try,
    /// The cell where the defect was placed, and whether it was found. It is `None` where there was
    /// no place.
    pub outcome: Option<(usize, bool)>,
    pub already_above: usize,
}

/// The result of inspecting the pictures without defects.
#[derive(Default)]
pub struct Undamaged {
    pub used: Vec<usize>,
    pub rejected: Vec<usize>,
    pub failed: Vec<Error>,
}

/// Everything that a study works with.
pub struct Bench<'a> {
    pub subject: &'a dyn Subject,
    pub plan: &'a Plan,
    progress: Progress<'a>,
    pub places: Places,
    /// The size of the map.
    pub map: Size,
    /// The size of the pictures that the template was built from.
    pub size: Size,
    /// For each used picture, where it is above a threshold without a defect. The list is empty
    /// where it is above nowhere.
    above: Vec<Vec<bool>>,
    /// The number of tries that are done.
    done: AtomicUsize,
}

impl<'a> Bench<'a> {
    pub fn new(subject: &'a dyn Subject, plan: &'a Plan, progress: Progress<'a>) -> Result<Self> {
        let template = subject.pipeline().template();
        let header = template.header();
        let map = Size { width: header.backbone.width, height: header.backbone.height };
        let mut counts = match template.mask() {
            Some(mask) => mask.inside().to_vec(),
            None => vec![true; map.width as usize * map.height as usize],
        };
        counts.iter_mut().zip(template.zones()).for_each(|(c, zone)| *c &= *zone != IGNORED);
        let places = Places::new(map, counts);
        if places.is_empty() {
            return Err(Error::new(ErrorKind::Image, "the region of interest is empty").advise(
                "there is no place where a defect would count: change the mask or the zones",
            ));
        }
        let Size { width, height } = header.picture_size();
        let size = Size { width, height };
        let above = vec![Vec::new(); subject.count()];
        let done = Default::default();
        Ok(Bench { subject, plan, progress, places, map, size, above, done })
    }

    pub fn sizes(&self, kind: Kind) -> Sizes {
        Sizes::new(kind, self.size, self.map, self.plan.runs)
    }

    /// Inspects the pictures as they are.
    pub fn undamaged(&mut self) -> Result<Undamaged> {
        let count = self.subject.count();
        let inspect = |index: usize| -> Result<(Verdict, Vec<bool>)> {
            let picture = self.subject.picture(index)?;
            self.judged(index, &picture)
        };
        let all: Vec<usize> = (0..count).collect();
        let (mut found, mut above_of) = (Undamaged::default(), vec![Vec::new(); count]);
        for few in all.chunks(chunk(self.subject.pipeline())) {
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

    /// Returns the verdict on a picture, and the extents of its regions above the threshold that
    /// decided.
    pub fn judged(&self, index: usize, picture: &Picture) -> Result<(Verdict, Vec<bool>)> {
        let pipeline = self.subject.pipeline();
        let image = pipeline.prepare(&picture.view()?)?;
        let scored = self.subject.scored(index, &image)?;
        let verdict = pipeline.decide(&scored, picture.size()).verdict;
        let thresholds = pipeline.thresholds();
        // Regions of a good picture above the lower threshold could hide a defect.
        let level = if verdict == Verdict::Ng { thresholds.reject } else { thresholds.review };
        Ok((verdict, pipeline.extents(&scored, level)))
    }

    /// Plans tries with these sizes and numbers for every kind, spread over the pictures.
    pub fn plan_tries(
        &self,
        kinds: impl Iterator<Item = (usize, Vec<f64>, Range<usize>)>,
        used: &[usize],
    ) -> Vec<Try> {
        let mut tries = Vec::new();
        for (of, sizes, numbers) in kinds {
            for number in numbers {
                // The pictures come in a new order each round, so that every size meets all of
                // them.
                let round = (number / used.len()) as u64;
                let order = Dice::new(self.plan.seed, &[1, of as u64, round]).order(used.len());
                let picture = used[order[number % used.len()]];
                tries.push(Try { of, number, size: sizes[number % sizes.len()], picture });
            }
        }
        tries
    }

    /// Draws and inspects defects, picture by picture.
    pub fn attempt(&self, tries: &[Try]) -> Result<Vec<Done>> {
        let mut order: Vec<&Try> = tries.iter().collect();
        order.sort_by_key(|one| one.picture);
        let mut done = Vec::with_capacity(tries.len());
        for of_picture in order.chunk_by(|a, b| a.picture == b.picture) {
            let Some(first) = of_picture.first() else { continue };
            let picture = self.subject.picture(first.picture)?;
            // A thread that waits for its matching takes up another try. The code hands out few
            // tries at a time, so that they do not pile up on a thread's stack.
            for few in of_picture.chunks(chunk(self.subject.pipeline())) {
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
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        (self.progress)(done, self.plan.kinds.len() * self.plan.runs);
        Ok(Done { tried, outcome, already_above })
    }

    /// Draws a visible defect. Also returns how many places were skipped because they are already
    /// above the threshold.
    pub fn draw(&self, tried: Try, picture: &Picture) -> (Option<(Defect, Change)>, usize) {
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

    /// Returns the largest sample that a picture of this depth can have.
    pub fn full_scale(&self, picture: &Picture) -> f32 {
        let bits = self.subject.pipeline().template().settings().reading.bits();
        match (&picture.samples, bits) {
            (Samples::Eight(_), _) => 255.0,
            (Samples::Sixteen(_), bits) => ((1u32 << bits.unwrap_or(16)) - 1) as f32,
        }
    }

    /// Returns whether a pixel that is `above` lies on a defect or beside it.
    pub fn touches(&self, change: &Change, size: Size, above: &[bool]) -> bool {
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

/// Returns how many pictures or tries are handed to the threads at once.
pub fn chunk(pipeline: &Pipeline) -> usize {
    (4 * rayon::current_num_threads()).min(pipeline.pictures_at_once())
}

fn none_is_ok(rejected: usize) -> Error {
    let what = format!(
        "the template rejects all {rejected} good pictures, so no artificial defect can be tried on them"
    );
    Error::new(ErrorKind::Image, what)
        .advise("look at their scores, and give good parts that pass, or set a new threshold")
}
