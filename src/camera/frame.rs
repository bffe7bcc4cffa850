//! Describes a frame, why there is none, and what every camera can do.

use crate::clock::LineTime;
use crate::image::{Picture, Size};
use std::fmt;

/// Holds a picture and the moment at which it was taken.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The decoded picture, RGB.
    pub picture: Picture,
    /// The moment at which its exposure began, or an earlier one. It is certainly not later.
    pub exposed_at: LineTime,
    /// The source's own count of frames, which wraps. A gap means lost frames.
    pub sequence: u32,
}

/// Describes a frame that came and cannot be used: it is marked as damaged, too short, or cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadFrame {
    /// What is wrong with it.
    pub why: String,
    /// The same as [`Frame::exposed_at`].
    pub exposed_at: LineTime,
    /// The same as [`Frame::sequence`].
    pub sequence: u32,
}

/// Says why there is no frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CameraError {
    /// No frame came in time. The camera is still there.
    Late,
    /// A frame came, and it cannot be used.
    Garbage(BadFrame),
    /// The camera is gone or refuses to work. It has to be opened again.
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

/// Gives frames.
pub trait Camera: Send {
    /// Returns the first frame whose exposure began at `not_before` or later. It drops older frames. It waits until
    /// `give_up` at most.
    fn frame_after(
        &mut self,
        not_before: LineTime,
        give_up: LineTime,
    ) -> Result<Frame, CameraError>;

    /// Drops every frame that has arrived, without waiting and without decoding it. So the source never runs out of
    /// buffers between triggers. It is called every few milliseconds.
    fn drain(&mut self) -> Result<(), CameraError>;

    /// Describes the source in one line of text for the log: device file, format, size, rate.
    fn describe(&self) -> String;

    /// Returns the size of its pictures, if it is known before one is taken.
    fn picture_size(&self) -> Option<Size> {
        None
    }
}
