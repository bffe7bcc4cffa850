//! GPIO lines: how people name them, edges that come in, levels that go out.
//!
//! Nothing in here knows what a line means to the inspection. Nothing in here may panic: the lints below keep it so.

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
