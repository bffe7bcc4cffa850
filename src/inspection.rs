//! Turns a decoded picture into a verdict. Workstation and device share this one path.

mod probe_picture;

#[cfg(feature = "desktop")]
pub(crate) use probe_picture::INVERTED;
pub use probe_picture::ProbePictures;

use crate::backbone::{self, Backbone, ExtractorOptions, INT8, Request, TRACT};
use crate::containment::contained_here;
use crate::error::{Choice, Error, Kind, NextStep, Result};
use crate::feature_map::FeatureMap;
use crate::image::{Appearance, Mask, NetworkImage, PictureView, Size};
use crate::matching::{Distances, Query, Windows, Without, match_query};
use crate::scoring::extent::cuts;
use crate::scoring::rules::IGNORED;
use crate::scoring::verdict::{InForce, decide};
use crate::scoring::{Decided, Deviation, Layer, MapSummary, Peak, Scored, Scorer, Thresholds};
use crate::template::{HeaderV1, Template};
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Holds a template, its backbone and everything that is prepared for pictures.
pub struct Pipeline {
    template: Arc<Template>,
    backbone: Arc<dyn Backbone>,
    scorer: Scorer,
    /// The sizes of the pictures that the template was built from, each once.
    built_from: Vec<Size>,
    /// The region of interest, if there is one.
    mask: Option<Mask>,
    any_shape: bool,
}

/// Holds what an inspection returns.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// The columns and rows of the picture.
    pub size: Size,
    /// The picture at the network's size.
    pub image: NetworkImage,
    /// The anomaly map at the network's size, before the blur.
    pub anomaly_map: Vec<f32>,
    /// The score and the blurred map, whose largest value is the score.
    pub scored: Scored,
    /// The verdict, the deciding rule and the regions, in pixels of the picture.
    pub decided: Decided,
    /// How long the stages took.
    pub times: StageTimes,
}

/// Holds how long each stage of an inspection took.
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

/// Holds the milliseconds of each stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Timing {
    /// Decoding the picture's file. It is 0 for a picture from memory.
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
    /// The sum of all stages.
    #[serde(rename = "total")]
    pub total_ms: f64,
}

impl Timing {
    /// Returns the times of the stages of an inspection, for a picture that took `decode` to decode.
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

/// The factor of the tolerance for the maps of a golden probe if another feature extractor than tract computes here, or
/// computed where the template was made. Such a feature extractor may use 16-bit numbers.
const ENGINE_SLACK: f32 = 6.0;

/// Holds the result of a golden probe that was computed again.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeResult {
    /// Where the probe's picture comes from.
    pub name: String,
    /// The score that the template promises.
    pub expected: f32,
    /// The score computed here.
    pub score: f32,
    /// Whether the scores agree and the maps do.
    pub agrees: bool,
    /// The place where its maps differ most from those that the template promises, if they differ by more than
    /// rounding. It is also `None` in a template that promises no maps.
    pub deviation: Option<Deviation>,
}

