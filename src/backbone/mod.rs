//! Backbones are networks whose inner activations serve as features.
//!
//! A backbone is an ONNX file with named outputs (*taps*). Its [`Identity`] says which file, taps,
//! input size and preprocessing belong together. The identity goes into every template, and a
//! backbone with another identity refuses the template. The choice of feature extractor and device
//! ([`ExtractorOptions`]) is not part of the identity, because the features of all of them agree to within
//! rounding.

mod device;
mod identity;
mod interface;
#[cfg(feature = "network")]
mod network;
#[cfg(not(feature = "network"))]
mod no_network;

pub use device::{Device, ExtractorOptions, INT8, TRACT};
pub use identity::{Identity, TapIdentity, pictures_at_once};
pub use interface::{Backbone, Request, Saturation, require_usable};
#[cfg(feature = "network")]
pub use network::*;
#[cfg(not(feature = "network"))]
pub use no_network::open;
