//! Kernel for 64-bit Arm: NEON, which every such processor has.
//!
//! As the x86 kernels: 16 lanes (4 registers) x 4 query pixels of sums, 16 of the 32 registers,
//! the lanes of a row loaded once a channel and multiplied with one broadcast value per query
//! pixel.
#![allow(unsafe_code)]

use super::kernel::PanelView;
use std::arch::aarch64::*;

/// Query pixels of one tile at most.
const QUERIES: usize = 4;
/// Registers of 4 lanes in a tile.
const REGISTERS: usize = 4;

/// Proof that the processor has NEON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neon(());

impl Neon {
    /// The token, where the processor has what it stands for.
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
            for first in (0..panel.lanes).step_by(4 * REGISTERS) {
                // SAFETY: `self` exists only where NEON was detected.
                unsafe {
                    match pixels.len() {
                        1 => tile::<1>(panel, first, query, pixels, best),
                        2 => tile::<2>(panel, first, query, pixels, best),
                        3 => tile::<3>(panel, first, query, pixels, best),
                        _ => tile::<4>(panel, first, query, pixels, best),
                    }
                }
            }
        }
    }
}

#[target_feature(enable = "neon")]
fn tile<const Q: usize>(
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
    assert!(first + 4 * REGISTERS <= panel.lanes && panel.lanes <= panel.start.len());
    // SAFETY: lanes `first..first + 16` lie in every row and in `start` (asserted above), every
    // vector has `channels` values (sliced above); c stays below `channels`.
    unsafe {
        let mut sum = [[vdupq_n_f32(0.0); REGISTERS]; Q];
        for sum in &mut sum {
            for (l, sum) in sum.iter_mut().enumerate() {
                *sum = vld1q_f32(panel.start.as_ptr().add(first + 4 * l));
            }
        }
        let mut row = panel.rows.as_ptr().add(first);
        for c in 0..channels {
            let mut t = [vdupq_n_f32(0.0); REGISTERS];
            for (l, t) in t.iter_mut().enumerate() {
                *t = vld1q_f32(row.add(4 * l));
            }
            for j in 0..Q {
                let q = *vectors[j].add(c);
                for l in 0..REGISTERS {
                    sum[j][l] = vfmaq_n_f32(sum[j][l], t[l], q);
                }
            }
            // One past the last row at the end; never read.
            row = row.wrapping_add(panel.lanes);
        }
        for (best, sum) in best.iter_mut().zip(&sum) {
            let largest = vmaxq_f32(vmaxq_f32(sum[0], sum[1]), vmaxq_f32(sum[2], sum[3]));
            *best = best.max(vmaxvq_f32(largest));
        }
    }
}
