//! This module draws the part of the demo, a bolted metal plate with a gasket and a label, and its defects.

use image::{Rgb, RgbImage};
use rand_xoshiro::Xoshiro256Plus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use tiny_skia::{Color, FillRule, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, Transform};

/// Side of the pictures in pixels.
const SIDE: u32 = 320;
const SCREWS: [(f32, f32); 4] = [(70.0, 80.0), (250.0, 80.0), (70.0, 240.0), (250.0, 240.0)];
const SCREW_RADIUS: f32 = 15.0;
const PLATE: (f32, f32, f32, f32) = (40.0, 50.0, 240.0, 220.0);
const LABEL: (f32, f32, f32, f32) = (122.0, 216.0, 76.0, 36.0);
const STEEL: (u8, u8, u8) = (168, 174, 180);

/// A defect of the part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Defect {
    Scratch,
    Stain,
    MissingScrew,
    ShiftedLabel,
}

impl Defect {
    pub const ALL: [Defect; 4] =
        [Defect::Scratch, Defect::Stain, Defect::MissingScrew, Defect::ShiftedLabel];

    pub fn name(self) -> &'static str {
        match self {
            Defect::Scratch => "scratch",
            Defect::Stain => "stain",
            Defect::MissingScrew => "missing-screw",
            Defect::ShiftedLabel => "shifted-label",
        }
    }
}

/// A drawn part and where it is bad.
pub struct Part {
    pub picture: RgbImage,
    pub mask: RgbImage,
}

/// What is being drawn on: the picture, the mask of the defect, and how the part lies.
struct Canvas {
    picture: Pixmap,
    mask: Pixmap,
    pose: Transform,
    dice: Dice,
}

impl Part {
    /// Draws part number `seed`: no two lie or shine alike.
    pub fn draw(seed: u64, defect: Option<Defect>) -> Part {
        let mut dice = Dice(Xoshiro256Plus::seed_from_u64(seed));
        let pose = Transform::from_rotate_at(
            dice.between(-1.5, 1.5),
            SIDE as f32 / 2.0,
            SIDE as f32 / 2.0,
        )
        .post_translate(dice.between(-4.0, 4.0), dice.between(-4.0, 4.0));
        let blank = || Pixmap::new(SIDE, SIDE).expect("a size above 0");
        let mut canvas = Canvas { picture: blank(), mask: blank(), pose, dice };
        canvas.picture.fill(Color::from_rgba8(46, 48, 52, 255));
        canvas.plate();
        canvas.gasket();
        let missing = (defect == Some(Defect::MissingScrew)).then(|| canvas.dice.below(4));
        for (i, &(x, y)) in SCREWS.iter().enumerate() {
            if missing == Some(i) {
                canvas.fill(&circle(x, y, 6.0), (52, 54, 58), 255);
                canvas.mark(&circle(x, y, SCREW_RADIUS));
            } else {
                canvas.screw(x, y);
            }
        }
        let shifted = defect == Some(Defect::ShiftedLabel);
        canvas.label(shifted);
        match defect {
            Some(Defect::Scratch) => canvas.scratch(),
            Some(Defect::Stain) => canvas.stain(),
            _ => {}
        }
        canvas.finish()
    }
}

impl Canvas {
    fn fill(&mut self, path: &Path, (r, g, b): (u8, u8, u8), alpha: u8) {
        let mut paint = Paint::default();
        paint.set_color_rgba8(r, g, b, alpha);
        self.picture.fill_path(path, &paint, FillRule::Winding, self.pose, None);
    }

    fn stroke(&mut self, path: &Path, (r, g, b): (u8, u8, u8), alpha: u8, width: f32) {
        let mut paint = Paint::default();
        paint.set_color_rgba8(r, g, b, alpha);
        let stroke = Stroke { width, ..Stroke::default() };
        self.picture.stroke_path(path, &paint, &stroke, self.pose, None);
    }

    /// Marks a filled shape as defective.
    fn mark(&mut self, path: &Path) {
        let mut white = Paint::default();
        white.set_color_rgba8(255, 255, 255, 255);
        self.mask.fill_path(path, &white, FillRule::Winding, self.pose, None);
    }

    fn plate(&mut self) {
        let (x, y, width, height) = PLATE;
        self.fill(&rectangle(x, y, width, height), STEEL, 255);
        // Brushed steel: fine lines that are different on every part.
        for _ in 0..160 {
            let (row, start) = (
                self.dice.between(y + 2.0, y + height - 2.0),
                self.dice.between(x, x + width - 60.0),
            );
            let end = (start + self.dice.between(20.0, 120.0)).min(x + width - 2.0);
            let bright = self.dice.below(2) == 0;
            let shade = if bright { (210, 214, 218) } else { (140, 146, 152) };
            self.stroke(&line(start, row, end, row), shade, 45, 1.0);
        }
        self.stroke(&rectangle(x, y, width, height), (96, 100, 106), 255, 3.0);
    }

    fn gasket(&mut self) {
        self.stroke(&circle(160.0, 138.0, 46.0), (30, 30, 32), 255, 12.0);
        self.stroke(&circle(160.0, 138.0, 50.0), (74, 74, 78), 255, 2.0);
        self.fill(&circle(160.0, 138.0, 26.0), (92, 98, 106), 255);
        self.fill(&circle(160.0, 138.0, 11.0), (36, 38, 42), 255);
    }

