//! What the kernels read: a panel of the template, unpacked, and the query in 8 bits.

/// One panel of a template pixel, unpacked for the kernels.
pub struct PanelView<'a> {
    /// `[channels][lanes]`.
    pub rows: &'a [f32],
    /// Values a row has: 16, 32, 48 or 64.
    pub lanes: usize,
    /// Start value of every lane's sum: 0, or minus infinity where the lane must not win.
    pub start: &'a [f32; 64],
}

/// One panel of a template pixel for integer kernels.
pub struct BytePanel<'a> {
    /// `[channel group][lanes][4]`, each byte 128 above its value.
    pub rows: &'a [u8],
    /// Lanes: 16, 32, 48 or 64.
    pub lanes: usize,
    /// What the dot product of every lane is multiplied with.
    pub scale: &'a [f32; 64],
    /// Added to every lane: 0, or minus infinity where the lane must not win.
    pub start: &'a [f32; 64],
}

/// A query map in 8 bits.
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
