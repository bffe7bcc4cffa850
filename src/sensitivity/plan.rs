//! What a study tries, on which pictures.

use super::defects::Kind;
use crate::error::Result;
use crate::image::{NetworkImage, Picture};
use crate::inspection::Pipeline;
use crate::scoring::Scored;

/// Fewest tries of a kind and contrast: fewer prove nothing.
pub const LEAST_RUNS: usize = 60;
/// Most tries of a kind and contrast.
pub const MOST_RUNS: usize = 5000;

/// Good pictures that a template has not seen, and what scores them.
pub trait Subject: Sync {
    /// What inspects them.
    fn pipeline(&self) -> &Pipeline;

    /// How many pictures there are.
    fn count(&self) -> usize;

    /// Picture `index`, as its file has it.
    ///
    /// # Errors
    /// What the file refuses.
    fn picture(&self, index: usize) -> Result<Picture>;

    /// The score and map of `image`, which is picture `index` with or without a defect, at network size.
    ///
    /// # Errors
    /// What the feature extractor refuses.
    fn scored(&self, index: usize, image: &NetworkImage) -> Result<Scored>;
}

/// What is tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The kinds, those that have one with their contrast in grey levels of 255.
    pub kinds: Vec<(Kind, Option<f32>)>,
    /// How many tries each of them has.
    pub runs: usize,
    /// The seed of everything that is drawn.
    pub seed: u64,
    /// Whether pictures that cannot be read or inspected are left out instead of ending the study.
    pub skip_unreadable: bool,
}

impl Plan {
    /// All of `kinds`; those that have a contrast once with each of `contrasts`.
    pub fn new(kinds: &[Kind], contrasts: &[f32], runs: usize, seed: u64) -> Self {
        let of_kind = |&kind: &Kind| -> Vec<(Kind, Option<f32>)> {
            match kind.has_contrast() {
                true => contrasts.iter().map(|&contrast| (kind, Some(contrast))).collect(),
                false => vec![(kind, None)],
            }
        };
        Plan {
            kinds: kinds.iter().flat_map(of_kind).collect(),
            runs: runs.clamp(LEAST_RUNS, MOST_RUNS),
            seed,
            skip_unreadable: false,
        }
    }
}

/// Called with how many tries are done, of how many.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);
