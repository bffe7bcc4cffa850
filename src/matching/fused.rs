//! The fused pass computes both directions by blocks and on several threads, and reads every
//! template byte once.
//!
//! A kernel gets one panel of a template pixel's block and the indices of the window's query
//! pixels. It raises the largest cosine of each query pixel. Lanes that must not win (zero sheets,
//! prototypes left out) start at minus infinity instead of 0, which costs nothing. With 8-bit
//! storage, the query is also rounded to 8 bits, and the kernel multiplies bytes.
//!
//! Threads take bands of template rows, and each thread has its own forward maxima. These are
//! merged by taking maxima. A maximum is exact and does not depend on the order, so any number of
//! threads gives the same bytes.

use super::kernel::Kernel;
use super::query::ByteQuery;
use super::sheets::PANEL;
use super::{Distances, Sheets, Storage, Windows, Without};
use crate::feature_map::FeatureMap;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::OnceLock;

/// The fewest query pixels that a thread takes at once against a position-free template.
const LEAST_TOGETHER: usize = 16;

/// A query map, and its rounding to 8 bits as soon as a layer wants that. Several layers can have the same query.
pub struct Query<'a> {
    map: &'a FeatureMap,
    kernel: Kernel,
    bytes: OnceLock<ByteQuery>,
}

impl<'a> Query<'a> {
    /// Takes a map whose vectors have length 1.
    pub fn new(map: &'a FeatureMap) -> Self {
        Query::for_kernel(Kernel::best(), map)
    }

    fn for_kernel(kernel: Kernel, map: &'a FeatureMap) -> Self {
        Query { map, kernel, bytes: OnceLock::new() }
    }

    /// Returns the map.
    pub fn map(&self) -> &'a FeatureMap {
        self.map
    }

    /// Returns the query in the form that a storage is multiplied with, or `None` where that is the map itself.
    fn bytes_for(&self, storage: Storage) -> Option<&ByteQuery> {
        (storage == Storage::I8)
            .then(|| self.bytes.get_or_init(|| self.kernel.byte_query(self.map)))
    }
}

/// Computes the distances of `query` to `sheets`, both directions in one pass.
///
/// Query and template must have equal height, width and channels. A query pixel that meets no
/// prototype (all left out) has distance 2. A template pixel without a prototype has backward
/// distance 0. The function runs on the caller's thread pool.
///
/// Where the forward window is 0, matching is position-free. `sheets` then has one pixel, and every
/// query pixel is compared with all prototypes there. The query can have any height and width, and
/// there is no backward direction.
///
/// # Panics
/// If the sizes differ. They never do for a template that was checked against its backbone when it
/// was opened.
pub fn match_layer(
    query: &FeatureMap,
    sheets: &Sheets,
    windows: Windows,
    without: Option<Without>,
) -> Distances {
    match_query(&Query::new(query), sheets, windows, without)
}

/// Does the same as [`match_layer`] with a kernel of the caller's choice.
pub fn match_layer_with(
    kernel: Kernel,
    query: &FeatureMap,
    sheets: &Sheets,
    windows: Windows,
    without: Option<Without>,
) -> Distances {
    match_query(&Query::for_kernel(kernel, query), sheets, windows, without)
}

/// Does the same as [`match_layer`] with a query that other layers have, too.
pub fn match_query(
    query: &Query,
    sheets: &Sheets,
    windows: Windows,
    without: Option<Without>,
) -> Distances {
    let (shape, map) = (sheets.shape(), query.map);
    if windows.forward == 0 {
        assert_eq!(
            (1, 1, map.channels()),
            (shape.height, shape.width, shape.channels),
            "sizes of query and position-free template"
        );
        return match_anywhere(query, sheets, without);
    }
    assert_eq!(
        (map.height(), map.width(), map.channels()),
        (shape.height, shape.width, shape.channels),
        "sizes of query and template"
    );
    let band = Band::new(query, sheets, windows, without);
    let mut backward = vec![f32::NEG_INFINITY; shape.pixels()];
    let nothing = || vec![f32::NEG_INFINITY; shape.pixels()];
    let threads = rayon::current_num_threads();
    let rows = if threads == 1 { shape.height } else { shape.height.div_ceil(4 * threads).max(1) };
    let forward = backward
        .par_chunks_mut((rows * shape.width).max(1))
        .enumerate()
        .fold(nothing, |mut forward, (i, backward)| {
            let first = i * rows;
            band.run(first..(first + rows).min(shape.height), &mut forward, backward);
            forward
        })
        .reduce_with(|mut a, b| {
            a.iter_mut().zip(b).for_each(|(a, b)| *a = a.max(b));
            a
        })
        .unwrap_or_else(nothing);
    Distances {
        forward: distances(forward, 2.0),
        backward: if windows.backward == 0 { Vec::new() } else { distances(backward, 0.0) },
    }
}

