//! This module makes the errors that several feature extractors have in common.

use super::identity::Identity;
use crate::error::{Choice, Error, Kind, NextStep};
use crate::image::NetworkImage;

/// Makes the error for a device that cannot be used.
pub(super) fn unusable_device(why: impl Into<String>) -> Error {
    Error::new(Kind::Io, why)
}

/// Makes the error for a file that holds no usable model.
pub(super) fn unusable_model(why: &str) -> Error {
    Error::model(format!("not a usable ONNX model: {why}")).next(NextStep::OneOf(vec![
        NextStep::Do("models/export.py writes backbones that fit".into()),
        NextStep::LeaveOut(Choice::Backbone),
    ]))
}

/// Makes the error for a picture whose size differs from the network's input.
pub(super) fn wrong_size(id: &Identity, image: &NetworkImage) -> Error {
    Error::model(format!(
        "a picture of {}x{} for an input of {}x{}",
        image.height(),
        image.width(),
        id.height,
        id.width
    ))
}
