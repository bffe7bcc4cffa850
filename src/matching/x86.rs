//! Kernels for x86-64: AVX2 with FMA, and AVX-512.
//!
//! Both hold a tile of accumulators, lanes x query pixels, in registers. For every channel they
//! load the lanes of the row once and multiply them with one broadcast value per query pixel:
//!
//! ```text
//! for c in channels:
//!     t[l] = row(c)[l]                     l = 1..L registers
//!     for j in 1..Q:  sum[j][l] += t[l] * broadcast(q_j[c])
//! ```
//!
//! AVX-512 has 32 registers: 4 x 6 sums + 4 row registers, the broadcast folded into the
//! multiply-add. AVX2 has 16: 2 x 6 sums. The number of query pixels in a tile is spread evenly
//! over the window, so that a tail costs next to nothing. Each sum runs over the channels in
//! order, one fused multiply-add a channel: its error is below `channels * 2^-24` for unit
//! vectors.
#![allow(unsafe_code)]

use super::kernel::PanelView;
use std::arch::x86_64::*;

/// Query pixels of one tile at most.
const QUERIES: usize = 6;

/// Proof that the processor has AVX2 and FMA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avx2(());

/// Proof that the processor has AVX-512F.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avx512(());

impl Avx2 {
    /// The token, where the processor has what it stands for.
    pub fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Avx2(()))
    }

    /// See [`super::kernel::Kernel::largest_cosines`], which checks the bounds.
    pub fn largest_cosines(
        self,
        panel: &PanelView,
        query: &[f32],
        pixels: &[u32],
        best: &mut [f32],
    ) {
        // SAFETY: `self` exists only where AVX2 and FMA were detected.
        unsafe { avx2(panel, query, pixels, best) }
    }
}

impl Avx512 {
    /// The token, where the processor has what it stands for.
    pub fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx512f").then_some(Avx512(()))
    }

    /// See [`super::kernel::Kernel::largest_cosines`], which checks the bounds.
    pub fn largest_cosines(
        self,
        panel: &PanelView,
        query: &[f32],
        pixels: &[u32],
        best: &mut [f32],
    ) {
        // SAFETY: `self` exists only where AVX-512F was detected.
        unsafe { avx512(panel, query, pixels, best) }
    }
}

/// Cuts `count` query pixels into the fewest tiles of at most [`QUERIES`], as even as possible.
fn even_tiles(count: usize) -> impl Iterator<Item = (usize, usize)> {
    let tiles = count.div_ceil(QUERIES);
    (0..tiles).map(move |i| {
        let start = i * count / tiles;
        (start, (i + 1) * count / tiles - start)
    })
}

/// Calls `$tile::<Q, L>` with the run-time numbers of query pixels and lane registers.
macro_rules! by_size {
    ($tile:ident, $q:expr, [$($l:literal),*], $lanes:expr, $args:tt) => {
        match ($q, $lanes) {
            $(
                (1, $l) => $tile::<1, $l> $args,
                (2, $l) => $tile::<2, $l> $args,
                (3, $l) => $tile::<3, $l> $args,
                (4, $l) => $tile::<4, $l> $args,
                (5, $l) => $tile::<5, $l> $args,
                (6, $l) => $tile::<6, $l> $args,
            )*
            _ => {}
        }
    };
}

#[target_feature(enable = "avx512f")]
fn avx512(panel: &PanelView, query: &[f32], pixels: &[u32], best: &mut [f32]) {
    for (start, count) in even_tiles(pixels.len()) {
        let (pixels, best) = (&pixels[start..start + count], &mut best[start..start + count]);
        by_size!(tile512, count, [1, 2, 3, 4], panel.lanes / 16, (panel, query, pixels, best));
    }
}

