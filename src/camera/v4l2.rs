//! Uses a V4L2 camera as a source of frames.
//!
//! The camera runs freely, and the capture thread keeps emptying its queue. So after a trigger, the first frame that
//! was exposed late enough is taken at once. If anything is wrong with the camera, the result is [`CameraError::Gone`]
//! and not a wait. That covers errors of the driver, a broken queue, and a driver that goes silent.

use super::frame::{BadFrame, Camera, CameraError, Frame};
use super::pixels::{Layout, to_picture};
use super::v4l2_buffers::StampSource;
use super::v4l2_controls::Controls;
use super::v4l2_device::{Arrival, Device, Wait};
use super::v4l2_format as negotiation;
use super::v4l2_settings::V4l2Settings;
use super::v4l2_stamps::Timing;
use crate::clock::LineTime;
use crate::error::{self, Error};
use crate::image::Size;
use std::time::Duration;

/// The longest time to the first frame of a camera. Some cameras need seconds to wake up.
const LONGEST_START: Duration = Duration::from_secs(5);

/// Holds an open and streaming camera.
pub struct V4l2Camera {
    device: Device,
    layout: Layout,
    timing: Timing,
    needs_exposure_start: bool,
    /// The last moment at which the queue of filled buffers is known to have been empty.
    empty_at: LineTime,
    /// The moment at which the last frame came, or the start of the stream before the first one.
    last_arrival: LineTime,
    started: bool,
    description: String,
}

impl V4l2Camera {
    /// Sets the controls, exposure and gain of a camera, also while another program streams from it. It does not change
    /// the format.
    ///
    /// # Errors
    /// Returns the same errors as [`V4l2Camera::open`].
    pub fn set_controls(settings: &V4l2Settings) -> error::Result<()> {
        let path = &settings.device;
        let device =
            Device::open(path).map_err(|e| Error::io(path, "the camera cannot be opened", &e))?;
        Controls::of(&device).apply(settings)
    }

    /// Opens the device file, sets the camera up and starts the stream.
    ///
    /// # Errors
    /// Returns [`crate::error::Kind::Usage`] if the settings ask for what the camera does not have, with a list of what
    /// it has. Returns [`crate::error::Kind::Io`] if the camera cannot be used.
    pub fn open(settings: &V4l2Settings) -> error::Result<Self> {
        settings.check()?;
        let path = &settings.device;
        let device =
            Device::open(path).map_err(|e| Error::io(path, "the camera cannot be opened", &e))?;
        Self::start(device, settings).map_err(|e| e.within(path.display()))
    }

    fn start(mut device: Device, settings: &V4l2Settings) -> error::Result<Self> {
        let name = negotiation::check_capability(&device)?;
        negotiation::set_format(&device, settings)?;
        negotiation::set_rate(&device, settings)?;
        Controls::of(&device).apply(settings)?;
        let layout = negotiation::layout(&device, settings)?;
        let interval = negotiation::frame_interval(&device, settings)?;
        let exposure = settings.exposure_us.map(|us| Duration::from_micros(us.into()));
        let source = device.start(settings.buffers, layout.format.planes()).map_err(|e| {
            Error::new(error::Kind::Io, format!("the stream cannot be started: {e}"))
                .advise("stop other programs that use the camera, or ask for fewer `buffers`")
        })?;
        let stamps_arrival = name.ends_with("driver uvcvideo");
        let says_start = source == StampSource::StartOfExposure && !stamps_arrival;
        if settings.needs_exposure_start && !says_start {
            return Err(no_exposure_start());
        }
        let description = format!(
            "{} ({name}): {}, {:.2} frames/s, {} buffers, stamped at the {}",
            settings.device.display(),
            sizes(&layout),
            1.0 / interval.as_secs_f64(),
            device.buffer_count(),
            stamp_name(source)?,
        );
        let now = LineTime::now();
        let timing = Timing { interval, exposure, stamps_arrival };
        Ok(V4l2Camera {
            device,
            layout,
            timing,
            needs_exposure_start: settings.needs_exposure_start,
            empty_at: now,
            last_arrival: now,
            started: false,
            description,
        })
    }

    /// Returns the first waiting frame whose exposure began at `not_before` or later, with that moment. It drops the
    /// frames before it. Without `not_before` it drops all of them. It takes no more than one frame for each buffer and
    /// one more, so that it ends.
    fn first_waiting(
        &mut self,
        not_before: Option<LineTime>,
    ) -> Result<Option<(Arrival, LineTime)>, CameraError> {
        for _ in 0..=self.device.buffer_count() {
            let asked = LineTime::now();
            let Some(arrival) = self.device.dequeue().map_err(gone)? else {
                self.empty_at = asked;
                self.check_silence(asked)?;
                return Ok(None);
            };
            let taken = LineTime::now();
            (self.last_arrival, self.started) = (taken, true);
            let exposed_at =
                self.timing.exposed_at(arrival.stamp, arrival.source, self.empty_at, taken);
            if not_before.is_some_and(|t| exposed_at >= t) {
                return Ok(Some((arrival, exposed_at)));
            }
            self.device.requeue(arrival).map_err(gone)?;
        }
        Ok(None)
    }

