//! This module makes galleries of pictures with their heat maps, which open in full without any script.
//!
//! A card is a `figure` element. The link around its pictures leads to the id of the figure, and the figure that is the
//! target of the address fills the window. "Close" leads back to the place of the card in the list. So every picture is
//! in the report only once, and links, back button and keyboard work as usual.

use super::charts::Level;
use super::outline::outline;
use crate::evaluation;
use crate::evaluation::Outcome;
use crate::heatmap::{self, Scale};
use crate::inspection::Pipeline;
use crate::scoring::Region;
use crate::scoring::Verdict;
use crate::{Error, Result, error::Kind};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::{RgbImage, imageops};
use maud::{Markup, html};
use std::fmt::Write;

/// Longest side of a picture and of a heat map, in pixels.
pub const PICTURE_SIDE: u32 = 640;
pub const HEAT_SIDE: u32 = 320;
/// The largest size of one JPEG in bytes. It limits the size of a report.
const JPEG_BYTES: usize = 110_000;
/// The largest size of one outline in bytes.
const OUTLINE_BYTES: usize = 40_000;
/// The largest width and height of a picture on a card, in pixels of a screen.
const CARD_PX: (f64, f64) = (150.0, 224.0);
/// The distance between a defect and its outline, in pixels of a screen.
const CLEARANCE_PX: f64 = 3.0;
/// The number of regions that are listed in full.
const REGIONS: usize = 8;

/// A gallery. The ids of its cards begin with `id`.
///
/// The pictures are read and inspected again, because an evaluation does not keep them.
pub fn gallery(
    pipeline: &Pipeline,
    levels: &[Level],
    id: &str,
    outcomes: &[&Outcome],
) -> Result<Markup> {
    let mut cards = Vec::new();
    for (number, outcome) in outcomes.iter().enumerate() {
        cards.push(card(pipeline, levels, id, (number, outcomes.len()), outcome)?);
    }
    Ok(html! { ul.gallery { @for card in &cards { (card) } } })
}

fn card(
    pipeline: &Pipeline,
    levels: &[Level],
    id: &str,
    place: (usize, usize),
    outcome: &Outcome,
) -> Result<Markup> {
    let done = evaluation::inspect_file(pipeline, &outcome.picture.source)?;
    let (width, height) = (done.kept.width, done.kept.height);
    let regions = &done.found.decided.regions;
    let heat_side = |side: u32| (side * HEAT_SIDE / width.max(height)).clamp(1, HEAT_SIDE);
    let identity = &pipeline.template().header().backbone;
    let (map_width, map_height) = (identity.width as usize, identity.height as usize);
    let scale = Scale::of(pipeline.template().header());
    let mut outlines =
        vec![outline_layer(&pipeline.excess(&done.found.scored), map_width, 0.0, "found")];
    if let Some(path) = &outcome.picture.mask {
        let mask = evaluation::read_mask(path, done.found.size, map_width, map_height)?;
        let margin = outline_margin((width, height), (map_width, map_height));
        let mask: Vec<f32> = widened(&mask.pixels, map_width, margin)
            .into_iter()
            .map(|marked| f32::from(u8::from(marked)))
            .collect();
        outlines.push(outline_layer(&mask, map_width, 0.5, "truth"));
    }
    let shot = Shot {
        kind: outcome.picture.defect.as_deref().unwrap_or("good").into(),
        name: outcome.picture.source.name(),
        picture: heatmap::panel(&done.kept, PICTURE_SIDE),
        heat: heatmap::heat(pipeline, &done.found.scored, heat_side(width), heat_side(height)),
        outlines,
        summary: summary(regions),
        caption: html! {
            " " (badge(outcome))
            br;
            "score " (format!("{:.4}", outcome.score)) "; " (summary(regions))
        },
        full: html! {
            (colour_bar(scale, levels))
            @if !regions.is_empty() { (region_table(regions)) }
        },
    };
    shot.card(id, place)
}

/// A picture beside its heat map, and the text about both.
pub struct Shot {
    /// What it is taken for.
    pub kind: String,
    pub name: String,
    pub picture: RgbImage,
    pub heat: RgbImage,
    /// Drawings to lie on the picture, of [`outline_layer`].
    pub outlines: Vec<Markup>,
    /// A description of the picture, for those who cannot see it.
    pub summary: String,
    /// What follows the name below the pictures.
    pub caption: Markup,
    /// What is shown beside where the card is open in full.
    pub full: Markup,
}

