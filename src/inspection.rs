//! From a decoded picture to a verdict: the one path that workstation and device share.

use crate::backbone::{self, Backbone, ExtractorOptions, Request, TRACT};
use crate::containment::contained_here;
use crate::error::{Error, Kind, Result};
use crate::feature_map::FeatureMap;
use crate::image::{NetworkImage, PictureView, Size};
use crate::matching::{Distances, Windows, Without, match_layer};
use crate::scoring::extent::cuts;
use crate::scoring::rules::IGNORED;
use crate::scoring::verdict::{InForce, decide};
use crate::scoring::{Decided, Deviation, Layer, MapSummary, Peak, Scored, Scorer, Thresholds};
use crate::template::header::ENGINE;
use crate::template::{HeaderV1, Template};
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A template, its backbone and everything prepared for pictures.
pub struct Pipeline {
    template: Arc<Template>,
    backbone: Arc<dyn Backbone>,
    scorer: Scorer,
    /// The sizes of the pictures that the template was built from, each once.
    built_from: Vec<Size>,
    any_shape: bool,
}

/// What an inspection gives.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// Columns and rows of the picture.
    pub size: Size,
    /// The picture at the network's size.
    pub image: NetworkImage,
    /// The anomaly map at the network's size, before the blur.
    pub anomaly_map: Vec<f32>,
    /// The image score and the blurred map that it is the largest value of.
    pub scored: Scored,
    /// Verdict, deciding rule and regions, in pixels of the picture.
    pub decided: Decided,
    /// How long it took.
    pub times: StageTimes,
}

/// How long each stage of an inspection took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// The resize to the network's input.
    pub prepare: Duration,
    /// The feature extractor.
    pub features: Duration,
    /// The distances to the template.
    pub matching: Duration,
    /// Anomaly map, score, regions, verdict.
    pub scoring: Duration,
}

/// Milliseconds of each stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Timing {
    /// Decoding the picture's file; 0 for a picture from memory.
    #[serde(rename = "decode")]
    pub decode_ms: f64,
    /// The resize to the network's input.
    #[serde(rename = "preprocess")]
    pub preprocess_ms: f64,
    /// The feature extractor.
    #[serde(rename = "backbone")]
    pub backbone_ms: f64,
    /// The distances to the template.
    #[serde(rename = "matching")]
    pub matching_ms: f64,
    /// Map, score, regions and verdict.
    #[serde(rename = "scoring")]
    pub scoring_ms: f64,
    /// All of them.
    #[serde(rename = "total")]
    pub total_ms: f64,
}

impl Timing {
    /// The stages of an inspection, after a picture that took `decode` to decode.
    pub fn new(decode: Duration, times: StageTimes) -> Self {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let stages = [decode, times.prepare, times.features, times.matching, times.scoring];
        let [decode_ms, preprocess_ms, backbone_ms, matching_ms, scoring_ms] = stages.map(ms);
        Timing {
            decode_ms,
            preprocess_ms,
            backbone_ms,
            matching_ms,
            scoring_ms,
            total_ms: ms(stages.iter().sum()),
        }
    }
}

/// How many times the tolerance of the maps of a golden probe passes where another feature extractor than tract computes, or
/// has computed where the template was made: it may do so with 16-bit numbers.
const ENGINE_SLACK: f32 = 6.0;

/// A golden probe that was computed again.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeResult {
    /// Where the probe's picture comes from.
    pub name: String,
    /// The score that the template promises.
    pub expected: f32,
    /// The score computed here.
    pub score: f32,
    /// Whether they agree, and the maps do.
    pub agrees: bool,
    /// Where its maps differ most from those that the template promises, where they differ by more than
    /// rounding; `None` also in a template that promises no maps.
    pub deviation: Option<Deviation>,
}

impl ProbeResult {
    /// What differs, in words; `None` where it agrees.
    pub fn difference(&self) -> Option<String> {
        if self.agrees {
            return None;
        }
        let maps = self.deviation.map_or_else(String::new, |maps| format!("; {maps}"));
        Some(format!("it scores {:.6}, and {:.6} was expected{maps}", self.score, self.expected))
    }
}

