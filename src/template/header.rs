//! What a template says about itself: a postcard header, one frozen struct a version.
//!
//! Postcard has no field names: a struct that was once released never changes. Something new
//! takes a new variant at the end of [`Header`], and [`decode`] turns the old ones into it.

use crate::backbone::{Identity, TapIdentity};
use crate::error::{Error, Result};
use crate::feature_map::FeatureMap;
use crate::image::Reading;
use crate::matching::{Shape, Storage, Windows};
use crate::scoring::{Fusion, MapSummary, Rules};
use crate::selection::Rule;
use serde::{Deserialize, Serialize};

/// All versions of the header; append only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Header {
    /// The first.
    V1(HeaderV1),
    /// With how the threshold came about and what it promises.
    V2(HeaderV1, Decision),
    /// With region rules, and a decision where there is one.
    V3(HeaderV1, Option<Decision>, Rules),
    /// With what proves the template beyond the scores of its probes, and how the samples of pictures are to
    /// be understood.
    V4(HeaderV1, Option<Decision>, Option<Rules>, Option<Proof>, Reading),
    /// With what the build knew of good parts when it set the threshold.
    V5(HeaderV1, Option<Decision>, Option<Rules>, Option<Proof>, Reading, Evidence),
    /// With layers that share taps, match at any position, or have votes of their own.
    V6(
        HeaderV1,
        Option<Decision>,
        Option<Rules>,
        Option<Proof>,
        Reading,
        Option<Evidence>,
        Vec<LayerUse>,
    ),
}

/// How a layer uses a tap of the backbone, and how much it counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LayerUse {
    /// Number of the tap among the backbone's.
    pub tap: u16,
    /// Whether a pixel is compared with all prototypes of the layer, wherever they come from. Such a layer has
    /// one block of prototypes and no windows.
    pub position_free: bool,
    /// How much the layer counts in the root mean over layers, above 0; 1 is usual.
    pub votes: f32,
}

/// What proves a template beyond its checksums and the scores of its probes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// BLAKE3 of the header, with zeros in place of the seal, and of the section table behind it. The table
    /// holds the checksums of all sections, so the seal covers the whole file. It shows that a part was
    /// changed and its checksum made anew; it is no signature.
    pub seal: [u8; 32],
    /// The maps that each golden probe must reproduce.
    pub maps: Vec<MapSummary>,
}

/// What a template says beside the first version of its header: what can be set after it was built, and
/// how its pictures are read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settings {
    /// How the threshold came about; `None` where it is provisional or was given.
    pub decision: Option<Decision>,
    /// What of a map above the threshold makes a part bad; `None` where the score alone decides.
    pub rules: Option<Rules>,
    /// What proves the template; `None` in one that was built before there was such a proof.
    pub proof: Option<Proof>,
    /// What the build knew of good parts; `None` in templates of older versions.
    pub evidence: Option<Evidence>,
    /// How the samples of pictures are to be understood, the good ones and those to be inspected.
    pub reading: Reading,
}

impl Header {
    /// What it holds, whatever its version.
    pub fn into_parts(self) -> (HeaderV1, Settings) {
        match self {
            Header::V1(header) => (header, Settings::default()),
            Header::V2(header, decision) => {
                (header, Settings { decision: Some(decision), ..Settings::default() })
            }
            Header::V3(header, decision, rules) => {
                (header, Settings { decision, rules: Some(rules), ..Settings::default() })
            }
            Header::V4(header, decision, rules, proof, reading) => {
                (header, Settings { decision, rules, proof, reading, evidence: None })
            }
            Header::V5(header, decision, rules, proof, reading, evidence) => {
                (header, Settings { decision, rules, proof, reading, evidence: Some(evidence) })
            }
            Header::V6(mut header, decision, rules, proof, reading, evidence, uses) => {
                header.uses = uses;
                (header, Settings { decision, rules, proof, reading, evidence })
            }
        }
    }
}

/// How the threshold came about, what it promises, and from which score on a person should look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Above this score, up to the threshold, a part is for review; the threshold itself for none.
    pub review: f32,
    /// Where the scores came from that set the threshold.
    pub basis: Basis,
    /// The false-reject rate that was asked for, 0..1.
    pub false_reject: f32,
    /// The rank of the threshold among the scores, 1 the largest.
    pub rank: u32,
    /// 95 % interval of the true false-reject rate.
    pub interval: [f32; 2],
}

