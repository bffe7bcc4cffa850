//! Chooses the size of the network's input that suits the pictures of a template.
//!
//! A network sees a picture at the size of its input. If the input is a square and the picture is not, the picture is
//! squeezed, and thin things in the squeezed direction are lost. So an input of a given *area* takes the shape of the
//! pictures, as nearly as the possible sides of the network allow. The time and the size of the template depend on the
//! area alone.

use super::features::{Source, most_frequent};
use super::features_file::PictureRecord;
use crate::backbone::{Identity, LARGEST_SIDE};
use crate::error::{Error, Result};
use crate::image::{self, Size};
use crate::template::header::DEFECT_NETWORK_PX;
use rayon::prelude::*;

/// Sides are multiples of this number if the network allows it. The coarsest maps of most networks have one pixel for
/// so many pixels of the input.
const STEP: u32 = 32;
/// Sides of other networks are multiples of at least this number.
const LEAST_STEP: u32 = 14;
/// The largest ratio of the longest side to the shortest. A longer picture is squeezed.
const MOST_ASPECT: f64 = 4.0;
/// The smallest and the largest area, as shares of the one that was asked for.
const AREA_BETWEEN: [f64; 2] = [0.85, 1.1];
/// How much a deviation of the area counts beside a deviation of the shape. Both are squares of logarithms.
const AREA_WEIGHT: f64 = 0.25;

/// Says which input a network should have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum InputSize {
    /// An input of about so many pixels, in the shape of the pictures.
    Area(u32),
    /// This input, whatever the shape of the pictures.
    Exactly(Size),
    /// An input in the shape of the pictures. It is so large that a defect of this diameter spans [`DEFECT_NETWORK_PX`]
    /// pixels of it. It has about `area` pixels at least, and no more pixels than the picture.
    Defect {
        /// The diameter of the defect in pixels of the pictures.
        px: f64,
        /// The smallest area in pixels of the input.
        area: u32,
    },
}

impl InputSize {
    /// Returns a square input.
    pub const fn square(side: u32) -> Self {
        InputSize::Exactly(Size { width: side, height: side })
    }

    /// Returns the input for a picture of size `picture`, for a network whose sides are multiples of `multiple` pixels.
    pub fn of_picture(self, picture: Size, multiple: u32) -> Size {
        match self {
            InputSize::Exactly(size) => size,
            InputSize::Area(area) => shaped(area, picture, step(multiple)),
            InputSize::Defect { px, area } => for_defect(px, area, picture, step(multiple)),
        }
    }

    /// Returns the input for pictures of different sizes: the one that suits most of them. If several suit equally
    /// many, it is the one that suits the first. Without pictures it is a square.
    pub fn of_pictures(self, pictures: impl IntoIterator<Item = Size>, multiple: u32) -> Size {
        let of_each = pictures.into_iter().map(|picture| self.of_picture(picture, multiple));
        let square = Size { width: 1, height: 1 };
        most_frequent(of_each).unwrap_or_else(|| self.of_picture(square, multiple))
    }

    /// Returns the size that most of the picture files have. Without readable files it is one pixel.
    pub fn size_of_most(pictures: &[Source]) -> Size {
        let size = |source: &Source| image::size_of_file(&source.path).ok();
        let sizes: Vec<Option<Size>> = pictures.par_iter().map(size).collect();
        most_frequent(sizes.into_iter().flatten()).unwrap_or(Size { width: 1, height: 1 })
    }

    /// Returns the input for picture files. Unreadable files have no influence here. The feature pass reports them.
    pub fn of_files(self, pictures: &[Source], multiple: u32) -> Size {
        if let InputSize::Exactly(size) = self {
            return size;
        }
        let size = |source: &Source| image::size_of_file(&source.path).ok();
        let sizes: Vec<Option<Size>> = pictures.par_iter().map(size).collect();
        self.of_pictures(sizes.into_iter().flatten(), multiple)
    }
}

/// Returns the number of which the sides for a network should be multiples.
fn step(multiple: u32) -> u32 {
    let multiple = multiple.max(1);
    if STEP.is_multiple_of(multiple) { STEP } else { LEAST_STEP.div_ceil(multiple) * multiple }
}

