//! What the part tracker is told.

use super::part::{PartId, Reason};
use crate::clock::LineTime;
use serde::Serialize;

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
    /// What became of a part that was captured. Every [`super::Command::Capture`] is answered once.
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
