//! This module words the errors of the library for the command line: a choice becomes the name of an option.

use hetmm::Error;
use hetmm::error::Choice;

/// What went wrong, and what the user can do about it.
pub fn in_words(error: &Error) -> String {
    error.in_words(&|choice| option(choice).map_or_else(|| choice.to_string(), str::to_owned))
}

/// The option that makes a choice.
fn option(choice: Choice) -> Option<&'static str> {
    Some(match choice {
        Choice::Alpha => "--alpha",
        Choice::Backbone => "--backbone",
        Choice::Batch => "--batch",
        Choice::Device => "--device",
        Choice::DeviceIndex => "--device-index",
        Choice::FalseReject => "--false-reject",
        Choice::Folds => "--folds",
        Choice::Fp16 => "--fp16",
        Choice::Ignore => "--ignore",
        Choice::MmPerPixel => "--mm-per-pixel",
        Choice::Zone => "--zone",
        Choice::Zones => "--zones",
        Choice::MaxMemory => "--max-memory",
        Choice::OnnxRuntime => "--onnxruntime",
        Choice::Patches => "--patches",
        Choice::PatchesBackward => "--patches-backward",
        Choice::Sheets => "--sheets",
        Choice::Sigma => "--sigma",
        Choice::SkipUnreadable => "--skip-unreadable",
        Choice::TensorRtCache => "--tensorrt-cache",
        Choice::Tf32 => "--tf32",
        Choice::Threshold => "--threshold",
        Choice::Weights => "--weights",
        _ => return None,
    })
}
