//! Finds the pictures of a folder that look unlike the rest. Examples are a defect among the good parts, another
//! product, a blurred or badly lit picture, a picture of another shape, and a picture that is there twice.
//!
//! # How a picture is compared
//! Every picture is matched against all others, as against a template of all of them (`neighbours`). It is scored as by
//! the default: excess over the mean map, layers weighed by their usual peak, root mean, blur, largest value. The
//! result is its *unlikeness*. The distance to the nearest tenth of the others says how far the picture as a whole is
//! from them (`remote`). Sharpness and light come from the picture itself (`look`). Every picture is judged only by the
//! rest of the folder (`robust`), never by an absolute limit.
//!
//! A defect is odd in one place. A good part in an odd light or position is a little odd all around. So the unlikeness
//! counts half, and the other half is how far it rises above its surroundings.
//!
//! # Parts that lie in any orientation
//! Two hundred screws at every angle show each place at a given angle only a few times. So the last comparison also
//! uses the mirrored other pictures (`mirrored`), unless it has to be quick. A build only warns of what is clearly
//! wrong, so it does without mirrored pictures.
//!
//! # Wrong pictures that resemble each other
//! Six pictures of another product are each other's neighbours, and no place of them looks odd. But a tenth of the
//! folder is not near to them. Four parts with the same defect vouch for each other in the one place that counts. So
//! the audit removes pictures that stand out from the references and compares the rest again, until nothing changes.
//! When its companions are gone, the next one stands out. Near-duplicates never vouch for each other.
//!
//! # One ranking
//! Each reason has a *bar*, its limit, in robust standard deviations of the folder. A picture's *suspicion* is how far
//! it is on the way to the bar of its strongest reason. From 1 on, the picture is a suspect. The bars are set so that
//! clean folders have hardly any suspects (`docs/audit.md` has the measurements). So weak defects are found by the
//! ranking and not by the bar. Below the bars only the unlikeness ranks. The variation of other signals within clean
//! folders does not count.

mod comparison;
mod mirrored;
mod neighbours;
mod ranking;
mod remote;
mod robust;

pub use super::look::Look;
pub use ranking::{Finding, Reason, ReasonKind};

use super::exposures::{self, Exposures};
use super::gather::{Gathered, gather};
use super::{Input, Notice, Pass, Progress, Stage};
use crate::backbone::{Backbone, Identity};
use crate::error::{Error, Kind, Result};
use crate::image::{Mask, Size};
use crate::scoring::Scored;
use crate::template::ImageRecord;
use crate::wording::counted;
pub(super) use comparison::Comparison;
pub(super) use neighbours::References;
use ranking::{DOUBTFUL, Signals, Spreads};
use rayon::prelude::*;
pub(super) use remote::Halves;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The smallest number of pictures for which an audit can say what is usual.
pub const LEAST: usize = 10;
/// The largest number of pictures that the others are compared with, evenly taken from all. It bounds time and memory.
/// Mirrored copies of them are not counted.
const REFERENCES: usize = 256;
/// The target size of the vectors of these pictures, in bytes. At least [`LEAST`] pictures are used even if they
/// take more.
const REFERENCE_BYTES: u64 = 2 << 30;
/// The largest number of times that all pictures are compared.
const ROUNDS: usize = 4;
/// The largest share of all pictures that may be left out of the references because they stand out.
const MOST_DOUBTFUL: f64 = 0.25;
/// The colour scale of maps ends at this multiple of the bar.
const SCALE_TOP: f32 = 4.0;

/// Holds what an audit found.
pub struct Audit {
    /// The pictures, in the order in which they were given.
    pub images: Vec<ImageRecord>,
    /// The files of the pictures. They are only names if features were given instead of pictures.
    pub paths: Vec<PathBuf>,
    /// One finding per picture, the most suspicious first.
    pub findings: Vec<Finding>,
    /// The feature extractor that computed the features.
    pub extractor: String,
    /// The errors of the pictures that could not be read.
    pub skipped: Vec<Error>,
    /// What a person should know about the pictures.
    pub warnings: Vec<String>,
    /// Notices that come from the pictures themselves.
    pub notices: Vec<Notice>,
    /// The map value at which a picture becomes a suspect, and the top of the colour scale.
    pub scale: (f32, f32),
    comparison: Comparison,
}

