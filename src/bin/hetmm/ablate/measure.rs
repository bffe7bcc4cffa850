//! This module builds and measures one template after the other, from features that are computed once.

use super::studies::{Study, Variant};
use crate::build::{self, Settings};
use crate::console::Console;
use crate::network::Network;
use hetmm::builder::features_file::{self, FeaturesFile, Order};
use hetmm::builder::layers::LayerNames;
use hetmm::builder::presets::Preset;
use hetmm::builder::{Input, Source};
use hetmm::evaluation::{self, TestPicture};
use hetmm::image::Size;
use hetmm::inspection::Pipeline;
use hetmm::metrics::quantile;
use hetmm::metrics::{PixelTruth, auroc, pro_curve};
use hetmm::template::Template;
use hetmm::{Error, Result};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tempfile::TempDir;

/// One template and its results.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub study: Study,
    pub name: String,
    /// The number that is varied, if a number is varied.
    pub x: Option<f64>,
    pub image_auroc: Option<f64>,
    pub pixel_auroc: Option<f64>,
    pub aupro30: Option<f64>,
    /// Median time for the matching of a picture, in milliseconds.
    pub matching_ms: f64,
    pub template_bytes: u64,
    /// Seconds from features to template.
    pub build_s: f64,
}

/// The number of pictures that are inspected one after the other and timed.
const TIMED: usize = 30;

/// What all rows share.
pub struct Bench<'a> {
    network: &'a Network,
    preset: &'a Preset,
    /// The network's input.
    size: Size,
    train: &'a [Source],
    test: &'a [TestPicture],
    /// The truth about each test picture, if it is known, for each size of the map.
    truth: HashMap<(usize, usize), Vec<Option<PixelTruth>>>,
    scratch: TempDir,
    /// Features of the taps that were used last.
    features: Option<(Vec<String>, FeaturesFile, FeaturesFile)>,
    /// Rows that were measured. Studies share some of them.
    done: Vec<(Variant, Row)>,
}

