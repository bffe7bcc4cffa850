//! Figures of merit: image and pixel AUROC, and AUPRO.

mod aupro;
mod auroc;

pub use aupro::{PixelTruth, aupro};
pub use auroc::{SortedScores, auroc};
