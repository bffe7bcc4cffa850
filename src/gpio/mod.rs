//! Uses GPIO lines: how people name them, edges that come in, levels that go out.
//!
//! Nothing in this module knows what a GPIO line means to the inspection. Nothing in it may panic. The lints below
//! enforce it.

#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::todo,
    clippy::unimplemented,
    clippy::unreachable,
    clippy::unwrap_used
)]

mod edges;
mod find;
mod output;

pub use edges::{Bias, Edge, EdgeError, EdgeInput, EdgeKind, Edges};
pub use find::{Found, LineRef, find, remedy};
pub use output::{MemoryPin, Output, PinError, Polarity, Wiring};
