//! Visual inspection from good pictures alone (HETMM with PTS).

pub mod backbone;
#[cfg(feature = "desktop")]
pub mod builder;
#[cfg(feature = "edge")]
pub mod camera;
#[cfg(feature = "edge")]
pub mod clock;
pub mod containment;
pub mod error;
pub mod feature_map;
pub mod files;
#[cfg(feature = "edge")]
pub mod gpio;
pub mod heatmap;
pub mod image;
pub mod inspection;
#[cfg(feature = "edge")]
pub mod line;
pub mod matching;
pub mod metrics;
pub mod scoring;
pub mod selection;
#[cfg(feature = "desktop")]
pub mod sensitivity;
pub mod template;
pub mod update;
pub mod wording;

pub use error::{Error, Result};
