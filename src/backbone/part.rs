//! A part of a network that runs by itself, as tiles need it.

use crate::error::Result;
use tract_onnx::pb::ModelProto;

/// A part of a network, ready to run on one size of input.
pub(super) trait Part: Send + Sync {
    /// Channels, rows and columns of each output.
    fn sizes(&self) -> &[[usize; 3]];

    /// The outputs for an input, both as planes.
    fn run(&self, planes: &[f32]) -> Result<Vec<Vec<f32>>>;
}

/// Makes a part that runs from a model, for an input of so many channels, rows and columns.
pub(super) type Load<'a> = &'a dyn Fn(&ModelProto, [usize; 3], &[String]) -> Result<Box<dyn Part>>;
