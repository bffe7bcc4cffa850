//! Decides what happens to every part between trigger and gate, as a pure state machine.
//!
//! It reads no clock and touches no hardware. The caller hands it events with the time and carries out the commands
//! that it returns. The same events give the same commands.
//!
//! ```text
//!  trigger ──┬── capture ── result ──┐                       ┌── ng pulse  (anything else)
//!            │                       ├─ deadline ── ... ── gate
//!            └───────────────────────┘                       └── ok pulse  (good result in time)
//! ```
//!
//! The properties in `tests/library/tracker.rs` check this contract:
//! - Every trigger becomes a part with its own number. Every part gets exactly one outcome, in the order of the
//!   triggers, as it reaches the gate.
//! - A part passes only with a good result from before its deadline, and only if nothing was seen that could mix it up
//!   with a neighbour. Everything else is a reject with its reason.
//! - If unseen parts may lie on the belt (lost edges, [`Event::Blind`]), the belt is rejected from the last part that
//!   was seen to the next one. If that belt is already at the gate, the reject begins at once.
//! - [`Settings::max_in_flight`] bounds the parts and stretches of belt that are followed. What finds no place makes
//!   the last of them longer, and rejects it. A part without a place is rejected and counted as [`Reason::Overflow`].
//! - A reject pulse begins when the part is due at the gate and not before. It lasts at least its width, and is merged
//!   with pulses that it touches.
//! - [`Event::Safe`] leads to the safe state at once, from every state.
//! - Commissioning is a part of the safe state. In it, the reject output leaves its safe level only for test pulses: one
//!   at a time, of [`Settings::ng_width`], and at most one in [`TEST_PULSE_PITCH`].

mod belt;
mod command;
mod commissioning;
mod counters;
mod deadlines;
mod event;
mod machine;
mod part;
mod pulse;
mod settings;

pub use command::{Command, Line};
pub use commissioning::{PulseRefusal, TEST_PULSE_PITCH};
pub use counters::Counters;
pub use event::{Event, Fault, Watch};
pub use machine::PartTracker;
pub use part::{Finished, Outcome, PartId, Reason};
pub use settings::{Pitch, Settings, Travel};
