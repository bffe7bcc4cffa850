//! Choosing prototypes at every pixel and writing them.

use super::store::Store;
use super::{Progress, Stage};
use crate::error::{Error, Result};
use crate::matching::sheets::{pack, pack_bytes};
use crate::matching::{Shape, Storage};
use crate::selection::gram::Gram;
use crate::selection::{Rule, baselines, pts};
use crate::template::writer::Draft;
use rayon::prelude::*;

/// Seed of every random choice.
const SEED: u64 = 0x4845_544d;
/// Pixels that are chosen at before they are written: bounds the memory on the way.
const PIXELS_AT_ONCE: usize = 128;

/// Chooses the prototypes of all layers by the draft's rule and writes their sections.
pub fn write(draft: &mut Draft, store: &Store, progress: Progress) -> Result<()> {
    let header = draft.header().clone();
    let shapes: Vec<Shape> = (0..header.layers.len()).filter_map(|l| header.shape(l)).collect();
    let total: usize = shapes.iter().map(Shape::pixels).sum();
    let whole = WholePictures::choose(header.rule, store, &shapes);
    let mut done = 0;
    for (layer, &shape) in shapes.iter().enumerate() {
        let task =
            Task { store, rule: header.rule, storage: header.storage, whole: &whole, layer, shape };
        let mut sources: Vec<u32> = Vec::with_capacity(shape.pixels() * shape.sheets);
        let mut scales: Vec<f32> = Vec::new();
        draft.section(|section| {
            for first in (0..shape.pixels()).step_by(PIXELS_AT_ONCE) {
                let pixels = first..(first + PIXELS_AT_ONCE).min(shape.pixels());
                let count = pixels.len();
                let blocks: Vec<Block> = pixels
                    .into_par_iter()
                    .map_init(Worker::default, |worker, pixel| worker.choose(&task, pixel))
                    .collect();
                for block in &blocks {
                    sources.extend_from_slice(&block.sources);
                    scales.extend_from_slice(&block.scales);
                    section.write(&block.values)?;
                }
                done += count;
                progress(Stage::Selection, done, total);
            }
            Ok(())
        })?;
        if sources.len() != shape.pixels() * shape.sheets {
            return Err(Error::template("selection gave too few prototypes"));
        }
        draft.section(|section| section.write(bytemuck::cast_slice(&sources)))?;
        if header.storage == Storage::I8 {
            draft.section(|section| section.write(bytemuck::cast_slice(&scales)))?;
        }
    }
    Ok(())
}

/// What is the same for all pixels of a layer.
struct Task<'a> {
    store: &'a Store,
    rule: Rule,
    storage: Storage,
    whole: &'a WholePictures,
    layer: usize,
    shape: Shape,
}

/// The prototypes of one pixel as they go into the file.
struct Block {
    /// The picture each comes from.
    sources: Vec<u32>,
    /// Bytes of the values section.
    values: Vec<u8>,
    /// Scales, for 8-bit values.
    scales: Vec<f32>,
}

impl Block {
    fn new(task: &Task, prototypes: &[(&[f32], usize)]) -> Self {
        let shape = task.shape;
        let vectors: Vec<&[f32]> = prototypes.iter().map(|(vector, _)| *vector).collect();
        let sources = prototypes.iter().map(|(_, source)| *source as u32).collect();
        if task.storage == Storage::I8 {
            let mut values = vec![0i8; shape.block(Storage::I8)];
            let mut scales = vec![0.0; shape.padded_sheets()];
            pack_bytes(shape, &vectors, &mut values, &mut scales);
            return Block { sources, values: bytemuck::cast_slice(&values).to_vec(), scales };
        }
        let mut values = vec![0.0; shape.block(task.storage)];
        pack(shape, &vectors, &mut values);
        let values = if task.storage == Storage::F16 {
            let halves: Vec<half::f16> = values.iter().map(|&v| half::f16::from_f32(v)).collect();
            bytemuck::cast_slice(&halves).to_vec()
        } else {
            bytemuck::cast_slice(&values).to_vec()
        };
        Block { sources, values, scales: Vec::new() }
    }
}

