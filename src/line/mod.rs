//! The line: from trigger edge to reject pulse.
//!
//! ```text
//! inputs ──edges──> hub (tracker, outputs) ─captures──> capture ──frames──> inspect
//!                    ^  │                                                     │
//! control, replay ───┘  └──> records                  archive <── rejects ────┤
//!                    ^                                                        │
//!                    └──────────────── results ───────────────────────────────┘
//! ```
//!
//! Every box is a thread; the arrows are bounded queues. [`tracker`] decides, as a pure state
//! machine; [`hub`] is the only thread that drives outputs. [`supervise`] watches the others, and
//! a part whose result does not come is rejected without anybody's help.
//!
//! Nothing in here may panic: the lints below keep it so.

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

pub mod alive;
pub mod archive;
pub mod assessment;
pub mod capture;
pub mod config;
pub mod control;
pub mod current;
pub mod hub;
pub mod inputs;
pub mod inspect;
pub mod messages;
pub mod outbox;
pub mod outputs;
pub mod proof;
pub mod record;
pub mod records;
pub mod reply;
pub mod request;
pub mod status;
pub mod supervise;
pub mod teach;
pub mod templates;
pub mod tracker;
