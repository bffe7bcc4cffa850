//! This module holds a decoded picture.

/// A decoded picture. It is upright and has three interleaved samples (RGB) per pixel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The number of columns.
    pub width: u32,
    /// The number of rows.
    pub height: u32,
    /// `width * height * 3` samples.
    pub samples: Samples,
}

/// Samples as the file has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Samples {
    /// The samples have 8 bits.
    Eight(Vec<u8>),
    /// The samples have 16 bits at full scale.
    Sixteen(Vec<u16>),
}

/// A decoded picture with what its file says about transparency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The picture.
    pub picture: Picture,
    /// `width * height` values from 0 (clear) to 255 (opaque), if some pixel is not fully opaque.
    /// It is `None` where all pixels are opaque, or where all are clear. Files whose pixels are all
    /// clear come from programs that do not use the channel.
    pub opacity: Option<Vec<u8>>,
}
