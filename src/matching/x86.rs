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
//!
//! # Bytes
//! A VNNI instruction multiplies four unsigned bytes with four signed ones and adds the products to a
//! 32-bit lane. Template bytes are made unsigned by adding 128, which adds `128 * sum(q)` to the
//! sum; so the sum starts at `-128 * sum(q)`, and ends at the exact dot product:
//!
//! ```text
//! for g in groups of 4 channels:
//!     t[l] = row(g)[l]                     64 bytes: 16 lanes x 4 channels
//!     for j in 1..Q:  sum[j][l] += dot4(t[l], broadcast4(q_j[g]))
//! ```
//!
//! Without VNNI, AVX2 widens the bytes to 16 bits and uses `madd`, which adds pairs of products
//! exactly (the 8-bit `maddubs` would saturate). No sum can overflow: it stays below
//! `channels * 255 * 127`.
#![allow(unsafe_code)]

use super::panel::{BytePanel, ByteQuery, PanelView};
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

/// Proof that the processor has AVX-512 VNNI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avx512Vnni(());

impl Avx512 {
    /// The token for byte kernels, where the processor has what it stands for.
    pub fn vnni(self) -> Option<Avx512Vnni> {
        is_x86_feature_detected!("avx512vnni").then_some(Avx512Vnni(()))
    }
}

impl Avx512Vnni {
    /// See [`super::kernel::Kernel::largest_cosines_of_bytes`], which checks the bounds.
    pub fn largest_cosines_of_bytes(
        self,
        panel: &BytePanel,
        query: &ByteQuery,
        pixels: &[u32],
        best: &mut [f32],
    ) {
        // SAFETY: `self` comes from an `Avx512` and exists only where VNNI was detected as well.
        unsafe { avx512_bytes(panel, query, pixels, best) }
    }
}

