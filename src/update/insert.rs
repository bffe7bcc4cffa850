//! Learning: further good pictures into a template.

use super::Change;
use super::journal::{self, Entry, LayerBefore, MAX_ENTRIES, Replaced};
use super::prototypes::Prototypes;
use crate::backbone::Engine;
use crate::error::{Error, Result};
use crate::feature_map::FeatureMap;
use crate::image::{self, NetworkImage};
use crate::inspection::Inspector;
use crate::matching::sheets::PANEL;
use crate::matching::{Distances, Windows, match_layer};
use crate::template::{HeaderV1, ImageRecord};
use crate::{files, heatmap};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// A picture looks like a defect when its score is above this many times the threshold, or the
/// largest score of a good picture where that is larger.
const DEFECT_LIKE: f32 = 1.25;
/// Longest side of the pictures in the journal, in pixels.
const THUMBNAIL: u32 = 96;
/// What [`Options::novelty`] is by itself.
pub const NOVELTY: f32 = 1.5;
/// Templates grow by themselves to a multiple of this many sheets: a panel of the kernels takes as long
/// with 60 sheets as with 64.
const CAPACITY: usize = PANEL;
/// Longest name of a person or picture in the journal, in bytes.
const MAX_NAME: usize = 200;

/// How pictures are inserted.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who inserts them.
    pub who: String,
    /// Seconds since 1970.
    pub when_unix_s: u64,
    /// A vector is new where its distance is above this many times the baseline at its pixel; in a
    /// template without a baseline every vector is.
    pub novelty: f32,
    /// Sheets up to which the template grows; `None` for the next multiple of 64.
    pub capacity: Option<usize>,
    /// Pictures that look like defects are inserted, too.
    pub force: bool,
    /// Nothing is written.
    pub dry_run: bool,
}

/// What came of one picture.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its file.
    pub file: PathBuf,
    /// Its entry in the journal; `None` where nothing in it was new.
    pub id: Option<u32>,
    /// Its score before.
    pub score_before: f32,
    /// Its score after.
    pub score_after: f32,
    /// Prototypes that it brought.
    pub added: usize,
}

/// What came of an insertion.
#[derive(Debug, Clone)]
pub struct Inserted {
    /// One a picture, in their order.
    pub outcomes: Vec<Outcome>,
    /// Pictures that the template was built from or has learned before.
    pub known: Vec<PathBuf>,
    /// Sheets of the first layer, before and after.
    pub sheets: [usize; 2],
    /// Bytes of the file, before and after.
    pub bytes: [u64; 2],
    /// The template's threshold, which stays.
    pub threshold: f32,
}

/// A picture that may be inserted.
struct Newcomer {
    file: PathBuf,
    record: ImageRecord,
    thumbnail: Vec<u8>,
    image: NetworkImage,
    is_defect_like: bool,
}

/// Inserts the pictures in `files` into the template at `path`, all or none. `model` is its backbone,
/// where that is not the bundled one. The work is done on the caller's thread pool.
///
/// # Errors
/// [`crate::error::Kind::Usage`] where a picture looks like a defect and `force` is not set; [`crate::error::Kind::Image`] where one
/// cannot be read; [`crate::error::Kind::Io`] where the template is read-only, changed by another process, or the
/// disk is full. Then the template stays as it is.
pub fn insert(
    path: &Path,
    model: Option<&Path>,
    engine: &Engine,
    files: &[PathBuf],
    options: &Options,
) -> Result<Inserted> {
    let _lock = files::lock(path)?;
    let inspector = Inspector::open(path, model, engine)?;
    let template = inspector.template();
    let journal = journal::read(template).map_err(|e| e.within(path.display()))?;
    let (newcomers, known) = newcomers(&inspector, files)?;
    refuse_defects(&newcomers, inspector.template().header().calibration.threshold, options)?;
    if journal.len() + newcomers.len() > MAX_ENTRIES {
        let what = format!("{}: its journal takes {MAX_ENTRIES} pictures", path.display());
        return Err(Error::usage(what).advise("build a template from all good pictures"));
    }
    let mut learner = Learner::new(&inspector, options)?;
    let sheets_before = learner.sheets();
    let (mut outcomes, mut entries) = (Vec::new(), Vec::new());
    for newcomer in &newcomers {
        let mut entry = learner.learn(newcomer)?;
        let is_new = entry.added > 0;
        if is_new {
            entry.id = (journal.len() + entries.len() + 1) as u32;
            entry.file_before = entries.is_empty().then(|| template.digest());
        }
        outcomes.push(Outcome {
            file: newcomer.file.clone(),
            id: is_new.then_some(entry.id),
            score_before: entry.score_before,
            score_after: entry.score_after,
            added: entry.added as usize,
        });
        if is_new {
            entries.push(entry.encode()?);
        }
    }
    let before = template.size() as u64;
    let sheets = [sheets_before, learner.sheets()];
    let bytes = match entries.is_empty() || options.dry_run {
        true => before,
        false => {
            let change = Change {
                template,
                header: learner.header,
                settings: template.settings().clone(),
                layers: &learner.layers,
                journal: journal
                    .iter()
                    .map(|(_, bytes)| *bytes)
                    .chain(entries.iter().map(Vec::as_slice))
                    .collect(),
            };
            let draft = change.draft(path)?;
            let renewed = Inspector::new(draft.preview()?, inspector.backbone().clone())?;
            if let Some(probe) = renewed.check_probes()?.iter().find(|probe| !probe.agrees) {
                return Err(Error::template(format!(
                    "golden probe {} scores {}, and {} was expected; nothing was inserted",
                    probe.name, probe.score, probe.expected
                )));
            }
            drop(renewed);
            draft.finish()?
        }
    };
    let threshold = template.header().calibration.threshold;
    Ok(Inserted { outcomes, known, sheets, bytes: [before, bytes], threshold })
}

