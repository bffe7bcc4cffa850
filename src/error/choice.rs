//! What a caller can choose, so that an error can say which choice to change.

use std::fmt;

/// Something that a caller of the library can choose, and that an error is about.
///
/// The library says it in plain words. A program says it in its own: `hetmm` names the option of its command line,
/// `hetmm-edge` the key of its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Choice {
    /// The weight of the forward direction.
    Alpha,
    /// The ONNX file of the backbone.
    Backbone,
    /// How many pictures go through the network at once.
    Batch,
    /// The device that computes features.
    Device,
    /// The number of the GPU.
    DeviceIndex,
    /// The rate of false rejects that a threshold is set for.
    FalseReject,
    /// How many times a share of the pictures is held out.
    Folds,
    /// Whether TensorRT may compute with 16-bit numbers.
    Fp16,
    /// The picture of what does not count.
    Ignore,
    /// Bytes of features to hold in memory.
    MaxMemory,
    /// The side of a pixel in millimetres.
    MmPerPixel,
    /// The shared library of ONNX Runtime.
    OnnxRuntime,
    /// Forward windows of the layers.
    Patches,
    /// Backward windows of the layers.
    PatchesBackward,
    /// How many prototypes a position holds.
    Sheets,
    /// The blur of the anomaly map.
    Sigma,
    /// Whether pictures that cannot be read are left out.
    SkipUnreadable,
    /// The folder in which TensorRT keeps what it has built.
    TensorRtCache,
    /// The threshold that is given in place of one from good parts.
    Threshold,
    /// The weights of the layers.
    Weights,
    /// The settings of a zone.
    Zone,
    /// The label picture of the zones.
    Zones,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Choice::Alpha => "alpha",
            Choice::Backbone => "the backbone file",
            Choice::Batch => "the batch size",
            Choice::Device => "the device",
            Choice::DeviceIndex => "the number of the GPU",
            Choice::FalseReject => "the rate of false rejects",
            Choice::Folds => "the number of folds",
            Choice::Fp16 => "16-bit numbers",
            Choice::Ignore => "the picture of what is ignored",
            Choice::MaxMemory => "the memory for features",
            Choice::MmPerPixel => "the size of a pixel",
            Choice::OnnxRuntime => "ONNX Runtime's library",
            Choice::Patches => "the forward windows",
            Choice::PatchesBackward => "the backward windows",
            Choice::Sheets => "the number of sheets",
            Choice::Sigma => "sigma",
            Choice::SkipUnreadable => "skipping unreadable pictures",
            Choice::TensorRtCache => "TensorRT's cache folder",
            Choice::Threshold => "the threshold",
            Choice::Weights => "the layer weights",
            Choice::Zone => "the settings of a zone",
            Choice::Zones => "the label picture",
        })
    }
}
