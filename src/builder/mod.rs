//! Building a template: the feature pass, selection, leave-one-out scores, the file.
//!
//! `gather` computes the features of all pictures, or reads them from a [`features_file`]; [`store`]
//! holds them, in memory or in a scratch file; [`audit`] tells pictures that do not belong to the rest; `prototypes` chooses at every pixel; `leave_one_out`
//! scores every good picture without its own prototypes. The same pictures and options give the same bytes with any number of threads.

pub mod audit;
pub mod calibration;
mod features;
pub mod features_file;
mod folds;
mod gather;
mod golden;
mod leave_one_out;
mod look;
mod notices;
mod options;
pub mod presets;
mod prototypes;
pub mod store;
mod usable;

pub use features::Source;
pub use folds::too_few;
pub use gather::{Input, Pass};
pub use notices::Notice;
pub use options::{Options, Sheets, Weights};

use crate::backbone::{Backbone, Identity, TRACT};
use crate::error::{Error, Kind, Result};
use crate::inspection::Inspector;
use crate::matching::Storage;
use crate::selection::Rule;
use crate::template::container::SectionKind;
use crate::template::header::{ENGINE, GIVEN_THRESHOLD};
use crate::template::writer::Draft;
use crate::template::{
    Calibration, HeaderV1, ImageRecord, LayerRecord, ProbeRecord, Provenance, Settings,
};
use gather::Gathered;
use golden::PROBES;
use leave_one_out::LeaveOneOut;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Parts of a build, for progress displays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Decoding pictures and running the backbone.
    Features,
    /// Comparing every picture with the others.
    Audit,
    /// Running the backbone on mirrored pictures.
    Mirrored,
    /// Choosing prototypes, pixel by pixel.
    Selection,
    /// Scoring every picture without its own prototypes.
    LeaveOneOut,
    /// Building without a part of the pictures and scoring that part, for the threshold.
    Folds,
}

/// Called with how many steps of a stage are done, of how many.
pub type Progress<'a> = &'a (dyn Fn(Stage, usize, usize) + Sync);

/// What a build made.
#[derive(Debug, Clone)]
pub struct Report {
    /// Header of the template.
    pub header: HeaderV1,
    /// Bytes of the file.
    pub size: u64,
    /// Pictures that could not be read and were skipped, with the reason.
    pub skipped: Vec<Error>,
    /// Things a person should know about the pictures.
    pub warnings: Vec<String>,
    /// What the pictures say of themselves.
    pub notices: Vec<Notice>,
    /// Pictures that look unlike the rest, the most suspicious first, by name.
    pub suspects: Vec<Suspect>,
    /// Where the time went.
    pub times: Times,
}

/// A picture that [`audit`] suspects.
#[derive(Debug, Clone, PartialEq)]
pub struct Suspect {
    /// File name.
    pub name: String,
    /// The strongest reason, in words.
    pub reason: String,
    /// Whether it was left out.
    pub dropped: bool,
}

/// How long each [`Stage`] of a build took, the files it wrote included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// [`Stage::Features`].
    pub features: Duration,
    /// [`Stage::Audit`].
    pub audit: Duration,
    /// [`Stage::Selection`].
    pub selection: Duration,
    /// Templates without a part of the pictures, for the threshold.
    pub folds: Duration,
    /// [`Stage::LeaveOneOut`], with the baseline, weights and scores that come of it.
    pub leave_one_out: Duration,
}

/// The colour scale of heat maps ends at this many thresholds.
const SCALE_TOP: f32 = 16.0;

