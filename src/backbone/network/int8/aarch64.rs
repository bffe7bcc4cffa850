//! This module holds the instruction sets of aarch64: NEON, and NEON with the dot product.
//!
//! Both multiply signed bytes. The bytes of a map are made signed by subtracting 128, so the sums
//! begin 128 times the sum of the weights higher.
#![allow(unsafe_code)]

use super::lanes::{Block, Finish, Isa, Row, Weights};
use std::arch::aarch64::*;

/// Proof that the processor has NEON. `DOT` says that it has the dot product as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neon<const DOT: bool>(());

impl<const DOT: bool> Neon<DOT> {
    /// Returns the token, where the processor has what it stands for.
    pub fn detect() -> Option<Self> {
        let all = std::arch::is_aarch64_feature_detected!("neon")
            && (!DOT || std::arch::is_aarch64_feature_detected!("dotprod"));
        all.then_some(Neon(()))
    }
}

/// Adds the products of four signed bytes to each sum.
#[inline(always)]
fn dot4<const DOT: bool>(mut sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: callers hold a token for the instructions, which touch registers only.
    unsafe {
        if DOT {
            std::arch::asm!(
                ".arch_extension dotprod",
                "sdot {sums:v}.4s, {a:v}.16b, {b:v}.16b",
                sums = inout(vreg) sums, a = in(vreg) a, b = in(vreg) b,
                options(pure, nomem, nostack, preserves_flags)
            );
            sums
        } else {
            // The products of two pairs fit into 16 bits, because no weight is -128.
            let low = vmull_s8(vget_low_s8(a), vget_low_s8(b));
            let high = vmull_high_s8(a, b);
            vpadalq_s16(sums, vpaddq_s16(low, high))
        }
    }
}

// SAFETY of all blocks below: the token proves the instructions, and every load and store covers
// a part of the array that it is given.
impl<const DOT: bool> Isa for Neon<DOT> {
    type Sums = [int32x4_t; 4];
    type Weights = [int8x16_t; 4];
    type Bytes = [int8x16_t; 4];

    #[inline(always)]
    fn start(self, finish: &Finish) -> Self::Sums {
        let (w, _) = finish.weights.as_chunks::<4>();
        // SAFETY: see above.
        unsafe {
            [
                vshlq_n_s32::<7>(vld1q_s32(w[0].as_ptr())),
                vshlq_n_s32::<7>(vld1q_s32(w[1].as_ptr())),
                vshlq_n_s32::<7>(vld1q_s32(w[2].as_ptr())),
                vshlq_n_s32::<7>(vld1q_s32(w[3].as_ptr())),
            ]
        }
    }

    #[inline(always)]
    fn weights(self, weights: &Weights) -> Self::Weights {
        let (w, _) = weights.as_chunks::<16>();
        // SAFETY: see above.
        unsafe {
            [
                vld1q_s8(w[0].as_ptr()),
                vld1q_s8(w[1].as_ptr()),
                vld1q_s8(w[2].as_ptr()),
                vld1q_s8(w[3].as_ptr()),
            ]
        }
    }

    #[inline(always)]
    fn broadcast(self, four: [u8; 4]) -> Self::Bytes {
        // SAFETY: see above.
        [unsafe { signed(vreinterpretq_u8_u32(vdupq_n_u32(u32::from_le_bytes(four)))) }; 4]
    }

    #[inline(always)]
    fn bytes(self, block: &Block) -> Self::Bytes {
        let (b, _) = block.as_chunks::<16>();
        // SAFETY: see above.
        unsafe {
            [
                signed(vld1q_u8(b[0].as_ptr())),
                signed(vld1q_u8(b[1].as_ptr())),
                signed(vld1q_u8(b[2].as_ptr())),
                signed(vld1q_u8(b[3].as_ptr())),
            ]
        }
    }

    #[inline(always)]
    fn dot(self, sums: Self::Sums, bytes: Self::Bytes, weights: Self::Weights) -> Self::Sums {
        [
            dot4::<DOT>(sums[0], bytes[0], weights[0]),
            dot4::<DOT>(sums[1], bytes[1], weights[1]),
            dot4::<DOT>(sums[2], bytes[2], weights[2]),
            dot4::<DOT>(sums[3], bytes[3], weights[3]),
        ]
    }

