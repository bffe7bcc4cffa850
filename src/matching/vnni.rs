//! Kernels for bytes on x86-64 processors with AVX-512 VNNI.
//!
//! A VNNI instruction multiplies four unsigned bytes with four signed ones and adds the products to a
//! 32-bit lane. Query bytes are stored with 128 added, so that they are unsigned ([`ByteQuery`]). This
//! adds `128 * sum(t)` to the sum of a lane. The sum of the lane's template bytes is one more product,
//! with ones, and is taken off:
//!
//! ```text
//! for g in groups of 4 channels:
//!     t[l] = row(g)[l]                     64 bytes: 16 lanes x 4 channels
//!     ones[l] += dot4(1, t[l])
//!     for j in 1..Q:  sum[j][l] += dot4(broadcast4(q_j[g]), t[l])
//! q_j . t[l] = sum[j][l] - 128 * ones[l]
//! ```
//!
//! No sum can overflow: it stays below `channels * 255 * 127`. All sums are exact.
//!
//! A panel of 64 lanes and some hundred channels is larger than the first cache. So there are two forms:
//!
//! - A *window* of up to 9 pixels meets half of the panel at a time: 9 x 2 sums. Every byte of the panel is
//!   read once.
//! - A *stream* of more pixels, as for a position-free template, meets the panel in tiles of 4 x 6 sums. The
//!   sums of the lanes are computed once, before the first tile.
//!
//! A cosine is `dot * scale of the lane * scale of the pixel`. The second factor is the same for all lanes
//! and not negative, so it is applied after the maximum.
#![allow(unsafe_code)]

use super::panel::BytePanel;
use super::query::ByteQuery;
use super::x86::{Ahead, Avx512, by_size, even_tiles, lanes512, vectors};
use std::arch::x86_64::*;

/// The most query pixels of a window.
const WINDOW: usize = 9;
/// The number of registers whose largest lanes are found at once.
const TOGETHER: usize = 8;
/// The number of 32-bit lanes of a register.
const LANES: usize = 16;
/// The number of registers of a whole panel.
const REGISTERS: usize = 4;

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
    /// See [`super::kernel::Kernel::largest_cosines_of_bytes`], which checks the bounds. The query is
    /// raised.
    pub fn largest_cosines_of_bytes(
        self,
        panel: &BytePanel,
        query: &ByteQuery,
        pixels: &[u32],
        best: &mut [f32],
    ) {
        // SAFETY: `self` comes from an `Avx512` and exists only where VNNI was detected as well.
        unsafe {
            if pixels.len() <= WINDOW {
                window(panel, query, pixels, best)
            } else {
                stream(panel, query, pixels, best)
            }
        }
    }

    /// Does what [`super::query::quantise`] does, raises the bytes, and fills the rest of `out` with
    /// raised zeros.
    pub fn quantise_raised(self, vector: &[f32], out: &mut [i8]) -> f32 {
        // SAFETY: `self` comes from an `Avx512`.
        unsafe { quantise_raised(vector, out) }
    }
}

/// The lanes of register `l` that a row with `left` lanes still has.
fn lanes_left(left: usize, l: usize) -> __mmask16 {
    match left.saturating_sub(LANES * l) {
        0 => 0,
        left if left < LANES => 0xffff >> (LANES - left),
        _ => 0xffff,
    }
}

/// The lanes of `mask` that may win: those that start at 0 and not at minus infinity.
///
/// # Panics
/// If the register lies outside the panel's start values.
#[target_feature(enable = "avx512f")]
fn alive(panel: &BytePanel, first: usize, mask: __mmask16) -> __mmask16 {
    let start = &panel.start[first..first + LANES];
    // SAFETY: the slice has 16 values.
    let start = unsafe { _mm512_loadu_ps(start.as_ptr()) };
    _mm512_mask_cmp_ps_mask::<_CMP_GT_OQ>(mask, start, _mm512_set1_ps(f32::NEG_INFINITY))
}

