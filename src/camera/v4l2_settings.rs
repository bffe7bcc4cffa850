//! How a V4L2 camera is to be run.

use super::pixels::PixelFormat;
use crate::error::{Error, Result};
use crate::image::{MAX_PIXELS, MIN_SIDE};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Buffers that may be asked for.
const BUFFERS: std::ops::RangeInclusive<u32> = 2..=32;
/// How a V4L2 camera is to be run. The names of the fields are the keys of the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct V4l2Settings {
    /// The device node, such as `/dev/video0`.
    pub device: PathBuf,
    /// Columns; exactly as the device offers them.
    pub width: u32,
    /// Rows; exactly as the device offers them.
    pub height: u32,
    /// The rate; `None` leaves the device's own.
    pub frames_per_second: Option<f64>,
    /// How the pixels come.
    pub format: PixelFormat,
    /// Frames that the driver can hold until they are taken, 2 to 32.
    pub buffers: u32,
    /// A fixed exposure in microseconds; `None` leaves the device's own.
    pub exposure_us: Option<u32>,
    /// A fixed gain in the device's unit; `None` leaves the device's own.
    pub gain: Option<i32>,
    /// Any other control by the name that `v4l2-ctl --list-ctrls` prints.
    pub controls: BTreeMap<String, i64>,
}

impl V4l2Settings {
    /// Refuses what no camera can be asked for.
    pub fn check(&self) -> Result<()> {
        let V4l2Settings { width, height, buffers, .. } = self;
        let pixels = u64::from(*width) * u64::from(*height);
        if *width < MIN_SIDE || *height < MIN_SIDE || pixels > MAX_PIXELS {
            return Err(Error::usage(format!(
                "`width`, `height`: {width} x {height} is no picture"
            ))
            .advise(format!("{MIN_SIDE} x {MIN_SIDE} at least, {MAX_PIXELS} pixels at most")));
        }
        if !BUFFERS.contains(buffers) {
            return Err(Error::usage(format!("`buffers = {buffers}` is not between 2 and 32"))
                .advise("4 is usual"));
        }
        Ok(())
    }
}