/// Reads pictures, or their features, and audits them. If `is_mirrored` is true, it also compares them with mirrored
/// pictures.
///
/// # Errors
/// Returns [`Kind::Image`] if pictures are unreadable (unless they may be skipped) or if there are fewer than
/// [`LEAST`]. Passes on the errors of the backbone and the disk.
pub fn audit(
    input: Input,
    backbone: &dyn Backbone,
    pass: Pass,
    mask: Option<&Mask>,
    is_mirrored: bool,
    progress: Progress,
) -> Result<Audit> {
    let gathered = gather(input, backbone, pass, progress)?;
    let count = gathered.images.len();
    if count < LEAST {
        return Err(Error::new(
            Kind::Image,
            format!(
                "{} cannot show what is usual: an audit needs at least {LEAST}",
                counted(count, "picture")
            ),
        )
        .advise("give more pictures of good parts; a hundred are better"));
    }
    let mirrors = is_mirrored.then(|| Mirrors {
        backbone,
        max_memory: pass.max_memory.saturating_sub(gathered.store.in_memory()),
    });
    let exposures = exposures::find(&gathered.images, &gathered.looks);
    let Examined { findings, scale, comparison, .. } =
        examine(&gathered, &exposures, backbone.identity(), mask, mirrors, progress)?;
    let paths = gathered.paths();
    let Gathered { images, extractor, skipped, warnings, notices, .. } = gathered;
    Ok(Audit { images, paths, findings, extractor, skipped, warnings, notices, scale, comparison })
}

impl Audit {
    /// Returns the map behind a picture's unlikeness, at [`Audit::map_size`].
    pub fn map(&self, picture: usize) -> Scored {
        self.comparison.scored(picture)
    }

    /// Columns and rows of the maps.
    pub fn map_size(&self) -> Size {
        let (height, width) = self.comparison.size;
        Size { width: width as u32, height: height as u32 }
    }

    /// Returns the pictures beyond a bar, the most suspicious first.
    pub fn suspects(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|f| f.suspect)
    }
}

/// Says what computes the features of mirrored pictures.
pub(super) struct Mirrors<'a> {
    backbone: &'a dyn Backbone,
    /// The largest number of bytes of these features in memory.
    max_memory: u64,
}

/// Holds what was found about gathered pictures.
pub(super) struct Examined {
    /// The findings, at least one, the most suspicious first.
    pub findings: Vec<Finding>,
    /// The map value at the bar and at the top of the colour scale.
    scale: (f32, f32),
    /// The comparison that the findings come from.
    comparison: Comparison,
    /// The folder, divided into two halves.
    pub halves: Halves,
}

/// Examines gathered pictures.
///
/// # Errors
/// Passes on the errors of computing mirrored pictures, if `mirrors` are given.
pub(super) fn examine(
    pass: &Gathered,
    exposures: &Exposures,
    backbone: &Identity,
    mask: Option<&Mask>,
    mirrors: Option<Mirrors>,
    progress: Progress,
) -> Result<Examined> {
    let count = pass.images.len();
    // Pictures of one part differ only by noise, so none of them vouches for another.
    let Exposures { parts, twins } = exposures;
    let groups = &parts.of_picture;
    let (different, halves) = remote::remoteness(&pass.store, &backbone.taps, groups);
    let mut kept = vec![true; count];
    let steps = count * (ROUNDS + usize::from(mirrors.is_some()));
    let done = AtomicUsize::new(0);
    let step = || progress(Stage::Audit, done.fetch_add(1, Ordering::Relaxed) + 1, steps);
    let of_store = |store, pictures: Vec<usize>, from: &[usize]| References {
        store,
        pictures,
        groups: from.iter().map(|&picture| groups[picture]).collect(),
    };
    let compare = |kept: &[bool], references: &[References]| {
        let comparison =
            Comparison::new(&pass.store, backbone, mask, (kept, groups), references, &step);
        let signals = signals(pass, &comparison, &different, twins, kept);
        (comparison, Spreads::new(&signals, kept), signals)
    };
    let mut round = 1;
    let mut result = loop {
        let chosen = references(&kept, groups, backbone);
        let result = compare(&kept, &[of_store(&pass.store, chosen.clone(), &chosen)]);
        let usual = usual(&result.1, &result.2);
        if usual == kept || round == ROUNDS {
            break result;
        }
        kept = usual;
        round += 1;
    };
    if let Some(Mirrors { backbone, max_memory }) = mirrors {
        let chosen = references(&kept, groups, backbone.identity());
        let (store, from) = mirrored::features(pass, &chosen, backbone, max_memory, progress)?;
        let mirrored = of_store(&store, (0..from.len()).collect(), &from);
        result = compare(&kept, &[of_store(&pass.store, chosen.clone(), &chosen), mirrored]);
    }
    progress(Stage::Audit, steps, steps);
    let (comparison, spreads, signals) = result;
    let bar = spreads.unlike_bar() as f32;
    let findings = ranking::rank(signals, &spreads, &names(pass));
    Ok(Examined { findings, scale: (bar, SCALE_TOP * bar), comparison, halves })
}

