//! This module computes depthwise convolutions for tract. Each channel has one small window, and
//! the loops are vectorised along the row.
//!
//! # Why it is here
//! tract (0.23) vectorises a depthwise convolution only where its stride is 1 and its rows are
//! long. With stride 2, and on the short rows of deep layers, it computes one value at a time. That
//! took 16 of the 26 ms of EfficientNet-Lite0. [`replace`] puts the operator below in its place and
//! merges a following clip (`min(max(v, low), high)`, ReLU6) into it. This code belongs into tract
//! and stays here until tract has it.
//!
//! # How
//! For every channel, the code copies the plane once into rows with their padding and splits the
//! rows by column phase. With stride `s`, phase `p` holds the columns `p, p + s, p + 2s, ..`. Tap
//! `dx` of [`LANES`] neighbouring outputs then reads `LANES` neighbouring values. They lie in phase
//! `dx % s` from index `dx / s` on, whatever the stride is:
//!
//! ```text
//! out[y][x..x+LANES] = clip(bias + sum over dy, dx of w[dy][dx] * phase[dx % s][y * s + dy][x + dx / s ..])
//! ```
//!
//! The compiler turns a run of `LANES` values into vector instructions for the best instruction set
//! of the processor, which `pulp` detects. The products are added in the order of the taps, without
//! fused multiply-add. So every processor and any number of threads give the same bits.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::sync::Arc;
use tract_core::internal::*;
use tract_core::ops::binary::TypedBinOp;
use tract_core::ops::cnn::{Conv, KernelFormat, PaddingSpec};
use tract_core::ops::math;
use tract_core::ops::nn::DataFormat;

/// The number of values in the longest vector register.
const LANES: usize = 16;
/// The number of output rows that are computed together.
const TILE: usize = 4;

/// A depthwise convolution with constant weights, followed by a clip. Its input and output maps
/// have the shape `[1, channels, height, width]` or `[channels, height, width]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Depthwise {
    /// The weights, `[channels, window height, window width]`.
    kernel: Arc<Tensor>,
    /// The bias, one value per channel.
    bias: Arc<Tensor>,
    /// The lower and the upper bound of the result. An infinite bound clips nothing.
    bounds: Arc<Tensor>,
    geometry: Geometry,
}

/// The sizes of a convolution. Each pair holds rows, then columns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Geometry {
    input: [usize; 2],
    output: [usize; 2],
    window: [usize; 2],
    stride: [usize; 2],
    /// The rows above and the columns left of the input that count as zero.
    before: [usize; 2],
}

/// Puts [`Depthwise`] in place of every depthwise convolution that it can compute. `model` must be
/// decluttered. A convolution must be 32-bit, with constant weights and bias, without dilation, and
/// with explicit padding or none.
pub fn replace(model: &mut TypedModel) -> TractResult<()> {
    Rewriter::<()>::default().with_rule_for("hetmm-depthwise", rewrite).rewrite(&(), model)
}

fn rewrite(
    _: &(),
    model: &TypedModel,
    node: &TypedNode,
    name: &str,
    conv: &Conv,
) -> TractResult<Option<TypedModelPatch>> {
    let Some(mut op) = Depthwise::from_conv(model, node, conv)? else { return Ok(None) };
    let mut last = node;
    if let Some((max, low)) = successor(model, last, |op| op.is::<math::Max>())?
        && let Some((min, high)) = successor(model, max, |op| op.is::<math::Min>())?
    {
        op.bounds = tensor1(&[low, high]).into_arc_tensor();
        last = min;
    }
    let mut patch = TypedModelPatch::new("depthwise convolution");
    let input = patch.tap_model(model, node.inputs[0])?;
    let output = patch.wire_node(format!("{name}.depthwise"), op, &[input])?;
    patch.shunt_outside(model, last.id.into(), output[0])?;
    Ok(Some(patch))
}