/// Returns the input of about `area` pixels whose shape is nearest to that of `picture`. Its sides are multiples of
/// `step`.
fn shaped(area: u32, picture: Size, step: u32) -> Size {
    let logarithm = |value: u32| f64::from(value.max(1)).ln();
    let longest = MOST_ASPECT.ln();
    let aspect = (logarithm(picture.width) - logarithm(picture.height)).clamp(-longest, longest);
    let [least, most] = AREA_BETWEEN.map(|part| part * f64::from(area));
    let side = (f64::from(area).sqrt() / f64::from(step)).round().max(1.0) as u32 * step;
    let mut best = (f64::INFINITY, Size { width: side, height: side });
    let longest_side = (MOST_ASPECT * most).sqrt().min(4096.0) as u32;
    for height in (step..=longest_side).step_by(step as usize) {
        for width in (step..=longest_side).step_by(step as usize) {
            let pixels = f64::from(width) * f64::from(height);
            if pixels < least || pixels > most || width.max(height) > 4 * width.min(height) {
                continue;
            }
            let off_shape = logarithm(width) - logarithm(height) - aspect;
            let off_area = (pixels / f64::from(area)).ln();
            let cost = off_shape * off_shape + AREA_WEIGHT * off_area * off_area;
            if cost < best.0 {
                best = (cost, Size { width, height });
            }
        }
    }
    best.1
}

/// Returns the input on which a defect of `px` pixels of `picture` is large enough to be found. If the input of `area`
/// pixels is larger, it returns that one. Sides are rounded up to `step`, and down to it if the picture has no more
/// pixels.
fn for_defect(px: f64, area: u32, picture: Size, step: u32) -> Size {
    let scale = (DEFECT_NETWORK_PX / px).min(1.0);
    let side = |of: u32| {
        let wanted = (f64::from(of) * scale / f64::from(step)).ceil() as u32 * step;
        wanted.min(of / step * step).max(step)
    };
    let size = Size { width: side(picture.width), height: side(picture.height) };
    let usual = shaped(area, picture, step);
    if size.pixels() > usual.pixels() { size } else { usual }
}

/// Refuses an input for defects of `px` pixels that no network takes.
///
/// # Errors
/// Returns [`crate::error::Kind::Usage`], with the smallest possible defect.
pub fn require_possible(px: f64, input: Size, picture: Size) -> Result<()> {
    let most = LARGEST_SIDE;
    if input.width.max(input.height) <= most {
        return Ok(());
    }
    let longest = f64::from(picture.width.max(picture.height));
    let least = (DEFECT_NETWORK_PX * longest / f64::from(most)).ceil();
    let what = format!(
        "a defect of {px} px in pictures of {picture} needs an input of {input}, but a side may have at most {most} pixels"
    );
    Err(Error::usage(what).advise(format!(
        "ask for defects from {least} px, or cut the pictures into tiles of at most {most} pixels per side"
    )))
}

