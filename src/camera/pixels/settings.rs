//! Holds the settings that turn a sensor's own samples into a picture.

use serde::{Deserialize, Serialize};

/// Says where the samples lie in their 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Align {
    /// At the low end, as V4L2 says. The bits above are zero.
    #[default]
    Low,
    /// At the high end, as some drivers do. The bits below are not used.
    High,
}

/// Says how the missing colours of a Bayer sensor are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BayerMode {
    /// Two by two pixels of the sensor become one of the picture. Nothing is invented.
    #[default]
    Half,
    /// A missing colour is the mean of the neighbours that have it.
    Bilinear,
}

/// Holds the settings for a sensor's own samples. The names of the fields are the keys of the configuration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RawSettings {
    /// Where samples of 10 and 12 bits lie in their 16.
    pub align: Align,
    /// The sample that means black, in the sensor's own unit. It is subtracted.
    pub black: u16,
    /// What red, green and blue are multiplied with, after black is subtracted.
    pub white_balance: [f32; 3],
    /// How the missing colours are found.
    pub bayer: BayerMode,
}

impl Default for RawSettings {
    fn default() -> Self {
        RawSettings {
            align: Align::default(),
            black: 0,
            white_balance: [1.0; 3],
            bayer: BayerMode::default(),
        }
    }
}
