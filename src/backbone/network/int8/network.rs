//! This module reads a network of convolutions from an ONNX graph, or says why the eight-bit
//! executor cannot compute it.

use crate::backbone::network::graph::needed;
use std::collections::HashMap;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};

/// Why a network cannot be computed in eight bits, in words that follow "because".
pub type Unsupported = String;

/// The number of the picture among the values of a [`Network`].
pub const PICTURE: usize = 0;

/// A network of convolutions.
#[derive(Debug)]
pub struct Network {
    /// The names of the values, from the picture on. A value may be read only after it was made.
    pub values: Vec<String>,
    /// The convolutions, in the order of computation.
    pub convolutions: Vec<Convolution>,
    /// The values that are given out, in the order of the taps.
    pub taps: Vec<usize>,
}

/// What a convolution does with its sums.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// Nothing.
    Linear,
    /// It limits them to 0 and more.
    Relu,
    /// It limits them to a range that begins with 0 and ends here.
    Clip(f32),
}

/// A convolution with what follows it: an addition of another value, or an activation.
#[derive(Debug)]
pub struct Convolution {
    /// The name of its node, for messages.
    pub name: String,
    /// `[output][input of the group][row][column]`.
    pub weights: Vec<f32>,
    /// One per output.
    pub bias: Vec<f32>,
    /// The number of channels that it reads.
    pub inputs: usize,
    /// The number of channels that it makes.
    pub outputs: usize,
    /// Whether each output reads only the input of the same number.
    pub is_depthwise: bool,
    /// Rows and columns of the window.
    pub window: [usize; 2],
    /// The strides along rows and columns.
    pub stride: [usize; 2],
    /// The zeros above and left of the input.
    pub before: [usize; 2],
    /// The zeros below and right of the input.
    pub after: [usize; 2],
    /// The value that it reads.
    pub input: usize,
    /// The value that is added.
    pub added: Option<usize>,
    /// What is done with the sums.
    pub activation: Activation,
    /// The value that it makes.
    pub output: usize,
}

impl Convolution {
    /// Returns the rows and columns of the output for those of the input, or `None` where the
    /// window does not fit.
    pub fn size_behind(&self, size: [usize; 2]) -> Option<[usize; 2]> {
        let along = |side: usize| {
            let free = (size[side] + self.before[side] + self.after[side])
                .checked_sub(self.window[side])?;
            Some(free / self.stride[side] + 1)
        };
        Some([along(0)?, along(1)?])
    }
}

/// Reads the part of a network that `taps` need.
pub fn read(proto: &ModelProto, taps: &[String]) -> Result<Network, Unsupported> {
    let graph = proto.graph.as_ref().ok_or("the model has no graph")?;
    let reader = Reader::new(graph, taps)?;
    let mut network = Network { values: Vec::new(), convolutions: Vec::new(), taps: Vec::new() };
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let add = |name: &'_ str, network: &mut Network| {
        network.values.push(name.to_owned());
        network.values.len() - 1
    };
    numbers.insert(reader.picture, add(reader.picture, &mut network));
    let mut done = vec![false; graph.node.len()];
    for (at, node) in graph.node.iter().enumerate() {
        if !reader.needed[at] || done[at] {
            continue;
        }
        if node.op_type == "Constant" {
            continue;
        }
        if node.op_type != "Conv" {
            return Err(format!("it has the operator {} ({})", node.op_type, node.name));
        }
        let mut convolution = reader.convolution(node)?;
        let known = |name: &str| {
            let number = numbers.get(name).copied();
            number.ok_or_else(|| format!("the value {name} comes from no convolution"))
        };
        convolution.input = known(first(&node.input)?)?;
        let mut name = first(&node.output)?;
        if let Some(next) = reader.only_user(name) {
            let follower = &graph.node[next];
            match follower.op_type.as_str() {
                "Relu" | "Clip" => {
                    convolution.activation = reader.activation(follower)?;
                    (name, done[next]) = (first(&follower.output)?, true);
                }
                "Add" => {
                    let other = follower.input.iter().find(|input| *input != name);
                    convolution.added = Some(known(other.ok_or("a value is added to itself")?)?);
                    (name, done[next]) = (first(&follower.output)?, true);
                }
                _ => {}
            }
        }
        convolution.output = add(name, &mut network);
        numbers.insert(name, convolution.output);
        network.convolutions.push(convolution);
    }
    for tap in taps {
        let number = numbers.get(tap.as_str()).copied().filter(|number| *number != PICTURE);
        network.taps.push(number.ok_or_else(|| format!("{tap} is not the end of a convolution"))?);
    }
    Ok(network)
}

