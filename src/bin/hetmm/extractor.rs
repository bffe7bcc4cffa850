//! Options that say where features are computed.

use clap::ValueEnum;
use hetmm::backbone::{Device, ExtractorOptions};
use std::path::PathBuf;

/// Where features are computed.
#[derive(clap::Args, Clone, Default)]
#[command(next_help_heading = "Feature extractor")]
pub struct ExtractorArgs {
    /// Where features are computed: tract is part of the program; cpu, cuda and tensorrt are ONNX
    /// Runtime's; auto takes cuda, cpu or tract, whichever can be used first, and says so; tract-cuda
    /// is tract on a GPU, where the program was built with it [default: tract]
    #[arg(long, value_enum, value_name = "DEVICE", hide_possible_values = true)]
    device: Option<DeviceName>,
    /// ONNX Runtime's library, or its folder [default: $ORT_DYLIB_PATH, then the usual places]
    #[arg(long, value_name = "libonnxruntime.so")]
    onnxruntime: Option<PathBuf>,
    /// Number of the GPU
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    device_index: u32,
    /// Pictures that go through the network at once [default: 1 on a CPU, on a GPU up to 64 by size]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Let TensorRT compute with 16-bit numbers
    #[arg(long)]
    fp16: bool,
    /// Where TensorRT keeps the engines it has built [default: hetmm/tensorrt in the user's cache]
    #[arg(long, value_name = "DIR")]
    tensorrt_cache: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum DeviceName {
    Tract,
    Auto,
    Cpu,
    Cuda,
    Tensorrt,
    TractCuda,
}

impl ExtractorArgs {
    /// The feature extractor they describe.
    pub fn extractor(&self) -> ExtractorOptions {
        ExtractorOptions {
            device: match self.device {
                Some(DeviceName::Tract) | None => Device::Tract,
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
            tensorrt_cache: self.tensorrt_cache.clone(),
        }
    }
}
