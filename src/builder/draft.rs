//! Prepares header, settings and lengths of sections of a template's file before anything is computed.

use super::blocks::Dealt;
use super::exposures::Parts;
use super::gather::Gathered;
use super::golden;
use super::options::{Baseline, Options, Suspects};
use super::strays::Suspect;
use crate::backbone::{Identity, TRACT};
use crate::error::{Error, Result};
use crate::matching::Storage;
use crate::selection::Rule;
use crate::template::container::SectionKind;
use crate::template::header::{BASELINE_SHARE, ENGINE, GIVEN_THRESHOLD, ROTATIONS};
use crate::template::{
    Basis, Calibration, Decision, Evidence, HeaderV1, ImageRecord, LayerRecord, ProbeRecord,
    Provenance, Settings,
};

/// Returns settings that most likely take as many bytes as those of the decision, before there are scores.
pub(super) fn first_settings(
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

/// Returns the header with everything that is known before selection, and with what a person should know of the build.
pub(super) fn first_header(
    pass: &Gathered,
    suspects: &[Suspect],
    parts: &Parts,
    backbone: &Identity,
    options: &Options,
) -> HeaderV1 {
    let candidates = pass.store.entries();
    let mut header = draft_header(backbone, options, candidates, pass.images.clone());
    let told = &mut header.build.options;
    if pass.extractor != TRACT {
        told.push((ENGINE.into(), pass.extractor.clone()));
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

/// Returns how many suspects there are and which, for a template's provenance.
fn names_of(suspects: &[&Suspect]) -> String {
    let names: Vec<&str> = suspects.iter().map(|s| s.name.as_str()).collect();
    match names.len() {
        0 => "none".into(),
        count => format!("{count}: {}", names.join(" ")),
    }
}

/// Returns the header with everything that is known before selection, and zeros for the rest. `images` and copies of
/// them give `candidates` candidates.
pub(super) fn draft_header(
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

/// Returns kind, index and bytes of every section of a template with this header, in their order.
///
/// # Errors
/// Returns [`crate::error::Kind::Usage`] if the template's size cannot be stored.
pub(super) fn section_lengths(
    header: &HeaderV1,
    options: &Options,
) -> Result<Vec<(SectionKind, u16, u64)>> {
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
