//! Names the pixel formats that can be read, and says how many bytes their rows have.

use super::settings::BayerMode;
use crate::image::Size;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Says how a camera lays out its pixels, by the names that V4L2 gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum PixelFormat {
    /// YUV 4:2:2, packed: Y0 U Y1 V.
    Yuyv,
    /// YUV 4:2:2, packed: U Y0 V Y1.
    Uyvy,
    /// YUV 4:2:0: a plane of Y, then one of U and V in turn.
    Nv12,
    /// The same as `Nv12`, with each plane in a buffer of its own.
    Nm12,
    /// 8 bits of brightness.
    Grey,
    /// Red, green, blue, 8 bits each.
    Rgb3,
    /// Blue, green, red, 8 bits each.
    Bgr3,
    /// A JPEG per frame.
    Mjpg,
    /// 10 bits of brightness in 16.
    Y10,
    /// 12 bits of brightness in 16.
    Y12,
    /// 16 bits of brightness.
    Y16,
    /// 10 bits of brightness, packed as MIPI does: four pixels in five bytes.
    Y10p,
    /// 12 bits of brightness, packed as MIPI does: two pixels in three bytes.
    Y12p,
    /// 10 bits of brightness as a stream of bits, the highest first: four pixels in five bytes.
    Y10b,
    /// One colour at each pixel.
    Bayer(Mosaic, Packing),
}

/// Says which colour the pixels of a Bayer sensor have: those of the first row, then those of the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mosaic {
    /// Red, green; green, blue.
    Rggb,
    /// Green, red; blue, green.
    Grbg,
    /// Green, blue; red, green.
    Gbrg,
    /// Blue, green; green, red.
    Bggr,
}

impl Mosaic {
    /// Every order of colours.
    pub const ALL: [Mosaic; 4] = [Mosaic::Rggb, Mosaic::Grbg, Mosaic::Gbrg, Mosaic::Bggr];
}

/// Says how the samples of a sensor lie in memory. Samples in 16 bits have their low byte first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// 8 bits.
    Eight,
    /// 10 bits in 16.
    Ten,
    /// 12 bits in 16.
    Twelve,
    /// 16 bits.
    Sixteen,
    /// Four bytes with the upper 8 bits of four samples, then one with their lower 2 bits, the first sample's lowest.
    MipiTen,
    /// Two bytes with the upper 8 bits of two samples, then one with their lower 4 bits, the first sample's lowest.
    MipiTwelve,
}

impl Packing {
    /// Every packing.
    pub const ALL: [Packing; 6] = [
        Packing::Eight,
        Packing::Ten,
        Packing::Twelve,
        Packing::Sixteen,
        Packing::MipiTen,
        Packing::MipiTwelve,
    ];
}

impl PixelFormat {
    /// Every format that can be read, but those of Bayer sensors.
    const PLAIN: [PixelFormat; 14] = [
        PixelFormat::Yuyv,
        PixelFormat::Uyvy,
        PixelFormat::Nv12,
        PixelFormat::Nm12,
        PixelFormat::Grey,
        PixelFormat::Rgb3,
        PixelFormat::Bgr3,
        PixelFormat::Mjpg,
        PixelFormat::Y10,
        PixelFormat::Y12,
        PixelFormat::Y16,
        PixelFormat::Y10p,
        PixelFormat::Y12p,
        PixelFormat::Y10b,
    ];

    /// Returns every format that can be read.
    pub fn all() -> impl Iterator<Item = PixelFormat> {
        let orders = |packing| Mosaic::ALL.map(|mosaic| PixelFormat::Bayer(mosaic, packing));
        PixelFormat::PLAIN.into_iter().chain(Packing::ALL.into_iter().flat_map(orders))
    }

