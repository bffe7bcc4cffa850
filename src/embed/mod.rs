//! Holds the public face: inspection inside another program.
//!
//! [`Inspector`] holds a template and inspects pictures from any number of threads. [`Teacher`] changes a template's
//! file. What stands here keeps its meaning between minor versions. The crate root exports it again.

mod inspection;
mod inspector;
mod options;
mod teacher;

pub use crate::inspection::Timing;
pub use inspection::{Inspection, Map};
pub use inspector::Inspector;
#[cfg(feature = "desktop")]
pub(crate) use inspector::panicked;
pub use options::{Options, OptionsBuilder};
pub use teacher::Teacher;