/// Compares up to [`WINDOW`] pixels with the panel, half of the panel at a time.
#[target_feature(enable = "avx512f,avx512vnni")]
fn window(panel: &BytePanel, query: &ByteQuery, pixels: &[u32], best: &mut [f32]) {
    const HALF: usize = 2 * LANES;
    let passes = panel.width.div_ceil(HALF);
    let mut largest = [_mm512_set1_ps(f32::NEG_INFINITY); WINDOW];
    for pass in 0..passes {
        let first = HALF * pass;
        let ahead = Ahead::new(panel.ahead, pass, passes, query.channels / 4);
        let registers = (panel.width - first).div_ceil(LANES).min(2);
        macro_rules! by_count {
            ($($q:literal),*) => {
                match (pixels.len(), registers) {
                    $(
                        ($q, 1) => half::<$q, 1>(panel, first, query, pixels, ahead, &mut largest),
                        ($q, 2) => half::<$q, 2>(panel, first, query, pixels, ahead, &mut largest),
                    )*
                    _ => {}
                }
            };
        }
        by_count!(1, 2, 3, 4, 5, 6, 7, 8, 9);
    }
    raise(best, &largest, query, pixels);
}

/// Raises `best` to the largest lane of each pixel's register, times the pixel's scale.
#[target_feature(enable = "avx512f")]
#[inline]
fn raise(best: &mut [f32], largest: &[__m512], query: &ByteQuery, pixels: &[u32]) {
    for (largest, (best, pixels)) in
        largest.chunks(TOGETHER).zip(best.chunks_mut(TOGETHER).zip(pixels.chunks(TOGETHER)))
    {
        let mut maxima = [0.0; TOGETHER];
        match largest.first_chunk() {
            Some(eight) => maxima = largest_of_each(eight),
            None => {
                for (maximum, &largest) in maxima.iter_mut().zip(largest) {
                    *maximum = _mm512_reduce_max_ps(largest);
                }
            }
        }
        for ((best, maximum), &pixel) in best.iter_mut().zip(maxima).zip(pixels) {
            *best = best.max(maximum * query.scales[pixel as usize]);
        }
    }
}

/// Of every four lanes of `a` and of `b`, two are left, which alternate.
#[target_feature(enable = "avx512f")]
#[inline]
fn two(a: __m512, b: __m512) -> __m512d {
    _mm512_castps_pd(_mm512_max_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)))
}

/// Of every two pairs of lanes of `a` and of `b`, one is left. They alternate.
#[target_feature(enable = "avx512f")]
#[inline]
fn four(a: __m512d, b: __m512d) -> __m512 {
    let (low, high) = (_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b));
    _mm512_max_ps(_mm512_castpd_ps(low), _mm512_castpd_ps(high))
}

/// Returns the largest lane of each of eight registers. Three steps halve the number of registers, and put two
/// into one.
#[target_feature(enable = "avx512f")]
#[inline]
fn largest_of_each(of: &[__m512; TOGETHER]) -> [f32; TOGETHER] {
    let [a, b, c, d, e, f, g, h] = *of;
    let (ab, cd, ef, gh) = (two(a, b), two(c, d), two(e, f), two(g, h));
    let (first, second) = (four(ab, cd), four(ef, gh));
    // Each quarter of `first` has a, b, c, d. Now two quarters are left of each, then one.
    let even = _mm512_shuffle_f32x4::<0b10_00_10_00>(first, second);
    let odd = _mm512_shuffle_f32x4::<0b11_01_11_01>(first, second);
    let halves = _mm512_max_ps(even, odd);
    let even = _mm512_shuffle_f32x4::<0b10_00_10_00>(halves, halves);
    let odd = _mm512_shuffle_f32x4::<0b11_01_11_01>(halves, halves);
    let mut maxima = [0.0; TOGETHER];
    let largest = _mm512_castps512_ps256(_mm512_max_ps(even, odd));
    // SAFETY: the array has eight values.
    unsafe { _mm256_storeu_ps(maxima.as_mut_ptr(), largest) };
    maxima
}

