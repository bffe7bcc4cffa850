//! This module runs a network of bytes: it keeps the maps and hands the layers to the kernels.

use super::super::interface::Saturation;
use super::convolve::{Panels, Spatial};
use super::kernel::{Kernel, PointwiseTask, SpatialTask, TOGETHER};
use super::lanes::{Block, LANES};
use super::quantise::{Layer, Map, OwnMatrix, Quantised};
use rayon::prelude::*;
use std::cell::Cell;
use std::sync::Mutex;

/// The fewest blocks of four pixels that a thread takes of a 1x1 convolution.
const LEAST_BLOCKS: usize = 32;

/// A network that is ready to run.
pub struct Runner {
    network: Quantised,
    kernel: Kernel,
    /// The buffer of every map that is stored.
    buffer_of: Vec<Option<usize>>,
    /// The blocks of every buffer.
    buffers: Vec<usize>,
    /// Buffers of pictures that are done.
    free: Mutex<Vec<Vec<Vec<Block>>>>,
}

thread_local! {
    /// The rows between a 1x1 and a depthwise convolution.
    static RING: Cell<Vec<Block>> = const { Cell::new(Vec::new()) };
}

impl Runner {
    /// Prepares a network for a kernel.
    pub fn new(network: Quantised, kernel: Kernel) -> Runner {
        let (buffer_of, buffers) = share_buffers(&network);
        Runner { network, kernel, buffer_of, buffers, free: Mutex::default() }
    }

    /// The maps of the taps.
    pub fn taps(&self) -> impl Iterator<Item = &Map> {
        self.network.taps.iter().map(|&tap| &self.network.maps[tap])
    }

    /// The memory that a picture takes while it is computed, in bytes.
    pub fn bytes(&self) -> usize {
        self.buffers.iter().sum::<usize>() * size_of::<Block>()
    }

    /// Computes the taps for a picture, whose samples are `[row][column][colour]` and have the size
    /// of the network's input. `take` gets the number of each tap, its map and its blocks.
    pub fn run<T>(&self, samples: &[u8], mut take: impl FnMut(usize, &Map, Panels) -> T) -> Vec<T> {
        self.with_buffers(|buffers| {
            for layer in &self.network.layers {
                self.layer(layer, samples, buffers);
            }
            let taps = self.network.taps.iter().enumerate();
            taps.map(|(at, &tap)| take(at, &self.network.maps[tap], self.of(buffers, tap)))
                .collect()
        })
    }

    /// Computes the network for a picture, and counts the values that lie at an end of their range
    /// where they might have gone on.
    pub fn saturation(&self, samples: &[u8]) -> Saturation {
        self.with_buffers(|buffers| {
            let mut counted = Saturation::default();
            for layer in &self.network.layers {
                self.layer(layer, samples, buffers);
                let map = &self.network.maps[layer.output()];
                if map.is_open != [false; 2] {
                    counted += at_ends(map, self.of(buffers, layer.output()));
                }
            }
            counted
        })
    }

    fn with_buffers<T>(&self, compute: impl FnOnce(&mut [Vec<Block>]) -> T) -> T {
        let lock = || self.free.lock().unwrap_or_else(|e| e.into_inner());
        let kept = lock().pop();
        let mut buffers =
            kept.unwrap_or_else(|| self.buffers.iter().map(|&n| vec![[0; 64]; n]).collect());
        let computed = compute(&mut buffers);
        lock().push(buffers);
        computed
    }

