//! This module holds the two kernels, written once for all instruction sets.
//!
//! A map is stored by panels of 16 channels, and each panel by blocks of four neighbouring pixels:
//! `[panel][row][block][pixel][channel]`. A 1x1 convolution broadcasts four channels of a pixel and
//! multiplies them with four weights of each of 16 outputs.
//!
//! A depthwise convolution reads blocks `[channel][pixel]`, so that a dot product of four bytes
//! runs along the row. Four neighbouring outputs read the same blocks, each with its own weights:
//!
//! ```text
//! out[4 j + o][c] = sum over dy, b of dot4(row[dy][S j + b][c], weights[dy][b][o][c])
//! ```
//!
//! Weights outside the window are zero. The rows that it reads come from the 1x1 convolution
//! before it. They live in a ring of as many rows as the window has, which stays in the nearest
//! cache.

use super::lanes::{Block, Finish, Isa, Weights};

/// The weights of a 1x1 convolution.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    /// The number of panels of the input.
    pub inputs: usize,
    /// `[panel of outputs][panel of inputs][quad]`, four quads per panel of inputs.
    pub weights: &'a [Weights],
    /// One per panel of outputs.
    pub finish: &'a [Finish],
}

/// The blocks of a map, one panel after the other.
#[derive(Clone, Copy)]
pub struct Panels<'a> {
    /// All blocks.
    pub blocks: &'a [Block],
    /// The number of blocks from one panel to the next.
    pub pitch: usize,
}

/// Computes the sums of `B` blocks for `P` panels of outputs.
#[allow(clippy::needless_range_loop, reason = "the loops have fixed lengths and are unrolled")]
#[inline(always)]
fn sums<I: Isa, const B: usize, const P: usize>(
    isa: I,
    matrix: Matrix,
    panel: usize,
    input: Panels,
    block: usize,
) -> [[[I::Sums; 4]; B]; P] {
    let mut sums = [[[isa.start(&matrix.finish[panel]); 4]; B]; P];
    for p in 1..P {
        sums[p] = [[isa.start(&matrix.finish[panel + p]); 4]; B];
    }
    for i in 0..matrix.inputs {
        let blocks = &input.blocks[i * input.pitch + block..][..B];
        let mut weights = [&matrix.weights[..4]; P];
        for (p, weights) in weights.iter_mut().enumerate() {
            *weights = &matrix.weights[4 * ((panel + p) * matrix.inputs + i)..][..4];
        }
        for quad in 0..4 {
            let mut of_panels = [isa.weights(&weights[0][quad]); P];
            for p in 1..P {
                of_panels[p] = isa.weights(&weights[p][quad]);
            }
            for b in 0..B {
                for pixel in 0..4 {
                    let at = 16 * pixel + 4 * quad;
                    let block = &blocks[b];
                    let bytes =
                        isa.broadcast([block[at], block[at + 1], block[at + 2], block[at + 3]]);
                    for p in 0..P {
                        sums[p][b][pixel] = isa.dot(sums[p][b][pixel], bytes, of_panels[p]);
                    }
                }
            }
        }
    }
    sums
}

/// Computes a 1x1 convolution at `blocks` blocks from block `first` on, for the `P` panels of
/// outputs from `panel` on. `out` has one slice per panel, which begin at block `first`.
#[inline(always)]
pub fn pointwise<I: Isa, const B: usize, const P: usize>(
    isa: I,
    matrix: Matrix,
    panel: usize,
    input: Panels,
    first: usize,
    added: Option<Panels>,
    out: &mut [&mut [Block]],
) {
    let count = out[0].len();
    let mut at = 0;
    while at + B <= count {
        pointwise_tile::<I, B, P>(isa, matrix, panel, input, (first, at), added, out);
        at += B;
    }
    while at < count {
        pointwise_tile::<I, 1, P>(isa, matrix, panel, input, (first, at), added, out);
        at += 1;
    }
}

