//! This module measures a template on a test set of good and defective pictures.

mod figures;
mod file;
mod picture;

pub use figures::{
    DefectCounts, Evaluation, Figures, Outcome, StageTimes, Written, operating_curve,
};
pub use file::{FileInspected, inspect_file};
pub use picture::{Marked, TestPicture, read_mask};