    fn screw(&mut self, x: f32, y: f32) {
        self.fill(&circle(x, y, SCREW_RADIUS), (118, 122, 128), 255);
        self.fill(&circle(x - 1.0, y - 1.0, SCREW_RADIUS - 3.0), (196, 200, 204), 255);
        let angle = self.dice.between(0.0, std::f32::consts::PI);
        for turn in [0.0, std::f32::consts::FRAC_PI_2] {
            let (dx, dy) = ((angle + turn).cos() * 8.0, (angle + turn).sin() * 8.0);
            self.stroke(&line(x - dx, y - dy, x + dx, y + dy), (70, 72, 78), 255, 3.5);
        }
    }

    fn label(&mut self, shifted: bool) {
        let (mut x, mut y, width, height) = LABEL;
        if shifted {
            self.mark(&rectangle(x, y, width, height));
            x += if self.dice.below(2) == 0 { -26.0 } else { 26.0 };
            y -= self.dice.between(4.0, 9.0);
            self.mark(&rectangle(x, y, width, height));
        }
        self.fill(&rectangle(x, y, width, height), (236, 234, 222), 255);
        for (i, &thick) in [3.0f32, 2.0, 4.0, 2.0, 2.0, 5.0, 2.0, 3.0, 2.0].iter().enumerate() {
            self.fill(
                &rectangle(x + 8.0 + 6.6 * i as f32, y + 6.0, thick, height - 16.0),
                (24, 24, 26),
                255,
            );
        }
        self.fill(&rectangle(x + 8.0, y + height - 7.0, width - 16.0, 2.5), (170, 40, 36), 255);
    }

    fn scratch(&mut self) {
        let (x, y) = (self.dice.between(90.0, 160.0), self.dice.between(70.0, 190.0));
        let (dx, dy) = (self.dice.between(40.0, 80.0), self.dice.between(-30.0, 30.0));
        let mut path = PathBuilder::new();
        path.move_to(x, y);
        path.quad_to(x + dx * 0.5, y + dy * 0.5 + self.dice.between(-8.0, 8.0), x + dx, y + dy);
        let Some(path) = path.finish() else { return };
        self.stroke(&path, (238, 240, 242), 235, 2.0);
        let mut white = Paint::default();
        white.set_color_rgba8(255, 255, 255, 255);
        let stroke = Stroke { width: 4.0, ..Stroke::default() };
        self.mask.stroke_path(&path, &white, &stroke, self.pose, None);
    }

    fn stain(&mut self) {
        let (x, y) = (self.dice.between(80.0, 240.0), self.dice.between(80.0, 220.0));
        for _ in 0..6 {
            let blob = circle(
                x + self.dice.between(-8.0, 8.0),
                y + self.dice.between(-8.0, 8.0),
                self.dice.between(5.0, 10.0),
            );
            self.fill(&blob, (96, 66, 34), 120);
            self.mark(&blob);
        }
    }

    /// Light, sensor noise, and the end.
    fn finish(mut self) -> Part {
        let light = self.dice.between(0.92, 1.08);
        let slope = self.dice.between(-0.06, 0.06);
        let mut picture = RgbImage::new(SIDE, SIDE);
        for (x, y, pixel) in picture.enumerate_pixels_mut() {
            let Some(drawn) = self.picture.pixel(x, y) else { continue };
            let gain = light + slope * (x as f32 / SIDE as f32 - 0.5);
            let noise = self.dice.between(-5.0, 5.0);
            *pixel = Rgb([drawn.red(), drawn.green(), drawn.blue()]
                .map(|v| (f32::from(v) * gain + noise) as u8));
        }
        let mask = RgbImage::from_fn(SIDE, SIDE, |x, y| {
            Rgb([if self.mask.pixel(x, y).is_some_and(|p| p.alpha() > 127) { 255 } else { 0 }; 3])
        });
        Part { picture, mask }
    }
}

/// Random numbers that are the same on every machine.
struct Dice(Xoshiro256Plus);

impl Dice {
    fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * ((self.0.next_u64() >> 40) as f32 / (1u64 << 24) as f32)
    }

    fn below(&mut self, count: u64) -> usize {
        (self.0.next_u64() % count) as usize
    }
}

fn circle(x: f32, y: f32, radius: f32) -> Path {
    PathBuilder::from_circle(x, y, radius).expect("a radius above 0")
}

fn rectangle(x: f32, y: f32, width: f32, height: f32) -> Path {
    PathBuilder::from_rect(Rect::from_xywh(x, y, width, height).expect("a size above 0"))
}

fn line(x: f32, y: f32, to_x: f32, to_y: f32) -> Path {
    let mut path = PathBuilder::new();
    path.move_to(x, y);
    path.line_to(to_x, to_y);
    path.finish().expect("two points")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defects_are_marked_and_good_parts_are_not() {
        let white = |part: &Part| part.mask.pixels().filter(|p| p.0[0] > 0).count();
        for seed in 0..5 {
            assert_eq!(white(&Part::draw(seed, None)), 0);
            for defect in Defect::ALL {
                assert!(white(&Part::draw(seed, Some(defect))) > 100, "{defect:?}");
            }
        }
        assert_eq!(Part::draw(3, None).picture, Part::draw(3, None).picture);
        assert_ne!(Part::draw(3, None).picture, Part::draw(4, None).picture);
    }
}
