//! The part tracker: what happens to every part between trigger and gate, as a pure state machine.
//!
//! It reads no clock and touches no device. The caller hands it events with the time and carries
//! out the commands that it gives back; the same events give the same commands.
//!
//! ```text
//!  trigger ──┬── capture ── result ──┐                       ┌── ng pulse  (anything else)
//!            │                       ├─ deadline ── ... ── gate
//!            └───────────────────────┘                       └── ok pulse  (good result in time)
//! ```
//!
//! The contract, kept by the properties in `tests/tracker.rs`:
//! - every trigger becomes a part with its own number, and every part gets exactly one outcome,
//!   in the order of the triggers, as it reaches the gate;
//! - a part passes only with a good result that came before its deadline, while nothing that
//!   could mix it up with a neighbour was seen; everything else is a reject with its reason;
//! - belt on which parts may lie that nobody saw (lost edges, [`Event::Blind`]) is rejected from
//!   the last part that was seen to the next one, beginning at once where it is at the gate already;
//! - the parts and stretches of belt that are followed are bounded by [`Settings::max_in_flight`]:
//!   what finds no place makes the last of them longer, and rejects it; a part without a place is
//!   rejected and counted as [`Reason::Overflow`];
//! - a reject pulse begins when the part is due at the gate and not before, lasts at least its
//!   width, and is merged with pulses that it touches;
//! - [`Event::Safe`] leads to the safe state from everywhere, at once.

mod belt;
mod command;
mod counters;
mod deadlines;
mod event;
mod machine;
mod part;
mod pulse;
mod settings;

pub use command::{Command, Line};
pub use counters::Counters;
pub use event::{Event, Fault, Watch};
pub use machine::PartTracker;
pub use part::{Finished, Outcome, PartId, Reason};
pub use settings::{Pitch, Settings, Travel};
