//! This module measures how a picture looks: how bright, how sharp, and how much of it is clipped.

use super::mask::Mask;
use super::network_image::NetworkImage;

/// The largest number of pixels that are measured. Of a larger picture, every second, third, ... row is measured.
const MOST_PIXELS: usize = 65_536;
/// A sample from this value on is clipped: 99 % of full scale. The resize mixes clipped pixels with their neighbours.
const CLIPPED: u16 = 64_880;

/// What can be measured of a picture without a template.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Appearance {
    /// The mean of all samples, from 0 (black) to 1 (full scale).
    pub brightness: f32,
    /// The variance of the Laplacian over the variance of the picture, at least 0. It falls when the picture is blurred,
    /// and does not change with the contrast. It is 0 for a picture of one grey value.
    pub sharpness: f32,
    /// The share of pixels with a sample at full scale, from 0 to 1.
    pub clipped: f32,
}

impl Appearance {
    /// Measures a picture inside the mask, without the outermost pixels. Without a mask, everything is inside. Returns
    /// `None` if nothing is left to measure, or if the mask has another size.
    pub fn of(image: &NetworkImage, mask: Option<&Mask>) -> Option<Self> {
        let (height, width) = (image.height(), image.width());
        if mask.is_some_and(|mask| (mask.height(), mask.width()) != (height, width)) {
            return None;
        }
        let stride = height.checked_mul(width)?.div_ceil(MOST_PIXELS).max(1);
        let row = |y: usize| image.samples().chunks_exact(3 * width.max(1)).nth(y);
        let inside = |y: usize| mask.and_then(|mask| mask.inside().chunks_exact(width).nth(y));
        let (mut sums, mut three) = (Sums::default(), [vec![], vec![], vec![]]);
        for y in (1..height.checked_sub(1)?).step_by(stride) {
            let [above, here, below] = &mut three;
            if stride == 1 && !below.is_empty() {
                std::mem::swap(above, here);
                std::mem::swap(here, below);
            } else {
                grey(row(y - 1)?, above);
                grey(row(y)?, here);
            }
            grey(row(y + 1)?, below);
            sums.add([above, here, below], row(y)?, inside(y));
        }
        sums.appearance()
    }
}

/// Writes the sum of the three samples of each pixel of a row.
fn grey(row: &[u16], into: &mut Vec<i64>) {
    into.clear();
    into.extend(row.chunks_exact(3).map(|rgb| rgb.iter().map(|v| i64::from(*v)).sum::<i64>()));
}

/// Sums over the measured pixels. Whole numbers, so that the result depends on no order. The largest picture of 2^28
/// pixels stays below 2^63 in each of them, because a Laplacian is below 2^20.
#[derive(Default)]
struct Sums {
    pixels: i64,
    clipped: i64,
    grey: i64,
    grey_squares: u128,
    laplacian: i64,
    laplacian_squares: u128,
}

impl Sums {
    /// Adds the inner pixels of the middle one of three rows. `samples` are those of the middle row.
    fn add(&mut self, three: [&Vec<i64>; 3], samples: &[u16], inside: Option<&[bool]>) {
        let [above, here, below] = three;
        let (mut grey_squares, mut laplacian_squares) = (0_u64, 0_u64);
        let neighbours = above.iter().zip(below).zip(samples.chunks_exact(3)).skip(1);
        let mut flags = inside.unwrap_or_default().iter().skip(1);
        for (line, ((up, down), rgb)) in here.windows(3).zip(neighbours) {
            let counts = inside.is_none() || flags.next().copied().unwrap_or(false);
            let &[left, middle, right] = line else { continue };
            if !counts {
                continue;
            }
            let laplacian = left + right + up + down - 4 * middle;
            self.pixels += 1;
            self.clipped += i64::from(rgb.iter().any(|value| *value >= CLIPPED));
            self.grey += middle;
            self.laplacian += laplacian;
            grey_squares += middle.unsigned_abs() * middle.unsigned_abs();
            laplacian_squares += laplacian.unsigned_abs() * laplacian.unsigned_abs();
        }
        self.grey_squares += u128::from(grey_squares);
        self.laplacian_squares += u128::from(laplacian_squares);
    }

