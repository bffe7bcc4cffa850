//! This module computes figures of merit: image and pixel AUROC, AUPRO and the operating curve. It
//! also says what to try next where they are low.

pub mod advice;
mod aupro;
mod auroc;
mod operating;

pub use aupro::{PixelTruth, ProCurve, aupro, pro_curve};
pub use auroc::{SortedScores, auroc};
pub use operating::{Counts, OperatingCurve, Point, average_precision, operating_point, vertices};
