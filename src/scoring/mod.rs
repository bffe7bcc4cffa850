//! This module turns distances into a score, the regions behind it, and a verdict.

pub mod blur;
pub mod components;
pub mod extent;
pub mod fusion;
mod peak;
pub mod regions;
pub mod rules;
mod scorer;
mod summary;
pub mod verdict;

pub use peak::Peak;
pub use regions::Region;
pub use rules::Rules;
pub use scorer::{Fusion, Layer, Scored, Scorer};
pub use summary::{Deviation, Map, MapSummary};
pub use verdict::{Decided, DecidedBy, Thresholds, Verdict};