    fn of<'a>(&self, buffers: &'a [Vec<Block>], map: usize) -> Panels<'a> {
        let blocks: &[Block] = self.buffer_of[map].map_or(&[], |buffer| &buffers[buffer]);
        Panels { blocks, pitch: self.network.maps[map].pitch() }
    }

    fn layer(&self, layer: &Layer, samples: &[u8], buffers: &mut [Vec<Block>]) {
        let maps = &self.network.maps;
        let output = layer.output();
        let Some(buffer) = self.buffer_of[output] else { return };
        let mut own = std::mem::take(&mut buffers[buffer]);
        let out = &mut own[..maps[output].panels() * maps[output].pitch()];
        match layer {
            Layer::Patches { windows, .. } => {
                let sizes = [0, output].map(|map| [maps[map].height, maps[map].width]);
                windows.gather(samples, sizes[0], sizes[1], out);
            }
            Layer::Pointwise { matrix, input, added, .. } => {
                let added = added.map(|map| self.of(buffers, map));
                self.pointwise(matrix, self.of(buffers, *input), added, maps[output].pitch(), out);
            }
            Layer::Spatial { input, .. } => {
                if let Some(spatial) = layer.spatial(maps) {
                    self.spatial(&spatial, self.of(buffers, *input), maps[output].pitch(), out);
                }
            }
        }
        buffers[buffer] = own;
    }

    fn pointwise(
        &self,
        matrix: &OwnMatrix,
        input: Panels,
        added: Option<Panels>,
        out_pitch: usize,
        out: &mut [Block],
    ) {
        let together = out_pitch.div_ceil(rayon::current_num_threads()).max(LEAST_BLOCKS);
        let together = together.next_multiple_of(2);
        let run = |first: usize, mut panels: Vec<&mut [Block]>| {
            let matrix = matrix.view();
            let out = &mut panels[..];
            self.kernel.pointwise(PointwiseTask { matrix, panel: 0, input, first, added, out });
        };
        if together >= out_pitch {
            return run(0, out.chunks_exact_mut(out_pitch).collect());
        }
        let mut parts: Vec<Vec<&mut [Block]>> = Vec::new();
        parts.resize_with(out_pitch.div_ceil(together), Vec::new);
        for panel in out.chunks_exact_mut(out_pitch) {
            parts.iter_mut().zip(panel.chunks_mut(together)).for_each(|(part, out)| part.push(out));
        }
        parts.into_par_iter().enumerate().for_each(|(at, part)| run(at * together, part));
    }

    fn spatial(&self, layer: &Spatial, input: Panels, out_pitch: usize, out: &mut [Block]) {
        let run = |(group, out): (usize, &mut [Block])| {
            let panels = out.len() / out_pitch;
            let mut ring = RING.take();
            ring.clear();
            ring.resize(panels * layer.ring(), [0; 64]);
            self.kernel.spatial(SpatialTask {
                layer,
                panel: group * TOGETHER,
                panels,
                input,
                ring: &mut ring,
                out,
            });
            RING.set(ring);
        };
        match rayon::current_num_threads() {
            1 => out.chunks_mut(TOGETHER * out_pitch).enumerate().for_each(run),
            _ => out.par_chunks_mut(TOGETHER * out_pitch).enumerate().for_each(run),
        }
    }
}

/// Counts the values of a map that lie at an open end of its bytes.
fn at_ends(map: &Map, panels: Panels) -> Saturation {
    let [low, high] = map.is_open;
    let ends = |byte: u8| (low && byte == u8::MIN) || (high && byte == u8::MAX);
    let mut counted = Saturation::default();
    for (channels, panel) in (0..map.panels()).map(|p| ((map.channels - LANES * p).min(LANES), p)) {
        for pixel in 0..map.height * map.width {
            let (y, x) = (pixel / map.width, pixel % map.width);
            let block = &panels.blocks[panel * panels.pitch + y * map.row() + x / 4];
            let bytes = &block[LANES * (x % 4)..][..channels];
            counted.values += channels as u64;
            counted.at_ends += bytes.iter().filter(|&&byte| ends(byte)).count() as u64;
        }
    }
    counted
}

/// Gives every stored map a buffer. Maps that are not needed at the same time share one.
fn share_buffers(network: &Quantised) -> (Vec<Option<usize>>, Vec<usize>) {
    let reads = |layer: &Layer| match layer {
        Layer::Patches { .. } => [None, None],
        Layer::Pointwise { input, added, .. } => [Some(*input), *added],
        Layer::Spatial { input, .. } => [Some(*input), None],
    };
    let mut last_use = vec![0; network.maps.len()];
    for (at, layer) in network.layers.iter().enumerate() {
        reads(layer).into_iter().flatten().for_each(|map| last_use[map] = at);
    }
    network.taps.iter().for_each(|&tap| last_use[tap] = usize::MAX);
    let (mut buffer_of, mut sizes) = (vec![None; network.maps.len()], Vec::new());
    let mut free: Vec<usize> = Vec::new();
    for (at, layer) in network.layers.iter().enumerate() {
        let output = layer.output();
        let size = network.maps[output].panels() * network.maps[output].pitch();
        // The smallest free buffer that is large enough, or else the largest, which grows.
        let fitting = free.iter().copied().filter(|&b| sizes[b] >= size).min_by_key(|&b| sizes[b]);
        let buffer = fitting.or_else(|| free.iter().copied().max_by_key(|&b| sizes[b]));
        let buffer = buffer.unwrap_or_else(|| {
            sizes.push(0);
            sizes.len() - 1
        });
        free.retain(|&b| b != buffer);
        sizes[buffer] = size.max(sizes[buffer]);
        buffer_of[output] = Some(buffer);
        let done = reads(layer).into_iter().flatten().filter(|&map| last_use[map] == at);
        for map in done {
            if let Some(buffer) = buffer_of[map]
                && !free.contains(&buffer)
            {
                free.push(buffer);
            }
        }
    }
    (buffer_of, sizes)
}
