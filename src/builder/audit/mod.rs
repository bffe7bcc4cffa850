//! Which pictures of a folder look unlike the rest: a defect among the good parts, another product,
//! a blurred or badly lit picture, one of another shape, one that is there twice.
//!
//! # How a picture is compared
//! Every picture is matched against all others, as it would be against a template of all of them
//! (`neighbours`), and scored as by the default: excess over the mean map, layers weighed by their
//! usual peak, root mean, blur, largest value. That is its *unlikeness*. How far it is from the
//! others as a whole tells the nearest tenth of them (`remote`). Sharpness and light come from the
//! picture itself (`look`). Every one is judged by the rest of the folder alone (`robust`), never by
//! an absolute bar.
//!
//! # Wrong pictures that resemble each other
//! Six pictures of another product are each other's neighbours, and no place of them looks odd; but a
//! tenth of the folder is not near to them. Four parts with the same defect vouch for each other in the
//! one place that counts. So pictures that stand out are taken out of the references and the rest is
//! compared again, until nothing changes: with its companions gone the next one stands out.
//! Near-duplicates never vouch for each other.
//!
//! # One ranking
//! Each reason has a *bar*, in robust standard deviations of the folder. A picture's *suspicion* is
//! how far it is on the way to the bar of its strongest reason; from 1 on it is a suspect. The bars are
//! such that clean folders have hardly any (`docs/audit.md` has the measurements): the ranking, not the
//! bar, is what finds weak defects. Below the bars it is the unlikeness alone that ranks: what other
//! signals do in clean folders counts nothing.

mod look;
mod neighbours;
mod ranking;
mod remote;
mod robust;

pub use look::Look;
pub use ranking::{Finding, Reason, ReasonKind};

use super::gather::{Gathered, gather};
use super::store::Store;
use super::{Input, Pass, Progress, Stage};
use crate::backbone::{Backbone, Identity};
use crate::error::{Error, Kind, Result};
use crate::image::Mask;
use crate::matching::Distances;
use crate::scoring::{Fusion, Layer, Scored, Scorer};
use crate::template::ImageRecord;
use ranking::{DOUBTFUL, Signals, Spreads};
use rayon::prelude::*;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Fewest pictures that have a rest to be compared with.
pub const LEAST: usize = 10;
/// Most pictures that the others are compared with, evenly taken from all: bounds time and memory.
const REFERENCES: usize = 256;
/// Most times that all pictures are compared.
const ROUNDS: usize = 4;
/// Most pictures that are not references because they stand out, part of all.
const MOST_DOUBTFUL: f64 = 0.25;
/// The maps are scored at the network's size divided by this: one score a picture and round.
const COARSER: usize = 4;
/// The blur before the largest value, in pixels of an input of 256.
const SIGMA: f32 = 4.0;
/// Smallest mean peak that a layer's weight is derived from.
const LEAST_PEAK: f64 = 1e-3;
/// Pictures that differ by less than this part of the usual difference between nearest neighbours are
/// the same part in the same place, taken twice.
const SAME: f64 = 0.2;
/// The colour scale of maps ends at this many bars.
const SCALE_TOP: f32 = 4.0;

/// What an audit found.
pub struct Audit {
    /// The pictures, in the order they were given.
    pub images: Vec<ImageRecord>,
    /// Their files; only names where their features were given.
    pub paths: Vec<PathBuf>,
    /// One a picture, the most suspicious first.
    pub findings: Vec<Finding>,
    /// What computed the features.
    pub engine: String,
    /// The pictures that could not be read, with the reason.
    pub skipped: Vec<Error>,
    /// Things a person should know about the pictures.
    pub warnings: Vec<String>,
    /// The value of a map at which a picture becomes a suspect, and the top of the colour scale.
    pub scale: (f32, f32),
    comparison: Comparison,
}

/// Reads pictures, or their features, and audits them.
///
/// # Errors
/// [`Kind::Image`] where pictures are unreadable (unless they may be skipped) or fewer than
/// [`LEAST`]; whatever the backbone and the disk refuse.
pub fn audit(
    input: Input,
    backbone: &dyn Backbone,
    pass: Pass,
    mask: Option<&Mask>,
    progress: Progress,
) -> Result<Audit> {
    let gathered = gather(input, backbone, pass, progress)?;
    let count = gathered.images.len();
    if count < LEAST {
        return Err(Error::new(
            Kind::Image,
            format!("{count} pictures: too few to tell what is usual among them"),
        )
        .advise(format!("give {LEAST} at the least; a hundred tell more")));
    }
    let (findings, scale, comparison) = examine(&gathered, backbone.identity(), mask, progress);
    let paths = gathered.paths();
    let Gathered { images, engine, skipped, warnings, .. } = gathered;
    Ok(Audit { images, paths, findings, engine, skipped, warnings, scale, comparison })
}

