//! This module describes which feature extractor computes features, and on which device.

use crate::error::{Choice, Error, NextStep, Result};
use std::path::PathBuf;
use std::str::FromStr;

/// The name that the feature extractor of [`Device::Tract`] gives itself. Templates made with it
/// name no feature extractor.
pub const TRACT: &str = "tract";

/// The name that the feature extractor of [`Device::TractCuda`] gives itself.
#[cfg(feature = "tract-cuda")]
pub const TRACT_CUDA: &str = "tract-cuda";

/// The name that the feature extractor of [`Device::Int8`] gives itself.
pub const INT8: &str = "int8";

/// The device that computes features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    /// The program takes what the template was made with: [`Device::Int8`] or [`Device::Tract`]. A
    /// new template is made with [`Device::Int8`] if that can compute the network, and otherwise
    /// with [`Device::Tract`].
    #[default]
    Usual,
    /// The program's own executor computes in eight bits on the CPU.
    Int8,
    /// tract computes in 32 bits on the CPU. It is part of the program.
    Tract,
    /// The program takes the first of [`Device::Cuda`], [`Device::Cpu`], [`Device::Tract`] that it
    /// can use. For a template that was made in eight bits, it takes [`Device::Int8`].
    Auto,
    /// ONNX Runtime computes on the CPU.
    Cpu,
    /// ONNX Runtime computes on an NVIDIA GPU.
    Cuda,
    /// TensorRT computes on an NVIDIA GPU under ONNX Runtime. CUDA computes what TensorRT cannot.
    TensorRt,
    /// tract computes on the first NVIDIA GPU. The CPU computes what tract cannot compute there.
    TractCuda,
}

/// The devices, with the names by which callers choose them.
const NAMES: [(&str, Device); 8] = [
    ("usual", Device::Usual),
    ("int8", Device::Int8),
    ("tract", Device::Tract),
    ("cpu", Device::Cpu),
    ("cuda", Device::Cuda),
    ("tensorrt", Device::TensorRt),
    ("tract-cuda", Device::TractCuda),
    ("auto", Device::Auto),
];

impl Device {
    /// Returns the name by which callers choose the device.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, device)| *device == self).map_or("", |(name, _)| name)
    }
}

impl FromStr for Device {
    type Err = Error;

    /// Reads a device's name.
    ///
    /// # Errors
    /// Returns [`crate::error::Kind::Usage`] if no device has this name.
    fn from_str(name: &str) -> Result<Self> {
        let found = NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, device)| *device).ok_or_else(|| {
            let known = NAMES.map(|(known, _)| known).join(", ");
            Error::usage(format!("no device is called {name:?}"))
                .next(NextStep::Choose(Choice::Device, format!("one of {known}").into()))
        })
    }
}

/// A device and the options for its use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExtractorOptions {
    /// The device. If it cannot be used, that is an error, and no other device is tried.
    pub device: Device,
    /// The path of ONNX Runtime's shared library. `None` looks at `ORT_DYLIB_PATH`, then in the
    /// usual places.
    pub library: Option<PathBuf>,
    /// The number of the GPU, from 0.
    pub index: u32,
    /// How many pictures go through the network at once. `None` leaves the number to the device.
    pub batch: Option<usize>,
    /// Whether TensorRT may compute with 16-bit numbers.
    pub fp16: bool,
    /// Whether a GPU may round factors to TF32, which has 10 bits behind the point. It adds up in 32 bits.
    pub tf32: bool,
    /// The folder in which TensorRT keeps the engines that it has built.
    pub tensorrt_cache: Option<PathBuf>,
}

impl ExtractorOptions {
    /// Refuses options that the device does not have.
    pub(super) fn check(&self) -> Result<()> {
        let device = self.device;
        let own =
            matches!(device, Device::Usual | Device::Int8 | Device::Tract | Device::TractCuda);
        let gpu = matches!(device, Device::Auto | Device::Cuda | Device::TensorRt);
        let by_onnxruntime = "cpu, cuda, tensorrt or auto";
        let stray = [
            (self.library.is_some() && own, Choice::OnnxRuntime, by_onnxruntime),
            (self.batch.is_some() && own, Choice::Batch, by_onnxruntime),
            (self.index > 0 && !gpu, Choice::DeviceIndex, "cuda or tensorrt"),
            (self.fp16 && device != Device::TensorRt, Choice::Fp16, "tensorrt"),
            (self.tf32 && !gpu, Choice::Tf32, "cuda or tensorrt"),
            (
                self.tensorrt_cache.is_some() && device != Device::TensorRt,
                Choice::TensorRtCache,
                "tensorrt",
            ),
        ];
        if let Some((_, choice, devices)) = stray.iter().find(|(is_stray, ..)| *is_stray) {
            return Err(Error::choice(*choice, "does nothing on this device").next(
                NextStep::OneOf(vec![
                    NextStep::Choose(Choice::Device, (*devices).into()),
                    NextStep::LeaveOut(*choice),
                ]),
            ));
        }
        match self.batch {
            Some(0 | 1025..) => Err(Error::choice(Choice::Batch, "must be from 1 to 1024")
                .advise("leave it out for a size that suits the device")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_has_a_name_that_is_read_again() {
        for (name, device) in NAMES {
            assert_eq!((device.name(), name.parse::<Device>().ok()), (name, Some(device)));
        }
        for wrong in ["", "Tract", "abacus", "tract "] {
            let error = wrong.parse::<Device>().expect_err("no device");
            assert!(error.to_string().contains("tract-cuda"), "{error}");
        }
    }

    #[test]
    fn options_that_the_device_does_not_have_are_refused() {
        let library = || Some("l.so".into());
        let cases = [
            (
                ExtractorOptions { library: library(), ..ExtractorOptions::default() },
                Some("ONNX Runtime's library"),
            ),
            (
                ExtractorOptions { batch: Some(2), ..ExtractorOptions::default() },
                Some("batch size"),
            ),
            (
                ExtractorOptions { index: 1, device: Device::Cpu, ..ExtractorOptions::default() },
                Some("number of the GPU"),
            ),
            (
                ExtractorOptions {
                    fp16: true,
                    device: Device::Cuda,
                    ..ExtractorOptions::default()
                },
                Some("16-bit"),
            ),
            (
                ExtractorOptions { tf32: true, device: Device::Cpu, ..ExtractorOptions::default() },
                Some("TF32"),
            ),
            (
                ExtractorOptions {
                    tf32: true,
                    device: Device::Cuda,
                    ..ExtractorOptions::default()
                },
                None,
            ),
            (
                ExtractorOptions {
                    tensorrt_cache: library(),
                    device: Device::Auto,
                    ..ExtractorOptions::default()
                },
                Some("cache folder"),
            ),
            (
                ExtractorOptions {
                    batch: Some(0),
                    device: Device::Cpu,
                    ..ExtractorOptions::default()
                },
                Some("1024"),
            ),
            (
                ExtractorOptions {
                    batch: Some(4),
                    device: Device::Cpu,
                    ..ExtractorOptions::default()
                },
                None,
            ),
            (
                ExtractorOptions {
                    index: 1,
                    fp16: true,
                    device: Device::TensorRt,
                    ..ExtractorOptions::default()
                },
                None,
            ),
            (ExtractorOptions::default(), None),
        ];
        for (extractor, word) in cases {
            match (extractor.check(), word) {
                (Ok(()), None) => {}
                (Err(e), Some(word)) => assert!(e.to_string().contains(word), "{e}"),
                (got, want) => panic!("{extractor:?}: {got:?}, wanted {want:?}"),
            }
        }
    }
}
