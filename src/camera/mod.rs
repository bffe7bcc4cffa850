//! Gives frames: from a V4L2 camera, or from a folder of pictures.
//!
//! Nothing in this module may panic. The lints below enforce it.

#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::todo,
    clippy::unimplemented,
    clippy::unreachable,
    clippy::unwrap_used
)]
#![cfg_attr(
    test,
    allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)
)]

mod folder;
mod frame;
mod pixels;
mod replay;
mod sequence;
mod v4l2;
mod v4l2_abi;
mod v4l2_buffers;
mod v4l2_controls;
mod v4l2_device;
mod v4l2_format;
mod v4l2_settings;
mod v4l2_stamps;

pub use folder::{FolderCamera, FolderSettings};
pub use frame::{BadFrame, Camera, CameraError, Frame};
pub use pixels::{Align, BayerMode, PixelFormat, RawSettings};
#[cfg(fuzzing)]
pub use pixels::{Layout, to_picture};
pub use replay::{Recorded, ReplayCamera, read_recording};
pub use sequence::Sequence;
pub use v4l2::V4l2Camera;
pub use v4l2_settings::V4l2Settings;
