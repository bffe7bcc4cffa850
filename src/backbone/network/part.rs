//! This module describes a part of a network that runs by itself, as tiles need it.

use crate::error::Result;
use tract_onnx::pb::ModelProto;

/// A part of a network, ready to run on one size of input.
pub(super) trait Part: Send + Sync {
    /// Returns the channels, rows and columns of each output.
    fn sizes(&self) -> &[[usize; 3]];

    /// Computes the outputs for an input. Both are planes.
    fn run(&self, planes: &[f32]) -> Result<Vec<Vec<f32>>>;
}

/// Makes a part that runs from a model, for an input of the given channels, rows and columns.
pub(super) type Load<'a> = &'a dyn Fn(&ModelProto, [usize; 3], &[String]) -> Result<Box<dyn Part>>;
