//! This module holds what a template states about itself: a postcard header, with one frozen struct
//! per version.
//!
//! Postcard has no field names, so a struct that was once released never changes. Something new
//! needs a new variant at the end of [`Header`], and [`decode`] converts the old variants.

use crate::backbone::{Identity, TRACT, TapIdentity};
use crate::error::{Error, Result};
use crate::image::{Reading, Size};
use crate::matching::{Shape, Storage, Windows};
use crate::scoring::{Fusion, MapSummary, Rules};
use crate::selection::Rule;
use serde::{Deserialize, Serialize};

/// All versions of the header. New versions are only appended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Header {
    /// The first version.
    V1(HeaderV1),
    /// This version adds how the threshold was set and what it promises.
    V2(HeaderV1, Decision),
    /// This version adds region rules. The decision is optional.
    V3(HeaderV1, Option<Decision>, Rules),
    /// This version adds data that check the template beyond the scores of its probes, and how to
    /// read the samples of pictures.
    V4(HeaderV1, Option<Decision>, Option<Rules>, Option<Proof>, Reading),
    /// This version adds what the build knew of good parts when it set the threshold.
    V5(HeaderV1, Option<Decision>, Option<Rules>, Option<Proof>, Reading, Evidence),
    /// This version adds layers that share taps, match at any position, or have votes of their own.
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
    /// The number of the tap among the backbone's taps.
    pub tap: u16,
    /// Whether a pixel is compared with all prototypes of the layer, wherever they come from. Such
    /// a layer has one block of prototypes and no windows.
    pub position_free: bool,
    /// The weight of the layer in the root mean over layers, above 0. The usual value is 1.
    pub votes: f32,
}

/// Data that check a template beyond its checksums and the scores of its probes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// The BLAKE3 of the header, with zeros in place of the seal, and of the section table behind
    /// it. The table holds the checksums of all sections, so the seal covers the whole file. The
    /// seal shows if somebody changed a part and computed its checksum anew. It is not a signature.
    pub seal: [u8; 32],
    /// The maps that each golden probe must reproduce.
    pub maps: Vec<MapSummary>,
}

/// What a template stores besides the first version of its header. It holds what can be set after
/// the build, and how to read the pictures.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settings {
    /// How the threshold was set, or `None` where it is provisional or was given.
    pub decision: Option<Decision>,
    /// The region rules, which say when values above the threshold make a part bad. `None` where
    /// the score alone decides.
    pub rules: Option<Rules>,
    /// The data that check the template. `None` in a template from before such data existed.
    pub proof: Option<Proof>,
    /// What the build knew of good parts, or `None` in templates of older versions.
    pub evidence: Option<Evidence>,
    /// How to read the samples of pictures, of the good ones and of those to be inspected.
    pub reading: Reading,
}

impl Header {
    /// Returns its contents, whatever its version is.
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

/// How the threshold was set, what it promises, and from which score on a person should look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The review threshold. A part is for review above this score, up to the threshold. It equals
    /// the threshold where there is no review.
    pub review: f32,
    /// The source of the scores that set the threshold.
    pub basis: Basis,
    /// The false-reject rate that was asked for, 0..1.
    pub false_reject: f32,
    /// The rank of the threshold among the scores. 1 is the largest.
    pub rank: u32,
    /// The 95 % interval of the true false-reject rate.
    pub interval: [f32; 2],
}

/// What a build knew of good parts when it set the threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The origin of the threshold that is set now.
    pub origin: Origin,
    /// How the build found out which parts are one item.
    pub grouping: Grouping,
    /// How many items the parts belong to. It equals the number of parts where nothing says which
    /// belong together.
    pub items: u32,
    /// For every picture that the template was built from, the part that it shows, numbered from 0.
    /// Pictures of the same exposure show one part.
    pub parts: Vec<u32>,
    /// The score of every part against a template that has not seen its fold. The list is empty
    /// where no folds were made.
    pub scores: Vec<f32>,
}

/// The origin of a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// The threshold is a number that was given to the build.
    Given,
    /// The threshold is the build's own estimate of a quantile of the scores of good parts.
    Estimate,
    /// The threshold is a rank among the scores of good parts, for a rate that was asked for.
    Rank,
}

/// How a build finds out which parts are one item, so that folds keep items whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Grouping {
    /// Nothing tells it. Folds are runs in the order of the names.
    Order,
    /// The names up to their last separator tell it.
    Names,
    /// A pattern that was given to the build tells it.
    Pattern,
}

