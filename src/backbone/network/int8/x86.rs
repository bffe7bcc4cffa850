//! This module holds the instruction sets of x86-64: AVX2, AVX2 with VNNI, and AVX-512 with VNNI.
//!
//! VNNI multiplies four unsigned bytes with four signed ones and adds the products to a sum of 32
//! bits, exactly. Small processors of recent years have it for registers of 256 bits (AVX-VNNI).
//! AVX2 alone has no such instruction without saturation. There, even and odd bytes are widened to
//! 16 bits and multiplied by `madd`, which adds pairs of products exactly.
#![allow(unsafe_code)]

use super::lanes::{Block, Finish, Isa, Row, Weights};
use crate::processor::{Instructions, allows};
use std::arch::x86_64::*;

/// Proof that the processor has AVX-512 F, BW and VNNI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avx512(());

impl Avx512 {
    /// Returns the token, where the processor has what it stands for.
    pub fn detect() -> Option<Self> {
        let all = allows(Instructions::Avx512)
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vnni");
        all.then_some(Avx512(()))
    }
}

/// Proof that the processor has AVX2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avx2(());

impl Avx2 {
    /// Returns the token, where the processor has what it stands for.
    pub fn detect() -> Option<Self> {
        let is_there = allows(Instructions::Avx2) && is_x86_feature_detected!("avx2");
        is_there.then_some(Avx2(()))
    }
}

// SAFETY of all blocks below: the token proves the instructions, and every load and store covers
// exactly the array that it is given.
impl Isa for Avx512 {
    type Sums = __m512i;
    type Weights = __m512i;
    type Bytes = __m512i;

    #[inline(always)]
    fn start(self, _: &Finish) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    fn weights(self, weights: &Weights) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_loadu_si512(weights.as_ptr().cast()) }
    }

    #[inline(always)]
    fn broadcast(self, four: [u8; 4]) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_set1_epi32(i32::from_le_bytes(four)) }
    }

    #[inline(always)]
    fn bytes(self, block: &Block) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_loadu_si512(block.as_ptr().cast()) }
    }

    #[inline(always)]
    fn dot(self, sums: __m512i, bytes: __m512i, weights: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_dpbusd_epi32(sums, bytes, weights) }
    }

    #[inline(always)]
    fn finish(self, sums: __m512i, finish: &Finish) -> __m512i {
        // SAFETY: see above.
        unsafe {
            let scale = _mm512_loadu_ps(finish.scale.as_ptr());
            let offset = _mm512_loadu_ps(finish.offset.as_ptr());
            let product = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), scale);
            _mm512_cvtps_epi32(_mm512_add_ps(product, offset))
        }
    }

    #[inline(always)]
    fn finish_with(self, sums: __m512i, finish: &Finish, bytes: &Row) -> __m512i {
        // SAFETY: see above.
        unsafe {
            let scale = _mm512_loadu_ps(finish.scale.as_ptr());
            let offset = _mm512_loadu_ps(finish.offset.as_ptr());
            let product = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), scale);
            let bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128(bytes.as_ptr().cast()));
            let other =
                _mm512_mul_ps(_mm512_cvtepi32_ps(bytes), _mm512_loadu_ps(finish.factor.as_ptr()));
            _mm512_cvtps_epi32(_mm512_add_ps(_mm512_add_ps(product, offset), other))
        }
    }

    #[inline(always)]
    fn by_pixel(self, sums: [__m512i; 4], out: &mut Block) {
        // SAFETY: see above.
        unsafe {
            let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            let bytes = _mm512_permutexvar_epi32(order, packed512(sums));
            _mm512_storeu_si512(out.as_mut_ptr().cast(), bytes);
        }
    }

    #[inline(always)]
    fn by_channel(self, sums: [__m512i; 4], out: &mut Block) {
        // SAFETY: see above.
        unsafe {
            let order = _mm512_broadcast_i32x4(transposed());
            let bytes = _mm512_shuffle_epi8(packed512(sums), order);
            _mm512_storeu_si512(out.as_mut_ptr().cast(), bytes);
        }
    }
}

/// Returns bytes in which each run of 16 holds four channels of four pixels, `[pixel][channel]`.
#[inline(always)]
fn packed512([a, b, c, d]: [__m512i; 4]) -> __m512i {
    // SAFETY: callers hold a token; registers only.
    unsafe { _mm512_packus_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d)) }
}

