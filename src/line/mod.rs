//! Runs a production line, from trigger edge to reject pulse.
//!
//! ```text
//! inputs ──edges──> hub (tracker, outputs) ─captures──> capture ──frames──> inspect
//!                    ^  │                                                     │
//! control, replay ───┘  └──> records                  archive <── rejects ────┤
//!                    ^                                  drift <── numbers ────┤
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
pub mod bench;
pub mod capture;
pub mod collect;
pub mod config;
pub mod control;
pub mod current;
pub mod device_identity;
pub mod drift;
pub mod drift_keeper;
pub mod evidence;
mod expanders;
pub mod feed;
pub mod feedback;
pub mod gate;
mod held;
pub mod hub;
pub mod inbox;
pub mod inputs;
pub mod inspect;
pub mod light;
pub mod live;
mod local_socket;
pub mod messages;
pub mod outbox;
pub mod outputs;
pub mod proof;
pub mod record;
pub mod records;
pub mod reply;
pub mod request;
mod rotated;
pub mod slot;
pub mod slots;
pub mod status;
pub mod supervise;
pub mod teach;
pub mod template_identity;
pub mod templates;
mod test_pulse;
pub mod tracker;
pub mod trust;
pub mod wall_clock;
pub mod wiring;
