//! This module computes the features of large inputs. It works by tiles where the network's maps
//! are large.
//!
//! Activations of the first layers take 256 bytes per pixel of the input, which is 4.3 GB for 4096
//! x 4096. So the part of the network before the cut (`graph::plan`) runs on tiles that overlap by
//! its reach. Values within the reach of a tile's inner border are not used. A tile at the border
//! of the picture has the picture's own border there, with the same padding. The rest of the
//! network runs on the whole picture, where its maps have at most a 64th of the picture's pixels.
//! So every value comes from the same products as without tiles, and the maps show no borders
//! between tiles.
//!
//! Whether there are tiles depends on the size of the input alone, never on the machine.

use super::device::TRACT;
use super::graph::{self, Reach, Value};
use super::identity::{Identity, TapIdentity};
use super::interface::{Backbone, Request, WORKING_BYTES};
use super::model_facts::{ModelFacts, metadata};
use super::onnx::{check_weights, choose_taps, first_identity, read};
use super::part::{Load, Part};
use super::refusal::{loaded, require_size, unusable_model, wrong_size};
use super::tract::load_part;
use crate::error::{Error, Result};
use crate::feature_map::FeatureMap;
use crate::image::NetworkImage;
use rayon::prelude::*;
use std::sync::Arc;

/// Inputs of more pixels are computed by tiles. A picture with fewer pixels takes at most 0.3 GB.
pub(super) const WHOLE_PIXELS: usize = 1024 * 1024;
/// The target for the sides of a tile, in pixels. It takes 0.15 GB per thread and does a twentieth
/// of the work twice.
const TILE: usize = 768;
/// The memory that the part behind the cut takes per pixel of the input, in bytes. It was measured
/// with the bundled network.
const FAR_BYTES: u64 = 64;

/// A network whose first part runs on tiles.
pub(super) struct TiledBackbone {
    identity: Identity,
    extractor: &'static str,
    near: Near,
    far: Option<Far>,
}

/// The part before the cut.
struct Near {
    part: Box<dyn Part>,
    /// The number of the tap for each output, or `None` for the cut.
    taps: Vec<Option<usize>>,
    /// The strides of each output along rows and along columns.
    strides: Vec<[usize; 2]>,
    rows: Side,
    columns: Side,
}

/// The part behind the cut.
struct Far {
    part: Box<dyn Part>,
    /// The number of the tap for each output.
    taps: Vec<usize>,
    /// The number of the tap that is the cut itself, if one is.
    cut: Option<usize>,
}

/// How tiles cover one side of the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Side {
    /// The number of pixels of the picture.
    length: usize,
    /// The number of pixels of a tile.
    tile: usize,
    /// The number of pixels at the start of a tile whose values depend on what comes before the
    /// tile.
    before: usize,
    /// The number of pixels at the end of a tile whose values depend on what comes after the tile.
    after: usize,
    /// The first pixel of each tile.
    starts: Vec<usize>,
}

/// The result of one tile. For every output it holds the positions whose values are right.
type Pieces = Vec<Vec<f32>>;