    fn appearance(&self) -> Option<Appearance> {
        let pixels = Some(self.pixels as f64).filter(|pixels| *pixels > 0.0)?;
        let variance = |sum: i64, squares: u128| {
            let mean = sum as f64 / pixels;
            (squares as f64 / pixels - mean * mean).max(0.0)
        };
        let contrast = variance(self.grey, self.grey_squares);
        let edges = variance(self.laplacian, self.laplacian_squares);
        Some(Appearance {
            brightness: (self.grey as f64 / pixels / (3.0 * 65_535.0)) as f32,
            sharpness: if contrast > 0.0 { (edges / contrast) as f32 } else { 0.0 },
            clipped: (self.clipped as f64 / pixels) as f32,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(height: usize, width: usize, at: impl Fn(usize, usize) -> u16) -> NetworkImage {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
        let samples = pixels.flat_map(|(y, x)| [at(y, x); 3]).collect();
        NetworkImage::from_samples(height, width, samples).expect("fits")
    }

    /// Returns numbers without a pattern, from 0 to 1023.
    fn noise(y: usize, x: usize) -> u16 {
        let mixed = (y as u64 * 7919 + x as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed >> 40) as u16 % 1024
    }

    /// Measures pixel by pixel, as the definition says.
    fn slowly(image: &NetworkImage, inside: impl Fn(usize, usize) -> bool) -> [f64; 3] {
        let grey = |y: usize, x: usize| {
            let at = 3 * (y * image.width() + x);
            image.samples()[at..at + 3].iter().map(|v| f64::from(*v)).sum::<f64>()
        };
        let (mut greys, mut edges, mut clipped) = (vec![], vec![], 0.0);
        for y in 1..image.height() - 1 {
            for x in (1..image.width() - 1).filter(|x| inside(y, *x)) {
                greys.push(grey(y, x));
                let around = grey(y, x - 1) + grey(y, x + 1) + grey(y - 1, x) + grey(y + 1, x);
                edges.push(around - 4.0 * grey(y, x));
                let at = 3 * (y * image.width() + x);
                let any = image.samples()[at..at + 3].iter().any(|v| *v >= CLIPPED);
                clipped += f64::from(u8::from(any));
            }
        }
        let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len() as f64;
        let variance = |all: &[f64]| {
            let mean = mean(all);
            all.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / all.len() as f64
        };
        let brightness = mean(&greys) / (3.0 * 65_535.0);
        [brightness, variance(&edges) / variance(&greys), clipped / greys.len() as f64]
    }

    fn assert_near(found: Appearance, wanted: [f64; 3]) {
        let found = [found.brightness, found.sharpness, found.clipped].map(f64::from);
        for (found, wanted) in found.iter().zip(wanted) {
            assert!((found - wanted).abs() <= 1e-5 * wanted.abs().max(1e-3), "{found} {wanted}");
        }
    }

    #[test]
    fn the_quick_way_and_the_definition_agree() {
        let busy = image(40, 60, |y, x| if x % 7 == 0 { u16::MAX } else { 40 * noise(y, x) });
        assert_near(Appearance::of(&busy, None).expect("pixels"), slowly(&busy, |_, _| true));
        let half = |y: usize, x: usize| !(x + y).is_multiple_of(3) && x > 20;
        let flags = (0..40).flat_map(|y| (0..60).map(move |x| half(y, x))).collect();
        let mask = Mask::from_flags(40, 60, flags).expect("fits");
        assert_near(Appearance::of(&busy, Some(&mask)).expect("pixels"), slowly(&busy, half));
    }

    #[test]
    fn light_blur_and_overexposure_move_their_own_numbers() {
        let smooth = |y: usize, x: usize| {
            let (y, x) = (y.clamp(1, 62), x.clamp(1, 62));
            let near = (y - 1..=y + 1).flat_map(|y| (x - 1..=x + 1).map(move |x| noise(y, x)));
            near.sum::<u16>() / 9
        };
        let of = |at: &dyn Fn(usize, usize) -> u16| {
            Appearance::of(&image(64, 64, at), None).expect("pixels")
        };
        let plain = of(&|y, x| 20_000 + 8 * noise(y, x));
        let dim = of(&|y, x| 18_000 + 36 * noise(y, x) / 5);
        assert!((dim.brightness / plain.brightness - 0.9).abs() < 1e-3);
        assert!((dim.sharpness / plain.sharpness - 1.0).abs() < 1e-2, "light is not sharpness");
        let blurred = of(&|y, x| 20_000 + 8 * smooth(y, x));
        // White noise has a sharpness of 20, and 3.56 after the mean of 3 x 3 pixels.
        let blur = blurred.sharpness / plain.sharpness;
        assert!((blur - 0.178).abs() < 0.03, "{blur}");
        assert!((blurred.brightness / plain.brightness - 1.0).abs() < 1e-2);
        let over = of(&|y, x| if noise(y, x) < 102 { u16::MAX } else { 20_000 });
        assert!((over.clipped - 0.1).abs() < 0.02 && plain.clipped == 0.0, "{}", over.clipped);
        let flat = Appearance { brightness: 1.0, sharpness: 0.0, clipped: 1.0 };
        assert_eq!(of(&|_, _| u16::MAX), flat);
    }

    #[test]
    fn a_large_picture_is_measured_in_rows_and_gives_nearly_the_same() {
        let large = image(600, 700, |y, x| 20_000 + 8 * noise(y, x) + 10 * (x as u16));
        let quick = Appearance::of(&large, None).expect("pixels");
        let [brightness, sharpness, _] = slowly(&large, |_, _| true);
        assert!((f64::from(quick.brightness) / brightness - 1.0).abs() < 0.01);
        assert!((f64::from(quick.sharpness) / sharpness - 1.0).abs() < 0.05);
    }

    #[test]
    fn what_cannot_be_measured_is_not() {
        assert_eq!(Appearance::of(&image(2, 9, noise), None), None);
        assert_eq!(Appearance::of(&image(9, 2, noise), None), None);
        assert_eq!(Appearance::of(&image(0, 0, noise), None), None);
        let mask = |height, width, flag| Mask::from_flags(height, width, vec![flag; 81]);
        let nine = image(9, 9, noise);
        assert_eq!(Appearance::of(&nine, mask(9, 9, false).as_ref()), None);
        assert!(Appearance::of(&nine, mask(9, 9, true).as_ref()).is_some());
        assert_eq!(Appearance::of(&nine, mask(27, 3, true).as_ref()), None);
    }
}