/// What a build knew of good parts when it set the threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// What the threshold is that stands now.
    pub origin: Origin,
    /// What said which parts are one item.
    pub grouping: Grouping,
    /// How many items the parts are of; as many as parts where nothing says which belong together.
    pub items: u32,
    /// Which part every picture that the template was built from shows, numbered from 0: pictures of the same
    /// exposure show one part.
    pub parts: Vec<u32>,
    /// The score of every part against a template that has not seen its fold; empty where no folds were made.
    pub scores: Vec<f32>,
}

/// What a threshold is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A number that was given to the build.
    Given,
    /// The build's own estimate of a quantile of the scores of good parts.
    Estimate,
    /// A rank among the scores of good parts, for a rate that was asked for.
    Rank,
}

/// What says which parts are one item, for folds that keep items whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Grouping {
    /// Nothing: runs of the order of the names.
    Order,
    /// The names up to their last separator.
    Names,
    /// A pattern that was given to the build.
    Pattern,
}

/// Where the scores came from that set a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Basis {
    /// Every good picture against a template built without its part of the pictures; the number of
    /// parts.
    Folds(u32),
    /// Good pictures that the template was not built from.
    FreshParts,
}

impl std::fmt::Display for Basis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Basis::Folds(folds) => write!(f, "{folds} folds"),
            Basis::FreshParts => f.write_str("fresh parts"),
        }
    }
}

/// Version 1 of the header.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeaderV1 {
    /// The backbone that the features come from.
    pub backbone: Identity,
    /// One record a layer; [`HeaderV1::layer_use`] says which tap each matches.
    pub layers: Vec<LayerRecord>,
    /// Weight of the forward direction, 0..1 (`a` of Eq. 6).
    pub alpha: f32,
    /// Standard deviation of the blur, in pixels at network size.
    pub sigma: f32,
    /// How the layers are joined.
    pub fusion: Fusion,
    /// How values are stored.
    pub storage: Storage,
    /// How prototypes were chosen.
    pub rule: Rule,
    /// Threshold and colour scale.
    pub calibration: Calibration,
    /// Expected scores of the golden probes.
    pub probes: Vec<ProbeRecord>,
    /// Where it comes from.
    pub build: Provenance,
    /// How the layers use the taps, one a layer (from version 6 on). Where it is empty, layer j matches tap j at its
    /// own positions, and all layers count the same.
    #[serde(skip)]
    pub uses: Vec<LayerUse>,
}

/// One layer of a template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// Sheets, K.
    pub sheets: u32,
    /// Full width of the forward window, odd; 0 in a position-free layer.
    pub patch_forward: u32,
    /// Full width of the backward window, odd; 0 where alpha is 1 and in a position-free layer.
    pub patch_backward: u32,
    /// Weight of the layer when they are joined (Eq. 10).
    pub weight: f32,
}

/// What scores mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Above this score a picture is bad.
    pub threshold: f32,
    /// Anomaly value at the top of the colour scale of heat maps.
    pub scale_top: f32,
    /// How many different good pictures the threshold comes from; 0 where it is provisional or was
    /// given.
    pub pictures: u32,
}

/// A golden probe: a small picture whose score every device must reproduce.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeRecord {
    /// Where the picture comes from.
    pub name: String,
    /// Its score.
    pub score: f32,
    /// Largest difference that passes.
    pub tolerance: f32,
}

/// Who built the template, from what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of the program.
    pub version: String,
    /// Options that differ from a plain build, for people.
    pub options: Vec<(String, String)>,
    /// The pictures, in the order of the source numbers.
    pub images: Vec<ImageRecord>,
}

/// Most layers of a template, and most taps of its backbone.
const MAX_LAYERS: usize = 16;
/// Widest window of a layer, in pixels of the layer; one that is wider than the map is cut at its border.
pub const MAX_WINDOW: u32 = 255;
/// Largest standard deviation of the blur, in pixels at network size.
pub const MAX_SIGMA: f32 = 64.0;
/// No version of this program has written a larger tolerance of a probe: a fixed part, and one that grows
/// with the score.
const MAX_TOLERANCE: f32 = 0.1;

/// Key of the option that names what has computed the features, where that was not tract.
pub const ENGINE: &str = "engine";
/// Key of the option that says that the threshold was given to the build.
pub const GIVEN_THRESHOLD: &str = "threshold";
/// Key of the option that says which share of the mean distance map of good parts the baseline is, where it is not
/// the whole of it.
pub const BASELINE_SHARE: &str = "baseline-share";
/// Key of the option that says how many turned copies of each picture were candidates, where there were any.
pub const ROTATIONS: &str = "rotations";

