//! Backbones: networks whose inner activations serve as features.
//!
//! A backbone is an ONNX file with named outputs (*taps*). Which file, which taps, which input
//! size and which preprocessing belong together is its [`Identity`]; it goes into every template,
//! and a template is refused by a backbone with another one.

mod bundled;
mod depthwise;
mod identity;
mod tract;

pub use bundled::BUNDLED_NAME;
pub use identity::{Identity, TapIdentity};
pub use tract::TractBackbone;

use crate::error::Result;
use crate::feature_map::FeatureMap;
use crate::image::NetworkImage;
use std::path::Path;
use std::sync::Arc;

/// A network that turns a picture into feature maps.
pub trait Backbone: Send + Sync {
    /// What it is, as it goes into templates.
    fn identity(&self) -> &Identity;

    /// One map of unit vectors per tap, in the order of the taps.
    fn features(&self, image: &NetworkImage) -> Result<Vec<FeatureMap>>;
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

/// Loads the backbone that `request` asks for, to run on the CPU.
pub fn open(request: &Request) -> Result<Arc<dyn Backbone>> {
    let model: std::borrow::Cow<[u8]> = match request.model {
        None => bundled::MODEL.into(),
        Some(path) => std::fs::read(path)
            .map_err(|e| crate::Error::io(path, "the model cannot be read", &e))?
            .into(),
    };
    let name = request.model.map_or(BUNDLED_NAME.into(), |p| p.display().to_string());
    Ok(Arc::new(TractBackbone::new(&name, &model, &request.taps, request.height, request.width)?))
}
