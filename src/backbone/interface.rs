//! What every way to compute features offers, and what it is asked for.

use super::identity::Identity;
use crate::error::{Error, Result};
use crate::feature_map::FeatureMap;
use crate::image::NetworkImage;
use std::path::Path;

/// Bytes that a network takes for a pixel of its input while it computes: its largest activations.
pub(super) const WORKING_BYTES: u64 = 256;

/// A network that turns a picture into feature maps.
pub trait Backbone: Send + Sync {
    /// What it is, as it goes into templates.
    fn identity(&self) -> &Identity;

    /// What computes, for people: [`super::TRACT`], `tract-cuda`, or as "onnxruntime 1.22.0 cpu".
    fn engine(&self) -> &str;

    /// One map of unit vectors per tap, in the order of the taps.
    fn features(&self, image: &NetworkImage) -> Result<Vec<FeatureMap>>;

    /// How many pictures [`Backbone::features_of_batch`] takes at once. Where it is 1, one picture a
    /// thread is the quickest way.
    fn batch(&self) -> usize {
        1
    }

    /// Bytes that it takes to compute so many pictures at once on so many threads, beside the pictures and their maps.
    fn working_bytes(&self, pictures: usize, threads: usize) -> u64 {
        let _ = threads;
        pictures as u64 * WORKING_BYTES * self.identity().pixels()
    }

    /// [`Backbone::features`] of every picture; at most [`Backbone::batch`] of them.
    fn features_of_batch(&self, images: &[&NetworkImage]) -> Result<Vec<Vec<FeatureMap>>> {
        images.iter().map(|image| self.features(image)).collect()
    }
}

/// Refuses maps that say nothing, in the order of the taps of `identity`: no good picture can be described by
/// them.
///
/// # Errors
/// [`crate::error::Kind::Model`], naming the tap and the reason.
pub fn require_usable(identity: &Identity, maps: &[FeatureMap]) -> Result<()> {
    for (tap, map) in identity.taps.iter().zip(maps) {
        if let Some(fault) = map.fault() {
            return Err(Error::model(format!(
                "the features that the backbone gives at tap {} are {fault}",
                tap.name
            ))
            .advise(
                "check the model: weights that are zero, infinite or no numbers do this, as an export to 16 \
                 bits may leave them; export it again, in 32 bits",
            ));
        }
    }
    Ok(())
}

/// What to load.
#[derive(Debug, Clone, PartialEq)]
pub struct Request<'a> {
    /// The ONNX file, or `None` for the bundled backbone.
    pub model: Option<&'a Path>,
    /// Lists of tap names, in the order of the layers: the first list whose taps the model has is
    /// taken.
    pub taps: Vec<Vec<String>>,
    /// Rows of the network's input.
    pub height: usize,
    /// Columns of the network's input.
    pub width: usize,
}
