//! This module puts panels with their names side by side, beside a colour bar with its numbers.

use super::letters;
use super::scale::{Scale, colour};
use image::{Rgb, RgbImage, imageops};

/// The colour of outlines and marks.
pub(super) const OUTLINE: Rgb<u8> = Rgb([0, 255, 255]);

/// The space between panels, and the width of the colour bar, in pixels.
const GAP: u32 = 8;
const BAR: u32 = 20;
/// The space between a panel and its name, and between the bar and its numbers, in pixels.
const NEAR: u32 = 4;
/// The number of letters of the longest name. Every panel has room for them. So all heat maps of
/// one template and one picture size are equally wide.
const NAME: usize = 25;
/// Letters are twice as large from this width of a panel on, in pixels.
const WIDE: u32 = 320;
const PAPER: Rgb<u8> = Rgb([255; 3]);
const INK: Rgb<u8> = Rgb([20; 3]);

/// A picture with a name above it.
pub struct Panel {
    pub name: String,
    pub image: RgbImage,
}

/// Draws the panels in a row, with the colour bar of `scale` at the right end.
pub fn side_by_side(panels: &[Panel], scale: Scale) -> RgbImage {
    let widest = panels.iter().map(|p| p.image.width()).max().unwrap_or(0);
    let letter = if widest >= WIDE { 2 } else { 1 };
    let (_, line) = letters::size("", letter);
    let tallest = panels.iter().map(|p| p.image.height()).max().unwrap_or(0);
    let bar = bar(scale, tallest.max(5 * line), letter);
    let room = letters::size(&" ".repeat(NAME), letter).0;
    let column = |panel: &Panel| panel.image.width().max(room);
    let width = panels.iter().map(|panel| column(panel) + GAP).sum::<u32>() + bar.width();
    let top = line + 2 * NEAR;
    let mut all = RgbImage::from_pixel(width, top + bar.height(), PAPER);
    let mut x = 0;
    for panel in panels {
        letters::write(&mut all, &panel.name, (x, NEAR), letter, INK);
        imageops::replace(&mut all, &panel.image, i64::from(x), i64::from(top));
        x += column(panel) + GAP;
    }
    imageops::replace(&mut all, &bar, i64::from(x), i64::from(top));
    all
}

/// Draws the colour bar, `height` pixels high, with the numbers at its ends and at the threshold.
fn bar(scale: Scale, height: u32, letter: u32) -> RgbImage {
    let last = height.saturating_sub(1).max(1);
    let row = |value: f32| last - (scale.place(value) * last as f32) as u32;
    let labels: Vec<(u32, String)> = [
        Some((scale.top, format!("{} and above", number(scale.top)))),
        (scale.threshold > 0.0)
            .then(|| (scale.threshold, format!("{} threshold", number(scale.threshold)))),
        Some((0.0, "0".to_string())),
    ]
    .into_iter()
    .flatten()
    .map(|(value, label)| (row(value), label))
    .collect();
    let widest = labels.iter().map(|(_, label)| letters::size(label, letter).0).max().unwrap_or(0);
    let mut all = RgbImage::from_pixel(BAR + NEAR + widest, height, PAPER);
    let mark = (scale.threshold > 0.0).then(|| row(scale.threshold));
    for (x, y) in (0..height).flat_map(|y| (0..BAR).map(move |x| (x, y))) {
        let is_marked = mark.is_some_and(|mark| y.abs_diff(mark) <= 1);
        let shade = colour((last - y.min(last)) as f32 / last as f32);
        all.put_pixel(x, y, if is_marked { OUTLINE } else { shade });
    }
    let (_, line) = letters::size("", letter);
    for (row, label) in &labels {
        let y = row.saturating_sub(line / 2).min(height.saturating_sub(line));
        letters::write(&mut all, label, (BAR + NEAR, y), letter, INK);
    }
    all
}

/// Writes a number with three significant digits, or with all digits before the point where there
/// are more.
pub fn number(value: f32) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        size if size >= 0.1 => 3,
        _ => 4,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(width: u32, height: u32) -> RgbImage {
        let panel = |name: &str| Panel {
            name: name.into(),
            image: RgbImage::from_pixel(width, height, Rgb([0, 0, 255])),
        };
        side_by_side(&[panel("one"), panel("two")], Scale::of_threshold(1.5))
    }

    #[test]
    fn panels_have_names_and_the_bar_has_its_threshold_and_numbers() {
        for (width, height, letter) in [(200, 150, 1), (640, 480, 2), (5, 3, 1)] {
            let all = drawn(width, height);
            let top = letters::size("", letter).1 + 2 * NEAR;
            let column = width.max(letters::size(&" ".repeat(NAME), letter).0);
            let ink = |from: (u32, u32), to: (u32, u32)| {
                let inside =
                    |x: u32, y: u32| (from.0..to.0).contains(&x) && (from.1..to.1).contains(&y);
                all.enumerate_pixels().filter(|(x, y, p)| inside(*x, *y) && **p == INK).count()
            };
            assert!(ink((0, 0), (column, top)) > 20, "no name above the first panel");
            assert!(ink((column + GAP, 0), (2 * column + GAP, top)) > 20, "nor the second");
            assert_eq!(*all.get_pixel(0, top), Rgb([0, 0, 255]));
            let bar = 2 * (column + GAP);
            assert!(ink((bar + BAR, top), all.dimensions()) > 60, "no numbers");
            let pixel = |y: u32| *all.get_pixel(bar + 1, top + y);
            let last = all.height() - top - 1;
            let mark = last - (0.6 * last as f32) as u32;
            assert_eq!(pixel(mark), OUTLINE, "{width} x {height}");
            assert_ne!(pixel(mark + 3), OUTLINE);
            assert_eq!((pixel(0), pixel(last)), (colour(1.0), colour(0.0)));
        }
    }

    #[test]
    fn numbers_have_three_digits() {
        let cases = [
            (1234.4, "1234"),
            (12.34, "12.3"),
            (1.234, "1.23"),
            (0.0661, "0.0661"),
            (0.5, "0.500"),
        ];
        for (value, want) in cases {
            assert_eq!(number(value), want);
        }
    }
}
