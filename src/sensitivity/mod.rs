//! This module estimates the probability of detection: which made-up defects a template finds, by
//! kind, contrast and size.
//!
//! [`defects`] draws a defect of known size into a good picture. [`study`] plans such tries,
//! inspects them and notes which were found. [`pod`] turns hits and misses into the size that is
//! found in 90 % of the cases with 95 % confidence, as MIL-HDBK-1823A defines it. [`blind`] tells
//! where in the picture fewer defects are found than elsewhere. [`short`] is a quick estimate for
//! dark spots.
//!
//! A made-up defect is not a real one. The result is a statement about a template that is already
//! built. Nothing here chooses a setting, because made-up defects rank settings badly on products
//! with thin cracks or faint specks.

mod bench;
pub mod blind;
pub mod defects;
pub mod logit;
mod places;
mod plan;
pub mod pod;
pub mod short;
mod sizes;
pub mod study;
mod texture;

pub use blind::BlindMap;
pub use defects::{Defect, Kind};
pub use plan::{LEAST_RUNS, MOST_RUNS, Plan, Progress, Subject};
pub use pod::{Limit, Pod};
pub use study::{KindResult, Study};
