//! Says how a V4L2 camera is to be run.

use super::pixels::{PixelFormat, RawSettings};
use crate::error::{Error, Result};
use crate::image::{MAX_PIXELS, MIN_SIDE, Size};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The numbers of buffers that may be asked for.
const BUFFERS: std::ops::RangeInclusive<u32> = 2..=32;

/// Says how a V4L2 camera is to be run. The names of the fields are the keys of the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct V4l2Settings {
    /// The device file, such as `/dev/video0`.
    pub device: PathBuf,
    /// The number of columns, exactly as the camera offers it.
    pub width: u32,
    /// The number of rows, exactly as the camera offers it.
    pub height: u32,
    /// The rate. `None` keeps that of the camera.
    pub frames_per_second: Option<f64>,
    /// The layout of the pixels.
    pub format: PixelFormat,
    /// What the samples of a sensor mean, for the formats that hold them.
    pub raw: RawSettings,
    /// The number of frames that the driver can hold until they are taken, 2 to 32.
    pub buffers: u32,
    /// A fixed exposure in microseconds. `None` keeps that of the camera.
    pub exposure_us: Option<u32>,
    /// A fixed gain in the camera's unit. `None` keeps that of the camera.
    pub gain: Option<i32>,
    /// The length of the light in microseconds, if the sensor's own output drives it.
    pub sensor_strobe_us: Option<u32>,
    /// Whether a frame counts only if its driver stamps the beginning of its exposure.
    pub needs_exposure_start: bool,
    /// Any other controls, by the names that `v4l2-ctl` lists.
    pub controls: BTreeMap<String, i64>,
}

impl V4l2Settings {
    /// Refuses settings that no camera can have.
    pub fn check(&self) -> Result<()> {
        let V4l2Settings { width, height, buffers, .. } = self;
        let sensor = Size { width: *width, height: *height };
        let picture = self.format.picture_size(sensor, self.raw.bayer);
        let is_small = picture.width < MIN_SIDE || picture.height < MIN_SIDE;
        if is_small || sensor.pixels() > MAX_PIXELS {
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
