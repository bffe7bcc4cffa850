//! Choosing prototypes at every pixel and writing them.

use super::store::Store;
use super::{Options, Progress, Stage};
use crate::error::{Error, Result};
use crate::matching::sheets::pack;
use crate::matching::{Shape, Storage};
use crate::selection::gram::Gram;
use crate::selection::{Rule, baselines, pts};
use crate::template::writer::{Draft, SectionWriter};
use rayon::prelude::*;

/// Seed of every random choice.
const SEED: u64 = 0x4845_544d;
/// Pixels that are chosen at before they are written: bounds the memory on the way.
const PIXELS_AT_ONCE: usize = 128;

/// Chooses the prototypes of all layers by the draft's rule and writes their sections.
pub fn write(draft: &mut Draft, store: &Store, options: &Options, progress: Progress) -> Result<()> {
    let header = draft.header().clone();
    let shapes: Vec<Shape> = (0..header.layers.len()).filter_map(|l| header.shape(l)).collect();
    let total: usize = shapes.iter().map(Shape::pixels).sum();
    let whole = WholePictures::choose(header.rule, store, &shapes);
    let mut done = 0;
    for (layer, &shape) in shapes.iter().enumerate() {
        let mut sources: Vec<u32> = Vec::with_capacity(shape.pixels() * shape.sheets);
        draft.section(|section| {
            for first in (0..shape.pixels()).step_by(PIXELS_AT_ONCE) {
                let pixels = first..(first + PIXELS_AT_ONCE).min(shape.pixels());
                let count = pixels.len();
                let chosen: Vec<(Vec<u32>, Vec<f32>)> = pixels
                    .into_par_iter()
                    .map_init(Worker::default, |worker, pixel| {
                        worker.choose(store, header.rule, &whole, layer, pixel, shape)
                    })
                    .collect();
                for (from, block) in &chosen {
                    sources.extend_from_slice(from);
                    write_values(section, options.storage, block)?;
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
    }
    Ok(())
}

fn write_values(section: &mut SectionWriter, storage: Storage, block: &[f32]) -> Result<()> {
    match storage {
        Storage::F32 => section.write(bytemuck::cast_slice(block)),
        Storage::F16 => {
            let halves: Vec<half::f16> = block.iter().map(|&v| half::f16::from_f32(v)).collect();
            section.write(bytemuck::cast_slice(&halves))
        }
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
                WholePictures::Clusters(baselines::kmeans(&descriptors.concat(), dimensions, sheets, SEED))
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
    /// Sources and packed block of the prototypes at one pixel.
    fn choose(
        &mut self,
        store: &Store,
        rule: Rule,
        whole: &WholePictures,
        layer: usize,
        pixel: usize,
        shape: Shape,
    ) -> (Vec<u32>, Vec<f32>) {
        store.vectors(layer, pixel, &mut self.vectors);
        let channels = shape.channels;
        let n = store.pictures();
        let seed = SEED ^ ((layer as u64) << 32 | pixel as u64) << 8;
        let mut centroids: Vec<(Vec<f32>, usize)> = Vec::new();
        let mut picked: Vec<usize> = Vec::new();
        match (rule, whole) {
            (_, WholePictures::Pictures(pictures)) => picked.clone_from(pictures),
            (_, WholePictures::Clusters(clusters)) => {
                centroids = clusters.iter().map(|c| baselines::centroid(&self.vectors, channels, c)).collect();
            }
            (Rule::Pts(hard_rule), _) => {
                self.gram.compute(&self.vectors, channels);
                picked = pts::select(&self.gram, shape.sheets, hard_rule);
            }
            (Rule::KmeansPixel, _) => {
                let clusters = baselines::kmeans(&self.vectors, channels, shape.sheets, seed);
                centroids = clusters.iter().map(|c| baselines::centroid(&self.vectors, channels, c)).collect();
            }
            _ => picked = baselines::random_indices(n, shape.sheets, seed),
        }
        let own = |i: usize| (&self.vectors[i * channels..(i + 1) * channels], i);
        let mut prototypes: Vec<(&[f32], usize)> = picked.into_iter().map(own).collect();
        prototypes.extend(centroids.iter().map(|(mean, nearest)| (mean.as_slice(), *nearest)));
        // k-means can end with fewer clusters than asked for: the first stands in for the rest.
        if let Some(&first) = prototypes.first() {
            prototypes.resize(shape.sheets, first);
        }
        let mut block = vec![0.0; shape.block()];
        let vectors: Vec<&[f32]> = prototypes.iter().map(|(vector, _)| *vector).collect();
        pack(shape, &vectors, &mut block);
        (prototypes.iter().map(|(_, source)| *source as u32).collect(), block)
    }
}