impl Shot {
    /// The card: `number` of `count` in the gallery `id`.
    pub fn card(self, id: &str, (number, count): (usize, usize)) -> Result<Markup> {
        let (name, kind) = (&self.name, &self.kind);
        let at = |n: usize| format!("{id}-{}", n + 1);
        let shape = format!("--w:{};--h:{}", self.picture.width(), self.picture.height());
        Ok(html! {
            li id={ "at-" (at(number)) } {
                figure.shot id=(at(number)) tabindex="-1" aria-label={ (kind) ", " (name) } {
                    div.controls {
                        a.close href={ "#at-" (at(number)) } { "Close" }
                        @if number > 0 { a href={ "#" (at(number - 1)) } { "Previous" } }
                        @if number + 1 < count { a href={ "#" (at(number + 1)) } { "Next" } }
                        label { input.outlines type="checkbox" checked; " Outlines" }
                    }
                    a.open href={ "#" (at(number)) } aria-label={ "Open " (kind) ", " (name) " in full" } {
                        div.panels style=(shape) {
                            div.stack {
                                img src=(jpeg_url(self.picture)?) alt={ "Picture of " (name) ": " (self.summary) };
                                @for outline in &self.outlines { (outline) }
                            }
                            div.stack {
                                img src=(jpeg_url(self.heat)?) alt={ "Anomaly map of " (name) };
                            }
                        }
                    }
                    figcaption {
                        strong { (kind) } " / " span.name { (name) }
                        (self.caption)
                        div.full { (self.full) }
                    }
                }
            }
        })
    }
}

/// The verdict, and whether it is the wrong one.
pub fn badge(outcome: &Outcome) -> Markup {
    let (class, verdict) = match outcome.verdict {
        Verdict::Ok => ("ok", "ok"),
        Verdict::Review => ("review", "review"),
        Verdict::Ng => ("ng", "ng"),
    };
    let wrong = match (&outcome.picture.defect, outcome.verdict) {
        (Some(_), Verdict::Ok) => " missed",
        (None, Verdict::Ng) => " false reject",
        _ => "",
    };
    html! { span.badge.(class).wrong[!wrong.is_empty()] { (verdict) (wrong) } }
}

/// The regions in one line.
fn summary(regions: &[Region]) -> String {
    let Some(worst) = regions.first() else { return "nothing is above the threshold".into() };
    let (count, place) = (regions.len(), format!("{}, {}", worst.x, worst.y));
    let size = format!("{} x {}", worst.width, worst.height);
    match count {
        1 => format!("1 region, {size} at {place}"),
        _ => format!("{count} regions, the worst is {size} at {place}"),
    }
}

fn region_table(regions: &[Region]) -> Markup {
    html! {
        table {
            caption { "Regions above the threshold, in pixels of the picture" }
            thead { tr {
                @for head in ["Left", "Top", "Width", "Height", "Area", "Peak"] { th.n scope="col" { (head) } }
            } }
            tbody {
                @for r in regions.iter().take(REGIONS) {
                    tr {
                        @for number in [r.x, r.y, r.width, r.height, r.area] { td.n { (number) } }
                        td.n { (format!("{:.4}", r.peak)) }
                    }
                }
            }
        }
        @if regions.len() > REGIONS { p.note { "and " (regions.len() - REGIONS) " more with a smaller peak" } }
    }
}

/// The outline as a layer to lie on a picture. A ragged one is drawn from a coarser map.
pub fn outline_layer(map: &[f32], width: usize, level: f32, class: &str) -> Markup {
    let (mut map, mut width) = (map.to_vec(), width);
    let mut path = outline(&map, width, level);
    while path.len() > OUTLINE_BYTES && width > 8 {
        (map, width) = halved(&map, width);
        path = outline(&map, width, level);
    }
    let height = map.len() / width.max(1);
    html! {
        svg.outline.(class) viewBox={ "0 0 " (width) " " (height) } preserveAspectRatio="none"
            aria-hidden="true" {
            path d=(path) {}
        }
    }
}