#[inline(always)]
fn pointwise_tile<I: Isa, const B: usize, const P: usize>(
    isa: I,
    matrix: Matrix,
    panel: usize,
    input: Panels,
    (first, at): (usize, usize),
    added: Option<Panels>,
    out: &mut [&mut [Block]],
) {
    let sums = sums::<I, B, P>(isa, matrix, panel, input, first + at);
    for p in 0..P {
        let finish = &matrix.finish[panel + p];
        for b in 0..B {
            let mut four = sums[p][b];
            match added {
                None => {
                    for sums in &mut four {
                        *sums = isa.finish(*sums, finish);
                    }
                }
                Some(added) => {
                    let block = &added.blocks[(panel + p) * added.pitch + first + at + b];
                    let (rows, _) = block.as_chunks::<16>();
                    for (sums, row) in four.iter_mut().zip(rows) {
                        *sums = isa.finish_with(*sums, finish, row);
                    }
                }
            }
            isa.by_pixel(four, &mut out[p][at + b]);
        }
    }
}

/// A depthwise convolution behind a 1x1 convolution.
#[derive(Clone, Copy)]
pub struct Spatial<'a> {
    /// The 1x1 convolution.
    pub matrix: Matrix<'a>,
    /// The weights of the window, `[panel][row of the window][block][output]`.
    pub weights: &'a [Weights],
    /// One per panel.
    pub finish: &'a [Finish],
    /// Rows and columns of the input.
    pub input: [usize; 2],
    /// Rows and columns of the output.
    pub output: [usize; 2],
    /// The width and height of the window.
    pub window: usize,
    /// The stride along both sides.
    pub stride: usize,
    /// The rows above and the columns left of the input that count as zero.
    pub before: usize,
}

/// The blocks of a row that an output block may read.
const REACHED: usize = 4;
/// The weights of one row of the window: for each block, those of four outputs.
pub const ROW_WEIGHTS: usize = 4 * REACHED;

impl Spatial<'_> {
    /// The blocks of a row of the ring: one of zeros on the left, at least two on the right.
    pub fn ring_row(&self) -> usize {
        let read = self.stride * (self.output[1].div_ceil(4) - 1) + REACHED;
        (self.input[1].div_ceil(4) + 3).max(read)
    }

    /// The blocks of the ring of one panel: a row for each row of the window, and one of zeros.
    pub fn ring(&self) -> usize {
        (self.window + 1) * self.ring_row()
    }
}

/// Whether output `o` of four reads block `b`, where the first block lies left of the outputs' own.
pub const fn reads(window: usize, stride: usize, before: usize, o: usize, b: usize) -> bool {
    // Columns count from the first of block 0.
    let first = 4 + o * stride - before;
    let last = first + window - 1;
    first / 4 <= b && b <= last / 4
}

/// Computes `P` panels from `panel` on. `ring` holds [`Spatial::ring`] blocks of zeros for each, and
/// has its zeros again afterwards where they count. `out` is one panel after the other.
#[inline(always)]
pub fn spatial<I: Isa, const B: usize, const P: usize>(
    isa: I,
    layer: &Spatial,
    panel: usize,
    input: Panels,
    ring: &mut [Block],
    out: &mut [Block],
) {
    match (layer.window, layer.stride, layer.before) {
        (3, 1, 1) => rows::<I, B, P, 3, 1, 1>(isa, layer, panel, input, ring, out),
        (3, 2, 0) => rows::<I, B, P, 3, 2, 0>(isa, layer, panel, input, ring, out),
        (3, 2, 1) => rows::<I, B, P, 3, 2, 1>(isa, layer, panel, input, ring, out),
        (5, 1, 2) => rows::<I, B, P, 5, 1, 2>(isa, layer, panel, input, ring, out),
        (5, 2, 1) => rows::<I, B, P, 5, 2, 1>(isa, layer, panel, input, ring, out),
        (5, 2, 2) => rows::<I, B, P, 5, 2, 2>(isa, layer, panel, input, ring, out),
        _ => {}
    }
}

/// The windows, strides and paddings that [`spatial`] knows.
pub const WINDOWS: [(usize, usize, usize); 6] =
    [(3, 1, 1), (3, 2, 0), (3, 2, 1), (5, 1, 2), (5, 2, 1), (5, 2, 2)];

#[inline(always)]
fn rows<
    I: Isa,
    const B: usize,
    const P: usize,
    const K: usize,
    const S: usize,
    const BEFORE: usize,
