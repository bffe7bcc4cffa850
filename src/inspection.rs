//! From a decoded picture to a verdict: the one path that workstation and device share.

use crate::backbone::{self, Backbone, Engine, Request};
use crate::error::{Error, Kind, Result};
use crate::feature_map::FeatureMap;
use crate::image::{NetworkImage, Picture};
use crate::matching::{Distances, Without, match_layer};
use crate::scoring::rules::IGNORED;
use crate::scoring::verdict::{InForce, decide};
use crate::scoring::{Decided, Layer, Scored, Scorer, Thresholds};
use crate::template::Template;
use std::path::Path;
use std::sync::Arc;

/// A template, its backbone and everything prepared for pictures.
pub struct Inspector {
    template: Arc<Template>,
    backbone: Arc<dyn Backbone>,
    scorer: Scorer,
}

/// A golden probe that was computed again.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeResult {
    /// Where the probe's picture comes from.
    pub name: String,
    /// The score that the template promises.
    pub expected: f32,
    /// The score computed here.
    pub score: f32,
    /// Whether they agree.
    pub agrees: bool,
}

/// What joins the distances of the layers of `template`, with one baseline a layer; empty for none.
fn scorer(template: &Template, baselines: Vec<Vec<f32>>) -> Scorer {
    let header = template.header();
    let size = (header.backbone.height as usize, header.backbone.width as usize);
    let layers = header.layers.iter().zip(&header.backbone.taps).zip(baselines);
    let layers = layers
        .map(|((layer, tap), baseline)| Layer {
            height: tap.height as usize,
            width: tap.width as usize,
            weight: layer.weight,
            baseline,
        })
        .collect();
    let mask = template.mask();
    Scorer::new(size, header.alpha, header.fusion, layers, header.sigma, mask.as_ref())
}

impl Inspector {
    /// Joins a template with a backbone.
    ///
    /// # Errors
    /// [`crate::error::Kind::Template`] where the template was made with another backbone.
    pub fn new(template: impl Into<Arc<Template>>, backbone: Arc<dyn Backbone>) -> Result<Self> {
        let template = template.into();
        backbone.identity().require_same_as(&template.header().backbone)?;
        let baseline = |layer| template.baseline(layer).unwrap_or_default().to_vec();
        let scorer = scorer(&template, (0..template.layers()).map(baseline).collect());
        let ignored: Vec<bool> = template.zones().iter().map(|&label| label == IGNORED).collect();
        let scorer = scorer.ignoring(&ignored);
        Ok(Inspector { template, backbone, scorer })
    }

    /// Opens a template file with the backbone it asks for, `model` or the bundled one, on `engine`.
    pub fn open(template: &Path, model: Option<&Path>, engine: &Engine) -> Result<Self> {
        let opened = Template::open(template)?;
        Self::join(opened, model, engine).map_err(|e| match e.kind() {
            Kind::Io => e,
            _ => e.within(template.display()),
        })
    }

    /// Joins a template with the backbone it asks for, `model` or the bundled one, on `engine`.
    pub fn join(
        template: impl Into<Arc<Template>>,
        model: Option<&Path>,
        engine: &Engine,
    ) -> Result<Self> {
        let template = template.into();
        let id = &template.header().backbone;
        let request = Request {
            model,
            taps: vec![id.taps.iter().map(|t| t.name.clone()).collect()],
            height: id.height as usize,
            width: id.width as usize,
        };
        let backbone = backbone::open(&request, engine).map_err(|e| match e.kind() {
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

    /// Name of what computes the features.
    pub fn engine(&self) -> &str {
        self.backbone.engine()
    }

    /// Brings a picture to the network's size.
    pub fn prepare(&self, picture: &Picture) -> Result<NetworkImage> {
        let id = self.backbone.identity();
        NetworkImage::new(picture, id.height as usize, id.width as usize)
    }

    /// The feature maps of a picture.
    pub fn features(&self, image: &NetworkImage) -> Result<Vec<FeatureMap>> {
        self.backbone.features(image)
    }

    /// Distances of every layer; `leave_out` drops the prototypes that come from that picture.
    pub fn distances(&self, features: &[FeatureMap], leave_out: Option<u32>) -> Vec<Distances> {
        self.matched(features, |layer| {
            leave_out.map(|picture| Without { sources: self.template.sources(layer), picture })
        })
    }

    /// Distances of every layer without the prototypes of group `left_out`; `groups` has the group of every
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
        (features.iter().enumerate())
            .map(|(layer, query)| {
                let header = self.template.header();
                let windows = header
                    .windows(layer)
                    .unwrap_or(crate::matching::Windows { forward: 1, backward: 0 });
                match_layer(query, &self.template.sheets(layer), windows, without(layer))
            })
            .collect()
    }

    /// What joins the distances of the layers, with another baseline a layer (empty for none).
    pub fn scorer_with(&self, baselines: Vec<Vec<f32>>) -> Scorer {
        scorer(&self.template, baselines)
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
    pub fn decide(&self, scored: &Scored, width: u32, height: u32) -> Decided {
        self.decide_at(scored, (width, height), self.thresholds())
    }

    /// As [`Inspector::decide`], with other thresholds than the template's. `size` is that of the
    /// picture, columns and rows.
    pub fn decide_at(&self, scored: &Scored, size: (u32, u32), thresholds: Thresholds) -> Decided {
        let map_width = self.backbone.identity().width as usize;
        decide(scored, map_width, size, thresholds, self.rules())
    }

    /// The template's region rules.
    fn rules(&self) -> Option<InForce<'_>> {
        let rules = self.template.settings().rules.as_ref()?;
        let (labels, built_from) = (self.template.zones(), self.template.header().picture_size());
        Some(InForce { rules, labels, built_from })
    }

    /// How far the map that is judged is above the threshold of each of its pixels, whatever the zone.
    pub fn excess(&self, scored: &Scored) -> Vec<f32> {
        let thresholds = self.thresholds();
        let Some(rules) = self.rules() else {
            return scored.blurred.iter().map(|value| value - thresholds.reject).collect();
        };
        let limits = rules.limits(thresholds.reject, thresholds);
        let above = |(at, value): (usize, &f32)| value - limits.of_pixel(at);
        scored.for_rules().iter().enumerate().map(above).collect()
    }

    /// Computes the golden probes again.
    pub fn check_probes(&self) -> Result<Vec<ProbeResult>> {
        let records = self.template.header().probes.iter().enumerate();
        records
            .map(|(i, record)| {
                let image = self.template.probe(i).ok_or_else(|| {
                    Error::template(format!("probe {} has no picture", record.name))
                })?;
                let score = self.run(&image)?.score;
                Ok(ProbeResult {
                    name: record.name.clone(),
                    expected: record.score,
                    score,
                    agrees: (score - record.score).abs() <= record.tolerance,
                })
            })
            .collect()
    }
}