/// Builds a template from good pictures, or their features, and writes it to `destination`.
///
/// # Errors
/// [`crate::error::Kind::Image`] where pictures are unreadable (unless they may be skipped) or
/// too few; whatever the backbone and the disk refuse.
pub fn build(
    destination: &Path,
    input: Input,
    backbone: &Arc<dyn Backbone>,
    options: &Options,
    progress: Progress,
) -> Result<Report> {
    options.check(backbone.identity())?;
    let started = Instant::now();
    let how = Pass {
        max_memory: options.max_memory,
        skip_unreadable: options.skip_unreadable,
        looks: options.audit,
        reading: options.reading,
    };
    let pass = gather::gather(input, backbone.as_ref(), how, progress)?;
    let options = &options.within_opaque(pass.opaque.as_ref())?;
    let seen = Instant::now();
    let (pass, suspects) = match options.audit && pass.images.len() >= audit::LEAST {
        true => without_suspects(pass, backbone.identity(), options, progress)?,
        false => (pass, Vec::new()),
    };
    let audited = Instant::now();
    let count = pass.images.len();
    if count == 0 {
        return Err(Error::new(Kind::Image, "there is no good picture to build from")
            .advise("give a folder of pictures of good parts"));
    }
    if count == 1 && options.threshold.is_none() {
        let name = &pass.images[0].name;
        return Err(Error::new(
            Kind::Image,
            format!("{name} is the only picture: nothing is left to set a threshold by"),
        )
        .advise("add good pictures (20 are a start), or give --threshold"));
    }
    let mut header =
        draft_header(backbone.identity(), options, options.sheets.of(count), pass.images.clone());
    if pass.engine != TRACT {
        header.build.options.push((ENGINE.into(), pass.engine.clone()));
    }
    if let Some(bits) = options.reading.bits() {
        header.build.options.push(("bits".into(), bits.to_string()));
    }
    if options.opaque_only {
        header.build.options.push(("mask-from-alpha".into(), "yes".into()));
    }
    if options.drop_suspects {
        header.build.options.push(("drop-suspects".into(), names_of(&suspects)));
    }
    if let Some(threshold) = options.threshold {
        header.build.options.push((GIVEN_THRESHOLD.into(), threshold.to_string()));
    }
    let lengths = section_lengths(&header, options)?;
    let decision = match options.false_reject {
        None => None,
        Some(rate) => Some(folds::decide(&pass, backbone, options, rate, destination, progress)?),
    };
    let mut warnings = pass.warnings.clone();
    if let Some((threshold, _)) = &decision {
        header.calibration.pictures = threshold.pictures as u32;
        let doubles = count - threshold.pictures;
        if doubles > 0 {
            warnings.push(format!(
                "{doubles} of {count} pictures are doubles of others: each counts once for the threshold"
            ));
        }
    }
    let settings = Settings {
        decision: decision.as_ref().map(|d| d.1.clone()),
        proof: Some(header.empty_proof()),
        reading: options.reading,
        ..Settings::default()
    };
    let mut draft = Draft::create(destination, header, settings, &lengths)?;
    let inspector = |draft: &Draft| Inspector::new(draft.preview()?, backbone.clone());
    let decided = Instant::now();
    let (left_out, chosen) = fill(&mut draft, &pass.store, backbone, options, progress)?;
    let scores = left_out.scores(&inspector(&draft)?);
    let times = Times {
        features: seen.duration_since(started),
        audit: audited.duration_since(seen),
        folds: decided.duration_since(audited),
        selection: chosen.duration_since(decided),
        leave_one_out: chosen.elapsed(),
    };
    let chosen = golden::choose(&pass, &scores, &inspector(&draft)?)?;
    if !chosen.unnoticed.is_empty() {
        warnings.push(format!(
            "the golden probes would not notice a change of {}: a damaged template may pass its check",
            chosen.unnoticed.join(", ")
        ));
    }
    for image in chosen.images {
        let bytes: Vec<u8> = image.samples().iter().flat_map(|v| v.to_le_bytes()).collect();
        draft.section(|section| section.write(&bytes))?;
    }
    let threshold = match (&decision, options.threshold) {
        (Some((threshold, _)), _) => threshold.score,
        (None, Some(threshold)) => threshold,
        (None, None) => scores.iter().copied().fold(f32::NEG_INFINITY, f32::max),
    };
    require_threshold(threshold, &scores)?;
    draft.set_header(|h| {
        h.calibration.threshold = threshold;
        h.calibration.scale_top = SCALE_TOP * threshold;
        h.build.images.iter_mut().zip(&scores).for_each(|(image, &score)| image.score = score);
    });
    promise_probes(&mut draft, &inspector)?;
    let header = draft.header().clone();
    let size = draft.finish()?;
    let (skipped, notices) = (pass.skipped, pass.notices);
    Ok(Report { header, size, skipped, warnings, notices, suspects, times })
}

/// Refuses a threshold that says nothing, where the good pictures have these scores.
fn require_threshold(threshold: f32, scores: &[f32]) -> Result<()> {
    if threshold.is_finite() && threshold > 0.0 && !scores.iter().any(|score| score.is_nan()) {
        return Ok(());
    }
    Err(Error::new(
        Kind::Image,
        format!(
            "the good pictures do not differ: their scores would give a threshold of {threshold}"
        ),
    )
    .advise("give pictures of different good parts, or a threshold of your own"))
}

/// Gives the golden probes the scores and maps that they have, and proves that they have them.
fn promise_probes(
    draft: &mut Draft,
    inspector: &dyn Fn(&Draft) -> Result<Inspector>,
) -> Result<()> {
    let found = inspector(draft)?.observe_probes()?;
    draft.set_header(|h| {
        h.probes.iter_mut().zip(&found).for_each(|(record, (score, _))| record.promise(*score));
    });
    draft.set_settings(|settings| {
        if let Some(proof) = &mut settings.proof {
            proof.maps = found.into_iter().map(|(_, maps)| maps).collect();
        }
    });
    for probe in inspector(draft)?.check_probes()? {
        if let Some(difference) = probe.difference() {
            let what = format!("golden probe {} differs: {difference}", probe.name);
            return Err(Error::template(what)
                .advise("this machine does not compute the same twice: build on another one"));
        }
    }
    Ok(())
}

