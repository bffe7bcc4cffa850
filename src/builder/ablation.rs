//! What one setting or another gives, measured on features that are computed once.
//!
//! Templates differ in four steps: which prototypes are kept, over which windows they are matched,
//! which layers are joined, and how. [`Material`] keeps what the earlier steps gave for as long as a
//! setting does not change them, so that rows which differ in the last step alone cost only that.
//! Every row is what a template built with these settings, and no others, would give.

use super::features::{Extracted, Source, extract, unreadable};
use super::leave_one_out::LeaveOneOut;
use super::store::{Store, scratch_folder};
use super::{Options, Pass, Progress, Stage, Weights, draft_header, prototypes, section_lengths};
use crate::backbone::{Backbone, Identity};
use crate::error::{Error, Kind, Result};
use crate::feature_map::FeatureMap;
use crate::matching::{Distances, Storage, Windows, Without, match_layer};
use crate::scoring::{Layer, Scorer};
use crate::selection::Rule;
use crate::template::writer::Draft;
use crate::template::{ImageRecord, Template, container};
use rayon::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Pictures that are matched one after the other for a setting's time.
const TIMED: usize = 15;

/// One setting.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Everything that shapes a template; windows and weights for all taps.
    pub options: Options,
    /// Which of the taps are its layers.
    pub layers: Vec<usize>,
}

/// What a setting gives.
pub struct Measured {
    /// Score and anomaly map of every test picture.
    pub pictures: Vec<(f32, Vec<f32>)>,
    /// Median milliseconds that matching and scoring of one picture take, one picture after the
    /// other, all threads.
    pub ms: f64,
    /// Bytes of the template.
    pub bytes: u64,
}

/// The features of good and of test pictures, and what the last settings made of them.
pub struct Material {
    identity: Identity,
    images: Vec<ImageRecord>,
    good: Store,
    test: Store,
    chosen: Option<Chosen>,
    matched: Option<Matched>,
}

/// What prototypes hang on.
type ChosenBy = (Rule, usize, u64, Storage);

/// The prototypes of all taps.
struct Chosen {
    by: ChosenBy,
    template: Template,
    /// Holds the template's file.
    _draft: Draft,
}

/// The distances of all taps, both directions.
struct Matched {
    windows: Vec<Windows>,
    /// Good pictures without their own prototypes, `[picture][layer]`.
    good: Vec<Vec<Distances>>,
    /// Test pictures.
    test: Vec<Vec<Distances>>,
}

impl Material {
    /// Computes the features of all pictures.
    ///
    /// # Errors
    /// [`Kind::Image`] where one is unreadable; whatever the backbone and the disk refuse.
    pub fn gather(
        good: &[Source],
        test: &[Source],
        backbone: &dyn Backbone,
        pass: Pass,
        progress: Progress,
    ) -> Result<Self> {
        let total = good.len() + test.len();
        let mut images = Vec::new();
        let mut read = |pictures: &[Source], before: usize, records: bool| -> Result<Store> {
            let taps = &backbone.identity().taps;
            let mut store = Store::new(taps, pass.max_memory / 2, scratch_folder()?);
            let mut pending: Vec<Vec<FeatureMap>> = Vec::new();
            let all: Vec<&Source> = pictures.iter().collect();
            let step = |_: Stage, done: usize, _: usize| {
                progress(Stage::Features, before + done, total);
            };
            let mut take = |_: &Source, Extracted { picture, maps, .. }: Extracted| {
                if records {
                    images.push(ImageRecord {
                        name: picture.name,
                        digest: picture.digest,
                        width: picture.width,
                        height: picture.height,
                        score: f32::NAN,
                    });
                }
                pending.push(maps);
                if pending.len() == store.batch_size() {
                    store.push(&std::mem::take(&mut pending))?;
                }
                Ok(())
            };
            let failed = extract(&all, backbone, false, &step, &mut take)?;
            if !failed.is_empty() {
                return Err(unreadable(&failed, pictures.len()));
            }
            if !pending.is_empty() {
                store.push(&pending)?;
            }
            Ok(store)
        };
        let (good_store, test_store) = (read(good, 0, true)?, read(test, good.len(), false)?);
        if good.len() < 2 || test.is_empty() {
            return Err(Error::new(Kind::Image, "too few pictures to measure settings on")
                .advise("give at least two in train/good and one in test"));
        }
        Ok(Material {
            identity: backbone.identity().clone(),
            images,
            good: good_store,
            test: test_store,
            chosen: None,
            matched: None,
        })
    }

