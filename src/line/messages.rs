//! Holds what the threads of the production line tell one another. The module stands below all of them.

use super::assessment::Assessment;
use super::reply::Reply;
use super::request::Request;
use super::tracker::{Event, PartId, Reason};
use crate::camera::{BadFrame, Frame};
use crate::clock::LineTime;

/// Holds what the hub thread is told.
pub enum Message {
    /// An event for the part tracker.
    Event(Event),
    /// A frame of a free-running camera. It is a part by itself.
    Frame(Box<FreeFrame>),
    /// The result for a captured part.
    Judged(Box<Judged>),
    /// A request from the control socket that has to keep its place among the events.
    Control(Request, Reply),
    /// No more triggers will come. Stop when the last part has passed the gate.
    Finish,
    /// Take the safe state and stop.
    Stop,
}

/// Holds what a free-running camera gives.
pub struct FreeFrame {
    /// The frame. A frame that cannot be used is a part that is rejected.
    pub frame: std::result::Result<Frame, BadFrame>,
    /// The number of frames before it that were lost.
    pub lost: u32,
}

/// Describes a frame that is wanted.
#[derive(Debug, Clone, Copy)]
pub struct WantedFrame {
    /// The part that the frame is for.
    pub part: PartId,
    /// The moment at which the part was triggered.
    pub triggered_at: LineTime,
    /// The exposure must not begin earlier.
    pub not_before: LineTime,
    /// The moment after which a frame is worth nothing.
    pub deadline: LineTime,
}

/// Holds a frame to be inspected.
pub struct Job {
    /// The part in the frame.
    pub part: PartId,
    /// The moment at which the part was triggered.
    pub triggered_at: LineTime,
    /// The moment after which a result is worth nothing.
    pub deadline: LineTime,
    /// The frame with the picture of the part.
    pub frame: Frame,
}

/// Holds the answer to a capture.
pub struct Judged {
    /// The part.
    pub part: PartId,
    /// The moment at which the part was triggered.
    pub triggered_at: LineTime,
    /// What was found, or why nothing could be.
    pub result: std::result::Result<Assessment, Reason>,
}
