//! This module makes the errors that several feature extractors have in common.

use super::identity::Identity;
use crate::error::{Choice, Error, Kind, NextStep, Result};
use crate::image::NetworkImage;
use std::panic::{AssertUnwindSafe, catch_unwind};

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

/// Refuses a picture whose size differs from the network's input.
pub(super) fn require_size(id: &Identity, image: &NetworkImage) -> Result<()> {
    match (image.height(), image.width()) == (id.height as usize, id.width as usize) {
        true => Ok(()),
        false => Err(wrong_size(id, image)),
    }
}

/// Loads a model. A damaged file can make the parser panic, and that becomes an error like any
/// other. `name` is that of the file.
pub(super) fn loaded<T>(name: &str, load: impl FnOnce() -> Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(load)) {
        Ok(loaded) => loaded.map_err(|e| e.within(name)),
        Err(_) => Err(unusable_model("it cannot be parsed").within(name)),
    }
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