/// Returns the only user of `node`'s output and its constant operand. Returns `None` unless that
/// user is the given operation with one constant number.
fn successor<'a>(
    model: &'a TypedModel,
    node: &TypedNode,
    is: impl Fn(&dyn tract_core::ops::binary::BinMiniOp) -> bool,
) -> TractResult<Option<(&'a TypedNode, f32)>> {
    if model.output_outlets()?.iter().any(|o| o.node == node.id) {
        return Ok(None);
    }
    let [next] = node.outputs[0].successors[..] else { return Ok(None) };
    let next = model.node(next.node);
    let Some(TypedBinOp(op, _)) = next.op_as::<TypedBinOp>() else { return Ok(None) };
    if !is(op.as_ref()) || next.inputs.len() != 2 {
        return Ok(None);
    }
    let other = if next.inputs[0].node == node.id { next.inputs[1] } else { next.inputs[0] };
    let fact = model.outlet_fact(other)?;
    let number = match &fact.konst {
        Some(t) if t.len() == 1 && t.datum_type() == f32::datum_type() => {
            t.to_plain_array_view::<f32>()?.iter().next().copied()
        }
        _ => None,
    };
    Ok(number.map(|number| (next, number)))
}

impl Depthwise {
    fn from_conv(model: &TypedModel, node: &TypedNode, conv: &Conv) -> TractResult<Option<Self>> {
        let spec = &conv.pool_spec;
        let channels = conv.group;
        let fact = model.outlet_fact(node.inputs[0])?;
        let depthwise = channels > 1
            && spec.input_channels == channels
            && spec.output_channels == channels
            && conv.q_params.is_none()
            && conv.kernel_fmt == KernelFormat::OIHW
            && matches!(spec.data_format, DataFormat::NCHW | DataFormat::CHW)
            && spec.kernel_shape.len() == 2
            && spec.dilations().iter().all(|&d| d == 1)
            && node.inputs.len() == 3
            && fact.datum_type == f32::datum_type();
        let (Some(shape), true) = (fact.shape.as_concrete(), depthwise) else { return Ok(None) };
        let konst = |i: usize| -> TractResult<Option<Arc<Tensor>>> {
            Ok(model.outlet_fact(node.inputs[i])?.konst.clone())
        };
        let (Some(kernel), Some(bias)) = (konst(1)?, konst(2)?) else { return Ok(None) };
        let window = [spec.kernel_shape[0], spec.kernel_shape[1]];
        let before = match &spec.padding {
            PaddingSpec::Explicit(before, _) if before.len() == 2 => [before[0], before[1]],
            PaddingSpec::Valid => [0, 0],
            _ => return Ok(None),
        };
        let out = model.outlet_fact(node.id.into())?;
        let (&[.., in_c, in_h, in_w], Some(&[.., out_h, out_w])) = (shape, out.shape.as_concrete())
        else {
            return Ok(None);
        };
        let batches: usize = shape[..shape.len() - 3].iter().product();
        let fits = batches == 1
            && in_c == channels
            && kernel.len() == channels * window[0] * window[1]
            && bias.len() == channels
            && [&kernel, &bias].iter().all(|t| t.datum_type() == f32::datum_type());
        Ok(fits.then(|| Depthwise {
            kernel,
            bias,
            bounds: tensor1(&[f32::NEG_INFINITY, f32::INFINITY]).into_arc_tensor(),
            geometry: Geometry {
                input: [in_h, in_w],
                output: [out_h, out_w],
                window,
                stride: [spec.stride(0), spec.stride(1)],
                before,
            },
        }))
    }
}

impl Op for Depthwise {
    fn name(&self) -> StaticName {
        "Depthwise".into()
    }

    fn validation(&self) -> Validation {
        Validation::Rounding
    }

    op_as_typed_op!();
}

