//! Chooses the golden probes of a template: pictures whose result must differ if the template is not what was built.
//!
//! An unchanged good picture shows little. In a template that keeps every picture it is its own prototype and scores 0,
//! whatever is changed. So a probe is a good picture that is *disturbed*: shifted by a few pixels, and with patches of
//! other brightness. The build tries whether a probe notices changes before it takes the probe. It computes the probe's
//! maps once more under settings that are a little off. They have to differ from the promised maps by more than the
//! tolerance.

use super::gather::Gathered;
use crate::error::Result;
use crate::feature_map::FeatureMap;
use crate::image::NetworkImage;
use crate::inspection::{INVERTED, Pipeline};
use crate::matching::{Distances, Windows};
use crate::scoring::Fusion;
use crate::template::HeaderV1;
use std::collections::BTreeSet;

/// The probes that a template carries: all of them or only the first. The names say where the pictures come from.
const PROBES: [&str; 3] =
    ["the median good picture, disturbed", "the least usual good picture, disturbed", INVERTED];
/// Inputs with more pixels carry only the first probe, because a probe takes 6 bytes per pixel.
const PIXELS_OF_ALL: u64 = 1024 * 1024;
/// The number of ways to disturb a picture that are tried.
const WAYS: usize = 4;
/// How far off the settings are under which a probe is tried: a step of alpha, and a factor of a layer weight and of
/// sigma.
const ALPHA_STEP: f32 = 0.1;
const FACTOR: f32 = 1.2;

/// Returns the names of the probes of a template whose input has so many pixels.
pub fn names(pixels: u64) -> &'static [&'static str] {
    if pixels > PIXELS_OF_ALL { &PROBES[..1] } else { &PROBES }
}

/// Holds the probes, and in words what none of them notices.
pub struct Chosen {
    /// The pictures, in the order of [`names`].
    pub images: Vec<NetworkImage>,
    /// The settings whose change would go unnoticed.
    pub unnoticed: Vec<String>,
}

/// Chooses the probes of a template with `pipeline`, whose pictures have these leave-one-out scores.
pub fn choose(pass: &Gathered, scores: &[f32], pipeline: &Pipeline) -> Result<Chosen> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let id = pipeline.backbone().identity();
    let size = id.size();
    let ordinary = pass.image(order[order.len() / 2], size)?;
    let (first, first_misses) = best_disturbed(&ordinary, 0, pipeline)?;
    if names(id.pixels()).len() == 1 {
        return Ok(Chosen { images: vec![first], unnoticed: first_misses.into_iter().collect() });
    }
    let odd = pass.image(order[order.len() - 1], size)?;
    let inverted = ordinary.inverted();
    let (second, second_misses) = best_disturbed(&odd, WAYS / 2, pipeline)?;
    let misses = unnoticed(&inverted, pipeline)?;
    let by_all = |what: &&String| first_misses.contains(*what) && second_misses.contains(*what);
    let unnoticed = misses.iter().filter(by_all).cloned().collect();
    Ok(Chosen { images: vec![first, second, inverted], unnoticed })
}

/// Returns the first disturbed picture that notices everything, or the one that notices most. Also returns what it does
/// not notice. The ways are tried from `from` on.
fn best_disturbed(
    image: &NetworkImage,
    from: usize,
    pipeline: &Pipeline,
) -> Result<(NetworkImage, BTreeSet<String>)> {
    let mut best: Option<(NetworkImage, BTreeSet<String>)> = None;
    for way in 0..WAYS {
        let candidate = disturbed(image, (from + way) % WAYS);
        let misses = unnoticed(&candidate, pipeline)?;
        let is_better = best.as_ref().is_none_or(|(_, fewest)| misses.len() < fewest.len());
        if is_better {
            let is_perfect = misses.is_empty();
            best = Some((candidate, misses));
            if is_perfect {
                break;
            }
        }
    }
    Ok(best.unwrap_or_else(|| (image.clone(), BTreeSet::new())))
}

/// Shifts `image`, repeats its border, and adds small and large patches of other brightness.
fn disturbed(image: &NetworkImage, way: usize) -> NetworkImage {
    let (height, width) = (image.height(), image.width());
    let unit = (height.min(width) / 32).max(1);
    // A step is less than a pixel of the finest layers. After a few ways it is more than one of their pixels.
    let (down, right) = ((1 + way) * unit, (2 + way) * unit);
    let mut samples = vec![0; image.samples().len()];
    for (at, pixel) in samples.chunks_exact_mut(3).enumerate() {
        let (y, x) = (at / width, at % width);
        let from = 3 * (y.saturating_sub(down) * width + x.saturating_sub(right));
        pixel.copy_from_slice(&image.samples()[from..from + 3]);
        // Add patches of a third, a half and a whole cell of 8 units, in every fourth cell.
        let (row, column) = (y / (8 * unit), x / (8 * unit));
        let kind = (row + 2 * column + way) % 4;
        let within = (y % (8 * unit)).max(x % (8 * unit));
        match kind {
            1 if within < 8 * unit / 3 => pixel.iter_mut().for_each(|v| *v = u16::MAX - *v),
            2 if within < 4 * unit => pixel.iter_mut().for_each(|v| *v /= 2),
            3 if within < 6 * unit => pixel.rotate_left(1),
            _ => {}
        }
    }
    NetworkImage::from_samples(height, width, samples).unwrap_or_else(|| image.clone())
}

