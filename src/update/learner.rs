//! This module computes what one further good picture changes in a template.

use super::journal::{Entry, LayerBefore, Replaced};
use super::newcomers::{Content, Newcomer, shortened};
use super::patches;
use super::prototypes::Prototypes;
use crate::error::Result;
use crate::feature_map::FeatureMap;
use crate::inspection::Pipeline;
use crate::matching::sheets::PANEL;
use crate::matching::{Distances, Windows, match_layer};
use crate::scoring::{Scored, Verdict};
use crate::template::header::Header;
use crate::template::{HeaderV1, ImageRecord, Settings};
use rayon::prelude::*;

/// By default, templates grow to a multiple of this many sheets, which is two panels of the
/// kernels. A further sheet costs no time up to the end of a panel. A limit of one panel would
/// leave the usual 60 sheets only four places per pixel, and later replacements would make holes
/// (`docs/learning.md`).
const CAPACITY: usize = 2 * PANEL;

/// The default of [`Options::novelty`].
pub const NOVELTY: f32 = 1.25;
/// The options for inserting pictures.
#[derive(Debug, Clone)]
pub struct Options {
    /// The person or program that inserts them.
    pub who: String,
    /// The time in seconds since 1970.
    pub when_unix_s: u64,
    /// A vector is new where its distance is above this many times the mean distance of good parts
    /// at its pixel. The baseline is a share of that mean distance. In a template without a
    /// baseline, every vector is new.
    pub novelty: f32,
    /// The number of sheets up to which the template grows. `None` stands for the next multiple of
    /// 128.
    pub capacity: Option<usize>,
    /// Whether pictures that look like defects are also inserted.
    pub force: bool,
    /// Whether pictures that cannot be read are left out.
    pub skip_unreadable: bool,
    /// Whether nothing is written.
    pub dry_run: bool,
    /// Whether pictures of another shape than the template's are accepted and squeezed.
    pub any_shape: bool,
}

/// A template in memory to which pictures are added.
pub struct Learner<'a> {
    pipeline: &'a Pipeline,
    options: &'a Options,
    /// The header of the template as it is now.
    pub header: HeaderV1,
    /// The settings of the template, with the maps that its probes have now.
    pub settings: Settings,
    /// The prototypes of the template as they are now.
    pub layers: Vec<Prototypes>,
    /// The features of the golden probes.
    probes: Vec<Vec<FeatureMap>>,
    /// For every layer, the pixels that can influence the score inside the region of interest. The
    /// list is empty where all pixels can.
    in_reach: Vec<Vec<bool>>,
    capacity: usize,
}

impl<'a> Learner<'a> {
    /// The BLAKE3 of the template's file before anything was learned.
    pub fn template_digest(&self) -> [u8; 32] {
        self.pipeline.template().digest()
    }

    pub fn new(pipeline: &'a Pipeline, options: &'a Options) -> Result<Self> {
        let template = pipeline.template();
        let layers = (0..template.layers())
            .map(|layer| Prototypes::read(template, layer))
            .collect::<Result<Vec<_>>>()?;
        let (header, settings) = (template.header().clone(), template.settings().clone());
        let positional =
            layers.iter().enumerate().filter(|(layer, _)| !header.layer_use(*layer).position_free);
        let sheets = positional.map(|(_, layer)| layer.shape().sheets).max().unwrap_or(0);
        let capacity = options.capacity.unwrap_or(sheets.next_multiple_of(CAPACITY)).max(sheets);
        let probes = (0..header.probes.len())
            .filter_map(|probe| template.probe(probe))
            .map(|image| pipeline.features(&image))
            .collect::<Result<_>>()?;
        let mask = template.mask();
        let in_reach = (0..layers.len())
            .map(|layer| {
                // Upsampling joins neighbours, and a window reaches as far as half its width.
                let window = header.windows(layer).map_or(1, |windows| windows.forward);
                let size = header.tap(layer).map(|tap| (tap.height as usize, tap.width as usize));
                let within =
                    mask.as_ref().zip(size).map(|(mask, size)| mask.within(size, window / 2 + 1));
                within.unwrap_or_default()
            })
            .collect();
        Ok(Learner { pipeline, options, header, settings, layers, probes, in_reach, capacity })
    }

