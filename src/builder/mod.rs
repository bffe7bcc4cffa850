//! Building a template: the feature pass, selection, leave-one-out scores, the file.
//!
//! `gather` computes the features of all pictures, or reads them from a [`features_file`]. [`store`] holds them, in
//! memory or in a scratch file. `strays` leaves out what does not belong, as [`audit`] and [`exposures`] find it.
//! `rotations` adds turned copies where there are few. `prototypes` chooses at every pixel, `patches` for the layers
//! that match at any position, and `leave_one_out` scores every good picture without its own prototypes.
//! `folds` and `threshold` set the threshold. The same pictures and options give the same bytes with any number of
//! threads.

pub mod audit;
mod blocks;
pub mod calibration;
pub mod exposures;
mod features;
pub mod features_file;
mod folds;
mod gather;
mod golden;
pub mod input_size;
pub mod layers;
mod leave_one_out;
mod look;
pub mod memory;
mod notices;
mod options;
mod patches;
pub mod presets;
mod prototypes;
mod rotations;
mod short_form;
pub mod store;
mod strays;
mod threshold;
mod usable;

pub use features::Source;
pub use folds::too_few;
pub use gather::{Input, Pass};
pub use notices::Notice;
pub use options::{Baseline, Options, PositionFree, Rotations, Sheets, Suspects, Weights};
pub use short_form::short_form;
pub use strays::Suspect;

use crate::backbone::{Backbone, Identity, TRACT};
use crate::error::{Error, Result};
use crate::inspection::Pipeline;
use crate::matching::Storage;
use crate::selection::Rule;
use crate::template::container::SectionKind;
use crate::template::header::{BASELINE_SHARE, ENGINE, GIVEN_THRESHOLD, ROTATIONS};
use crate::template::writer::Draft;
use crate::template::{
    Basis, Calibration, Decision, Evidence, HeaderV1, ImageRecord, LayerRecord, ProbeRecord,
    Provenance, Settings,
};
use blocks::Dealt;
use exposures::Parts;
use folds::Material;
use gather::Gathered;
use leave_one_out::LeaveOneOut;
use prototypes::HeldOut;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use strays::{Chosen, choose};
use threshold::{
    deal, decide, evidence, neighbours_alike, one_item, refuse_too_few, require_threshold,
};

/// Parts of a build, for progress displays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Decoding pictures and running the backbone.
    Features,
    /// Comparing every picture with the others.
    Audit,
    /// Running the backbone on mirrored pictures.
    Mirrored,
    /// Running the backbone on turned copies.
    Turned,
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
    /// Things that are as they should be, and worth knowing.
    pub notes: Vec<String>,
    /// Things a person should know about the pictures.
    pub warnings: Vec<String>,
    /// What the pictures say of themselves.
    pub notices: Vec<Notice>,
    /// Pictures that look unlike the rest, the most suspicious first, by name.
    pub suspects: Vec<Suspect>,
    /// Where the time went.
    pub times: Times,
}

/// How long each [`Stage`] of a build took, the files it wrote included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// [`Stage::Features`].
    pub features: Duration,
    /// [`Stage::Audit`].
    pub audit: Duration,
    /// [`Stage::Turned`], and what decides about it.
    pub turned: Duration,
    /// [`Stage::Selection`].
    pub selection: Duration,
    /// Templates without a part of the pictures, for the threshold.
    pub folds: Duration,
    /// [`Stage::LeaveOneOut`], with the baseline, weights and scores that come of it.
    pub leave_one_out: Duration,
}

/// The colour scale of heat maps ends at this many thresholds.
const SCALE_TOP: f32 = crate::heatmap::TOP;

