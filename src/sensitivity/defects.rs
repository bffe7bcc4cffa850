//! This module draws made-up defects of known size and contrast into a good picture.
//!
//! A defect is drawn at the size of the original picture. Contrasts are in grey levels of 255,
//! whatever the depth of the samples. Colours change by the same amount in all three channels.
//! Edges are soft over one pixel.

use super::texture::{Levels, Texture};
use crate::image::{Picture, Samples};
use serde::Serialize;

/// A kind of made-up defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A straight line. Its width is a twelfth of its length, and at least a pixel. It is darker
    /// than a bright background, and brighter than a dark one.
    Scratch,
    /// A disc that is darker than its background.
    DarkSpot,
    /// A disc that is brighter than its background.
    BrightSpot,
    /// A disc without its content. It is filled smoothly from its rim.
    Missing,
    /// A disc whose content lies half its diameter farther on. The place that it came from is
    /// filled.
    Moved,
    /// A disc without its fine texture. It is smoothed by a mean over a quarter of its diameter.
    Smoothed,
}

/// The least mean change over the area of a defect without a contrast, in grey levels of 255. With
/// less change, there was nothing to remove, move or smooth.
pub const VISIBLE: f32 = 8.0;
/// The least mean change of a defect with a contrast, as a part of that contrast. Near black
/// nothing gets darker.
const CONTRAST_KEPT: f32 = 0.8;
/// The length of a scratch divided by its width.
const SLENDERNESS: f32 = 12.0;
/// The most points of the rim from which a disc is filled.
const RIM_POINTS: f32 = 64.0;

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 6] = [
        Kind::Scratch,
        Kind::DarkSpot,
        Kind::BrightSpot,
        Kind::Missing,
        Kind::Moved,
        Kind::Smoothed,
    ];

    /// Returns whether it is drawn with a contrast. The other kinds change the picture's own
    /// content.
    pub fn has_contrast(self) -> bool {
        matches!(self, Kind::Scratch | Kind::DarkSpot | Kind::BrightSpot)
    }

    /// Returns its name, for command lines and files.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Scratch => "scratch",
            Kind::DarkSpot => "dark-spot",
            Kind::BrightSpot => "bright-spot",
            Kind::Missing => "missing",
            Kind::Moved => "moved",
            Kind::Smoothed => "smoothed",
        }
    }
}

/// A made-up defect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Defect {
    /// The kind of the defect.
    pub kind: Kind,
    /// The length of a scratch, or the diameter of another defect, in pixels of the picture. It is
    /// at least 1.
    pub size: f32,
    /// How much darker or brighter the defect is, in grey levels of 255. It has no meaning for
    /// kinds without a contrast.
    pub contrast: f32,
    /// The position of the middle, in pixels from the left and from the top.
    pub place: (f32, f32),
    /// The direction of a scratch or of a move, in radians.
    pub angle: f32,
}

/// The effect of a defect on a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The changed part of the picture.
    texture: Texture,
    /// Whether each of its pixels belongs to the defect.
    changed: Vec<bool>,
    /// The mean change of the defect's pixels, in grey levels of 255.
    pub mean: f32,
    full: f32,
}

impl Defect {
    /// Returns how far it reaches from its middle, in pixels.
    pub fn reach(&self) -> f32 {
        match self.kind {
            Kind::Moved => self.size + 1.0,
            _ => self.size / 2.0 + 1.0,
        }
    }

    /// Computes how the defect changes `picture`, whose samples go up to `full`.
    pub fn draw(&self, picture: &Picture, full: f32) -> Change {
        // Filling and smoothing use pixels beyond the rim.
        let before = Texture::around(picture, full, self.place, 1.5 * self.reach() + 2.0);
        let after: Vec<(Levels, f32)> = match self.kind {
            Kind::Scratch => self.shaded(&before, self.scratch_sign(&before)),
            Kind::DarkSpot => self.shaded(&before, -1.0),
            Kind::BrightSpot => self.shaded(&before, 1.0),
            Kind::Missing => self.filled(&before),
            Kind::Moved => self.moved(&before),
            Kind::Smoothed => self.smoothed(&before),
        };
        let changed: Vec<bool> = after.iter().map(|(_, cover)| *cover > 0.0).collect();
        // A pixel of the soft edge counts by the part of it that belongs to the defect.
        let (mut sum, mut area) = (0.0f64, 1e-6f64);
        for (old, (new, cover)) in before.pixels.iter().zip(&after) {
            let differences = old.iter().zip(new).map(|(a, b)| f64::from((a - b).abs()));
            sum += differences.sum::<f64>() / 3.0;
            area += f64::from(*cover);
        }
        let pixels = after.into_iter().map(|(levels, _)| levels).collect();
        let mean = (sum / area) as f32;
        Change { texture: Texture { pixels, ..before }, changed, mean, full }
    }