/// Says how many pictures have fewer pixels than the network's input. They are enlarged, which adds nothing to see.
pub fn smaller_than_input<'a>(
    pictures: impl Iterator<Item = &'a PictureRecord>,
    backbone: &Identity,
) -> Option<String> {
    let input = Size { width: backbone.width, height: backbone.height };
    let (mut of, mut count, mut first) = (0, 0, None);
    for picture in pictures {
        of += 1;
        let size = Size { width: picture.width, height: picture.height };
        if size.pixels() < input.pixels() {
            count += 1;
            first.get_or_insert((picture.name.as_str(), size));
        }
    }
    first.map(|(name, size)| {
        format!(
            "{count} of {of} pictures have fewer pixels than the network's input of {input}, as {name} ({size}): they \
             are enlarged, which adds nothing to see"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(width: u32, height: u32) -> Size {
        Size { width, height }
    }

    #[test]
    fn an_input_has_the_shape_of_the_picture_and_about_the_area() {
        let cases = [
            ((512, 512), (256, 256)),
            ((8, 8), (256, 256)),
            ((1024, 1000), (256, 256)),
            ((152, 384), (160, 416)),
            ((500, 1250), (160, 416)),
            ((640, 480), (288, 224)),
            ((1920, 1080), (352, 192)),
            ((2448, 2048), (288, 224)),
            // These pictures are longer than 1:4.
            ((3000, 100), (512, 128)),
            ((1, 100_000_000), (128, 512)),
        ];
        for ((width, height), want) in cases {
            let found = InputSize::Area(65_536).of_picture(size(width, height), 32);
            assert_eq!((found.width, found.height), want, "{width} x {height}");
            let turned = InputSize::Area(65_536).of_picture(size(height, width), 32);
            assert_eq!((turned.height, turned.width), want, "{height} x {width}");
        }
    }

    #[test]
    fn every_input_is_of_multiples_and_of_about_the_area() {
        let areas = [64 * 64, 256 * 256, 384 * 384, 512 * 512];
        for (area, multiple) in areas.map(|area| (area, 32)).into_iter().chain([(448 * 448, 14)]) {
            let sides = || (1..60).step_by(3);
            for (width, height) in sides().flat_map(|w| sides().map(move |h| (w, h))) {
                let found = InputSize::Area(area).of_picture(size(width, height), multiple);
                let is_multiple = |side: u32| side.is_multiple_of(multiple);
                assert!(is_multiple(found.width) && is_multiple(found.height));
                assert!(found.width.max(found.height) <= 4 * found.width.min(found.height));
                let part = found.pixels() as f64 / f64::from(area);
                assert!((0.85..=1.1).contains(&part), "{area} {width} x {height}: {found}");
            }
        }
    }

    #[test]
    fn sides_are_multiples_of_what_the_network_asks_for() {
        // (area, multiple, picture, input)
        let cases = [
            (448 * 448, 14, (500, 500), (448, 448)),
            (448 * 448, 14, (640, 480), (518, 392)),
            (448 * 448, 14, (1920, 1080), (602, 336)),
            (256 * 256, 14, (1, 1), (252, 252)),
            // These networks take any size or a multiple of 16. They get the same input as networks that do not say.
            (256 * 256, 1, (640, 480), (288, 224)),
            (256 * 256, 16, (640, 480), (288, 224)),
            (256 * 256, 5, (100, 100), (255, 255)),
            (256 * 256, 64, (100, 100), (256, 256)),
            (256 * 256, 2048, (640, 480), (2048, 2048)),
        ];
        for (area, multiple, (width, height), want) in cases {
            let found = InputSize::Area(area).of_picture(size(width, height), multiple);
            assert_eq!((found.width, found.height), want, "{multiple}: {width} x {height}");
        }
    }

    #[test]
    fn most_pictures_decide_and_the_first_where_there_are_equally_many() {
        let (wide, tall, square) = (size(640, 480), size(480, 640), size(300, 300));
        let of = |sizes: &[Size]| InputSize::Area(65_536).of_pictures(sizes.iter().copied(), 32);
        assert_eq!(of(&[square, wide, size(1280, 960)]), size(288, 224));
        assert_eq!(of(&[tall, wide]), size(224, 288));
        assert_eq!(of(&[wide, tall]), size(288, 224));
        assert_eq!(of(&[]), size(256, 256));
        assert_eq!(InputSize::square(96).of_pictures([wide], 32), size(96, 96));
    }

    #[test]
    fn a_small_defect_gets_an_input_in_which_it_spans_enough_pixels() {
        let of_multiple = |px: f64, picture, multiple| {
            InputSize::Defect { px, area: 65_536 }.of_picture(picture, multiple)
        };
        let pictures = [(512, 512), (2448, 2048), (4096, 4096), (1250, 500), (4096, 300)];
        for (multiple, (width, height)) in
            [32, 14, 5].into_iter().flat_map(|multiple| pictures.map(|size| (multiple, size)))
        {
            let (picture, step) = (size(width, height), step(multiple));
            let of = |px, picture| of_multiple(px, picture, multiple);
            let mut last = size(0, 0);
            for px in [400.0, 100.0, 30.0, 17.5, 9.0, DEFECT_NETWORK_PX, 3.0] {
                let found = of(px, picture);
                assert!(found.pixels() >= last.pixels(), "{picture} {px}: {found} after {last}");
                last = found;
                let is_multiple = |side: u32| side.is_multiple_of(multiple);
                assert!(is_multiple(found.width) && is_multiple(found.height));
                if found == of(1e9, picture) {
                    continue;
                }
                assert!(found.width <= width && found.height <= height, "{picture} {px}: {found}");
                for (side, of) in [(found.width, width), (found.height, height)] {
                    // One step is missing if the picture has no more pixels.
                    let spans = px * f64::from(side + step - 1) / f64::from(of);
                    assert!(spans >= DEFECT_NETWORK_PX.min(px), "{picture} {px}: {found}");
                }
            }
        }
        // The input is never below the usual one and never above the picture.
        let of = |px, picture| of_multiple(px, picture, 32);
        assert_eq!(of(1e6, size(4096, 4096)), size(256, 256));
        assert_eq!(of(1.0, size(100, 100)), size(256, 256));
        assert_eq!(of(1.0, size(1000, 1000)), size(992, 992));
    }

    #[test]
    fn an_input_beyond_the_longest_side_is_refused_with_the_defect_that_is_possible() {
        let (px, picture) = (DEFECT_NETWORK_PX, size(8192, 1000));
        let input = InputSize::Defect { px, area: 65_536 }.of_picture(picture, 32);
        assert_eq!(input, size(8192, 992));
        let told = require_possible(px, input, picture).expect_err("refused").to_string();
        assert!(told.contains("8192 x 992") && told.contains("4096"), "{told}");
        assert!(told.contains(&format!("from {} px", 2.0 * DEFECT_NETWORK_PX)), "{told}");
        let possible = InputSize::Defect { px: 2.0 * px, area: 65_536 }.of_picture(picture, 32);
        assert!(require_possible(2.0 * px, possible, picture).is_ok());
    }
}
