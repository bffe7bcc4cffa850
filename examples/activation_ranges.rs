//! Prints the ranges of a network's values for the eight-bit feature extractor (`int8`).
//!
//!     cargo run --release --example activation_ranges [M.onnx [PICTURES]]
//!
//! It computes made-up pictures in 32 bits by tract: noise of many scales, shapes and stripes, in many colours and
//! contrasts. For every output of the network that ends in `.proj`, it prints 0.8 times the smallest and the largest
//! value, rounded outwards. The line can stand in the model's metadata as `hetmm.ranges`.

use rayon::prelude::*;
use std::f32::consts::{PI, TAU};
use tract_core::prelude::*;
use tract_onnx::prelude::*;

/// The side of the pictures in pixels.
const SIDE: usize = 256;
/// The factor of the extremes. Values beyond are rare, and narrower ranges have finer steps.
const SHARE: f32 = 0.8;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "models/efficientnet_lite0.onnx".into());
    let count: u64 = std::env::args().nth(2).map_or(Ok(240), |n| n.parse())?;
    let proto = tract_onnx::onnx().proto_model_for_read(&mut &std::fs::read(&path)?[..])?;
    let outputs =
        proto.graph.iter().flat_map(|graph| &graph.output).map(|output| output.name.clone());
    let names: Vec<String> = outputs.filter(|name| name.ends_with(".proj")).collect();
    let mut model = tract_onnx::onnx().model_for_proto_model(&proto)?;
    model.select_outputs_by_name(&names)?;
    model.set_input_fact(0, f32::fact([1, 3, SIDE, SIDE]).into())?;
    let plan = model.into_optimized()?.into_runnable()?;
    let extremes = |seed: u64| -> Result<Vec<[f32; 2]>> {
        let input = Tensor::from_shape(&[1, 3, SIDE, SIDE], &normalised(&picture(seed)))?;
        let outputs = plan.run(tvec!(input.into_tvalue()))?;
        let of_output = |output: &TValue| -> Result<[f32; 2]> {
            let values = output.to_plain_array_view::<f32>()?;
            Ok(values.iter().fold([0.0, 0.0], |[low, high], &v| [v.min(low), v.max(high)]))
        };
        outputs.iter().map(of_output).collect()
    };
    let of_pictures: Vec<Vec<[f32; 2]>> =
        (1..=count).into_par_iter().map(extremes).collect::<Result<_>>()?;
    let ranges = names.iter().enumerate().map(|(at, name)| {
        let joined = of_pictures.iter().map(|of_outputs| of_outputs[at]);
        let [low, high] = joined.fold([0.0f32; 2], |a, b| [a[0].min(b[0]), a[1].max(b[1])]);
        format!("{name}:{}:{}", (SHARE * low).floor(), (SHARE * high).ceil())
    });
    println!("{}", ranges.collect::<Vec<_>>().join(","));
    Ok(())
}

/// The planes of a picture as the bundled network takes them: `(pixel - 127) / 128`.
fn normalised(samples: &[u8]) -> Vec<f32> {
    let plane =
        |c: usize| samples.iter().skip(c).step_by(3).map(|&v| (f32::from(v) - 127.0) / 128.0);
    (0..3).flat_map(plane).collect()
}

/// Numbers that look random (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// From 0 to 1.
    fn share(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }

    fn colour(&mut self) -> [f32; 3] {
        match self.share() < 0.5 {
            true => [self.share(); 3],
            false => std::array::from_fn(|_| self.share()),
        }
    }
}

/// A made-up picture, `[row][column][colour]`.
fn picture(seed: u64) -> Vec<u8> {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) + 1);
    for _ in 0..10 {
        random.next();
    }
    let (base, gain) = (random.colour(), 0.2 + 1.2 * random.share());
    let fading = 0.4 + 0.6 * random.share();
    let grey = noise(&mut random, fading);
    let planes: [Vec<f32>; 3] = std::array::from_fn(|_| match random.share() < 0.5 {
        true => grey.clone(),
        false => noise(&mut random, fading),
    });
    let mut values: Vec<[f32; 3]> = (0..SIDE * SIDE)
        .map(|at| std::array::from_fn(|c| base[c] + gain * planes[c][at]))
        .collect();
    if !seed.is_multiple_of(3) {
        (0..1 + random.next() % 12).for_each(|_| shape(&mut random, &mut values));
    }
    if seed % 3 > 1 {
        stripes(&mut random, &mut values);
    }
    values.iter().flatten().map(|v| (255.0 * v).clamp(0.0, 255.0) as u8).collect()
}

/// Noise of all scales from half a picture to a pixel. Each scale has `fading` times the strength of the one before.
fn noise(random: &mut Random, fading: f32) -> Vec<f32> {
    let mut plane = vec![0.0; SIDE * SIDE];
    let (mut cells, mut strength) = (2, 1.0);
    while cells <= SIDE {
        let grid: Vec<f32> = (0..(cells + 1) * (cells + 1)).map(|_| random.share() - 0.5).collect();
        for (at, value) in plane.iter_mut().enumerate() {
            let [x, y] = [at % SIDE, at / SIDE].map(|v| v as f32 * cells as f32 / SIDE as f32);
            let (column, row, dx, dy) = (x as usize, y as usize, x.fract(), y.fract());
            let corner = |c: usize, r: usize| grid[(row + r) * (cells + 1) + column + c];
            let along = |r: usize| corner(0, r) * (1.0 - dx) + corner(1, r) * dx;
            *value += strength * (along(0) * (1.0 - dy) + along(1) * dy);
        }
        (cells, strength) = (2 * cells, strength * fading);
    }
    plane
}

/// Draws an ellipse, a bar or a ring.
fn shape(random: &mut Random, values: &mut [[f32; 3]]) {
    let side = SIDE as f32;
    let (colour, kind) = (random.colour(), random.next() % 3);
    let (cx, cy) = (side * random.share(), side * random.share());
    let radius = (0.02 + 0.4 * random.share() * random.share()) * side;
    let (aspect, (sine, cosine)) = (0.1 + random.share(), (TAU * random.share()).sin_cos());
    for (at, value) in values.iter_mut().enumerate() {
        let (x, y) = ((at % SIDE) as f32 - cx, (at / SIDE) as f32 - cy);
        let (u, v) = (x * cosine + y * sine, y * cosine - x * sine);
        let distance = u.hypot(v);
        let is_inside = match kind {
            0 => u.hypot(v / aspect) < radius,
            1 => u.abs() < radius && v.abs() < radius * aspect,
            _ => distance < radius && distance > 0.8 * radius,
        };
        if is_inside {
            *value = std::array::from_fn(|c| 0.8 * colour[c] + 0.2 * value[c]);
        }
    }
}

/// Adds waves or stripes.
fn stripes(random: &mut Random, values: &mut [[f32; 3]]) {
    let (period, strength) = (3.0 + 30.0 * random.share(), 0.1 + 0.5 * random.share());
    let (are_hard, (sine, cosine)) = (random.share() < 0.5, (PI * random.share()).sin_cos());
    for (at, value) in values.iter_mut().enumerate() {
        let along = (at % SIDE) as f32 * cosine + (at / SIDE) as f32 * sine;
        let wave = (TAU * along / period).sin();
        let wave = strength * if are_hard { wave.signum() } else { wave };
        value.iter_mut().for_each(|v| *v += wave);
    }
}