/// Computes the distances of every pixel of `query` to the nearest of all prototypes of `sheets`, a
/// template of one pixel.
///
/// The panel is the outer loop, so it stays in the nearest cache while the query streams past it.
/// Threads take ranges of query pixels, so that no two threads write the same maximum.
fn match_anywhere(query: &Query, sheets: &Sheets, without: Option<Without>) -> Distances {
    let band = Band::new(query, sheets, Windows { forward: 0, backward: 0 }, without);
    let mut forward = vec![f32::NEG_INFINITY; query.map.pixels()];
    let together = query.map.pixels().div_ceil(rayon::current_num_threads()).max(LEAST_TOGETHER);
    forward.par_chunks_mut(together).enumerate().for_each(|(chunk, best)| {
        let first = (chunk * together) as u32;
        let window =
            Window { pixels: (first..first + best.len() as u32).collect(), inside: Vec::new() };
        let mut room = Vec::new();
        for panel in 0..sheets.shape().panels() {
            band.panel(0, panel, &window, &mut room, best);
        }
    });
    Distances { forward: distances(forward, 2.0), backward: Vec::new() }
}

fn distances(mut cosines: Vec<f32>, nothing: f32) -> Vec<f32> {
    for value in &mut cosines {
        *value = if *value == f32::NEG_INFINITY { nothing } else { 1.0 - *value };
    }
    cosines
}

/// The data that a thread needs for a band of template rows.
struct Band<'a> {
    kernel: Kernel,
    query: &'a FeatureMap,
    bytes: Option<&'a ByteQuery>,
    sheets: &'a Sheets<'a>,
    windows: Windows,
    without: Option<Without<'a>>,
}

/// The query pixels around one template pixel.
#[derive(Default)]
struct Window {
    pixels: Vec<u32>,
    /// The windows in which the pixel at the same index lies.
    inside: Vec<Inside>,
}

/// Says in which of the two windows a query pixel lies.
#[derive(Clone, Copy)]
struct Inside {
    forward: bool,
    backward: bool,
}

impl<'a> Band<'a> {
    fn new(
        query: &'a Query,
        sheets: &'a Sheets,
        windows: Windows,
        without: Option<Without<'a>>,
    ) -> Self {
        let bytes = query.bytes_for(sheets.storage());
        Band { kernel: query.kernel, query: query.map, bytes, sheets, windows, without }
    }

    /// Raises `forward` (whole layer) and sets `backward` (this band) to the largest cosines that
    /// the template rows `rows` give.
    fn run(&self, rows: Range<usize>, forward: &mut [f32], backward: &mut [f32]) {
        let shape = self.sheets.shape();
        let mut window = Window::default();
        let mut best = Vec::new();
        let mut room = Vec::new();
        for (y, backward) in rows.zip(backward.chunks_exact_mut(shape.width)) {
            for (x, backward) in backward.iter_mut().enumerate() {
                self.window_around(x, y, &mut window);
                best.clear();
                best.resize(window.pixels.len(), f32::NEG_INFINITY);
                for panel in 0..shape.panels() {
                    self.panel(y * shape.width + x, panel, &window, &mut room, &mut best);
                }
                let cosines = best.iter().zip(&window.inside);
                for (&pixel, (&cosine, inside)) in window.pixels.iter().zip(cosines) {
                    let forward = &mut forward[pixel as usize];
                    *forward = larger(*forward, if inside.forward { cosine } else { *forward });
                    *backward = larger(*backward, if inside.backward { cosine } else { *backward });
                }
            }
        }
    }

    /// Raises `best`, one value per pixel of the window, by one panel of template pixel `pixel`.
    fn panel(
        &self,
        pixel: usize,
        panel: usize,
        window: &Window,
        room: &mut Vec<f32>,
        best: &mut [f32],
    ) {
        let shape = self.sheets.shape();
        let first = panel * PANEL;
        let count = (shape.sheets - first).min(PANEL);
        let mut start = [f32::NEG_INFINITY; PANEL];
        start[..count].fill(0.0);
        if let Some(without) = self.without {
            let sources = &without.sources[pixel * shape.sheets + first..][..count];
            for (start, &source) in start.iter_mut().zip(sources) {
                if source == without.picture {
                    *start = f32::NEG_INFINITY;
                }
            }
        }
        if let (Some(query), Some(view)) =
            (self.bytes, self.sheets.byte_panel(pixel, panel, &start))
        {
            self.kernel.largest_cosines_of_bytes(&view, query, &window.pixels, best);
        } else {
            let view = self.sheets.panel(self.kernel, pixel, panel, &start, room);
            self.kernel.largest_cosines(&view, self.query.data(), &window.pixels, best);
        }
    }

    /// Sets `window` to the query pixels around a template pixel. `window` holds those around the left neighbour. At the
    /// beginning of a row, it can hold anything.
    fn window_around(&self, x: usize, y: usize, window: &mut Window) {
        let (height, width) = (self.query.height(), self.query.width());
        let Windows { forward, backward } = self.windows;
        let radius = forward.max(backward) / 2;
        if (radius + 1..width.saturating_sub(radius)).contains(&x) {
            // The window of the left neighbour is whole, and so is this one.
            window.pixels.iter_mut().for_each(|pixel| *pixel += 1);
            return;
        }
        window.pixels.clear();
        window.inside.clear();
        for v in y.saturating_sub(radius)..(y + radius + 1).min(height) {
            for u in x.saturating_sub(radius)..(x + radius + 1).min(width) {
                window.pixels.push((v * width + u) as u32);
                let distance = u.abs_diff(x).max(v.abs_diff(y));
                window.inside.push(Inside {
                    forward: distance <= forward / 2,
                    backward: distance <= backward / 2 && backward > 0,
                });
            }
        }
    }
}

/// Returns `other` if it is larger than `one`. It takes no branch, which nobody could predict.
fn larger(one: f32, other: f32) -> f32 {
    if other > one { other } else { one }
}