/// The source of the scores that set a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Basis {
    /// Every good picture was scored against a template built without its fold. The number is the
    /// number of folds.
    Folds(u32),
    /// The scores are those of good pictures that the template was not built from.
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
    /// The backbone that computed the features.
    pub backbone: Identity,
    /// One record per layer. [`HeaderV1::layer_use`] says which tap each layer matches.
    pub layers: Vec<LayerRecord>,
    /// The weight of the forward direction, 0..1 (`a` of Eq. 6).
    pub alpha: f32,
    /// The standard deviation of the blur, in pixels at the network's input size.
    pub sigma: f32,
    /// How the layers are joined.
    pub fusion: Fusion,
    /// How values are stored.
    pub storage: Storage,
    /// How prototypes were chosen.
    pub rule: Rule,
    /// The threshold and the colour scale.
    pub calibration: Calibration,
    /// The expected scores of the golden probes.
    pub probes: Vec<ProbeRecord>,
    /// The program, the options and the pictures of the build.
    pub build: Provenance,
    /// How the layers use the taps, one entry per layer (from version 6 on). Where it is empty,
    /// layer j matches tap j at its own positions, and all layers count the same.
    #[serde(skip)]
    pub uses: Vec<LayerUse>,
}

/// One layer of a template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// The number of sheets, K.
    pub sheets: u32,
    /// The full width of the forward window. It is odd, or 0 in a position-free layer.
    pub patch_forward: u32,
    /// The full width of the backward window. It is odd, or 0 where alpha is 1 and in a
    /// position-free layer.
    pub patch_backward: u32,
    /// The weight of the layer when the layers are joined (Eq. 10).
    pub weight: f32,
}

/// The meaning of scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The score above which a picture is bad.
    pub threshold: f32,
    /// The anomaly value at the top of the colour scale of heat maps.
    pub scale_top: f32,
    /// How many different good pictures the threshold comes from. It is 0 where the threshold is
    /// provisional or was given.
    pub pictures: u32,
}

/// A golden probe: a small picture whose score every device must reproduce.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeRecord {
    /// The origin of the picture.
    pub name: String,
    /// The score of the picture.
    pub score: f32,
    /// The largest difference that passes.
    pub tolerance: f32,
}

/// The program that built the template, its options and its pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The version of the program.
    pub version: String,
    /// The options that differ from a plain build, for people.
    pub options: Vec<(String, String)>,
    /// The pictures, in the order of the source numbers.
    pub images: Vec<ImageRecord>,
}

/// The most layers of a template, and the most taps of its backbone.
const MAX_LAYERS: usize = 16;
/// The widest window of a layer, in pixels of the layer. A window that is wider than the map is cut
/// at the map's border.
pub const MAX_WINDOW: u32 = 255;
/// The largest standard deviation of the blur, in pixels at the network's input size.
pub const MAX_SIGMA: f32 = 64.0;
/// The largest tolerance of a probe that any version of this program has written. This is both the
/// fixed part and the factor of the part that grows with the score.
const MAX_TOLERANCE: f32 = 0.1;

/// The key of the option that names the feature extractor, where it was not tract.
pub const ENGINE: &str = "engine";
/// The key of the option that says that the threshold was given to the build.
pub const GIVEN_THRESHOLD: &str = "threshold";
/// The key of the option that gives the baseline's share of the mean distance map of good parts.
/// The option is there where the baseline is not the whole map.
pub const BASELINE_SHARE: &str = "baseline-share";
/// The key of the option that says how many turned copies of each picture were candidates, where
/// there were any.
pub const ROTATIONS: &str = "rotations";

/// The number of pixels of the network's input that a defect must span to be found. Made-up dark
/// spots of a plain contrast need this many (`docs/large-pictures.md`).
pub const DEFECT_NETWORK_PX: f64 = 8.0;
/// The key of the option that gives the size of the smallest defects that the input was chosen for.
pub const DEFECT: &str = "defect";
/// The key of the option that says how many millimetres of the part a pixel of the pictures shows.
pub const MM_PER_PIXEL: &str = "mm-per-pixel";

impl Provenance {
    /// Returns the name of the feature extractor that the template was made with.
    pub fn extractor(&self) -> &str {
        let named = self.options.iter().find(|(key, _)| key == ENGINE);
        named.map_or(TRACT, |(_, name)| name)
    }

    /// Returns how many millimetres of the part a pixel of the pictures shows, where the build was
    /// told.
    pub fn mm_per_pixel(&self) -> Option<f64> {
        let (_, scale) = self.options.iter().find(|(key, _)| key == MM_PER_PIXEL)?;
        scale.parse().ok().filter(|scale: &f64| scale.is_finite() && *scale > 0.0)
    }

    /// Returns the baseline as a share of the mean distance map of good parts, above 0 up to 1. It
    /// is 1 in templates that do not state it.
    pub fn baseline_share(&self) -> f32 {
        let said = self.options.iter().find(|(key, _)| key == BASELINE_SHARE);
        let share = said.and_then(|(_, share)| share.parse().ok());
        share.filter(|share| *share > 0.0 && *share <= 1.0).unwrap_or(1.0)
    }

    /// Returns whether the threshold of the build was given and does not come from scores.
    pub fn has_given_threshold(&self) -> bool {
        self.options.iter().any(|(key, _)| key == GIVEN_THRESHOLD)
    }
}

/// One picture that a template was built from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// The file name.
    pub name: String,
    /// The BLAKE3 of the file.
    pub digest: [u8; 32],
    /// The number of columns.
    pub width: u32,
    /// The number of rows.
    pub height: u32,
    /// Its score against the template without its own prototypes, or NaN where it is unknown.
    pub score: f32,
}