impl TiledBackbone {
    /// Loads the network of `model`, which messages call `name`, with tiles of about 768 pixels a
    /// side. Returns `None` where the network cannot be cut into tiles.
    ///
    /// # Errors
    /// [`crate::error::Kind::Model`] where the model cannot be used.
    pub fn new(
        name: &str,
        model: &[u8],
        request: &Request,
        (extractor, load): (&'static str, Load),
    ) -> Result<Option<Self>> {
        Self::with_tiles(name, model, request, (extractor, load), TILE)
    }

    fn with_tiles(
        name: &str,
        model: &[u8],
        request: &Request,
        extractor: (&'static str, Load),
        tile: usize,
    ) -> Result<Option<Self>> {
        loaded(name, || Self::load(model, request, extractor, tile))
    }

    fn load(
        model: &[u8],
        request: &Request,
        (extractor, load): (&'static str, Load),
        tile: usize,
    ) -> Result<Option<Self>> {
        let proto = read(model)?;
        let (height, width) = (request.height, request.width);
        let mut identity = first_identity(&proto, model, height, width)?;
        check_weights(&proto)?;
        let names = choose_taps(&proto, &request.taps)?;
        let facts = ModelFacts::of_metadata(&metadata(&proto))?;
        // Attention sees the whole picture from its first layer on, so nothing before it is worth a
        // tile.
        if facts.attention_heads > 0 {
            return Ok(None);
        }
        let Some(plan) = graph::plan(&proto, names) else { return Ok(None) };
        let tap = |name: &str| names.iter().position(|tap| tap == name);
        let values: Vec<&Value> = plan.near.iter().chain(&plan.cut).collect();
        let reach = |side: usize| values.iter().map(|v| v.reach[side]).collect::<Vec<_>>();
        let sides = (Side::new(height, tile, &reach(0)), Side::new(width, tile, &reach(1)));
        let (Some(rows), Some(columns)) = sides else { return Ok(None) };
        let of_near: Vec<String> = values.iter().map(|value| value.name.clone()).collect();
        let part = |from, outputs: &[String]| {
            graph::part(&proto, from, outputs).ok_or_else(|| unusable_model("it has no graph"))
        };
        let near = Near {
            part: load(&part(None, &of_near)?, [3, rows.tile, columns.tile], &of_near)?,
            taps: (plan.near.iter().map(|v| tap(&v.name)))
                .chain(plan.cut.iter().map(|_| None))
                .collect(),
            strides: values.iter().map(|v| v.reach.map(|side| side.stride)).collect(),
            rows,
            columns,
        };
        if !near.fits() {
            return Ok(None);
        }
        let far = match &plan.cut {
            Some(cut) if !plan.far.is_empty() || tap(&cut.name).is_some() => {
                let input = near.whole(of_near.len() - 1);
                let model = part(Some(&cut.name), &plan.far)?;
                Some(Far {
                    part: load(&model, input, &plan.far)?,
                    taps: plan.far.iter().filter_map(|name| tap(name)).collect(),
                    cut: tap(&cut.name),
                })
            }
            _ => None,
        };
        let mut sizes = vec![[0; 3]; names.len()];
        for (output, &at) in near.taps.iter().enumerate() {
            let cut = far.as_ref().and_then(|far| far.cut);
            if let Some(at) = at.or(cut) {
                sizes[at] = near.whole(output);
            }
        }
        if let Some(far) = &far {
            far.taps.iter().zip(far.part.sizes()).for_each(|(&at, &size)| sizes[at] = size);
        }
        let of_tap = |(name, size): (&String, [usize; 3])| {
            let [channels, height, width] = size.map(|side| side as u32);
            TapIdentity { name: name.clone(), channels, height, width }
        };
        identity.taps = names.iter().zip(sizes).map(of_tap).collect();
        Ok(Some(TiledBackbone { identity, extractor, near, far }))
    }
}

/// Opens the network of the bytes `model` on the CPU by tiles of about `tile` pixels a side,
/// however small the input is. A test compares its features with those of the whole picture.
///
/// # Errors
/// [`crate::error::Kind::Model`] where the model cannot be used, or cannot be cut into tiles.
#[doc(hidden)]
pub fn open_by_tiles(model: &[u8], request: &Request, tile: usize) -> Result<Arc<dyn Backbone>> {
    let tiled = TiledBackbone::with_tiles("model", model, request, (TRACT, &load_part), tile)?;
    match tiled {
        Some(tiled) => Ok(Arc::new(tiled)),
        None => Err(unusable_model("it cannot be cut into tiles")),
    }
}

impl Near {
    /// Returns whether every output has as many positions as its stride says.
    fn fits(&self) -> bool {
        let tile = [self.rows.tile, self.columns.tile];
        self.strides
            .iter()
            .zip(self.part.sizes())
            .all(|(strides, [_, height, width])| [height * strides[0], width * strides[1]] == tile)
    }

    /// Returns the channels, rows and columns of an output for the whole picture.
    fn whole(&self, output: usize) -> [usize; 3] {
        let [rows, columns] = self.strides[output];
        let channels = self.part.sizes()[output][0];
        [channels, self.rows.length / rows, self.columns.length / columns]
    }

    /// Computes the outputs for a whole picture. The outputs of taps come pixel by pixel, and the
    /// cut comes as planes.
    fn run(&self, id: &Identity, image: &NetworkImage) -> Result<Vec<Vec<f32>>> {
        let outputs = 0..self.taps.len();
        let values = |output| self.whole(output).iter().product();
        let mut whole: Vec<Vec<f32>> = outputs.map(|output| vec![0.0; values(output)]).collect();
        let across = self.columns.starts.len();
        let tiles: Vec<(usize, usize)> =
            (0..self.rows.starts.len() * across).map(|i| (i / across, i % across)).collect();
        for few in tiles.chunks(rayon::current_num_threads()) {
            let pieces: Vec<Result<Pieces>> =
                few.par_iter().map(|&tile| self.tile(id, image, tile)).collect();
            for (&tile, pieces) in few.iter().zip(pieces) {
                for (output, piece) in pieces?.iter().enumerate() {
                    self.put(output, tile, piece, &mut whole[output]);
                }
            }
        }
        Ok(whole)
    }

    /// Runs one tile. Returns the right values of every output, laid out as in the whole map.
    fn tile(&self, id: &Identity, image: &NetworkImage, tile: (usize, usize)) -> Result<Pieces> {
        let (top, left) = (self.rows.starts[tile.0], self.columns.starts[tile.1]);
        let cropped = image.cropped((top, left), (self.rows.tile, self.columns.tile));
        let cropped = cropped.ok_or_else(|| wrong_size(id, image))?;
        let outputs = self.part.run(&cropped.normalised(id.mean, id.std))?;
        let pieces = outputs.iter().enumerate().map(|(output, planes)| {
            let [channels, height, width] = self.part.sizes()[output];
            let [(rows, _), (columns, _)] = self.right(output, tile);
            let mut piece = Vec::with_capacity(channels * rows.len() * columns.len());
            let plane = |c: usize| &planes[c * height * width..(c + 1) * height * width];
            if self.taps[output].is_none() {
                for c in 0..channels {
                    for y in rows.clone() {
                        piece.extend_from_slice(&plane(c)[y * width..][columns.clone()]);
                    }
                }
                return piece;
            }
            for y in rows.clone() {
                for x in columns.clone() {
                    piece.extend((0..channels).map(|c| planes[(c * height + y) * width + x]));
                }
            }
            piece
        });
        Ok(pieces.collect())
    }

    /// Returns the positions of an output that are right in a tile, along rows and columns, and
    /// where they begin in the whole map.
    fn right(&self, output: usize, tile: (usize, usize)) -> [(std::ops::Range<usize>, usize); 2] {
        let [rows, columns] = self.strides[output];
        [self.rows.right(tile.0, rows), self.columns.right(tile.1, columns)]
    }

    /// Copies a tile's values of an output to their place in the whole map.
    fn put(&self, output: usize, tile: (usize, usize), piece: &[f32], whole: &mut [f32]) {
        let [channels, height, width] = self.whole(output);
        let [(rows, top), (columns, left)] = self.right(output, tile);
        // Planes are rows of single values, and pixels are rows of vectors.
        let (planes, values) =
            if self.taps[output].is_none() { (channels, 1) } else { (1, channels) };
        let length = columns.len() * values;
        for (i, row) in piece.chunks_exact(length.max(1)).enumerate() {
            let (plane, y) = (i / rows.len(), top + i % rows.len());
            debug_assert!(plane < planes);
            let start = ((plane * height + y) * width + left) * values;
            whole[start..start + length].copy_from_slice(row);
        }
    }
}

impl Side {
    /// Covers `length` pixels with tiles of about `target` pixels, for values of this reach.
    /// Returns `None` where their positions do not fit together.
    fn new(length: usize, target: usize, reach: &[Reach]) -> Option<Side> {
        let step = reach.iter().map(|r| r.stride).max()?;
        if reach.iter().any(|r| !step.is_multiple_of(r.stride)) || !length.is_multiple_of(step) {
            return None;
        }
        let before = reach.iter().map(|r| r.before).max()?.next_multiple_of(step);
        let after = reach.iter().map(|r| r.after).max()?.next_multiple_of(step);
        let count = length.div_ceil(target);
        let tile = (length + (count - 1) * (before + after)).div_ceil(count).next_multiple_of(step);
        if count == 1 || tile >= length {
            return Some(Side { length, tile: length, before, after, starts: vec![0] });
        }
        let advance = tile.checked_sub(before + after).filter(|advance| *advance > 0)?;
        let starts = (0..count).map(|i| (i * advance).min(length - tile)).collect();
        Some(Side { length, tile, before, after, starts })
    }

    /// Returns the positions that are right in tile `at`, for a map of this stride, and where they
    /// begin in the whole map.
    fn right(&self, at: usize, stride: usize) -> (std::ops::Range<usize>, usize) {
        let start = self.starts[at];
        let first = if start == 0 { 0 } else { self.before };
        let last =
            if start + self.tile == self.length { self.tile } else { self.tile - self.after };
        (first / stride..last / stride, (start + first) / stride)
    }
}

impl Backbone for TiledBackbone {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn extractor(&self) -> &str {
        self.extractor
    }

    fn features(&self, image: &NetworkImage) -> Result<Vec<FeatureMap>> {
        let id = &self.identity;
        require_size(id, image)?;
        let mut maps: Vec<Option<FeatureMap>> = vec![None; id.taps.len()];
        let outputs = self.near.run(id, image)?;
        for (output, (values, tap)) in outputs.into_iter().zip(&self.near.taps).enumerate() {
            let [channels, height, width] = self.near.whole(output);
            if let Some(tap) = *tap {
                maps[tap] = Some(FeatureMap::normalised(height, width, channels, values));
            } else if let Some(far) = &self.far {
                if let Some(cut) = far.cut {
                    maps[cut] = Some(FeatureMap::from_planes(channels, height, width, &values));
                }
                let sizes = far.part.sizes();
                for ((&tap, planes), &[channels, height, width]) in
                    far.taps.iter().zip(far.part.run(&values)?).zip(sizes)
                {
                    maps[tap] = Some(FeatureMap::from_planes(channels, height, width, &planes));
                }
            }
        }
        let maps: Option<Vec<FeatureMap>> = maps.into_iter().collect();
        maps.ok_or_else(|| Error::model("a tap was not computed"))
    }

    fn working_bytes(&self, pictures: usize, threads: usize) -> u64 {
        let tile = self.near.rows.tile as u64 * self.near.columns.tile as u64;
        let whole = FAR_BYTES * self.identity.pixels();
        threads as u64 * WORKING_BYTES * tile + pictures as u64 * whole
    }
}

#[cfg(test)]
mod tests {
    use super::super::bundled::{BUNDLED_NAME, MODEL};
    use super::super::tract::TractBackbone;
    use super::*;

    const HEIGHT: usize = 288;
    const WIDTH: usize = 416;

    #[test]
    fn sides_are_covered_once_and_tiles_end_at_the_border() {
        let reach = |stride, before, after| Reach { stride, before, after };
        for (length, target, reach) in [
            (4096, 768, vec![reach(4, 9, 7), reach(8, 17, 17)]),
            (1088, 768, vec![reach(8, 40, 40)]),
            (320, 96, vec![reach(2, 3, 1), reach(8, 17, 14)]),
            (64, 768, vec![reach(8, 17, 17)]),
            (128, 32, vec![reach(8, 40, 40)]),
        ] {
            let side = Side::new(length, target, &reach).expect("a cover");
            let step = reach.iter().map(|r| r.stride).max().expect("some");
            assert!(side.starts.iter().all(|start| start.is_multiple_of(step)), "{side:?}");
            for Reach { stride, before, after } in reach {
                let mut covered = vec![0; length / stride];
                for at in 0..side.starts.len() {
                    let (right, first) = side.right(at, stride);
                    for (i, position) in right.enumerate() {
                        covered[first + i] += 1;
                        assert_eq!(first + i, side.starts[at] / stride + position);
                        // The pixels that it depends on lie inside the tile, or outside the
                        // picture.
                        let pixel = side.starts[at] + position * stride;
                        let end = side.starts[at] + side.tile;
                        assert!(pixel >= side.starts[at] + before || side.starts[at] == 0);
                        assert!(pixel + after < end || end == length, "{side:?}");
                    }
                }
                assert!(!covered.contains(&0), "{side:?}");
            }
        }
        assert_eq!(Side::new(100, 64, &[reach(8, 1, 1)]), None);
        assert_eq!(Side::new(96, 64, &[reach(3, 1, 1), reach(2, 1, 1)]), None);
    }

    #[test]
    fn features_by_tiles_are_those_of_the_whole() {
        let samples = (0..HEIGHT * WIDTH * 3).map(|i| {
            let (x, y, c) = (i / 3 % WIDTH, i / 3 / WIDTH, i % 3);
            ((7 * x + 13 * y + 29 * c + (x * y) % 11 + x * x / 90) % 256) as u16 * 257
        });
        let image = NetworkImage::from_samples(HEIGHT, WIDTH, samples.collect()).expect("fits");
        for taps in [
            vec!["block15.exp", "block2.exp", "block3.proj", "block5.exp"],
            vec!["block0.exp", "block1.exp"],
            vec!["block9.proj"],
        ] {
            let taps = vec![taps.iter().map(|t| t.to_string()).collect::<Vec<_>>()];
            let whole =
                TractBackbone::new(BUNDLED_NAME, MODEL, &taps, HEIGHT, WIDTH).expect("loads");
            let request =
                Request { model: None, taps, height: HEIGHT, width: WIDTH, made_by: None };
            let tiled = TiledBackbone::with_tiles("m", MODEL, &request, ("tract", &load_part), 128)
                .expect("loads")
                .expect("can be cut");
            assert!(tiled.near.rows.starts.len() > 2 && tiled.near.columns.starts.len() > 3);
            assert_eq!(tiled.identity(), whole.identity());
            let (want, got) = (whole.features(&image), tiled.features(&image));
            for (want, got) in want.expect("runs").iter().zip(got.expect("runs")) {
                let off = want.data().iter().zip(got.data()).map(|(a, b)| (a - b).abs());
                let most = off.fold(0.0, f32::max);
                // The difference is rounding and is spread evenly over the map, because another
                // width adds in another order. A margin that is too narrow leaves a thousand times
                // more, along the borders of the tiles.
                assert!(most <= 2e-5, "{} channels: off by {most}", want.channels());
            }
        }
    }
}