/// The order that turns four rows of four bytes into their columns.
#[inline(always)]
fn transposed() -> __m128i {
    // SAFETY: SSE2 is part of x86-64.
    unsafe { _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15) }
}

/// Proof that the processor has AVX2 and VNNI for its registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AvxVnni(());

impl AvxVnni {
    /// Returns the token, where the processor has what it stands for.
    pub fn detect() -> Option<Self> {
        let all = allows(Instructions::AvxVnni)
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("avxvnni");
        all.then_some(AvxVnni(()))
    }
}

/// How registers of 256 bits multiply bytes.
pub trait Multiply: Copy {
    /// Four unsigned bytes for each of eight channels.
    type Bytes: Copy;
    /// Four weights for each of eight channels.
    type Weights: Copy;
    /// Prepares bytes.
    fn bytes(self, bytes: __m256i) -> Self::Bytes;
    /// Prepares weights.
    fn weights(self, weights: __m256i) -> Self::Weights;
    /// Adds the products of four bytes and four weights to each of eight sums.
    fn dot(self, sums: __m256i, bytes: Self::Bytes, weights: Self::Weights) -> __m256i;
}

/// Even bytes and odd bytes, widened to 16 bits.
type Pair = [__m256i; 2];

impl Multiply for Avx2 {
    type Bytes = Pair;
    type Weights = Pair;

    #[inline(always)]
    fn bytes(self, bytes: __m256i) -> Pair {
        // SAFETY: the token proves the instructions; registers only.
        unsafe { [_mm256_and_si256(bytes, _mm256_set1_epi16(255)), _mm256_srli_epi16::<8>(bytes)] }
    }

    #[inline(always)]
    fn weights(self, weights: __m256i) -> Pair {
        // SAFETY: the token proves the instructions; registers only.
        unsafe {
            let even = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(weights));
            [even, _mm256_srai_epi16::<8>(weights)]
        }
    }

    #[inline(always)]
    fn dot(self, sums: __m256i, bytes: Pair, weights: Pair) -> __m256i {
        // SAFETY: the token proves the instructions; registers only.
        unsafe {
            let even = _mm256_madd_epi16(bytes[0], weights[0]);
            let odd = _mm256_madd_epi16(bytes[1], weights[1]);
            _mm256_add_epi32(sums, _mm256_add_epi32(even, odd))
        }
    }
}

impl Multiply for AvxVnni {
    type Bytes = __m256i;
    type Weights = __m256i;

    #[inline(always)]
    fn bytes(self, bytes: __m256i) -> __m256i {
        bytes
    }

    #[inline(always)]
    fn weights(self, weights: __m256i) -> __m256i {
        weights
    }

    #[inline(always)]
    fn dot(self, sums: __m256i, bytes: __m256i, weights: __m256i) -> __m256i {
        // SAFETY: the token proves the instruction; registers only.
        unsafe { _mm256_dpbusd_avx_epi32(sums, bytes, weights) }
    }
}

/// Sixteen channels in two registers of 256 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Two<M>(pub M);

// SAFETY of all blocks below: every token that multiplies proves AVX2, and every load and store covers
// exactly the array that it is given.
impl<M: Multiply> Isa for Two<M> {
    type Sums = [__m256i; 2];
    type Weights = [M::Weights; 2];
    type Bytes = [M::Bytes; 2];

    #[inline(always)]
    fn start(self, _: &Finish) -> Self::Sums {
        // SAFETY: see above.
        [unsafe { _mm256_setzero_si256() }; 2]
    }

    #[inline(always)]
    fn weights(self, weights: &Weights) -> Self::Weights {
        let (halves, _) = weights.as_chunks::<32>();
        // SAFETY: see above.
        unsafe {
            [
                self.0.weights(_mm256_loadu_si256(halves[0].as_ptr().cast())),
                self.0.weights(_mm256_loadu_si256(halves[1].as_ptr().cast())),
            ]
        }
    }

    #[inline(always)]
    fn broadcast(self, four: [u8; 4]) -> Self::Bytes {
        // SAFETY: see above.
        [self.0.bytes(unsafe { _mm256_set1_epi32(i32::from_le_bytes(four)) }); 2]
    }

    #[inline(always)]
    fn bytes(self, block: &Block) -> Self::Bytes {
        let (halves, _) = block.as_chunks::<32>();
        // SAFETY: see above.
        unsafe {
            [
                self.0.bytes(_mm256_loadu_si256(halves[0].as_ptr().cast())),
                self.0.bytes(_mm256_loadu_si256(halves[1].as_ptr().cast())),
            ]
        }
    }

