//! Recorded frames, at recorded times: a line without camera and sensor.
//!
//! A folder with a `triggers.csv`: a heading `at_us,picture,exposure_delay_us`, and a line for
//! every part: when it is triggered after the start, the picture's file name in the folder (empty
//! for a frame that never comes), and how long after the trigger its exposure begins.

use super::{BadFrame, Camera, CameraError, Frame};
use crate::error::{Error, Kind, Result};
use crate::line::time::LineTime;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Most parts of a recording.
const MAX_PARTS: usize = 1_000_000;

/// One recorded part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// When it is triggered, after the start.
    pub at: Duration,
    /// Its picture; `None` where no frame comes.
    pub picture: Option<PathBuf>,
    /// From the trigger to the begin of its exposure.
    pub exposure_delay: Duration,
}

/// Reads `triggers.csv` of a folder.
///
/// # Errors
/// [`Kind::Usage`] with the line that is wrong; [`Kind::Io`] where it cannot be read.
pub fn read_recording(folder: &Path) -> Result<Vec<Recorded>> {
    let path = folder.join("triggers.csv");
    let text = std::fs::read_to_string(&path)
        .map_err(|e| Error::io(&path, "the recording cannot be read", &e))?;
    let mut parts: Vec<Recorded> = vec![];
    for (number, line) in text.lines().enumerate().skip(1).filter(|(_, l)| !l.trim().is_empty()) {
        let wrong = |why: &str| {
            let what = format!("{}:{}: {why}", path.display(), number + 1);
            Error::new(Kind::Usage, what).advise("a line is at_us,picture,exposure_delay_us")
        };
        let mut fields = line.split(',').map(str::trim);
        let microseconds = |field: Option<&str>| match field {
            Some(text) => text.parse().map(Duration::from_micros).ok(),
            None => None,
        };
        let at = microseconds(fields.next()).ok_or_else(|| wrong("no time of the trigger"))?;
        let name = fields.next().ok_or_else(|| wrong("no picture"))?;
        let exposure_delay = match fields.next() {
            None | Some("") => Duration::ZERO,
            field => microseconds(field).ok_or_else(|| wrong("no time of the exposure"))?,
        };
        if parts.last().is_some_and(|last| last.at > at) {
            return Err(wrong("triggered before the part above it"));
        }
        let picture = (!name.is_empty()).then(|| folder.join(name));
        parts.push(Recorded { at, picture, exposure_delay });
        if parts.len() > MAX_PARTS {
            return Err(wrong("more than a million parts"));
        }
    }
    if parts.is_empty() {
        return Err(Error::usage(format!("{}: no part in it", path.display())));
    }
    Ok(parts)
}

/// A camera that shows recorded frames.
pub struct ReplayCamera {
    start: Arc<OnceLock<LineTime>>,
    parts: Vec<Recorded>,
    next: usize,
}

impl ReplayCamera {
    /// Frames of `parts`, counted from `start`; none before it is set.
    pub fn new(start: Arc<OnceLock<LineTime>>, parts: Vec<Recorded>) -> Self {
        ReplayCamera { start, parts, next: 0 }
    }
}

impl Camera for ReplayCamera {
    fn frame_after(
        &mut self,
        not_before: LineTime,
        give_up: LineTime,
    ) -> std::result::Result<Frame, CameraError> {
        while let (Some(part), Some(start)) = (self.parts.get(self.next), self.start.get()) {
            let exposed_at = *start + part.at + part.exposure_delay;
            if exposed_at > give_up {
                break;
            }
            self.next += 1;
            let Some(picture) = part.picture.as_ref().filter(|_| exposed_at >= not_before) else {
                continue;
            };
            std::thread::sleep(exposed_at.since(LineTime::now()));
            let sequence = u32::try_from(self.next).unwrap_or(u32::MAX);
            return match crate::image::read(picture) {
                Ok(picture) => Ok(Frame { picture, exposed_at, sequence }),
                Err(e) => {
                    let why = e.to_string();
                    Err(CameraError::Garbage(BadFrame { why, exposed_at, sequence }))
                }
            };
        }
        std::thread::sleep(give_up.since(LineTime::now()));
        Err(CameraError::Late)
    }

    fn drain(&mut self) -> std::result::Result<(), CameraError> {
        Ok(())
    }

    fn describe(&self) -> String {
        format!("a recording of {} parts", self.parts.len())
    }
}
