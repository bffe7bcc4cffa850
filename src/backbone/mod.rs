//! Backbones are networks whose inner activations serve as features.
//!
//! A backbone is an ONNX file with named outputs (*taps*). Its [`Identity`] says which file, taps,
//! input size and preprocessing belong together. The identity goes into every template, and a
//! backbone with another identity refuses the template. The choice of feature extractor and device
//! ([`ExtractorOptions`]) is not part of the identity, because the features of all of them agree to within
//! rounding.

mod bundled;
mod depthwise;
mod device;
mod graph;
mod identity;
mod int8;
mod interface;
mod model_facts;
mod onnx;
#[cfg(feature = "onnxruntime")]
mod onnxruntime;
mod open;
mod part;
mod refusal;
mod tiled;
mod tract;
#[cfg(feature = "tract-cuda")]
mod tract_cuda;

pub use bundled::BUNDLED_NAME;
#[cfg(fuzzing)]
pub use bundled::MODEL;
pub use device::{Device, ExtractorOptions, INT8, TRACT};
pub use identity::{Identity, TapIdentity, pictures_at_once};
pub use int8::Int8Backbone;
#[cfg(fuzzing)]
pub use int8::kernels;
pub use interface::{Backbone, Request, Saturation, require_usable};
pub use model_facts::{LARGEST_SIDE, ModelFacts};
#[cfg(fuzzing)]
pub use onnx::read_for;
#[cfg(feature = "onnxruntime")]
pub use onnxruntime::OnnxRuntimeBackbone;
#[cfg(all(fuzzing, feature = "onnxruntime"))]
pub use onnxruntime::cut_of;
pub use open::open;
#[doc(hidden)]
pub use tiled::open_by_tiles;
pub use tract::TractBackbone;
#[cfg(feature = "tract-cuda")]
pub use tract_cuda::TractCudaBackbone;