    /// Number of good pictures.
    pub fn good(&self) -> usize {
        self.good.pictures()
    }

    /// Names of the taps.
    pub fn taps(&self) -> Vec<&str> {
        self.identity.taps.iter().map(|t| t.name.as_str()).collect()
    }

    /// Measures a setting.
    ///
    /// # Errors
    /// [`Kind::Usage`] where it contradicts itself; whatever the disk refuses.
    pub fn measure(&mut self, setting: &Setting, progress: Progress) -> Result<Measured> {
        let options = &setting.options;
        options.check(&self.identity)?;
        self.choose(options, progress)?;
        self.match_all(options, progress);
        let (Some(chosen), Some(matched)) = (&self.chosen, &self.matched) else {
            return Err(Error::usage("nothing to measure"));
        };
        let scorer = self.scorer(setting, matched);
        let of = |distances: &Vec<Distances>| -> Vec<Distances> {
            setting.layers.iter().map(|&layer| one_way(&distances[layer], options.alpha)).collect()
        };
        let pictures = (matched.test.par_iter())
            .map(|distances| {
                let map = scorer.anomaly_map(&of(distances));
                (scorer.score(&map).score, map)
            })
            .collect();
        Ok(Measured {
            pictures,
            ms: self.time(setting, &chosen.template, &scorer),
            bytes: self.bytes(setting)?,
        })
    }

    fn choose(&mut self, options: &Options, progress: Progress) -> Result<()> {
        let sheets = options.sheets.of(self.good.pictures());
        let by: ChosenBy = (options.rule, sheets, options.seed, options.storage);
        if self.chosen.as_ref().is_some_and(|chosen| chosen.by == by) {
            return Ok(());
        }
        (self.chosen, self.matched) = (None, None);
        let bare = Options { baseline: false, mask: None, ..options.clone() };
        let mut header = draft_header(&self.identity, &bare, sheets, self.images.clone());
        header.probes.clear();
        let lengths = section_lengths(&header, &bare)?;
        // Never finished: the file has no name that anyone sees, and goes with the draft.
        let place = scratch_folder()?.join("ablation.hetmm");
        let mut draft = Draft::create(&place, header, None, &lengths)?;
        prototypes::write(&mut draft, &self.good, options.seed, progress)?;
        self.chosen = Some(Chosen { by, template: draft.preview()?, _draft: draft });
        Ok(())
    }

    fn match_all(&mut self, options: &Options, progress: Progress) {
        let windows: Vec<Windows> = (options.patches_forward.iter().zip(&options.patches_backward))
            .map(|(&forward, &backward)| Windows { forward, backward })
            .collect();
        let Some(chosen) = &self.chosen else { return };
        if self.matched.as_ref().is_some_and(|matched| matched.windows == windows) {
            return;
        }
        let (done, total) = (AtomicUsize::new(0), self.good.pictures() + self.test.pictures());
        let of = |store: &Store, own: bool| -> Vec<Vec<Distances>> {
            (0..store.pictures())
                .into_par_iter()
                .map(|picture| {
                    let maps = store.maps(picture);
                    let distances = (maps.iter().zip(&windows).enumerate())
                        .map(|(layer, (map, windows))| {
                            let sources = chosen.template.sources(layer);
                            let without = Without { sources, picture: picture as u32 };
                            let sheets = chosen.template.sheets(layer);
                            match_layer(map, &sheets, *windows, own.then_some(without))
                        })
                        .collect();
                    let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                    progress(Stage::LeaveOneOut, done, total);
                    distances
                })
                .collect()
        };
        let (good, test) = (of(&self.good, true), of(&self.test, false));
        self.matched = Some(Matched { windows, good, test });
    }