impl Audit {
    /// The map behind a picture's unlikeness, at [`Audit::map_size`].
    pub fn map(&self, picture: usize) -> Scored {
        self.comparison.scored(picture)
    }

    /// Columns and rows of the maps.
    pub fn map_size(&self) -> (u32, u32) {
        (self.comparison.size.1 as u32, self.comparison.size.0 as u32)
    }

    /// The pictures beyond a bar, the most suspicious first.
    pub fn suspects(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|f| f.suspect)
    }
}

/// Findings about gathered pictures, at least one.
pub(super) fn examine(
    pass: &Gathered,
    backbone: &Identity,
    mask: Option<&Mask>,
    progress: Progress,
) -> (Vec<Finding>, (f32, f32), Comparison) {
    let count = pass.images.len();
    let twins = duplicates(&pass.images, &pass.looks);
    // Pictures of one group are the same but for noise; none of them vouches for another.
    let mut groups: Vec<u32> = (0..count as u32).collect();
    for (picture, twin) in twins.iter().enumerate() {
        if let Some((other, _)) = twin {
            groups[picture] = groups[*other];
        }
    }
    let different = remote::remoteness(&pass.store, &backbone.taps, &groups);
    let mut kept = vec![true; count];
    let mut round = 1;
    let done = AtomicUsize::new(0);
    let step = || {
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        progress(Stage::Audit, done, count * ROUNDS);
    };
    loop {
        let comparison = Comparison::new(&pass.store, backbone, mask, &kept, &groups, &step);
        let signals = signals(pass, &comparison, &different, &twins, &kept);
        let spreads = Spreads::new(&signals, &kept);
        let usual = usual(&spreads, &signals);
        if usual == kept || round == ROUNDS {
            progress(Stage::Audit, count * ROUNDS, count * ROUNDS);
            let names: Vec<&str> = pass.images.iter().map(|i| i.name.as_str()).collect();
            let bar = spreads.unlike_bar() as f32;
            let findings = ranking::rank(signals, &spreads, &names);
            return (findings, (bar, SCALE_TOP * bar), comparison);
        }
        kept = usual;
        round += 1;
    }
}

/// Which pictures do not stand out.
fn usual(spreads: &Spreads, signals: &[Signals]) -> Vec<bool> {
    let doubts: Vec<f64> = signals.iter().map(|s| spreads.doubt(s)).collect();
    let mut sorted = doubts.clone();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let most = (MOST_DOUBTFUL * doubts.len() as f64) as usize;
    let bar = sorted.get(most).map_or(DOUBTFUL, |d| d.max(DOUBTFUL));
    doubts.iter().map(|d| *d <= bar).collect()
}

