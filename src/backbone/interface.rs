//! This module holds the interface that all feature extractors share, and the request that opens
//! one.

use super::identity::Identity;
use crate::error::{Error, Result};
use crate::feature_map::FeatureMap;
use crate::image::NetworkImage;
use std::path::Path;

/// The memory that a network takes per pixel of its input while it computes, in bytes. Its largest
/// activations need it.
pub(super) const WORKING_BYTES: u64 = 256;

/// Counts values of a network in eight bits that may lie beyond their ranges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Saturation {
    /// The number of values whose range does not come from the network itself.
    pub values: u64,
    /// The number of those that lie at an end of their range.
    pub at_ends: u64,
}

impl Saturation {
    /// Returns the share of values that lie at an end of their range.
    pub fn share(&self) -> f64 {
        self.at_ends as f64 / self.values.max(1) as f64
    }
}

impl std::ops::AddAssign for Saturation {
    fn add_assign(&mut self, other: Self) {
        self.values += other.values;
        self.at_ends += other.at_ends;
    }
}

/// A network that turns a picture into feature maps.
pub trait Backbone: Send + Sync {
    /// Returns the identity of the backbone, as it goes into templates.
    fn identity(&self) -> &Identity;

    /// Names the feature extractor for people: [`super::TRACT`], `tract-cuda`, or a name such as
    /// "onnxruntime 1.22.0 cpu".
    fn extractor(&self) -> &str;

    /// Computes one map of unit vectors per tap, in the order of the taps.
    fn features(&self, image: &NetworkImage) -> Result<Vec<FeatureMap>>;

    /// Counts the values for `image` that may lie beyond what the feature extractor can hold. For
    /// one that computes in 32 bits there are none.
    fn saturation(&self, image: &NetworkImage) -> Result<Saturation> {
        let _ = image;
        Ok(Saturation::default())
    }

    /// Returns how many pictures [`Backbone::features_of_batch`] takes at once. Where it is 1, the
    /// quickest way is one picture per thread.
    fn batch(&self) -> usize {
        1
    }

    /// Returns the memory that it takes to compute `pictures` at once on `threads` threads, in
    /// bytes. The pictures and their maps are not counted.
    fn working_bytes(&self, pictures: usize, threads: usize) -> u64 {
        let _ = threads;
        pictures as u64 * WORKING_BYTES * self.identity().pixels()
    }

    /// Computes [`Backbone::features`] of every picture. There may be at most [`Backbone::batch`]
    /// of them.
    fn features_of_batch(&self, images: &[&NetworkImage]) -> Result<Vec<Vec<FeatureMap>>> {
        images.iter().map(|image| self.features(image)).collect()
    }
}

/// Refuses maps that hold no usable features, because they cannot describe a good picture. `maps`
/// has the order of the taps of `identity`.
///
/// # Errors
/// [`crate::error::Kind::Model`], which names the tap and the reason.
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

/// A request for a backbone.
#[derive(Debug, Clone, PartialEq)]
pub struct Request<'a> {
    /// The ONNX file, or `None` for the bundled backbone.
    pub model: Option<&'a Path>,
    /// Lists of tap names, each in the order of the layers. The first list whose taps the model has
    /// is taken.
    pub taps: Vec<Vec<String>>,
    /// The number of rows of the network's input.
    pub height: usize,
    /// The number of columns of the network's input.
    pub width: usize,
    /// The name of the feature extractor that the template was made with, or `None` for a new
    /// template.
    pub made_by: Option<&'a str>,
}
