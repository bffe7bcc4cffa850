//! The options that choose the feature extractor.

use clap::ValueEnum;
use hetmm::backbone::{Device, ExtractorOptions};
use std::path::PathBuf;

/// The options that choose the feature extractor. Their heading holds for all options that follow them in a command.
#[derive(clap::Args, Clone, Default)]
#[command(next_help_heading = "Feature extractor")]
pub struct ExtractorArgs {
    /// What computes the features. int8 (eight bits) and tract (32 bits, any network) are part of the program. cpu,
    /// cuda and tensorrt use ONNX Runtime, which you install yourself. auto takes the first usable one of cuda, cpu
    /// and tract, and says which. tract-cuda is tract on a GPU, if the program was built with it [default: usual: what
    /// made the template; for a new template int8, or tract if int8 cannot compute the network]
    #[arg(long, value_enum, value_name = "DEVICE", hide_possible_values = true)]
    device: Option<DeviceName>,
    /// The library of ONNX Runtime, or its folder. Give it if the program does not find the library [default:
    /// $ORT_DYLIB_PATH, then the usual places]
    #[arg(long, value_name = "libonnxruntime.so")]
    onnxruntime: Option<PathBuf>,
    /// Number of the GPU, if there are several
    #[arg(long, value_name = "N", default_value_t = 0)]
    device_index: u32,
    /// Number of pictures that go through the network at once. Give fewer if the memory of the GPU is too small
    /// [default: 1 on a CPU, and up to 64 on a GPU]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Let TensorRT compute with 16-bit numbers. It changes the scores slightly: compare them before you use it
    #[arg(long)]
    fp16: bool,
    /// Let the GPU round to TF32, which is faster on GPUs that have it. It changes the scores slightly, and the check of
    /// the template says whether too much
    #[arg(long)]
    tf32: bool,
    /// Folder in which TensorRT keeps the engines that it has built [default: hetmm/tensorrt in the user's cache
    /// folder]
    #[arg(long, value_name = "DIR")]
    tensorrt_cache: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum DeviceName {
    Usual,
    Int8,
    Tract,
    Auto,
    Cpu,
    Cuda,
    Tensorrt,
    TractCuda,
}

impl ExtractorArgs {
    /// The feature extractor that these options describe.
    pub fn extractor(&self) -> ExtractorOptions {
        ExtractorOptions {
            device: match self.device {
                Some(DeviceName::Usual) | None => Device::Usual,
                Some(DeviceName::Int8) => Device::Int8,
                Some(DeviceName::Tract) => Device::Tract,
                Some(DeviceName::Auto) => Device::Auto,
                Some(DeviceName::Cpu) => Device::Cpu,
                Some(DeviceName::Cuda) => Device::Cuda,
                Some(DeviceName::Tensorrt) => Device::TensorRt,
                Some(DeviceName::TractCuda) => Device::TractCuda,
            },
            library: self.onnxruntime.clone(),
            index: self.device_index,
            batch: self.batch,
            fp16: self.fp16,
            tf32: self.tf32,
            tensorrt_cache: self.tensorrt_cache.clone(),
        }
    }
}