/// For every picture an earlier one that it is the same as, or nearly, and the difference in parts
/// of the usual one between nearest neighbours.
fn duplicates(images: &[ImageRecord], looks: &[Look]) -> Vec<Option<(usize, f64)>> {
    let nearest = |picture: usize, others: &mut dyn Iterator<Item = usize>| {
        others
            .map(|other| (other, looks[picture].distance(&looks[other])))
            .reduce(|a, b| if b.1 < a.1 { b } else { a })
    };
    let count = images.len();
    let of_all = (0..count).into_par_iter().filter_map(|i| {
        let mut others = (0..count).filter(|j| *j != i && images[*j].digest != images[i].digest);
        nearest(i, &mut others).map(|(_, distance)| distance)
    });
    let usual = robust::Spread::of(of_all.collect::<Vec<f64>>().into_iter(), 0.0).centre;
    let size = |i: usize| (images[i].width, images[i].height);
    (0..count)
        .into_par_iter()
        .map(|i| {
            if let Some(same) = (0..i).find(|j| images[*j].digest == images[i].digest) {
                return Some((same, 0.0));
            }
            let mut earlier = (0..i).filter(|j| size(*j) == size(i));
            let (other, distance) = nearest(i, &mut earlier)?;
            (distance < SAME * usual).then(|| (other, (distance / usual).max(f64::MIN_POSITIVE)))
        })
        .collect()
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

/// Every picture against the others.
pub(super) struct Comparison {
    /// `[picture][layer]`.
    distances: Vec<Vec<Distances>>,
    scorer: Scorer,
    /// Rows and columns of the scored maps.
    size: (usize, usize),
}

impl Comparison {
    /// Against the pictures that are `kept`, which also say what is usual.
    fn new(
        store: &Store,
        backbone: &Identity,
        mask: Option<&Mask>,
        kept: &[bool],
        groups: &[u32],
        step: &(dyn Fn() + Sync),
    ) -> Self {
        let taps = &backbone.taps;
        let references = references(kept, groups);
        let distances = neighbours::distances(store, taps, &references, groups, step);
        let coarser = |side: u32| (side as usize / COARSER).max(1);
        let size = (coarser(backbone.height), coarser(backbone.width));
        let sigma = SIGMA * size.1 as f32 / 256.0;
        let mask = mask.and_then(|mask| coarse_mask(mask, size));
        let usual: Vec<&Vec<Distances>> =
            distances.iter().zip(kept).filter(|(_, kept)| **kept).map(|(d, _)| d).collect();
        let layers = |weights: &[f32]| -> Vec<Layer> {
            taps.iter()
                .enumerate()
                .map(|(layer, tap)| Layer {
                    height: tap.height as usize,
                    width: tap.width as usize,
                    weight: weights[layer],
                    baseline: mean(usual.iter().map(|d| d[layer].forward.as_slice())),
                })
                .collect()
        };
        let scorer =
            |layers| Scorer::new(size, 1.0, Fusion::RootMean, layers, sigma, mask.as_ref());
        let plain = scorer(layers(&vec![1.0; taps.len()]));
        let weights: Vec<f32> = (0..taps.len())
            .map(|layer| {
                let peaks: Vec<f32> =
                    usual.par_iter().map(|d| plain.layer_peak(layer, &d[layer])).collect();
                let sum: f64 = peaks.iter().map(|&p| f64::from(p)).sum();
                (1.0 / (sum / peaks.len().max(1) as f64).max(LEAST_PEAK)) as f32
            })
            .collect();
        let scorer = scorer(layers(&weights));
        Comparison { distances, scorer, size }
    }

    fn scored(&self, picture: usize) -> Scored {
        self.scorer.score(&self.scorer.anomaly_map(&self.distances[picture]))
    }

    /// The mean distance of every picture, over all places and layers, each layer in parts of what
    /// is usual among the `kept`.
    fn spread(&self, kept: &[bool]) -> Vec<f64> {
        let of_layer = |layer: usize| -> Vec<f64> {
            let means: Vec<f64> = self
                .distances
                .iter()
                .map(|d| {
                    let forward = &d[layer].forward;
                    let sum: f64 = forward.iter().map(|&v| f64::from(v)).sum();
                    sum / forward.len().max(1) as f64
                })
                .collect();
            let used = means.iter().zip(kept).filter(|(_, kept)| **kept).map(|(m, _)| *m);
            let usual = robust::Spread::of(used, 0.0).centre.max(LEAST_PEAK);
            means.iter().map(|m| m / usual).collect()
        };
        let layers = self.distances.first().map_or(0, Vec::len);
        let mut sum = vec![0.0; self.distances.len()];
        for layer in 0..layers {
            sum.iter_mut().zip(of_layer(layer)).for_each(|(sum, v)| *sum += v / layers as f64);
        }
        sum
    }
}

/// The pictures that others are compared with: of those kept, one a group, at most [`REFERENCES`].
fn references(kept: &[bool], groups: &[u32]) -> Vec<usize> {
    let mut seen = std::collections::HashSet::new();
    let all: Vec<usize> = (0..kept.len()).filter(|&i| kept[i] && seen.insert(groups[i])).collect();
    let wanted = all.len().min(REFERENCES);
    (0..wanted).map(|i| all[i * all.len() / wanted]).collect()
}

/// The mean of maps of equal length; empty for none.
fn mean<'a>(maps: impl Iterator<Item = &'a [f32]>) -> Vec<f32> {
    let mut sum: Vec<f64> = Vec::new();
    let mut count = 0u32;
    for map in maps {
        sum.resize(map.len(), 0.0);
        sum.iter_mut().zip(map).for_each(|(sum, v)| *sum += f64::from(*v));
        count += 1;
    }
    sum.iter().map(|v| (v / f64::from(count.max(1))) as f32).collect()
}

/// The region of interest at the size of the maps; none where nothing of it is left.
fn coarse_mask(mask: &Mask, (height, width): (usize, usize)) -> Option<Mask> {
    let place = |at: usize, of: usize, from: usize| (2 * at + 1) * from / (2 * of);
    let inside: Vec<bool> = (0..height * width)
        .map(|i| {
            let (x, y) = (i % width, i / width);
            let at = place(y, height, mask.height()) * mask.width() + place(x, width, mask.width());
            mask.inside()[at]
        })
        .collect();
    Mask::from_flags(height, width, inside).filter(|mask| mask.count() > 0)
}
