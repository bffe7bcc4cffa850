//! Names what a caller can choose, so that an error can say which choice to change.

use std::fmt;

/// Names something that a caller of the library can choose, and that an error is about.
///
/// The library says it in plain words. A program uses words of its own: `hetmm` names the option of its command line,
/// and `hetmm-edge` the key of its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Choice {
    /// The weight of the forward direction.
    Alpha,
    /// The ONNX file of the backbone.
    Backbone,
    /// The number of pictures that go through the network at once.
    Batch,
    /// The feature extractor.
    Device,
    /// The number of the GPU.
    DeviceIndex,
    /// The rate of false rejects for which a threshold is set.
    FalseReject,
    /// The number of folds that are held out in turn.
    Folds,
    /// Whether TensorRT may compute with 16-bit numbers.
    Fp16,
    /// The picture of the ignored area.
    Ignore,
    /// The bytes of features to hold in memory.
    MaxMemory,
    /// The side of a pixel in millimetres.
    MmPerPixel,
    /// The shared library of ONNX Runtime.
    OnnxRuntime,
    /// The forward windows of the layers.
    Patches,
    /// The backward windows of the layers.
    PatchesBackward,
    /// The number of prototypes that a position holds.
    Sheets,
    /// The sigma of the blur of the anomaly map.
    Sigma,
    /// Whether pictures that cannot be read are left out.
    SkipUnreadable,
    /// The folder in which TensorRT keeps what it has built.
    TensorRtCache,
    /// Whether a GPU may round to TF32.
    Tf32,
    /// The threshold that the caller sets in place of one from good parts.
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
            Choice::Tf32 => "rounding to TF32",
            Choice::Threshold => "the threshold",
            Choice::Weights => "the layer weights",
            Choice::Zone => "the settings of a zone",
            Choice::Zones => "the label picture",
        })
    }
}