/// How far from a defect its outline is drawn, in columns and rows of a map: as far as [`CLEARANCE_PX`] on a card, so
/// that the line does not hide a hairline crack. `size` is that of the picture, both are columns and rows.
fn outline_margin(size: (u32, u32), map: (usize, usize)) -> (usize, usize) {
    let (width, height) = (f64::from(size.0.max(1)), f64::from(size.1.max(1)));
    let shown_width = CARD_PX.0.min(CARD_PX.1 * width / height);
    let shown_height = shown_width * height / width;
    let margin = |map: usize, shown: f64| (CLEARANCE_PX * map as f64 / shown).ceil() as usize;
    (margin(map.0, shown_width), margin(map.1, shown_height))
}

/// A mask whose marked pixels reach further by so many columns and rows on every side.
fn widened(mask: &[bool], width: usize, (columns, rows): (usize, usize)) -> Vec<bool> {
    let height = mask.len() / width.max(1);
    let near = |at: usize, by: usize, to: usize| at.saturating_sub(by)..(at + by + 1).min(to);
    let wide: Vec<bool> = (0..mask.len())
        .map(|i| near(i % width, columns, width).any(|x| mask[i / width * width + x]))
        .collect();
    (0..mask.len())
        .map(|i| near(i / width, rows, height).any(|y| wide[y * width + i % width]))
        .collect()
}

/// A map of half the size, of the largest of every four values.
fn halved(map: &[f32], width: usize) -> (Vec<f32>, usize) {
    let half = width / 2;
    let height = map.len() / width / 2;
    let at = |x: usize, y: usize| map[y * width + x];
    let values = (0..half * height).map(|i| {
        let (x, y) = (2 * (i % half), 2 * (i / half));
        at(x, y).max(at(x + 1, y)).max(at(x, y + 1)).max(at(x + 1, y + 1))
    });
    (values.collect(), half)
}

/// A picture as the address of itself, in at most [`JPEG_BYTES`]: coarser where it has to be, then
/// smaller.
pub fn jpeg_url(mut image: RgbImage) -> Result<String> {
    loop {
        for quality in [88, 75, 60] {
            let mut bytes = Vec::new();
            JpegEncoder::new_with_quality(&mut bytes, quality)
                .encode_image(&image)
                .map_err(|e| Error::new(Kind::Io, format!("a JPEG cannot be made: {e}")))?;
            if bytes.len() <= JPEG_BYTES {
                return Ok(format!("data:image/jpeg;base64,{}", STANDARD.encode(bytes)));
            }
        }
        let (width, height) = (image.width() * 3 / 4, image.height() * 3 / 4);
        image =
            imageops::resize(&image, width.max(1), height.max(1), imageops::FilterType::Triangle);
    }
}

/// The colour scale of all heat maps of a report, as a drawing.
pub fn colour_bar(scale: Scale, levels: &[Level]) -> Markup {
    const WIDTH: f32 = 360.0;
    let mut stops = String::new();
    for step in 0..=16 {
        let colour = heatmap::colour(step as f32 / 16.0).0;
        let _ = write!(stops, ",rgb({},{},{})", colour[0], colour[1], colour[2]);
    }
    let marks: Vec<(f32, String)> = [(0.0, "0".to_string())]
        .into_iter()
        .chain(levels.iter().map(|(name, v)| (*v, format!("{name} {v:.2}"))))
        .chain([(scale.top, format!("{:.2} and above", scale.top))])
        .map(|(value, label)| (scale.place(value) * WIDTH, label))
        .collect();
    let rows = rows(&marks, WIDTH);
    let count = 1 + rows.iter().copied().max().unwrap_or(0);
    html! {
        div.scale role="img" aria-label={ "Colour scale from black at 0 to yellow at " (format!("{:.2}", scale.top)) } {
            div.ramp style={ "background:linear-gradient(90deg" (stops) ")" } {}
            svg viewBox={ "0 0 " (WIDTH) " " (8 + 16 * count) } aria-hidden="true" {
                @for (i, (x, label)) in marks.iter().enumerate() {
                    @let (anchor, dx) = if i + 1 == marks.len() { ("end", 0.0) } else { ("start", 3.0) };
                    line.base x1=(x) x2=(x) y1="0" y2=(if i + 1 == marks.len() { 6 } else { 19 + 16 * rows[i] }) {}
                    text.tick x=(x + dx) y=(19 + 16 * rows[i]) text-anchor=(anchor) { (label) }
                }
            }
        }
    }
}

