//! The template file: what a workstation builds and a camera loads.
//!
//! `docs/template-format.md` is its specification. [`container`] is the outer form (prelude,
//! checksums, aligned sections), [`header`] the description, [`Template`] a loaded file,
//! [`writer::Draft`] one being made.

pub mod container;
mod contents;
pub mod header;
mod load;
mod numbers;
pub mod writer;

pub use container::FORMAT;
pub use contents::Template;
pub use header::{
    Basis, Calibration, Decision, Evidence, Grouping, HeaderV1, ImageRecord, LayerRecord, LayerUse,
    Origin, ProbeRecord, Proof, Provenance, Settings,
};
#[cfg(feature = "edge")]
pub(crate) use load::open_file;