/// Reads the pictures; those that the template has are put aside.
fn newcomers(inspector: &Inspector, files: &[PathBuf]) -> Result<(Vec<Newcomer>, Vec<PathBuf>)> {
    let header = inspector.template().header();
    // Scores that are not known are no numbers, which `max` passes over.
    let scores = header.build.images.iter().map(|image| image.score);
    let limit = DEFECT_LIKE * scores.fold(header.calibration.threshold, f32::max);
    let mut digests: std::collections::HashSet<[u8; 32]> =
        header.build.images.iter().map(|image| image.digest).collect();
    let (mut newcomers, mut known) = (Vec::new(), Vec::new());
    for file in files {
        let bytes = image::load(file)?;
        let digest = blake3::hash(&bytes).into();
        if !digests.insert(digest) {
            known.push(file.clone());
            continue;
        }
        let picture = image::decode(&bytes).map_err(|e| e.within(file.display()))?;
        let image = inspector.prepare(&picture).map_err(|e| e.within(file.display()))?;
        let score = inspector.run(&image)?.score;
        let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
        let (width, height) = (picture.width, picture.height);
        newcomers.push(Newcomer {
            file: file.clone(),
            record: ImageRecord { name: shortened(&name), digest, width, height, score },
            thumbnail: heatmap::thumbnail(&picture, THUMBNAIL)?,
            image,
            is_defect_like: score.is_nan() || score > limit,
        });
    }
    Ok((newcomers, known))
}

fn refuse_defects(newcomers: &[Newcomer], threshold: f32, options: &Options) -> Result<()> {
    let suspects: Vec<String> = newcomers
        .iter()
        .filter(|newcomer| newcomer.is_defect_like && !options.force)
        .map(|n| {
            format!(
                "{}: looks like a defect, with a score of {:.4}",
                n.file.display(),
                n.record.score
            )
        })
        .collect();
    if suspects.is_empty() {
        return Ok(());
    }
    Err(Error::usage(format!(
        "{}\nthe threshold is {threshold:.4}; nothing was inserted",
        suspects.join("\n")
    ))
    .advise(
        "look at the part: what is inserted passes from then on. If it is good, insert it with --force",
    ))
}

fn shortened(name: &str) -> String {
    let mut end = name.len().min(MAX_NAME);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name[..end].to_owned()
}

/// A template in memory, to which pictures are added.
struct Learner<'a> {
    inspector: &'a Inspector,
    options: &'a Options,
    header: HeaderV1,
    layers: Vec<Prototypes>,
    /// Features of the golden probes.
    probes: Vec<Vec<FeatureMap>>,
    capacity: usize,
}

