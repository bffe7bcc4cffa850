//! This module computes features with tract on an NVIDIA GPU, without ONNX Runtime.
//!
//! `tract-cuda` loads the driver and NVIDIA's libraries at run time, so a build needs none of them.
//! Operators that it does not have (pooling, in 0.23) run on the CPU in between.

use super::device::TRACT_CUDA;
use super::identity::Identity;
use super::interface::{Backbone, Request};
use super::refusal::unusable_device;
use super::tract::{failed, input, maps, typed};
use crate::error::{Error, Result};
use crate::feature_map::FeatureMap;
use crate::image::NetworkImage;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tract_core::internal::Runnable;
use tract_core::runtime::runtime_for_name;
// Linking this crate registers its runtime.
use tract_cuda as _;

/// An ONNX model that is cut down to what its taps need, and that tract runs on a GPU.
pub struct TractCudaBackbone {
    identity: Identity,
    runnable: Box<dyn Runnable>,
}

impl TractCudaBackbone {
    /// Loads `model` onto the first GPU and runs it once. `model` holds the bytes of an ONNX file
    /// that messages call `name`.
    ///
    /// # Errors
    /// [`crate::error::Kind::Io`] where the GPU or NVIDIA's libraries cannot be used,
    /// [`crate::error::Kind::Model`] where the model cannot be used.
    pub fn new(name: &str, model: &[u8], request: &Request) -> Result<Self> {
        let cannot = |why: String| {
            unusable_device(format!("device tract-cuda cannot be used: {why}")).advise(
                "it needs an NVIDIA GPU that nvidia-smi shows, CUDA 12.6 or a later 12, and cuDNN 9; the device \
                 tract runs without",
            )
        };
        let runtime = runtime_for_name("cuda").map_err(|e| cannot(format!("{e:#}")))?;
        let runtime = runtime.ok_or_else(|| cannot("tract does not have it".into()))?;
        runtime.check().map_err(|e| cannot(format!("{e:#}")))?;
        // If the libraries refuse something later on, tract-cuda panics.
        let loaded = catch_unwind(AssertUnwindSafe(|| -> Result<Self> {
            let (typed, identity) = typed(model, &request.taps, request.height, request.width)?;
            let runnable = runtime.prepare(typed).map_err(|e| cannot(format!("{e:#}")))?;
            let backbone = TractCudaBackbone { identity, runnable };
            let (height, width) = (request.height, request.width);
            let black = NetworkImage::from_samples(height, width, vec![0; 3 * height * width]);
            backbone.features(&black.ok_or_else(|| Error::usage("an input without pixels"))?)?;
            Ok(backbone)
        }));
        loaded
            .unwrap_or_else(|_| Err(cannot("it has failed because of a bug".into())))
            .map_err(|e| if e.kind() == crate::error::Kind::Model { e.within(name) } else { e })
    }
}

impl Backbone for TractCudaBackbone {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn extractor(&self) -> &str {
        TRACT_CUDA
    }

    fn features(&self, image: &NetworkImage) -> Result<Vec<FeatureMap>> {
        let id = &self.identity;
        maps(id, self.runnable.run(input(id, image)?).map_err(failed)?)
    }
}