impl ImageRecord {
    /// Returns the columns and rows of the picture.
    pub fn size(&self) -> Size {
        Size { width: self.width, height: self.height }
    }
}

impl ProbeRecord {
    /// Records `score`, which the probe has on the machine that makes the template. Feature
    /// extractors and instruction sets differ by rounding, and the layer weights magnify it. A good
    /// part scores about 1.
    pub fn promise(&mut self, score: f32) {
        self.score = score;
        self.tolerance = 0.01 + 0.01 * score.abs();
    }

    fn has_small_tolerance(&self) -> bool {
        (0.0..=MAX_TOLERANCE * (1.0 + self.score.abs())).contains(&self.tolerance)
    }
}

impl HeaderV1 {
    /// Returns how layer `layer` uses its tap.
    pub fn layer_use(&self, layer: usize) -> LayerUse {
        let usual = LayerUse { tap: layer as u16, position_free: false, votes: 1.0 };
        self.uses.get(layer).copied().unwrap_or(usual)
    }

    /// Returns the tap that layer `layer` matches.
    pub fn tap(&self, layer: usize) -> Option<&TapIdentity> {
        self.backbone.taps.get(usize::from(self.layer_use(layer).tap))
    }

    /// Returns what layer `layer` matches: of one map for each tap, or of something made of each map.
    pub fn features_of<'a, T>(&self, layer: usize, maps: &'a [T]) -> Option<&'a T> {
        maps.get(usize::from(self.layer_use(layer).tap))
    }

    /// Returns the sizes of the prototypes of layer `layer`. A position-free layer has one block,
    /// as if its map were one pixel.
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

    /// Returns the number of pixels of the distance map of layer `layer`.
    pub fn map_pixels(&self, layer: usize) -> Option<usize> {
        self.tap(layer).map(|tap| tap.height as usize * tap.width as usize)
    }

    /// Returns the columns and rows of the pictures that the template was built from. Where their
    /// sizes differ, it returns those of the first picture.
    pub fn picture_size(&self) -> Size {
        self.build.images.first().map_or(Size { width: 0, height: 0 }, ImageRecord::size)
    }

    /// Returns the diameter of the smallest defect that the input is large enough for. It is in
    /// pixels of the pictures that the template was built from. Returns `None` where their size is
    /// not known.
    pub fn smallest_defect_px(&self) -> Option<f64> {
        let Size { width, height } = self.picture_size();
        let scale = |input: u32, picture: u32| f64::from(input) / f64::from(picture);
        let scale = scale(self.backbone.width, width).min(scale(self.backbone.height, height));
        Some(DEFECT_NETWORK_PX / scale).filter(|px| px.is_finite() && *px > 0.0)
    }

    /// Returns the windows of layer `layer`.
    pub fn windows(&self, layer: usize) -> Option<Windows> {
        let layer = self.layers.get(layer)?;
        Some(Windows {
            forward: layer.patch_forward as usize,
            backward: layer.patch_backward as usize,
        })
    }

    /// Returns the header in the oldest version that holds everything.
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

    /// Returns a proof without a seal, whose maps hold as many zeros as the maps of every probe
    /// have values. A template that is being built has it in place of its proof.
    pub fn empty_proof(&self) -> Proof {
        let layers = self.layers.iter().enumerate().filter_map(|(at, layer)| {
            let tap = self.tap(at)?;
            Some((tap.height as usize, tap.width as usize, layer.patch_backward > 0))
        });
        let size = (self.backbone.height as usize, self.backbone.width as usize);
        let maps = MapSummary::zeros(layers, size);
        Proof { seal: [0; 32], maps: vec![maps; self.probes.len()] }
    }

    /// Computes the seal of a template with this header, these settings and the section table
    /// `table`. Returns `None` where the template has no proof.
    pub fn seal(&self, settings: &Settings, table: &[u8]) -> Result<Option<[u8; 32]>> {
        let Some(proof) = &settings.proof else { return Ok(None) };
        let proof = Some(Proof { seal: [0; 32], ..proof.clone() });
        let header = self.encode(&Settings { proof, ..settings.clone() })?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&header).update(table);
        Ok(Some(hasher.finalize().into()))
    }

    /// Encodes the header as the bytes in the file.
    pub fn encode(&self, settings: &Settings) -> Result<Vec<u8>> {
        postcard::to_stdvec(&self.versioned(settings))
            .map_err(|e| Error::template(format!("the header cannot be written: {e}")))
    }

    /// Refuses values that no build writes, so that later code can rely on every number.
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

/// Reads a header of any version, and checks every number in it.
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
        Error::template(format!("the template's header is not valid: {what}"))
            .advise("build the template again; if this version has written it, report it")
    })?;
    Ok((header, settings))
}

/// Refuses numbers in a header that no build writes. The error names the wrong value.
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
        // Zones scale the thresholds, so the thresholds must be above 0.
        let review = self.decision.as_ref().map_or(f32::INFINITY, |d| d.review);
        check(header.calibration.threshold.min(review) > 0.0, "threshold")
    }
}

impl Evidence {
    /// Returns how many different parts the pictures show.
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