    /// Returns the name in configurations. It is V4L2's four-character code without a space at its end.
    pub fn name(self) -> &'static str {
        match self {
            PixelFormat::Yuyv => "YUYV",
            PixelFormat::Uyvy => "UYVY",
            PixelFormat::Nv12 => "NV12",
            PixelFormat::Nm12 => "NM12",
            PixelFormat::Grey => "GREY",
            PixelFormat::Rgb3 => "RGB3",
            PixelFormat::Bgr3 => "BGR3",
            PixelFormat::Mjpg => "MJPG",
            PixelFormat::Y10 => "Y10",
            PixelFormat::Y12 => "Y12",
            PixelFormat::Y16 => "Y16",
            PixelFormat::Y10p => "Y10P",
            PixelFormat::Y12p => "Y12P",
            PixelFormat::Y10b => "Y10B",
            PixelFormat::Bayer(mosaic, packing) => bayer_name(mosaic, packing),
        }
    }

    /// Returns V4L2's four-character code as the kernel's number.
    pub fn four_character_code(self) -> u32 {
        let letters = format!("{:4}", self.name());
        letters.bytes().rev().fold(0, |code, byte| code << 8 | u32::from(byte))
    }

    /// Returns how the samples lie in memory, if they are those of a sensor with more than 8 bits or with a mosaic.
    /// `Y10b` has a packing of its own.
    pub fn packing(self) -> Option<Packing> {
        match self {
            PixelFormat::Y10 => Some(Packing::Ten),
            PixelFormat::Y12 => Some(Packing::Twelve),
            PixelFormat::Y16 => Some(Packing::Sixteen),
            PixelFormat::Y10p => Some(Packing::MipiTen),
            PixelFormat::Y12p => Some(Packing::MipiTwelve),
            PixelFormat::Bayer(_, packing) => Some(packing),
            _ => None,
        }
    }

    /// Returns the number of bits of a sample that comes as the sensor gives it, or `None` for other formats.
    pub fn sensor_bits(self) -> Option<u32> {
        if self == PixelFormat::Y10b {
            return Some(10);
        }
        Some(match self.packing()? {
            Packing::Eight => 8,
            Packing::Ten | Packing::MipiTen => 10,
            Packing::Twelve | Packing::MipiTwelve => 12,
            Packing::Sixteen => 16,
        })
    }

    /// Returns whether each sample has bits to spare in its 16. Then the samples may lie at either end.
    pub fn has_spare_bits(self) -> bool {
        matches!(self.packing(), Some(Packing::Ten | Packing::Twelve))
    }

    /// Returns whether each pixel has one colour only.
    pub fn is_bayer(self) -> bool {
        matches!(self, PixelFormat::Bayer(..))
    }

    /// Returns the size of the pictures that a sensor of `size` gives.
    pub fn picture_size(self, size: Size, mode: BayerMode) -> Size {
        let divisor = if self.is_bayer() && mode == BayerMode::Half { 2 } else { 1 };
        Size { width: size.width / divisor, height: size.height / divisor }
    }

    /// Returns the number of buffers of a frame.
    pub fn planes(self) -> usize {
        if self == PixelFormat::Nm12 { 2 } else { 1 }
    }

    /// Returns whether colour is sampled only every second pixel, across and down. That makes odd sizes ambiguous.
    pub(super) fn needs_even(self) -> (bool, bool) {
        match self {
            PixelFormat::Yuyv | PixelFormat::Uyvy => (true, false),
            PixelFormat::Nv12 | PixelFormat::Nm12 | PixelFormat::Bayer(..) => (true, true),
            _ => (false, false),
        }
    }

    /// Returns the bytes of a row of `width` pixels without padding. It is zero for JPEG, which has no rows.
    pub(super) fn row_bytes(self, width: usize) -> usize {
        if let Some(packing) = self.packing() {
            return match packing {
                Packing::Eight => width,
                Packing::Ten | Packing::Twelve | Packing::Sixteen => width.saturating_mul(2),
                Packing::MipiTen => width.div_ceil(4).saturating_mul(5),
                Packing::MipiTwelve => width.div_ceil(2).saturating_mul(3),
            };
        }
        match self {
            PixelFormat::Yuyv | PixelFormat::Uyvy => width.saturating_mul(2),
            PixelFormat::Rgb3 | PixelFormat::Bgr3 => width.saturating_mul(3),
            PixelFormat::Y10b => width.saturating_mul(10).div_ceil(8),
            PixelFormat::Mjpg => 0,
            _ => width,
        }
    }
}

/// Returns V4L2's four-character code. It follows no rule: the kernel's `videodev2.h` is the source.
fn bayer_name(mosaic: Mosaic, packing: Packing) -> &'static str {
    let [rggb, grbg, gbrg, bggr] = match packing {
        Packing::Eight => ["RGGB", "GRBG", "GBRG", "BA81"],
        Packing::Ten => ["RG10", "BA10", "GB10", "BG10"],
        Packing::Twelve => ["RG12", "BA12", "GB12", "BG12"],
        Packing::Sixteen => ["RG16", "GR16", "GB16", "BYR2"],
        Packing::MipiTen => ["pRAA", "pgAA", "pGAA", "pBAA"],
        Packing::MipiTwelve => ["pRCC", "pgCC", "pGCC", "pBCC"],
    };
    match mosaic {
        Mosaic::Rggb => rggb,
        Mosaic::Grbg => grbg,
        Mosaic::Gbrg => gbrg,
        Mosaic::Bggr => bggr,
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for PixelFormat {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        PixelFormat::all().find(|f| f.name() == name).ok_or_else(|| {
            let names: Vec<_> = PixelFormat::all().map(PixelFormat::name).collect();
            format!("{name} is not one of {}", names.join(", "))
        })
    }
}

impl From<PixelFormat> for String {
    fn from(format: PixelFormat) -> String {
        format.name().to_owned()
    }
}

impl TryFrom<String> for PixelFormat {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_v4l2s() {
        let of = |name: &str| name.parse::<PixelFormat>().expect("a format").four_character_code();
        assert_eq!(of("YUYV"), 0x5659_5559);
        assert_eq!(of("Y10"), u32::from_le_bytes(*b"Y10 "));
        assert_eq!(of("pgAA"), u32::from_le_bytes(*b"pgAA"));
        let mut codes = Vec::new();
        for format in PixelFormat::all() {
            assert_eq!(serde_json::to_string(&format).expect("writes"), format!("\"{format}\""));
            assert_eq!(format.name().parse(), Ok(format));
            codes.push(format.four_character_code());
        }
        assert_eq!(codes.len(), 14 + 24);
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), 14 + 24, "every code is one format");
        for wrong in ["JPEG", "Y10 ", "yuyv", ""] {
            let why = wrong.parse::<PixelFormat>().expect_err(wrong);
            assert!(why.contains("YUYV") && why.contains("pBCC"), "{why}");
        }
    }

    #[test]
    fn rows_are_rounded_up_to_whole_groups() {
        for (name, bytes) in [
            ("Y10", [2, 8, 10, 16]),
            ("Y10P", [5, 5, 10, 10]),
            ("Y12P", [3, 6, 9, 12]),
            ("Y10B", [2, 5, 7, 10]),
            ("RGGB", [1, 4, 5, 8]),
            ("BYR2", [2, 8, 10, 16]),
        ] {
            let format: PixelFormat = name.parse().expect("a format");
            assert_eq!([1, 4, 5, 8].map(|width| format.row_bytes(width)), bytes, "{name}");
        }
        for format in PixelFormat::all() {
            assert!(format.row_bytes(usize::MAX) >= format.row_bytes(4), "{format} overflows");
        }
    }
}