/// Pixels of the network's input that a defect must span to be found: what made-up dark spots of a plain contrast take
/// (`docs/large-pictures.md`).
pub const DEFECT_NETWORK_PX: f64 = 8.0;
/// Key of the option that says how small the defects are that the input was chosen for.
pub const DEFECT: &str = "defect";
/// Key of the option that says how many millimetres of the part a pixel of the pictures shows.
pub const MM_PER_PIXEL: &str = "mm-per-pixel";

impl Provenance {
    /// Millimetres of the part that a pixel of the pictures shows, where the build was told.
    pub fn mm_per_pixel(&self) -> Option<f64> {
        let (_, scale) = self.options.iter().find(|(key, _)| key == MM_PER_PIXEL)?;
        scale.parse().ok().filter(|scale: &f64| scale.is_finite() && *scale > 0.0)
    }

    /// The share of the mean distance map of good parts that the baseline is, above 0 up to 1; 1 in templates that
    /// say nothing of it.
    pub fn baseline_share(&self) -> f32 {
        let said = self.options.iter().find(|(key, _)| key == BASELINE_SHARE);
        let share = said.and_then(|(_, share)| share.parse().ok());
        share.filter(|share| *share > 0.0 && *share <= 1.0).unwrap_or(1.0)
    }

    /// Whether the threshold that the build set was given, and does not come from scores.
    pub fn has_given_threshold(&self) -> bool {
        self.options.iter().any(|(key, _)| key == GIVEN_THRESHOLD)
    }
}

/// One picture that a template was built from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// File name.
    pub name: String,
    /// BLAKE3 of the file.
    pub digest: [u8; 32],
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Its score against the template without its own prototypes; not a number where unknown.
    pub score: f32,
}

impl ProbeRecord {
    /// Records that the probe scores `score` where the template is made. Engines and instruction
    /// sets differ by rounding, which the layer weights magnify; a good part scores about 1.
    pub fn promise(&mut self, score: f32) {
        self.score = score;
        self.tolerance = 0.01 + 0.01 * score.abs();
    }

    fn has_small_tolerance(&self) -> bool {
        (0.0..=MAX_TOLERANCE * (1.0 + self.score.abs())).contains(&self.tolerance)
    }
}

impl HeaderV1 {
    /// How layer `layer` uses its tap.
    pub fn layer_use(&self, layer: usize) -> LayerUse {
        let usual = LayerUse { tap: layer as u16, position_free: false, votes: 1.0 };
        self.uses.get(layer).copied().unwrap_or(usual)
    }

    /// The tap that layer `layer` matches.
    pub fn tap(&self, layer: usize) -> Option<&TapIdentity> {
        self.backbone.taps.get(usize::from(self.layer_use(layer).tap))
    }

