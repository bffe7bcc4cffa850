//! Names the events that the part tracker is told.

use super::part::{PartId, Reason};
use crate::clock::LineTime;
use serde::Serialize;

/// Names a condition that keeps the production line from being healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// No template is loaded and checked.
    Template,
    /// The camera is gone or silent.
    Camera,
    /// The inspection does not answer.
    Inspection,
    /// The feature extractor has failed, and no other has replaced it yet.
    Engine,
    /// The trigger or encoder input is gone.
    Inputs,
    /// An output refuses to change.
    Outputs,
    /// The last part could not be judged in time.
    Unproven,
    /// There were too many rejects in a row.
    Alarm,
    /// More parts are in flight than can be followed.
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

    /// Returns whether no part can be inspected while the fault lasts.
    pub const fn blocks(self) -> bool {
        !matches!(self, Fault::Unproven | Fault::Alarm | Fault::Overflow)
    }
}

/// Names what sees the parts that pass the trigger. A part that it may have missed never passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Watch {
    /// A free-running camera, whose frames are the parts.
    Camera,
    /// The trigger input.
    Inputs,
    /// The queue that carries triggers and frames to the part tracker.
    Queue,
}

impl Watch {
    /// Every watch.
    pub const ALL: [Watch; 3] = [Watch::Camera, Watch::Inputs, Watch::Queue];
}

/// Names what happens to the production line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The trigger saw a part at this moment, which is not later than now. `lost` edges before it were lost on their
    /// way.
    Trigger {
        /// The moment of the edge.
        at: LineTime,
        /// The number of edges between the last reported one and this one that nobody saw.
        lost: u32,
    },
    /// Parts may have passed the trigger unseen since the last trigger. All of that belt is rejected until
    /// [`Event::Seeing`] ends it for every watch that is blind.
    Blind {
        /// The watch that did not see them.
        watch: Watch,
        /// The number of parts that are known to be unseen. Each becomes a part that is rejected as
        /// [`Reason::LostTrigger`].
        parts: u32,
    },
    /// From now on this watch sees every part again.
    Seeing {
        /// The watch.
        watch: Watch,
    },
    /// The encoder stands at this count, which never falls.
    Count(u64),
    /// A captured part has its result. Every [`super::Command::Capture`] is answered once.
    Result {
        /// The part.
        part: PartId,
        /// The reason why it is rejected. `None` means that it is good.
        reject: Option<Reason>,
    },
    /// A condition begins or ends.
    Condition {
        /// The fault.
        fault: Fault,
        /// Whether it is present now.
        present: bool,
    },
    /// Something begins or ends to drift. Only the warning output shows it; no part is treated differently.
    Drift {
        /// Whether something drifts now.
        present: bool,
    },
    /// Take the safe state and stay there. It also ends commissioning.
    Safe,
    /// Leave the safe state. It is ignored during commissioning.
    Resume,
    /// Take the safe state, and allow test pulses of the reject output. Triggers are rejected as in the safe state.
    /// During commissioning it is ignored.
    Commission {
        /// The moment at which commissioning ends by itself.
        until: LineTime,
    },
    /// Give the reject output one pulse, if [`super::PartTracker::may_pulse`] allows it.
    TestPulse {
        /// The moment at which the pulse begins.
        due: LineTime,
    },
    /// End commissioning. A test pulse ends at once, and the safe state stays.
    EndCommissioning,
    /// Somebody has seen the alarm.
    Acknowledge,
    /// Nothing but time has passed.
    Tick,
}