impl<'a> Bench<'a> {
    pub fn new(
        network: &'a Network,
        (preset, size): (&'a Preset, Size),
        train: &'a [Source],
        test: &'a [TestPicture],
    ) -> Result<Self> {
        let scratch = tempfile::Builder::new().prefix("hetmm-ablate-").tempdir().map_err(|e| {
            Error::io(&std::env::temp_dir(), "a scratch folder cannot be created", &e)
        })?;
        let (truth, done) = (HashMap::new(), Vec::new());
        Ok(Bench { network, preset, size, train, test, truth, scratch, features: None, done })
    }

    /// Builds and measures a template.
    pub fn measure(&mut self, variant: &Variant) -> Result<Row> {
        let same = |v: &Variant| {
            let of_this = |v: &Variant| Variant {
                study: variant.study,
                name: String::new(),
                x: None,
                ..v.clone()
            };
            of_this(v) == of_this(variant)
        };
        if let Some((_, row)) = self.done.iter().find(|(v, _)| same(v)) {
            let (study, name, x) = (variant.study, variant.name.clone(), variant.x);
            return Ok(Row { study, name, x, ..row.clone() });
        }
        self.compute_features(variant)?;
        let template = self.scratch.path().join("t.hetmm");
        let started = Instant::now();
        self.build(variant, &template)?;
        let build_s = started.elapsed().as_secs_f64();
        let row = self.evaluate(variant, &template, build_s)?;
        self.done.push((variant.clone(), row.clone()));
        Ok(row)
    }

    fn settings(&self, variant: &Variant) -> Settings {
        let mut settings = Settings::default();
        settings.network = self.network.clone();
        settings.network.layers = Some(variant.taps.clone());
        settings.network.position_free = Some(variant.position_free.clone());
        settings.free_patches = Some(variant.free_patches);
        settings
    }

    /// Computes the features of all pictures for the taps of `variant`, unless they are already there.
    fn compute_features(&mut self, variant: &Variant) -> Result<()> {
        let names = LayerNames {
            positional: variant.taps.clone(),
            position_free: variant.position_free.clone(),
        };
        let taps = &names.taps();
        if self.features.as_ref().is_some_and(|(of, ..)| of == taps) {
            return Ok(());
        }
        // Frees the disk space before the next features are written.
        self.features = None;
        let network = self.settings(variant).network;
        let backbone = network.open(self.preset, self.size)?;
        let of_test: Vec<Source> = self.test.iter().map(|p| p.source.clone()).collect();
        let file = |name: &str, pictures: &[Source]| -> Result<FeaturesFile> {
            let destination: PathBuf = self.scratch.path().join(name);
            let order = Order {
                destination: &destination,
                pictures,
                preset: self.preset.name,
                append: false,
                shard: None,
                skip_unreadable: false,
            };
            let made = features_file::compute(&order, backbone.as_ref(), &|_, _, _| {})?;
            if made.pictures != pictures.len() {
                return Err(Error::image(
                    &pictures[0].path,
                    "the data set contains the same picture twice",
                )
                .advise("remove the copies"));
            }
            FeaturesFile::open(&destination)
        };
        self.features = Some((
            taps.to_vec(),
            file("train.features", self.train)?,
            file("test.features", &of_test)?,
        ));
        Ok(())
    }

    fn build(&self, variant: &Variant, template: &Path) -> Result<()> {
        let Some((_, train, _)) = &self.features else { return Ok(()) };
        let mut settings = self.settings(variant);
        settings.sheets = Some(variant.sheets);
        settings.select = Some(variant.select);
        settings.hard_rule = Some(variant.hard_rule);
        settings.patches = Some(variant.patches.clone());
        settings.alpha = Some(variant.alpha);
        // All templates must come from the same pictures.
        settings.no_audit = true;
        build::build(template, Input::Features(train), &settings, &Console::new(true))?;
        Ok(())
    }

    fn evaluate(&mut self, variant: &Variant, template: &Path, build_s: f64) -> Result<Row> {
        let backbone = self.settings(variant).network.open(self.preset, self.size)?;
        let pipeline = Pipeline::new(Template::map(template)?, backbone)?.with_any_shape();
        let id = &pipeline.template().header().backbone;
        let size = (id.width as usize, id.height as usize);
        self.read_truth(size)?;
        let Some((_, _, test)) = &self.features else {
            return Err(Error::usage("there are no features to measure with"));
        };
        let one = |index: usize| -> Result<(f32, Vec<f32>, f64)> {
            let maps = test.maps(index)?;
            let started = Instant::now();
            let distances = pipeline.distances(&maps, None);
            let ms = started.elapsed().as_secs_f64() * 1e3;
            let map = pipeline.anomaly_map(&distances);
            Ok((pipeline.score(&map).score, map, ms))
        };
        let count = self.test.len();
        let mut results: Vec<Result<(f32, Vec<f32>, f64)>> =
            (0..count.min(TIMED)).map(one).collect();
        let times: Vec<f64> = results.iter().flatten().map(|(_, _, ms)| *ms).collect();
        for first in (count.min(TIMED)..count).step_by(4 * rayon::current_num_threads()) {
            let last = (first + 4 * rayon::current_num_threads()).min(count);
            results.par_extend((first..last).into_par_iter().map(one));
        }
        let results: Vec<(f32, Vec<f32>, f64)> = results.into_iter().collect::<Result<_>>()?;
        let ranked = results.iter().zip(self.test);
        let image_auroc =
            auroc(ranked.map(|((score, ..), picture)| (*score, picture.defect.is_some())));
        let truth = self.truth.get(&size).map(Vec::as_slice).unwrap_or_default();
        let maps: Vec<(&[f32], &PixelTruth)> = (results.iter().zip(truth))
            .filter_map(|((_, map, _), truth)| Some((map.as_slice(), truth.as_ref()?)))
            .collect();
        let curve = pro_curve(&maps, 0.3);
        Ok(Row {
            study: variant.study,
            name: variant.name.clone(),
            x: variant.x,
            image_auroc,
            pixel_auroc: curve.pixel_auroc,
            aupro30: curve.aupro,
            matching_ms: quantile(&times, 0.5),
            template_bytes: pipeline.template().size() as u64,
            build_s,
        })
    }

    fn read_truth(&mut self, (width, height): (usize, usize)) -> Result<()> {
        if self.truth.contains_key(&(width, height)) {
            return Ok(());
        }
        let truth = self.test.par_iter().map(|picture| -> Result<Option<PixelTruth>> {
            let defect = match (&picture.defect, &picture.mask) {
                (None, _) => vec![false; width * height],
                (Some(_), Some(mask)) => {
                    let read = picture.source.read()?.0;
                    let size = Size { width: read.width, height: read.height };
                    evaluation::read_mask(mask, size, width, height)?.pixels
                }
                (Some(_), None) => return Ok(None),
            };
            Ok(Some(PixelTruth::new(&defect, width)))
        });
        let truth = truth.collect::<Result<Vec<_>>>()?;
        self.truth.insert((width, height), truth);
        Ok(())
    }
}
