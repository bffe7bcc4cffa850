//! This module computes features with tract: pure Rust, on the CPU, wherever the program runs.

use super::depthwise;
use super::device::TRACT;
use super::identity::{Identity, TapIdentity};
use super::interface::Backbone;
use super::onnx::{check_weights, choose_taps, first_identity, read};
use super::part::Part;
use super::refusal::{loaded, require_size, unusable_model};
use crate::error::{Error, Result};
use crate::feature_map::FeatureMap;
use crate::image::NetworkImage;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tract_core::prelude::*;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::{Framework, InferenceModelExt};

/// An ONNX model that is cut down to what its taps need, and optimised for one input size.
pub struct TractBackbone {
    identity: Identity,
    plan: Arc<TypedSimplePlan>,
}

impl TractBackbone {
    /// Loads `model` with the taps of the first list in `taps` that it has. `model` holds the bytes
    /// of an ONNX file that messages call `name`.
    ///
    /// # Errors
    /// [`crate::error::Kind::Model`] where the file is no usable model, or has no such tap.
    pub fn new(
        name: &str,
        model: &[u8],
        taps: &[Vec<String>],
        height: usize,
        width: usize,
    ) -> Result<Self> {
        loaded(name, || Self::load(model, taps, height, width))
    }

    fn load(model: &[u8], taps: &[Vec<String>], height: usize, width: usize) -> Result<Self> {
        let (model, identity) = typed(model, taps, height, width)?;
        Ok(TractBackbone { identity, plan: optimised(model)? })
    }

    /// Measures how long the network's operators take for `image`. Each kind of operator has an
    /// entry: name, number, total time. This is for profiling only; [`Backbone::features`] is what
    /// runs.
    pub fn operator_times(&self, image: &NetworkImage) -> Result<Vec<(String, usize, Duration)>> {
        let mut times: BTreeMap<String, (usize, Duration)> = BTreeMap::new();
        let input = input(&self.identity, image)?;
        (|| -> TractResult<_> {
            self.plan.spawn()?.run_plan_with_eval(input, |context, state, node, inputs| {
                let start = Instant::now();
                let outputs = tract_core::plan::eval(context, state, node, inputs);
                let (count, time) = times.entry(node.op.name().to_string()).or_default();
                *count += 1;
                *time += start.elapsed();
                outputs
            })
        })()
        .map_err(failed)?;
        Ok(times.into_iter().map(|(name, (count, time))| (name, count, time)).collect())
    }
}

/// Returns a model that is cut down to its taps, and its identity. The model is not yet optimised
/// for a machine.
pub(super) fn typed(
    model: &[u8],
    taps: &[Vec<String>],
    height: usize,
    width: usize,
) -> Result<(TypedModel, Identity)> {
    let proto = read(model)?;
    let mut identity = first_identity(&proto, model, height, width)?;
    check_weights(&proto)?;
    let taps = choose_taps(&proto, taps)?;
    let (typed, sizes) = decluttered(&proto, [3, height, width], taps)?;
    for (name, [channels, height, width]) in taps.iter().zip(sizes) {
        identity.taps.push(TapIdentity {
            name: name.clone(),
            channels: channels as u32,
            height: height as u32,
            width: width as u32,
        });
    }
    Ok((typed, identity))
}

/// Returns a model with one input and some outputs, and the sizes of the outputs: channels, rows,
/// columns. The model is not yet optimised for a machine.
fn decluttered(
    proto: &ModelProto,
    [channels, height, width]: [usize; 3],
    outputs: &[String],
) -> Result<(TypedModel, Vec<[usize; 3]>)> {
    let typed = (|| -> TractResult<_> {
        let mut model = tract_onnx::onnx().model_for_proto_model(proto)?;
        model.select_outputs_by_name(outputs)?;
        model.set_input_fact(0, f32::fact([1, channels, height, width]).into())?;
        model.into_typed()?.into_decluttered()
    })()
    .map_err(|e| unusable_model(&format!("{e:#}")))?;
    let size = |(i, name): (usize, &String)| {
        let shape = typed.output_fact(i).ok().and_then(|f| f.shape.as_concrete());
        match shape {
            Some(&[1, channels, height, width]) => Ok([channels, height, width]),
            _ => Err(unusable_model(&format!("tap {name} is no map of features"))),
        }
    };
    let sizes: Vec<[usize; 3]> = outputs.iter().enumerate().map(size).collect::<Result<_>>()?;
    Ok((typed, sizes))
}