impl Pipeline {
    /// Joins a template with a backbone.
    ///
    /// # Errors
    /// [`crate::error::Kind::Template`] where the template was made with another backbone.
    pub fn new(template: impl Into<Arc<Template>>, backbone: Arc<dyn Backbone>) -> Result<Self> {
        let template = template.into();
        backbone.identity().require_same_as(&template.header().backbone)?;
        let scorer = scorer_for(&template, template.header(), baselines(&template));
        let ignored: Vec<bool> = template.zones().iter().map(|&label| label == IGNORED).collect();
        let scorer = scorer.ignoring(&ignored);
        let mut built_from: Vec<Size> = Vec::new();
        for image in &template.header().build.images {
            let size = Size { width: image.width, height: image.height };
            if !built_from.contains(&size) {
                built_from.push(size);
            }
        }
        Ok(Pipeline { template, backbone, scorer, built_from, any_shape: false })
    }

    /// The same, but pictures of any shape are squeezed into the network's input.
    pub fn with_any_shape(self) -> Self {
        Pipeline { any_shape: true, ..self }
    }

    /// Refuses pictures of another shape than those that the template was built from: the network
    /// would see them squeezed. Where these differ in shape, any shape between them will do.
    ///
    /// # Errors
    /// [`Kind::Image`], with both sizes.
    pub fn check_shape(&self, size: Size) -> Result<()> {
        let Some(first) = self.built_from.first() else { return Ok(()) };
        if self.any_shape || size.is_among(&self.built_from) {
            return Ok(());
        }
        Err(Error::new(
            Kind::Image,
            format!("the picture has {size} pixels, but the template was built from pictures of {first}, which is another shape"),
        )
        .advise(
            "take pictures with the shape of the good ones, build a template from pictures of this shape, or \
             allow any shape, so that they are squeezed",
        ))
    }

    /// The size of the pictures that the template was built from, where none of them had `size`.
    pub fn other_size(&self, size: Size) -> Option<Size> {
        self.built_from.first().copied().filter(|_| !self.built_from.contains(&size))
    }

    /// Opens a template file with the backbone it asks for, `model` or the bundled one, on `extractor`.
    pub fn open(
        template: &Path,
        model: Option<&Path>,
        extractor: &ExtractorOptions,
    ) -> Result<Self> {
        let opened = Template::map(template)?;
        Self::join(opened, model, extractor).map_err(|e| match e.kind() {
            Kind::Io => e,
            _ => e.within(template.display()),
        })
    }

    /// Joins a template with the backbone it asks for, `model` or the bundled one, on `extractor`.
    pub fn join(
        template: impl Into<Arc<Template>>,
        model: Option<&Path>,
        extractor: &ExtractorOptions,
    ) -> Result<Self> {
        let template = template.into();
        let id = &template.header().backbone;
        let request = Request {
            model,
            taps: vec![id.taps.iter().map(|t| t.name.clone()).collect()],
            height: id.height as usize,
            width: id.width as usize,
        };
        let backbone = backbone::open(&request, extractor).map_err(|e| match e.kind() {
            Kind::Io => e,
            _ => e.within(format!("the template needs {}", template.header().backbone)),
        })?;
        Self::new(template, backbone)
    }

    /// The template.
    pub fn template(&self) -> &Arc<Template> {
        &self.template
    }

    /// What computes the features, to join with another template.
    pub fn backbone(&self) -> &Arc<dyn Backbone> {
        &self.backbone
    }

    /// Most pictures that are to be inspected at the same time, whatever the number of threads: their features must fit
    /// the memory.
    pub fn pictures_at_once(&self) -> usize {
        self.backbone.identity().pictures_at_once()
    }

    /// Name of what computes the features.
    pub fn extractor(&self) -> &str {
        self.backbone.extractor()
    }