    /// Returns whether a change is as large as the defect should make it.
    pub fn is_visible(&self, change: &Change) -> bool {
        match self.kind.has_contrast() {
            true => change.mean >= CONTRAST_KEPT * self.contrast,
            false => change.mean >= VISIBLE,
        }
    }

    /// Returns how much of a pixel at `at` lies in a disc of the defect's size around `middle`: 0
    /// to 1.
    fn cover(&self, at: (f32, f32), middle: (f32, f32)) -> f32 {
        let distance = (at.0 - middle.0).hypot(at.1 - middle.1);
        (self.size / 2.0 - distance + 0.5).clamp(0.0, 1.0)
    }

    /// Returns how much of a pixel at `at` lies in the scratch: 0 to 1.
    fn cover_of_line(&self, at: (f32, f32)) -> f32 {
        let width = (self.size / SLENDERNESS).max(1.0);
        let (dx, dy) = (at.0 - self.place.0, at.1 - self.place.1);
        let (cos, sin) = (self.angle.cos(), self.angle.sin());
        let half = ((self.size - width) / 2.0).max(0.0);
        let along = (dx * cos + dy * sin).clamp(-half, half);
        let distance = (dx - along * cos).hypot(dy - along * sin);
        (width / 2.0 - distance + 0.5).clamp(0.0, 1.0)
    }

    /// Returns the sign of a scratch's change. It points towards the end of the scale that is
    /// farther away.
    fn scratch_sign(&self, before: &Texture) -> f32 {
        let (mut sum, mut weight) = (0.0, 1e-6);
        for (at, pixel) in before.pixels.iter().enumerate() {
            let cover = self.cover_of_line(before.centre(at));
            sum += cover * pixel.iter().sum::<f32>() / 3.0;
            weight += cover;
        }
        if sum / weight > 127.5 { -1.0 } else { 1.0 }
    }

    /// Makes the pixels darker or brighter by the contrast.
    fn shaded(&self, before: &Texture, sign: f32) -> Vec<(Levels, f32)> {
        let shade = |(at, pixel): (usize, &Levels)| {
            let centre = before.centre(at);
            let cover = match self.kind {
                Kind::Scratch => self.cover_of_line(centre),
                _ => self.cover(centre, self.place),
            };
            (pixel.map(|v| (v + sign * self.contrast * cover).clamp(0.0, 255.0)), cover)
        };
        before.pixels.iter().enumerate().map(shade).collect()
    }

    /// Fills the disc from its rim. Every point of the rim counts by one over its squared distance.
    fn filled(&self, before: &Texture) -> Vec<(Levels, f32)> {
        let radius = self.size / 2.0 + 1.0;
        let count = (std::f32::consts::TAU * radius).clamp(8.0, RIM_POINTS) as usize;
        let rim: Vec<((f32, f32), Levels)> = (0..count)
            .map(|i| {
                let angle = std::f32::consts::TAU * i as f32 / count as f32;
                let point =
                    (self.place.0 + radius * angle.cos(), self.place.1 + radius * angle.sin());
                (point, before.at(point))
            })
            .collect();
        let fill = |at: (f32, f32)| {
            let (mut sum, mut weights) = ([0.0f32; 3], 0.0f32);
            for (point, levels) in &rim {
                let weight = 1.0 / ((at.0 - point.0).powi(2) + (at.1 - point.1).powi(2)).max(0.25);
                sum.iter_mut().zip(levels).for_each(|(sum, v)| *sum += weight * v);
                weights += weight;
            }
            sum.map(|v| v / weights)
        };
        self.replaced(before, &|at, _| fill(at))
    }

    /// Puts the disc's content half a diameter farther on, over a filled disc.
    fn moved(&self, before: &Texture) -> Vec<(Levels, f32)> {
        let step = self.size / 2.0;
        let (dx, dy) = (step * self.angle.cos(), step * self.angle.sin());
        let target = (self.place.0 + dx, self.place.1 + dy);
        let emptied = self.filled(before);
        let place = |(at, (under, gone)): (usize, (Levels, f32))| {
            let centre = before.centre(at);
            let cover = self.cover(centre, target);
            let piece = before.at((centre.0 - dx, centre.1 - dy));
            (mixed(under, piece, cover), cover.max(gone))
        };
        emptied.into_iter().enumerate().map(place).collect()
    }

