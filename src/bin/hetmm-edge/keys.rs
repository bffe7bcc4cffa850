//! This module words the errors of the library for the device: a choice becomes a key of the configuration.

use hetmm::Error;
use hetmm::error::Choice;

/// What went wrong, and what the user can do about it.
pub fn in_words(error: &Error) -> String {
    error.in_words(&|choice| key(choice).map_or_else(|| choice.to_string(), str::to_owned))
}

/// The key that makes a choice.
fn key(choice: Choice) -> Option<&'static str> {
    Some(match choice {
        Choice::Backbone => "template.backbone",
        Choice::Device => "template.device",
        Choice::Fp16 => "template.fp16",
        Choice::OnnxRuntime => "template.onnxruntime",
        Choice::Tf32 => "template.tf32",
        Choice::TensorRtCache => "template.engine_cache",
        _ => return None,
    })
}