#[target_feature(enable = "avx512f")]
fn tile512<const Q: usize, const L: usize>(
    panel: &PanelView,
    query: &[f32],
    pixels: &[u32],
    best: &mut [f32],
) {
    let channels = panel.rows.len() / panel.lanes;
    let mut vectors = [query.as_ptr(); Q];
    for (vector, &pixel) in vectors.iter_mut().zip(pixels) {
        *vector = query[pixel as usize * channels..][..channels].as_ptr();
    }
    assert!(panel.rows.len() >= channels * 16 * L && panel.lanes == 16 * L);
    // SAFETY: every row has 16 * L values (asserted above, as is `start`'s type of 64 >= 16 * L),
    // every vector `channels` (sliced above); c stays below `channels`.
    unsafe {
        let mut sum = [[_mm512_setzero_ps(); L]; Q];
        for sum in &mut sum {
            for (l, sum) in sum.iter_mut().enumerate() {
                *sum = _mm512_loadu_ps(panel.start.as_ptr().add(16 * l));
            }
        }
        let mut row = panel.rows.as_ptr();
        for c in 0..channels {
            let mut t = [_mm512_setzero_ps(); L];
            for (l, t) in t.iter_mut().enumerate() {
                *t = _mm512_loadu_ps(row.add(16 * l));
            }
            for j in 0..Q {
                let q = _mm512_set1_ps(*vectors[j].add(c));
                for l in 0..L {
                    sum[j][l] = _mm512_fmadd_ps(t[l], q, sum[j][l]);
                }
            }
            row = row.add(16 * L);
        }
        for (best, sum) in best.iter_mut().zip(&sum) {
            let mut largest = sum[0];
            for sum in &sum[1..] {
                largest = _mm512_max_ps(largest, *sum);
            }
            *best = best.max(_mm512_reduce_max_ps(largest));
        }
    }
}

#[target_feature(enable = "avx2,fma")]
fn avx2(panel: &PanelView, query: &[f32], pixels: &[u32], best: &mut [f32]) {
    for (start, count) in even_tiles(pixels.len()) {
        let (pixels, best) = (&pixels[start..start + count], &mut best[start..start + count]);
        for first in (0..panel.lanes).step_by(16) {
            by_size!(tile256, count, [2], 2, (panel, first, query, pixels, best));
        }
    }
}

#[target_feature(enable = "avx2,fma")]
fn tile256<const Q: usize, const L: usize>(
    panel: &PanelView,
    first: usize,
    query: &[f32],
    pixels: &[u32],
    best: &mut [f32],
) {
    let channels = panel.rows.len() / panel.lanes;
    let mut vectors = [query.as_ptr(); Q];
    for (vector, &pixel) in vectors.iter_mut().zip(pixels) {
        *vector = query[pixel as usize * channels..][..channels].as_ptr();
    }
    assert!(first + 8 * L <= panel.lanes && panel.lanes <= panel.start.len());
    // SAFETY: lanes `first..first + 8 * L` lie in every row and in `start` (asserted above),
    // every vector has `channels` values (sliced above); c stays below `channels`.
    unsafe {
        let mut sum = [[_mm256_setzero_ps(); L]; Q];
        for sum in &mut sum {
            for (l, sum) in sum.iter_mut().enumerate() {
                *sum = _mm256_loadu_ps(panel.start.as_ptr().add(first + 8 * l));
            }
        }
        let mut row = panel.rows.as_ptr().add(first);
        for c in 0..channels {
            let mut t = [_mm256_setzero_ps(); L];
            for (l, t) in t.iter_mut().enumerate() {
                *t = _mm256_loadu_ps(row.add(8 * l));
            }
            for j in 0..Q {
                let q = _mm256_set1_ps(*vectors[j].add(c));
                for l in 0..L {
                    sum[j][l] = _mm256_fmadd_ps(t[l], q, sum[j][l]);
                }
            }
            // One past the last row at the end; never read.
            row = row.wrapping_add(panel.lanes);
        }
        for (best, sum) in best.iter_mut().zip(&sum) {
            let mut largest = sum[0];
            for sum in &sum[1..] {
                largest = _mm256_max_ps(largest, *sum);
            }
            let mut lanes = [0.0; 8];
            _mm256_storeu_ps(lanes.as_mut_ptr(), largest);
            *best = lanes.iter().fold(*best, |m, &v| m.max(v));
        }
    }
}