    fn smoothed(&self, before: &Texture) -> Vec<(Levels, f32)> {
        let radius = (self.size / 8.0).round().max(1.0) as usize;
        let smooth = before.smoothed(radius);
        self.replaced(before, &|_, index| smooth.pixels[index])
    }

    /// Replaces the disc's pixels by those that `with` gives for the place or the index of a pixel.
    fn replaced(
        &self,
        before: &Texture,
        with: &dyn Fn((f32, f32), usize) -> Levels,
    ) -> Vec<(Levels, f32)> {
        let replace = |(at, pixel): (usize, &Levels)| {
            let centre = before.centre(at);
            let cover = self.cover(centre, self.place);
            match cover > 0.0 {
                true => (mixed(*pixel, with(centre, at), cover), cover),
                false => (*pixel, 0.0),
            }
        };
        before.pixels.iter().enumerate().map(replace).collect()
    }
}

/// Mixes `share` of `new` with the rest of `old`.
fn mixed(old: Levels, new: Levels, share: f32) -> Levels {
    [0, 1, 2].map(|i| old[i] + share * (new[i] - old[i]))
}

impl Change {
    /// Returns the picture with the defect.
    pub fn on(&self, picture: &Picture) -> Picture {
        let mut changed = picture.clone();
        let sample = |level: f32| (level * self.full / 255.0).round().clamp(0.0, self.full);
        for (at, levels) in self.of_picture(picture.width) {
            match &mut changed.samples {
                Samples::Eight(samples) => put(samples, at, levels.map(|v| sample(v) as u8)),
                Samples::Sixteen(samples) => put(samples, at, levels.map(|v| sample(v) as u16)),
            }
        }
        changed
    }

    /// Returns the middles of the pixels that belong to the defect, in pixels of the picture.
    pub fn places(&self) -> impl Iterator<Item = (f32, f32)> {
        let of_defect = self.changed.iter().enumerate().filter(|(_, changed)| **changed);
        of_defect.map(|(at, _)| self.texture.centre(at))
    }

    /// Returns the index and the new levels of each pixel that belongs to the defect, in a picture
    /// of `width` columns.
    fn of_picture(&self, width: u32) -> impl Iterator<Item = (usize, Levels)> {
        let Texture { left, top, width: own, .. } = self.texture;
        let numbered = self.texture.pixels.iter().zip(&self.changed).enumerate();
        numbered.filter(|(_, (_, changed))| **changed).map(move |(at, (levels, _))| {
            let own = own.max(1) as usize;
            let (x, y) = (left as usize + at % own, top as usize + at / own);
            (y * width as usize + x, *levels)
        })
    }
}

