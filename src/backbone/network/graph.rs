//! This module finds where a network can be cut in two, and how far its inner maps see.
//!
//! A value in a network of convolutions depends on a window of the picture, which is called its
//! *reach*. The first layers have large maps and a short reach. The last layers have small maps and
//! a reach of hundreds of pixels. [`plan`] finds the place where a single value carries everything
//! on, and where its map has at most a 64th of the picture's pixels. The part before that place can
//! be computed by tiles with a small overlap (`tiled`). The part after it takes little memory as a
//! whole.

use std::collections::{HashMap, HashSet};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, ValueInfoProto,
    type_proto,
};

/// The smallest stride of the map at the cut along each side, in pixels.
const LEAST_STRIDE: usize = 8;
/// ONNX's number for the type of 32-bit floating-point values.
const FLOAT: i32 = 1;

/// The pixels that a position of a map depends on, along one side. Position `i` depends on the
/// pixels from `i * stride - before` to `i * stride + after`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reach {
    /// The number of pixels from one position to the next.
    pub stride: usize,
    /// The number of pixels before the position's own.
    pub before: usize,
    /// The number of pixels after the position's own.
    pub after: usize,
}

impl Reach {
    const PICTURE: Reach = Reach { stride: 1, before: 0, after: 0 };

    /// Returns the reach behind a window that slides over a map with this reach.
    fn through(self, window: Window) -> Reach {
        let Reach { stride, before, after } = self;
        Reach {
            stride: stride * window.stride,
            before: before + stride * window.before,
            after: after + stride * window.after,
        }
    }

    /// Returns the reach of an operator that takes both inputs, or `None` where their positions
    /// differ.
    fn joined(self, other: Reach) -> Option<Reach> {
        (self.stride == other.stride).then_some(Reach {
            stride: self.stride,
            before: self.before.max(other.before),
            after: self.after.max(other.after),
        })
    }
}

/// The window of a convolution or pooling, along one side.
#[derive(Clone, Copy)]
struct Window {
    stride: usize,
    before: usize,
    after: usize,
}

/// A value of a network, and its reach along rows and along columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value {
    pub name: String,
    pub reach: [Reach; 2],
}

/// A network in two parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The taps before the cut. The value at the cut is never among them, even where it is a tap.
    pub near: Vec<Value>,
    /// The value with which the second part begins, or `None` where no such value comes before any
    /// tap.
    pub cut: Option<Value>,
    /// The taps behind the cut.
    pub far: Vec<String>,
}

/// Plans how `proto` can be computed in two parts for `taps`. Returns `None` where it cannot,
/// because a tap or the cut depends on more than a window of the picture.
pub(super) fn plan(proto: &ModelProto, taps: &[String]) -> Option<Plan> {
    let graph = proto.graph.as_ref()?;
    let values = Values::of(graph, taps)?;
    let cut = values.cut(graph);
    let far: HashSet<&str> = match &cut {
        Some(cut) => values.behind(graph, cut),
        None => HashSet::new(),
    };
    let is_cut = |tap: &&String| cut.as_ref().is_some_and(|cut| cut.name == **tap);
    let near = taps.iter().filter(|tap| !far.contains(tap.as_str()) && !is_cut(tap));
    let near: Option<Vec<Value>> = near
        .map(|tap| {
            Some(Value { name: tap.clone(), reach: values.reach.get(tap.as_str()).copied()?? })
        })
        .collect();
    let far = taps.iter().filter(|tap| far.contains(tap.as_str())).cloned().collect();
    Some(Plan { near: near?, cut, far })
}

/// Returns the part of `proto` that `outputs` need. It begins with the value `from`, or with the
/// network's input where `from` is `None`.
pub(super) fn part(
    proto: &ModelProto,
    from: Option<&str>,
    outputs: &[String],
) -> Option<ModelProto> {
    let graph = proto.graph.as_ref()?;
    let keep = needed(graph, outputs, from);
    let nodes = graph.node.iter().zip(&keep.nodes).filter(|(_, needed)| **needed);
    let input = match from {
        Some(name) => vec![value_info(name)],
        None => {
            let weights: HashSet<&str> =
                graph.initializer.iter().map(|w| w.name.as_str()).collect();
            let is_picture = |i: &&ValueInfoProto| {
                keep.names.contains(&i.name) && !weights.contains(i.name.as_str())
            };
            graph.input.iter().filter(is_picture).cloned().collect()
        }
    };
    let part = GraphProto {
        node: nodes.map(|(node, _)| node.clone()).collect(),
        name: graph.name.clone(),
        initializer: (graph.initializer.iter())
            .filter(|weights| keep.names.contains(&weights.name))
            .cloned()
            .collect(),
        input,
        output: outputs.iter().map(|name| value_info(name)).collect(),
        ..GraphProto::default()
    };
    Some(ModelProto {
        ir_version: proto.ir_version,
        opset_import: proto.opset_import.clone(),
        functions: proto.functions.clone(),
        graph: Some(part),
        ..ModelProto::default()
    })
}