>(
    isa: I,
    layer: &Spatial,
    panel: usize,
    input: Panels,
    ring: &mut [Block],
    out: &mut [Block],
) {
    let ([height, width], [out_height, out_width]) = (layer.input, layer.output);
    let (blocks, out_blocks) = (width.div_ceil(4), out_width.div_ceil(4));
    let (row, of_panel) = (layer.ring_row(), layer.ring());
    let mut made = 0;
    for y in 0..out_height {
        let end = (y * S + K - BEFORE).min(height);
        while made < end {
            let at = made % K * row + 1;
            let mut b = 0;
            while b + B <= blocks {
                let block = made * blocks + b;
                expand::<I, B, P>(isa, layer, panel, input, block, ring, (of_panel, at + b));
                b += B;
            }
            while b < blocks {
                let block = made * blocks + b;
                expand::<I, 1, P>(isa, layer, panel, input, block, ring, (of_panel, at + b));
                b += 1;
            }
            if width % 4 != 0 {
                for p in 0..P {
                    blank(&mut ring[p * of_panel + at + blocks - 1], width % 4);
                }
            }
            made += 1;
        }
        for p in 0..P {
            let ring = &ring[p * of_panel..][..of_panel];
            let mut rows = [&ring[K * row..][..row]; K];
            for (dy, rows) in rows.iter_mut().enumerate() {
                let y = y * S + dy;
                if (BEFORE..height + BEFORE).contains(&y) {
                    *rows = &ring[(y - BEFORE) % K * row..][..row];
                }
            }
            let weights = &layer.weights[(panel + p) * K * ROW_WEIGHTS..][..K * ROW_WEIGHTS];
            let finish = &layer.finish[panel + p];
            let out = &mut out[(p * out_height + y) * out_blocks..][..out_blocks];
            depthwise_row::<I, K, S, BEFORE>(isa, &rows, weights, finish, out);
        }
    }
}

/// Sets the pixels of a block `[channel][pixel]` from `count` on to zero.
fn blank(block: &mut Block, count: usize) {
    for four in block.as_chunks_mut::<4>().0 {
        four[count..].fill(0);
    }
}

#[inline(always)]
fn expand<I: Isa, const B: usize, const P: usize>(
    isa: I,
    layer: &Spatial,
    panel: usize,
    input: Panels,
    block: usize,
    ring: &mut [Block],
    (of_panel, at): (usize, usize),
) {
    let sums = sums::<I, B, P>(isa, layer.matrix, panel, input, block);
    for p in 0..P {
        let finish = &layer.matrix.finish[panel + p];
        let to = &mut ring[p * of_panel + at..][..B];
        for b in 0..B {
            let mut four = sums[p][b];
            for sums in &mut four {
                *sums = isa.finish(*sums, finish);
            }
            isa.by_channel(four, &mut to[b]);
        }
    }
}