    /// Of `maps`, one a tap, the one that layer `layer` matches.
    pub fn features_of<'a>(&self, layer: usize, maps: &'a [FeatureMap]) -> Option<&'a FeatureMap> {
        maps.get(usize::from(self.layer_use(layer).tap))
    }

    /// Sizes of the prototypes of layer `layer`. A position-free layer has one block, as if its map were one pixel.
    pub fn shape(&self, layer: usize) -> Option<Shape> {
        let tap = self.tap(layer)?;
        let (height, width) = match self.layer_use(layer).position_free {
            true => (1, 1),
            false => (tap.height as usize, tap.width as usize),
        };
        Some(Shape {
            height,
            width,
            channels: tap.channels as usize,
            sheets: self.layers.get(layer)?.sheets as usize,
        })
    }

    /// Pixels of the distance map of layer `layer`.
    pub fn map_pixels(&self, layer: usize) -> Option<usize> {
        self.tap(layer).map(|tap| tap.height as usize * tap.width as usize)
    }

    /// Columns and rows of the pictures that the template was built from: of the first, where they
    /// differ.
    pub fn picture_size(&self) -> (u32, u32) {
        self.build.images.first().map_or((0, 0), |image| (image.width, image.height))
    }

    /// Diameter of the smallest defect that the input is large enough for, in pixels of the pictures that the template
    /// was built from; `None` where their size is not known.
    pub fn smallest_defect_px(&self) -> Option<f64> {
        let (width, height) = self.picture_size();
        let scale = |input: u32, picture: u32| f64::from(input) / f64::from(picture);
        let scale = scale(self.backbone.width, width).min(scale(self.backbone.height, height));
        Some(DEFECT_NETWORK_PX / scale).filter(|px| px.is_finite() && *px > 0.0)
    }

    /// Windows of layer `layer`.
    pub fn windows(&self, layer: usize) -> Option<Windows> {
        let layer = self.layers.get(layer)?;
        Some(Windows {
            forward: layer.patch_forward as usize,
            backward: layer.patch_backward as usize,
        })
    }

    /// The oldest version that holds everything.
    pub fn versioned(&self, settings: &Settings) -> Header {
        let Settings { decision, rules, proof, evidence, reading } = settings.clone();
        if !self.uses.is_empty() {
            let uses = self.uses.clone();
            return Header::V6(self.clone(), decision, rules, proof, reading, evidence, uses);
        }
        if let Some(evidence) = evidence {
            return Header::V5(self.clone(), decision, rules, proof, reading, evidence);
        }
        if proof.is_some() || reading != Reading::default() {
            return Header::V4(self.clone(), decision, rules, proof, reading);
        }
        match (decision, rules) {
            (None, None) => Header::V1(self.clone()),
            (Some(decision), None) => Header::V2(self.clone(), decision),
            (decision, Some(rules)) => Header::V3(self.clone(), decision, rules),
        }
    }

    /// As many zeros as the maps of every probe have values, and no seal: what a template that is being
    /// built has in place of its proof.
    pub fn empty_proof(&self) -> Proof {
        let layers = self.layers.iter().enumerate().filter_map(|(at, layer)| {
            let tap = self.tap(at)?;
            Some((tap.height as usize, tap.width as usize, layer.patch_backward > 0))
        });
        let size = (self.backbone.height as usize, self.backbone.width as usize);
        let maps = MapSummary::zeros(layers, size);
        Proof { seal: [0; 32], maps: vec![maps; self.probes.len()] }
    }

    /// The seal of a template with this header, these settings and the section table `table`; `None` where it
    /// has no proof.
    pub fn seal(&self, settings: &Settings, table: &[u8]) -> Result<Option<[u8; 32]>> {
        let Some(proof) = &settings.proof else { return Ok(None) };
        let proof = Some(Proof { seal: [0; 32], ..proof.clone() });
        let header = self.encode(&Settings { proof, ..settings.clone() })?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&header).update(table);
        Ok(Some(hasher.finalize().into()))
    }

    /// The bytes in the file.
    pub fn encode(&self, settings: &Settings) -> Result<Vec<u8>> {
        postcard::to_stdvec(&self.versioned(settings))
            .map_err(|e| Error::template(format!("the header cannot be written: {e}")))
    }

    /// Refuses what no build writes, so that nothing after it has to doubt a number.
    fn validate(&self) -> std::result::Result<(), &'static str> {
        let finite = |v: f32| v.is_finite();
        let id = &self.backbone;
        check((1..=MAX_LAYERS).contains(&self.layers.len()), "layers")?;
        self.validate_uses()?;
        check((8..=4096).contains(&id.height) && (8..=4096).contains(&id.width), "input size")?;
        check(
            id.std.iter().all(|&s| finite(s) && s > 0.0) && id.mean.iter().all(|&m| finite(m)),
            "preprocessing",
        )?;
        for tap in &id.taps {
            check((1..=4096).contains(&tap.height) && (1..=4096).contains(&tap.width), "tap size")?;
            check((1..=65_536).contains(&tap.channels), "channels")?;
        }
        for (at, layer) in self.layers.iter().enumerate() {
            check((1..=1_000_000).contains(&layer.sheets), "sheets")?;
            let is_free = self.layer_use(at).position_free;
            check((layer.patch_forward % 2 == 1) != is_free, "forward window")?;
            check(layer.patch_backward == 0 || layer.patch_backward % 2 == 1, "backward window")?;
            check(
                !is_free || layer.patch_forward + layer.patch_backward == 0,
                "position-free layer",
            )?;
            check(layer.patch_forward.max(layer.patch_backward) <= MAX_WINDOW, "window")?;
            check((0.0..1e9).contains(&layer.weight), "layer weight")?;
        }
        check(self.layers.iter().any(|layer| layer.weight > 0.0), "layer weights")?;
        check((0.0..=1.0).contains(&self.alpha), "alpha")?;
        let backward = (self.layers.iter().enumerate())
            .all(|(at, layer)| layer.patch_backward > 0 || self.layer_use(at).position_free);
        check(self.alpha == 1.0 || backward, "backward window")?;
        check((0.0..=MAX_SIGMA).contains(&self.sigma), "sigma")?;
        let threshold = self.calibration.threshold;
        check(finite(threshold) && threshold > 0.0, "the threshold is not above 0")?;
        check(
            finite(self.calibration.scale_top) && self.calibration.scale_top > 0.0,
            "colour scale",
        )?;
        check(self.probes.iter().all(|p| finite(p.score) && p.has_small_tolerance()), "probes")?;
        check(!self.probes.is_empty() && self.probes.len() <= 64, "probes")?;
        check(!self.build.images.is_empty(), "provenance")?;
        check(self.build.images.iter().all(|image| !image.score.is_infinite()), "provenance")
    }
}

