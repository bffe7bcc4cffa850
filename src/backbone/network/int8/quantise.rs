//! This module turns a network of 32-bit numbers into layers of bytes.
//!
//! A value `v` is held as the byte `round(v / scale) + zero`, with one scale and zero per map. The
//! scale of the input is multiplied into the weights, `u = w * scale_in`. `u` is held as the whole
//! number `round(u / s)`, from -127 to 127, with one scale `s` per output. So the sum over a window
//! is a sum of whole numbers, and
//!
//! ```text
//! byte = round(sum * (s / scale_out) + offset)
//! offset = bias / scale_out + zero_out - (s / scale_out) * zero_in * sum of round(u / s)
//! ```

use super::convolve::{Matrix, ROW_WEIGHTS, Spatial, WINDOWS};
use super::lanes::{Finish, LANES, Weights};
use super::network::{Activation, Convolution, Network, PICTURE, Unsupported};
use super::picture::PictureWindows;

/// The range of a value, for its bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// The smallest value.
    pub low: f32,
    /// The largest value.
    pub high: f32,
}

/// What the bytes of a map stand for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bytes {
    /// The difference between two neighbouring bytes.
    pub scale: f64,
    /// The byte that stands for zero.
    pub zero: u8,
}

impl Bytes {
    /// For values from `low` to `high`, and for 0 in any case.
    fn of(low: f32, high: f32) -> Option<Bytes> {
        let (low, high) = (f64::from(low.min(0.0)), f64::from(high.max(0.0)));
        let scale = (high - low) / 255.0;
        (scale.is_normal()).then(|| Bytes { scale, zero: (-low / scale).round() as u8 })
    }
}

/// A layer that is ready to compute.
#[derive(Debug)]
pub enum Layer {
    /// Gathers the windows of a convolution that reads the picture.
    Patches {
        /// The windows.
        windows: PictureWindows,
        /// The map that it makes.
        output: usize,
    },
    /// A 1x1 convolution.
    Pointwise {
        /// Weights and more.
        matrix: OwnMatrix,
        /// The map that it reads.
        input: usize,
        /// The map that is added.
        added: Option<usize>,
        /// The map that it makes.
        output: usize,
    },
    /// A depthwise convolution behind a 1x1 convolution.
    Spatial {
        /// The 1x1 convolution.
        matrix: OwnMatrix,
        /// See [`Spatial::weights`].
        weights: Vec<Weights>,
        /// One per panel.
        finish: Vec<Finish>,
        /// The map that it reads.
        input: usize,
        /// The map that it makes.
        output: usize,
        /// Width and height of the window.
        window: usize,
        /// The stride along both sides.
        stride: usize,
        /// The rows above and the columns left of the input.
        before: usize,
    },
}

/// The weights of a 1x1 convolution. See [`Matrix`].
#[derive(Debug)]
pub struct OwnMatrix {
    inputs: usize,
    weights: Vec<Weights>,
    finish: Vec<Finish>,
}

impl OwnMatrix {
    /// A view for the kernels.
    pub fn view(&self) -> Matrix<'_> {
        Matrix { inputs: self.inputs, weights: &self.weights, finish: &self.finish }
    }
}

/// A map of bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Map {
    /// Channels, without those that fill up a panel.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// What its bytes stand for.
    pub bytes: Bytes,
    /// Whether it is stored. A map between a 1x1 and a depthwise convolution is not.
    pub is_stored: bool,
    /// Whether values below and above the bytes' range are possible, because the network itself
    /// does not limit them there.
    pub is_open: [bool; 2],
}

impl Map {
    /// The panels of 16 channels.
    pub fn panels(&self) -> usize {
        self.channels.div_ceil(LANES)
    }

    /// The blocks of four pixels of a row.
    pub fn row(&self) -> usize {
        self.width.div_ceil(4)
    }

    /// The blocks of a panel.
    pub fn pitch(&self) -> usize {
        self.height * self.row()
    }
}

/// A network of bytes for one size of input.
#[derive(Debug)]
pub struct Quantised {
    /// The layers, in the order of computation.
    pub layers: Vec<Layer>,
    /// The maps, by the number of their value. Those after the values of the network are internal.
    pub maps: Vec<Map>,
    /// The maps that are given out.
    pub taps: Vec<usize>,
}