    /// From a picture to its verdict: the one path that workstation, device and other programs share.
    ///
    /// `clock` gives the time since any fixed moment; [`Inspected::times`] come from it. Where the calling thread
    /// belongs to a [`crate::containment::Containment`], a panic of the feature extractor is an error.
    ///
    /// # Errors
    /// [`Kind::Image`] where the picture cannot be used, as for [`Pipeline::prepare`]; any other kind where the
    /// feature extractor fails.
    pub fn inspect(
        &self,
        picture: &PictureView,
        clock: &dyn Fn() -> Duration,
    ) -> Result<Inspected> {
        let mut last = clock();
        let mut lap = || {
            let now = clock();
            now.saturating_sub(std::mem::replace(&mut last, now))
        };
        let mut times = StageTimes::default();
        let image = self.prepare(picture)?;
        times.prepare = lap();
        let features = contained_here(|| self.features(&image))?;
        times.features = lap();
        let distances = self.distances(&features, None);
        times.matching = lap();
        let anomaly_map = self.anomaly_map(&distances);
        let scored = self.score(&anomaly_map);
        let size = picture.size();
        let decided = self.decide(&scored, size);
        times.scoring = lap();
        Ok(Inspected { size, image, anomaly_map, scored, decided, times })
    }

    /// Brings a picture to the network's size.
    ///
    /// # Errors
    /// As [`Pipeline::check_shape`]; [`Kind::Image`] where its samples are larger than the template's bits
    /// allow.
    pub fn prepare(&self, picture: &PictureView) -> Result<NetworkImage> {
        self.check_shape(picture.size())?;
        let reading = self.template.settings().reading;
        NetworkImage::read(picture, reading, self.backbone.identity().size())
    }

    /// The feature maps of a picture.
    pub fn features(&self, image: &NetworkImage) -> Result<Vec<FeatureMap>> {
        self.backbone.features(image)
    }

    /// Distances of every layer; `leave_out` drops the prototypes that come from that picture. They are no
    /// numbers at a tap whose features are no use ([`FeatureMap::fault`]), so that the picture is rejected.
    pub fn distances(&self, features: &[FeatureMap], leave_out: Option<u32>) -> Vec<Distances> {
        self.matched(features, |layer| {
            leave_out.map(|picture| Without { sources: self.template.sources(layer), picture })
        })
    }

    /// As [`Pipeline::distances`], without the prototypes of group `left_out`; `groups` has the group of every
    /// prototype, a layer, in the order of [`Template::sources`].
    pub fn distances_without(
        &self,
        features: &[FeatureMap],
        groups: &[Vec<u32>],
        left_out: u32,
    ) -> Vec<Distances> {
        self.matched(features, |layer| {
            groups.get(layer).map(|sources| Without { sources, picture: left_out })
        })
    }