/// Raises `largest` by `L` registers of the panel, from lane `first` on.
#[target_feature(enable = "avx512f,avx512vnni")]
fn half<const Q: usize, const L: usize>(
    panel: &BytePanel,
    first: usize,
    query: &ByteQuery,
    pixels: &[u32],
    mut ahead: Ahead,
    largest: &mut [__m512; WINDOW],
) {
    let (channels, width) = (query.channels, panel.width);
    let vectors: [_; Q] = vectors(&query.values, channels, pixels);
    assert!(panel.rows.len() == channels * width && channels.is_multiple_of(4));
    assert!(first + LANES * (L - 1) < width && panel.scale.len() == width);
    let mask = |l| lanes_left(width - first, l);
    let (mut sum, mut of_lane) = ([[_mm512_setzero_si512(); L]; Q], [_mm512_setzero_si512(); L]);
    // SAFETY: every group has `4 * width` bytes, and a register is loaded only as far as these go (its
    // mask, and the assertion above); every vector has `channels` bytes, a multiple of 4 (sliced and
    // asserted above).
    unsafe {
        let mut row = panel.rows.as_ptr().cast::<i32>().add(first);
        for group in 0..channels / 4 {
            ahead.fetch();
            let mut t = [_mm512_setzero_si512(); L];
            for (l, (t, of_lane)) in t.iter_mut().zip(&mut of_lane).enumerate() {
                *t = _mm512_maskz_loadu_epi32(mask(l), row.add(LANES * l));
                *of_lane = _mm512_dpbusd_epi32(*of_lane, _mm512_set1_epi8(1), *t);
            }
            for j in 0..Q {
                let q = _mm512_set1_epi32(vectors[j].add(4 * group).cast::<i32>().read_unaligned());
                for l in 0..L {
                    sum[j][l] = _mm512_dpbusd_epi32(sum[j][l], q, t[l]);
                }
            }
            // At the end this points past the last row and is never read.
            row = row.wrapping_add(width);
        }
    }
    for (l, of_lane) in of_lane.into_iter().enumerate() {
        let at = first + LANES * l;
        let alive = alive(panel, at, mask(l));
        // SAFETY: `scale` has `width` values, where the mask ends.
        let scale = unsafe { _mm512_maskz_loadu_ps(mask(l), panel.scale.as_ptr().add(at)) };
        let raised = _mm512_slli_epi32::<7>(of_lane);
        for (largest, sum) in largest.iter_mut().zip(&sum) {
            let dot = _mm512_cvtepi32_ps(_mm512_sub_epi32(sum[l], raised));
            *largest = _mm512_mask_max_ps(*largest, alive, *largest, _mm512_mul_ps(dot, scale));
        }
    }
}

/// What all pixels have in common that meet a panel, a register of lanes at a time.
struct Common {
    /// Where the sums begin: `-128 * sum(t)`.
    begin: [__m512i; REGISTERS],
    /// The scales of the lanes.
    scale: [__m512; REGISTERS],
    /// The lanes that may win.
    alive: [__mmask16; REGISTERS],
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn common(panel: &BytePanel) -> Common {
    let width = panel.width;
    assert!(panel.scale.len() == width && panel.rows.len().is_multiple_of(4 * width));
    let mut common = Common {
        begin: [_mm512_setzero_si512(); REGISTERS],
        scale: [_mm512_setzero_ps(); REGISTERS],
        alive: [0; REGISTERS],
    };
    for l in 0..width.div_ceil(LANES) {
        let mask = lanes_left(width, l);
        let mut ones = _mm512_setzero_si512();
        for group in panel.rows.chunks_exact(4 * width) {
            let row = group.as_ptr().cast::<i32>();
            // SAFETY: the group has `4 * width` bytes, where the mask ends.
            let t = unsafe { _mm512_maskz_loadu_epi32(mask, row.add(LANES * l)) };
            ones = _mm512_dpbusd_epi32(ones, _mm512_set1_epi8(1), t);
        }
        common.begin[l] = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32::<7>(ones));
        // SAFETY: `scale` has `width` values, where the mask ends.
        let scale = unsafe { _mm512_maskz_loadu_ps(mask, panel.scale.as_ptr().add(LANES * l)) };
        common.scale[l] = scale;
        common.alive[l] = alive(panel, LANES * l, mask);
    }
    common
}