/// The preprocessing of the picture: mean and standard deviation of samples from 0 to 1.
#[derive(Debug, Clone, Copy)]
pub struct Preprocessing {
    /// One per colour.
    pub mean: [f32; 3],
    /// One per colour.
    pub std: [f32; 3],
}

/// Turns `network` into bytes, for pictures of `size` (rows, columns). `range_of` gives the range
/// of a value, where it is known.
pub fn quantise(
    network: &Network,
    size: [usize; 2],
    preprocessing: Preprocessing,
    range_of: &dyn Fn(&str) -> Option<Range>,
) -> Result<Quantised, Unsupported> {
    let picture = Map {
        channels: 3,
        height: size[0],
        width: size[1],
        bytes: SAMPLES,
        is_stored: false,
        is_open: [false; 2],
    };
    let mut made =
        Quantised { layers: Vec::new(), maps: vec![picture], taps: network.taps.clone() };
    for convolution in &network.convolutions {
        let name = &network.values[convolution.output];
        let range = match (range_of(name), convolution.activation) {
            (Some(range), _) => range,
            (None, Activation::Clip(high)) => Range { low: 0.0, high },
            (None, _) => return Err(format!("nobody knows the range of {name}")),
        };
        let (bytes, is_open) = match convolution.activation {
            Activation::Linear => (Bytes::of(range.low, range.high), [true, true]),
            Activation::Relu => (Bytes::of(0.0, range.high), [false, true]),
            Activation::Clip(limit) => {
                (Bytes::of(0.0, range.high.min(limit)), [false, range.high < limit])
            }
        };
        let bytes = bytes.ok_or_else(|| format!("the range of {name} is no range"))?;
        let from = &made.maps[convolution.input];
        let [height, width] = convolution
            .size_behind([from.height, from.width])
            .ok_or_else(|| format!("the picture is too small for {}", convolution.name))?;
        made.maps.push(Map {
            channels: convolution.outputs,
            height,
            width,
            bytes,
            is_stored: true,
            is_open,
        });
    }
    for convolution in &network.convolutions {
        let wrong = |what: &str| format!("the convolution {} {what}", convolution.name);
        if made.maps[convolution.input].channels != convolution.inputs {
            return Err(wrong("does not fit the channels of its input"));
        }
        let of_output = if convolution.is_depthwise { 1 } else { convolution.inputs };
        let window = convolution.window[0] * convolution.window[1];
        if convolution.weights.len() != convolution.outputs * of_output * window {
            return Err(wrong("has weights that do not fit its window"));
        }
        if let Some(added) = convolution.added
            && (made.maps[added].channels != convolution.outputs
                || sides(&made.maps[added]) != sides(&made.maps[convolution.output])
                || !made.maps[added].is_stored)
        {
            return Err(wrong("adds a map of another size"));
        }
        match convolution {
            c if c.is_depthwise => made.depthwise(network, c)?,
            c if c.input == PICTURE => made.first(c, preprocessing)?,
            c if c.window == [1, 1]
                && c.stride == [1, 1]
                && c.before == [0, 0]
                && c.after == [0, 0] =>
            {
                made.pointwise(c)?
            }
            _ => return Err(wrong("is neither depthwise nor 1x1, nor does it read the picture")),
        }
    }
    match made.taps.iter().all(|&tap| made.maps[tap].is_stored) {
        true => Ok(made),
        false => Err("a tap lies between a 1x1 and a depthwise convolution".into()),
    }
}

fn sides(map: &Map) -> [usize; 2] {
    [map.height, map.width]
}

impl Quantised {
    fn first(&mut self, c: &Convolution, of: Preprocessing) -> Result<(), Unsupported> {
        // A sample of 0 to 255 stands for (sample - 255 mean) / (255 std).
        let steps = of.std.map(|std| 1.0 / (255.0 * f64::from(std)));
        let zero = of.mean.map(|mean| 255.0 * f64::from(mean));
        let output = &self.maps[c.output];
        let patches = Map {
            channels: 3 * c.window[0] * c.window[1],
            bytes: SAMPLES,
            is_open: [false; 2],
            ..*output
        };
        // `[row][column][colour]`, as a patch has its bytes.
        let place = |i: usize, y: usize, x: usize| (y * c.window[1] + x) * 3 + i;
        let rows = rows_of(c, place, |i| steps[i]);
        let matrix = self.matrix(c, &rows, |at| zero[at % 3])?;
        let number = self.maps.len();
        self.maps.push(patches);
        let windows = PictureWindows {
            window: c.window,
            stride: c.stride,
            before: c.before,
            zero: zero.map(|zero| zero.round().clamp(0.0, 255.0) as u8),
        };
        self.layers.push(Layer::Patches { windows, output: number });
        self.push(c, matrix, number)
    }

