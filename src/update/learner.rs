//! What one further good picture changes in a template.

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

/// Templates grow by themselves to a multiple of this many sheets: two panels of the kernels. Up to the end of a
/// panel a further sheet costs no time; a bound of one panel alone leaves the usual 60 sheets four places at a
/// pixel, and what is then replaced makes holes (`docs/learning.md`).
const CAPACITY: usize = 2 * PANEL;

/// What [`Options::novelty`] is by itself.
pub const NOVELTY: f32 = 1.25;
/// How pictures are inserted.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who inserts them.
    pub who: String,
    /// Seconds since 1970.
    pub when_unix_s: u64,
    /// A vector is new where its distance is above this many times the mean distance of good parts at its pixel, of
    /// which the baseline is a share; in a template without a baseline every vector is.
    pub novelty: f32,
    /// Sheets up to which the template grows; `None` for the next multiple of 128.
    pub capacity: Option<usize>,
    /// Pictures that look like defects are inserted, too.
    pub force: bool,
    /// Pictures that cannot be read are left out.
    pub skip_unreadable: bool,
    /// Nothing is written.
    pub dry_run: bool,
    /// Whether pictures of another shape than the template's are taken, squeezed.
    pub any_shape: bool,
}

/// A template in memory, to which pictures are added.
pub struct Learner<'a> {
    pipeline: &'a Pipeline,
    options: &'a Options,
    /// Of the template as it is now.
    pub header: HeaderV1,
    /// Its settings, with the maps that its probes have now.
    pub settings: Settings,
    /// Its prototypes as they are now.
    pub layers: Vec<Prototypes>,
    /// Features of the golden probes.
    probes: Vec<Vec<FeatureMap>>,
    /// For every layer, the pixels that a region of interest leaves any say in the score; empty where
    /// all have one.
    in_reach: Vec<Vec<bool>>,
    capacity: usize,
}

impl<'a> Learner<'a> {
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
                // Upsampling joins neighbours, and a window reaches as far as its half width.
                let window = header.windows(layer).map_or(1, |windows| windows.forward);
                let size = header.tap(layer).map(|tap| (tap.height as usize, tap.width as usize));
                let within =
                    mask.as_ref().zip(size).map(|(mask, size)| mask.within(size, window / 2 + 1));
                within.unwrap_or_default()
            })
            .collect();
        Ok(Learner { pipeline, options, header, settings, layers, probes, in_reach, capacity })
    }

    /// Sheets of the first layer.
    pub fn sheets(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.shape().sheets)
    }

    /// Adds what is new in a picture. The entry has no number yet; one without prototypes says that
    /// nothing was.
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
                // A sheet that has come goes as a whole.
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
        let verdict =
            self.pipeline.decide(&scored, newcomer.record.width, newcomer.record.height).verdict;
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

    /// Whether the positional layers take a further sheet for what is `new` in a picture, a layer.
    fn grows(&self, new: &[Vec<usize>]) -> bool {
        let positional = (self.layers.iter().zip(new).enumerate())
            .filter(|(layer, _)| !self.header.layer_use(*layer).position_free);
        let mut full = positional.map(|(_, (layer, new))| layer.is_full(new));
        self.sheets() < self.capacity && full.any(|is_full| is_full)
    }

    /// The pixels of a layer where the picture is farther from the template than good parts usually are,
    /// and where that can matter.
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

/// Puts the vectors of `map` at the pixels `new` into spare places, or in the place of the most
/// redundant prototypes there; returns what was there.
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