fn optimised(mut model: TypedModel) -> Result<Arc<TypedSimplePlan>> {
    (|| -> TractResult<_> {
        depthwise::replace(&mut model)?;
        model.into_optimized()?.into_runnable()
    })()
    .map_err(|e| unusable_model(&format!("{e:#}")))
}

/// A part of a network that runs in tract.
struct TractPart {
    plan: Arc<TypedSimplePlan>,
    input: [usize; 3],
    sizes: Vec<[usize; 3]>,
}

/// Makes a part of a network ready to run.
pub(super) fn load_part(
    proto: &ModelProto,
    input: [usize; 3],
    outputs: &[String],
) -> Result<Box<dyn Part>> {
    let (model, sizes) = decluttered(proto, input, outputs)?;
    Ok(Box::new(TractPart { plan: optimised(model)?, input, sizes }))
}

impl Part for TractPart {
    fn sizes(&self) -> &[[usize; 3]] {
        &self.sizes
    }

    fn run(&self, planes: &[f32]) -> Result<Vec<Vec<f32>>> {
        let [channels, height, width] = self.input;
        let input = Tensor::from_shape(&[1, channels, height, width], planes).map_err(failed)?;
        let outputs = self.plan.run(tvec!(input.into_tvalue())).map_err(failed)?;
        let values = |(output, size): (&TValue, &[usize; 3])| {
            let view = output.to_plain_array_view::<f32>().map_err(failed)?;
            let planes = view.as_slice().ok_or_else(|| Error::model("a tap is not contiguous"))?;
            match planes.len() == size.iter().product::<usize>() {
                true => Ok(planes.to_vec()),
                false => Err(Error::model("a tap changed its size")),
            }
        };
        outputs.iter().zip(&self.sizes).map(values).collect()
    }
}

/// Returns the network's input for a picture.
pub(super) fn input(id: &Identity, image: &NetworkImage) -> Result<TVec<TValue>> {
    require_size(id, image)?;
    let planes = image.normalised(id.mean, id.std);
    let input =
        Tensor::from_shape(&[1, 3, image.height(), image.width()], &planes).map_err(failed)?;
    Ok(tvec!(input.into_tvalue()))
}

/// Turns the network's outputs into maps, tap by tap.
pub(super) fn maps(id: &Identity, outputs: TVec<TValue>) -> Result<Vec<FeatureMap>> {
    id.taps
        .iter()
        .zip(outputs)
        .map(|(tap, output)| {
            let view = output.to_plain_array_view::<f32>().map_err(failed)?;
            let planes = view.as_slice().ok_or_else(|| Error::model("a tap is not contiguous"))?;
            let (channels, height, width) =
                (tap.channels as usize, tap.height as usize, tap.width as usize);
            if planes.len() != channels * height * width {
                return Err(Error::model(format!("tap {} changed its size", tap.name)));
            }
            Ok(FeatureMap::from_planes(channels, height, width, planes))
        })
        .collect()
}

pub(super) fn failed(e: TractError) -> Error {
    Error::model(format!("the backbone failed: {e:#}"))
}

impl Backbone for TractBackbone {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn extractor(&self) -> &str {
        TRACT
    }