    fn pointwise(&mut self, c: &Convolution) -> Result<(), Unsupported> {
        let from = self.maps[c.input].bytes;
        let rows = rows_of(c, |i, _, _| i, |_| from.scale);
        let matrix = self.matrix(c, &rows, |_| f64::from(from.zero))?;
        self.push(c, matrix, c.input)
    }

    fn push(
        &mut self,
        c: &Convolution,
        matrix: OwnMatrix,
        input: usize,
    ) -> Result<(), Unsupported> {
        if !self.maps[input].is_stored {
            return Err(format!("the input of {} is read by a depthwise convolution, too", c.name));
        }
        let (added, output) = (c.added, c.output);
        self.layers.push(Layer::Pointwise { matrix, input, added, output });
        Ok(())
    }

    /// Quantises the weights of a matrix, `rows[output][input]`, with the scales of the inputs in
    /// them. `zero_of` gives the zero of each input.
    fn matrix(
        &self,
        c: &Convolution,
        rows: &[Vec<f64>],
        zero_of: impl Fn(usize) -> f64,
    ) -> Result<OwnMatrix, Unsupported> {
        let inputs = rows[0].len().div_ceil(LANES);
        let panels = c.outputs.div_ceil(LANES);
        let mut matrix = OwnMatrix {
            inputs,
            weights: vec![[0; 4 * LANES]; panels * inputs * 4],
            finish: vec![EMPTY; panels],
        };
        for (output, row) in rows.iter().enumerate() {
            let (panel, lane) = (output / LANES, output % LANES);
            let (scale, whole) = whole(row.iter().copied());
            let mut at_zero = 0.0;
            for (i, &w) in whole.iter().enumerate() {
                let quad = &mut matrix.weights[panel * inputs * 4 + i / 4];
                quad[4 * lane + i % 4] = w;
                at_zero += f64::from(w) * zero_of(i);
            }
            let finish = &mut matrix.finish[panel];
            self.finish(c, output, scale, at_zero, &whole, finish)?;
        }
        Ok(matrix)
    }

    /// Fills in one channel of a [`Finish`]. `step` is what a sum of 1 stands for, and `at_zero` the
    /// sum at an input of zeros.
    fn finish(
        &self,
        c: &Convolution,
        output: usize,
        step: f64,
        at_zero: f64,
        whole: &[i8],
        finish: &mut Finish,
    ) -> Result<(), Unsupported> {
        let (lane, to) = (output % LANES, self.maps[c.output].bytes);
        let scale = step / to.scale;
        let mut offset =
            f64::from(c.bias[output]) / to.scale + f64::from(to.zero) - scale * at_zero;
        let added = c.added.map(|map| self.maps[map].bytes);
        let factor = added.map_or(0.0, |added| added.scale / to.scale);
        offset -= factor * added.map_or(0.0, |added| f64::from(added.zero));
        // Beyond this, a rounded value might not fit into 32 bits.
        const LARGEST: f64 = (1u32 << 30) as f64;
        let weights: i64 = whole.iter().map(|&w| i64::from(w)).sum();
        let magnitude: i64 = whole.iter().map(|&w| i64::from(w).abs()).sum();
        let sum = 255 * magnitude;
        let largest = sum as f64 * scale + offset.abs() + 255.0 * factor;
        if sum > 1 << 30 || largest > LARGEST || largest.is_nan() {
            return Err(format!("the sums of the convolution {} are too large", c.name));
        }
        finish.weights[lane] = weights as i32;
        finish.scale[lane] = scale as f32;
        finish.offset[lane] = offset as f32;
        finish.factor[lane] = factor as f32;
        Ok(())
    }