impl ProbeResult {
    /// Returns in words what differs, or `None` if the probe agrees.
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
    /// Returns [`crate::error::Kind::Template`] if the template was made with another backbone.
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
        let mask = template.mask();
        Ok(Pipeline { template, backbone, scorer, built_from, mask, any_shape: false })
    }

    /// Returns the same pipeline, which now squeezes pictures of any shape into the network's input.
    pub fn with_any_shape(self) -> Self {
        Pipeline { any_shape: true, ..self }
    }

    /// Refuses pictures of another shape than those that the template was built from, because the network would see
    /// them squeezed. If these differ in shape, any shape between them is accepted.
    ///
    /// # Errors
    /// Returns [`Kind::Image`], with both sizes.
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

    /// Returns the size of the pictures that the template was built from, if none of them had `size`.
    pub fn other_size(&self, size: Size) -> Option<Size> {
        self.built_from.first().copied().filter(|_| !self.built_from.contains(&size))
    }

    /// Opens a template file with the backbone that it asks for: `model`, or the bundled one. `extractor` says how
    /// features are computed.
    pub fn open(
        template: &Path,
        model: Option<&Path>,
        extractor: &ExtractorOptions,
    ) -> Result<Self> {
        let opened = Template::open(template)?;
        Self::join(opened, model, extractor).map_err(|e| match e.kind() {
            Kind::Io => e,
            _ => e.within(template.display()),
        })
    }

    /// Joins a template with the backbone that it asks for: `model`, or the bundled one. `extractor` says how features
    /// are computed.
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
            made_by: Some(template.header().build.extractor()),
        };
        let backbone = backbone::open(&request, extractor).map_err(|e| match e.kind() {
            Kind::Io => e,
            _ => e.within(format!("the template needs {}", template.header().backbone)),
        })?;
        let joined = Self::new(template, backbone)?;
        if (joined.made_by() == INT8) != (joined.extractor() == INT8) {
            joined.require_same_features()?;
        }
        Ok(joined)
    }

    /// Refuses a feature extractor of other features than the template's, unless the golden probes agree.
    fn require_same_features(&self) -> Result<()> {
        let Some(difference) = self
            .check_probes()?
            .into_iter()
            .find_map(|probe| Some((probe.difference()?, probe.name)))
        else {
            return Ok(());
        };
        let (made_by, here, (difference, probe)) = (self.made_by(), self.extractor(), difference);
        Err(Error::template(format!(
            "the template was made from features of {made_by}, and those of {here} differ from them: golden probe \
             {probe}: {difference}"
        ))
        .next(NextStep::OneOf(vec![
            NextStep::LeaveOut(Choice::Device),
            NextStep::Do(format!("build the template again with the features of {here}").into()),
        ])))
    }

    /// Returns the name of the feature extractor that the template was made with.
    fn made_by(&self) -> &str {
        self.template.header().build.extractor()
    }

    /// Returns the template.
    pub fn template(&self) -> &Arc<Template> {
        &self.template
    }

    /// Returns the backbone that computes the features, to join it with another template.
    pub fn backbone(&self) -> &Arc<dyn Backbone> {
        &self.backbone
    }

    /// Returns the largest number of pictures that should be inspected at the same time, whatever the number of
    /// threads. Their features must fit into memory.
    pub fn pictures_at_once(&self) -> usize {
        self.backbone.identity().pictures_at_once()
    }

    /// Returns the name of the feature extractor.
    pub fn extractor(&self) -> &str {
        self.backbone.extractor()
    }

    /// Inspects a picture. Workstation, device and other programs share this one path.
    ///
    /// `clock` returns the time since any fixed moment. [`Inspected::times`] come from it. If the calling thread
    /// belongs to a [`crate::containment::Containment`], a panic of the feature extractor is an error.
    ///
    /// # Errors
    /// Returns [`Kind::Image`] if the picture cannot be used, as [`Pipeline::prepare`] does. Returns any other kind if
    /// the feature extractor fails.
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
        Ok(self.judge(picture.size(), image, &features, times, clock))
    }

    /// Does the rest of [`Pipeline::inspect`] for a picture of `size` with its features. `times` holds the stages so
    /// far.
    pub fn judge(
        &self,
        size: Size,
        image: NetworkImage,
        features: &[FeatureMap],
        mut times: StageTimes,
        clock: &dyn Fn() -> Duration,
    ) -> Inspected {
        let start = clock();
        let distances = self.distances(features, None);
        let matched = clock();
        times.matching = matched.saturating_sub(start);
        let anomaly_map = self.anomaly_map(&distances);
        let scored = self.score(&anomaly_map);
        let decided = self.decide(&scored, size);
        times.scoring = clock().saturating_sub(matched);
        Inspected { size, image, anomaly_map, scored, decided, times }
    }

    /// Brings a picture to the network's size.
    ///
    /// # Errors
    /// Returns the errors of [`Pipeline::check_shape`], and [`Kind::Image`] if its samples are larger than the
    /// template's bits allow.
    pub fn prepare(&self, picture: &PictureView) -> Result<NetworkImage> {
        self.check_shape(picture.size())?;
        let reading = self.template.settings().reading;
        NetworkImage::read(picture, reading, self.backbone.identity().size())
    }

    /// Measures how a picture looks inside the region of interest. Returns `None` if too little is inside. It has no
    /// influence on the verdict.
    pub fn appearance(&self, image: &NetworkImage) -> Option<Appearance> {
        Appearance::of(image, self.mask.as_ref())
    }

    /// Computes the feature maps of a picture.
    pub fn features(&self, image: &NetworkImage) -> Result<Vec<FeatureMap>> {
        self.backbone.features(image)
    }

    /// Computes the distances of every layer. `leave_out` drops the prototypes that come from that picture. The
    /// distances are not numbers at a tap whose features cannot be used ([`FeatureMap::fault`]). So the picture is
    /// rejected.
    pub fn distances(&self, features: &[FeatureMap], leave_out: Option<u32>) -> Vec<Distances> {
        self.matched(features, |layer| {
            leave_out.map(|picture| Without { sources: self.template.sources(layer), picture })
        })
    }

    /// Does the same as [`Pipeline::distances`], without the prototypes of group `left_out`. `groups` holds for each
    /// layer the group of every prototype, in the order of [`Template::sources`].
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
        let queries: Vec<Query> = features.iter().map(Query::new).collect();
        (0..header.layers.len())
            .filter_map(|layer| Some((layer, header.features_of(layer, &queries)?)))
            .map(|(layer, query)| {
                let windows = header.windows(layer).unwrap_or(Windows { forward: 1, backward: 0 });
                let mut distances =
                    match_query(query, &self.template.sheets(layer), windows, without(layer));
                if query.map().fault().is_some() {
                    distances.forward.fill(f32::NAN);
                    distances.backward.fill(f32::NAN);
                }
                distances
            })
            .collect()
    }

    /// Computes the distances of one layer with other windows than the template's.
    #[cfg(feature = "desktop")]
    pub(crate) fn distances_in(
        &self,
        layer: usize,
        query: &FeatureMap,
        windows: Windows,
    ) -> Distances {
        match_query(&Query::new(query), &self.template.sheets(layer), windows, None)
    }

    /// Returns a summary of the maps that `distances` would give with the header `header`. The baseline is used only if
    /// `has_baseline` is true.
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

    /// Returns whether [`Pipeline::summary_under`] would differ from `promised` by more than rounding.
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

    /// Returns a scorer of this template with another baseline for each layer. An empty one means no baseline.
    pub fn scorer_with(&self, baselines: Vec<Vec<f32>>) -> Scorer {
        scorer_for(&self.template, self.template.header(), baselines)
    }

    /// Returns what joins the distances of the layers.
    pub fn scorer(&self) -> &Scorer {
        &self.scorer
    }

    /// Computes the anomaly map `S+` at network size.
    pub fn anomaly_map(&self, distances: &[Distances]) -> Vec<f32> {
        self.scorer.anomaly_map(distances)
    }

    /// Computes the score and the blurred map behind it.
    pub fn score(&self, anomaly_map: &[f32]) -> Scored {
        self.scorer.score(anomaly_map)
    }

    /// Does everything from network size to score.
    pub fn run(&self, image: &NetworkImage) -> Result<Scored> {
        let features = self.features(image)?;
        Ok(self.score(&self.anomaly_map(&self.distances(&features, None))))
    }

    /// Returns the template's thresholds.
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

    /// Returns the template's region rules.
    fn rules(&self) -> Option<InForce<'_>> {
        let rules = self.template.settings().rules.as_ref()?;
        let (labels, built_from) = (self.template.zones(), self.template.header().picture_size());
        Some(InForce { rules, labels, built_from })
    }

    /// Returns how far the judged map is above what a pixel must exceed to belong to the extent of a region. That is
    /// its threshold, or a share of the local peak if that is more (see [`crate::scoring::extent`]). Outlines lie at 0.
    pub fn excess(&self, scored: &Scored) -> Vec<f32> {
        self.excess_over(scored, self.thresholds().reject)
    }

    /// Says which pixels of the map belong to the extent of a region above `level`. `level` is the threshold or the
    /// review threshold, or what a zone has in its place.
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

    /// Refuses the template if a golden probe differs here from its result where the template was made.
    ///
    /// # Errors
    /// Returns the errors of [`Pipeline::check_probes`], and [`Kind::Template`] with the first probe that differs.
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

    /// Checks the template as far as this machine can. Every prototype must be a unit vector. The golden probes must
    /// have the scores that they had where the template was made. They must also have the maps, in a template that
    /// promises them.
    ///
    /// # Errors
    /// Returns [`Kind::Template`] if a prototype is not a unit vector. Passes on the errors of the backbone.
    pub fn check_probes(&self) -> Result<Vec<ProbeResult>> {
        self.template.check_prototypes()?;
        (0..self.probes()).map(|probe| self.check_probe(probe)).collect()
    }

    /// Returns the number of golden probes of the template.
    pub fn probes(&self) -> usize {
        self.template.header().probes.len()
    }

    /// Computes golden probe number `probe` and compares it with its result where the template was made.
    ///
    /// # Errors
    /// Returns [`Kind::Template`] if there is no such probe. Passes on the errors of the backbone.
    pub fn check_probe(&self, probe: usize) -> Result<ProbeResult> {
        let header = self.template.header();
        let record = header.probes.get(probe);
        let record = record.ok_or_else(|| Error::template(format!("there is no probe {probe}")))?;
        let (score, maps) = self.observe_probe(probe)?;
        let is_own = matches!(self.extractor(), INT8 | TRACT);
        let slack = if is_own && self.made_by() == self.extractor() { 1.0 } else { ENGINE_SLACK };
        let promised = self.template.settings().proof.as_ref().and_then(|p| p.maps.get(probe));
        let deviation = promised.and_then(|promised| promised.deviation(&maps, slack));
        let has_its_score = (score - record.score).abs() <= record.tolerance;
        Ok(ProbeResult {
            name: record.name.clone(),
            expected: record.score,
            score,
            agrees: has_its_score && deviation.is_none(),
            deviation,
        })
    }

    /// Computes the scores and maps that the golden probes have here.
    #[cfg(feature = "desktop")]
    pub(crate) fn observe_probes(&self) -> Result<Vec<(f32, MapSummary)>> {
        (0..self.probes()).map(|probe| self.observe_probe(probe)).collect()
    }

    fn observe_probe(&self, probe: usize) -> Result<(f32, MapSummary)> {
        let name = self.template.header().probes.get(probe).map_or("", |record| &record.name);
        let image = self.template.probe(probe);
        let image = image.ok_or_else(|| Error::template(format!("probe {name} has no picture")))?;
        let distances = self.distances(&self.features(&image)?, None);
        let (scored, maps) = self.scorer.summary(&distances);
        Ok((scored.score, maps))
    }
}

/// Returns the baseline of every layer of `template`. It is empty for a layer without one.
fn baselines(template: &Template) -> Vec<Vec<f32>> {
    let of_layer = |layer| template.baseline(layer).unwrap_or_default().to_vec();
    (0..template.layers()).map(of_layer).collect()
}

/// Makes what joins the distances of `template` with the header `header` and one baseline per layer. A layer whose
/// baseline is empty or missing has none.
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
