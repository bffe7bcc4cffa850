//! This module chooses the sizes to try: first a few over the whole range, then more where hits
//! turn into misses.

use super::defects::Kind;
use super::logit;
use super::pod::Pod;
use crate::image::Size;

/// The probabilities between which sizes are tried a second time, by the curve of the first tries.
pub const FOCUS: (f64, f64) = (0.3, 0.98);
/// The least ratio of the largest to the smallest size of the second tries.
const LEAST_RATIO: f64 = 1.5;
/// The least number of first tries of a size.
const SWEEP_TRIES: usize = 3;

/// The sizes of both rounds of tries of one kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sizes {
    /// The smallest and the largest size, in pixels.
    pub range: (f64, f64),
    /// How many sizes each round tries.
    pub count: usize,
    /// How many tries the first round has.
    pub first: usize,
}

impl Sizes {
    /// Chooses sizes for defects of `kind` in pictures of `picture` pixels that a map of `map`
    /// pixels judges, with `runs` tries.
    ///
    /// The smallest size is a pixel of the map, and at least a pixel of the picture. A smaller
    /// defect is averaged away before the network sees it. The largest size is a quarter of the
    /// shorter side, or half of it for scratches.
    pub fn new(kind: Kind, picture: Size, map: Size, runs: usize) -> Self {
        let pixel = |picture: u32, map: u32| f64::from(picture) / f64::from(map.max(1));
        let of_map = (pixel(picture.width, map.width) * pixel(picture.height, map.height)).sqrt();
        let least = of_map.max(1.0);
        let part = if kind == Kind::Scratch { 0.5 } else { 0.25 };
        let most = (part * f64::from(picture.width.min(picture.height))).max(2.0 * least);
        let count = if runs < 100 { 6 } else { 8 };
        Sizes { range: (least, most), count, first: (runs / 5).max(SWEEP_TRIES * count) }
    }

    /// Returns the sizes of the first round.
    pub fn sweep(&self) -> Vec<f64> {
        spread(self.range, self.count)
    }

    /// Returns the sizes of a further round, from the tries until then. They are the sizes that are
    /// found with probabilities between the two values of `between`.
    pub fn focus(&self, until_then: Option<&Pod>, between: (f64, f64)) -> Vec<f64> {
        let (least, most) = self.range;
        let Some(pod) = until_then else { return self.sweep() };
        let (low, high) = match (&pod.fit, pod.found) {
            (Some(fit), _) => {
                let at = |p: f64| ((logit::logit(p) - fit.intercept) / fit.slope).exp();
                (at(between.0), at(between.1))
            }
            (None, 0) => (most / LEAST_RATIO, most),
            (None, found) if found == pod.tries => (least, least * LEAST_RATIO),
            // One size separates hits from misses. The round goes from the next smaller size that
            // was tried to the next larger one.
            (None, _) => {
                let tried = || pod.sizes.iter().map(|s| s.px);
                let parting = pod.a50.px();
                let below = tried().rfind(|px| *px < parting * (1.0 - 1e-9));
                let beyond = tried().find(|px| *px > parting * (1.0 + 1e-9));
                (below.unwrap_or(least), beyond.unwrap_or(most))
            }
        };
        let (low, high) = (low.clamp(least, most / LEAST_RATIO), high.clamp(least, most));
        spread((low, high.max(low * LEAST_RATIO)), self.count)
    }
}

/// Returns sizes at equal ratios, rounded to a tenth of a pixel.
fn spread((low, high): (f64, f64), count: usize) -> Vec<f64> {
    let ratio = high / low;
    let size = |i: usize| low * ratio.powf(i as f64 / (count.max(2) - 1) as f64);
    let mut sizes: Vec<f64> = (0..count).map(|i| (10.0 * size(i)).round() / 10.0).collect();
    sizes.dedup();
    sizes
}

#[cfg(test)]
mod tests {
    use super::super::pod::Trial;
    use super::*;

    const SQUARE: Size = Size { width: 512, height: 512 };
    const MAP: Size = Size { width: 256, height: 256 };

    fn pod(found: impl Fn(f64, usize) -> bool, sizes: &Sizes) -> Option<Pod> {
        let of_size = |&size: &f64| (0..4).map(move |i| (size, i));
        let trials: Vec<Trial> = (sizes.sweep().iter().flat_map(of_size))
            .map(|(size, i)| Trial { size, found: found(size, i), picture: i })
            .collect();
        Pod::of(&trials)
    }

    #[test]
    fn the_first_round_covers_the_range_and_the_second_looks_closer() {
        let sizes = Sizes::new(Kind::DarkSpot, SQUARE, MAP, 160);
        let sweep = sizes.sweep();
        assert_eq!((sweep.len(), sweep[0], sweep[7]), (8, 2.0, 128.0));
        assert_eq!(Sizes::new(Kind::Scratch, SQUARE, MAP, 160).range.1, 256.0);
        let small = Size { width: 80, height: 60 };
        assert_eq!(Sizes::new(Kind::Missing, small, MAP, 60).range, (1.0, 15.0));
        for (what, found, low, high) in [
            ("none", &(|_, _| false) as &dyn Fn(f64, usize) -> bool, 80.0, 128.0),
            ("all", &|_, _| true, 2.0, 3.0),
            ("from 10 px on", &|size, _| size >= 10.0, 6.6, 21.5),
            (
                "some of those of 5 to 20 px",
                &|size, i| size > 20.0 || (size > 5.0 && i > 1),
                5.0,
                60.0,
            ),
            ("small ones only", &|size, _| size < 10.0, 2.0, 128.0),
        ] {
            let focus = sizes.focus(pod(found, &sizes).as_ref(), FOCUS);
            assert!(
                focus.iter().all(|s| (low - 0.1..=high + 0.1).contains(s)),
                "{what}: {focus:?}"
            );
            assert!(focus[focus.len() - 1] >= 1.4 * focus[0], "{what}: {focus:?}");
        }
        assert_eq!(sizes.focus(None, FOCUS), sweep);
    }
}