    /// Joins a depthwise convolution with the 1x1 convolution before it.
    fn depthwise(&mut self, network: &Network, c: &Convolution) -> Result<(), Unsupported> {
        let wrong = |what: &str| format!("the depthwise convolution {} {what}", c.name);
        let [window, stride, before] = [c.window, c.stride, c.before];
        if window[0] != window[1]
            || stride[0] != stride[1]
            || before[0] != before[1]
            || !WINDOWS.contains(&(window[0], stride[0], before[0]))
        {
            return Err(wrong("has an unusual window"));
        }
        let others = network.convolutions.iter().filter(|other| {
            other.output != c.output && (other.input == c.input || other.added == Some(c.input))
        });
        if others.count() > 0 || self.taps.contains(&c.input) || c.added.is_some() {
            return Err(wrong("is not the only one that reads its input"));
        }
        let Some(Layer::Pointwise { input, added: None, output, .. }) = self.layers.last() else {
            return Err(wrong("does not follow a 1x1 convolution"));
        };
        if *output != c.input || self.maps[c.input].bytes.zero != 0 {
            return Err(wrong("does not follow a 1x1 convolution with a limit of 0"));
        }
        let input = *input;
        let (k, panels) = (window[0], c.outputs.div_ceil(LANES));
        let mut weights = vec![[0; 4 * LANES]; panels * k * ROW_WEIGHTS];
        let mut finish = vec![EMPTY; panels];
        for output in 0..c.outputs {
            let (panel, lane) = (output / LANES, output % LANES);
            let of_output = &c.weights[output * k * k..][..k * k];
            let scale_in = self.maps[c.input].bytes.scale;
            let (scale, whole) = whole(of_output.iter().map(|&w| f64::from(w) * scale_in));
            for (at, &w) in whole.iter().enumerate() {
                let row = &mut weights[(panel * k + at / k) * ROW_WEIGHTS..][..ROW_WEIGHTS];
                for o in 0..4 {
                    let column = 4 + o * stride[0] + at % k - before[0];
                    row[4 * (column / 4) + o][4 * lane + column % 4] = w;
                }
            }
            self.finish(c, output, scale, 0.0, &whole, &mut finish[panel])?;
        }
        let Some(Layer::Pointwise { matrix, .. }) = self.layers.pop() else {
            return Err(wrong("does not follow a 1x1 convolution"));
        };
        self.maps[c.input].is_stored = false;
        let (window, stride, before) = (k, stride[0], before[0]);
        let output = c.output;
        self.layers.push(Layer::Spatial {
            matrix,
            weights,
            finish,
            input,
            output,
            window,
            stride,
            before,
        });
        Ok(())
    }
}

/// For channels that fill up a panel. Their bytes are 0.
const EMPTY: Finish =
    Finish { weights: [0; LANES], scale: [0.0; LANES], offset: [0.0; LANES], factor: [0.0; LANES] };
/// What the samples of a picture stand for.
const SAMPLES: Bytes = Bytes { scale: 1.0, zero: 0 };

/// The weights of a convolution as rows of a matrix. `place` gives the column of an input, row and
/// column of the window, and `factor` what the weights of an input are multiplied by.
fn rows_of(
    c: &Convolution,
    place: impl Fn(usize, usize, usize) -> usize,
    factor: impl Fn(usize) -> f64,
) -> Vec<Vec<f64>> {
    let [height, width] = c.window;
    let of_output = c.inputs * height * width;
    let row = |weights: &[f32]| {
        let mut row = vec![0.0; of_output];
        for (at, &w) in weights.iter().enumerate() {
            let (i, y, x) = (at / (height * width), at / width % height, at % width);
            row[place(i, y, x)] = f64::from(w) * factor(i);
        }
        row
    };
    c.weights.chunks_exact(of_output).map(row).collect()
}

/// Rounds weights to whole numbers from -127 to 127. Returns what 1 stands for, and the numbers.
fn whole(weights: impl Iterator<Item = f64> + Clone) -> (f64, Vec<i8>) {
    let largest = weights.clone().fold(0.0, |m: f64, w| m.max(w.abs()));
    let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
    (scale, weights.map(|w| (w / scale).round() as i8).collect())
}

impl Layer {
    /// The map that it makes.
    pub fn output(&self) -> usize {
        let &(Layer::Patches { output, .. }
        | Layer::Pointwise { output, .. }
        | Layer::Spatial { output, .. }) = self;
        output
    }

