//! The choice of what computes features, and on which device.

use crate::error::{Error, Result};
use std::path::PathBuf;

/// What the engine of [`Device::Tract`] calls itself; templates made with it name no engine.
pub const TRACT: &str = "tract";

/// What the engine of [`Device::TractCuda`] calls itself.
#[cfg(feature = "tract-cuda")]
pub const TRACT_CUDA: &str = "tract-cuda";

/// Where features are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    /// On the CPU by tract, which is part of the program.
    #[default]
    Tract,
    /// The first that can be used of [`Device::Cuda`], [`Device::Cpu`], [`Device::Tract`].
    Auto,
    /// On the CPU by ONNX Runtime.
    Cpu,
    /// On an NVIDIA GPU by ONNX Runtime.
    Cuda,
    /// On an NVIDIA GPU by TensorRT under ONNX Runtime, with CUDA for what TensorRT leaves over.
    TensorRt,
    /// On the first NVIDIA GPU by tract, with the CPU for what tract cannot do there.
    TractCuda,
}

/// A device and how it is used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Engine {
    /// The device. One that cannot be used is an error, never another device.
    pub device: Device,
    /// ONNX Runtime's shared library; `None` looks at `ORT_DYLIB_PATH`, then in the usual places.
    pub library: Option<PathBuf>,
    /// Number of the GPU.
    pub index: u32,
    /// Pictures that go through the network at once; `None` leaves it to the device.
    pub batch: Option<usize>,
    /// Whether TensorRT may compute with 16-bit numbers.
    pub fp16: bool,
    /// Folder in which TensorRT keeps the engines that it has built.
    pub engine_cache: Option<PathBuf>,
}

impl Engine {
    /// Refuses options that the device does not have.
    pub(super) fn check(&self) -> Result<()> {
        let device = self.device;
        let tract = matches!(device, Device::Tract | Device::TractCuda);
        let gpu = matches!(device, Device::Auto | Device::Cuda | Device::TensorRt);
        let stray = [
            (self.library.is_some() && tract, "--onnxruntime", "cpu, cuda, tensorrt or auto"),
            (self.batch.is_some() && tract, "--batch", "cpu, cuda, tensorrt or auto"),
            (self.index > 0 && !gpu, "--device-index", "cuda or tensorrt"),
            (self.fp16 && device != Device::TensorRt, "--fp16", "tensorrt"),
            (
                self.engine_cache.is_some() && device != Device::TensorRt,
                "--tensorrt-cache",
                "tensorrt",
            ),
        ];
        if let Some((_, option, devices)) = stray.iter().find(|(is_stray, ..)| *is_stray) {
            return Err(Error::usage(format!("{option} does nothing on this device"))
                .advise(format!("give --device {devices} beside it, or leave it out")));
        }
        match self.batch {
            Some(0 | 1025..) => Err(Error::usage("--batch must be from 1 to 1024")
                .advise("leave it out for a size that suits the device")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_the_device_does_not_have_are_refused() {
        let library = || Some("l.so".into());
        let cases = [
            (Engine { library: library(), ..Engine::default() }, Some("--onnxruntime")),
            (Engine { batch: Some(2), ..Engine::default() }, Some("--batch")),
            (Engine { index: 1, device: Device::Cpu, ..Engine::default() }, Some("--device-index")),
            (Engine { fp16: true, device: Device::Cuda, ..Engine::default() }, Some("--fp16")),
            (
                Engine { engine_cache: library(), device: Device::Auto, ..Engine::default() },
                Some("--tensorrt-cache"),
            ),
            (Engine { batch: Some(0), device: Device::Cpu, ..Engine::default() }, Some("1024")),
            (Engine { batch: Some(4), device: Device::Cpu, ..Engine::default() }, None),
            (Engine { index: 1, fp16: true, device: Device::TensorRt, ..Engine::default() }, None),
            (Engine::default(), None),
        ];
        for (engine, word) in cases {
            match (engine.check(), word) {
                (Ok(()), None) => {}
                (Err(e), Some(word)) => assert!(e.to_string().contains(word), "{e}"),
                (got, want) => panic!("{engine:?}: {got:?}, wanted {want:?}"),
            }
        }
    }
}
