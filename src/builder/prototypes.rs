//! Chooses prototypes, at every pixel or for a whole position-free layer, and writes them.

use super::few_at_once::few_at_once;
use super::patches::{self, Patch};
use super::store::Store;
use super::{Progress, Stage};
use crate::error::{Error, Result};
use crate::image::Mask;
use crate::matching::sheets::{pack, pack_bytes};
use crate::matching::{Shape, Storage};
use crate::selection::gram::Gram;
use crate::selection::{Rule, baselines, kmeans, pts};
use crate::template::HeaderV1;
use crate::template::writer::Draft;
use rayon::prelude::*;

/// The seed of every random choice.
const SEED: u64 = 0x4845_544d;
/// The number of pixels at which prototypes are chosen before they are written. It bounds the memory.
pub(super) const PIXELS_AT_ONCE: usize = 128;

/// Holds the prototypes of a template without one fold, one entry per layer.
pub type Chosen = Vec<OfLayer>;

/// Holds the prototypes of a layer.
#[derive(Debug, Clone, PartialEq)]
pub enum OfLayer {
    /// The store entry of each prototype, `[pixel][sheet]`.
    Sheets(Vec<u32>),
    /// The patches of a position-free layer.
    Patches(Vec<Patch>),
}

/// Says which pictures are held out together.
#[derive(Clone, Copy)]
pub struct HeldOut<'a> {
    /// The fold of every picture.
    pub fold: &'a [u32],
    /// The number of folds.
    pub folds: usize,
}

impl HeldOut<'_> {
    /// Says for every picture whether a template without `fold` may know it.
    pub fn kept(&self, fold: usize) -> Vec<bool> {
        self.fold.iter().map(|&of| of as usize != fold).collect()
    }
}

/// Chooses the prototypes of all layers by the draft's rule and writes their sections. If pictures are to be held out
/// and the rule is PTS, it also returns what is chosen without each fold. The similarities, which take the most time,
/// are then computed only once. Position-free layers take patches from the places that count in `mask`.
pub fn write(
    draft: &mut Draft,
    store: &Store,
    mask: Option<&Mask>,
    held_out: Option<HeldOut>,
    progress: Progress,
) -> Result<Vec<Chosen>> {
    let header = draft.header().clone();
    let plans = plans(&header);
    let whole = WholePictures::choose(header.rule, store, &plans);
    let kept: Vec<Vec<bool>> = match (header.rule, held_out) {
        (Rule::Pts(_), Some(held_out)) => {
            let of_entries = |kept: Vec<bool>| -> Vec<bool> {
                store.origins().iter().map(|&picture| kept[picture as usize]).collect()
            };
            (0..held_out.folds).map(|fold| of_entries(held_out.kept(fold))).collect()
        }
        _ => Vec::new(),
    };
    let mut of_folds = vec![Chosen::new(); kept.len()];
    let mut layers = Layers::new(&plans, progress);
    for plan in &plans {
        let (rule, storage) = (header.rule, header.storage);
        let task = Task { store, rule, storage, whole: &whole, kept: &kept, plan };
        let without: Vec<OfLayer> = if plan.position_free {
            let fold = held_out.filter(|_| !kept.is_empty()).map_or(&[][..], |h| h.fold);
            let tap = &header.backbone.taps[plan.tap];
            let size = (tap.height as usize, tap.width as usize);
            let counts = mask.map_or_else(Vec::new, |mask| mask.within(size, 1));
            let chosen = patches::choose(
                store,
                (plan.tap, tap, &counts),
                plan.shape.sheets,
                (fold, kept.len()),
                SEED ^ plan.tap as u64,
            );
            layers.write_patches(draft, &task, &chosen.patches)?;
            chosen.without.into_iter().map(OfLayer::Patches).collect()
        } else {
            let blocks = |worker: &mut Worker, pixel| worker.choose(&task, pixel);
            layers.write(draft, &task, &blocks)?.into_iter().map(OfLayer::Sheets).collect()
        };
        of_folds.iter_mut().zip(without).for_each(|(of_fold, layer)| of_fold.push(layer));
    }
    Ok(of_folds)
}

/// Writes prototypes that were chosen before.
pub fn write_chosen(draft: &mut Draft, store: &Store, chosen: &Chosen) -> Result<()> {
    let header = draft.header().clone();
    let plans = plans(&header);
    let silent = |_: Stage, _: usize, _: usize| {};
    let mut layers = Layers::new(&plans, &silent);
    for (plan, chosen) in plans.iter().zip(chosen) {
        let (rule, storage) = (header.rule, header.storage);
        let whole = &WholePictures::None;
        let task = Task { store, rule, storage, whole, kept: &[], plan };
        match chosen {
            OfLayer::Patches(patches) => {
                // All of few patches were chosen and the first one repeated, up to the number in the
                // whole template. A template from fewer pictures holds fewer.
                let held = plan.shape.sheets.min(patches.len());
                layers.write_patches(draft, &task, &patches[..held])?;
            }
            OfLayer::Sheets(chosen) => {
                let sheets = plan.shape.sheets;
                let blocks = |worker: &mut Worker, pixel: usize| {
                    worker.take(&task, pixel, &chosen[pixel * sheets..(pixel + 1) * sheets])
                };
                layers.write(draft, &task, &blocks)?;
            }
        }
    }
    Ok(())
}

