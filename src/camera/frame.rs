//! A frame, why there is none, and what every camera can do.

use crate::clock::LineTime;
use crate::image::{Picture, Size};
use std::fmt;

/// A picture and when it was taken.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The decoded picture, RGB.
    pub picture: Picture,
    /// When its exposure began, or a moment that is certainly not later.
    pub exposed_at: LineTime,
    /// The source's own count of frames, which wraps; a gap means lost frames.
    pub sequence: u32,
}

/// A frame that came and cannot be used: marked as damaged, too short, not decodable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadFrame {
    /// What is wrong with it.
    pub why: String,
    /// As in [`Frame::exposed_at`].
    pub exposed_at: LineTime,
    /// As in [`Frame::sequence`].
    pub sequence: u32,
}

/// Why there is no frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CameraError {
    /// None came in time; the camera is still there.
    Late,
    /// One came, and it cannot be used.
    Garbage(BadFrame),
    /// The camera is gone or refuses to work: it has to be opened again.
    Gone(String),
}

impl fmt::Display for CameraError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CameraError::Late => f.write_str("no frame in time"),
            CameraError::Garbage(bad) => write!(f, "a frame cannot be used: {}", bad.why),
            CameraError::Gone(why) => write!(f, "the camera is gone: {why}"),
        }
    }
}

impl std::error::Error for CameraError {}

/// A source of frames.
pub trait Camera: Send {
    /// The first frame whose exposure began at `not_before` or later; frames older than that are
    /// dropped. Waits until `give_up` at most.
    fn frame_after(
        &mut self,
        not_before: LineTime,
        give_up: LineTime,
    ) -> Result<Frame, CameraError>;

    /// Drops every frame that has arrived, without waiting and without decoding it, so that the
    /// source never runs out of buffers between triggers. Called every few milliseconds.
    fn drain(&mut self) -> Result<(), CameraError>;

    /// The source in one line, for the log: device, format, size, rate.
    fn describe(&self) -> String;

    /// The size of its pictures, where it is known before one is taken.
    fn picture_size(&self) -> Option<Size> {
        None
    }
}
