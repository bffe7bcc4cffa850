//! Feature extractors that compute a network from an ONNX file, each on its device.

mod bundled;
mod depthwise;
mod graph;
mod int8;
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

use super::{device, identity, interface};

pub use bundled::BUNDLED_NAME;
#[cfg(fuzzing)]
pub use bundled::MODEL;
pub use int8::Int8Backbone;
#[cfg(fuzzing)]
pub use int8::kernels;
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