impl HeaderV1 {
    /// Refuses uses of taps that no build writes.
    fn validate_uses(&self) -> std::result::Result<(), &'static str> {
        let taps = self.backbone.taps.len();
        check((1..=MAX_LAYERS).contains(&taps), "taps")?;
        if self.uses.is_empty() {
            return check(self.layers.len() == taps, "layers");
        }
        check(self.uses.len() == self.layers.len(), "uses of taps")?;
        check(self.uses.iter().all(|layer| usize::from(layer.tap) < taps), "uses of taps")?;
        check(self.uses.iter().all(|layer| (1e-3..=1e3).contains(&layer.votes)), "votes")
    }
}

fn check(holds: bool, what: &'static str) -> std::result::Result<(), &'static str> {
    if holds { Ok(()) } else { Err(what) }
}

/// Reads a header of any version and checks every number in it.
pub fn decode(bytes: &[u8]) -> Result<(HeaderV1, Settings)> {
    let (header, rest) = postcard::take_from_bytes::<Header>(bytes).map_err(|e| {
        Error::template(format!("the template's header cannot be read: {e}"))
            .advise("it may come from a newer version: update this program")
    })?;
    let (header, settings) = header.into_parts();
    if !rest.is_empty() {
        return Err(Error::template("the template's header is longer than it says"));
    }
    validate(&header, &settings).map_err(|what| {
        Error::template(format!("the template's header makes no sense: {what}"))
            .advise("build the template again; if this version has written it, report it")
    })?;
    Ok((header, settings))
}

/// Refuses numbers in a header that no build writes; the reason is the name of what is wrong.
pub(crate) fn validate(
    header: &HeaderV1,
    settings: &Settings,
) -> std::result::Result<(), &'static str> {
    header.validate()?;
    settings.validate(header)
}

impl Settings {
    fn validate(&self, header: &HeaderV1) -> std::result::Result<(), &'static str> {
        check(self.reading.is_valid(), "bits of a sample")?;
        if let Some(decision) = &self.decision {
            decision.validate(header)?;
        }
        if let Some(proof) = &self.proof {
            let expected = header.empty_proof().maps;
            let fits = proof.maps.len() == expected.len()
                && proof.maps.iter().zip(&expected).all(|(maps, like)| maps.is_like(like));
            check(fits, "maps of the probes")?;
        }
        if let Some(evidence) = &self.evidence {
            evidence.validate(header)?;
        }
        let Some(rules) = &self.rules else { return Ok(()) };
        rules.validate()?;
        // Zones scale the thresholds, which must have a sign to be scaled by.
        let review = self.decision.as_ref().map_or(f32::INFINITY, |d| d.review);
        check(header.calibration.threshold.min(review) > 0.0, "threshold")
    }
}

impl Evidence {
    /// How many different parts the pictures show.
    pub fn part_count(&self) -> usize {
        self.parts.iter().max().map_or(0, |&last| last as usize + 1)
    }

    fn validate(&self, header: &HeaderV1) -> std::result::Result<(), &'static str> {
        check(self.parts.len() <= header.build.images.len(), "parts")?;
        check(self.parts.iter().all(|&part| (part as usize) < self.parts.len()), "parts")?;
        let count = self.part_count();
        check(self.items as usize <= count, "items")?;
        check(self.scores.is_empty() || self.scores.len() == count, "held-out scores")?;
        check(self.scores.iter().all(|score| score.is_finite()), "held-out scores")
    }
}

impl Decision {
    fn validate(&self, header: &HeaderV1) -> std::result::Result<(), &'static str> {
        check(self.review.is_finite(), "review threshold")?;
        check(self.review <= header.calibration.threshold, "review threshold")?;
        check(!matches!(self.basis, Basis::Folds(0 | 1)), "folds")?;
        check((0.0..=1.0).contains(&self.false_reject), "false-reject rate")?;
        let [low, high] = self.interval;
        check(0.0 <= low && low <= high && high <= 1.0, "false-reject interval")?;
        check((1..=header.calibration.pictures).contains(&self.rank), "rank of the threshold")
    }
}

#[cfg(test)]
pub(crate) mod tests;