#[inline(always)]
fn depthwise_row<I: Isa, const K: usize, const S: usize, const BEFORE: usize>(
    isa: I,
    rows: &[&[Block]; K],
    weights: &[Weights],
    finish: &Finish,
    out: &mut [Block],
) {
    let weights = &weights[..K * ROW_WEIGHTS];
    for (j, out) in out.iter_mut().enumerate() {
        let mut sums = [isa.start(finish); 4];
        for dy in 0..K {
            let blocks = &rows[dy][S * j..][..REACHED];
            let weights = &weights[dy * ROW_WEIGHTS..][..ROW_WEIGHTS];
            for b in 0..REACHED {
                let bytes = isa.bytes(&blocks[b]);
                for o in 0..4 {
                    if reads(K, S, BEFORE, o, b) {
                        let weights = isa.weights(&weights[4 * b + o]);
                        sums[o] = isa.dot(sums[o], bytes, weights);
                    }
                }
            }
        }
        for sums in &mut sums {
            *sums = isa.finish(*sums, finish);
        }
        isa.by_pixel(sums, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::kernel::{Kernel, PointwiseTask, SpatialTask, TOGETHER};
    use super::*;

    /// Numbers that look random (xorshift).
    struct Random(u64);

    impl Random {
        fn next_u32(&mut self) -> u32 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 16) as u32
        }
    }

    fn blocks(random: &mut Random, count: usize) -> Vec<Block> {
        (0..count).map(|_| std::array::from_fn(|_| random.next_u32() as u8)).collect()
    }

    /// Weights from -127 to 127.
    fn weights(random: &mut Random, count: usize) -> Vec<i8> {
        (0..count).map(|_| (random.next_u32() % 255) as u8 as i8).map(|w| w.max(-127)).collect()
    }

    fn finish(random: &mut Random, weights: [i32; 16]) -> Finish {
        let mut number = |most: u32| (random.next_u32() % most) as f32;
        Finish {
            weights,
            scale: std::array::from_fn(|_| number(1000) * 2e-6),
            offset: std::array::from_fn(|_| number(400) - 80.5),
            factor: std::array::from_fn(|_| number(100) * 0.01),
        }
    }

    fn byte(sum: i32, finish: &Finish, lane: usize, added: Option<u8>) -> u8 {
        let value = sum as f32 * finish.scale[lane] + finish.offset[lane];
        let value = added.map_or(value, |byte| value + f32::from(byte) * finish.factor[lane]);
        value.round_ties_even().clamp(0.0, 255.0) as u8
    }

    /// A matrix `[output][input]` of whole panels, packed for the kernels.
    struct Packed {
        plain: Vec<i8>,
        packed: Vec<Weights>,
        finish: Vec<Finish>,
    }

    fn matrix(random: &mut Random, inputs: usize, outputs: usize) -> Packed {
        let plain = weights(random, 256 * inputs * outputs);
        let mut packed = vec![[0; 64]; 4 * inputs * outputs];
        let mut of_finish = vec![[0; 16]; outputs];
        for (o, row) in plain.chunks_exact(16 * inputs).enumerate() {
            for (i, &w) in row.iter().enumerate() {
                packed[o / 16 * 4 * inputs + i / 4][4 * (o % 16) + i % 4] = w;
                of_finish[o / 16][o % 16] += i32::from(w);
            }
        }
        let finish = of_finish.into_iter().map(|weights| finish(random, weights)).collect();
        Packed { plain, packed, finish }
    }

    impl Packed {
        fn view(&self, inputs: usize) -> Matrix<'_> {
            Matrix { inputs, weights: &self.packed, finish: &self.finish }
        }

        /// The byte of output `o` at a pixel whose inputs are `input`.
        fn byte(&self, o: usize, input: &[u8], added: Option<u8>) -> u8 {
            let row = &self.plain[o * input.len()..][..input.len()];
            let sum = row.iter().zip(input).map(|(&w, &b)| i32::from(w) * i32::from(b)).sum();
            byte(sum, &self.finish[o / 16], o % 16, added)
        }
    }

    /// The inputs of a pixel: block `block` of every panel.
    fn pixel(map: Panels, block: usize, pixel: usize) -> Vec<u8> {
        let panels = map.blocks.chunks_exact(map.pitch);
        panels.flat_map(|panel| panel[block][16 * pixel..][..16].to_vec()).collect()
    }

    #[test]
    fn every_kernel_multiplies_matrices_as_written_down() {
        let mut random = Random(88_172_645_463_325_252);
        for (inputs, outputs, pitch, first, count) in
            [(1, 1, 1, 0, 1), (2, 3, 5, 1, 4), (3, 5, 7, 0, 7), (7, 4, 4, 2, 2)]
        {
            let input = blocks(&mut random, inputs * pitch);
            let other = blocks(&mut random, outputs * pitch);
            let matrix = matrix(&mut random, inputs, outputs);
            let input = Panels { blocks: &input, pitch };
            for added in [None, Some(Panels { blocks: &other, pitch })] {
                for kernel in Kernel::all() {
                    let mut out = vec![[0; 64]; outputs * count];
                    kernel.pointwise(PointwiseTask {
                        matrix: matrix.view(inputs),
                        panel: 0,
                        input,
                        first,
                        added,
                        out: &mut out.chunks_exact_mut(count).collect::<Vec<_>>(),
                    });
                    for (at, &got) in out.as_flattened().iter().enumerate() {
                        let (o, block, p) =
                            (at / (64 * count) * 16 + at % 16, at / 64 % count, at / 16 % 4);
                        let values = pixel(input, first + block, p);
                        let added = added.map(|map| pixel(map, first + block, p)[o]);
                        let want = matrix.byte(o, &values, added);
                        assert_eq!(got, want, "{} output {o} block {block}", kernel.name());
                    }
                }
            }
        }
    }

    #[test]
    fn every_kernel_convolves_as_written_down() {
        let mut random = Random(362_436_069_521_288_629);
        for (window, stride, before) in WINDOWS {
            for [height, width] in [[5, 6], [8, 8], [3, 17], [1, 1]] {
                let (inputs, panels) = (2, TOGETHER - 1);
                let size = [height, width].map(|side| (side - 1) / stride + 1);
                check(
                    &mut random,
                    (window, stride, before),
                    ([height, width], size),
                    (inputs, panels),
                );
            }
        }
    }

    fn check(
        random: &mut Random,
        (window, stride, before): (usize, usize, usize),
        (input_size, size): ([usize; 2], [usize; 2]),
        (inputs, panels): (usize, usize),
    ) {
        let ([height, width], blocks_of_row) = (input_size, input_size[1].div_ceil(4));
        let pitch = height * blocks_of_row;
        let map = blocks(random, inputs * pitch);
        let input = Panels { blocks: &map, pitch };
        let matrix = matrix(random, inputs, panels);
        // `[panel][row][column][lane]`.
        let plain = weights(random, panels * window * window * 16);
        let mut packed = vec![[0; 64]; panels * window * ROW_WEIGHTS];
        let mut sums = vec![[0; 16]; panels];
        for (at, &w) in plain.iter().enumerate() {
            let (lane, dx, dy) = (at % 16, at / 16 % window, at / 16 / window % window);
            let panel = at / 16 / window / window;
            sums[panel][lane] += i32::from(w);
            for o in 0..4 {
                let column = 4 + o * stride + dx - before;
                let place = (panel * window + dy) * ROW_WEIGHTS + column / 4 * 4 + o;
                packed[place][4 * lane + column % 4] = w;
            }
        }
        let finish: Vec<Finish> = sums.into_iter().map(|sums| finish(random, sums)).collect();
        let layer = Spatial {
            matrix: matrix.view(inputs),
            weights: &packed,
            finish: &finish,
            input: input_size,
            output: size,
            window,
            stride,
            before,
        };
        let expanded = |panel: usize, lane: usize, y: usize, x: usize| -> u8 {
            let values = pixel(input, y * blocks_of_row + x / 4, x % 4);
            matrix.byte(16 * panel + lane, &values, None)
        };
        let row = size[1].div_ceil(4);
        for kernel in Kernel::all() {
            let mut out = vec![[0; 64]; panels * size[0] * row];
            let mut ring = vec![[0; 64]; panels * layer.ring()];
            let (panel, out_blocks) = (0, &mut out[..]);
            kernel.spatial(SpatialTask {
                layer: &layer,
                panel,
                panels,
                input,
                ring: &mut ring,
                out: out_blocks,
            });
            for (panel, y, x, lane) in (0..panels * size[0] * size[1] * 16).map(|i| {
                (i / 16 / size[1] / size[0], i / 16 / size[1] % size[0], i / 16 % size[1], i % 16)
            }) {
                let mut sum = 0;
                for (dy, dx) in (0..window * window).map(|i| (i / window, i % window)) {
                    let (y, x) = (y * stride + dy, x * stride + dx);
                    if (before..height + before).contains(&y)
                        && (before..width + before).contains(&x)
                    {
                        let w = plain[((panel * window + dy) * window + dx) * 16 + lane];
                        sum +=
                            i32::from(w) * i32::from(expanded(panel, lane, y - before, x - before));
                    }
                }
                let got = out[(panel * size[0] + y) * row + x / 4][16 * (x % 4) + lane];
                let want = byte(sum, &finish[panel], lane, None);
                assert_eq!(got, want, "{} {window} {stride} {before} at {y} {x}", kernel.name());
            }
        }
    }
}