    fn features(&self, image: &NetworkImage) -> Result<Vec<FeatureMap>> {
        let id = &self.identity;
        maps(id, self.plan.run(input(id, image)?).map_err(failed)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::bundled::{BUNDLED_NAME, MODEL};
    use super::*;

    #[test]
    fn what_is_no_model_is_refused() {
        let taps = [vec!["block2.exp".to_string()]];
        type Case<'a> = (&'a [u8], &'a [Vec<String>], usize, &'a str);
        let cases: [Case; 5] = [
            (b"", &taps, 64, "not a usable ONNX model"),
            (b"this is no ONNX file", &taps, 64, "not a usable ONNX model"),
            (&MODEL[..MODEL.len() / 2], &taps, 64, "not a usable ONNX model"),
            (MODEL, &[vec!["block99.exp".to_string()]], 64, "it has: block0.exp"),
            (MODEL, &taps, 100, "multiples of 32"),
        ];
        for (model, taps, size, want) in cases {
            let Err(error) = TractBackbone::new("m.onnx", model, taps, size, size) else {
                panic!("{want}")
            };
            assert!(error.to_string().contains(want), "{error}");
        }
    }

    #[test]
    fn the_first_list_of_taps_that_fits_is_taken_in_its_order() {
        let lists: [&[&str]; 3] =
            [&["layer1", "block2.exp"], &["block4.proj", "block2.exp"], &["block0.exp"]];
        let taps = lists.map(|list| list.iter().map(|t| t.to_string()).collect());
        let backbone = TractBackbone::new(BUNDLED_NAME, MODEL, &taps, 96, 64).expect("loads");
        let sizes: Vec<_> =
            backbone.identity().taps.iter().map(|t| (t.channels, t.height, t.width)).collect();
        assert_eq!(sizes, [(40, 12, 8), (144, 24, 16)]);
        let image = NetworkImage::from_samples(96, 64, vec![30000; 96 * 64 * 3]).expect("fits");
        let maps = backbone.features(&image).expect("runs");
        assert_eq!((maps[1].channels(), maps[1].height(), maps[1].width()), (144, 24, 16));
        assert_eq!(maps, backbone.features(&image).expect("runs"));
    }

    /// The oracle ran the same network in PyTorch in double precision (`computed_by` in the file).
    #[test]
    fn every_tap_of_the_bundled_network_agrees_with_pytorch() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/golden/backbone.json"))
                .expect("parses");
        let numbers = |v: &serde_json::Value| -> Vec<f64> {
            v.as_array().expect("list").iter().map(|n| n.as_f64().expect("number")).collect()
        };
        let taps = golden["taps"].as_array().expect("taps");
        let name = |t: &serde_json::Value| t["name"].as_str().expect("name").to_string();
        let (height, width) = (64, 96);
        let samples = (0..height * width * 3).map(|i| {
            let (x, y, c) = (i / 3 % width, i / 3 / width, i % 3);
            ((7 * x + 13 * y + 29 * c + (x * y) % 11) % 256) as u16 * 257
        });
        let image = NetworkImage::from_samples(height, width, samples.collect()).expect("fits");
        let names = vec![taps.iter().map(name).collect()];
        let backbone =
            TractBackbone::new(BUNDLED_NAME, MODEL, &names, height, width).expect("loads");
        let maps = backbone.features(&image).expect("runs");
        assert_eq!(maps.len(), 32);
        for (tap, map) in taps.iter().zip(&maps) {
            let pixel = &tap["pixel"];
            let at = |k: &str| pixel[k].as_u64().expect("number") as usize;
            let want = numbers(&pixel["first_channels"]);
            let got = &map.vector(at("y") * map.width() + at("x"))[..want.len()];
            // Our vectors have length 1, so the channels agree up to that one scale.
            let (product, square) = want
                .iter()
                .zip(got)
                .fold((0.0, 0.0), |(p, s), (w, g)| (p + w * f64::from(*g), s + w * w));
            let scale = product / square;
            let largest = want.iter().fold(0.0f64, |m, w| m.max(w.abs()));
            for (want, got) in want.iter().zip(got) {
                let off = (f64::from(*got) - scale * want).abs();
                assert!(off <= 1e-4 * scale * largest, "{}: off by {off}", name(tap));
            }
        }
    }
}
