//! A decoded picture.

/// A decoded picture: three interleaved samples (RGB) a pixel, upright.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `width * height * 3` samples.
    pub samples: Samples,
}

/// Samples as the file has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Samples {
    /// 8 bits a sample.
    Eight(Vec<u8>),
    /// 16 bits a sample, full scale.
    Sixteen(Vec<u16>),
}

/// A decoded picture with what its file says about transparency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The picture.
    pub picture: Picture,
    /// `width * height` values from 0 (clear) to 255 (opaque), where a pixel is not fully opaque. `None`
    /// where all pixels are opaque, or all are clear: such files come from programs that do not
    /// use the channel.
    pub opacity: Option<Vec<u8>>,
}