/// Returns in words the settings of the template whose change `image` does not notice.
fn unnoticed(image: &NetworkImage, pipeline: &Pipeline) -> Result<BTreeSet<String>> {
    let features = pipeline.features(image)?;
    let probe = Tried {
        pipeline,
        distances: pipeline.distances(&features, None),
        features,
        header: pipeline.template().header(),
    };
    let promised = pipeline.summary_under(probe.header, true, &probe.distances);
    let notices = |header: &HeaderV1, has_baseline: bool, distances: &[Distances]| {
        pipeline.deviates_under(header, has_baseline, distances, &promised)
    };
    let mut missed: BTreeSet<String> = probe
        .settings_off()
        .into_iter()
        .filter(|(_, header)| !notices(header, true, &probe.distances))
        .map(|(what, _)| what)
        .collect();
    let has_baseline = pipeline.template().baseline(0).is_some();
    if has_baseline && !notices(probe.header, false, &probe.distances) {
        missed.insert("the baseline".into());
    }
    for (what, distances) in probe.windows_off() {
        if !notices(probe.header, true, &distances) {
            missed.insert(what);
        }
    }
    Ok(missed)
}

/// Holds a picture that is tried as a probe.
struct Tried<'a> {
    pipeline: &'a Pipeline,
    features: Vec<FeatureMap>,
    distances: Vec<Distances>,
    header: &'a HeaderV1,
}

impl Tried<'_> {
    /// Returns the header with each setting of the score a little off, as far as the setting has an influence.
    fn settings_off(&self) -> Vec<(String, HeaderV1)> {
        let mut all = Vec::new();
        let mut off = |what: String, change: &dyn Fn(&mut HeaderV1)| {
            let mut header = self.header.clone();
            change(&mut header);
            all.push((what, header));
        };
        if self.header.layers.iter().all(|layer| layer.patch_backward > 0) {
            off("alpha".into(), &|h| {
                h.alpha += if h.alpha < 0.5 { ALPHA_STEP } else { -ALPHA_STEP };
            });
        }
        let largest = self.header.layers.iter().map(|layer| layer.weight).fold(0.0, f32::max);
        for at in 0..self.header.layers.len() {
            off(format!("the weight of layer {at}"), &|h| {
                let weight = &mut h.layers[at].weight;
                *weight = if *weight > 0.0 { *weight * FACTOR } else { largest };
            });
        }
        for layer in 0..self.header.uses.len() {
            off(format!("the votes of layer {layer}"), &|h| h.uses[layer].votes *= FACTOR);
        }
        off("sigma".into(), &|h| h.sigma = if h.sigma > 0.0 { h.sigma * FACTOR } else { 1.0 });
        if self.header.layers.len() > 1 {
            off("the fusion".into(), &|h| {
                h.fusion = match h.fusion {
                    Fusion::Sum => Fusion::RootMean,
                    Fusion::RootMean => Fusion::Sum,
                };
            });
        }
        all
    }

    /// Returns the distances with each window one step narrower, or wider if the window is 1. It does so only for
    /// windows that end inside their map.
    fn windows_off(&self) -> Vec<(String, Vec<Distances>)> {
        let mut all = Vec::new();
        for layer in 0..self.header.layers.len() {
            let map = self.header.features_of(layer, &self.features);
            let (Some(map), Some(windows)) = (map, self.header.windows(layer)) else { continue };
            let size = map.height().max(map.width());
            let step = |window: usize| if window > 1 { window - 2 } else { 3 };
            let forward = Windows { forward: step(windows.forward), ..windows };
            let backward = Windows { backward: step(windows.backward), ..windows };
            for (direction, own, other) in
                [("forward", windows.forward, forward), ("backward", windows.backward, backward)]
            {
                // A window of 0 leaves the direction out. A window beyond twice the map covers the whole map.
                if own == 0 || size < 2 || own.saturating_sub(2) / 2 >= size - 1 {
                    continue;
                }
                let mut distances = self.distances.clone();
                distances[layer] = self.pipeline.distances_in(layer, map, other);
                all.push((format!("the {direction} window of layer {layer}"), distances));
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disturbed_picture_keeps_its_size_and_every_way_gives_another_one() {
        let samples = (0..64 * 96 * 3).map(|i| (i * 37 % 65_536) as u16).collect();
        let image = NetworkImage::from_samples(64, 96, samples).expect("fits");
        let all: Vec<NetworkImage> = (0..WAYS).map(|way| disturbed(&image, way)).collect();
        for (way, one) in all.iter().enumerate() {
            assert_eq!((one.height(), one.width()), (64, 96));
            assert_ne!(*one, image);
            assert!(all[..way].iter().all(|other| other != one), "way {way}");
        }
    }
}
