//! Runs a production line, from trigger edge to reject pulse.
//!
//! ```text
//! inputs ──edges──> hub (tracker, outputs) ─captures──> capture ──frames──> inspect
//!                    ^  │                                                     │
//! control, replay ───┘  └──> records                  archive <── rejects ────┤
//!                    ^                                                        │
//!                    └──────────────── results ───────────────────────────────┘
//! ```
//!
//! Every box is a thread, and every arrow is a bounded queue. [`tracker`] decides, as a pure state machine. Only the
//! thread of [`hub`] drives outputs. [`supervise`] watches the other threads. A part whose result does not come is
//! rejected, and no thread has to act for that.
//!
//! Nothing in this module may panic. The lints below enforce it.

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
pub mod feed;
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
