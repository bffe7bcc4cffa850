//! This module decides which good vectors become prototypes. It holds pixel-level template
//! selection (PTS) and its baselines.
//!
//! Selection works on one pixel coordinate at a time, on the N feature vectors that the N good
//! pictures have there. [`gram`] turns them into similarities. [`optics`] and [`xi`] find the
//! easy-nominal regions. [`pts`] picks medoids and then hard-nominal prototypes. [`baselines`]
//! and [`kmeans`] hold the methods that the paper compares PTS with (Fig. 9).

#[cfg(feature = "desktop")]
pub mod baselines;
#[cfg(feature = "desktop")]
pub mod gram;
#[cfg(feature = "desktop")]
pub mod kmeans;
#[cfg(feature = "desktop")]
pub mod optics;
#[cfg(feature = "desktop")]
pub mod pts;
#[cfg(feature = "desktop")]
pub mod xi;

use serde::{Deserialize, Serialize};

/// The rule that chooses prototypes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rule {
    /// Every picture is a sheet.
    All,
    /// OPTICS medoids come first, then hard-nominal prototypes.
    Pts(HardRule),
    /// Whole pictures are drawn at random.
    RandomImage,
    /// Vectors are drawn at random, separately for every pixel.
    RandomPixel,
    /// Sheets are mean feature maps of k-means clusters of whole pictures.
    KmeansImage,
    /// Prototypes are k-means centroids, separately for every pixel.
    KmeansPixel,
}

/// The rule that picks the next hard-nominal prototype among the unselected vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HardRule {
    /// Farthest first: the vector with the largest distance to its nearest selected prototype.
    MaxMin,
    /// The published rule (Eq. 9): the vector with the largest summed distance to all selected
    /// prototypes.
    Sum,
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Rule::All => "all",
            Rule::Pts(HardRule::MaxMin) => "pts, maxmin",
            Rule::Pts(HardRule::Sum) => "pts, sum",
            Rule::RandomImage => "random-image",
            Rule::RandomPixel => "random-pixel",
            Rule::KmeansImage => "kmeans-image",
            Rule::KmeansPixel => "kmeans-pixel",
        })
    }
}
