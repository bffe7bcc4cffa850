//! This module says what a study tries, and on which pictures.

use super::defects::Kind;
use crate::error::Result;
use crate::image::{NetworkImage, Picture};
use crate::inspection::Pipeline;
use crate::scoring::Scored;

/// The fewest tries of a kind and contrast. Fewer tries are too little evidence.
pub const LEAST_RUNS: usize = 60;
/// The most tries of a kind and contrast.
pub const MOST_RUNS: usize = 5000;

/// Good pictures that a template has not seen, and the pipeline that scores them.
pub trait Subject: Sync {
    /// Returns the pipeline that inspects them.
    fn pipeline(&self) -> &Pipeline;

    /// Returns how many pictures there are.
    fn count(&self) -> usize;

    /// Returns picture `index`, as its file has it.
    ///
    /// # Errors
    /// Those of reading the file.
    fn picture(&self, index: usize) -> Result<Picture>;

    /// Returns the score and the map of `image`. It is picture `index` with or without a defect, at
    /// the network's input size.
    ///
    /// # Errors
    /// Those of the feature extractor.
    fn scored(&self, index: usize, image: &NetworkImage) -> Result<Scored>;
}

/// The tries that a study makes.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The kinds. A kind that has a contrast comes with it, in grey levels of 255.
    pub kinds: Vec<(Kind, Option<f32>)>,
    /// How many tries each kind and contrast has.
    pub runs: usize,
    /// The seed of everything that is drawn.
    pub seed: u64,
    /// Whether pictures that cannot be read or inspected are left out instead of ending the study.
    pub skip_unreadable: bool,
}

impl Plan {
    /// Plans tries of all `kinds`. A kind that has a contrast comes once with each of `contrasts`.
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

/// A function that is called with the number of tries that are done, and the number of all tries.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);