fn put<T: Copy>(samples: &mut [T], pixel: usize, new: [T; 3]) {
    if let Some(old) = samples.get_mut(3 * pixel..3 * pixel + 3) {
        old.copy_from_slice(&new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a picture of 60 x 50 pixels with a fine pattern, of 8 or 16 bits.
    fn pattern(sixteen: bool) -> Picture {
        let level = |at: usize| -> u8 {
            let (x, y) = (at / 3 % 60, at / 180);
            (90 + (x * 7 + y * 13) % 60 + 10 * (at % 3)) as u8
        };
        let eight: Vec<u8> = (0..60 * 50 * 3).map(level).collect();
        let samples = match sixteen {
            true => Samples::Sixteen(eight.iter().map(|&v| u16::from(v) * 257).collect()),
            false => Samples::Eight(eight),
        };
        Picture { width: 60, height: 50, samples }
    }

    fn eight(picture: &Picture) -> Vec<i32> {
        match &picture.samples {
            Samples::Eight(samples) => samples.iter().map(|&v| i32::from(v)).collect(),
            Samples::Sixteen(samples) => {
                samples.iter().map(|&v| (f64::from(v) / 257.0).round() as i32).collect()
            }
        }
    }

    fn defect(kind: Kind, size: f32) -> Defect {
        Defect { kind, size, contrast: 40.0, place: (30.0, 25.0), angle: 0.5 }
    }

    #[test]
    fn only_pixels_of_the_defect_change_in_either_depth_alike() {
        let (narrow, wide) = (pattern(false), pattern(true));
        for kind in Kind::ALL {
            let made_up = defect(kind, 14.0);
            let change = made_up.draw(&narrow, 255.0);
            assert!(made_up.is_visible(&change), "{kind:?}: {}", change.mean);
            let after = eight(&change.on(&narrow));
            let deep = eight(&made_up.draw(&wide, 65535.0).on(&wide));
            assert!(after.iter().zip(&deep).all(|(a, b)| (a - b).abs() <= 1), "{kind:?}");
            let reach = made_up.reach();
            for (at, (old, new)) in eight(&narrow).iter().zip(&after).enumerate() {
                let (x, y) = ((at / 3 % 60) as f32 + 0.5, (at / 180) as f32 + 0.5);
                let distance = (x - 30.0).hypot(y - 25.0);
                assert!(old == new || distance <= reach + 0.5, "{kind:?} at {x}, {y}");
            }
            assert_ne!(eight(&narrow), after, "{kind:?}");
        }
    }

    #[test]
    fn spots_and_scratches_have_their_size_and_contrast() {
        let flat = Picture { width: 60, height: 50, samples: Samples::Eight(vec![100; 9000]) };
        for (kind, area, level) in [
            (Kind::DarkSpot, std::f32::consts::PI * 100.0, 60),
            (Kind::BrightSpot, std::f32::consts::PI * 100.0, 140),
            (Kind::Scratch, 20.0 * 20.0 / 12.0, 140),
        ] {
            let change = defect(kind, 20.0).draw(&flat, 255.0);
            let after = eight(&change.on(&flat));
            let drawn: f32 = after.iter().map(|v| (v - 100).abs() as f32).sum::<f32>() / 3.0 / 40.0;
            assert!((drawn / area - 1.0).abs() < 0.08, "{kind:?}: {drawn} for {area}");
            assert!(after.contains(&level), "{kind:?}");
            assert!((change.places().count() as f32) > area);
        }
    }

    #[test]
    fn what_would_not_be_seen_is_said_to_be_so() {
        let black = Picture { width: 60, height: 50, samples: Samples::Eight(vec![4; 9000]) };
        for (kind, seen) in [
            (Kind::DarkSpot, false),
            (Kind::BrightSpot, true),
            (Kind::Scratch, true),
            (Kind::Missing, false),
            (Kind::Moved, false),
            (Kind::Smoothed, false),
        ] {
            let made_up = defect(kind, 12.0);
            assert_eq!(made_up.is_visible(&made_up.draw(&black, 255.0)), seen, "{kind:?}");
        }
    }

    #[test]
    fn a_piece_goes_or_moves() {
        let mut samples = vec![50u8; 9000];
        for at in 0..3000usize {
            let (x, y) = ((at % 60) as f32 + 0.5, (at / 60) as f32 + 0.5);
            if (x - 30.0).hypot(y - 25.0) < 4.0 {
                samples[3 * at..3 * at + 3].fill(200);
            }
        }
        let part = Picture { width: 60, height: 50, samples: Samples::Eight(samples) };
        let bright = |picture: &Picture| -> Vec<usize> {
            let all = eight(picture);
            (0..3000).filter(|at| all[3 * at] > 150).collect()
        };
        let gone = defect(Kind::Missing, 12.0).draw(&part, 255.0).on(&part);
        assert_eq!(bright(&gone), [0usize; 0]);
        let to_the_right = Defect { angle: 0.0, ..defect(Kind::Moved, 12.0) };
        let moved = to_the_right.draw(&part, 255.0).on(&part);
        let right = |at: &usize| *at + 6;
        assert_eq!(bright(&moved), bright(&part).iter().map(right).collect::<Vec<_>>());
    }

    #[test]
    fn any_place_and_size_is_safe() {
        let picture = pattern(false);
        for kind in Kind::ALL {
            for (x, y) in [(0.0, 0.0), (60.0, 50.0), (-40.0, 200.0)] {
                for size in [1.0, 7.5, 300.0] {
                    let made_up = Defect { place: (x, y), ..defect(kind, size) };
                    let change = made_up.draw(&picture, 255.0);
                    assert_eq!(change.on(&picture).width, 60, "{kind:?} {size} at {x}, {y}");
                    assert!(change.mean.is_finite());
                }
            }
        }
    }
}
