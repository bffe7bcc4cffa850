//! The shape of pictures: their columns against their rows.

/// Shapes whose ratios differ by less than this, as a logarithm, are the same: two percent.
const TOLERANCE: f64 = 0.02;

/// Columns and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Size {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Size {
    /// Columns times rows.
    pub fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Whether pictures of both sizes have the same shape, within two percent. A size of nothing has
    /// that of any.
    pub fn has_shape_of(self, other: Size) -> bool {
        let ratio = |size: Size| f64::from(size.width) / f64::from(size.height);
        let between = (ratio(self) / ratio(other)).ln().abs();
        between.is_nan() || between < TOLERANCE
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
        ];
        for ((w, h), (other_w, other_h), same) in cases {
            assert_eq!(size(w, h).has_shape_of(size(other_w, other_h)), same, "{w} x {h}");
            assert_eq!(size(other_w, other_h).has_shape_of(size(w, h)), same, "{w} x {h}");
        }
    }
}