/// What image-level rules choose once for all pixels.
enum WholePictures {
    /// Nothing: the rule chooses at every pixel.
    None,
    /// One picture a sheet.
    Pictures(Vec<usize>),
    /// One cluster of pictures a sheet.
    Clusters(Vec<Vec<usize>>),
}

impl WholePictures {
    fn choose(rule: Rule, store: &Store, shapes: &[Shape]) -> Self {
        let sheets = shapes.first().map_or(0, |s| s.sheets);
        match rule {
            Rule::All => WholePictures::Pictures((0..store.pictures()).collect()),
            Rule::RandomImage => {
                WholePictures::Pictures(baselines::random_indices(store.pictures(), sheets, SEED))
            }
            Rule::KmeansImage => {
                let descriptors: Vec<Vec<f32>> =
                    (0..store.pictures()).into_par_iter().map(|i| descriptor(store, i)).collect();
                let dimensions = descriptors.first().map_or(0, Vec::len);
                WholePictures::Clusters(baselines::kmeans(
                    &descriptors.concat(),
                    dimensions,
                    sheets,
                    SEED,
                ))
            }
            Rule::Pts(_) | Rule::RandomPixel | Rule::KmeansPixel => WholePictures::None,
        }
    }
}

/// A picture in short, for image-level k-means: the mean feature vector of each quarter of each
/// layer.
fn descriptor(store: &Store, picture: usize) -> Vec<f32> {
    let mut descriptor = Vec::new();
    for map in store.maps(picture) {
        let mut quarters = vec![0.0; 4 * map.channels()];
        for pixel in 0..map.pixels() {
            let (x, y) = (pixel % map.width(), pixel / map.width());
            let quarter = 2 * (2 * y / map.height()) + 2 * x / map.width();
            let sum = &mut quarters[quarter * map.channels()..(quarter + 1) * map.channels()];
            sum.iter_mut().zip(map.vector(pixel)).for_each(|(s, v)| *s += v);
        }
        descriptor.extend(quarters.iter().map(|v| 4.0 * v / map.pixels() as f32));
    }
    descriptor
}

/// Buffers that a thread keeps from pixel to pixel.
#[derive(Default)]
struct Worker {
    vectors: Vec<f32>,
    gram: Gram,
}

impl Worker {
    /// The prototypes of one pixel.
    fn choose(&mut self, task: &Task, pixel: usize) -> Block {
        task.store.vectors(task.layer, pixel, &mut self.vectors);
        let (channels, sheets) = (task.shape.channels, task.shape.sheets);
        let seed = SEED ^ (((task.layer as u64) << 32 | pixel as u64) << 8);
        let mut clusters: Vec<Vec<usize>> = Vec::new();
        let mut picked: Vec<usize> = Vec::new();
        match (task.rule, task.whole) {
            (_, WholePictures::Pictures(pictures)) => picked.clone_from(pictures),
            (_, WholePictures::Clusters(of_pictures)) => clusters.clone_from(of_pictures),
            (Rule::Pts(hard_rule), _) => {
                self.gram.compute(&self.vectors, channels);
                picked = pts::select(&self.gram, sheets, hard_rule);
            }
            (Rule::KmeansPixel, _) => {
                clusters = baselines::kmeans(&self.vectors, channels, sheets, seed)
            }
            _ => picked = baselines::random_indices(task.store.pictures(), sheets, seed),
        }
        let centroids: Vec<(Vec<f32>, usize)> = clusters
            .iter()
            .map(|members| baselines::centroid(&self.vectors, channels, members))
            .collect();
        let own = |i: usize| (&self.vectors[i * channels..(i + 1) * channels], i);
        let mut prototypes: Vec<(&[f32], usize)> = picked.into_iter().map(own).collect();
        prototypes.extend(centroids.iter().map(|(mean, nearest)| (mean.as_slice(), *nearest)));
        // k-means can end with fewer clusters than asked for: the first stands in for the rest.
        if let Some(&first) = prototypes.first() {
            prototypes.resize(sheets, first);
        }
        Block::new(task, &prototypes)
    }
}
