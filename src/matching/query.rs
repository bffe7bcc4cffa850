//! This module rounds vectors to 8 bits, and holds a query map in that form.

/// The channels of 8-bit vectors are padded to a multiple of this.
pub const CHANNEL_GROUP: usize = 4;

/// A query map in 8 bits, in the form in which one kernel multiplies it. [`super::kernel::Kernel::byte_query`]
/// makes it.
pub struct ByteQuery {
    /// The values, `[pixel][channel]`. Channels are padded with zeros to a multiple of 4.
    pub(super) values: Vec<i8>,
    /// The number of channels, with the padding.
    pub(super) channels: usize,
    /// The factor by which the bytes of every pixel's vector are multiplied. It is never negative.
    pub(super) scales: Vec<f32>,
    /// Whether the values stand as unsigned bytes with 128 added.
    pub(super) raised: bool,
}

/// Rounds a vector to 8 bits: `vector = scale * bytes`. A value is off by at most half a scale,
/// plus the rounding of a multiplication. Returns the scale. `out` must be at least as long as the
/// vector.
pub fn quantise(vector: &[f32], out: &mut [i8]) -> f32 {
    /// Adding 1.5 * 2^23 rounds magnitudes below 2^22 to whole numbers, which then stand in the low
    /// bits. This is plain arithmetic that every processor vectorises alike.
    const WHOLE: f32 = 12_582_912.0;
    const LANES: usize = 8;
    let mut lanes = [0.0f32; LANES];
    let chunks = vector.chunks_exact(LANES);
    for value in chunks.remainder() {
        lanes[0] = lanes[0].max(value.abs());
    }
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = if value.abs() > *lane { value.abs() } else { *lane };
        }
    }
    let largest = lanes.into_iter().fold(0.0, f32::max);
    if largest == 0.0 {
        out[..vector.len()].fill(0);
        return 0.0;
    }
    let steps = 127.0 / largest;
    for (out, value) in out.iter_mut().zip(vector) {
        // The magnitude is at most 127, because `largest * steps` is within a rounding of 127.
        *out = (value * steps + WHOLE).to_bits() as i8;
    }
    largest / 127.0
}
