//! This module rounds a query map to 8 bits, in the form in which a kernel multiplies it.

use super::kernel::Kernel;
use super::sheets::CHANNEL_GROUP;
use crate::feature_map::FeatureMap;

/// A query map in 8 bits.
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

impl ByteQuery {
    /// Rounds every vector of `query` for `kernel`. The values are those of
    /// [`quantise`](super::sheets::quantise), whatever the kernel.
    pub fn new(kernel: Kernel, query: &FeatureMap) -> Self {
        let channels = query.channels().next_multiple_of(CHANNEL_GROUP);
        let mut values = vec![0; query.pixels() * channels];
        let mut scales = Vec::with_capacity(query.pixels());
        for (pixel, out) in values.chunks_exact_mut(channels).enumerate() {
            scales.push(kernel.quantise(query.vector(pixel), out));
        }
        ByteQuery { values, channels, scales, raised: kernel.raises_queries() }
    }
}