/// The pictures that an audit suspects, and the pass without them where they are to be left out.
fn without_suspects<'a>(
    pass: Gathered<'a>,
    backbone: &Identity,
    options: &Options,
    progress: Progress,
) -> Result<(Gathered<'a>, Vec<Suspect>)> {
    let (findings, ..) = audit::examine(&pass, backbone, options.mask.as_ref(), None, progress)?;
    let mut keep = vec![true; pass.images.len()];
    let mut suspects = Vec::new();
    for finding in findings.iter().filter(|f| f.suspect) {
        keep[finding.picture] = !options.drop_suspects;
        suspects.push(Suspect {
            name: pass.images[finding.picture].name.clone(),
            reason: finding.reasons.first().map_or_else(String::new, |r| r.words.clone()),
            dropped: options.drop_suspects,
        });
    }
    if !keep.contains(&false) {
        return Ok((pass, suspects));
    }
    Ok((pass.only(&keep, options.max_memory)?, suspects))
}

/// How many suspects and which, for a template's provenance.
fn names_of(suspects: &[Suspect]) -> String {
    let names: Vec<&str> = suspects.iter().map(|s| s.name.as_str()).collect();
    match names.len() {
        0 => "none".into(),
        count => format!("{count}: {}", names.join(" ")),
    }
}

/// Fills a draft with what comes from the good pictures in `store`: prototypes, mask, baseline and
/// layer weights. Returns the leave-one-out distances, and when the prototypes were chosen.
fn fill(
    draft: &mut Draft,
    store: &store::Store,
    backbone: &Arc<dyn Backbone>,
    options: &Options,
    progress: Progress,
) -> Result<(LeaveOneOut, Instant)> {
    let layers = draft.header().layers.len();
    let inspector = |draft: &Draft| Inspector::new(draft.preview()?, backbone.clone());
    prototypes::write(draft, store, progress)?;
    let chosen = Instant::now();
    if let Some(mask) = &options.mask {
        let bytes: Vec<u8> = mask.inside().iter().map(|&inside| u8::from(inside)).collect();
        draft.section(|section| section.write(&bytes))?;
    }
    let left_out = LeaveOneOut::compute(&inspector(draft)?, store, progress);
    if options.baseline {
        let baselines: Vec<Vec<f32>> = {
            let inspector = inspector(draft)?;
            (0..layers).map(|layer| left_out.baseline(&inspector, layer)).collect()
        };
        for baseline in baselines {
            draft.section(|section| section.write(bytemuck::cast_slice(&baseline)))?;
        }
    }
    let weights = match &options.weights {
        Weights::Given(weights) => weights.clone(),
        Weights::FromGoodParts => left_out.weights(&inspector(draft)?),
    };
    draft.set_header(|h| {
        h.layers.iter_mut().zip(weights).for_each(|(layer, weight)| layer.weight = weight)
    });
    Ok((left_out, chosen))
}

/// The header with everything that is known before selection, and zeros for the rest.
fn draft_header(
    backbone: &Identity,
    options: &Options,
    sheets: usize,
    images: Vec<ImageRecord>,
) -> HeaderV1 {
    let layers = (options.patches_forward.iter().zip(&options.patches_backward))
        .map(|(&forward, &backward)| LayerRecord {
            sheets: sheets as u32,
            patch_forward: forward as u32,
            patch_backward: if options.alpha < 1.0 { backward as u32 } else { 0 },
            weight: 1.0,
        })
        .collect();
    HeaderV1 {
        backbone: backbone.clone(),
        layers,
        alpha: options.alpha,
        sigma: options.sigma,
        fusion: options.fusion,
        storage: options.storage,
        rule: if sheets == images.len() { Rule::All } else { options.rule },
        calibration: Calibration { threshold: 0.0, scale_top: 1.0, pictures: 0 },
        probes: PROBES
            .map(|name| ProbeRecord { name: name.into(), score: 0.0, tolerance: 0.0 })
            .into(),
        build: Provenance {
            version: env!("CARGO_PKG_VERSION").into(),
            options: options.provenance.clone(),
            images,
        },
    }
}

fn section_lengths(header: &HeaderV1, options: &Options) -> Result<Vec<(SectionKind, u16, u64)>> {
    let pixels = u64::from(header.backbone.height) * u64::from(header.backbone.width);
    let mut lengths = Vec::new();
    for layer in 0..header.layers.len() {
        let shape =
            header.shape(layer).ok_or_else(|| Error::usage("layers and taps differ in number"))?;
        let values = shape
            .values(header.storage)
            .ok_or_else(|| Error::usage("the template would be too large"))?;
        lengths.push((
            SectionKind::Values,
            layer as u16,
            (values * header.storage.value_bytes()) as u64,
        ));
        lengths.push((
            SectionKind::Sources,
            layer as u16,
            (shape.pixels() * shape.sheets * 4) as u64,
        ));
        if header.storage == Storage::I8 {
            lengths.push((SectionKind::Scales, layer as u16, 4 * shape.scales() as u64));
        }
    }
    if options.mask.is_some() {
        lengths.push((SectionKind::Mask, 0, pixels));
    }
    for layer in (0..header.layers.len()).filter(|_| options.baseline) {
        let pixels = header.shape(layer).map_or(0, |shape| shape.pixels());
        lengths.push((SectionKind::Baseline, layer as u16, 4 * pixels as u64));
    }
    lengths.extend((0..header.probes.len()).map(|i| (SectionKind::Probe, i as u16, pixels * 6)));
    Ok(lengths)
}