/// Compares any number of pixels with the panel.
#[target_feature(enable = "avx512f,avx512vnni")]
fn stream(panel: &BytePanel, query: &ByteQuery, pixels: &[u32], best: &mut [f32]) {
    let common = common(panel);
    let registers = panel.width.div_ceil(LANES);
    let (tiles, rows) = (even_tiles(pixels.len()), query.channels / 4);
    let count = tiles.len();
    for (number, (start, length)) in tiles.enumerate() {
        let ahead = Ahead::new(panel.ahead, number, count, rows);
        let (pixels, best) = (&pixels[start..start + length], &mut best[start..start + length]);
        by_size!(
            tile,
            length,
            [1, 2, 3, 4],
            registers,
            (panel, &common, query, pixels, ahead, best)
        );
    }
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn tile<const Q: usize, const L: usize>(
    panel: &BytePanel,
    common: &Common,
    query: &ByteQuery,
    pixels: &[u32],
    mut ahead: Ahead,
    best: &mut [f32],
) {
    let (channels, width) = (query.channels, panel.width);
    let vectors: [_; Q] = vectors(&query.values, channels, pixels);
    assert!(panel.rows.len() == channels * width && channels.is_multiple_of(4));
    assert!(width > LANES * (L - 1) && width <= LANES * L);
    // SAFETY: every group has `4 * width` bytes, and the last register is loaded only as far as these go
    // (asserted above); every vector has `channels` bytes, a multiple of 4 (sliced and asserted above).
    unsafe {
        let mut sum = [[_mm512_setzero_si512(); L]; Q];
        for sum in &mut sum {
            sum.copy_from_slice(&common.begin[..L]);
        }
        let mut row = panel.rows.as_ptr().cast::<i32>();
        for group in 0..channels / 4 {
            ahead.fetch();
            let mut t = [_mm512_setzero_si512(); L];
            for (l, t) in t.iter_mut().enumerate() {
                *t = _mm512_maskz_loadu_epi32(lanes512::<L>(width, l), row.add(LANES * l));
            }
            for j in 0..Q {
                let q = _mm512_set1_epi32(vectors[j].add(4 * group).cast::<i32>().read_unaligned());
                for l in 0..L {
                    sum[j][l] = _mm512_dpbusd_epi32(sum[j][l], q, t[l]);
                }
            }
            row = row.add(width);
        }
        let mut largest = [_mm512_set1_ps(f32::NEG_INFINITY); TOGETHER];
        for (largest, sum) in largest.iter_mut().zip(&sum) {
            for (l, &sum) in sum.iter().enumerate() {
                let cosine = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), common.scale[l]);
                *largest = _mm512_mask_max_ps(*largest, common.alive[l], *largest, cosine);
            }
        }
        raise(best, &largest, query, pixels);
    }
}

#[target_feature(enable = "avx512f")]
fn quantise_raised(vector: &[f32], out: &mut [i8]) -> f32 {
    let (out, padding) = out.split_at_mut(vector.len());
    padding.fill(i8::MIN);
    let (whole, rest) = vector.as_chunks::<LANES>();
    let mask = lanes_left(rest.len(), 0);
    // SAFETY: a chunk has 16 values.
    let load = |chunk: &[f32; LANES]| unsafe { _mm512_loadu_ps(chunk.as_ptr()) };
    // SAFETY: the mask ends where the rest ends.
    let rest = unsafe { _mm512_maskz_loadu_ps(mask, rest.as_ptr()) };
    let mut largest = _mm512_abs_ps(rest);
    for chunk in whole {
        largest = _mm512_max_ps(largest, _mm512_abs_ps(load(chunk)));
    }
    let largest = _mm512_reduce_max_ps(largest);
    if largest == 0.0 {
        out.fill(i8::MIN);
        return 0.0;
    }
    let steps = _mm512_set1_ps(127.0 / largest);
    let (whole_out, rest_out) = out.as_chunks_mut::<LANES>();
    for (chunk, out) in whole.iter().zip(whole_out) {
        // SAFETY: `out` has 16 bytes.
        unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), raised(load(chunk), steps)) };
    }
    let mut last = [0i8; LANES];
    // SAFETY: `last` has 16 bytes.
    unsafe { _mm_storeu_si128(last.as_mut_ptr().cast(), raised(rest, steps)) };
    rest_out.copy_from_slice(&last[..rest_out.len()]);
    largest / 127.0
}

/// Rounds `values * steps` to the nearest whole numbers, and halves to the even ones, as the definition does.
/// Adds 128.
#[target_feature(enable = "avx512f")]
#[inline]
fn raised(values: __m512, steps: __m512) -> __m128i {
    let whole = _mm512_cvtps_epi32(_mm512_mul_ps(values, steps));
    _mm_xor_si128(_mm512_cvtsepi32_epi8(whole), _mm_set1_epi8(i8::MIN))
}
