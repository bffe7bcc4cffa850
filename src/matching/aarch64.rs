//! This module holds the kernels for 64-bit Arm. They use NEON, which every such processor has.
//!
//! # Floating point
//! The scheme is that of the x86 kernels. A tile is 16 lanes (4 registers) x 4 query pixels, so its
//! sums take 16 of the 32 registers. For every channel, a tile loads the lanes of the row once. It
//! multiplies them by one broadcast value per query pixel.
//!
//! # Bytes
//! The dot-product instruction `sdot` adds the products of four signed bytes to a 32-bit lane. On a
//! processor without it, `smull` and two pairwise additions do the same. Both are exact.
#![allow(unsafe_code)]

use super::panel::{BytePanel, PanelView};
use super::query::ByteQuery;
use std::arch::aarch64::*;

/// The most query pixels of one tile.
const QUERIES: usize = 4;
/// The number of registers of 4 lanes in a tile.
const REGISTERS: usize = 4;

/// Calls `$tile::<Q, R>` with the run-time numbers of query pixels and registers.
macro_rules! by_size {
    ($tile:ident, $q:expr, $r:expr, $args:tt) => {
        by_size!(@ $tile, $q, $r, $args, (1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (2, 2), (2, 3),
            (2, 4), (3, 1), (3, 2), (3, 3), (3, 4), (4, 1), (4, 2), (4, 3), (4, 4))
    };
    (@ $tile:ident, $q:expr, $r:expr, $args:tt, $(($ql:literal, $rl:literal)),*) => {
        match ($q, $r) {
            $(($ql, $rl) => $tile::<$ql, $rl> $args,)*
            _ => {}
        }
    };
}

/// Proof that the processor has NEON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neon(());

impl Neon {
    /// Returns the token where the processor has NEON.
    pub fn detect() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Neon(()))
    }

    /// See [`super::kernel::Kernel::largest_cosines`], which checks the bounds.
    pub fn largest_cosines(
        self,
        panel: &PanelView,
        query: &[f32],
        pixels: &[u32],
        best: &mut [f32],
    ) {
        for (pixels, best) in pixels.chunks(QUERIES).zip(best.chunks_mut(QUERIES)) {
            for first in (0..panel.width).step_by(4 * REGISTERS) {
                let registers = ((panel.width - first) / 4).min(REGISTERS);
                // SAFETY: `self` exists only where NEON was detected.
                unsafe {
                    by_size!(tile, pixels.len(), registers, (panel, first, query, pixels, best));
                }
            }
        }
    }
}

#[target_feature(enable = "neon")]
fn tile<const Q: usize, const R: usize>(
    panel: &PanelView,
    first: usize,
    query: &[f32],
    pixels: &[u32],
    best: &mut [f32],
) {
    let channels = panel.rows.len() / panel.width;
    let mut vectors = [query.as_ptr(); Q];
    for (vector, &pixel) in vectors.iter_mut().zip(pixels) {
        *vector = query[pixel as usize * channels..][..channels].as_ptr();
    }
    assert!(first + 4 * R <= panel.width && panel.width <= panel.start.len());
    // SAFETY: lanes `first..first + 4 * R` lie in every row and in `start` (asserted above). Every
    // vector has `channels` values (sliced above), and c stays below `channels`.
    unsafe {
        let mut sum = [[vdupq_n_f32(0.0); R]; Q];
        for sum in &mut sum {
            for (l, sum) in sum.iter_mut().enumerate() {
                *sum = vld1q_f32(panel.start.as_ptr().add(first + 4 * l));
            }
        }
        let mut row = panel.rows.as_ptr().add(first);
        for c in 0..channels {
            let mut t = [vdupq_n_f32(0.0); R];
            for (l, t) in t.iter_mut().enumerate() {
                *t = vld1q_f32(row.add(4 * l));
            }
            for j in 0..Q {
                let q = *vectors[j].add(c);
                for l in 0..R {
                    sum[j][l] = vfmaq_n_f32(sum[j][l], t[l], q);
                }
            }
            // At the end this points one row past the last one and is never read.
            row = row.wrapping_add(panel.width);
        }
        for (best, sum) in best.iter_mut().zip(&sum) {
            let largest = sum[1..].iter().fold(sum[0], |largest, &sum| vmaxq_f32(largest, sum));
            *best = best.max(vmaxvq_f32(largest));
        }
    }
}