    #[inline(always)]
    fn finish(self, sums: Self::Sums, finish: &Finish) -> Self::Sums {
        // SAFETY: see above.
        unsafe {
            [
                vcvtnq_s32_f32(scaled(sums, finish, 0)),
                vcvtnq_s32_f32(scaled(sums, finish, 1)),
                vcvtnq_s32_f32(scaled(sums, finish, 2)),
                vcvtnq_s32_f32(scaled(sums, finish, 3)),
            ]
        }
    }

    #[inline(always)]
    fn finish_with(self, sums: Self::Sums, finish: &Finish, bytes: &Row) -> Self::Sums {
        let (factor, _) = finish.factor.as_chunks::<4>();
        // SAFETY: see above.
        unsafe {
            let bytes = vld1q_u8(bytes.as_ptr());
            let (low, high) = (vmovl_u8(vget_low_u8(bytes)), vmovl_high_u8(bytes));
            let a = vmulq_f32(
                vcvtq_f32_u32(vmovl_u16(vget_low_u16(low))),
                vld1q_f32(factor[0].as_ptr()),
            );
            let b = vmulq_f32(vcvtq_f32_u32(vmovl_high_u16(low)), vld1q_f32(factor[1].as_ptr()));
            let c = vmulq_f32(
                vcvtq_f32_u32(vmovl_u16(vget_low_u16(high))),
                vld1q_f32(factor[2].as_ptr()),
            );
            let d = vmulq_f32(vcvtq_f32_u32(vmovl_high_u16(high)), vld1q_f32(factor[3].as_ptr()));
            [
                vcvtnq_s32_f32(vaddq_f32(scaled(sums, finish, 0), a)),
                vcvtnq_s32_f32(vaddq_f32(scaled(sums, finish, 1), b)),
                vcvtnq_s32_f32(vaddq_f32(scaled(sums, finish, 2), c)),
                vcvtnq_s32_f32(vaddq_f32(scaled(sums, finish, 3), d)),
            ]
        }
    }

    #[inline(always)]
    fn by_pixel(self, sums: [Self::Sums; 4], out: &mut Block) {
        let (out, _) = out.as_chunks_mut::<16>();
        // SAFETY: see above.
        unsafe {
            vst1q_u8(out[0].as_mut_ptr(), narrowed(sums[0]));
            vst1q_u8(out[1].as_mut_ptr(), narrowed(sums[1]));
            vst1q_u8(out[2].as_mut_ptr(), narrowed(sums[2]));
            vst1q_u8(out[3].as_mut_ptr(), narrowed(sums[3]));
        }
    }

    #[inline(always)]
    fn by_channel(self, sums: [Self::Sums; 4], out: &mut Block) {
        let (a, b) = (narrowed(sums[0]), narrowed(sums[1]));
        let (c, d) = (narrowed(sums[2]), narrowed(sums[3]));
        // SAFETY: see above.
        unsafe { vst4q_u8(out.as_mut_ptr(), uint8x16x4_t(a, b, c, d)) };
    }
}

/// Subtracts 128 from unsigned bytes.
#[inline(always)]
fn signed(bytes: uint8x16_t) -> int8x16_t {
    // SAFETY: callers hold a token; registers only.
    unsafe { vreinterpretq_s8_u8(veorq_u8(bytes, vdupq_n_u8(128))) }
}

/// Returns `sum * scale + offset` for the four channels from `4 * i` on.
#[inline(always)]
fn scaled(sums: [int32x4_t; 4], finish: &Finish, i: usize) -> float32x4_t {
    let ((scale, _), (offset, _)) = (finish.scale.as_chunks::<4>(), finish.offset.as_chunks::<4>());
    // SAFETY: callers hold a token; both arrays have 16 values.
    unsafe {
        let (scale, offset) = (vld1q_f32(scale[i].as_ptr()), vld1q_f32(offset[i].as_ptr()));
        vaddq_f32(vmulq_f32(vcvtq_f32_s32(sums[i]), scale), offset)
    }
}

/// Clamps 16 sums to bytes.
#[inline(always)]
fn narrowed([a, b, c, d]: [int32x4_t; 4]) -> uint8x16_t {
    // SAFETY: callers hold a token; registers only.
    unsafe {
        let low = vcombine_s16(vqmovn_s32(a), vqmovn_s32(b));
        let high = vcombine_s16(vqmovn_s32(c), vqmovn_s32(d));
        vcombine_u8(vqmovun_s16(low), vqmovun_s16(high))
    }
}
