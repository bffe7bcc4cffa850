//! Estimates what a template that was just built finds: dark spots drawn into some of its own good pictures.
//!
//! Each of these pictures is inspected without the prototypes from pictures of its part. So no picture is kept back for
//! it. It takes as long as inspecting [`MOST_INSPECTIONS`] pictures, or fewer if the template has few. A build of n
//! pictures takes about as long as inspecting two and a half n pictures.

use super::Source;
use super::leave_one_out::groups;
use crate::backbone::Backbone;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::image::{NetworkImage, Picture};
use crate::inspection::Pipeline;
use crate::scoring::Scored;
use crate::sensitivity::{KindResult, Subject, short};
use crate::template::Template;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// The largest number of inspections, each with several spots.
const MOST_INSPECTIONS: usize = 14;
/// The number of parts for each inspection.
const PARTS_EACH: usize = 4;
/// The smallest number of parts. Fewer say too little.
const LEAST_PARTS: usize = 32;
/// The amount by which the spots are darker, in grey levels of 255.
const CONTRAST: f32 = 60.0;

/// Draws dark spots into some of the `pictures` that `template` was built from. Returns `None` if there are too few
/// pictures.
///
/// # Errors
/// Passes on the errors of the pictures, the template and the feature extractor.
pub fn short_form(
    template: &Path,
    pictures: &[Source],
    backbone: &Arc<dyn Backbone>,
) -> Result<Option<KindResult>> {
    if pictures.len() < LEAST_PARTS {
        return Ok(None);
    }
    let pipeline = Pipeline::new(Template::map(template)?, backbone.clone())?.with_any_shape();
    let subject = LeftOut::new(pipeline, pictures);
    let inspections = (subject.parts / PARTS_EACH).min(MOST_INSPECTIONS);
    if subject.parts < LEAST_PARTS || subject.pictures.is_empty() {
        return Ok(None);
    }
    short::dark_spots(&subject, CONTRAST, inspections).map(Some)
}

/// Holds pictures that a template was built from, to compare each with the rest.
struct LeftOut {
    pipeline: Pipeline,
    /// The part of every prototype, for each layer.
    groups: Vec<Vec<u32>>,
    /// The number of parts that the template was built from.
    parts: usize,
    /// Some of the pictures, with their parts.
    pictures: Vec<(Source, u32)>,
}

impl LeftOut {
    fn new(pipeline: Pipeline, pictures: &[Source]) -> Self {
        let template = pipeline.template();
        let images = &template.header().build.images;
        let evidence = template.settings().evidence.as_ref();
        let of_evidence = evidence.map(|e| e.parts.clone()).filter(|p| p.len() == images.len());
        let parts = of_evidence.unwrap_or_else(|| (0..images.len() as u32).collect());
        let mut seen = HashSet::new();
        let firsts: Vec<usize> = (0..images.len()).filter(|&i| seen.insert(parts[i])).collect();
        let threshold = template.header().calibration.threshold;
        let scores = evidence.map_or(&[][..], |e| &e.scores);
        // A part that is rejected without a spot would be found whatever is drawn on it.
        let is_good = |part: u32| scores.get(part as usize).is_none_or(|s| *s <= threshold);
        let good: Vec<usize> = firsts.iter().copied().filter(|&i| is_good(parts[i])).collect();
        let count = good.len().min(MOST_INSPECTIONS);
        let chosen = (0..count).map(|i| good[i * good.len() / count]);
        let of_image = |image: usize| {
            let is_it = |source: &&Source| {
                source.name() == images[image].name
                    && source.digest().is_ok_and(|digest| digest == images[image].digest)
            };
            pictures.iter().find(is_it).map(|source| (source.clone(), parts[image]))
        };
        let pictures = chosen.filter_map(of_image).collect();
        let groups = groups(&pipeline, &parts);
        LeftOut { parts: firsts.len(), groups, pictures, pipeline }
    }
}

impl Subject for LeftOut {
    fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    fn count(&self) -> usize {
        self.pictures.len()
    }

    fn picture(&self, index: usize) -> Result<Picture> {
        let missing = || Error::new(ErrorKind::Image, format!("no picture {index}"));
        self.pictures.get(index).ok_or_else(missing).and_then(|(source, _)| Ok(source.read()?.0))
    }

    fn scored(&self, index: usize, image: &NetworkImage) -> Result<Scored> {
        let features = self.pipeline.features(image)?;
        let part = self.pictures.get(index).map_or(u32::MAX, |(_, part)| *part);
        let distances = self.pipeline.distances_without(&features, &self.groups, part);
        Ok(self.pipeline.score(&self.pipeline.anomaly_map(&distances)))
    }
}
