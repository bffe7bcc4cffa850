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
//! Panels are read where they are stored. Their width is a multiple of 4: the last register of a row
//! is loaded through a mask, so that nothing beyond the panel is touched.
//!
//! # Bytes
//! AVX2 widens signed bytes to 16 bits and uses `madd`, which adds pairs of products exactly (the 8-bit
//! `maddubs` would saturate). No sum can overflow: it stays below `channels * 127 * 127`. Processors with
//! VNNI have kernels of their own: [`super::vnni`].
#![allow(unsafe_code)]

use super::panel::{BytePanel, PanelView};
use super::query::ByteQuery;
use crate::processor::{Instructions, allows};
use half::f16;
use std::arch::x86_64::*;

/// Query pixels of one tile at most.
const QUERIES: usize = 6;

/// Proof that the processor has AVX2, FMA and conversion from 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avx2(());

/// Proof that the processor has AVX-512F.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avx512(());

impl Avx2 {
    /// The token, where the processor has what it stands for.
    pub fn detect() -> Option<Self> {
        let all = allows(Instructions::Avx2)
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        all.then_some(Avx2(()))
    }

    /// See [`super::kernel::Kernel::widen`].
    pub fn widen(self, halves: &[f16], out: &mut [f32]) {
        // SAFETY: `self` exists only where F16C was detected.
        unsafe { widen256(halves, out) }
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
        let is_there = allows(Instructions::Avx512) && is_x86_feature_detected!("avx512f");
        is_there.then_some(Avx512(()))
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
pub(super) fn even_tiles(count: usize) -> impl ExactSizeIterator<Item = (usize, usize)> {
    let tiles = count.div_ceil(QUERIES);
    (0..tiles).map(move |i| {
        let start = i * count / tiles;
        (start, (i + 1) * count / tiles - start)
    })
}

/// The bytes of a cache line.
const LINE: usize = 64;

/// A tile's share of what is to be fetched ahead. The lines are spread over the rows of the tiles, so that memory is
/// busy while a kernel computes.
pub(super) struct Ahead {
    /// Where the next row's share begins.
    at: *const u8,
    /// The lines of a row's share.
    lines: usize,
}

impl Ahead {
    /// For tile `tile` of `tiles` with `rows` rows.
    pub(super) fn new<T>(values: &[T], tile: usize, tiles: usize, rows: usize) -> Self {
        let lines = size_of_val(values).div_ceil(LINE * (tiles * rows).max(1));
        let first = (tile * rows).saturating_mul(LINE * lines);
        let is_left = first < size_of_val(values);
        // The last rows may ask for lines behind the values. Nothing is read there.
        Ahead {
            at: values.as_ptr().cast::<u8>().wrapping_add(first),
            lines: if is_left { lines } else { 0 },
        }
    }

    /// Asks for the next row's share to be brought into the second cache.
    #[inline(always)]
    pub(super) fn fetch(&mut self) {
        for _ in 0..self.lines {
            // SAFETY: a prefetch reads nothing that anyone can see, wherever it points.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(self.at.cast()) };
            self.at = self.at.wrapping_add(LINE);
        }
    }
}

#[target_feature(enable = "avx2,f16c")]
fn widen256(halves: &[f16], out: &mut [f32]) {
    let (blocks, rest) = halves.as_chunks::<8>();
    let (wide, wide_rest) = out.as_chunks_mut::<8>();
    for (wide, block) in wide.iter_mut().zip(blocks) {
        // SAFETY: both have eight values, 16 and 32 bytes.
        unsafe {
            let block = _mm_loadu_si128(block.as_ptr().cast());
            _mm256_storeu_ps(wide.as_mut_ptr(), _mm256_cvtph_ps(block));
        }
    }
    wide_rest.iter_mut().zip(rest).for_each(|(wide, half)| *wide = half.to_f32());
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

pub(super) use by_size;

/// Makes a kernel of a tile: it cuts the query pixels into tiles and the panel into passes of so many lanes, each of
/// a few registers. The kernels differ only by this table:
///
/// - the features that the processor must have,
/// - the types of panel, query and query vectors,
/// - the number of rows that a tile reads,
/// - the lanes of a pass and of a register, and how many registers a pass may have.
macro_rules! kernels {
    ($(
        $name:ident: $features:literal, $panel:ty, $query:ty, rows $rows:expr,
        lanes $pass:literal by $register:literal, $tile:ident [$($l:literal),*];
    )*) => {$(
        #[target_feature(enable = $features)]
        fn $name(panel: &$panel, query: &$query, pixels: &[u32], best: &mut [f32]) {
            let rows_of: fn(&$panel, &$query) -> usize = $rows;
            let (tiles, rows) = (even_tiles(pixels.len()), rows_of(panel, query));
            let passes = tiles.len() * panel.width.div_ceil($pass);
            let mut pass = 0;
            for (start, count) in tiles {
                let (pixels, best) =
                    (&pixels[start..start + count], &mut best[start..start + count]);
                for first in (0..panel.width).step_by($pass) {
                    let registers = (panel.width - first).min($pass).div_ceil($register);
                    let ahead = Ahead::new(panel.ahead, pass, passes, rows);
                    by_size!(
                        $tile, count, [$($l),*], registers,
                        (panel, first, query, pixels, ahead, best)
                    );
                    pass += 1;
                }
            }
        }
    )*};
}

kernels! {
    avx512: "avx512f", PanelView, [f32], rows |panel, _| panel.rows.len() / panel.width,
        lanes 64 by 16, tile512 [1, 2, 3, 4];
    avx2: "avx2,fma", PanelView, [f32], rows |panel, _| panel.rows.len() / panel.width,
        lanes 16 by 8, tile256 [1, 2];
    avx2_bytes: "avx2", BytePanel, ByteQuery, rows |_, query| query.channels / 4,
        lanes 8 by 4, tile256_bytes [1, 2];
}

/// Returns where the vectors of `pixels` begin in `values`, each with `channels` values.
///
/// # Panics
/// If a vector does not lie in `values`.
#[inline(always)]
pub(super) fn vectors<T, const Q: usize>(
    values: &[T],
    channels: usize,
    pixels: &[u32],
) -> [*const T; Q] {
    let mut vectors = [values.as_ptr(); Q];
    for (vector, &pixel) in vectors.iter_mut().zip(pixels) {
        *vector = values[pixel as usize * channels..][..channels].as_ptr();
    }
    vectors
}

/// The lanes of register `l` of `L` that a panel of `width` sheets has.
pub(super) fn lanes512<const L: usize>(width: usize, l: usize) -> __mmask16 {
    if l + 1 < L { 0xffff } else { 0xffff >> (16 * L - width) }
}

#[target_feature(enable = "avx512f")]
fn tile512<const Q: usize, const L: usize>(
    panel: &PanelView,
    first: usize,
    query: &[f32],
    pixels: &[u32],
    mut ahead: Ahead,
    best: &mut [f32],
) {
    let width = panel.width;
    let channels = panel.rows.len() / width;
    let vectors: [_; Q] = vectors(query, channels, pixels);
    assert!(
        first == 0
            && width > 16 * (L - 1)
            && width <= 16 * L
            && panel.rows.len() >= channels * width
    );
    // SAFETY: every row has `width` values and the last register of a row is loaded only as far as
    // these go (asserted above); every vector has `channels` values (sliced above), c stays below
    // `channels`; `start` has 64 >= 16 * L values.
    unsafe {
        let mut sum = [[_mm512_setzero_ps(); L]; Q];
        for sum in &mut sum {
            for (l, sum) in sum.iter_mut().enumerate() {
                *sum = _mm512_loadu_ps(panel.start.as_ptr().add(16 * l));
            }
        }
        let mut row = panel.rows.as_ptr();
        for c in 0..channels {
            ahead.fetch();
            let mut t = [_mm512_setzero_ps(); L];
            for (l, t) in t.iter_mut().enumerate() {
                *t = _mm512_maskz_loadu_ps(lanes512::<L>(width, l), row.add(16 * l));
            }
            for j in 0..Q {
                let q = _mm512_set1_ps(*vectors[j].add(c));
                for l in 0..L {
                    sum[j][l] = _mm512_fmadd_ps(t[l], q, sum[j][l]);
                }
            }
            row = row.add(width);
        }
        for (best, sum) in best.iter_mut().zip(&sum) {
            for (l, &sum) in sum.iter().enumerate() {
                // The masked reduction would count a lane that is not there as the least finite number.
                let nothing = _mm512_set1_ps(f32::NEG_INFINITY);
                let lanes = _mm512_mask_mov_ps(nothing, lanes512::<L>(width, l), sum);
                *best = best.max(_mm512_reduce_max_ps(lanes));
            }
        }
    }
}

#[target_feature(enable = "avx2,fma")]
fn tile256<const Q: usize, const L: usize>(
    panel: &PanelView,
    first: usize,
    query: &[f32],
    pixels: &[u32],
    mut ahead: Ahead,
    best: &mut [f32],
) {
    let width = panel.width;
    let channels = panel.rows.len() / width;
    let vectors: [_; Q] = vectors(query, channels, pixels);
    assert!(first + 8 * (L - 1) < width && first + 8 * L <= panel.start.len());
    let whole = first + 8 * L <= width;
    let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    let mask = |l: usize| {
        let left = (width - first - 8 * l).min(8) as i32;
        _mm256_cmpgt_epi32(_mm256_set1_epi32(left), lanes)
    };
    // SAFETY: every row has `width` values and a register is loaded only as far as these go (its
    // mask); every vector has `channels` values (sliced above), c stays below `channels`; `start`
    // reaches `first + 8 * L` (asserted above).
    unsafe {
        let mut sum = [[_mm256_setzero_ps(); L]; Q];
        for sum in &mut sum {
            for (l, sum) in sum.iter_mut().enumerate() {
                *sum = _mm256_loadu_ps(panel.start.as_ptr().add(first + 8 * l));
            }
        }
        let mut row = panel.rows.as_ptr().add(first);
        for c in 0..channels {
            ahead.fetch();
            let mut t = [_mm256_setzero_ps(); L];
            for (l, t) in t.iter_mut().enumerate() {
                let at = row.add(8 * l);
                *t = if whole { _mm256_loadu_ps(at) } else { _mm256_maskload_ps(at, mask(l)) };
            }
            for j in 0..Q {
                let q = _mm256_set1_ps(*vectors[j].add(c));
                for l in 0..L {
                    sum[j][l] = _mm256_fmadd_ps(t[l], q, sum[j][l]);
                }
            }
            // Past the last row at the end; never read.
            row = row.wrapping_add(width);
        }
        for (best, sum) in best.iter_mut().zip(&sum) {
            for (l, &sum) in sum.iter().enumerate() {
                let mut lanes = [0.0; 8];
                _mm256_storeu_ps(lanes.as_mut_ptr(), sum);
                let count = (width - first - 8 * l).min(8);
                *best = lanes[..count].iter().fold(*best, |m, &v| m.max(v));
            }
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
    mut ahead: Ahead,
    best: &mut [f32],
) {
    let channels = query.channels;
    let vectors: [_; Q] = vectors(&query.values, channels, pixels);
    assert!(panel.rows.len() == channels * panel.width && channels.is_multiple_of(4));
    assert!(first + 4 * L <= panel.width);
    // SAFETY: lanes `first..first + 4 * L` of four bytes lie in every group (asserted above), every
    // vector has `channels` bytes, a multiple of 4 (sliced and asserted above).
    unsafe {
        let mut sum = [[_mm256_setzero_si256(); L]; Q];
        for group in 0..channels / 4 {
            ahead.fetch();
            let row = panel.rows.as_ptr().add(4 * (group * panel.width + first));
            let mut t = [_mm256_setzero_si256(); L];
            for (l, t) in t.iter_mut().enumerate() {
                *t = _mm256_cvtepi8_epi16(_mm_loadu_si128(row.add(16 * l).cast()));
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
                for (lane, pair) in (first + 4 * l..).zip(pairs.chunks_exact(2)) {
                    let dot = pair[0] + pair[1];
                    let cosine =
                        dot as f32 * panel.scale[lane] * query.scales[pixel] + panel.start[lane];
                    *best = best.max(cosine);
                }
            }
        }
    }
}