    /// The scorer of a setting, with baseline and weights as its options want them.
    fn scorer(&self, setting: &Setting, matched: &Matched) -> Scorer {
        let options = &setting.options;
        let size = (self.identity.height as usize, self.identity.width as usize);
        let scorer = |weights: &[f32], baselines: &[Vec<f32>]| {
            let layers = (setting.layers.iter().enumerate())
                .map(|(i, &layer)| Layer {
                    height: self.identity.taps[layer].height as usize,
                    width: self.identity.taps[layer].width as usize,
                    weight: weights[i],
                    baseline: baselines.get(i).cloned().unwrap_or_default(),
                })
                .collect();
            let mask = options.mask.as_ref();
            Scorer::new(size, options.alpha, options.fusion, layers, options.sigma, mask)
        };
        let of_layers = |distances: &Vec<Distances>| {
            setting.layers.iter().map(|&layer| one_way(&distances[layer], options.alpha)).collect()
        };
        let left_out = LeaveOneOut::from_distances(matched.good.iter().map(of_layers).collect());
        let ones = vec![1.0; setting.layers.len()];
        let plain = scorer(&ones, &[]);
        let baselines: Vec<Vec<f32>> = match options.baseline {
            true => (0..setting.layers.len()).map(|i| left_out.baseline(&plain, i)).collect(),
            false => Vec::new(),
        };
        let weights = match &options.weights {
            Weights::Given(weights) => setting.layers.iter().map(|&l| weights[l]).collect(),
            Weights::FromGoodParts => left_out.weights(&scorer(&ones, &baselines)),
        };
        scorer(&weights, &baselines)
    }

    fn time(&self, setting: &Setting, template: &Template, scorer: &Scorer) -> f64 {
        let options = &setting.options;
        let test = self.test.with_layers(&setting.layers);
        let mut times: Vec<f64> = (0..test.pictures().min(TIMED))
            .map(|picture| {
                let maps = test.maps(picture);
                let started = Instant::now();
                let distances: Vec<Distances> = (maps.iter().zip(&setting.layers))
                    .map(|(map, &layer)| {
                        let both = options.alpha < 1.0;
                        let windows = Windows {
                            forward: options.patches_forward[layer],
                            backward: if both { options.patches_backward[layer] } else { 0 },
                        };
                        match_layer(map, &template.sheets(layer), windows, None)
                    })
                    .collect();
                std::hint::black_box(scorer.score(&scorer.anomaly_map(&distances)).score);
                started.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or(0.0)
    }

    /// Bytes of the template that a build with this setting writes.
    fn bytes(&self, setting: &Setting) -> Result<u64> {
        let of = |patches: &[usize]| setting.layers.iter().map(|&l| patches[l]).collect();
        let options = Options {
            patches_forward: of(&setting.options.patches_forward),
            patches_backward: of(&setting.options.patches_backward),
            ..setting.options.clone()
        };
        let taps = setting.layers.iter().map(|&l| self.identity.taps[l].clone()).collect();
        let identity = Identity { taps, ..self.identity.clone() };
        let sheets = options.sheets.of(self.good.pictures());
        let header = draft_header(&identity, &options, sheets, self.images.clone());
        let lengths = section_lengths(&header, &options)?;
        let sections = container::lay_out(header.encode(None)?.len(), &lengths);
        Ok(sections.last().map_or(0, |s| s.range.end))
    }
}

/// Distances without the backward direction where nothing of it counts, as a build leaves it out.
fn one_way(distances: &Distances, alpha: f32) -> Distances {
    match alpha < 1.0 {
        true => distances.clone(),
        false => Distances { forward: distances.forward.clone(), backward: Vec::new() },
    }
}