    /// A view for the kernels of a [`Layer::Spatial`], for its maps.
    pub fn spatial(&self, maps: &[Map]) -> Option<Spatial<'_>> {
        let Layer::Spatial { matrix, weights, finish, input, output, window, stride, before } =
            self
        else {
            return None;
        };
        Some(Spatial {
            matrix: matrix.view(),
            weights,
            finish,
            input: sides(&maps[*input]),
            output: sides(&maps[*output]),
            window: *window,
            stride: *stride,
            before: *before,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convolution(name: &str, channels: [usize; 2], window: usize) -> Convolution {
        let [inputs, outputs] = channels;
        let is_depthwise = window > 1 && inputs == outputs;
        let count = outputs * window * window * if is_depthwise { 1 } else { inputs };
        Convolution {
            name: name.into(),
            weights: (0..count).map(|i| (i % 7) as f32 - 3.0).collect(),
            bias: vec![0.5; outputs],
            inputs,
            outputs,
            is_depthwise,
            window: [window; 2],
            stride: [1; 2],
            before: [window / 2; 2],
            after: [window / 2; 2],
            input: PICTURE,
            added: None,
            activation: Activation::Clip(6.0),
            output: 0,
        }
    }

    /// The picture, a convolution of 3 x 3, a depthwise one and a 1x1 convolution without limits.
    fn network() -> Network {
        let mut convolutions = vec![
            convolution("first", [3, 8], 3),
            convolution("depthwise", [8, 8], 3),
            convolution("last", [8, 20], 1),
        ];
        for (at, c) in convolutions.iter_mut().enumerate() {
            (c.input, c.output) = (at, at + 1);
        }
        convolutions[2].activation = Activation::Linear;
        let values = ["picture", "a", "b", "c"].map(String::from).to_vec();
        Network { values, convolutions, taps: vec![3] }
    }

    fn made(network: &Network) -> Result<Quantised, Unsupported> {
        let preprocessing = Preprocessing { mean: [0.5; 3], std: [0.5; 3] };
        let range_of = |name: &str| (name == "c").then_some(Range { low: -9.0, high: 12.0 });
        quantise(network, [16, 24], preprocessing, &range_of)
    }

    #[test]
    fn a_depthwise_convolution_joins_the_one_before_it() {
        let network = made(&network()).expect("is supported");
        let kinds: Vec<&str> = (network.layers.iter())
            .map(|layer| match layer {
                Layer::Patches { .. } => "patches",
                Layer::Pointwise { .. } => "pointwise",
                Layer::Spatial { .. } => "spatial",
            })
            .collect();
        assert_eq!(kinds, ["patches", "spatial", "pointwise"]);
        assert!(!network.maps[1].is_stored && network.maps[2].is_stored);
        let tap = network.maps[3];
        assert_eq!((tap.channels, tap.height, tap.width, tap.panels()), (20, 16, 24, 2));
        assert_eq!(tap.bytes.zero, 109);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_name() {
        type Change = fn(&mut Network);
        let cases: [(Change, &str); 9] = [
            (|n| n.values[3] = "d".into(), "nobody knows the range of d"),
            (|n| n.convolutions[1].stride = [2, 1], "depthwise has an unusual window"),
            (|n| n.convolutions[2].window = [3, 1], "weights that do not fit its window"),
            (|n| n.convolutions[2].stride = [2, 2], "last is neither depthwise nor 1x1"),
            (|n| n.convolutions[2].inputs = 9, "does not fit the channels"),
            (|n| n.convolutions[2].added = Some(2), "adds a map of another size"),
            (|n| n.taps = vec![1, 3], "is not the only one that reads its input"),
            (|n| n.convolutions[1].bias[3] = f32::INFINITY, "depthwise are too large"),
            (|n| n.convolutions[2].bias[0] = 1e12, "last are too large"),
        ];
        for (change, word) in cases {
            let mut network = network();
            change(&mut network);
            let error = made(&network).expect_err(word);
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn weights_are_off_by_half_a_step_at_most() {
        let weights = [0.3, -1.0, 0.004, 0.0];
        let (scale, whole) = whole(weights.into_iter());
        assert_eq!(whole[1], -127);
        for (weight, whole) in weights.iter().zip(whole) {
            assert!((weight - f64::from(whole) * scale).abs() <= 0.5 * scale);
        }
    }
}