/// Good parts that the threshold of a plain build rejects, as a share of all.
pub const USUAL_RATE: f64 = 0.02;
/// Builds a template from good pictures, or their features, and writes it to `destination`.
///
/// # Errors
/// [`crate::error::Kind::Image`] where pictures are unreadable (unless they may be skipped), too
/// few, or of two different things; whatever the backbone and the disk refuse.
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
        looks: true,
        reading: options.reading,
    };
    let pass = gather::gather(input, backbone.as_ref(), how, progress)?;
    let options = &options.within_opaque(pass.opaque.as_ref())?;
    let seen = Instant::now();
    let Chosen { mut pass, parts, suspects } =
        choose(pass, backbone.identity(), options, progress)?;
    refuse_too_few(&pass, &parts, options)?;
    let audited = Instant::now();
    let turning = rotations::decide(&pass, &parts, backbone.as_ref(), options, progress)?;
    rotations::add(&mut pass, &turning, backbone.as_ref(), progress)?;
    pass.notes.extend(turning.note);
    let turned = Instant::now();
    let dealt = deal(&pass, &parts, options);
    let is_held_out = options.threshold.is_none();
    if is_held_out && dealt.folds < 2 {
        return Err(one_item(parts.count()));
    }
    let held_out = HeldOut { fold: &dealt.of_pictures(&parts), folds: dealt.folds };
    let mut header = first_header(&pass, &suspects, &parts, backbone.identity(), options);
    let lengths = section_lengths(&header, options)?;
    let evidence = evidence(&parts, &dealt, options);
    header.calibration.pictures = evidence.scores.len() as u32;
    let settings = first_settings(&header, &evidence, &dealt, options);
    let mut draft = Draft::create(destination, header, settings.clone(), &lengths)?;
    let pipeline = |draft: &Draft| Pipeline::new(draft.preview()?, backbone.clone());
    let material = Material { store: &pass.store, backbone, options, parts: &parts, destination };
    let filled = fill(&mut draft, &material, is_held_out.then_some(held_out), progress)?;
    let scores = filled.left_out.scores(&pipeline(&draft)?);
    let left_out_at = Instant::now();
    let held_out_scores = match is_held_out {
        true => material.scores(&pipeline(&draft)?, &filled, held_out, progress)?,
        false => Vec::new(),
    };
    let warning = neighbours_alike(&held_out_scores, &scores, &parts);
    let (threshold, decision) = decide(&held_out_scores, &dealt, options)?;
    require_threshold(threshold, &scores)?;
    let evidence = Some(Evidence { scores: held_out_scores, ..evidence });
    let settings = Settings { decision, evidence, ..settings };
    let mut draft = draft.with_settings(settings, &lengths)?;
    let folded = Instant::now();
    let unnoticed = write_probes(&mut draft, &pass, &scores, &pipeline)?;
    draft.set_header(|h| {
        h.calibration.threshold = threshold;
        h.calibration.scale_top = SCALE_TOP * threshold;
        h.build.images.iter_mut().zip(&scores).for_each(|(image, &score)| image.score = score);
    });
    promise_probes(&mut draft, &pipeline)?;
    let header = draft.header().clone();
    let size = draft.finish()?;
    let times = Times {
        features: seen.duration_since(started),
        audit: audited.duration_since(seen),
        turned: turned.duration_since(audited),
        selection: filled.selected.duration_since(turned),
        leave_one_out: left_out_at.duration_since(filled.selected),
        folds: folded.duration_since(left_out_at),
    };
    let (skipped, notices, notes) = (pass.skipped, pass.notices, pass.notes);
    let mut warnings = pass.warnings;
    warnings.extend(same_exposures(&parts));
    warnings.extend(warning);
    warnings.extend(unnoticed);
    Ok(Report { header, size, skipped, notes, warnings, notices, suspects, times })
}

/// Chooses the golden probes of a draft that is whole but for them, and writes them. Says what none of them would
/// notice.
fn write_probes(
    draft: &mut Draft,
    pass: &Gathered,
    scores: &[f32],
    pipeline: &dyn Fn(&Draft) -> Result<Pipeline>,
) -> Result<Option<String>> {
    let chosen = golden::choose(pass, scores, &pipeline(draft)?)?;
    for image in chosen.images {
        let bytes: Vec<u8> = image.samples().iter().flat_map(|v| v.to_le_bytes()).collect();
        draft.section(|section| section.write(&bytes))?;
    }
    let unnoticed = chosen.unnoticed;
    Ok((!unnoticed.is_empty()).then(|| {
        format!(
            "the golden probes would not notice a change of {}: a damaged template may pass its check",
            unnoticed.join(", ")
        )
    }))
}

