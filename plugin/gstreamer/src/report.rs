//! Errors of the library as GStreamer has them.

use hetmm::error::Choice;
use hetmm::{Error, ErrorKind};
use std::error::Error as _;

/// Returns what failed, why and what to do next. Choices have the names of the element's properties.
pub fn words(error: &Error) -> String {
    error.in_words(&|choice| match choice {
        Choice::Backbone => "the property backbone".into(),
        Choice::Device => "the property device".into(),
        Choice::OnnxRuntime => "the property onnxruntime".into(),
        other => other.to_string(),
    })
}

/// Returns the error that the element posts if it cannot start.
pub fn at_start(error: &Error) -> gst::ErrorMessage {
    let text = words(error);
    match error.kind() {
        ErrorKind::Io if is_missing(error) => {
            gst::error_msg!(gst::ResourceError::NotFound, ("{text}"))
        }
        ErrorKind::Io | ErrorKind::Template => {
            gst::error_msg!(gst::ResourceError::Read, ("{text}"))
        }
        ErrorKind::Model => gst::error_msg!(gst::LibraryError::Init, ("{text}")),
        _ => gst::error_msg!(gst::ResourceError::Settings, ("{text}")),
    }
}

/// Returns whether the error is that a file does not exist.
fn is_missing(error: &Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::NotFound)
}
