//! This module says what an instruction set must give to the kernels: 16 sums of 32 bits, and dot
//! products of four bytes.
//!
//! All instruction sets give the same bits. Sums of products are exact in 32 bits. The step from a
//! sum to a byte is one multiplication and one addition in 32-bit floating point, not fused, and a
//! rounding to the nearest integer, ties to even.

/// The number of channels that are computed together.
pub const LANES: usize = 16;

/// One byte per channel, or four bytes per channel.
pub type Row = [u8; LANES];
/// The bytes of four neighbouring pixels. Either `[pixel][channel]` or `[channel][pixel]`.
pub type Block = [u8; 4 * LANES];
/// Four weights for each of 16 channels, `[channel][4]`.
pub type Weights = [i8; 4 * LANES];

/// What turns sums of products into bytes, for 16 channels:
/// `byte = clamp(round(sum * scale + offset), 0, 255)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finish {
    /// The sum of all weights of each channel.
    pub weights: [i32; LANES],
    /// The factor of each channel.
    pub scale: [f32; LANES],
    /// What is added to each channel.
    pub offset: [f32; LANES],
    /// The factor of the byte that is added to each channel, where one is.
    pub factor: [f32; LANES],
}

/// An instruction set.
pub trait Isa: Copy {
    /// Sixteen sums of 32 bits.
    type Sums: Copy;
    /// Four weights for each of 16 channels.
    type Weights: Copy;
    /// Four bytes for each of 16 channels.
    type Bytes: Copy;

    /// The sums that a kernel begins with. They are zero, or make up for a shift of the bytes.
    fn start(self, finish: &Finish) -> Self::Sums;
    /// Reads weights.
    fn weights(self, weights: &Weights) -> Self::Weights;
    /// Gives every channel the same four bytes.
    fn broadcast(self, four: [u8; 4]) -> Self::Bytes;
    /// Gives every channel its own four bytes, `[channel][4]`.
    fn bytes(self, block: &Block) -> Self::Bytes;
    /// Adds the product of four bytes and four weights to each sum.
    fn dot(self, sums: Self::Sums, bytes: Self::Bytes, weights: Self::Weights) -> Self::Sums;
    /// Returns `round(sum * scale + offset)`.
    fn finish(self, sums: Self::Sums, finish: &Finish) -> Self::Sums;
    /// Returns `round(sum * scale + offset + byte * factor)`.
    fn finish_with(self, sums: Self::Sums, finish: &Finish, bytes: &Row) -> Self::Sums;
    /// Clamps four pixels to bytes and stores them `[pixel][channel]`.
    fn by_pixel(self, sums: [Self::Sums; 4], out: &mut Block);
    /// Clamps four pixels to bytes and stores them `[channel][pixel]`.
    fn by_channel(self, sums: [Self::Sums; 4], out: &mut Block);
}

/// Plain Rust, for any processor. It is also the reference for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Portable;

impl Isa for Portable {
    type Sums = [i32; LANES];
    type Weights = Weights;
    type Bytes = Block;

    #[inline(always)]
    fn start(self, _: &Finish) -> Self::Sums {
        [0; LANES]
    }

    #[inline(always)]
    fn weights(self, weights: &Weights) -> Weights {
        *weights
    }

    #[inline(always)]
    fn broadcast(self, four: [u8; 4]) -> Block {
        std::array::from_fn(|i| four[i % 4])
    }

    #[inline(always)]
    fn bytes(self, block: &Block) -> Block {
        *block
    }

    #[inline(always)]
    fn dot(self, mut sums: Self::Sums, bytes: Block, weights: Weights) -> Self::Sums {
        let fours = bytes.as_chunks::<4>().0.iter().zip(weights.as_chunks::<4>().0);
        for (sum, (b, w)) in sums.iter_mut().zip(fours) {
            let product = |i: usize| i32::from(b[i]) * i32::from(w[i]);
            *sum += product(0) + product(1) + product(2) + product(3);
        }
        sums
    }

    #[inline(always)]
    fn finish(self, mut sums: Self::Sums, finish: &Finish) -> Self::Sums {
        for (sum, (scale, offset)) in sums.iter_mut().zip(finish.scale.iter().zip(&finish.offset)) {
            *sum = (*sum as f32 * scale + offset).round_ties_even() as i32;
        }
        sums
    }

    #[inline(always)]
    fn finish_with(self, mut sums: Self::Sums, finish: &Finish, bytes: &Row) -> Self::Sums {
        for (i, sum) in sums.iter_mut().enumerate() {
            let own = *sum as f32 * finish.scale[i] + finish.offset[i];
            *sum = (own + f32::from(bytes[i]) * finish.factor[i]).round_ties_even() as i32;
        }
        sums
    }

    #[inline(always)]
    fn by_pixel(self, sums: [Self::Sums; 4], out: &mut Block) {
        for (out, sums) in out.as_chunks_mut::<LANES>().0.iter_mut().zip(&sums) {
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = (*sum).clamp(0, 255) as u8;
            }
        }
    }

    #[inline(always)]
    fn by_channel(self, sums: [Self::Sums; 4], out: &mut Block) {
        for (lane, out) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            for (out, sums) in out.iter_mut().zip(&sums) {
                *out = sums[lane].clamp(0, 255) as u8;
            }
        }
    }
}