impl Neon {
    /// See [`super::kernel::Kernel::largest_cosines_of_bytes`], which checks the bounds.
    pub fn largest_cosines_of_bytes(
        self,
        panel: &BytePanel,
        query: &ByteQuery,
        pixels: &[u32],
        best: &mut [f32],
    ) {
        let dotprod = std::arch::is_aarch64_feature_detected!("dotprod");
        for (pixels, best) in pixels.chunks(QUERIES).zip(best.chunks_mut(QUERIES)) {
            for first in (0..panel.width).step_by(4 * REGISTERS) {
                let registers = ((panel.width - first) / 4).min(REGISTERS);
                let count = pixels.len();
                // SAFETY: `self` exists only where NEON was detected, and `dotprod` says whether
                // the dot-product instruction was.
                unsafe {
                    if dotprod {
                        by_size!(tile_sdot, count, registers, (panel, first, query, pixels, best));
                    } else {
                        by_size!(tile_bytes, count, registers, (panel, first, query, pixels, best));
                    }
                }
            }
        }
    }
}

/// Computes `sum + dot4(t, q)` in every lane, by the `sdot` instruction.
#[target_feature(enable = "neon,dotprod")]
fn sdot(mut sum: int32x4_t, t: int8x16_t, q: int8x16_t) -> int32x4_t {
    // SAFETY: the function's target feature guarantees the instruction, which touches registers
    // only.
    unsafe {
        std::arch::asm!(
            "sdot {sum:v}.4s, {t:v}.16b, {q:v}.16b",
            sum = inout(vreg) sum, t = in(vreg) t, q = in(vreg) q,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sum
}

/// Computes `sum + dot4(t, q)` in every lane, by widening multiplication and pairwise addition.
#[target_feature(enable = "neon")]
fn widening_dot(sum: int32x4_t, t: int8x16_t, q: int8x16_t) -> int32x4_t {
    let low = vmull_s8(vget_low_s8(t), vget_low_s8(q));
    let high = vmull_high_s8(t, q);
    vaddq_s32(sum, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)))
}

macro_rules! byte_tile {
    ($name:ident, $features:literal, $dot:ident) => {
        #[target_feature(enable = $features)]
        fn $name<const Q: usize, const R: usize>(
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
            assert!(panel.rows.len() == channels * panel.width && channels.is_multiple_of(4));
            assert!(first + 4 * R <= panel.width && panel.scale.len() == panel.width);
            assert!(panel.width <= panel.start.len());
            // SAFETY: lanes `first..first + 4 * R` of four bytes lie in every group, in `scale` and
            // in `start`. Every vector has `channels` bytes, a multiple of 4 (all asserted above).
            unsafe {
                let mut sum = [[vdupq_n_s32(0); R]; Q];
                for group in 0..channels / 4 {
                    let row = panel.rows.as_ptr().add(4 * (group * panel.width + first));
                    let mut t = [vdupq_n_s8(0); R];
                    for (l, t) in t.iter_mut().enumerate() {
                        *t = vld1q_s8(row.add(16 * l));
                    }
                    for j in 0..Q {
                        let bytes = vectors[j].add(4 * group).cast::<i32>().read_unaligned();
                        let q = vreinterpretq_s8_s32(vdupq_n_s32(bytes));
                        for l in 0..R {
                            sum[j][l] = $dot(sum[j][l], t[l], q);
                        }
                    }
                }
                for ((best, sum), &pixel) in best.iter_mut().zip(&sum).zip(pixels) {
                    let mut largest = vdupq_n_f32(f32::NEG_INFINITY);
                    for (l, &sum) in sum.iter().enumerate() {
                        let scale = vld1q_f32(panel.scale.as_ptr().add(first + 4 * l));
                        let start = vld1q_f32(panel.start.as_ptr().add(first + 4 * l));
                        let product = vmulq_n_f32(
                            vmulq_f32(vcvtq_f32_s32(sum), scale),
                            query.scales[pixel as usize],
                        );
                        largest = vmaxq_f32(largest, vaddq_f32(product, start));
                    }
                    *best = best.max(vmaxvq_f32(largest));
                }
            }
        }
    };
}

byte_tile!(tile_sdot, "neon,dotprod", sdot);
byte_tile!(tile_bytes, "neon", widening_dot);