    fn matched<'a>(
        &self,
        features: &[FeatureMap],
        without: impl Fn(usize) -> Option<Without<'a>>,
    ) -> Vec<Distances> {
        let header = self.template.header();
        (0..header.layers.len())
            .filter_map(|layer| Some((layer, header.features_of(layer, features)?)))
            .map(|(layer, query)| {
                let windows = header.windows(layer).unwrap_or(Windows { forward: 1, backward: 0 });
                let mut distances =
                    match_layer(query, &self.template.sheets(layer), windows, without(layer));
                if query.fault().is_some() {
                    distances.forward.fill(f32::NAN);
                    distances.backward.fill(f32::NAN);
                }
                distances
            })
            .collect()
    }

    /// Distances of one layer with other windows than the template's.
    #[cfg(feature = "desktop")]
    pub(crate) fn distances_in(
        &self,
        layer: usize,
        query: &FeatureMap,
        windows: Windows,
    ) -> Distances {
        match_layer(query, &self.template.sheets(layer), windows, None)
    }

    /// The maps that `distances` would give in short, were the template's header `header`; without the
    /// baseline where that is asked for.
    #[cfg(feature = "desktop")]
    pub(crate) fn summary_under(
        &self,
        header: &HeaderV1,
        has_baseline: bool,
        distances: &[Distances],
    ) -> MapSummary {
        let baselines = if has_baseline { baselines(&self.template) } else { Vec::new() };
        scorer_for(&self.template, header, baselines).summary(distances).1
    }

    /// Whether [`Pipeline::summary_under`] would differ from `promised` by more than rounding.
    #[cfg(feature = "desktop")]
    pub(crate) fn deviates_under(
        &self,
        header: &HeaderV1,
        has_baseline: bool,
        distances: &[Distances],
        promised: &MapSummary,
    ) -> bool {
        let baselines = if has_baseline { baselines(&self.template) } else { Vec::new() };
        scorer_for(&self.template, header, baselines).deviates(distances, promised, 1.0)
    }

    /// What joins the distances of the layers, with another baseline a layer (empty for none).
    pub fn scorer_with(&self, baselines: Vec<Vec<f32>>) -> Scorer {
        scorer_for(&self.template, self.template.header(), baselines)
    }

    /// What joins the distances of the layers.
    pub fn scorer(&self) -> &Scorer {
        &self.scorer
    }

    /// The anomaly map `S+` at network size.
    pub fn anomaly_map(&self, distances: &[Distances]) -> Vec<f32> {
        self.scorer.anomaly_map(distances)
    }

    /// The image score and the blurred map behind it.
    pub fn score(&self, anomaly_map: &[f32]) -> Scored {
        self.scorer.score(anomaly_map)
    }

    /// Everything from network size to score.
    pub fn run(&self, image: &NetworkImage) -> Result<Scored> {
        let features = self.features(image)?;
        Ok(self.score(&self.anomaly_map(&self.distances(&features, None))))
    }

    /// The template's thresholds.
    pub fn thresholds(&self) -> Thresholds {
        let reject = self.template.header().calibration.threshold;
        Thresholds { reject, review: self.template.decision().map_or(reject, |d| d.review) }
    }

    /// What is to be done with a part, and why; regions are in pixels of a picture of `width` x
    /// `height`.
    pub fn decide(&self, scored: &Scored, size: Size) -> Decided {
        self.decide_at(scored, size, self.thresholds())
    }

    /// As [`Pipeline::decide`], with other thresholds than the template's. `size` is that of the
    /// picture, columns and rows.
    pub fn decide_at(&self, scored: &Scored, size: Size, thresholds: Thresholds) -> Decided {
        let map_width = self.backbone.identity().width as usize;
        decide(scored, map_width, size, thresholds, self.rules())
    }

    /// Where the score of a picture of `size` (columns, rows) comes from; also where nothing is above the threshold.
    pub fn peak(&self, scored: &Scored, size: Size) -> Option<Peak> {
        scored.peak(self.backbone.identity().width as usize, size)
    }

    /// The template's region rules.
    fn rules(&self) -> Option<InForce<'_>> {
        let rules = self.template.settings().rules.as_ref()?;
        let (labels, built_from) = (self.template.zones(), self.template.header().picture_size());
        Some(InForce { rules, labels, built_from })
    }

    /// How far the map that is judged is above what a pixel must exceed to belong to the extent of a region: its
    /// threshold, or a part of the local peak where that is more (see [`crate::scoring::extent`]). Outlines lie at 0.
    pub fn excess(&self, scored: &Scored) -> Vec<f32> {
        self.excess_over(scored, self.thresholds().reject)
    }

    /// Which pixels of the map belong to the extent of a region above `level`: the threshold or the review threshold,
    /// or what a zone has in its place.
    #[cfg(feature = "desktop")]
    pub(crate) fn extents(&self, scored: &Scored, level: f32) -> Vec<bool> {
        self.excess_over(scored, level).iter().map(|excess| *excess > 0.0).collect()
    }

    fn excess_over(&self, scored: &Scored, level: f32) -> Vec<f32> {
        let width = self.template.header().backbone.width as usize;
        let (map, cuts) = match self.rules() {
            None => {
                let map = scored.blurred.as_slice();
                (map, cuts(map, width, &|_| level))
            }
            Some(rules) => {
                let (map, limits) = (scored.for_rules(), rules.limits(level, self.thresholds()));
                (map, cuts(map, width, &|at| limits.of_pixel(at)))
            }
        };
        map.iter().zip(cuts).map(|(value, cut)| value - cut).collect()
    }

    /// Refuses the template where a golden probe differs here from what it was where the template was made.
    ///
    /// # Errors
    /// As [`Pipeline::check_probes`], and [`Kind::Template`] with the first probe that differs.
    pub fn prove(&self) -> Result<()> {
        for probe in self.check_probes()? {
            if let Some(difference) = probe.difference() {
                let what = format!(
                    "golden probe {} differs here by {}: {difference}",
                    probe.name,
                    self.extractor()
                );
                return Err(Error::template(what)
                    .advise("build the template again with this version; if it stays, report it"));
            }
        }
        Ok(())
    }

    /// Proves the template as far as this machine can: that every prototype is a unit vector, and that the
    /// golden probes have the scores and, in a template that promises them, the maps that they had where the
    /// template was made.
    ///
    /// # Errors
    /// [`Kind::Template`] where a prototype is no unit vector; whatever the backbone refuses.
    pub fn check_probes(&self) -> Result<Vec<ProbeResult>> {
        self.template.check_prototypes()?;
        let promised = self.template.settings().proof.as_ref().map(|proof| &proof.maps);
        let options = &self.template.header().build.options;
        let by_tract = self.extractor() == TRACT && !options.iter().any(|(key, _)| key == ENGINE);
        let slack = if by_tract { 1.0 } else { ENGINE_SLACK };
        let result = |(i, (score, maps)): (usize, (f32, MapSummary))| {
            let record = self.template.header().probes.get(i)?;
            let deviation =
                promised.and_then(|of_probes| of_probes.get(i)?.deviation(&maps, slack));
            let has_its_score = (score - record.score).abs() <= record.tolerance;
            Some(ProbeResult {
                name: record.name.clone(),
                expected: record.score,
                score,
                agrees: has_its_score && deviation.is_none(),
                deviation,
            })
        };
        Ok(self.observe_probes()?.into_iter().enumerate().filter_map(result).collect())
    }

    /// The scores and maps that the golden probes have here.
    pub(crate) fn observe_probes(&self) -> Result<Vec<(f32, MapSummary)>> {
        let records = self.template.header().probes.iter().enumerate();
        records
            .map(|(i, record)| {
                let image = self.template.probe(i).ok_or_else(|| {
                    Error::template(format!("probe {} has no picture", record.name))
                })?;
                let distances = self.distances(&self.features(&image)?, None);
                let (scored, maps) = self.scorer.summary(&distances);
                Ok((scored.score, maps))
            })
            .collect()
    }
}

/// The baseline of every layer of `template`; empty for none.
fn baselines(template: &Template) -> Vec<Vec<f32>> {
    let of_layer = |layer| template.baseline(layer).unwrap_or_default().to_vec();
    (0..template.layers()).map(of_layer).collect()
}

/// What joins the distances of `template`, were its header `header`, with one baseline a layer. A layer whose baseline
/// is empty or missing has none.
fn scorer_for(template: &Template, header: &HeaderV1, mut baselines: Vec<Vec<f32>>) -> Scorer {
    baselines.resize(header.layers.len(), Vec::new());
    let size = (header.backbone.height as usize, header.backbone.width as usize);
    let layers = (header.layers.iter().zip(baselines).enumerate())
        .filter_map(|(at, (layer, baseline))| {
            let tap = header.tap(at)?;
            Some(Layer {
                height: tap.height as usize,
                width: tap.width as usize,
                weight: layer.weight,
                votes: header.layer_use(at).votes,
                baseline,
            })
        })
        .collect();
    let (alpha, sigma) = (header.alpha, header.sigma);
    Scorer::new(size, alpha, header.fusion, layers, sigma, template.mask().as_ref())
}
