//! Kernel for bytes on x86-64 processors with AVX-VNNI and without AVX-512, as small ones of recent years.
//!
//! It computes what [`super::vnni`] explains, in registers of 8 lanes. There are 16 of them: 5 x 2 sums,
//! two registers of template bytes and one of query bytes.
#![allow(unsafe_code)]

use super::panel::BytePanel;
use super::query::ByteQuery;
use super::x86::{Ahead, Avx2, vectors};
use crate::processor::{Instructions, allows};
use std::arch::x86_64::*;

/// The number of 32-bit lanes of a register.
const LANES: usize = 8;
/// The number of registers of a whole panel.
const REGISTERS: usize = 8;
/// The most query pixels of a tile.
const QUERIES: usize = 5;
/// The registers of template bytes of a tile.
const TOGETHER: usize = 2;

/// Proof that the processor has AVX2 and VNNI for its registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AvxVnni(());

impl Avx2 {
    /// The token for byte kernels, where the processor has what it stands for.
    pub fn vnni(self) -> Option<AvxVnni> {
        let is_there = allows(Instructions::AvxVnni) && is_x86_feature_detected!("avxvnni");
        is_there.then_some(AvxVnni(()))
    }
}

impl AvxVnni {
    /// See [`super::kernel::Kernel::largest_cosines_of_bytes`], which checks the bounds. The query is
    /// raised.
    pub fn largest_cosines_of_bytes(
        self,
        panel: &BytePanel,
        query: &ByteQuery,
        pixels: &[u32],
        best: &mut [f32],
    ) {
        // SAFETY: `self` comes from an `Avx2` and exists only where AVX-VNNI was detected as well.
        unsafe { largest_cosines(panel, query, pixels, best) }
    }
}

/// What all pixels have in common that meet a panel, a register of lanes at a time.
struct Common {
    /// Where the sums begin: `-128 * sum(t)`.
    begin: [__m256i; REGISTERS],
    /// The scales of the lanes.
    scale: [__m256; REGISTERS],
    /// What is added to the lanes: 0, or minus infinity where the lane must not win.
    start: [__m256; REGISTERS],
}

/// The lanes of register `l` that a panel of `width` sheets has.
#[target_feature(enable = "avx2")]
fn lanes(width: usize, l: usize) -> __m256i {
    let left = width.saturating_sub(LANES * l).min(LANES) as i32;
    let numbers = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    _mm256_cmpgt_epi32(_mm256_set1_epi32(left), numbers)
}

#[target_feature(enable = "avx2,avxvnni")]
fn common(panel: &BytePanel) -> Common {
    let width = panel.width;
    assert!(panel.scale.len() == width && panel.rows.len().is_multiple_of(4 * width));
    let dead = _mm256_set1_ps(f32::NEG_INFINITY);
    let mut common = Common {
        begin: [_mm256_setzero_si256(); REGISTERS],
        scale: [_mm256_setzero_ps(); REGISTERS],
        start: [dead; REGISTERS],
    };
    for l in 0..width.div_ceil(LANES) {
        let mask = lanes(width, l);
        let mut ones = _mm256_setzero_si256();
        for group in panel.rows.chunks_exact(4 * width) {
            let row = group.as_ptr().cast::<i32>();
            // SAFETY: the group has `4 * width` bytes, where the mask ends.
            let t = unsafe { _mm256_maskload_epi32(row.add(LANES * l), mask) };
            ones = _mm256_dpbusd_avx_epi32(ones, _mm256_set1_epi8(1), t);
        }
        common.begin[l] = _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_slli_epi32::<7>(ones));
        let start = &panel.start[LANES * l..][..LANES];
        // SAFETY: `scale` has `width` values, where the mask ends; `start` has 8.
        unsafe {
            common.scale[l] = _mm256_maskload_ps(panel.scale.as_ptr().add(LANES * l), mask);
            let start = _mm256_loadu_ps(start.as_ptr());
            common.start[l] = _mm256_blendv_ps(dead, start, _mm256_castsi256_ps(mask));
        }
    }
    common
}

