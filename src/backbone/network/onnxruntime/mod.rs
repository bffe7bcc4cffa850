//! This module computes features with ONNX Runtime, which is quicker than tract on many CPUs, and
//! also runs on NVIDIA GPUs.
//!
//! The program does not link to ONNX Runtime. [`library`] loads the shared library that the user
//! has, [`cut`] keeps in the model what the taps need, and [`sessions`] runs it. A device that
//! cannot be used is an error, and nothing falls back to another device.

mod cut;
mod library;
mod sessions;

use super::device::{Device, ExtractorOptions};
use super::identity::{Identity, TapIdentity};
use super::interface::{Backbone, Request};
use super::onnx::{check_weights, choose_taps, first_identity};
use super::refusal::unusable_model;
use crate::error::{Choice, Error, Kind, NextStep, Result};
use crate::feature_map::FeatureMap;
use crate::image::NetworkImage;
use cut::Cut;
use ort::session::{Session, SessionOutputs};
use ort::value::TensorRef;
use prost::Message;
use sessions::{Recipe, Sessions};
use tract_onnx::pb::ModelProto;

/// Cuts a model down to what `taps` need, as before ONNX Runtime sees it. The fuzz targets call it.
///
/// # Errors
/// As [`cut::cut`].
#[cfg(fuzzing)]
pub fn cut_of(
    model: &mut ModelProto,
    taps: &[String],
    size: (usize, usize),
    batch: usize,
) -> std::result::Result<String, String> {
    cut::cut(model, &Cut { taps, size, batch })
}

/// The number of pictures at once on a GPU, for an input of 256 x 256. It is smaller where the
/// input is larger.
const GPU_BATCH: usize = 16;

/// An ONNX model that is cut down to what its taps need and runs in ONNX Runtime.
pub struct OnnxRuntimeBackbone {
    identity: Identity,
    extractor: String,
    sessions: Sessions,
}

impl OnnxRuntimeBackbone {
    /// Loads `model` onto the device that `extractor` asks for, and runs it once. `model` holds the
    /// bytes of an ONNX file that messages call `name`.
    ///
    /// # Errors
    /// [`crate::error::Kind::Io`] where the library or the device cannot be used,
    /// [`crate::error::Kind::Model`] where the model cannot be used.
    pub fn new(
        name: &str,
        model: &[u8],
        request: &Request,
        extractor: &ExtractorOptions,
    ) -> Result<Self> {
        let version = library::load(extractor.library.as_deref())?;
        let (height, width) = (request.height, request.width);
        let within = |e: Error| if e.kind() == Kind::Model { e.within(name) } else { e };
        let mut proto =
            ModelProto::decode(model).map_err(|e| within(unusable_model(&e.to_string())))?;
        check_weights(&proto).map_err(within)?;
        let taps = choose_taps(&proto, &request.taps).map_err(within)?;
        let mut identity = first_identity(&proto, model, height, width).map_err(within)?;

        let gpu_batch = (GPU_BATCH * 256 * 256 / (height * width)).clamp(1, 64);
        let batch = match extractor.device {
            Device::Cpu => extractor.batch.unwrap_or(1),
            _ => extractor.batch.unwrap_or(gpu_batch),
        };
        let input = cut::cut(&mut proto, &Cut { taps, size: (height, width), batch })
            .map_err(|why| within(unusable_model(&why)))?;
        let words = words(extractor, &version);
        let recipe = Recipe {
            model: proto.encode_to_vec(),
            input,
            size: (height, width),
            batch,
            extractor: extractor.clone(),
            version,
        };
        drop(proto);
        let sessions = Sessions::new(recipe).map_err(within)?;
        // A first run checks that the device works, and tells how large the maps of the taps are.
        let black = vec![0.0; 3 * height * width];
        identity.taps = sessions
            .with(|session| {
                run(session, sessions.recipe(), 1, &black, |outputs| {
                    let sizes: Vec<TapIdentity> =
                        taps.iter().map(|tap| size_of(tap, outputs)).collect::<Result<_>>()?;
                    sizes.iter().try_for_each(|tap| map_of(tap, 0, outputs).map(drop))?;
                    Ok(sizes)
                })
            })
            .map_err(within)?;
        Ok(OnnxRuntimeBackbone { identity, extractor: words, sessions })
    }
}

impl Backbone for OnnxRuntimeBackbone {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn extractor(&self) -> &str {
        &self.extractor
    }

    fn features(&self, image: &NetworkImage) -> Result<Vec<FeatureMap>> {
        let mut maps = self.features_of_batch(&[image])?;
        maps.pop().ok_or_else(|| Error::model("the backbone gave nothing"))
    }

