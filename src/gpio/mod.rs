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
#![cfg_attr(
    test,
    allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)
)]

mod bridge;
mod chips;
mod edges;
mod expander;
mod find;
mod jetson;
mod output;
mod pin_error;
mod pinmux;

pub use bridge::{BridgeEnd, TOGGLES, toggle};
pub use chips::ChipRef;
pub use edges::{Bias, Edge, EdgeError, EdgeInput, EdgeKind, Edges};
pub use expander::{Expander, ExpanderHealth, ExpanderKind, ExpanderPin, ExpanderSettings};
pub use find::{Found, LineRef, find, refuse_shared, remedy};
pub use jetson::JetsonRelease;
pub use output::{MemoryPin, Output, Polarity, Wiring};
pub use pin_error::PinError;
pub use pinmux::{PinUse, pin_use};
