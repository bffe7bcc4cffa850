//! Visual inspection from good pictures alone (HETMM with PTS).

pub mod backbone;
pub mod error;
pub mod feature_map;
pub mod image;
pub mod matching;
pub mod metrics;
pub mod scoring;
pub mod selection;

pub use error::{Error, Result};