/// Says what is to be chosen for a layer.
struct Plan {
    /// The number of its tap.
    tap: usize,
    /// The sizes of its prototypes.
    shape: Shape,
    /// The number of pixels of its distance map, for the progress.
    pixels: usize,
    /// Whether one block of patches serves all positions.
    position_free: bool,
}

fn plans(header: &HeaderV1) -> Vec<Plan> {
    let plan = |layer| {
        let how = header.layer_use(layer);
        Some(Plan {
            tap: usize::from(how.tap),
            shape: header.shape(layer)?,
            pixels: header.map_pixels(layer)?,
            position_free: how.position_free,
        })
    };
    (0..header.layers.len()).filter_map(plan).collect()
}

/// Writes the layers of a draft one after the other.
struct Layers<'a> {
    done: usize,
    total: usize,
    progress: Progress<'a>,
}

impl<'a> Layers<'a> {
    fn new(plans: &[Plan], progress: Progress<'a>) -> Self {
        Layers { done: 0, total: plans.iter().map(|plan| plan.pixels).sum(), progress }
    }

    /// Writes the sections of a position-free layer.
    fn write_patches(&mut self, draft: &mut Draft, task: &Task, patches: &[Patch]) -> Result<()> {
        let vector = |p: &Patch| {
            let (entry, pixel) = (p.entry as usize, p.pixel as usize);
            (task.store.vector(task.plan.tap, entry, pixel), entry)
        };
        let block = Block::new(task, &patches.iter().map(vector).collect::<Vec<_>>());
        draft.section(|section| section.write(&block.values))?;
        draft.section(|section| section.write(bytemuck::cast_slice(&block.sources)))?;
        if task.storage == Storage::I8 {
            draft.section(|section| section.write(bytemuck::cast_slice(&block.scales)))?;
        }
        self.done += task.plan.pixels;
        (self.progress)(Stage::Selection, self.done, self.total);
        Ok(())
    }

    /// Writes the sections of a layer from the blocks of its pixels. Returns for every fold what the blocks hold for
    /// it.
    fn write(
        &mut self,
        draft: &mut Draft,
        task: &Task,
        block: &(dyn Fn(&mut Worker, usize) -> Block + Sync),
    ) -> Result<Vec<Vec<u32>>> {
        let shape = task.plan.shape;
        let prototypes = shape.pixels() * shape.sheets;
        let mut sources: Vec<u32> = Vec::with_capacity(prototypes);
        let has_scales = task.storage == Storage::I8;
        let mut scales: Vec<f32> = Vec::with_capacity(if has_scales { shape.scales() } else { 0 });
        let mut of_folds: Vec<Vec<u32>> =
            task.kept.iter().map(|_| Vec::with_capacity(prototypes)).collect();
        draft.section(|section| {
            for first in (0..shape.pixels()).step_by(PIXELS_AT_ONCE) {
                let pixels = first..(first + PIXELS_AT_ONCE).min(shape.pixels());
                let count = pixels.len();
                let blocks: Vec<Block> = pixels
                    .into_par_iter()
                    .map_init(Worker::default, |worker, pixel| block(worker, pixel))
                    .collect();
                for block in &blocks {
                    sources.extend_from_slice(&block.sources);
                    scales.extend_from_slice(&block.scales);
                    section.write(&block.values)?;
                    let folds = of_folds.iter_mut().zip(&block.without);
                    folds.for_each(|(fold, chosen): (&mut Vec<u32>, _)| fold.extend(chosen));
                }
                self.done += count;
                (self.progress)(Stage::Selection, self.done, self.total);
            }
            Ok(())
        })?;
        if sources.len() != prototypes {
            return Err(Error::template("the selection has given too few prototypes"));
        }
        draft.section(|section| section.write(bytemuck::cast_slice(&sources)))?;
        if has_scales {
            draft.section(|section| section.write(bytemuck::cast_slice(&scales)))?;
        }
        Ok(of_folds)
    }
}

/// Holds what is the same for all pixels of a layer.
struct Task<'a> {
    store: &'a Store,
    rule: Rule,
    storage: Storage,
    whole: &'a WholePictures,
    /// For every fold, the entries that a template without it may know.
    kept: &'a [Vec<bool>],
    plan: &'a Plan,
}

/// Holds the prototypes of one pixel as they go into the file.
struct Block {
    /// The picture that each prototype comes from.
    sources: Vec<u32>,
    /// The bytes of the values section.
    values: Vec<u8>,
    /// The scales, for 8-bit values.
    scales: Vec<f32>,
    /// For every fold, the entries that the prototypes without it come from.
    without: Vec<Vec<u32>>,
}

