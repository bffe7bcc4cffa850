//! What the threads of the line tell one another. The module stands below all of them.

use super::assessment::Assessment;
use super::reply::Reply;
use super::request::Request;
use super::tracker::{Event, PartId, Reason};
use crate::camera::{BadFrame, Frame};
use crate::clock::LineTime;

/// What the line's thread is told.
pub enum Message {
    /// An event for the tracker.
    Event(Event),
    /// A frame of a free-running camera: a part by itself.
    Frame(Box<FreeFrame>),
    /// What became of a captured part.
    Judged(Box<Judged>),
    /// A request from the control socket that has to keep its place among the events.
    Control(Request, Reply),
    /// No more triggers will come: stop when the last part has passed the gate.
    Finish,
    /// Take the safe state and stop.
    Stop,
}

/// What a free-running camera gives.
pub struct FreeFrame {
    /// The frame; one that cannot be used is a part that is rejected.
    pub frame: std::result::Result<Frame, BadFrame>,
    /// Frames before it that were lost.
    pub lost: u32,
}

/// A frame that is wanted.
#[derive(Debug, Clone, Copy)]
pub struct WantedFrame {
    /// For this part.
    pub part: PartId,
    /// When it was triggered.
    pub triggered_at: LineTime,
    /// The exposure must not begin earlier.
    pub not_before: LineTime,
    /// A frame after this moment is worth nothing.
    pub deadline: LineTime,
}

/// A frame to be inspected.
pub struct Job {
    /// The part in it.
    pub part: PartId,
    /// When the part was triggered.
    pub triggered_at: LineTime,
    /// A result after this moment is worth nothing.
    pub deadline: LineTime,
    /// Its picture.
    pub frame: Frame,
}

/// The answer to a capture.
pub struct Judged {
    /// The part.
    pub part: PartId,
    /// When it was triggered.
    pub triggered_at: LineTime,
    /// What was found, or why nothing could be.
    pub result: std::result::Result<Assessment, Reason>,
}