    /// Returns the number of sheets of the first layer.
    pub fn sheets(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.shape().sheets)
    }

    /// Adds what is new in a picture. The entry has no number yet. An entry without prototypes says
    /// that nothing was new.
    pub fn learn(&mut self, newcomer: &Newcomer) -> Result<(Entry, Verdict)> {
        let features = match &newcomer.content {
            Content::Features(features) => features,
            Content::Image(image) => &self.pipeline.features(image)?,
        };
        let before = self.distances(features);
        let mut scored = self.scored(&before);
        let score_before = scored.score;
        let header_before = self.header_without_images();
        let images_before = self.header.build.images.len() as u32;
        let new: Vec<Vec<usize>> =
            (0..before.len()).map(|layer| self.new_pixels(layer, &before[layer].forward)).collect();
        let mut layers = Vec::new();
        let mut added = 0;
        if new.iter().any(|pixels| !pixels.is_empty()) {
            let grows = self.grows(&new);
            for (layer, (prototypes, new)) in self.layers.iter_mut().zip(&new).enumerate() {
                let sheets = prototypes.shape().sheets;
                let Some(map) = self.header.features_of(layer, features) else { continue };
                let replaced = if self.header.layer_use(layer).position_free {
                    let far = |pixel: usize| before[layer].forward[pixel];
                    let new = patches::different(map, new, far);
                    added += new.len();
                    patches::take_in(prototypes, map, &new, images_before)
                } else {
                    if grows {
                        prototypes.grow();
                    }
                    added += new.len();
                    replace(prototypes, map, new, images_before)
                };
                // A sheet that was added is removed as a whole, so its prototypes need no record.
                let replaced =
                    replaced.into_iter().filter(|r| (r.sheet as usize) < sheets).collect();
                layers.push(LayerBefore { sheets: sheets as u32, replaced });
            }
        }
        if added > 0 {
            self.header
                .build
                .images
                .push(ImageRecord { score: score_before, ..newcomer.record.clone() });
            for (record, layer) in self.header.layers.iter_mut().zip(&self.layers) {
                record.sheets = layer.shape().sheets as u32;
            }
            scored = self.scored(&self.distances(features));
            self.promise_probes();
        }
        let verdict = self.pipeline.decide(&scored, newcomer.record.size()).verdict;
        let entry = Entry {
            id: 0,
            when_unix_s: self.options.when_unix_s,
            who: shortened(&self.options.who),
            name: newcomer.record.name.clone(),
            digest: newcomer.record.digest,
            thumbnail: newcomer.thumbnail.clone(),
            score_before,
            score_after: scored.score,
            forced: newcomer.is_defect_like,
            added: added as u32,
            file_before: None,
            header_before,
            images_before,
            layers,
            zones_before: self.pipeline.template().zones().to_vec(),
        };
        Ok((entry, verdict))
    }

    /// Returns whether the positional layers need a further sheet for what is `new` in a picture,
    /// layer by layer.
    fn grows(&self, new: &[Vec<usize>]) -> bool {
        let positional = (self.layers.iter().zip(new).enumerate())
            .filter(|(layer, _)| !self.header.layer_use(*layer).position_free);
        let mut full = positional.map(|(_, (layer, new))| layer.is_full(new));
        self.sheets() < self.capacity && full.any(|is_full| is_full)
    }

    /// Returns the new pixels of a layer. There the picture is farther from the template than good
    /// parts usually are, and the distance can influence the score.
    fn new_pixels(&self, layer: usize, forward: &[f32]) -> Vec<usize> {
        let usual = self.pipeline.template().baseline(layer).unwrap_or_default();
        let times = self.options.novelty / self.header.build.baseline_share();
        let limit = |pixel: usize| times * usual.get(pixel).copied().unwrap_or(0.0);
        let matters = |pixel: usize| self.in_reach[layer].get(pixel).copied().unwrap_or(true);
        (0..forward.len())
            .filter(|&pixel| matters(pixel) && forward[pixel] > limit(pixel))
            .collect()
    }

    /// Gives the golden probes the scores and maps that they have now.
    fn promise_probes(&mut self) {
        for (at, features) in self.probes.iter().enumerate() {
            let (scored, maps) = self.pipeline.scorer().summary(&self.distances(features));
            if let Some(record) = self.header.probes.get_mut(at) {
                record.promise(scored.score);
            }
            let promised = self.settings.proof.as_mut().and_then(|proof| proof.maps.get_mut(at));
            if let Some(promised) = promised {
                *promised = maps;
            }
        }
    }

    fn distances(&self, features: &[FeatureMap]) -> Vec<Distances> {
        (self.layers.iter().enumerate())
            .filter_map(|(layer, own)| {
                Some((layer, self.header.features_of(layer, features)?, own))
            })
            .map(|(layer, query, prototypes)| {
                let windows =
                    self.header.windows(layer).unwrap_or(Windows { forward: 1, backward: 0 });
                match_layer(query, &prototypes.sheets(), windows, None)
            })
            .collect()
    }

    fn scored(&self, distances: &[Distances]) -> Scored {
        self.pipeline.score(&self.pipeline.anomaly_map(distances))
    }

    fn header_without_images(&self) -> Header {
        let mut header = self.header.clone();
        header.build.images.clear();
        header.versioned(&self.settings)
    }
}

/// Puts the vectors of `map` at the pixels `new` into spare places. Where a pixel has none, it
/// replaces the most redundant prototype there. Returns what was there before.
fn replace(
    prototypes: &mut Prototypes,
    map: &FeatureMap,
    new: &[usize],
    source: u32,
) -> Vec<Replaced> {
    let sheets: Vec<usize> =
        new.par_iter().map(|&pixel| prototypes.place_for(pixel, map.vector(pixel))).collect();
    new.iter()
        .zip(sheets)
        .map(|(&pixel, sheet)| {
            let old = Replaced::new(pixel, sheet, prototypes.get(pixel, sheet));
            let stored = prototypes.stored(map.vector(pixel), source);
            prototypes.set(pixel, sheet, &stored);
            old
        })
        .collect()
}
