//! This module cuts a model down to what its taps need.
//!
//! ONNX Runtime computes every node of a graph, even a node that no fetched output needs. So the
//! graph is cut before the runtime sees it.

use crate::backbone::network::graph::needed;
use std::collections::{HashMap, HashSet};
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension::Value};
use tract_onnx::pb::{ModelProto, TensorShapeProto, ValueInfoProto, type_proto};

/// The taps and sizes that a cut is made for.
pub struct Cut<'a> {
    /// The outputs that are kept, in this order.
    pub taps: &'a [String],
    /// The rows and columns of the input.
    pub size: (usize, usize),
    /// The number of pictures at once. More than 1 leaves the number free in the model.
    pub batch: usize,
}

/// Keeps in `model` only what `cut.taps` need, and gives its input the given size. Returns the name
/// of the input.
///
/// # Errors
/// A reason in words, where the model does not have exactly one input, or where an input or output
/// is not an array of numbers.
pub fn cut(model: &mut ModelProto, cut: &Cut) -> Result<String, String> {
    let graph = model.graph.as_mut().ok_or("it has no graph")?;
    let keep = needed(graph, cut.taps, None);
    let mut nodes = keep.nodes.iter();
    graph.node.retain(|_| nodes.next() == Some(&true));
    graph.initializer.retain(|w| keep.names.contains(&w.name));
    graph
        .sparse_initializer
        .retain(|w| w.values.as_ref().is_some_and(|values| keep.names.contains(&values.name)));
    // Other tools may have written inner shapes for another input size.
    graph.value_info.clear();

    let weights: HashSet<&str> = graph.initializer.iter().map(|w| w.name.as_str()).collect();
    graph.input.retain(|i| keep.names.contains(&i.name) && !weights.contains(i.name.as_str()));
    let [input] = &mut graph.input[..] else {
        return Err(format!("its taps need {} inputs, not one picture", graph.input.len()));
    };
    let free = |name: &str| Some(Value::DimParam(name.into()));
    let fixed = |size: usize| Some(Value::DimValue(size as i64));
    let batch = || if cut.batch > 1 { free("batch") } else { fixed(1) };
    set_shape(input, [batch(), fixed(3), fixed(cut.size.0), fixed(cut.size.1)])?;
    let name = input.name.clone();

    let mut outputs: HashMap<String, ValueInfoProto> =
        std::mem::take(&mut graph.output).into_iter().map(|o| (o.name.clone(), o)).collect();
    for tap in cut.taps {
        let mut output = outputs.remove(tap).ok_or_else(|| format!("it has no output {tap}"))?;
        set_shape(&mut output, [batch(), None, None, None])?;
        graph.output.push(output);
    }
    Ok(name)
}

/// Gives a tensor a shape. `None` is a side of unknown size.
fn set_shape(of: &mut ValueInfoProto, sides: [Option<Value>; 4]) -> Result<(), String> {
    let wrong = || format!("{} is not an array of numbers", of.name);
    let kind = of.r#type.as_mut().and_then(|t| t.value.as_mut()).ok_or_else(wrong)?;
    let type_proto::Value::TensorType(tensor) = kind;
    let dim = sides.map(|value| Dimension { value, ..Dimension::default() }).to_vec();
    tensor.shape = Some(TensorShapeProto { dim });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::network::bundled::MODEL;
    use prost::Message;
    use tract_onnx::pb::GraphProto;

    #[test]
    fn the_network_ends_at_its_deepest_tap() {
        let nodes = |taps: &[&str]| {
            let taps: Vec<String> = taps.iter().map(|t| t.to_string()).collect();
            let mut model = ModelProto::decode(MODEL).expect("parses");
            let input = cut(&mut model, &Cut { taps: &taps, size: (64, 96), batch: 1 });
            assert_eq!(input.as_deref(), Ok("image"));
            let graph = model.graph.expect("a graph");
            let outputs: Vec<_> = graph.output.iter().map(|o| o.name.clone()).collect();
            assert_eq!(outputs, taps);
            (graph.node.len(), graph.initializer.len())
        };
        // The stem has a convolution and its clip; block 0 has a depthwise convolution and its
        // clip.
        assert_eq!(nodes(&["block0.exp"]), (4, 4 + 2));
        // The order of the taps is kept, and the shallower tap adds no nodes.
        let deep = nodes(&["block4.exp"]);
        assert_eq!(nodes(&["block4.exp", "block1.proj"]), deep);
        let whole = ModelProto::decode(MODEL).expect("parses").graph.expect("a graph").node.len();
        assert_eq!(nodes(&["block15.proj"]).0, whole);
        assert!(deep.0 < whole / 2);
    }

    #[test]
    fn what_has_no_picture_as_input_is_refused() {
        let taps = ["block0.exp".to_string()];
        let cut_of = |spoil: fn(&mut GraphProto)| {
            let mut model = ModelProto::decode(MODEL).expect("parses");
            spoil(model.graph.as_mut().expect("a graph"));
            cut(&mut model, &Cut { taps: &taps, size: (64, 64), batch: 1 }).expect_err("refused")
        };
        assert!(cut_of(|g| g.input.clear()).contains("0 inputs"));
        assert!(cut_of(|g| g.input[0].r#type = None).contains("not an array"));
        assert!(cut_of(|g| g.output.clear()).contains("no output block0.exp"));
    }
}