impl<'a> Learner<'a> {
    fn new(inspector: &'a Inspector, options: &'a Options) -> Result<Self> {
        let template = inspector.template();
        let layers = (0..template.layers())
            .map(|layer| Prototypes::read(template, layer))
            .collect::<Result<Vec<_>>>()?;
        let sheets = layers.iter().map(|layer| layer.shape().sheets).max().unwrap_or(0);
        let capacity = options.capacity.unwrap_or(sheets.next_multiple_of(CAPACITY)).max(sheets);
        let header = template.header().clone();
        let probes = (0..header.probes.len())
            .filter_map(|probe| template.probe(probe))
            .map(|image| inspector.features(&image))
            .collect::<Result<_>>()?;
        Ok(Learner { inspector, options, header, layers, probes, capacity })
    }

    /// Sheets of the first layer.
    fn sheets(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.shape().sheets)
    }

    /// Adds what is new in a picture. The entry has no number yet; one without prototypes says that
    /// nothing was.
    fn learn(&mut self, newcomer: &Newcomer) -> Result<Entry> {
        let features = self.inspector.features(&newcomer.image)?;
        let before = self.distances(&features);
        let score_before = self.score(&before);
        let header_before = self.header_without_images();
        let images_before = self.header.build.images.len() as u32;
        let new: Vec<Vec<usize>> =
            (0..before.len()).map(|layer| self.new_pixels(layer, &before[layer].forward)).collect();
        let mut layers = Vec::new();
        let mut added = 0;
        if new.iter().any(|pixels| !pixels.is_empty()) {
            let has_room = self.sheets() < self.capacity;
            let grows =
                has_room && self.layers.iter().zip(&new).any(|(layer, new)| layer.is_full(new));
            for ((prototypes, map), new) in self.layers.iter_mut().zip(&features).zip(&new) {
                let sheets = prototypes.shape().sheets;
                if grows {
                    prototypes.grow();
                }
                let replaced = replace(prototypes, map, new, images_before);
                added += new.len();
                // A sheet that has come goes as a whole.
                let replaced =
                    replaced.into_iter().filter(|r| (r.sheet as usize) < sheets).collect();
                layers.push(LayerBefore { sheets: sheets as u32, replaced });
            }
        }
        let mut score_after = score_before;
        if added > 0 {
            self.header
                .build
                .images
                .push(ImageRecord { score: score_before, ..newcomer.record.clone() });
            for (record, layer) in self.header.layers.iter_mut().zip(&self.layers) {
                record.sheets = layer.shape().sheets as u32;
            }
            score_after = self.score(&self.distances(&features));
            let probes: Vec<f32> =
                self.probes.iter().map(|maps| self.score(&self.distances(maps))).collect();
            let records = self.header.probes.iter_mut().zip(probes);
            records.for_each(|(record, score)| record.promise(score));
        }
        Ok(Entry {
            id: 0,
            when_unix_s: self.options.when_unix_s,
            who: shortened(&self.options.who),
            name: newcomer.record.name.clone(),
            digest: newcomer.record.digest,
            thumbnail: newcomer.thumbnail.clone(),
            score_before,
            score_after,
            forced: newcomer.is_defect_like,
            added: added as u32,
            file_before: None,
            header_before,
            images_before,
            layers,
        })
    }

    /// The pixels of a layer where the picture is farther from the template than good parts usually are.
    fn new_pixels(&self, layer: usize, forward: &[f32]) -> Vec<usize> {
        let usual = self.inspector.template().baseline(layer).unwrap_or_default();
        let limit = |pixel: usize| self.options.novelty * usual.get(pixel).copied().unwrap_or(0.0);
        (0..forward.len()).filter(|&pixel| forward[pixel] > limit(pixel)).collect()
    }

    fn distances(&self, features: &[FeatureMap]) -> Vec<Distances> {
        (features.iter().zip(&self.layers).enumerate())
            .map(|(layer, (query, prototypes))| {
                let windows =
                    self.header.windows(layer).unwrap_or(Windows { forward: 1, backward: 0 });
                match_layer(query, &prototypes.sheets(), windows, None)
            })
            .collect()
    }

    fn score(&self, distances: &[Distances]) -> f32 {
        self.inspector.score(&self.inspector.anomaly_map(distances)).score
    }

    fn header_without_images(&self) -> crate::template::header::Header {
        let mut header = self.header.clone();
        header.build.images.clear();
        header.versioned(self.inspector.template().settings())
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
        new.par_iter().map(|&pixel| prototypes.most_redundant(pixel, map.vector(pixel))).collect();
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