fn first(names: &[String]) -> Result<&str, Unsupported> {
    names.first().map(String::as_str).ok_or_else(|| "a node has no input or output".into())
}

/// What is known of a graph while it is read.
struct Reader<'a> {
    constants: HashMap<&'a str, &'a TensorProto>,
    /// Whether each node is needed.
    needed: Vec<bool>,
    /// The needed nodes that read each value.
    users: HashMap<&'a str, Vec<usize>>,
    taps: &'a [String],
    picture: &'a str,
}

impl<'a> Reader<'a> {
    fn new(graph: &'a GraphProto, taps: &'a [String]) -> Result<Self, Unsupported> {
        let needed = needed(graph, taps, None);
        let mut constants: HashMap<&str, &TensorProto> =
            graph.initializer.iter().map(|weights| (weights.name.as_str(), weights)).collect();
        let mut users: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, node) in graph.node.iter().enumerate().filter(|(at, _)| needed.nodes[*at]) {
            if let (Some(output), Some(value)) = (node.output.first(), attribute(node, "value"))
                && node.op_type == "Constant"
            {
                constants.extend(value.t.as_ref().map(|tensor| (output.as_str(), tensor)));
            }
            node.input.iter().for_each(|input| users.entry(input).or_default().push(at));
        }
        let mut pictures =
            graph.input.iter().map(|i| i.name.as_str()).filter(|i| !constants.contains_key(i));
        let picture = pictures.next().ok_or("the model has no input")?;
        Ok(Reader { constants, needed: needed.nodes, users, taps, picture })
    }

    /// The node that alone reads a value. A tap is read by the caller as well.
    fn only_user(&self, name: &str) -> Option<usize> {
        match self.users.get(name).map(Vec::as_slice) {
            Some(&[user]) if !self.taps.iter().any(|tap| tap == name) => Some(user),
            _ => None,
        }
    }

    fn numbers(&self, name: &str) -> Result<Vec<f32>, Unsupported> {
        const FLOAT: i32 = 1;
        let tensor = self.constants.get(name).ok_or_else(|| format!("{name} is no constant"))?;
        if tensor.data_type != FLOAT {
            return Err(format!("{name} does not hold 32-bit numbers"));
        }
        let raw = tensor.raw_data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        Ok(raw.chain(tensor.float_data.iter().copied()).collect())
    }

    fn convolution(&self, node: &NodeProto) -> Result<Convolution, Unsupported> {
        let name = &node.name;
        let wrong = |what: &str| format!("the convolution {name} has {what}");
        let weights_name = node.input.get(1).ok_or_else(|| wrong("no weights"))?;
        let dims = self.constants.get(weights_name.as_str()).map(|w| w.dims.as_slice());
        let sizes: Vec<usize> = dims
            .unwrap_or_default()
            .iter()
            .filter_map(|&d| usize::try_from(d).ok().filter(|d| (1..=1 << 16).contains(d)))
            .collect();
        let &[outputs, of_group, height, width] = sizes.as_slice() else {
            return Err(wrong("weights of an unknown shape"));
        };
        let weights = self.numbers(weights_name)?;
        let bias = match node.input.get(2).filter(|bias| !bias.is_empty()) {
            Some(bias) => self.numbers(bias)?,
            None => vec![0.0; outputs],
        };
        let count = sizes.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
        if Some(weights.len()) != count || bias.len() != outputs {
            return Err(wrong("weights that do not fit its shape"));
        }
        let padding = attribute(node, "auto_pad").map_or(&b"NOTSET"[..], |a| &a.s);
        if !matches!(padding, b"NOTSET" | b"") {
            return Err(wrong("a padding that depends on the size of the picture"));
        }
        let ints = |name: &str, usual: i64, count: usize| -> Result<Vec<usize>, Unsupported> {
            let stated =
                attribute(node, name).map_or_else(|| vec![usual; count], |a| a.ints.clone());
            let small = |&v: &i64| usize::try_from(v).ok().filter(|v| *v <= 64);
            let all: Option<Vec<usize>> = stated.iter().map(small).collect();
            all.filter(|all| all.len() == count).ok_or_else(|| wrong(&format!("unusual {name}")))
        };
        let (stride, pads) = (ints("strides", 1, 2)?, ints("pads", 0, 4)?);
        if ints("dilations", 1, 2)? != [1, 1] || stride.contains(&0) {
            return Err(wrong("dilations"));
        }
        let groups = attribute(node, "group").map_or(1, |a| a.i);
        let is_depthwise = groups > 1 && of_group == 1 && groups == outputs as i64;
        if groups != 1 && !is_depthwise {
            return Err(wrong("groups of several channels"));
        }
        Ok(Convolution {
            name: name.clone(),
            weights,
            bias,
            inputs: if is_depthwise { outputs } else { of_group },
            outputs,
            is_depthwise,
            window: [height, width],
            stride: [stride[0], stride[1]],
            before: [pads[0], pads[1]],
            after: [pads[2], pads[3]],
            input: PICTURE,
            added: None,
            activation: Activation::Linear,
            output: PICTURE,
        })
    }

    fn activation(&self, node: &NodeProto) -> Result<Activation, Unsupported> {
        if node.op_type == "Relu" {
            return Ok(Activation::Relu);
        }
        let limit = |at: usize, name: &str| -> Result<Option<f32>, Unsupported> {
            match (node.input.get(at).filter(|name| !name.is_empty()), attribute(node, name)) {
                (Some(input), _) => match self.numbers(input)?[..] {
                    [limit] => Ok(Some(limit)),
                    _ => Err(format!("the limits of {} are not numbers", node.name)),
                },
                (None, stated) => Ok(stated.map(|a| a.f)),
            }
        };
        match (limit(1, "min")?, limit(2, "max")?) {
            (Some(0.0), None) => Ok(Activation::Relu),
            (Some(0.0), Some(high)) if high > 0.0 && high.is_finite() => Ok(Activation::Clip(high)),
            _ => Err(format!("{} has limits other than 0 and a positive number", node.name)),
        }
    }
}

fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

#[cfg(test)]
mod tests {
    use super::super::super::bundled::MODEL;
    use super::super::super::onnx;
    use super::*;

    fn read_changed(change: impl Fn(&mut GraphProto)) -> Result<Network, Unsupported> {
        let mut proto = onnx::read(MODEL).expect("parses");
        change(proto.graph.as_mut().expect("a graph"));
        read(&proto, &["block3.proj".into(), "block4.exp".into()])
    }

    #[test]
    fn the_bundled_network_is_read_up_to_its_last_tap() {
        let network = read_changed(|_| {}).expect("reads");
        // The stem, two convolutions of the first block, and three of each of the next four, without
        // the projection of the last.
        assert_eq!(network.convolutions.len(), 1 + 2 + 4 * 3 - 1);
        let names: Vec<&str> =
            network.taps.iter().map(|&tap| network.values[tap].as_str()).collect();
        assert_eq!(names, ["block3.proj", "block4.exp"]);
        let depthwise = network.convolutions.iter().filter(|c| c.is_depthwise).count();
        let added = network.convolutions.iter().filter(|c| c.added.is_some()).count();
        assert_eq!((depthwise, added), (5, 1));
        let stem = &network.convolutions[0];
        assert_eq!((stem.input, stem.activation), (PICTURE, Activation::Clip(6.0)));
        assert_eq!(stem.size_behind([64, 96]), Some([32, 48]));
    }

    #[test]
    fn what_eight_bits_cannot_compute_is_named() {
        fn node<'a>(graph: &'a mut GraphProto, name: &str) -> &'a mut NodeProto {
            graph.node.iter_mut().find(|node| node.name == name).expect("the node")
        }
        fn set(graph: &mut GraphProto, name: &str, key: &str, change: fn(&mut AttributeProto)) {
            let node = node(graph, name);
            change(node.attribute.iter_mut().find(|a| a.name == key).expect("the attribute"));
        }
        type Change = fn(&mut GraphProto);
        let cases: [(Change, &str); 8] = [
            (|g| node(g, "block2.exp").op_type = "HardSwish".into(), "operator HardSwish"),
            (|g| node(g, "stem").op_type = "Sigmoid".into(), "operator Sigmoid"),
            (|g| set(g, "block1.expand.conv", "dilations", |a| a.ints = vec![2, 2]), "dilations"),
            (|g| set(g, "block1.expand.conv", "pads", |a| a.ints = vec![0; 3]), "unusual pads"),
            (|g| set(g, "block1.expand.conv", "group", |a| a.i = 4), "groups of several channels"),
            (|g| node(g, "stem").input[1] = "six".into(), "limits other than 0"),
            (|g| node(g, "stem").input[2] = "image".into(), "is no constant"),
            (|g| g.initializer.clear(), "weights of an unknown shape"),
        ];
        for (change, word) in cases {
            let error = read_changed(change).expect_err(word);
            assert!(error.contains(word), "{error}");
        }
    }
}