/// Gives the golden probes the scores and maps that they have, and proves that they have them.
fn promise_probes(draft: &mut Draft, pipeline: &dyn Fn(&Draft) -> Result<Pipeline>) -> Result<()> {
    let found = pipeline(draft)?.observe_probes()?;
    draft.set_header(|h| {
        h.probes.iter_mut().zip(&found).for_each(|(record, (score, _))| record.promise(*score));
    });
    draft.set_settings(|settings| {
        if let Some(proof) = &mut settings.proof {
            proof.maps = found.into_iter().map(|(_, maps)| maps).collect();
        }
    });
    for probe in pipeline(draft)?.check_probes()? {
        if let Some(difference) = probe.difference() {
            let what = format!("golden probe {} differs: {difference}", probe.name);
            return Err(Error::template(what)
                .advise("this machine does not compute the same twice: build on another one"));
        }
    }
    Ok(())
}

/// Says that pictures of the same exposure count once.
fn same_exposures(parts: &Parts) -> Option<String> {
    let (pictures, count) = (parts.of_picture.len(), parts.count());
    (count < pictures).then(|| {
        format!(
            "{} of {pictures} pictures show the same exposure as another one, in another file or a moment later: \
             they count as {count} parts",
            pictures - count
        )
    })
}

/// Settings that will most likely take as many bytes as those of the decision, before there are scores.
fn first_settings(
    header: &HeaderV1,
    evidence: &Evidence,
    dealt: &Dealt,
    options: &Options,
) -> Settings {
    let decision = Decision {
        review: 0.0,
        basis: Basis::Folds(dealt.folds as u32),
        false_reject: 0.0,
        rank: 1,
        interval: [0.0, 1.0],
    };
    let decision = (!evidence.scores.is_empty()).then_some(decision);
    Settings {
        decision,
        rules: None,
        proof: Some(header.empty_proof()),
        evidence: Some(evidence.clone()),
        reading: options.reading,
    }
}

/// The header with everything that is known before selection, and what a person should know of the build.
fn first_header(
    pass: &Gathered,
    suspects: &[Suspect],
    parts: &Parts,
    backbone: &Identity,
    options: &Options,
) -> HeaderV1 {
    let candidates = pass.store.entries();
    let mut header = draft_header(backbone, options, candidates, pass.images.clone());
    let told = &mut header.build.options;
    if pass.engine != TRACT {
        told.push((ENGINE.into(), pass.engine.clone()));
    }
    if let Some(bits) = options.reading.bits() {
        told.push(("bits".into(), bits.to_string()));
    }
    if options.opaque_only {
        told.push(("mask-from-alpha".into(), "yes".into()));
    }
    let share = options.baseline.share(parts.count());
    if share > 0.0 && share < 1.0 {
        told.push((BASELINE_SHARE.into(), share.to_string()));
    }
    if candidates > pass.images.len() {
        let copies = candidates / pass.images.len() - 1;
        told.push((ROTATIONS.into(), format!("{copies} turned copies of each picture")));
    }
    let dropped: Vec<&Suspect> = suspects.iter().filter(|s| s.dropped).collect();
    if !dropped.is_empty() || options.suspects == Suspects::LeaveOut {
        told.push(("left-out".into(), names_of(&dropped)));
    }
    if let Some(pattern) = &options.group_by {
        told.push(("group-by".into(), pattern.as_str().into()));
    }
    if let Some(threshold) = options.threshold {
        told.push((GIVEN_THRESHOLD.into(), threshold.to_string()));
    }
    header
}

/// How many suspects and which, for a template's provenance.
fn names_of(suspects: &[&Suspect]) -> String {
    let names: Vec<&str> = suspects.iter().map(|s| s.name.as_str()).collect();
    match names.len() {
        0 => "none".into(),
        count => format!("{count}: {}", names.join(" ")),
    }
}