/// Returns what identifies the pictures in messages: their names, or their files if two pictures have the same name.
fn names(pass: &Gathered) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    match pass.images.iter().all(|image| seen.insert(&image.name)) {
        true => pass.images.iter().map(|image| image.name.clone()).collect(),
        false => pass.paths().iter().map(|path| path.display().to_string()).collect(),
    }
}

/// Says for each picture whether it is usual, that is, does not stand out.
fn usual(spreads: &Spreads, signals: &[Signals]) -> Vec<bool> {
    let doubts: Vec<f64> = signals.iter().map(|s| spreads.doubt(s)).collect();
    let mut sorted = doubts.clone();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let most = (MOST_DOUBTFUL * doubts.len() as f64) as usize;
    let bar = sorted.get(most).map_or(DOUBTFUL, |d| d.max(DOUBTFUL));
    doubts.iter().map(|d| *d <= bar).collect()
}

fn signals(
    pass: &Gathered,
    comparison: &Comparison,
    different: &[f64],
    twins: &[Option<(usize, f64)>],
    kept: &[bool],
) -> Vec<Signals> {
    let spread = comparison.spread(kept);
    (0..pass.images.len())
        .into_par_iter()
        .map(|i| {
            let (image, look) = (&pass.images[i], &pass.looks[i]);
            let scored = comparison.scored(i);
            let (height, width) = comparison.size;
            let at = scored.blurred.iter().position(|v| *v == scored.score).unwrap_or(0);
            let middle = |at: usize, of: usize| (at as f64 + 0.5) / of as f64;
            Signals {
                unlike: f64::from(scored.score),
                contrast: f64::from(comparison.contrast(&scored)),
                place: [middle(at % width, width), middle(at / width, height)],
                different: different[i],
                spread: spread[i],
                softness: look.softness,
                brightness: look.brightness,
                black: look.black,
                white: look.white,
                size: [image.width, image.height],
                duplicate: twins[i],
            }
        })
        .collect()
}

/// Returns the bytes that a build's audit of so many pictures takes, beside the pictures that are compared at the
/// moment.
pub(super) fn memory(pictures: usize, backbone: &Identity) -> u64 {
    let references = pictures.min(most_references(backbone));
    let comparison = neighbours::memory(pictures, references, &backbone.taps);
    remote::memory(pictures, &backbone.taps).max(comparison)
}

/// Returns the largest number of pictures that the others are compared with.
fn most_references(backbone: &Identity) -> usize {
    let by_memory = REFERENCE_BYTES / (backbone.feature_bytes() / 4).max(1);
    (by_memory as usize).clamp(LEAST, REFERENCES)
}

/// Returns the pictures that others are compared with: one per group of those kept, at most [`most_references`].
fn references(kept: &[bool], groups: &[u32], backbone: &Identity) -> Vec<usize> {
    let mut seen = std::collections::HashSet::new();
    let all: Vec<usize> = (0..kept.len()).filter(|&i| kept[i] && seen.insert(groups[i])).collect();
    let wanted = all.len().min(most_references(backbone));
    (0..wanted).map(|i| all[i * all.len() / wanted]).collect()
}
