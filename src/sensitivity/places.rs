//! This module places made-up defects evenly over the whole region of interest.

use super::blind::{COLUMNS, ROWS};
use super::defects::{Defect, Kind};
use crate::image::Size;
use rand_xoshiro::Xoshiro256Plus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};

/// The fraction of the golden ratio. Its multiples are spread evenly, however many there are.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// The places of a map that count.
pub struct Places {
    map: Size,
    /// Whether each pixel of the map counts.
    counts: Vec<bool>,
    /// The pixels that count, ordered by the cells of the map of blind places.
    inside: Vec<u32>,
}

impl Places {
    /// Takes the places of a map of the size `map` where `counts` is true.
    pub fn new(map: Size, counts: Vec<bool>) -> Self {
        let width = map.width.max(1);
        let cell = |at: &u32| {
            let (x, y) = (at % width, at / width);
            (y * ROWS as u32 / map.height.max(1), x * COLUMNS as u32 / width)
        };
        let all = (0u32..).zip(&counts).filter(|(_, counts)| **counts);
        let mut inside: Vec<u32> = all.map(|(at, _)| at).collect();
        inside.sort_by_key(cell);
        Places { map, counts, inside }
    }

    /// Returns whether no place counts.
    pub fn is_empty(&self) -> bool {
        self.inside.is_empty()
    }

    /// Returns the pixel of the map in which a place of a picture of `size` lies.
    pub fn pixel(&self, size: Size, (x, y): (f32, f32)) -> Option<usize> {
        let along = |at: f32, side: u32, map: u32| {
            let at = f64::from(at) * f64::from(map) / f64::from(side.max(1));
            (0.0..f64::from(map)).contains(&at).then_some(at as usize)
        };
        let (x, y) =
            (along(x, size.width, self.map.width)?, along(y, size.height, self.map.height)?);
        Some(y * self.map.width as usize + x)
    }

    /// Draws a defect at a place that counts, wholly inside a picture of `size`. Returns `None`
    /// where the drawn place does not count. `part` chooses the place by the part of the places
    /// that lie before it, in their order. Without `part` the place is random.
    pub fn draw(
        &self,
        defect: (Kind, f32, f32),
        size: Size,
        part: Option<f64>,
        dice: &mut Dice,
    ) -> Option<Defect> {
        let part = part.unwrap_or_else(|| dice.part());
        let at = *self.inside.get((part * self.inside.len() as f64) as usize)?;
        let width = self.map.width.max(1);
        let within = |at: u32, side: u32, map: u32, part: f64| {
            ((f64::from(at) + part) * f64::from(side) / f64::from(map.max(1))) as f32
        };
        let (kind, of_size, contrast) = defect;
        let place = (
            within(at % width, size.width, self.map.width, dice.part()),
            within(at / width, size.height, self.map.height, dice.part()),
        );
        let angle = (std::f64::consts::TAU * dice.part()) as f32;
        let mut drawn = Defect { kind, size: of_size, contrast, place, angle };
        let reach = drawn.reach();
        // A defect at the edge lies against the edge and not across it.
        let inner =
            |at: f32, side: u32| at.min(side as f32 - reach).max(reach.min(side as f32 / 2.0));
        drawn.place = (inner(place.0, size.width), inner(place.1, size.height));
        let pixel = self.pixel(size, drawn.place)?;
        (self.counts.get(pixel) == Some(&true)).then_some(drawn)
    }
}

/// Returns the part of the places that lie before that of try number `number`, for an offset of 0
/// to 1.
pub fn part_of(number: usize, offset: f64) -> f64 {
    (offset + number as f64 * GOLDEN).fract()
}

/// A source of random numbers that a seed repeats.
pub struct Dice(Xoshiro256Plus);

impl Dice {
    /// Makes dice for one purpose. Different numbers give different dice.
    pub fn new(seed: u64, numbers: &[u64]) -> Self {
        let mix = |state: u64, number: &u64| {
            let mut z = (state ^ number).wrapping_add(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        Dice(Xoshiro256Plus::seed_from_u64(numbers.iter().fold(seed, mix)))
    }

    /// Returns a number from 0 up to 1, without 1.
    pub fn part(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Returns the numbers below `count` in random order.
    pub fn order(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last, (self.part() * (last + 1) as f64) as usize);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: Size = Size { width: 64, height: 32 };
    const PICTURE: Size = Size { width: 640, height: 480 };

    #[test]
    fn places_cover_the_region_of_interest_evenly() {
        let counts: Vec<bool> = (0..64 * 32).map(|at| at % 64 < 32).collect();
        let places = Places::new(MAP, counts);
        let mut tries = [0usize; 64];
        for number in 0..3200 {
            let mut dice = Dice::new(7, &[number as u64]);
            let part = Some(part_of(number, 0.3));
            let Some(drawn) = places.draw((Kind::DarkSpot, 4.0, 20.0), PICTURE, part, &mut dice)
            else {
                continue;
            };
            let (x, y) = drawn.place;
            assert!((2.0..=320.0).contains(&x) && (2.0..=478.0).contains(&y), "{x}, {y}");
            tries[(y / 60.0) as usize * 8 + (x / 80.0) as usize] += 1;
        }
        let inside = (0..64).filter(|cell| cell % 8 < 4).map(|cell| tries[cell]);
        assert!(inside.clone().all(|n| (80..=120).contains(&n)), "{tries:?}");
        assert!(inside.sum::<usize>() > 3100);
    }

    #[test]
    fn large_defects_stay_inside_and_nowhere_is_nowhere() {
        let places = Places::new(MAP, vec![true; 64 * 32]);
        for number in 0..200 {
            let mut dice = Dice::new(1, &[number]);
            let drawn = places.draw((Kind::Scratch, 240.0, 20.0), PICTURE, None, &mut dice);
            let (x, y) = drawn.expect("a place").place;
            assert!((121.0..=519.0).contains(&x) && (121.0..=359.0).contains(&y), "{x}, {y}");
        }
        let nowhere = Places::new(MAP, vec![false; 64 * 32]);
        let drawn = nowhere.draw((Kind::Scratch, 9.0, 20.0), PICTURE, None, &mut Dice::new(1, &[]));
        assert!(nowhere.is_empty() && drawn.is_none());
        assert_eq!(places.pixel(PICTURE, (640.0, 3.0)), None);
        assert_eq!(places.pixel(PICTURE, (639.9, 479.9)), Some(64 * 32 - 1));
    }

    #[test]
    fn dice_repeat_and_differ_by_purpose() {
        let rolls = |numbers: &[u64]| Dice::new(5, numbers).order(20);
        assert_eq!(rolls(&[1, 2]), rolls(&[1, 2]));
        assert_ne!(rolls(&[1, 2]), rolls(&[2, 1]));
        let mut sorted = rolls(&[3]);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..20).collect::<Vec<_>>());
    }
}