/// The row of each label below a bar of `width`, counted from 0. A label begins at its tick and goes to the right, but
/// for the last one, which ends at the right end. The rows fill from the right, so that the tick of a label in a lower
/// row passes the labels above it on their left.
fn rows(marks: &[(f32, String)], width: f32) -> Vec<usize> {
    let length = |label: &str| 7.5 * label.chars().count() as f32 + 8.0;
    let mut begins: Vec<f32> = Vec::new();
    let mut rows = vec![0; marks.len()];
    for (i, (x, label)) in marks.iter().enumerate().rev() {
        let is_last = i + 1 == marks.len();
        let (from, to) =
            if is_last { (width - length(label), width) } else { (*x, x + length(label)) };
        // Neither a label of this row nor a tick on its way to a row below may lie in it.
        let is_free = |row: usize| begins[row..].iter().all(|begin| to <= *begin);
        let row = (0..begins.len()).find(|row| is_free(*row)).unwrap_or(begins.len());
        begins.resize(begins.len().max(row + 1), f32::INFINITY);
        begins[row] = from;
        rows[i] = row;
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tick of "ng" went through the word "review".
    #[test]
    fn no_tick_crosses_a_label() {
        let mark = |x: f32, label: &str| (x, label.to_string());
        for (review, ng) in
            [(150.0, 216.0), (200.0, 216.0), (214.0, 216.0), (5.0, 216.0), (216.0, 216.5)]
        {
            let marks = [
                mark(0.0, "0"),
                mark(review, "review 1.50"),
                mark(ng, "ng 2.25"),
                mark(360.0, "9.00 and above"),
            ];
            let rows = rows(&marks, 360.0);
            for (i, (x, label)) in marks.iter().enumerate().take(3) {
                let end = x + 7.5 * label.len() as f32;
                for (j, (tick, _)) in marks.iter().enumerate().take(3).filter(|(j, _)| *j != i) {
                    let passes = rows[j] >= rows[i] && *x < *tick && *tick < end;
                    assert!(!passes, "{review}, {ng}: {rows:?}, {label} and tick {tick}");
                }
            }
        }
    }

    #[test]
    fn an_outline_keeps_its_distance_from_a_hairline() {
        // A crack one pixel wide in a map of 256 x 256, of a picture of 150 x 384 pixels.
        let mut mask = vec![false; 256 * 256];
        (0..256).for_each(|y| mask[y * 256 + 100] = true);
        let (columns, rows) = outline_margin((150, 384), (256, 256));
        // 3 pixels of a card whose picture is 87.5 pixels wide and 224 high.
        assert_eq!((columns, rows), (9, 4));
        let wide = widened(&mask, 256, (columns, rows));
        let in_row: Vec<usize> = (0..256).filter(|x| wide[128 * 256 + x]).collect();
        assert_eq!((in_row[0], in_row[in_row.len() - 1]), (91, 109));
        let mut dot = vec![false; 20];
        dot[12] = true;
        let marked = |columns, rows| -> Vec<usize> {
            let wide = widened(&dot, 5, (columns, rows));
            (0..20).filter(|at| wide[*at]).collect()
        };
        assert_eq!(marked(1, 0), [11, 12, 13]);
        assert_eq!(marked(0, 1), [7, 12, 17]);
    }

    #[test]
    fn even_noise_fits_into_the_promised_size() {
        let mut state = 1u32;
        let noise = RgbImage::from_fn(640, 640, |_, _| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            image::Rgb([(state >> 24) as u8, (state >> 16) as u8, (state >> 8) as u8])
        });
        let url = jpeg_url(noise).expect("encodes");
        assert!(url.len() < JPEG_BYTES * 4 / 3 + 100, "{}", url.len());
        let checks: Vec<f32> =
            (0..256 * 256).map(|i| ((i % 256 + i / 256) % 2) as f32 * 2.0).collect();
        let layer = outline_layer(&checks, 256, 1.0, "found").into_string();
        assert!(layer.len() < OUTLINE_BYTES + 300, "{}", layer.len());
    }
}