/// Describes a value of 32-bit numbers without stating its shape.
fn value_info(name: &str) -> ValueInfoProto {
    let tensor = type_proto::Tensor { elem_type: FLOAT, shape: None };
    let kind =
        TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.into(), r#type: Some(kind), ..ValueInfoProto::default() }
}

/// The part of a graph that some outputs need.
pub(super) struct Needed {
    /// Whether each node is needed.
    pub nodes: Vec<bool>,
    /// The names of the values that are needed.
    pub names: HashSet<String>,
}

/// Finds what `outputs` need of a graph. It leaves out the nodes that only `from` needs.
pub(super) fn needed(graph: &GraphProto, outputs: &[String], from: Option<&str>) -> Needed {
    let mut maker: HashMap<&str, usize> = HashMap::new();
    for (i, node) in graph.node.iter().enumerate() {
        maker.extend(node.output.iter().map(|output| (output.as_str(), i)));
    }
    let mut nodes = vec![false; graph.node.len()];
    let mut names: HashSet<String> = HashSet::new();
    let mut open: Vec<String> = outputs.to_vec();
    while let Some(name) = open.pop() {
        if from != Some(name.as_str())
            && let Some(&node) = maker.get(name.as_str())
            && !std::mem::replace(&mut nodes[node], true)
        {
            inputs(&graph.node[node], &mut open);
        }
        names.insert(name);
    }
    Needed { nodes, names }
}

/// Adds the names that a node reads, including those read in the graphs of its branches and loops.
fn inputs(node: &NodeProto, into: &mut Vec<String>) {
    into.extend(node.input.iter().filter(|name| !name.is_empty()).cloned());
    for graph in node.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs)) {
        graph.node.iter().for_each(|inner| inputs(inner, into));
    }
}

/// Known facts about the values that depend on the picture.
struct Values<'a> {
    needed: Needed,
    /// The reach of every such value, or `None` for a value that sees more than a window.
    reach: HashMap<&'a str, Option<[Reach; 2]>>,
    /// The number of channels, where the weights tell it.
    channels: HashMap<&'a str, usize>,
}

impl<'a> Values<'a> {
    fn of(graph: &'a GraphProto, taps: &[String]) -> Option<Self> {
        let constants = constants(graph);
        let mut inputs = graph.input.iter().filter(|i| !constants.contains_key(i.name.as_str()));
        let (Some(picture), None) = (inputs.next(), inputs.next()) else { return None };
        let mut values = Values {
            needed: needed(graph, taps, None),
            reach: HashMap::from([(picture.name.as_str(), Some([Reach::PICTURE; 2]))]),
            channels: HashMap::from([(picture.name.as_str(), 3)]),
        };
        for node in &graph.node {
            if !node.input.iter().any(|name| values.reach.contains_key(name.as_str())) {
                continue;
            }
            let reach = values.behind_node(node, &constants);
            let channels = values.channels_behind(node, &constants);
            for output in node.output.iter().filter(|name| !name.is_empty()) {
                values.reach.insert(output, reach);
                values.channels.extend(channels.map(|channels| (output.as_str(), channels)));
            }
        }
        Some(values)
    }

    /// Returns the reach of a node's output.
    fn behind_node(&self, node: &NodeProto, constants: &Constants) -> Option<[Reach; 2]> {
        let dynamic = node.input.iter().filter_map(|name| self.reach.get(name.as_str()));
        let of_inputs: Option<Vec<[Reach; 2]>> = dynamic.copied().collect();
        let mut of_inputs = of_inputs?.into_iter();
        let mut reach = of_inputs.next()?;
        for other in of_inputs {
            reach = [reach[0].joined(other[0])?, reach[1].joined(other[1])?];
        }
        match node.op_type.as_str() {
            "Conv" | "MaxPool" | "AveragePool" => {
                let windows = windows(node, constants)?;
                Some([reach[0].through(windows[0]), reach[1].through(windows[1])])
            }
            "Concat" => (attribute(node, "axis").is_some_and(|a| a.i == 1)).then_some(reach),
            op if POINTWISE.contains(&op) => self.same_everywhere(node, constants).then_some(reach),
            op if PER_CHANNEL.contains(&op) => Some(reach),
            _ => None,
        }
    }

