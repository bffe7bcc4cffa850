//! Which good vectors become prototypes: pixel-level template selection (PTS) and its baselines.
//!
//! Selection works on one pixel coordinate at a time: the N feature vectors that the N good
//! pictures have there. [`gram`] turns them into similarities, [`optics`] and [`xi`] find the
//! easy-nominal regions, [`pts`] picks medoids and then hard-nominal prototypes. [`baselines`]
//! holds what the paper compares PTS with (Fig. 9).

#[cfg(feature = "desktop")]
pub mod baselines;
#[cfg(feature = "desktop")]
pub mod gram;
#[cfg(feature = "desktop")]
pub mod optics;
#[cfg(feature = "desktop")]
pub mod pts;
#[cfg(feature = "desktop")]
pub mod xi;

use serde::{Deserialize, Serialize};

/// How prototypes are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rule {
    /// Every picture is a sheet.
    All,
    /// OPTICS medoids, then hard-nominal prototypes.
    Pts(HardRule),
    /// Whole pictures, drawn at random.
    RandomImage,
    /// Vectors drawn at random, anew for every pixel.
    RandomPixel,
    /// Mean feature maps of k-means clusters of whole pictures.
    KmeansImage,
    /// k-means centroids, anew for every pixel.
    KmeansPixel,
}

/// Which unselected vector is the next hard-nominal prototype.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HardRule {
    /// Farthest first: the one with the largest distance to its nearest selected prototype.
    MaxMin,
    /// The published rule (Eq. 9): the one with the largest summed distance to all selected ones.
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
