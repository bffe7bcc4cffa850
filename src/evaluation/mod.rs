//! What a template makes of a test set: pictures with their truth, and figures.

mod figures;
mod file;
mod picture;

pub use figures::{
    DefectCounts, Evaluation, Figures, Outcome, StageTimes, Written, operating_curve,
};
pub use file::{FileInspected, inspect_file};
pub use picture::{Marked, TestPicture, read_mask};