impl EvalOp for Depthwise {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let [height, width] = self.geometry.output;
        let mut shape: TVec<usize> = input.shape().into();
        let rank = shape.len();
        shape[rank - 2] = height;
        shape[rank - 1] = width;
        let mut output = Tensor::zero::<f32>(&shape)?;
        let (input, kernel, bias, bounds) = (
            input.to_plain_array_view::<f32>()?,
            self.kernel.to_plain_array_view::<f32>()?,
            self.bias.to_plain_array_view::<f32>()?,
            self.bounds.to_plain_array_view::<f32>()?,
        );
        let mut view = output.to_plain_array_view_mut::<f32>()?;
        let (Some(input), Some(kernel), Some(bias), Some(&[low, high]), Some(out)) = (
            input.as_slice(),
            kernel.as_slice(),
            bias.as_slice(),
            bounds.as_slice(),
            view.as_slice_mut(),
        ) else {
            bail!("a tensor is not contiguous")
        };
        let geometry = &self.geometry;
        let arch = Arch::new();
        let [input_plane, window] = [geometry.input, geometry.window].map(|[h, w]| (h * w).max(1));
        (input.par_chunks_exact(input_plane))
            .zip(out.par_chunks_exact_mut((height * width).max(1)))
            .zip(kernel.par_chunks_exact(window).zip(bias))
            // A plane takes a few microseconds, so a task takes several planes.
            .with_min_len(16)
            .for_each_init(
                || geometry.scratch(),
                |rows, ((input, out), (kernel, &bias))| {
                    let plane = Plane { geometry, kernel, bias, low, high };
                    arch.dispatch(Task { plane, input, rows, out });
                },
            );
        Ok(tvec!(output.into_tvalue()))
    }
}

impl TypedOp for Depthwise {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let mut fact = inputs[0].without_value();
        let rank = fact.rank();
        fact.shape.set(rank - 2, self.geometry.output[0].to_dim());
        fact.shape.set(rank - 1, self.geometry.output[1].to_dim());
        Ok(tvec!(fact))
    }

    as_op!();
}

impl Geometry {
    /// Returns the rows of a padded plane. They are enough for whole groups of [`TILE`] output
    /// rows.
    fn rows(&self) -> usize {
        (self.output[0].max(1).next_multiple_of(TILE) - 1) * self.stride[0] + self.window[0]
    }

    /// Returns the columns of one phase. They are enough for whole groups of [`LANES`] outputs at
    /// every tap.
    fn columns(&self) -> usize {
        self.output[1].next_multiple_of(LANES) + (self.window[1] - 1) / self.stride[1]
    }

    /// Makes room for one plane, `[phase][row][column]`, filled with zeros.
    fn scratch(&self) -> Vec<f32> {
        vec![0.0; self.stride[1] * self.rows() * self.columns()]
    }
}

/// The weights and limits of one channel.
struct Plane<'a> {
    geometry: &'a Geometry,
    kernel: &'a [f32],
    bias: f32,
    low: f32,
    high: f32,
}

/// The work on one channel, in a form that is compiled separately for every instruction set.
struct Task<'a> {
    plane: Plane<'a>,
    input: &'a [f32],
    rows: &'a mut [f32],
    out: &'a mut [f32],
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<V: Simd>(self, simd: V) {
        self.plane.run(simd, self.input, self.rows, self.out);
    }
}

