//! What computes features, and the choice of it.

use super::model_facts::MOST_MODEL_BYTES;
use super::tiled::{self, TiledBackbone};
use super::tract::load_part;
use super::{Backbone, Request, TractBackbone, bundled};
use crate::error::{Error, Kind, Result};
use crate::files;
use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

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
    fn check(&self) -> Result<()> {
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

/// Loads the backbone that `request` asks for, to run on `engine`.
///
/// # Errors
/// [`Kind::Model`] where the model cannot be used, [`Kind::Io`] where the device cannot.
pub fn open(request: &Request, engine: &Engine) -> Result<Arc<dyn Backbone>> {
    engine.check()?;
    let model: Cow<[u8]> = match request.model {
        None => bundled::MODEL.into(),
        Some(path) => files::read_regular(path, MOST_MODEL_BYTES, Kind::Model)?.into(),
    };
    let name = request.model.map_or(bundled::BUNDLED_NAME.into(), |p| p.display().to_string());
    match engine.device {
        Device::Tract => tract(&name, &model, request),
        Device::TractCuda => tract_cuda(&name, &model, request),
        Device::Auto => auto(&name, &model, request, engine),
        _ => onnxruntime(&name, &model, request, engine),
    }
}

fn tract(name: &str, model: &[u8], request: &Request) -> Result<Arc<dyn Backbone>> {
    let (height, width) = (request.height, request.width);
    if height.saturating_mul(width) > tiled::WHOLE_PIXELS
        && let Some(tiled) = TiledBackbone::new(name, model, request, (TRACT, &load_part))?
    {
        return Ok(Arc::new(tiled));
    }
    Ok(Arc::new(TractBackbone::new(name, model, &request.taps, height, width)?))
}

/// Tries one device after the other, and logs which was taken and why not those before it.
fn auto(name: &str, model: &[u8], request: &Request, engine: &Engine) -> Result<Arc<dyn Backbone>> {
    let mut reasons = Vec::new();
    let took = |backbone: &dyn Backbone, reasons: &[String]| {
        log::info!("--device auto takes {}{}", backbone.engine(), reasons.concat());
    };
    for (device, word) in [(Device::Cuda, "cuda"), (Device::Cpu, "cpu")] {
        match onnxruntime(name, model, request, &Engine { device, ..engine.clone() }) {
            Ok(backbone) => {
                took(backbone.as_ref(), &reasons);
                return Ok(backbone);
            }
            // A library that was named is meant; not to use it would be a silent change of engine.
            Err(e) if engine.library.is_some() && device == Device::Cpu => return Err(e),
            Err(e) => reasons.push(format!("\n  not {word}: {}", e.what())),
        }
    }
    let backbone = tract(name, model, request)?;
    took(backbone.as_ref(), &reasons);
    Ok(backbone)
}

#[cfg(feature = "tract-cuda")]
fn tract_cuda(name: &str, model: &[u8], request: &Request) -> Result<Arc<dyn Backbone>> {
    Ok(Arc::new(super::TractCudaBackbone::new(name, model, request)?))
}

#[cfg(not(feature = "tract-cuda"))]
fn tract_cuda(_: &str, _: &[u8], _: &Request) -> Result<Arc<dyn Backbone>> {
    Err(unusable("this program was built without tract-cuda")
        .advise("build it with --features tract-cuda, or take the device cuda or tract"))
}

#[cfg(feature = "onnxruntime")]
fn onnxruntime(
    name: &str,
    model: &[u8],
    request: &Request,
    engine: &Engine,
) -> Result<Arc<dyn Backbone>> {
    Ok(Arc::new(super::OnnxRuntimeBackbone::new(name, model, request, engine)?))
}

#[cfg(not(feature = "onnxruntime"))]
fn onnxruntime(_: &str, _: &[u8], _: &Request, _: &Engine) -> Result<Arc<dyn Backbone>> {
    Err(unusable("this program was built without ONNX Runtime")
        .advise("build it with --features onnxruntime, or take the device tract"))
}

/// A device that cannot be used.
pub(super) fn unusable(why: impl Into<String>) -> Error {
    Error::new(Kind::Io, why)
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
