//! What a template that was just built finds, in short: dark spots made up in some of its own good pictures.
//!
//! Each of these pictures is inspected without the prototypes that it, or another picture of its part, has given. So
//! no picture is kept back for it, and it takes about as long as inspecting [`PICTURES`] and 60 pictures.

use super::Source;
use super::leave_one_out::groups;
use crate::backbone::Backbone;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::image::{NetworkImage, Picture};
use crate::inspection::Inspector;
use crate::scoring::Scored;
use crate::sensitivity::study::{self, LEAST_RUNS};
use crate::sensitivity::{Kind, KindResult, Plan, Subject};
use crate::template::Template;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// Most pictures that spots are made up in.
const PICTURES: usize = 12;
/// How much darker the spots are, in grey levels of 255.
const CONTRAST: f32 = 60.0;

/// Makes up dark spots in some of the `pictures` that `template` was built from.
///
/// # Errors
/// [`ErrorKind::Image`] where none of the pictures can be used; what the template and the feature extractor refuse.
pub fn short_form(
    template: &Path,
    pictures: &[Source],
    backbone: &Arc<dyn Backbone>,
) -> Result<KindResult> {
    let inspector = Inspector::new(Template::open(template)?, backbone.clone())?.with_any_shape();
    let subject = LeftOut::new(inspector, pictures);
    let plan = Plan::new(&[Kind::DarkSpot], &[CONTRAST], LEAST_RUNS, 0);
    let mut found = study::run(&subject, &plan, &|_, _| {})?;
    found.results.pop().ok_or_else(|| Error::new(ErrorKind::Image, "nothing was made up"))
}

/// Pictures that a template was built from, each against the rest.
struct LeftOut {
    inspector: Inspector,
    /// The part of every prototype, a layer.
    groups: Vec<Vec<u32>>,
    /// Some of the pictures, with their parts.
    pictures: Vec<(Source, u32)>,
}

impl LeftOut {
    fn new(inspector: Inspector, pictures: &[Source]) -> Self {
        let template = inspector.template();
        let images = &template.header().build.images;
        let evidence = template.settings().evidence.as_ref();
        let of_evidence = evidence.map(|e| e.parts.clone()).filter(|p| p.len() == images.len());
        let parts = of_evidence.unwrap_or_else(|| (0..images.len() as u32).collect());
        let mut seen = HashSet::new();
        let firsts: Vec<usize> = (0..images.len()).filter(|&i| seen.insert(parts[i])).collect();
        let count = firsts.len().min(PICTURES);
        let chosen = (0..count).map(|i| firsts[i * firsts.len() / count]);
        let of_image = |image: usize| {
            let is_it = |source: &&Source| {
                source.name() == images[image].name
                    && source.digest().is_ok_and(|digest| digest == images[image].digest)
            };
            pictures.iter().find(is_it).map(|source| (source.clone(), parts[image]))
        };
        let pictures = chosen.filter_map(of_image).collect();
        let groups = groups(&inspector, &parts);
        LeftOut { inspector, groups, pictures }
    }
}

impl Subject for LeftOut {
    fn inspector(&self) -> &Inspector {
        &self.inspector
    }

    fn count(&self) -> usize {
        self.pictures.len()
    }

    fn picture(&self, index: usize) -> Result<Picture> {
        let missing = || Error::new(ErrorKind::Image, format!("no picture {index}"));
        self.pictures.get(index).ok_or_else(missing).and_then(|(source, _)| Ok(source.read()?.0))
    }

    fn scored(&self, index: usize, image: &NetworkImage) -> Result<Scored> {
        let features = self.inspector.features(image)?;
        let part = self.pictures.get(index).map_or(u32::MAX, |(_, part)| *part);
        let distances = self.inspector.distances_without(&features, &self.groups, part);
        Ok(self.inspector.score(&self.inspector.anomaly_map(&distances)))
    }
}
