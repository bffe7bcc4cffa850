//! Draws a result over a picture: the outline of the regions, verdict and score.

use super::letters;
use image::{Rgb, RgbImage};
use std::error::Error;

const BLACK: Rgb<u8> = Rgb([12, 14, 18]);
const PANEL: Rgb<u8> = Rgb([28, 32, 40]);
const GREY: Rgb<u8> = Rgb([150, 158, 170]);
const WHITE: Rgb<u8> = Rgb([245, 247, 250]);
const RED: Rgb<u8> = Rgb([255, 64, 64]);
const AMBER: Rgb<u8> = Rgb([245, 166, 35]);
const GREEN: Rgb<u8> = Rgb([46, 184, 92]);
/// The pixels from a defect to the inner and the outer edge of its outline, and to the edge of its shadow.
const OUTLINE: [i64; 3] = [1, 3, 5];
/// How many thresholds the scale below the score shows.
const SCALE: f32 = 4.0;

/// What the meta of a frame says.
pub struct Found {
    verdict: String,
    score: f32,
    threshold: f32,
    /// How far the map is above what belongs to no region.
    excess: Vec<f32>,
    map_size: (usize, usize),
}

impl Found {
    /// Reads the meta of `hetmm`.
    ///
    /// # Errors
    /// Returns an error if there is none, or if it lacks something.
    pub fn of(buffer: &gst::BufferRef) -> Result<Self, Box<dyn Error>> {
        let meta = gst::meta::CustomMeta::from_buffer(buffer, gsthetmm::META)?;
        let told = meta.structure();
        let excess = told.get_optional::<gst::glib::Bytes>("excess")?;
        let four = |bytes: &[u8]| bytes.try_into().map_or(f32::NAN, f32::from_ne_bytes);
        let side = |name: &str| -> Result<usize, Box<dyn Error>> {
            Ok(told.get_optional::<u32>(name)?.unwrap_or(0) as usize)
        };
        Ok(Found {
            verdict: told.get::<String>("verdict")?,
            score: told.get("score")?,
            threshold: told.get("threshold")?,
            excess: excess.iter().flat_map(|bytes| bytes.chunks_exact(4).map(four)).collect(),
            map_size: (side("map-width")?, side("map-height")?),
        })
    }

    /// Draws into a picture whose first `height` rows are what was inspected. The rows below are for the words.
    pub fn draw(&self, picture: &mut RgbImage, height: u32) {
        self.outline(picture, height);
        self.words(picture, height);
    }

    fn ink(&self) -> Rgb<u8> {
        match self.verdict.as_str() {
            "ok" => GREEN,
            "review" => AMBER,
            _ => RED,
        }
    }

    /// Returns the excess at a pixel, between its four neighbours.
    fn excess_at(&self, (x, y): (u32, u32), (width, height): (u32, u32)) -> f32 {
        let (columns, rows) = self.map_size;
        let place = |at: u32, of: u32, to: usize| {
            let place = (at as f32 + 0.5) * to as f32 / of as f32 - 0.5;
            let place = place.clamp(0.0, (to - 1) as f32);
            (place as usize, (place as usize + 1).min(to - 1), place.fract())
        };
        let (left, right, u) = place(x, width, columns);
        let (above, below, v) = place(y, height, rows);
        let at = |x: usize, y: usize| self.excess.get(y * columns + x).copied().unwrap_or(f32::NAN);
        let upper = at(left, above) * (1.0 - u) + at(right, above) * u;
        let lower = at(left, below) * (1.0 - u) + at(right, below) * u;
        upper * (1.0 - v) + lower * v
    }

    /// Draws a line around the regions, with a shadow on either side.
    fn outline(&self, picture: &mut RgbImage, height: u32) {
        let (columns, rows) = self.map_size;
        let width = picture.width();
        if columns == 0 || rows == 0 || self.excess.len() != columns * rows {
            return;
        }
        let pixels: Vec<(u32, u32)> =
            (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).collect();
        let inside: Vec<bool> =
            pixels.iter().map(|at| self.excess_at(*at, (width, height)) > 0.0).collect();
        let distances = distances(&inside, (width, height), OUTLINE[2]);
        for (&(x, y), &squared) in pixels.iter().zip(&distances) {
            let [inner, outer, shadow] = OUTLINE.map(|distance| distance * distance);
            let pixel = picture.get_pixel_mut(x, y);
            if squared >= inner && squared <= outer {
                *pixel = self.ink();
            } else if squared > 0 && squared <= shadow {
                *pixel = Rgb(pixel.0.map(|sample| sample / 2));
            }
        }
    }

    fn words(&self, picture: &mut RgbImage, top: u32) {
        let (width, bottom) = picture.dimensions();
        fill(picture, (0, top), (width, bottom - top), PANEL);
        fill(picture, (0, top), (width, 3), self.ink());
        let badge = letters::size(&self.verdict, 5).0;
        fill(picture, (14, top + 16), (badge + 19, 54), self.ink());
        letters::write(picture, &self.verdict, (26, top + 25), 5, WHITE);
        let left = badge + 54;
        let score = format!("score {:.2}", self.score);
        letters::write(picture, &score, (left, top + 16), 3, WHITE);
        let limit = format!("limit {:.2}", self.threshold);
        let (text, _) = letters::size(&limit, 2);
        letters::write(picture, &limit, (width - text - 12, top + 20), 2, GREY);
        let scale = width - left - 16;
        fill(picture, (left, top + 52), (scale, 12), BLACK);
        let share = (self.score / self.threshold / SCALE).clamp(0.0, 1.0);
        fill(picture, (left, top + 52), ((share * scale as f32) as u32, 12), self.ink());
        fill(picture, (left + (scale as f32 / SCALE) as u32, top + 47), (3, 22), WHITE);
        // A line between the frames of a sheet.
        fill(picture, (0, 0), (2, bottom), BLACK);
        fill(picture, (0, bottom - 2), (width, 2), BLACK);
    }
}

/// Returns the squared distance of each pixel outside to the nearest one inside, up to `reach`. It is 0 inside, and
/// `i64::MAX` farther away.
fn distances(inside: &[bool], (width, height): (u32, u32), reach: i64) -> Vec<i64> {
    let (width, height) = (i64::from(width), i64::from(height));
    let mut found = vec![i64::MAX; inside.len()];
    let is_inside = |x: i64, y: i64| inside[(y * width + x) as usize];
    for y in 0..height {
        for x in (0..width).filter(|x| is_inside(*x, y)) {
            for (u, v) in (-reach..=reach).flat_map(|v| (-reach..=reach).map(move |u| (u, v))) {
                let (x, y) = (x + u, y + v);
                if (0..width).contains(&x) && (0..height).contains(&y) {
                    let place = &mut found[(y * width + x) as usize];
                    *place = (*place).min(u * u + v * v);
                }
            }
        }
    }
    found
}

fn fill(picture: &mut RgbImage, (x, y): (u32, u32), (width, height): (u32, u32), ink: Rgb<u8>) {
    for (x, y) in (y..y + height).flat_map(|y| (x..x + width).map(move |x| (x, y))) {
        if let Some(pixel) = picture.get_pixel_mut_checked(x, y) {
            *pixel = ink;
        }
    }
}
