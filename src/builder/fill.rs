//! Fills a template with what comes from the good pictures: prototypes, mask, baseline, layer weights.

use super::exposures::Parts;
use super::leave_one_out::LeaveOneOut;
use super::options::{Options, Weights};
use super::progress::Progress;
use super::prototypes::{self, HeldOut};
use super::store::Store;
use crate::backbone::Backbone;
use crate::error::Result;
use crate::inspection::Pipeline;
use crate::template::writer::Draft;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Holds what a template is made of.
pub struct Material<'a> {
    /// The features of all pictures.
    pub store: &'a Store,
    /// The backbone that computed them.
    pub backbone: &'a Arc<dyn Backbone>,
    /// How the template is built.
    pub options: &'a Options,
    /// Which part every picture shows.
    pub parts: &'a Parts,
    /// The path of the finished template. Drafts are made beside it and removed again.
    pub destination: &'a Path,
}

/// Holds what is left for the threshold after a draft was filled.
pub(super) struct Filled {
    /// Leave-one-out distances of all pictures.
    pub left_out: LeaveOneOut,
    /// For every fold, the prototypes of a template without it. It is empty if the rule does not give them.
    pub of_folds: Vec<prototypes::Chosen>,
    /// The moment at which the prototypes had been chosen.
    pub selected_at: Instant,
}

/// Fills a draft with what comes from the good pictures: prototypes, mask, baseline and layer weights.
pub(super) fn fill(
    draft: &mut Draft,
    material: &Material,
    held_out: Option<HeldOut>,
    progress: Progress,
) -> Result<Filled> {
    let Material { store, options, parts, backbone, .. } = material;
    let layers = draft.header().layers.len();
    let pipeline = |draft: &Draft| Pipeline::new(draft.preview()?, (*backbone).clone());
    let of_folds = prototypes::write(draft, store, options.mask.as_ref(), held_out, progress)?;
    let selected_at = Instant::now();
    if let Some(mask) = &options.mask {
        let bytes: Vec<u8> = mask.inside().iter().map(|&inside| u8::from(inside)).collect();
        draft.section(|section| section.write(&bytes))?;
    }
    let left_out = LeaveOneOut::compute(&pipeline(draft)?, store, &parts.of_picture, progress);
    let share = options.baseline.share(parts.count());
    if share > 0.0 {
        let baselines: Vec<Vec<f32>> = {
            let pipeline = pipeline(draft)?;
            (0..layers).map(|layer| left_out.baseline(&pipeline, layer, share, &|_| true)).collect()
        };
        for baseline in baselines {
            draft.section(|section| section.write(bytemuck::cast_slice(&baseline)))?;
        }
    }
    let weights = match &options.weights {
        Weights::Given(weights) => weights.clone(),
        Weights::FromGoodParts => left_out.weights(&pipeline(draft)?),
    };
    draft.set_header(|h| {
        h.layers.iter_mut().zip(weights).for_each(|(layer, weight)| layer.weight = weight)
    });
    Ok(Filled { left_out, of_folds, selected_at })
}
