//! Models: what every feature extractor reads first, the cut for ONNX Runtime, and the reader of the network in eight bits.

use hetmm::backbone::{Int8Backbone, cut_of, read_for};
use prost::Message;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension::Value};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, attribute_proto::AttributeType, type_proto,
};

/// The sides of the input.
const SIDE: usize = 32;

fn taps() -> Vec<Vec<String>> {
    vec![vec!["deep".into(), "flat".into()], vec!["flat".into()]]
}

pub fn run(input: &[u8]) {
    let size = (SIDE, SIDE);
    if let Ok((identity, chosen)) = read_for(input, &taps(), size) {
        assert!(!chosen.is_empty() && identity.height == SIDE as u32);
    }
    if let Ok(mut model) = ModelProto::decode(input) {
        for taps in taps() {
            if cut_of(&mut model, &taps, size, 1).is_ok() {
                let graph = model.graph.as_ref().expect("it was cut");
                assert_eq!(graph.output.len(), taps.len());
                assert_eq!(graph.input.len(), 1);
            }
        }
    }
    let _ = Int8Backbone::new("model", input, &taps(), SIDE, SIDE);
}

fn value(name: &str, sides: &[i64]) -> ValueInfoProto {
    let dim = sides
        .iter()
        .map(|side| Dimension { value: Some(Value::DimValue(*side)), ..Dimension::default() });
    let tensor =
        type_proto::Tensor { elem_type: 1, shape: Some(TensorShapeProto { dim: dim.collect() }) };
    let kind =
        TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.into(), r#type: Some(kind), ..ValueInfoProto::default() }
}

fn weights(name: &str, dims: &[i64]) -> TensorProto {
    let count = dims.iter().product::<i64>() as u32;
    let raw_data =
        (0..count).flat_map(|i| ((i * 37 % 19) as f32 / 9.0 - 1.0).to_le_bytes()).collect();
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: 1,
        raw_data,
        ..TensorProto::default()
    }
}

fn node(op: &str, input: &[&str], output: &str, numbers: &[(&str, &[i64])]) -> NodeProto {
    let attribute = |(name, ints): &(&str, &[i64])| AttributeProto {
        name: (*name).into(),
        r#type: AttributeType::Ints as i32,
        ints: ints.to_vec(),
        ..AttributeProto::default()
    };
    NodeProto {
        op_type: op.into(),
        input: input.iter().map(|name| (*name).into()).collect(),
        output: vec![output.into()],
        attribute: numbers.iter().map(attribute).collect(),
        ..NodeProto::default()
    }
}

/// A network of a convolution, a limit, a depthwise and a 1x1 convolution.
fn small() -> ModelProto {
    let group = |number| AttributeProto {
        name: "group".into(),
        r#type: AttributeType::Int as i32,
        i: number,
        ..AttributeProto::default()
    };
    let mut depthwise = node(
        "Conv",
        &["flat", "w1", "b1"],
        "wide",
        &[("kernel_shape", &[3, 3]), ("pads", &[1; 4]), ("strides", &[1, 1])],
    );
    depthwise.attribute.push(group(8));
    let graph = GraphProto {
        name: "small".into(),
        node: vec![
            node(
                "Conv",
                &["image", "w0", "b0"],
                "stem",
                &[("kernel_shape", &[3, 3]), ("pads", &[0, 0, 1, 1]), ("strides", &[2, 2])],
            ),
            node("Clip", &["stem", "least", "most"], "flat", &[]),
            depthwise,
            node("Clip", &["wide", "least", "most"], "wide6", &[]),
            node("Conv", &["wide6", "w2", "b2"], "deep", &[("kernel_shape", &[1, 1])]),
        ],
        initializer: vec![
            weights("w0", &[8, 3, 3, 3]),
            weights("b0", &[8]),
            weights("w1", &[8, 1, 3, 3]),
            weights("b1", &[8]),
            weights("w2", &[4, 8, 1, 1]),
            weights("b2", &[4]),
            TensorProto {
                name: "least".into(),
                data_type: 1,
                raw_data: 0f32.to_le_bytes().into(),
                ..TensorProto::default()
            },
            TensorProto {
                name: "most".into(),
                data_type: 1,
                raw_data: 6f32.to_le_bytes().into(),
                ..TensorProto::default()
            },
        ],
        input: vec![value("image", &[1, 3, 32, 32])],
        output: vec![value("flat", &[1, 8, 16, 16]), value("deep", &[1, 4, 16, 16])],
        ..GraphProto::default()
    };
    let entry =
        |key: &str, value: &str| StringStringEntryProto { key: key.into(), value: value.into() };
    let metadata = [
        ("hetmm.name", "small"),
        ("hetmm.multiple", "16"),
        ("hetmm.mean", "0.5,0.5,0.5"),
        ("hetmm.std", "0.25,0.25,0.25"),
        ("hetmm.attention_heads", "0"),
        ("hetmm.ranges", "deep:-40:40"),
    ];
    ModelProto {
        ir_version: 7,
        graph: Some(graph),
        metadata_props: metadata.iter().map(|(key, value)| entry(key, value)).collect(),
        ..ModelProto::default()
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let (whole, mut plain) = (small(), small());
    plain.metadata_props.clear();
    plain.graph.iter_mut().for_each(|graph| graph.node.truncate(2));
    vec![whole.encode_to_vec(), plain.encode_to_vec()]
}
