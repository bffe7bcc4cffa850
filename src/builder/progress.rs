//! How far a build has come, for whoever shows it.

/// Parts of a build, for progress displays.
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
    /// Building without a part of the pictures and scoring that part, for the threshold.
    Folds,
}

/// Called with how many steps of a stage are done, of how many.
pub type Progress<'a> = &'a (dyn Fn(Stage, usize, usize) + Sync);