impl Block {
    fn new(task: &Task, prototypes: &[(&[f32], usize)]) -> Self {
        let shape = task.plan.shape;
        let vectors: Vec<&[f32]> = prototypes.iter().map(|(vector, _)| *vector).collect();
        let origins = task.store.origins();
        let sources = prototypes.iter().map(|(_, entry)| origins[*entry]).collect();
        if task.storage == Storage::I8 {
            let mut values = vec![0i8; shape.block(Storage::I8)];
            let mut scales = vec![0.0; shape.padded_sheets()];
            pack_bytes(shape, &vectors, &mut values, &mut scales);
            let values = bytemuck::cast_slice(&values).to_vec();
            return Block { sources, values, scales, without: Vec::new() };
        }
        let mut values = vec![0.0; shape.block(task.storage)];
        pack(shape, &vectors, &mut values);
        let values = if task.storage == Storage::F16 {
            let halves: Vec<half::f16> = values.iter().map(|&v| half::f16::from_f32(v)).collect();
            bytemuck::cast_slice(&halves).to_vec()
        } else {
            bytemuck::cast_slice(&values).to_vec()
        };
        Block { sources, values, scales: Vec::new(), without: Vec::new() }
    }
}

/// Holds what image-level rules choose once for all pixels.
enum WholePictures {
    /// Nothing, because the rule chooses at every pixel.
    None,
    /// One picture per sheet.
    Pictures(Vec<usize>),
    /// One cluster of pictures per sheet.
    Clusters(Vec<Vec<usize>>),
}

impl WholePictures {
    fn choose(rule: Rule, store: &Store, plans: &[Plan]) -> Self {
        let sheets = plans.first().map_or(0, |plan| plan.shape.sheets);
        match rule {
            Rule::All => WholePictures::Pictures((0..store.entries()).collect()),
            Rule::RandomImage => {
                WholePictures::Pictures(baselines::random_indices(store.entries(), sheets, SEED))
            }
            Rule::KmeansImage => {
                let descriptors: Vec<Vec<f32>> =
                    few_at_once(store.entries(), store.batch_size(), |i| descriptor(store, i));
                let dimensions = descriptors.first().map_or(0, Vec::len);
                WholePictures::Clusters(kmeans::kmeans(
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

/// Returns a short description of a picture for image-level k-means: the mean feature vector of each quarter of each
/// layer.
fn descriptor(store: &Store, entry: usize) -> Vec<f32> {
    let mut descriptor = Vec::new();
    for map in store.maps(entry) {
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

/// Holds buffers that a thread keeps from pixel to pixel.
#[derive(Default)]
struct Worker {
    vectors: Vec<f32>,
    gram: Gram,
}

impl Worker {
    /// Chooses the prototypes of one pixel.
    fn choose(&mut self, task: &Task, pixel: usize) -> Block {
        task.store.vectors(task.plan.tap, pixel, &mut self.vectors);
        let (channels, sheets) = (task.plan.shape.channels, task.plan.shape.sheets);
        let seed = SEED ^ (((task.plan.tap as u64) << 32 | pixel as u64) << 8);
        let mut clusters: Vec<Vec<usize>> = Vec::new();
        let mut picked: Vec<usize> = Vec::new();
        let mut without: Vec<Vec<u32>> = Vec::new();
        match (task.rule, task.whole) {
            (_, WholePictures::Pictures(pictures)) => picked.clone_from(pictures),
            (_, WholePictures::Clusters(of_pictures)) => clusters.clone_from(of_pictures),
            (Rule::Pts(hard_rule), _) => {
                self.gram.compute(&self.vectors, channels);
                picked = pts::select(&self.gram, sheets, hard_rule);
                let fold = |kept: &Vec<bool>| {
                    let chosen = pts::without(&self.gram, &picked, kept, sheets, hard_rule);
                    chosen.into_iter().map(|entry| entry as u32).collect()
                };
                without = task.kept.iter().map(fold).collect();
            }
            (Rule::KmeansPixel, _) => {
                clusters = kmeans::kmeans(&self.vectors, channels, sheets, seed)
            }
            _ => picked = baselines::random_indices(task.store.entries(), sheets, seed),
        }
        let centroids: Vec<(Vec<f32>, usize)> = clusters
            .iter()
            .map(|members| baselines::centroid(&self.vectors, channels, members))
            .collect();
        let own = |i: usize| (&self.vectors[i * channels..(i + 1) * channels], i);
        let mut prototypes: Vec<(&[f32], usize)> = picked.into_iter().map(own).collect();
        prototypes.extend(centroids.iter().map(|(mean, nearest)| (mean.as_slice(), *nearest)));
        // k-means can return fewer clusters than asked for. Then the first prototype fills the rest.
        if let Some(&first) = prototypes.first() {
            prototypes.resize(sheets, first);
        }
        Block { without, ..Block::new(task, &prototypes) }
    }

    /// Returns the prototypes of one pixel from the entries `chosen`.
    fn take(&mut self, task: &Task, pixel: usize, chosen: &[u32]) -> Block {
        task.store.vectors(task.plan.tap, pixel, &mut self.vectors);
        let channels = task.plan.shape.channels;
        let of_entry = |&entry: &u32| {
            let at = entry as usize;
            (&self.vectors[at * channels..(at + 1) * channels], at)
        };
        Block::new(task, &chosen.iter().map(of_entry).collect::<Vec<_>>())
    }
}