    #[inline(always)]
    fn dot(self, sums: Self::Sums, bytes: Self::Bytes, weights: Self::Weights) -> Self::Sums {
        [self.0.dot(sums[0], bytes[0], weights[0]), self.0.dot(sums[1], bytes[1], weights[1])]
    }

    #[inline(always)]
    fn finish(self, sums: Self::Sums, finish: &Finish) -> Self::Sums {
        // SAFETY: see above.
        unsafe {
            [
                _mm256_cvtps_epi32(scaled256(sums, finish, 0)),
                _mm256_cvtps_epi32(scaled256(sums, finish, 1)),
            ]
        }
    }

    #[inline(always)]
    fn finish_with(self, sums: Self::Sums, finish: &Finish, bytes: &Row) -> Self::Sums {
        let ((halves, _), (factor, _)) = (bytes.as_chunks::<8>(), finish.factor.as_chunks::<8>());
        // SAFETY: see above.
        unsafe {
            let first = _mm256_cvtepu8_epi32(_mm_loadl_epi64(halves[0].as_ptr().cast()));
            let last = _mm256_cvtepu8_epi32(_mm_loadl_epi64(halves[1].as_ptr().cast()));
            let first =
                _mm256_mul_ps(_mm256_cvtepi32_ps(first), _mm256_loadu_ps(factor[0].as_ptr()));
            let last = _mm256_mul_ps(_mm256_cvtepi32_ps(last), _mm256_loadu_ps(factor[1].as_ptr()));
            [
                _mm256_cvtps_epi32(_mm256_add_ps(scaled256(sums, finish, 0), first)),
                _mm256_cvtps_epi32(_mm256_add_ps(scaled256(sums, finish, 1), last)),
            ]
        }
    }

    #[inline(always)]
    fn by_pixel(self, sums: [Self::Sums; 4], out: &mut Block) {
        let (halves, _) = out.as_chunks_mut::<32>();
        // SAFETY: see above.
        unsafe {
            let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
            // Eight bytes of each pixel.
            let first = _mm256_permutevar8x32_epi32(packed256(sums, 0), order);
            let last = _mm256_permutevar8x32_epi32(packed256(sums, 1), order);
            let even = _mm256_unpacklo_epi64(first, last);
            let odd = _mm256_unpackhi_epi64(first, last);
            let low = _mm256_permute2x128_si256::<0x20>(even, odd);
            let high = _mm256_permute2x128_si256::<0x31>(even, odd);
            _mm256_storeu_si256(halves[0].as_mut_ptr().cast(), low);
            _mm256_storeu_si256(halves[1].as_mut_ptr().cast(), high);
        }
    }

    #[inline(always)]
    fn by_channel(self, sums: [Self::Sums; 4], out: &mut Block) {
        let (halves, _) = out.as_chunks_mut::<32>();
        // SAFETY: see above.
        unsafe {
            let order = _mm256_broadcastsi128_si256(transposed());
            let first = _mm256_shuffle_epi8(packed256(sums, 0), order);
            let last = _mm256_shuffle_epi8(packed256(sums, 1), order);
            _mm256_storeu_si256(halves[0].as_mut_ptr().cast(), first);
            _mm256_storeu_si256(halves[1].as_mut_ptr().cast(), last);
        }
    }
}

/// Returns `sum * scale + offset` for half `h` of the channels.
#[inline(always)]
fn scaled256(sums: [__m256i; 2], finish: &Finish, h: usize) -> __m256 {
    let ((scale, _), (offset, _)) = (finish.scale.as_chunks::<8>(), finish.offset.as_chunks::<8>());
    // SAFETY: callers hold a token; both arrays have 16 values.
    unsafe {
        let (scale, offset) =
            (_mm256_loadu_ps(scale[h].as_ptr()), _mm256_loadu_ps(offset[h].as_ptr()));
        _mm256_add_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(sums[h]), scale), offset)
    }
}

#[inline(always)]
fn packed256([a, b, c, d]: [[__m256i; 2]; 4], h: usize) -> __m256i {
    // SAFETY: callers hold a token; registers only.
    unsafe { _mm256_packus_epi16(_mm256_packs_epi32(a[h], b[h]), _mm256_packs_epi32(c[h], d[h])) }
}
