//! This module checks whether the numbers of a template's sections can come from a build, whatever
//! the checksums say.
//!
//! [`check`] runs at every load. It looks at all small sections, and only once and without
//! arithmetic at each value of the prototypes. [`check_prototypes`] computes the length of every
//! prototype. It reads the whole template once more, and serves programs that check a template
//! thoroughly.

use super::contents::Template;
use crate::error::{Error, Result};
use crate::matching::kernel::Kernel;
use crate::matching::sheets::{LARGEST_SCALE, LARGEST_VALUE, PANEL};
use crate::matching::{Sheets, Values};
use rayon::prelude::*;

/// The range of a baseline. Mean distances of good parts are from 0 to 2, and products of 8-bit
/// values can leave that range a little.
const BASELINE: std::ops::RangeInclusive<f32> = -0.1..=2.1;
/// Vectors whose values differ by less than this are the same.
const SAME: f32 = 1e-5;
/// How far from 1 the length of a stored unit vector may be, besides the rounding of 8-bit values.
const LENGTH_TOLERANCE: f32 = 2e-3;

/// Refuses sections of `template` with numbers that no build writes.
///
/// # Errors
/// [`crate::error::Kind::Template`], which names the section and the reason.
pub fn check(template: &Template) -> Result<()> {
    let images = template.header().build.images.len();
    for layer in 0..template.layers() {
        let sheets = template.sheets(layer);
        if !values_are_in_range(&sheets) {
            return Err(nonsense(format!(
                "the prototypes of layer {layer} have values that no unit vector has"
            )));
        }
        if sheets.is_all_zero() {
            return Err(
                nonsense(format!("all prototypes of layer {layer} are zero")).advise(SAY_NOTHING)
            );
        }
        if are_all_the_same(&sheets) {
            return Err(nonsense(format!(
                "all prototypes of layer {layer} are the same, at every position"
            ))
            .advise(SAY_NOTHING));
        }
        if template.sources(layer).iter().any(|&source| source as usize >= images) {
            return Err(nonsense(format!(
                "prototypes of layer {layer} come from pictures that it does not name"
            )));
        }
        if template.baseline(layer).is_some_and(|map| !map.iter().all(|v| BASELINE.contains(v))) {
            return Err(nonsense(format!("the baseline of layer {layer} is no mean distance")));
        }
    }
    if template.mask_bytes().is_some_and(|mask| mask.iter().any(|&inside| inside > 1)) {
        return Err(nonsense("the region of interest has values other than 0 and 1".into()));
    }
    Ok(())
}

/// Refuses prototypes that are not unit vectors. Each must have length 1, up to the rounding of its
/// storage, or be zero. The function runs on the caller's thread pool.
///
/// # Errors
/// [`crate::error::Kind::Template`], which names layer, position and sheet.
pub fn check_prototypes(template: &Template) -> Result<()> {
    for layer in 0..template.layers() {
        let sheets = template.sheets(layer);
        let shape = sheets.shape();
        let wrong = (0..shape.pixels())
            .into_par_iter()
            .filter_map(|pixel| wrong_sheet(&sheets, pixel).map(|sheet| (pixel, sheet)))
            .min();
        if let Some((pixel, sheet)) = wrong {
            return Err(nonsense(format!(
                "the prototype of sheet {sheet} at column {}, row {} of layer {layer} is no unit vector",
                pixel % shape.width,
                pixel / shape.width
            )));
        }
    }
    Ok(())
}

const SAY_NOTHING: &str = "such a template finds no defect: check the pictures and the backbone it was built \
                           with, and build it again";

fn nonsense(what: String) -> Error {
    Error::template(format!("the template is not valid: {what}"))
        .advise("copy it again from its source, or build it again")
}

