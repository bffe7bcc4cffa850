//! This module measures a template on a test set of good and defective pictures.

mod figures;
mod files;
mod picture;

pub use figures::{
    DefectCounts, Evaluation, Figures, Outcome, StageTimes, Written, operating_curve,
};
pub use files::{FileInspected, Panics, inspect_file, inspect_files};
pub use picture::{Marked, TestPicture, read_mask};