    /// Returns whether the constants of a node are the same at all positions.
    fn same_everywhere(&self, node: &NodeProto, constants: &Constants) -> bool {
        let fixed =
            node.input.iter().filter(|n| !n.is_empty() && !self.reach.contains_key(n.as_str()));
        fixed.into_iter().all(|name| {
            constants
                .get(name.as_str())
                .is_some_and(|dims| dims.iter().rev().take(2).all(|&d| d == 1))
        })
    }

    fn channels_behind(&self, node: &NodeProto, constants: &Constants) -> Option<usize> {
        if node.op_type == "Conv" {
            let dims = constants.get(node.input.get(1)?.as_str())?;
            return usize::try_from(*dims.first()?).ok();
        }
        let of_inputs = node.input.iter().filter_map(|name| self.channels.get(name.as_str()));
        if node.op_type == "Concat" { Some(of_inputs.sum()) } else { of_inputs.max().copied() }
    }

    /// Returns the value at which the network is cut. Everything behind it depends on the picture
    /// through this value alone. Among the maps that are small enough, it has the largest map, and
    /// then the fewest channels.
    fn cut(&self, graph: &GraphProto) -> Option<Value> {
        let mut last_use: HashMap<&str, usize> = HashMap::new();
        let used = |at: &usize| self.needed.nodes[*at];
        for at in (0..graph.node.len()).filter(used) {
            let mut names = Vec::new();
            inputs(&graph.node[at], &mut names);
            for name in names {
                if let Some((known, _)) = self.reach.get_key_value(name.as_str()) {
                    last_use.insert(known, at);
                }
            }
        }
        let mut best: Option<([usize; 2], Value)> = None;
        let mut alive: HashSet<&str> = HashSet::new();
        for at in (0..graph.node.len()).filter(used) {
            let node = &graph.node[at];
            alive.extend(node.output.iter().map(String::as_str));
            alive.retain(|name| last_use.get(name).is_some_and(|last| *last > at));
            let [name] = alive.iter().copied().collect::<Vec<_>>()[..] else { continue };
            let Some(&Some(reach)) = self.reach.get(name) else { continue };
            if reach.iter().any(|side| side.stride < LEAST_STRIDE) {
                continue;
            }
            let channels = self.channels.get(name).copied().unwrap_or(usize::MAX);
            let cost = [reach[0].stride * reach[1].stride, channels];
            if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                best = Some((cost, Value { name: name.into(), reach }));
            }
        }
        best.map(|(_, value)| value)
    }

    /// Returns the names of the values behind `cut`.
    fn behind(&self, graph: &'a GraphProto, cut: &Value) -> HashSet<&'a str> {
        let mut behind: HashSet<&str> = HashSet::new();
        for node in &graph.node {
            let is_behind = |name: &String| *name == cut.name || behind.contains(name.as_str());
            if node.input.iter().any(is_behind) {
                behind.extend(node.output.iter().map(String::as_str));
            }
        }
        behind
    }
}

/// Operators that work on every value alone. Their other inputs must be the same at all positions.
const POINTWISE: [&str; 25] = [
    "Abs",
    "Add",
    "Cast",
    "Celu",
    "Clip",
    "Div",
    "Elu",
    "Erf",
    "Exp",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "Max",
    "Min",
    "Mish",
    "Mul",
    "Neg",
    "PRelu",
    "Relu",
    "Selu",
    "Sigmoid",
    "Softplus",
    "Sub",
];
/// Operators whose constants hold at most one number per channel, the same at all positions.
const PER_CHANNEL: [&str; 3] = ["BatchNormalization", "Dropout", "Tanh"];

/// The shapes of the values that do not depend on the picture, as far as the model states them.
type Constants<'a> = HashMap<&'a str, &'a [i64]>;