/// What filling a draft leaves behind for its threshold.
struct Filled {
    /// Leave-one-out distances of all pictures.
    left_out: LeaveOneOut,
    /// For every fold the prototypes of a template without it; empty where the rule does not give them.
    of_folds: Vec<prototypes::Chosen>,
    /// When the prototypes were chosen.
    selected: Instant,
}

/// Fills a draft with what comes from the good pictures: prototypes, mask, baseline and layer weights.
fn fill(
    draft: &mut Draft,
    material: &Material,
    held_out: Option<HeldOut>,
    progress: Progress,
) -> Result<Filled> {
    let Material { store, options, parts, backbone, .. } = material;
    let layers = draft.header().layers.len();
    let pipeline = |draft: &Draft| Pipeline::new(draft.preview()?, (*backbone).clone());
    let of_folds = prototypes::write(draft, store, options.mask.as_ref(), held_out, progress)?;
    let selected = Instant::now();
    if let Some(mask) = &options.mask {
        let bytes: Vec<u8> = mask.inside().iter().map(|&inside| u8::from(inside)).collect();
        draft.section(|section| section.write(&bytes))?;
    }
    let left_out = LeaveOneOut::compute(&pipeline(draft)?, store, &parts.of_picture, progress);
    let share = options.baseline.share(parts.count());
    if share > 0.0 {
        let baselines: Vec<Vec<f32>> = {
            let pipeline = pipeline(draft)?;
            (0..layers).map(|layer| left_out.baseline(&pipeline, layer, share, &|_| true)).collect()
        };
        for baseline in baselines {
            draft.section(|section| section.write(bytemuck::cast_slice(&baseline)))?;
        }
    }
    let weights = match &options.weights {
        Weights::Given(weights) => weights.clone(),
        Weights::FromGoodParts => left_out.weights(&pipeline(draft)?),
    };
    draft.set_header(|h| {
        h.layers.iter_mut().zip(weights).for_each(|(layer, weight)| layer.weight = weight)
    });
    Ok(Filled { left_out, of_folds, selected })
}

/// The header with everything that is known before selection, and zeros for the rest; `images`, and copies of them,
/// give so many candidates.
fn draft_header(
    backbone: &Identity,
    options: &Options,
    candidates: usize,
    images: Vec<ImageRecord>,
) -> HeaderV1 {
    let sheets = options.sheets.of(candidates);
    let window = |patch: usize| if options.alpha < 1.0 { patch as u32 } else { 0 };
    let positional = (options.patches_forward.iter().zip(&options.patches_backward)).map(
        |(&forward, &backward)| LayerRecord {
            sheets: sheets as u32,
            patch_forward: forward as u32,
            patch_backward: window(backward),
            weight: 1.0,
        },
    );
    let position_free = options.position_free.iter().map(|layer| {
        let tap = &backbone.taps[layer.tap];
        let positions = candidates as u64 * u64::from(tap.height) * u64::from(tap.width);
        LayerRecord {
            sheets: positions.min(layer.patches as u64) as u32,
            patch_forward: 0,
            patch_backward: 0,
            weight: 1.0,
        }
    });
    let layers = positional.chain(position_free).collect();
    HeaderV1 {
        backbone: backbone.clone(),
        layers,
        alpha: options.alpha,
        sigma: options.sigma,
        fusion: options.fusion,
        storage: options.storage,
        rule: if sheets == candidates { Rule::All } else { options.rule },
        calibration: Calibration { threshold: 0.0, scale_top: 1.0, pictures: 0 },
        probes: (golden::names(backbone.pixels()).iter())
            .map(|&name| ProbeRecord { name: name.into(), score: 0.0, tolerance: 0.0 })
            .collect(),
        build: Provenance {
            version: env!("CARGO_PKG_VERSION").into(),
            options: options.provenance.clone(),
            images,
        },
        uses: options.uses(candidates),
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
    for layer in (0..header.layers.len()).filter(|_| options.baseline != Baseline::None) {
        let pixels = header.map_pixels(layer).unwrap_or(0);
        lengths.push((SectionKind::Baseline, layer as u16, 4 * pixels as u64));
    }
    lengths.extend((0..header.probes.len()).map(|i| (SectionKind::Probe, i as u16, pixels * 6)));
    Ok(lengths)
}
