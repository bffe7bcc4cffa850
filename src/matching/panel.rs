//! What the kernels read: a panel of the template in place, and the query in 8 bits.

/// One panel of a template pixel, as it is stored.
pub struct PanelView<'a> {
    /// `[channels][width]`.
    pub rows: &'a [f32],
    /// What will be read next: kernels may fetch it into a cache meanwhile. May be empty.
    pub ahead: &'a [f32],
    /// Sheets of the panel, zero sheets included: a multiple of 4, at most 64.
    pub width: usize,
    /// Start value of every lane's sum: 0, or minus infinity where the lane must not win.
    pub start: &'a [f32; 64],
}

/// One panel of a template pixel in 8 bits, as it is stored.
pub struct BytePanel<'a> {
    /// `[channel group][width][4]`.
    pub rows: &'a [i8],
    /// What will be read next: kernels may fetch it into a cache meanwhile. May be empty.
    pub ahead: &'a [i8],
    /// Sheets of the panel, zero sheets included: a multiple of 4, at most 64.
    pub width: usize,
    /// What the dot product of every lane is multiplied with; `width` values.
    pub scale: &'a [f32],
    /// Added to every lane: 0, or minus infinity where the lane must not win.
    pub start: &'a [f32; 64],
}

/// A query map in 8 bits.
#[derive(Default)]
pub struct ByteQuery {
    /// `[pixel][channel]`, channels filled up with zeros to a multiple of 4.
    pub values: Vec<i8>,
    /// Channels with the zeros.
    pub channels: usize,
    /// Sum of the bytes of every pixel's vector.
    pub sums: Vec<i32>,
    /// What the bytes of every pixel's vector are multiplied with.
    pub scales: Vec<f32>,
}