    fn batch(&self) -> usize {
        self.sessions.recipe().batch
    }

    fn features_of_batch(&self, images: &[&NetworkImage]) -> Result<Vec<Vec<FeatureMap>>> {
        let id = &self.identity;
        let (height, width) = (id.height as usize, id.width as usize);
        let mut planes = Vec::with_capacity(images.len() * 3 * height * width);
        for image in images {
            if (image.height(), image.width()) != (height, width) {
                let (h, w) = (image.height(), image.width());
                return Err(Error::model(format!(
                    "a picture of {h}x{w} for an input of {height}x{width}"
                )));
            }
            planes.extend(image.normalised(id.mean, id.std));
        }
        self.sessions.with(|session| {
            run(session, self.sessions.recipe(), images.len(), &planes, |outputs| {
                (0..images.len())
                    .map(|i| id.taps.iter().map(|tap| map_of(tap, i, outputs)).collect())
                    .collect()
            })
        })
    }
}

/// Names the feature extractor and its device, as they go into templates.
fn words(extractor: &ExtractorOptions, version: &str) -> String {
    let device = match extractor.device {
        Device::TensorRt if extractor.fp16 => "tensorrt fp16",
        Device::TensorRt => "tensorrt",
        Device::Cuda => "cuda",
        _ => "cpu",
    };
    let tf32 = if extractor.tf32 { " tf32" } else { "" };
    format!("onnxruntime {version} {device}{tf32}")
}

/// Runs the network on `planes`, the input of `count` pictures, and hands the outputs to `read`.
fn run<T>(
    session: &mut Session,
    recipe: &Recipe,
    count: usize,
    planes: &[f32],
    read: impl FnOnce(&SessionOutputs) -> Result<T>,
) -> Result<T> {
    let failed = |e: ort::Error| {
        let error = Error::model(format!("the backbone failed in ONNX Runtime: {e}"));
        if count > 1 {
            error.next(NextStep::Choose(Choice::Batch, "a smaller number".into()))
        } else {
            error
        }
    };
    let shape = [count, 3, recipe.size.0, recipe.size.1];
    let input = TensorRef::from_array_view((shape, planes)).map_err(failed)?;
    let outputs = session.run(ort::inputs![recipe.input.as_str() => input]).map_err(failed)?;
    read(&outputs)
}

/// Returns the values of a tap, and the sizes of one picture's map: channels, rows, columns.
fn tap_of<'a>(name: &str, outputs: &'a SessionOutputs) -> Result<(&'a [f32], [usize; 3])> {
    let output =
        outputs.get(name).ok_or_else(|| unusable_model(&format!("tap {name} is not given")))?;
    let (shape, values) = output
        .try_extract_tensor::<f32>()
        .map_err(|e| unusable_model(&format!("tap {name} is no map of features: {e}")))?;
    match shape[..] {
        [_, channels, height, width] if channels > 0 && height > 0 && width > 0 => {
            Ok((values, [channels as usize, height as usize, width as usize]))
        }
        _ => Err(unusable_model(&format!("tap {name} is no map of features"))),
    }
}

fn size_of(name: &str, outputs: &SessionOutputs) -> Result<TapIdentity> {
    let (_, [channels, height, width]) = tap_of(name, outputs)?;
    Ok(TapIdentity {
        name: name.into(),
        channels: channels as u32,
        height: height as u32,
        width: width as u32,
    })
}

/// Returns the map of picture `index` at `tap`. Values that are not finite are a failure of the
/// feature extractor.
fn map_of(tap: &TapIdentity, index: usize, outputs: &SessionOutputs) -> Result<FeatureMap> {
    let (values, sizes) = tap_of(&tap.name, outputs)?;
    let [channels, height, width] = sizes;
    let length = channels * height * width;
    let changed = || Error::model(format!("tap {} changed its size", tap.name));
    if sizes.map(|s| s as u32) != [tap.channels, tap.height, tap.width] {
        return Err(changed());
    }
    let planes = values.get(index * length..(index + 1) * length).ok_or_else(changed)?;
    // This is the largest bit pattern without the sign. It is that of infinity, or above, where a
    // value is infinite or not a number.
    let largest = planes.iter().fold(0, |largest, v| largest.max(v.to_bits() & 0x7fff_ffff));
    if largest >= f32::INFINITY.to_bits() {
        let why = format!("the backbone gave values that are no numbers, at tap {}", tap.name);
        return Err(Error::model(why)
            .advise("16-bit numbers end at 65504: leave them out, or use another device"));
    }
    Ok(FeatureMap::from_planes(channels, height, width, planes))
}