impl Avx2 {
    /// See [`super::kernel::Kernel::largest_cosines_of_bytes`], which checks the bounds.
    pub fn largest_cosines_of_bytes(
        self,
        panel: &BytePanel,
        query: &ByteQuery,
        pixels: &[u32],
        best: &mut [f32],
    ) {
        // SAFETY: `self` exists only where AVX2 and FMA were detected.
        unsafe { avx2_bytes(panel, query, pixels, best) }
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

#[target_feature(enable = "avx512f,avx512vnni")]
fn avx512_bytes(panel: &BytePanel, query: &ByteQuery, pixels: &[u32], best: &mut [f32]) {
    for (start, count) in even_tiles(pixels.len()) {
        let (pixels, best) = (&pixels[start..start + count], &mut best[start..start + count]);
        by_size!(
            tile512_bytes,
            count,
            [1, 2, 3, 4],
            panel.lanes / 16,
            (panel, query, pixels, best)
        );
    }
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn tile512_bytes<const Q: usize, const L: usize>(
    panel: &BytePanel,
    query: &ByteQuery,
    pixels: &[u32],
    best: &mut [f32],
) {
    let channels = query.channels;
    let mut vectors = [query.values.as_ptr(); Q];
    for (vector, &pixel) in vectors.iter_mut().zip(pixels) {
        *vector = query.values[pixel as usize * channels..][..channels].as_ptr();
    }
    assert!(
        panel.rows.len() == channels * 16 * L
            && panel.lanes == 16 * L
            && channels.is_multiple_of(4)
    );
    // SAFETY: every group has 64 * L bytes (asserted above), every vector `channels` bytes, a
    // multiple of 4 (sliced and asserted above); `scale` and `start` have 64 >= 16 * L values.
    unsafe {
        let mut sum = [[_mm512_setzero_si512(); L]; Q];
        for (sum, &pixel) in sum.iter_mut().zip(pixels) {
            *sum = [_mm512_set1_epi32(-128 * query.sums[pixel as usize]); L];
        }
        let mut row = panel.rows.as_ptr();
        for group in 0..channels / 4 {
            let mut t = [_mm512_setzero_si512(); L];
            for (l, t) in t.iter_mut().enumerate() {
                *t = _mm512_loadu_si512(row.add(64 * l).cast());
            }
            for j in 0..Q {
                let q = _mm512_set1_epi32(vectors[j].add(4 * group).cast::<i32>().read_unaligned());
                for l in 0..L {
                    sum[j][l] = _mm512_dpbusd_epi32(sum[j][l], t[l], q);
                }
            }
            row = row.add(64 * L);
        }
        for ((best, sum), &pixel) in best.iter_mut().zip(&sum).zip(pixels) {
            let query_scale = _mm512_set1_ps(query.scales[pixel as usize]);
            let mut largest = _mm512_set1_ps(f32::NEG_INFINITY);
            for (l, &sum) in sum.iter().enumerate() {
                let scale = _mm512_loadu_ps(panel.scale.as_ptr().add(16 * l));
                let start = _mm512_loadu_ps(panel.start.as_ptr().add(16 * l));
                let product =
                    _mm512_mul_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale), query_scale);
                largest = _mm512_max_ps(largest, _mm512_add_ps(product, start));
            }
            *best = best.max(_mm512_reduce_max_ps(largest));
        }
    }
}

#[target_feature(enable = "avx2")]
fn avx2_bytes(panel: &BytePanel, query: &ByteQuery, pixels: &[u32], best: &mut [f32]) {
    for (start, count) in even_tiles(pixels.len()) {
        let (pixels, best) = (&pixels[start..start + count], &mut best[start..start + count]);
        for first in (0..panel.lanes).step_by(8) {
            by_size!(tile256_bytes, count, [2], 2, (panel, first, query, pixels, best));
        }
    }
}

/// L registers of 4 lanes, each lane two sums of channel pairs.
#[target_feature(enable = "avx2")]
fn tile256_bytes<const Q: usize, const L: usize>(
    panel: &BytePanel,
    first: usize,
    query: &ByteQuery,
    pixels: &[u32],
    best: &mut [f32],
) {
    let channels = query.channels;
    let mut vectors = [query.values.as_ptr(); Q];
    for (vector, &pixel) in vectors.iter_mut().zip(pixels) {
        *vector = query.values[pixel as usize * channels..][..channels].as_ptr();
    }
    assert!(panel.rows.len() == channels * panel.lanes && channels.is_multiple_of(4));
    assert!(first + 4 * L <= panel.lanes && panel.lanes <= 64);
    // SAFETY: lanes `first..first + 4 * L` of four bytes lie in every group (asserted above), every
    // vector has `channels` bytes, a multiple of 4 (sliced and asserted above).
    unsafe {
        let mut sum = [[_mm256_setzero_si256(); L]; Q];
        for group in 0..channels / 4 {
            let row = panel.rows.as_ptr().add(4 * (group * panel.lanes + first));
            let mut t = [_mm256_setzero_si256(); L];
            for (l, t) in t.iter_mut().enumerate() {
                *t = _mm256_cvtepu8_epi16(_mm_loadu_si128(row.add(16 * l).cast()));
            }
            for j in 0..Q {
                let bytes = vectors[j].add(4 * group).cast::<i32>().read_unaligned();
                let q = _mm256_broadcastq_epi64(_mm_cvtepi8_epi16(_mm_cvtsi32_si128(bytes)));
                for l in 0..L {
                    sum[j][l] = _mm256_add_epi32(sum[j][l], _mm256_madd_epi16(t[l], q));
                }
            }
        }
        for ((best, sum), &pixel) in best.iter_mut().zip(&sum).zip(pixels) {
            let pixel = pixel as usize;
            for (l, &sum) in sum.iter().enumerate() {
                let mut pairs = [0i32; 8];
                _mm256_storeu_si256(pairs.as_mut_ptr().cast(), sum);
                for (i, pair) in pairs.chunks_exact(2).enumerate() {
                    let lane = first + 4 * l + i;
                    let dot = pair[0] + pair[1] - 128 * query.sums[pixel];
                    let cosine =
                        dot as f32 * panel.scale[lane] * query.scales[pixel] + panel.start[lane];
                    *best = best.max(cosine);
                }
            }
        }
    }
}
