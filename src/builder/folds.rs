//! Computes scores of good parts that their template has not seen, by folds.
//!
//! Every part is scored against a template built without its fold (`blocks` says which parts are held out together).
//! The weights are those of the template that is delivered, and the baseline is computed without the fold. A
//! leave-one-out score needs no second selection, but it is too high. An unusual picture gives many prototypes. Without
//! them the template has a hole that a template built without the picture would have filled with others. Here the
//! selection rule fills the hole. The temporary templates are a little poorer than the one that is delivered. So a
//! threshold from these scores errs towards too few rejects of good parts.
//!
//! Pictures of the same exposure are one part. They are held out together and give one score, that of the first.

use super::calibration::TooFew;
use super::draft::{draft_header, section_lengths};
use super::few_at_once::few_at_once;
use super::fill::{Filled, Material};
use super::leave_one_out::groups;
use super::options::{Baseline, Options};
use super::progress::{Progress, Stage};
use super::prototypes::{self, Chosen, HeldOut};
use crate::error::{Error, Kind, Result};
use crate::inspection::Pipeline;
use crate::matching::Distances;
use crate::selection::Rule;
use crate::template::Settings;
use crate::template::container::SectionKind;
use crate::template::writer::Draft;

/// Returns the refusal of a rate that so few pictures cannot promise.
pub fn too_few(e: &TooFew, rate: f64) -> Error {
    Error::new(
        Kind::Image,
        format!(
            "{} good parts are too few to guarantee a false-reject rate of {}: that needs {}",
            e.pictures,
            percent(rate),
            e.needed
        ),
    )
    .advise(format!(
        "give pictures of {} more, or ask for a rate of at least {}",
        e.needed - e.pictures,
        percent(1.0 / (e.pictures + 1) as f64)
    ))
}

/// Returns a rate in per cent, rounded up to two digits. So it is enough to ask for the rate that the message advises.
fn percent(rate: f64) -> String {
    format!("{} %", (rate * 1e4 * (1.0 - 1e-9)).ceil() / 100.0)
}

impl Material<'_> {
    /// Computes the score of every part against a template without its fold. `pipeline` holds the template from all
    /// pictures, and `filled` what filling it left.
    ///
    /// # Errors
    /// Passes on the errors of the disk.
    pub fn scores(
        &self,
        pipeline: &Pipeline,
        filled: &Filled,
        held_out: HeldOut,
        progress: Progress,
    ) -> Result<Vec<f32>> {
        let mut scores = vec![f32::NAN; self.parts.count()];
        for fold in 0..held_out.folds {
            progress(Stage::Folds, fold, held_out.folds);
            let kept = held_out.kept(fold);
            let share = self.options.baseline.share(self.parts.count());
            let baseline = |layer| match share > 0.0 {
                true => filled.left_out.baseline(pipeline, layer, share, &|picture| kept[picture]),
                false => Vec::new(),
            };
            let layers = pipeline.template().layers();
            let scorer = pipeline.scorer_with((0..layers).map(baseline).collect());
            let of_fold = |part: &usize| !kept[self.parts.first[*part]];
            let out: Vec<usize> = (0..self.parts.count()).filter(of_fold).collect();
            let distances = self.distances(pipeline, held_out, fold, filled.of_folds.get(fold))?;
            let score = |at: usize| {
                let of_part = distances(self.parts.first[out[at]]);
                scorer.score(&scorer.anomaly_map(&of_part)).score
            };
            let at_once = self.backbone.identity().pictures_at_once();
            let of_fold = few_at_once(out.len(), at_once, score);
            out.iter().zip(of_fold).for_each(|(&part, score)| scores[part] = score);
        }
        progress(Stage::Folds, held_out.folds, held_out.folds);
        Ok(scores)
    }

    /// Returns a function that computes the distances of a picture to a template without `fold`.
    fn distances<'a>(
        &'a self,
        pipeline: &'a Pipeline,
        held_out: HeldOut,
        fold: usize,
        chosen: Option<&Chosen>,
    ) -> Result<Box<dyn Fn(usize) -> Vec<Distances> + Sync + 'a>> {
        if pipeline.template().header().rule == Rule::All {
            let folds = groups(pipeline, held_out.fold);
            return Ok(Box::new(move |picture| {
                pipeline.distances_without(&self.store.maps(picture), &folds, fold as u32)
            }));
        }
        let without = self.template_without(pipeline, &held_out.kept(fold), chosen)?;
        Ok(Box::new(move |picture| without.distances(&self.store.maps(picture), None)))
    }

    /// Builds a template from the `kept` pictures alone. It uses the prototypes that were `chosen` for it, or selects
    /// anew.
    fn template_without(
        &self,
        pipeline: &Pipeline,
        kept: &[bool],
        chosen: Option<&Chosen>,
    ) -> Result<Pipeline> {
        let known: Vec<usize> = (0..kept.len()).filter(|&picture| kept[picture]).collect();
        let images = &pipeline.template().header().build.images;
        let images = match chosen {
            Some(_) => images.clone(),
            None => known.iter().map(|&picture| images[picture].clone()).collect(),
        };
        let options = Options { mask: None, baseline: Baseline::None, ..self.options.clone() };
        let candidates = self.store.entries_of(kept);
        let mut header = draft_header(self.backbone.identity(), &options, candidates, images);
        header.probes.clear();
        let mut lengths = section_lengths(&header, &options)?;
        lengths.retain(|(kind, ..)| *kind != SectionKind::Probe);
        // The draft is never finished. Its file has no name that anyone sees, and it goes with the draft.
        let mut draft = Draft::create(self.destination, header, Settings::default(), &lengths)?;
        match chosen {
            Some(chosen) => prototypes::write_chosen(&mut draft, self.store, chosen)?,
            None => {
                let store = self.store.subset(&known);
                let mask = self.options.mask.as_ref();
                prototypes::write(&mut draft, &store, mask, None, &|_, _, _| {})?;
            }
        }
        Pipeline::new(draft.preview()?, self.backbone.clone())
    }
}