impl Plane<'_> {
    /// Computes one channel. `rows` comes from [`Geometry::scratch`], and its padding stays zero.
    #[inline(always)]
    fn run<V: Simd>(&self, simd: V, input: &[f32], rows: &mut [f32], out: &mut [f32]) {
        self.spread(input, rows);
        match (self.geometry.window, self.geometry.stride) {
            ([3, 3], [1, 1]) => self.convolve::<V, 3, 1>(simd, rows, out),
            ([3, 3], [2, 2]) => self.convolve::<V, 3, 2>(simd, rows, out),
            ([5, 5], [1, 1]) => self.convolve::<V, 5, 1>(simd, rows, out),
            ([5, 5], [2, 2]) => self.convolve::<V, 5, 2>(simd, rows, out),
            _ => self.convolve::<V, 0, 0>(simd, rows, out),
        }
    }

    /// Copies the plane into padded rows, split by column phase.
    #[inline(always)]
    fn spread(&self, input: &[f32], rows: &mut [f32]) {
        let g = self.geometry;
        let (count, columns, stride) = (g.rows(), g.columns(), g.stride[1]);
        for (y, line) in input.chunks_exact(g.input[1]).enumerate() {
            let row = y + g.before[0];
            if row >= count {
                break;
            }
            for phase in 0..stride {
                let target = &mut rows[(phase * count + row) * columns..][..columns];
                // This is the first column of the phase that lies in the input.
                let skipped = g.before[1].saturating_sub(phase).div_ceil(stride);
                let first = skipped * stride + phase - g.before[1];
                let values = line.get(first..).unwrap_or_default();
                let target = &mut target[skipped.min(columns)..];
                if stride == 1 {
                    let length = values.len().min(target.len());
                    target[..length].copy_from_slice(&values[..length]);
                } else if stride == 2 {
                    let pairs = values.chunks_exact(2);
                    let last = pairs.remainder().first();
                    let length = (values.len() / 2).min(target.len());
                    target[..length].iter_mut().zip(pairs).for_each(|(to, pair)| *to = pair[0]);
                    if let (Some(to), Some(last)) = (target.get_mut(length), last) {
                        *to = *last;
                    }
                } else {
                    target
                        .iter_mut()
                        .zip(values.iter().step_by(stride))
                        .for_each(|(to, v)| *to = *v);
                }
            }
        }
    }

    /// Computes the sums over the window, for one register of neighbouring outputs in each of
    /// [`TILE`] rows at a time. So an addition need not wait for the one before it. `K` is the
    /// width and height of the window, and `S` is both strides. Both are 0 where these sizes are
    /// known only at run time.
    #[inline(always)]
    fn convolve<V: Simd, const K: usize, const S: usize>(
        &self,
        simd: V,
        rows: &[f32],
        out: &mut [f32],
    ) {
        let g = self.geometry;
        let (count, columns, width) = (g.rows(), g.columns(), g.output[1]);
        let (window, stride) = if K == 0 { (g.window, g.stride) } else { ([K; 2], [S; 2]) };
        let (low, high) = (simd.splat_f32s(self.low), simd.splat_f32s(self.high));
        for (tile, out) in out.chunks_mut(TILE * width).enumerate() {
            for first in (0..width).step_by(V::F32_LANES) {
                let mut sums = [simd.splat_f32s(self.bias); TILE];
                for dy in 0..window[0] {
                    for dx in 0..window[1] {
                        let weight = simd.splat_f32s(self.kernel[dy * window[1] + dx]);
                        let start = (dx % stride[1] * count + tile * TILE * stride[0] + dy)
                            * columns
                            + first
                            + dx / stride[1];
                        for (j, sum) in sums.iter_mut().enumerate() {
                            let values = &rows[start + j * stride[0] * columns..][..V::F32_LANES];
                            let values = V::as_simd_f32s(values).0[0];
                            *sum = simd.add_f32s(*sum, simd.mul_f32s(weight, values));
                        }
                    }
                }
                for (out, sum) in out.chunks_mut(width).zip(sums) {
                    let sum = simd.min_f32s(high, simd.max_f32s(low, sum));
                    let sum: &[f32] = bytemuck::cast_slice(std::slice::from_ref(&sum));
                    let count = (width - first).min(V::F32_LANES);
                    out[first..first + count].copy_from_slice(&sum[..count]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tract_core::ops::cnn::PoolSpec;

    /// Makes a model with one convolution, and with a clip where bounds are given.
    fn model(
        (channels, height, width): (usize, usize, usize),
        window: usize,
        stride: usize,
        padding: PaddingSpec,
        bounds: Option<[f32; 2]>,
    ) -> TractResult<TypedModel> {
        let value = |i: usize| ((i * 37 + 11) % 101) as f32 / 50.0 - 1.0;
        let mut model = TypedModel::default();
        let mut wire = model.add_source("x", f32::fact([1, channels, height, width]))?;
        let kernel: Vec<f32> = (0..channels * window * window).map(value).collect();
        let kernel = Tensor::from_shape(&[channels, 1, window, window], &kernel)?;
        let bias = tensor1(&(0..channels).map(value).collect::<Vec<_>>());
        let conv = Conv {
            pool_spec: PoolSpec {
                data_format: DataFormat::NCHW,
                kernel_shape: tvec![window, window],
                padding,
                dilations: None,
                strides: Some(tvec![stride, stride]),
                input_channels: channels,
                output_channels: channels,
            },
            kernel_fmt: KernelFormat::OIHW,
            group: channels,
            q_params: None,
        };
        let inputs = [wire, model.add_const("k", kernel)?, model.add_const("b", bias)?];
        wire = model.wire_node("conv", conv, &inputs)?[0];
        if let Some([low, high]) = bounds {
            let number = |v: f32| Tensor::from_shape(&[1, 1, 1, 1], &[v]);
            let low = model.add_const("low", number(low)?)?;
            wire = model.wire_node("max", math::max(), &[wire, low])?[0];
            let high = model.add_const("high", number(high)?)?;
            wire = model.wire_node("min", math::min(), &[wire, high])?[0];
        }
        model.select_output_outlets(&[wire])?;
        Ok(model)
    }

    #[test]
    fn it_computes_what_tract_computes_in_one_node() -> TractResult<()> {
        let explicit = |before: usize, after: usize| {
            PaddingSpec::Explicit(tvec![before, before], tvec![after, after])
        };
        let relu6 = Some([0.0, 6.0]);
        let cases = [
            ((5, 9, 40), 3, 1, explicit(1, 1), relu6),
            ((5, 9, 40), 3, 2, explicit(0, 1), relu6),
            ((2, 33, 31), 5, 2, explicit(1, 2), None),
            ((40, 8, 8), 5, 1, explicit(2, 2), relu6),
            ((3, 4, 4), 5, 2, explicit(2, 2), Some([-0.5, 0.5])),
            ((3, 17, 18), 7, 3, explicit(3, 2), None),
            ((2, 12, 16), 3, 1, PaddingSpec::Valid, None),
            ((2, 3, 3), 3, 1, PaddingSpec::Valid, relu6),
            ((4, 1, 1), 3, 1, explicit(1, 1), relu6),
        ];
        for (i, (size, window, stride, padding, bounds)) in cases.into_iter().enumerate() {
            let plain = model(size, window, stride, padding, bounds)?.into_decluttered()?;
            let mut ours = plain.clone();
            replace(&mut ours)?;
            assert!(ours.nodes().iter().any(|n| n.op_is::<Depthwise>()), "case {i}: not replaced");
            let binary = |m: &TypedModel| m.nodes().iter().any(|n| n.op_is::<TypedBinOp>());
            assert!(!binary(&ours), "case {i}: the clip was left");
            let (channels, height, width) = size;
            let input: Vec<f32> =
                (0..channels * height * width).map(|i| ((i * 13) % 29) as f32 / 7.0).collect();
            let input = Tensor::from_shape(&[1, channels, height, width], &input)?;
            let run = |m: TypedModel| m.into_runnable()?.run(tvec!(input.clone().into_tvalue()));
            let (want, got) = (run(plain)?, run(ours)?);
            got[0]
                .close_enough(&want[0], Approximation::Approximate)
                .with_context(|| format!("case {i}"))?;
        }
        Ok(())
    }

    #[test]
    fn an_output_between_convolution_and_clip_stays() -> TractResult<()> {
        let mut model = model(
            (4, 8, 8),
            3,
            1,
            PaddingSpec::Explicit(tvec![1, 1], tvec![1, 1]),
            Some([0.0, 1.0]),
        )?;
        let outputs: TVec<OutletId> = ["conv", "min"]
            .iter()
            .map(|n| Ok(model.node_id_by_name(n)?.into()))
            .collect::<TractResult<_>>()?;
        model.select_output_outlets(&outputs)?;
        let input = Tensor::from_shape(&[1, 4, 8, 8], &[0.7f32; 256])?;
        let run = |m: TypedModel| m.into_runnable()?.run(tvec!(input.clone().into_tvalue()));
        let want = run(model.clone())?;
        replace(&mut model)?;
        for (got, want) in run(model)?.iter().zip(&want) {
            got.close_enough(want, Approximation::Approximate)?;
        }
        Ok(())
    }
}
