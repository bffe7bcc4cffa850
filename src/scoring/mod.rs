//! From distances to a score and the regions behind it.

pub mod blur;
pub mod components;
pub mod fusion;
pub mod regions;
mod scorer;

pub use regions::Region;
pub use scorer::{Fusion, Layer, Scored, Scorer};