#[target_feature(enable = "avx2,avxvnni")]
fn largest_cosines(panel: &BytePanel, query: &ByteQuery, pixels: &[u32], best: &mut [f32]) {
    let common = common(panel);
    let passes = panel.width.div_ceil(TOGETHER * LANES);
    let all = passes * pixels.len().div_ceil(QUERIES);
    let tiles = pixels.chunks(QUERIES).zip(best.chunks_mut(QUERIES));
    for (number, (pixels, best)) in tiles.enumerate() {
        let mut largest = [_mm256_set1_ps(f32::NEG_INFINITY); QUERIES];
        for pass in 0..passes {
            let ahead = Ahead::new(panel.ahead, number * passes + pass, all, query.channels / 4);
            let args = (panel, &common, TOGETHER * pass, query, pixels, ahead, &mut largest);
            match pixels.len() {
                1 => tile::<1>(args),
                2 => tile::<2>(args),
                3 => tile::<3>(args),
                4 => tile::<4>(args),
                _ => tile::<QUERIES>(args),
            }
        }
        for ((best, largest), &pixel) in best.iter_mut().zip(largest).zip(pixels) {
            let mut lanes = [0.0; LANES];
            // SAFETY: the array has eight values.
            unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), largest) };
            let largest = lanes.into_iter().fold(f32::NEG_INFINITY, f32::max);
            *best = best.max(largest * query.scales[pixel as usize]);
        }
    }
}

type Args<'a, 'b> = (
    &'a BytePanel<'a>,
    &'a Common,
    usize,
    &'a ByteQuery,
    &'a [u32],
    Ahead,
    &'b mut [__m256; QUERIES],
);

/// Raises `largest` by two registers of the panel, from register `first` on.
#[target_feature(enable = "avx2,avxvnni")]
fn tile<const Q: usize>((panel, common, first, query, pixels, mut ahead, largest): Args) {
    let (channels, width) = (query.channels, panel.width);
    let vectors: [_; Q] = vectors(&query.values, channels, pixels);
    assert!(panel.rows.len() == channels * width && channels.is_multiple_of(4));
    assert!(LANES * first < width);
    let masks = [lanes(width, first), lanes(width, first + 1)];
    let is_whole = LANES * (first + TOGETHER) <= width;
    // SAFETY: every group has `4 * width` bytes, and a register is loaded only as far as these go (its
    // mask); every vector has `channels` bytes, a multiple of 4 (sliced and asserted above).
    unsafe {
        let mut sum = [[common.begin[first], common.begin[first + 1]]; Q];
        let mut row = panel.rows.as_ptr().cast::<i32>().add(LANES * first);
        for group in 0..channels / 4 {
            ahead.fetch();
            let t = match is_whole {
                true => [_mm256_loadu_si256(row.cast()), _mm256_loadu_si256(row.add(LANES).cast())],
                false => [
                    _mm256_maskload_epi32(row, masks[0]),
                    _mm256_maskload_epi32(row.wrapping_add(LANES), masks[1]),
                ],
            };
            for j in 0..Q {
                let q = _mm256_set1_epi32(vectors[j].add(4 * group).cast::<i32>().read_unaligned());
                sum[j][0] = _mm256_dpbusd_avx_epi32(sum[j][0], q, t[0]);
                sum[j][1] = _mm256_dpbusd_avx_epi32(sum[j][1], q, t[1]);
            }
            // At the end this points past the last row and is never read.
            row = row.wrapping_add(width);
        }
        for (largest, sum) in largest.iter_mut().zip(&sum) {
            for (l, &sum) in (first..).zip(sum) {
                let cosine = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), common.scale[l]);
                *largest = _mm256_max_ps(*largest, _mm256_add_ps(cosine, common.start[l]));
            }
        }
    }
}
