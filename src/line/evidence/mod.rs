//! Keeps the evidence: an append-only chain of lines that says what was done with every part.
//!
//! Every line holds the BLAKE3 of the line before it. So a line that is changed, left out, added or moved later shows.
//! Every 1000 lines, a checkpoint is signed with the key of the device. The lines stand in segments, which are files of
//! one folder. `docs/evidence.md` is the specification.
//!
//! From the lowest: `chain` (links of lines), `moment` (a moment with the quality of its clock), `line` (what the lines
//! say), `device_key`, `settings`, `segments` (the files), `recover` (what is found at the start), `open` (the newest
//! segment), `retain` (what is removed), `writer`, `verify` and `export`. Only the thread of the records writes.

mod chain;
pub mod device_key;
mod export;
mod line;
mod moment;
mod open;
mod recover;
mod retain;
mod segments;
mod settings;
mod verify;
mod writer;

pub use chain::{Head, hex};
pub use export::{Period, export};
pub use line::{DeviceName, Event, FORMAT, Software};
pub use moment::{ClockQuality, ClockState, Moment, parse_utc};
pub use segments::files as segments;
pub use settings::Settings;
pub use verify::{Bad, Line, Verified, verify};
pub use writer::Writer;

#[cfg(test)]
mod tests;