fn constants(graph: &GraphProto) -> Constants<'_> {
    fn of_node(node: &NodeProto) -> Option<(&str, &[i64])> {
        let name = node.output.first()?;
        let tensor: &TensorProto = attribute(node, "value")?.t.as_ref()?;
        (node.op_type == "Constant").then_some((name.as_str(), tensor.dims.as_slice()))
    }
    let weights = graph.initializer.iter().map(|w| (w.name.as_str(), w.dims.as_slice()));
    weights.chain(graph.node.iter().filter_map(of_node)).collect()
}

fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

/// Returns the windows of a node along rows and along columns, or `None` where its padding depends
/// on the size of the map.
fn windows(node: &NodeProto, constants: &Constants) -> Option<[Window; 2]> {
    let padding = attribute(node, "auto_pad").map_or(&b"NOTSET"[..], |a| &a.s);
    let ceil = attribute(node, "ceil_mode").is_some_and(|a| a.i != 0);
    if ceil || !matches!(padding, b"NOTSET" | b"VALID" | b"") {
        return None;
    }
    let stated = attribute(node, "kernel_shape").map(|a| a.ints.as_slice());
    let of_weights = || constants.get(node.input.get(1)?.as_str())?.get(2..);
    let kernel = stated.or_else(of_weights)?;
    let numbers = |name: &str, usual: i64, count: usize| -> Vec<i64> {
        attribute(node, name).map_or_else(|| vec![usual; count], |a| a.ints.clone())
    };
    let (strides, dilations) = (numbers("strides", 1, 2), numbers("dilations", 1, 2));
    let pads = if padding == b"VALID" { vec![0; 4] } else { numbers("pads", 0, 4) };
    let window = |side: usize| -> Option<Window> {
        let small = |value: i64| (0..=4096).contains(&value).then_some(value as usize);
        let stride = small(*strides.get(side)?).filter(|stride| *stride > 0)?;
        let span = small(*dilations.get(side)?)? * small(kernel.get(side)? - 1)?;
        let before = small(*pads.get(side)?)?;
        Some(Window { stride, before, after: span.saturating_sub(before) })
    };
    (kernel.len() == 2).then_some([window(0)?, window(1)?])
}

#[cfg(test)]
mod tests {
    use super::super::bundled::MODEL;
    use super::super::onnx::read;
    use super::*;

    fn bundled() -> ModelProto {
        read(MODEL).expect("parses")
    }

    fn plan_of(taps: &[&str]) -> Option<Plan> {
        plan(&bundled(), &taps.iter().map(|t| t.to_string()).collect::<Vec<_>>())
    }

    #[test]
    fn the_bundled_network_is_cut_where_it_is_narrow_and_its_map_small() {
        let plan = plan_of(&["block2.exp", "block3.proj", "block15.exp"]).expect("a plan");
        let names: Vec<&str> = plan.near.iter().map(|v| v.name.as_str()).collect();
        assert_eq!(names, ["block2.exp"]);
        let cut = plan.cut.expect("a cut");
        assert_eq!((cut.name.as_str(), plan.far), ("block3.proj", vec!["block15.exp".to_string()]));
        // The windows are: stem 3 x 3 by 2; 3 x 3; 3 x 3 by 2; 3 x 3; 5 x 5 by 2. Besides the own
        // pixel they reach 2 + 4 + 4 + 8 + 16 pixels.
        let [rows, columns] = cut.reach;
        assert_eq!((rows, rows.stride, rows.before + rows.after), (columns, 8, 34));
        assert_eq!((plan.near[0].reach[0].stride, plan.near[0].reach[1].stride), (4, 4));
    }

    #[test]
    fn taps_before_every_cut_need_none() {
        let plan = plan_of(&["block2.exp", "block0.exp"]).expect("a plan");
        assert_eq!((plan.near.len(), plan.cut, plan.far.len()), (2, None, 0));
    }

    #[test]
    fn a_network_that_sees_the_whole_picture_early_has_no_plan() {
        let mut model = bundled();
        let graph = model.graph.as_mut().expect("a graph");
        graph.node[0].op_type = "Softmax".into();
        assert_eq!(plan(&model, &["block2.exp".into()]), None);
        let mut model = bundled();
        let graph = model.graph.as_mut().expect("a graph");
        let padding = AttributeProto {
            name: "auto_pad".into(),
            s: b"SAME_UPPER".into(),
            ..Default::default()
        };
        graph.node[0].attribute.push(padding);
        assert_eq!(plan(&model, &["block2.exp".into()]), None);
    }
}
