//! Figures of merit: image and pixel AUROC, and AUPRO.

mod aupro;
mod auroc;

pub use aupro::{PixelTruth, ProCurve, aupro, pro_curve};
pub use auroc::{SortedScores, auroc};
