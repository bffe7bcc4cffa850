//! Each kernel of the network in eight bits against the plain one, bit by bit.

use crate::bytes::{Bytes, Numbers};
use hetmm::backbone::kernels::{
    Block, Finish, Kernel, Matrix, Panels, PointwiseTask, ROW_WEIGHTS, Spatial, SpatialTask,
    TOGETHER, WINDOWS, Weights,
};

fn blocks(numbers: &mut Numbers, count: usize) -> Vec<Block> {
    (0..count).map(|_| std::array::from_fn(|_| numbers.next() as u8)).collect()
}

fn weights(numbers: &mut Numbers, count: usize) -> Vec<Weights> {
    let weight = |number: u64| ((number % 255) as u8 as i8).max(-127);
    (0..count).map(|_| std::array::from_fn(|_| weight(numbers.next()))).collect()
}

/// The sums of the weights of each output, with scales that reach all bytes and beyond.
fn finish(numbers: &mut Numbers, panels: &[Weights]) -> Finish {
    let mut sums = [0; 16];
    for (at, weight) in panels.iter().flat_map(|four| four.iter().enumerate()) {
        sums[at / 4] += i32::from(*weight);
    }
    let mut number = |most: u64| (numbers.next() % most) as f32;
    Finish {
        weights: sums,
        scale: std::array::from_fn(|_| number(1000) * 2e-6),
        offset: std::array::from_fn(|_| number(400) - 80.5),
        factor: std::array::from_fn(|_| number(100) * 0.01),
    }
}

pub fn run(input: &[u8]) {
    let mut bytes = Bytes(input);
    let mut numbers = bytes.numbers();
    match bytes.flag() {
        true => pointwise(&mut bytes, &mut numbers),
        false => spatial(&mut bytes, &mut numbers),
    }
}

fn pointwise(bytes: &mut Bytes, numbers: &mut Numbers) {
    let (inputs, outputs) = (bytes.between(1, 6), bytes.between(1, 7));
    let pitch = bytes.between(1, 9);
    let first = bytes.between(0, pitch - 1);
    let count = bytes.between(1, pitch - first);
    let (input, added) = (blocks(numbers, inputs * pitch), blocks(numbers, outputs * pitch));
    let packed = weights(numbers, 4 * inputs * outputs);
    let finish: Vec<Finish> =
        packed.chunks_exact(4 * inputs).map(|panel| finish(numbers, panel)).collect();
    let added = bytes.flag().then_some(Panels { blocks: &added, pitch });
    let results = Kernel::all().into_iter().map(|kernel| {
        let mut out = vec![[0; 64]; outputs * count];
        kernel.pointwise(PointwiseTask {
            matrix: Matrix { inputs, weights: &packed, finish: &finish },
            panel: 0,
            input: Panels { blocks: &input, pitch },
            first,
            added,
            out: &mut out.chunks_exact_mut(count).collect::<Vec<_>>(),
        });
        (kernel.name(), out)
    });
    all_equal(results);
}

fn spatial(bytes: &mut Bytes, numbers: &mut Numbers) {
    let (window, stride, before) = WINDOWS[bytes.between(0, WINDOWS.len() - 1)];
    let input_size = [bytes.between(1, 9), bytes.between(1, 21)];
    let size = input_size.map(|side| (side - 1) / stride + 1);
    let (inputs, panels) = (bytes.between(1, 3), bytes.between(1, TOGETHER));
    let pitch = input_size[0] * input_size[1].div_ceil(4);
    let map = blocks(numbers, inputs * pitch);
    let packed = weights(numbers, 4 * inputs * panels);
    let of_matrix: Vec<Finish> =
        packed.chunks_exact(4 * inputs).map(|panel| finish(numbers, panel)).collect();
    let (depthwise, of_depthwise) = depthwise(numbers, (window, stride, before), panels);
    let layer = Spatial {
        matrix: Matrix { inputs, weights: &packed, finish: &of_matrix },
        weights: &depthwise,
        finish: &of_depthwise,
        input: input_size,
        output: size,
        window,
        stride,
        before,
    };
    let results = Kernel::all().into_iter().map(|kernel| {
        let mut out = vec![[0; 64]; panels * size[0] * size[1].div_ceil(4)];
        let mut ring = vec![[0; 64]; panels * layer.ring()];
        kernel.spatial(SpatialTask {
            layer: &layer,
            panel: 0,
            panels,
            input: Panels { blocks: &map, pitch },
            ring: &mut ring,
            out: &mut out,
        });
        (kernel.name(), out)
    });
    all_equal(results);
}

/// The weights of a depthwise convolution: zero outside the window, once for each of four neighbouring outputs.
fn depthwise(
    numbers: &mut Numbers,
    (window, stride, before): (usize, usize, usize),
    panels: usize,
) -> (Vec<Weights>, Vec<Finish>) {
    let mut packed = vec![[0; 64]; panels * window * ROW_WEIGHTS];
    let mut sums = vec![[0; 16]; panels];
    for at in 0..panels * window * window * 16 {
        let weight = ((numbers.next() % 255) as u8 as i8).max(-127);
        let (lane, dx, dy) = (at % 16, at / 16 % window, at / 16 / window % window);
        let panel = at / 16 / window / window;
        sums[panel][lane] += i32::from(weight);
        for o in 0..4 {
            let column = 4 + o * stride + dx - before;
            let place = (panel * window + dy) * ROW_WEIGHTS + column / 4 * 4 + o;
            packed[place][4 * lane + column % 4] = weight;
        }
    }
    let finish = sums.into_iter().map(|weights| Finish { weights, ..finish(numbers, &[]) });
    let finish = finish.collect();
    (packed, finish)
}

fn all_equal(mut results: impl Iterator<Item = (&'static str, Vec<Block>)>) {
    let (_, plain) = results.next().expect("there is always the plain one");
    for (name, result) in results {
        assert_eq!(result, plain, "{name}");
    }
}
