//! This module is the definition in code: Eqs. 3-5 as they stand, in double precision. It is slow,
//! and serves tests only.

use super::{Distances, Sheets, Windows, Without};
use crate::feature_map::FeatureMap;

/// Computes the distances of `query` to `sheets`; see [`super::fused::match_layer`].
pub fn match_layer(
    query: &FeatureMap,
    sheets: &Sheets,
    windows: Windows,
    without: Option<Without>,
) -> Distances {
    let shape = sheets.shape();
    let cosine = |q: usize, t: usize, k: usize| -> f64 {
        let vector = query.vector(q).iter().enumerate();
        vector.map(|(c, &value)| f64::from(value) * f64::from(sheets.value(t, k, c))).sum()
    };
    let kept =
        |t: usize, k: usize| without.is_none_or(|w| w.sources[t * shape.sheets + k] != w.picture);
    let window = |p: usize, size: usize| {
        let (x, y, r) = (p % shape.width, p / shape.width, size / 2);
        let rows = y.saturating_sub(r)..(y + r + 1).min(shape.height);
        rows.flat_map(move |v| {
            (x.saturating_sub(r)..(x + r + 1).min(shape.width)).map(move |u| v * shape.width + u)
        })
    };
    let distance = |best: f64, nothing: f32| {
        if best == f64::NEG_INFINITY { nothing } else { (1.0 - best) as f32 }
    };
    let forward = |q: usize| {
        let pairs = window(q, windows.forward).flat_map(|t| (0..shape.sheets).map(move |k| (t, k)));
        pairs
            .filter(|&(t, k)| kept(t, k))
            .map(|(t, k)| cosine(q, t, k))
            .fold(f64::NEG_INFINITY, f64::max)
    };
    let backward = |t: usize| {
        let pairs =
            window(t, windows.backward).flat_map(|q| (0..shape.sheets).map(move |k| (q, k)));
        pairs
            .filter(|&(_, k)| kept(t, k))
            .map(|(q, k)| cosine(q, t, k))
            .fold(f64::NEG_INFINITY, f64::max)
    };
    let pixels = 0..shape.pixels();
    Distances {
        forward: pixels.clone().map(|q| distance(forward(q), 2.0)).collect(),
        backward: if windows.backward == 0 {
            Vec::new()
        } else {
            pixels.map(|t| distance(backward(t), 0.0)).collect()
        },
    }
}