/// Returns whether every value is one that a unit vector can have.
fn values_are_in_range(sheets: &Sheets) -> bool {
    // The loops do not stop early within a chunk, so that processors can take many values at once.
    match sheets.values() {
        Values::F32(values) => chunks_hold(values, |v| v.abs() <= LARGEST_VALUE),
        Values::F16(values) => {
            let largest = half::f16::from_f32(LARGEST_VALUE).to_bits();
            chunks_hold(values, |v| v.to_bits() & 0x7fff <= largest)
        }
        Values::I8 { scales, .. } => chunks_hold(scales, |s| (0.0..=LARGEST_SCALE).contains(s)),
    }
}

fn chunks_hold<T>(values: &[T], holds: impl Fn(&T) -> bool) -> bool {
    values.chunks(1 << 12).all(|chunk| chunk.iter().fold(true, |all, v| all & holds(v)))
}

/// Returns whether one vector stands at every position and on every sheet. It stops at the first
/// vector that differs.
fn are_all_the_same(sheets: &Sheets) -> bool {
    let shape = sheets.shape();
    let first: Vec<f32> = (0..shape.channels).map(|c| sheets.value(0, 0, c)).collect();
    let is_first = |pixel: usize, sheet: usize| {
        let mut own = (0..shape.channels).map(|c| sheets.value(pixel, sheet, c));
        first.iter().all(|f| own.next().is_some_and(|v| (v - f).abs() < SAME))
    };
    shape.pixels() > 1
        && (0..shape.pixels()).all(|pixel| (0..shape.sheets).all(|sheet| is_first(pixel, sheet)))
}

/// Returns the first sheet at `pixel` that is neither a unit vector nor zero, or that is padding
/// and not zero.
fn wrong_sheet(sheets: &Sheets, pixel: usize) -> Option<usize> {
    let shape = sheets.shape();
    let start = [0.0; PANEL];
    let mut room = Vec::new();
    (0..shape.panels()).find_map(|panel| {
        let first = panel * PANEL;
        let lengths: Vec<(f32, f32)> = match sheets.byte_panel(pixel, panel, &start) {
            Some(bytes) => {
                let squares = byte_squares(bytes.rows, bytes.width);
                squares
                    .iter()
                    .zip(bytes.scale)
                    .map(|(square, scale)| {
                        // Every byte is off by at most half a step.
                        let rounding = 0.5 * scale * (shape.channels as f32).sqrt();
                        (square.map_or(f32::NAN, |square| scale * (square as f32).sqrt()), rounding)
                    })
                    .collect()
            }
            None => {
                let view = sheets.panel(Kernel::best(), pixel, panel, &start, &mut room);
                let mut squares = vec![0.0f32; view.width];
                for row in view.rows.chunks_exact(view.width) {
                    squares.iter_mut().zip(row).for_each(|(sum, v)| *sum += v * v);
                }
                squares.iter().map(|square| (square.sqrt(), 0.0)).collect()
            }
        };
        let is_wrong = |(sheet, &(length, rounding)): (usize, &(f32, f32))| {
            let is_unit = (length - 1.0).abs() <= rounding + LENGTH_TOLERANCE;
            length != 0.0 && !(is_unit && first + sheet < shape.sheets)
        };
        lengths.iter().enumerate().find(|&one| is_wrong(one)).map(|(sheet, _)| first + sheet)
    })
}

/// Returns the sum of the squared bytes of every sheet of an 8-bit panel. It is `None` where the
/// sheet holds -128, which is never written and which kernels do not accept.
fn byte_squares(rows: &[i8], width: usize) -> Vec<Option<i64>> {
    let mut squares = vec![Some(0i64); width];
    for row in rows.chunks_exact(4 * width.max(1)) {
        for (square, bytes) in squares.iter_mut().zip(row.chunks_exact(4)) {
            let sum: i32 = bytes.iter().map(|&b| i32::from(b) * i32::from(b)).sum();
            let refused = bytes.contains(&i8::MIN);
            *square = square.filter(|_| !refused).map(|square| square + i64::from(sum));
        }
    }
    squares
}
