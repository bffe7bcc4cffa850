//! What a caller can choose when a template is opened.

use crate::errors::raise;
use hetmm::{Error, Options};
use pyo3::prelude::*;
use std::path::PathBuf;

/// The parameters that inspectors and insertions share.
pub struct Chosen<'a> {
    /// The number of threads; 0 is one for each core.
    pub threads: i64,
    /// The name of the feature extractor.
    pub device: &'a str,
    /// The ONNX file of the backbone.
    pub backbone: Option<PathBuf>,
    /// The shared library of ONNX Runtime.
    pub onnxruntime: Option<PathBuf>,
    /// Whether the golden probes are computed first.
    pub prove: bool,
    /// Whether pictures of another shape are squeezed.
    pub any_shape: bool,
}

/// More threads than any machine has cores.
const MOST_THREADS: i64 = 4096;

impl Chosen<'_> {
    /// The options of the library.
    ///
    /// # Errors
    /// `UsageError` where a number or a name cannot be used.
    pub fn options(self) -> PyResult<Options> {
        if !(0..=MOST_THREADS).contains(&self.threads) {
            let what = format!("threads={}", self.threads);
            return Err(raise(
                &Error::usage(what).advise("give 1 or more, or 0 for one each core"),
            ));
        }
        let mut options = Options::builder()
            .threads(self.threads as usize)
            .device(self.device.parse().map_err(|e: Error| raise(&e))?)
            .prove(self.prove)
            .any_shape(self.any_shape);
        if let Some(backbone) = self.backbone {
            options = options.backbone(backbone);
        }
        if let Some(library) = self.onnxruntime {
            options = options.onnxruntime(library);
        }
        Ok(options.build())
    }
}
