//! This module compares the shapes of pictures: the ratio of their columns to their rows.

/// Shapes are the same if the logarithms of their ratios differ by less than this: two percent.
const TOLERANCE: f64 = 0.02;
/// How far a shape may lie outside the span of the good pictures' shapes, as a part of that span.
/// Shapes are logarithms of ratios.
const BEYOND: f64 = 0.1;

/// The columns and rows of a picture or of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Size {
    /// The number of columns.
    pub width: u32,
    /// The number of rows.
    pub height: u32,
}

impl Size {
    /// Returns columns times rows.
    pub fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Returns whether pictures of both sizes have the same shape, within two percent. An empty
    /// size has the shape of any size.
    pub fn has_shape_of(self, other: Size) -> bool {
        self.is_among(&[other])
    }

    /// Returns whether the shape lies between those of the `known` pictures, or little beyond.
    /// Where good parts are cut to many shapes, the next part has a shape of its own. An empty size
    /// has any shape. Where no shape is known, all sizes fit.
    pub fn is_among(self, known: &[Size]) -> bool {
        let shape = |size: Size| (f64::from(size.width) / f64::from(size.height)).ln();
        let own = shape(self);
        let shapes = || known.iter().map(|size| shape(*size)).filter(|shape| shape.is_finite());
        let (low, high) = (shapes().fold(f64::NAN, f64::min), shapes().fold(f64::NAN, f64::max));
        let margin = TOLERANCE.max(BEYOND * (high - low));
        !own.is_finite() || low.is_nan() || (low - margin < own && own < high + margin)
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} x {}", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_equal_within_two_percent() {
        let size = |width, height| Size { width, height };
        let cases = [
            ((512, 512), (1024, 1024), true),
            ((512, 512), (512, 505), true),
            ((512, 512), (512, 500), false),
            ((640, 480), (1280, 960), true),
            ((640, 480), (480, 640), false),
            ((683, 384), (512, 512), false),
            ((0, 0), (512, 512), true),
            ((0, 0), (0, 0), true),
        ];
        for ((w, h), (other_w, other_h), same) in cases {
            assert_eq!(size(w, h).has_shape_of(size(other_w, other_h)), same, "{w} x {h}");
            assert_eq!(size(other_w, other_h).has_shape_of(size(w, h)), same, "{w} x {h}");
        }
    }

    #[test]
    fn a_shape_between_those_that_are_known_fits() {
        let size = |width, height| Size { width, height };
        let known = [size(200, 400), size(300, 290), size(600, 230)];
        for (width, height, fits) in
            [(200, 300), (616, 230), (190, 400), (800, 230), (100, 400), (400, 0)]
                .into_iter()
                .zip([true, true, true, false, false, true])
                .map(|((w, h), fits)| (w, h, fits))
        {
            assert_eq!(size(width, height).is_among(&known), fits, "{width} x {height}");
        }
        assert!(size(5, 1).is_among(&[]));
    }
}
