//! This module defines what the kernels read of a template: a panel in place.

/// One panel of a template pixel, as it is stored.
pub struct PanelView<'a> {
    /// The values, `[channels][width]`.
    pub rows: &'a [f32],
    /// The values that will be read next, or nothing. A kernel may fetch them into a cache in the
    /// meantime.
    pub ahead: &'a [f32],
    /// The number of sheets of the panel, with the zero sheets. It is a multiple of 4, at most 64.
    pub width: usize,
    /// The start value of every lane's sum: 0, or minus infinity where the lane must not win.
    pub start: &'a [f32; 64],
}

/// One panel of a template pixel in 8 bits, as it is stored.
pub struct BytePanel<'a> {
    /// The values, `[channel group][width][4]`.
    pub rows: &'a [i8],
    /// The values that will be read next, or nothing. A kernel may fetch them into a cache in the
    /// meantime.
    pub ahead: &'a [i8],
    /// The number of sheets of the panel, with the zero sheets. It is a multiple of 4, at most 64.
    pub width: usize,
    /// The factors by which the dot products of the lanes are multiplied, `width` values.
    pub scale: &'a [f32],
    /// The number that is added to every lane: 0, or minus infinity where the lane must not win.
    pub start: &'a [f32; 64],
}
