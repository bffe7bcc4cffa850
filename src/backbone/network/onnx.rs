//! This module reads what every feature extractor needs from an ONNX file: identity, weights and
//! taps.

use super::identity::Identity;
use super::model_facts::{ModelFacts, metadata};
use super::refusal::unusable_model;
use crate::error::{Error, Result};
use std::collections::{HashMap, HashSet};
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::Framework;

/// ImageNet's preprocessing, for a model that does not state its own.
const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];
/// The name of a model that does not state its own.
const UNNAMED: &str = "unnamed model";

/// Reads the model from the bytes of an ONNX file.
pub(super) fn read(model: &[u8]) -> Result<ModelProto> {
    let onnx = tract_onnx::onnx();
    onnx.proto_model_for_read(&mut &model[..]).map_err(|e| unusable_model(&e.to_string()))
}

/// Returns the identity of a network without its taps.
///
/// # Errors
/// As [`ModelFacts::check_size`]; [`crate::error::Kind::Model`] where the metadata make no sense.
pub(super) fn first_identity(
    proto: &ModelProto,
    model: &[u8],
    height: usize,
    width: usize,
) -> Result<Identity> {
    let metadata = metadata(proto);
    let facts = ModelFacts::of_metadata(&metadata)?;
    facts.check_size(height, width)?;
    Ok(Identity {
        name: facts.name.unwrap_or_else(|| UNNAMED.into()),
        digest: blake3::hash(model).into(),
        height: height as u32,
        width: width as u32,
        mean: triple(&metadata, "hetmm.mean")?.unwrap_or(IMAGENET_MEAN),
        std: triple(&metadata, "hetmm.std")?.unwrap_or(IMAGENET_STD),
        taps: Vec::new(),
    })
}

/// Reads what every feature extractor reads of a model before it computes: the identity without taps, and the taps that
/// are chosen of `lists`. The fuzz targets call it.
///
/// # Errors
/// As [`first_identity`], [`check_weights`] and [`choose_taps`].
#[cfg(fuzzing)]
pub fn read_for(
    model: &[u8],
    lists: &[Vec<String>],
    (height, width): (usize, usize),
) -> Result<(Identity, Vec<String>)> {
    let proto = read(model)?;
    let identity = first_identity(&proto, model, height, width)?;
    check_weights(&proto)?;
    Ok((identity, choose_taps(&proto, lists)?.to_vec()))
}

/// The largest weight that is accepted. The squares of larger products overflow a 32-bit number.
const LARGEST_WEIGHT: f32 = 1e18;

/// Refuses weights that are too large, infinite or not a number, as a failed export leaves them. A
/// check of the features would not find them: an activation with a limit turns them into ordinary
/// numbers that mean next to nothing.
pub(super) fn check_weights(proto: &ModelProto) -> Result<()> {
    const FLOAT: i32 = 1;
    let nodes = proto.graph.iter().flat_map(|graph| &graph.node);
    let weighs = |op: &str| matches!(op, "Conv" | "Gemm" | "MatMul");
    let names: HashSet<&str> = nodes
        .filter(|node| weighs(&node.op_type))
        .filter_map(|node| node.input.get(1).map(String::as_str))
        .collect();
    let sound = |value: f32| value.abs() <= LARGEST_WEIGHT;
    for weights in proto.graph.iter().flat_map(|graph| &graph.initializer) {
        if weights.data_type != FLOAT || !names.contains(weights.name.as_str()) {
            continue;
        }
        let raw = weights.raw_data.chunks_exact(4);
        let mut values = raw
            .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
            .chain(weights.float_data.iter().copied());
        if let Some(value) = values.find(|&value| !sound(value)) {
            return Err(Error::model(format!(
                "the model's weights {} hold the value {value:e}",
                weights.name
            ))
            .advise("export the model again, in 32 bits, and check it before it is used"));
        }
    }
    Ok(())
}

/// Returns the first list whose taps are all outputs of the model.
pub(super) fn choose_taps<'a>(
    proto: &ModelProto,
    lists: &'a [Vec<String>],
) -> Result<&'a [String]> {
    let outputs: Vec<&str> =
        proto.graph.iter().flat_map(|g| &g.output).map(|o| o.name.as_str()).collect();
    if outputs.is_empty() {
        return Err(unusable_model("it has no outputs"));
    }
    let it_has = format!("it has: {}", outputs.join(", "));
    let has = |tap: &&String| outputs.contains(&tap.as_str());
    if let Some(list) = lists.iter().find(|list| !list.is_empty() && list.iter().all(|t| has(&t))) {
        return Ok(list);
    }
    match lists.iter().flatten().find(|tap| !has(tap)) {
        Some(missing) => {
            Err(Error::model(format!("the model has no tap called {missing}")).advise(it_has))
        }
        None => Err(Error::usage("no taps given").advise(it_has)),
    }
}

/// Reads three numbers, one per colour, from the metadata `key`.
fn triple(metadata: &HashMap<&str, &str>, key: &str) -> Result<Option<[f32; 3]>> {
    let Some(text) = metadata.get(key) else { return Ok(None) };
    let numbers: Vec<f32> = text.split(',').filter_map(|n| n.trim().parse().ok()).collect();
    match numbers[..] {
        [r, g, b] if numbers.iter().all(|n| n.is_finite()) => Ok(Some([r, g, b])),
        _ => Err(unusable_model(&format!("its metadata {key} is not three numbers: {text}"))),
    }
}