    fn longest_silence(&self) -> Duration {
        let silence = self.timing.longest_silence();
        if self.started { silence } else { silence.max(LONGEST_START) }
    }

    fn check_silence(&self, now: LineTime) -> Result<(), CameraError> {
        let silence = now.since(self.last_arrival);
        if silence <= self.longest_silence() {
            return Ok(());
        }
        Err(CameraError::Gone(format!("no frame for {:.1} s", silence.as_secs_f64())))
    }

    fn wait(&self, give_up: LineTime) -> Result<(), CameraError> {
        let silent = self.last_arrival + self.longest_silence();
        match self.device.wait(give_up.min(silent)).map_err(gone)? {
            Wait::Ready | Wait::Nothing => Ok(()),
            Wait::Broken => Err(CameraError::Gone("unplugged, or its driver failed".into())),
        }
    }

    fn decode(&self, arrival: &Arrival, exposed_at: LineTime) -> Result<Frame, CameraError> {
        let sequence = arrival.sequence;
        let planes = self.device.planes(arrival);
        let picture = if arrival.damaged {
            Err("the driver marks it as damaged".into())
        } else if planes.iter().any(|plane| plane.is_empty()) {
            Err("the driver gives no bytes".into())
        } else if self.needs_exposure_start && arrival.source != StampSource::StartOfExposure {
            Err("the driver does not say when its exposure began".into())
        } else {
            to_picture(&planes, &self.layout)
        };
        match picture {
            Ok(picture) => Ok(Frame { picture, exposed_at, sequence }),
            Err(why) => Err(CameraError::Garbage(BadFrame { why, exposed_at, sequence })),
        }
    }
}

impl Camera for V4l2Camera {
    fn frame_after(
        &mut self,
        not_before: LineTime,
        give_up: LineTime,
    ) -> Result<Frame, CameraError> {
        loop {
            let overdue = LineTime::now() >= give_up;
            if let Some((arrival, exposed_at)) = self.first_waiting(Some(not_before))? {
                let frame = self.decode(&arrival, exposed_at);
                self.device.requeue(arrival).map_err(gone)?;
                return frame;
            }
            if overdue {
                return Err(CameraError::Late);
            }
            self.wait(give_up)?;
        }
    }

    fn drain(&mut self) -> Result<(), CameraError> {
        self.first_waiting(None).map(drop)
    }

    fn describe(&self) -> String {
        self.description.clone()
    }

    fn picture_size(&self) -> Option<Size> {
        Some(self.layout.picture_size())
    }
}

fn gone(error: std::io::Error) -> CameraError {
    CameraError::Gone(error.to_string())
}

/// Returns format and size in words, and the size of the pictures if it differs.
fn sizes(layout: &Layout) -> String {
    let sensor = Size { width: layout.width, height: layout.height };
    match layout.picture_size() {
        size if size == sensor => format!("{} {sensor}", layout.format),
        size => format!("{} {sensor}, pictures of {size}", layout.format),
    }
}

fn no_exposure_start() -> Error {
    Error::usage("`strobe_must_cover`: the driver does not say when an exposure begins")
        .advise("set strobe_must_cover = false, or use a camera whose driver stamps the start of the exposure")
}

/// Refuses cameras whose time stamps cannot be compared with those of the triggers.
fn stamp_name(source: StampSource) -> error::Result<&'static str> {
    match source {
        StampSource::StartOfExposure => Ok("start of exposure"),
        StampSource::EndOfFrame => Ok("end of frame"),
        StampSource::OtherClock => Err(Error::usage(
            "frames are not stamped by the monotonic clock",
        )
        .advise(
            "a part's picture could not be told from its neighbour's: use another camera or driver",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::pixels::{PixelFormat, RawSettings};
    use std::collections::BTreeMap;

    fn settings() -> V4l2Settings {
        V4l2Settings {
            device: "/dev/null".into(),
            width: 640,
            height: 360,
            frames_per_second: None,
            format: PixelFormat::Yuyv,
            raw: RawSettings::default(),
            sensor_strobe_us: None,
            needs_exposure_start: false,
            buffers: 4,
            exposure_us: None,
            gain: None,
            controls: BTreeMap::new(),
        }
    }

    #[test]
    fn what_cannot_be_opened_is_refused_with_a_next_step() {
        let bayer: PixelFormat = "RGGB".parse().expect("a format");
        let cases: [(V4l2Settings, &str); 6] = [
            (V4l2Settings { width: 14, format: bayer, ..settings() }, "no picture"),
            (settings(), "not a V4L2 device"),
            (V4l2Settings { device: "/dev/no-such-video".into(), ..settings() }, "opened"),
            (V4l2Settings { width: 0, ..settings() }, "no picture"),
            (V4l2Settings { width: u32::MAX, height: u32::MAX, ..settings() }, "no picture"),
            (V4l2Settings { buffers: 1, ..settings() }, "`buffers = 1`"),
        ];
        for (settings, want) in cases {
            let error = V4l2Camera::open(&settings).err().expect("refused").to_string();
            assert!(error.contains(want) && error.contains("->"), "{error}");
        }
    }
}
