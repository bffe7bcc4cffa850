//! Says how far a build has come, for programs that show it.

/// Names the stages of a build, for progress displays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Decoding pictures and running the backbone.
    Features,
    /// Comparing every picture with the others.
    Audit,
    /// Running the backbone on mirrored pictures.
    Mirrored,
    /// Running the backbone on turned copies.
    Turned,
    /// Choosing prototypes, pixel by pixel.
    Selection,
    /// Scoring every picture without its own prototypes.
    LeaveOneOut,
    /// Building without one fold of the pictures and scoring that fold, for the threshold.
    Folds,
}

/// Is called with a stage, the number of its steps that are done, and the number of all its steps.
pub type Progress<'a> = &'a (dyn Fn(Stage, usize, usize) + Sync);
