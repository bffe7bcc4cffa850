//! Builds a template: the feature pass, selection, leave-one-out scores, the file.
//!
//! `gather` computes the features of all pictures, or reads them from a [`features_file`]. [`store`] holds them, in
//! memory or in a scratch file. `strays` leaves out what does not belong, as [`audit`] and [`exposures`] find it. If
//! there are few pictures, `rotations` adds turned copies. `prototypes` chooses at every pixel, and `patches` chooses
//! for the position-free layers. `leave_one_out` scores every good picture without its own prototypes. `folds` and
//! `threshold` set the threshold. The same pictures and options give the same bytes with any number of threads.

pub mod audit;
mod blocks;
mod build;
pub mod calibration;
mod draft;
pub mod exposures;
mod features;
pub mod features_file;
mod few_at_once;
mod fill;
mod folds;
mod gather;
mod golden;
pub mod input_size;
pub mod layers;
mod leave_one_out;
mod look;
pub mod memory;
mod notices;
mod options;
pub mod overrides;
mod patches;
pub mod presets;
mod progress;
mod prototypes;
mod rotations;
pub mod shard;
mod short_form;
pub mod store;
mod strays;
mod threshold;
mod usable;

pub use build::{Report, Times, build};
pub use features::Source;
pub use folds::too_few;
pub use gather::{Input, Pass};
pub use notices::Notice;
pub use options::{Baseline, Options, PositionFree, Rotations, Sheets, Suspects, Weights};
pub use progress::{Progress, Stage};
pub use short_form::short_form;
pub use strays::Suspect;
pub use threshold::USUAL_RATE;
