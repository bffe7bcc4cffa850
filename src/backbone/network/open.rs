//! This module opens a feature extractor from an ONNX file and the choice of a device.

use super::bundled;
use super::device::{Device, ExtractorOptions, INT8, TRACT};
use super::int8::Int8Backbone;
use super::interface::{Backbone, Request};
use super::model_facts::MOST_MODEL_BYTES;
use super::tiled::{self, TiledBackbone};
use super::tract::{TractBackbone, load_part};
use crate::error::{Choice, Error, Kind, NextStep, Result};
use crate::files;
use std::borrow::Cow;
use std::sync::Arc;

/// Loads the backbone that `request` asks for, to run on the device that `extractor` asks for.
///
/// # Errors
/// [`Kind::Model`] where the model cannot be used, [`Kind::Io`] where the device cannot be used.
pub fn open(request: &Request, extractor: &ExtractorOptions) -> Result<Arc<dyn Backbone>> {
    extractor.check()?;
    let model: Cow<[u8]> = match request.model {
        None => bundled::MODEL.into(),
        Some(path) => files::read_regular(path, MOST_MODEL_BYTES, Kind::Model)?.into(),
    };
    let name = request.model.map_or(bundled::BUNDLED_NAME.into(), |p| p.display().to_string());
    let made_in_eight_bits = request.made_by == Some(INT8);
    match extractor.device {
        Device::Usual if request.made_by.is_none() => usual(&name, &model, request),
        // Another model than the template's may be one for tract. It is refused for what it is.
        Device::Usual | Device::Auto if made_in_eight_bits => usual(&name, &model, request),
        Device::Usual => tract(&name, &model, request),
        Device::Int8 => int8(&name, &model, request),
        Device::Tract => tract(&name, &model, request),
        Device::TractCuda => tract_cuda(&name, &model, request),
        Device::Auto => auto(&name, &model, request, extractor),
        _ => onnxruntime(&name, &model, request, extractor),
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

/// Computes in eight bits where that is possible, and otherwise by tract. It logs why.
fn usual(name: &str, model: &[u8], request: &Request) -> Result<Arc<dyn Backbone>> {
    let (height, width) = (request.height, request.width);
    match Int8Backbone::new(name, model, &request.taps, height, width)? {
        Ok(backbone) => Ok(Arc::new(backbone)),
        Err(why) => {
            log::info!("tract computes the features of {name}, and not int8: {why}");
            tract(name, model, request)
        }
    }
}

fn int8(name: &str, model: &[u8], request: &Request) -> Result<Arc<dyn Backbone>> {
    let (height, width) = (request.height, request.width);
    match Int8Backbone::new(name, model, &request.taps, height, width)? {
        Ok(backbone) => Ok(Arc::new(backbone)),
        Err(why) => Err(Error::model(format!("int8 cannot compute this network: {why}"))
            .within(name)
            .next(NextStep::Choose(Choice::Device, "tract".into()))),
    }
}

/// Tries one device after the other. It logs which device it takes, and why it does not take those
/// before it.
fn auto(
    name: &str,
    model: &[u8],
    request: &Request,
    extractor: &ExtractorOptions,
) -> Result<Arc<dyn Backbone>> {
    let mut reasons = Vec::new();
    let took = |backbone: &dyn Backbone, reasons: &[String]| {
        log::info!("device auto uses {}{}", backbone.extractor(), reasons.concat());
    };
    for (device, word) in [(Device::Cuda, "cuda"), (Device::Cpu, "cpu")] {
        match onnxruntime(name, model, request, &ExtractorOptions { device, ..extractor.clone() }) {
            Ok(backbone) => {
                took(backbone.as_ref(), &reasons);
                return Ok(backbone);
            }
            // If the user names a library, it must be used. Another feature extractor would be a
            // silent change.
            Err(e) if extractor.library.is_some() && device == Device::Cpu => return Err(e),
            Err(e) => reasons.push(format!("\n  not {word}: {}", e.what())),
        }
    }
    let backbone = tract(name, model, request)?;
    took(backbone.as_ref(), &reasons);
    Ok(backbone)
}

#[cfg(feature = "tract-cuda")]
fn tract_cuda(name: &str, model: &[u8], request: &Request) -> Result<Arc<dyn Backbone>> {
    Ok(Arc::new(super::tract_cuda::TractCudaBackbone::new(name, model, request)?))
}

#[cfg(not(feature = "tract-cuda"))]
fn tract_cuda(_: &str, _: &[u8], _: &Request) -> Result<Arc<dyn Backbone>> {
    Err(super::refusal::unusable_device("this program was built without tract-cuda")
        .advise("build it with its feature tract-cuda, or use the device cuda or tract"))
}

#[cfg(feature = "onnxruntime")]
fn onnxruntime(
    name: &str,
    model: &[u8],
    request: &Request,
    extractor: &ExtractorOptions,
) -> Result<Arc<dyn Backbone>> {
    Ok(Arc::new(super::onnxruntime::OnnxRuntimeBackbone::new(name, model, request, extractor)?))
}

#[cfg(not(feature = "onnxruntime"))]
fn onnxruntime(_: &str, _: &[u8], _: &Request, _: &ExtractorOptions) -> Result<Arc<dyn Backbone>> {
    Err(super::refusal::unusable_device("this program was built without ONNX Runtime")
        .advise("build it with its feature onnxruntime, or use the device tract"))
}
