//! This module holds the template file, which a workstation builds and a camera loads.
//!
//! `docs/template-format.md` is its specification. [`container`] is the outer form (prelude,
//! checksums, aligned sections), and [`header`] is the description. [`Template`] is a loaded file,
//! and [`writer::Draft`] is a file that is being made.

pub mod container;
mod contents;
pub mod header;
mod load;
mod numbers;
#[cfg(any(feature = "desktop", feature = "line"))]
pub mod signature;
pub mod writer;

pub use container::FORMAT;
pub use contents::Template;
pub use header::{
    Basis, Calibration, Decision, Evidence, Grouping, HeaderV1, ImageRecord, LayerRecord, LayerUse,
    Origin, ProbeRecord, Proof, Provenance, Settings,
};
#[cfg(feature = "line")]
pub(crate) use load::OwnBytes;
