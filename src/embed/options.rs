//! Holds what a program chooses when it opens a template.

use crate::backbone::{Device, ExtractorOptions};
use std::path::{Path, PathBuf};

/// Says how an [`Inspector`](super::Inspector) or a [`Teacher`](super::Teacher) computes.
///
/// ```
/// use hetmm::{Device, Options};
///
/// let options = Options::builder().device(Device::Tract).threads(4).build();
/// assert_eq!(options.threads(), 4);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Options {
    extractor: ExtractorOptions,
    backbone: Option<PathBuf>,
    threads: usize,
    skips_proof: bool,
    takes_any_shape: bool,
}

impl Options {
    /// Begins with the defaults: tract on all cores, the bundled backbone, golden probes checked.
    pub fn builder() -> OptionsBuilder {
        OptionsBuilder::default()
    }

    /// Returns the number of threads of the pool. 0 means one for each core.
    pub fn threads(&self) -> usize {
        self.threads
    }

    pub(super) fn extractor(&self) -> &ExtractorOptions {
        &self.extractor
    }

    pub(super) fn backbone(&self) -> Option<&Path> {
        self.backbone.as_deref()
    }

    pub(super) fn proves(&self) -> bool {
        !self.skips_proof
    }

    pub(super) fn takes_any_shape(&self) -> bool {
        self.takes_any_shape
    }
}

/// Makes [`Options`].
#[derive(Debug, Clone, Default)]
pub struct OptionsBuilder(Options);

impl OptionsBuilder {
    /// Chooses the feature extractor, by default [`Device::Tract`]. If it cannot be used, that is an error. Another one
    /// is never used instead.
    pub fn device(mut self, device: Device) -> Self {
        self.0.extractor.device = device;
        self
    }

    /// Sets everything about the feature extractor at once, for the programs of this crate.
    #[doc(hidden)]
    pub fn extractor(mut self, extractor: ExtractorOptions) -> Self {
        self.0.extractor = extractor;
        self
    }

    /// Sets the ONNX file of the backbone that the template was made with, if it is not the bundled one.
    pub fn backbone(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.backbone = Some(path.into());
        self
    }

    /// Sets the shared library of ONNX Runtime. The default is `ORT_DYLIB_PATH`, then the usual places.
    pub fn onnxruntime(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.extractor.library = Some(path.into());
        self
    }

    /// Sets the number of threads of the pool. 0, the default, means one for each core. The threads are called
    /// `hetmm-N`. The global pool of rayon is never used.
    pub fn threads(mut self, threads: usize) -> Self {
        self.0.threads = threads;
        self
    }

    /// Sets whether the golden probes are computed first; the default is true. A template whose probes differ on this
    /// machine is then refused. It takes the time of about three inspections.
    pub fn prove(mut self, prove: bool) -> Self {
        self.0.skips_proof = !prove;
        self
    }

    /// Sets whether pictures of another shape than those of the template are accepted; the default is false. They are
    /// squeezed.
    pub fn any_shape(mut self, any_shape: bool) -> Self {
        self.0.takes_any_shape = any_shape;
        self
    }

    /// Returns the options.
    pub fn build(self) -> Options {
        self.0
    }
}
