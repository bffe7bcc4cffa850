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
//!   what finds no place makes the last of them longer, and rejects it;
//! - a reject pulse begins when the part is due at the gate and not before, lasts at least its
//!   width, and is merged with pulses that it touches;
//! - [`Event::Safe`] leads to the safe state from everywhere, at once.

mod counters;
mod machine;
mod part;
mod pulse;

pub use counters::Counters;
pub use machine::PartTracker;
pub use part::{Finished, Outcome, PartId, Reason};

use crate::clock::LineTime;
use serde::Serialize;
use std::time::Duration;

/// How far it is from the trigger to the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Travel {
    /// A belt of constant speed: this long.
    Time(Duration),
    /// A belt of any speed: so many encoder counts.
    Counts(u64),
}

/// How close two triggers may be before their parts cannot be told apart at the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pitch {
    /// So long.
    Time(Duration),
    /// So many encoder counts.
    Counts(u64),
}

/// What the part tracker has to know about the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// From trigger to gate.
    pub travel: Travel,
    /// Smallest distance of two triggers.
    pub min_pitch: Pitch,
    /// From trigger to the moment when a result has to be there. With [`Travel::Time`] no longer
    /// than the travel.
    pub deadline: Duration,
    /// Width of the reject pulse.
    pub ng_width: Duration,
    /// Width of the pulse for a part that passes.
    pub ok_width: Duration,
    /// From trigger to strobe.
    pub strobe_delay: Duration,
    /// Width of the strobe.
    pub strobe_width: Duration,
    /// The heartbeat changes its level this often; zero for no heartbeat.
    pub heartbeat_half_period: Duration,
    /// Most parts between camera and gate that are followed one by one.
    pub max_in_flight: usize,
    /// Most parts that wait for a result; with more, the line is not ready.
    pub max_waiting: usize,
    /// So many rejects in a row raise the alarm; zero for never.
    pub alarm_after: u32,
    /// Whether the safe state holds the reject output active.
    pub ng_active_when_safe: bool,
}

/// The outputs, by what they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// A part passes.
    Ok,
    /// A part is rejected.
    Ng,
    /// A trigger would be accepted.
    Ready,
    /// A part waits for its result.
    Busy,
    /// Light for an exposure.
    Strobe,
    /// Something is wrong. Wired so that energised means healthy.
    Fault,
    /// Changes its level as long as the part tracker lives.
    Heartbeat,
}

impl Line {
    /// Every output, in the order of [`Line::index`].
    pub const ALL: [Line; 7] =
        [Line::Ok, Line::Ng, Line::Ready, Line::Busy, Line::Strobe, Line::Fault, Line::Heartbeat];

    /// Its place in tables.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Whether the line is active in the safe state.
    pub const fn active_when_safe(self, ng_active_when_safe: bool) -> bool {
        match self {
            Line::Fault => true,
            Line::Ng => ng_active_when_safe,
            _ => false,
        }
    }
}

/// A condition that keeps the line from being healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// No template is loaded and proven.
    Template,
    /// The camera is gone or silent.
    Camera,
    /// The inspection does not answer.
    Inspection,
    /// What computes features has failed, and no other is in its place yet.
    Engine,
    /// The trigger or encoder input is gone.
    Inputs,
    /// An output refuses to change.
    Outputs,
    /// The last part that was looked at could not be judged in time.
    Unproven,
    /// Too many rejects in a row.
    Alarm,
    /// More parts in flight than can be followed.
    Overflow,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Fault; 9] = [
        Fault::Template,
        Fault::Camera,
        Fault::Inspection,
        Fault::Engine,
        Fault::Inputs,
        Fault::Outputs,
        Fault::Unproven,
        Fault::Alarm,
        Fault::Overflow,
    ];

    /// Whether no part can be inspected as long as it lasts.
    pub const fn blocks(self) -> bool {
        !matches!(self, Fault::Unproven | Fault::Alarm | Fault::Overflow)
    }
}

/// What sees the parts that pass the trigger. A part that it may have missed is never passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Watch {
    /// A free-running camera, whose frames are the parts.
    Camera,
    /// The trigger input.
    Inputs,
    /// The queue that carries triggers and frames to the state machine.
    Queue,
}

impl Watch {
    /// Every watch.
    pub const ALL: [Watch; 3] = [Watch::Camera, Watch::Inputs, Watch::Queue];
}

/// What happens to the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A part was seen by the trigger at this moment (not later than now), and `lost` edges
    /// before it were lost on their way.
    Trigger {
        /// When the edge happened.
        at: LineTime,
        /// Edges between the last one reported and this that nobody saw.
        lost: u32,
    },
    /// From the last trigger on, parts may have passed the trigger unseen. All of that belt is
    /// rejected until [`Event::Seeing`] ends it for every watch that is blind.
    Blind {
        /// What did not see them.
        watch: Watch,
        /// How many of them are known of. Each becomes a part that is rejected as
        /// [`Reason::LostTrigger`].
        parts: u32,
    },
    /// From now on this watch sees every part again.
    Seeing {
        /// Which.
        watch: Watch,
    },
    /// The encoder stands at this count, which never falls.
    Count(u64),
    /// What became of a part that was captured. Every [`Command::Capture`] is answered once.
    Result {
        /// The part.
        part: PartId,
        /// `None`: good; otherwise why it is rejected.
        reject: Option<Reason>,
    },
    /// A condition begins or ends.
    Condition {
        /// Which.
        fault: Fault,
        /// Whether it is there now.
        present: bool,
    },
    /// Go to the safe state and stay there.
    Safe,
    /// Leave the safe state.
    Resume,
    /// Somebody has seen the alarm.
    Acknowledge,
    /// Nothing but time has passed.
    Tick,
}

/// What has to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// An output changes.
    Set {
        /// Which.
        line: Line,
        /// Whether it becomes active; polarity is the output's own affair.
        active: bool,
        /// When it should have happened: now, or earlier where the part tracker was called late.
        at: LineTime,
    },
    /// Take and inspect the picture of a part.
    Capture {
        /// The part.
        part: PartId,
        /// When it was triggered.
        triggered_at: LineTime,
        /// A result after this moment is worth nothing.
        deadline: LineTime,
    },
    /// A part has its outcome.
    Finished(Finished),
}
