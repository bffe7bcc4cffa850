//! Replays recorded frames at recorded times: a production line without camera and sensor.
//!
//! The folder holds a `triggers.csv`. It has the heading `at_us,picture,exposure_delay_us` and a line of text for every
//! part. The line says when the part is triggered after the start, the picture's file name in the folder, and how long
//! after the trigger its exposure begins. An empty name stands for a frame that never comes.

use super::frame::{BadFrame, Camera, CameraError, Frame};
use crate::clock::LineTime;
use crate::error::{Error, Kind, Result};
use crate::files;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The largest number of parts of a recording, and of empty lines of text in it.
const MAX_PARTS: usize = 1_000_000;
/// The longest line of text, in bytes: two numbers and the longest path that the system accepts.
const MAX_LINE: u64 = 4096 + 64;
/// The longest recording, in bytes: a million parts with names of 250 letters.
const MAX_BYTES: u64 = 256 << 20;

/// Describes one recorded part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The time of its trigger after the start.
    pub at: Duration,
    /// The picture of the part. `None` means that no frame comes.
    pub picture: Option<PathBuf>,
    /// The time from the trigger to the beginning of its exposure.
    pub exposure_delay: Duration,
}

/// Reads `triggers.csv` of a folder: a regular file of at most a million parts and 256 MiB.
///
/// # Errors
/// Returns [`Kind::Usage`] with the number of the wrong line, and [`Kind::Io`] if the file cannot be read.
pub fn read_recording(folder: &Path) -> Result<Vec<Recorded>> {
    let path = folder.join("triggers.csv");
    let file = files::open_regular(&path, MAX_BYTES, Kind::Usage)?;
    let mut reader = BufReader::new(file.take(MAX_BYTES));
    let mut parts: Vec<Recorded> = vec![];
    let mut line = vec![];
    for number in 1_usize.. {
        let wrong = |why: &str| {
            let what = format!("{}:{number}: {why}", path.display());
            Error::new(Kind::Usage, what).advise("a line is at_us,picture,exposure_delay_us")
        };
        line.clear();
        let read = reader.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut line);
        let read = read.map_err(|e| Error::io(&path, "the recording cannot be read", &e))?;
        if read == 0 {
            break;
        }
        if read as u64 > MAX_LINE {
            return Err(wrong(&format!("the line is longer than {MAX_LINE} bytes")));
        }
        if number > 2 * MAX_PARTS || parts.len() > MAX_PARTS {
            return Err(wrong("more than a million parts"));
        }
        let text = std::str::from_utf8(&line).map_err(|_| wrong("not text in UTF-8"))?.trim();
        // The first line is the heading.
        if number > 1 && !text.is_empty() {
            let part = recorded(text, folder).map_err(wrong)?;
            if parts.last().is_some_and(|last| last.at > part.at) {
                return Err(wrong("triggered before the part above it"));
            }
            parts.push(part);
        }
    }
    if parts.len() > MAX_PARTS {
        return Err(Error::usage(format!("{}: more than a million parts", path.display())));
    }
    if parts.is_empty() {
        return Err(Error::usage(format!("{}: no part in it", path.display())));
    }
    Ok(parts)
}

/// Returns the part of a line of text, or what is wrong with the line.
fn recorded(line: &str, folder: &Path) -> std::result::Result<Recorded, &'static str> {
    let mut fields = line.split(',').map(str::trim);
    let microseconds = |field: &str| field.parse().map(Duration::from_micros).ok();
    let at = fields.next().and_then(microseconds).ok_or("no time of the trigger")?;
    let name = fields.next().ok_or("no picture")?;
    let exposure_delay = match fields.next() {
        None | Some("") => Duration::ZERO,
        Some(field) => microseconds(field).ok_or("no time of the exposure")?,
    };
    let picture = (!name.is_empty()).then(|| folder.join(name));
    Ok(Recorded { at, picture, exposure_delay })
}

/// Shows recorded frames as a camera.
pub struct ReplayCamera {
    start: Arc<OnceLock<LineTime>>,
    parts: Vec<Recorded>,
    next: usize,
}

impl ReplayCamera {
    /// Makes a camera that shows frames of `parts`, timed from `start`. There are none before `start` is set.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A recording beyond its limits must neither fill the memory nor take for ever.
    #[test]
    fn a_recording_beyond_its_limits_is_refused_with_its_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let heading = "at_us,picture\n";
        let part = "5,a.png\n";
        let cases = [
            (heading.to_owned() + &part.repeat(MAX_PARTS), None),
            (heading.to_owned() + &part.repeat(MAX_PARTS + 1), Some("more than a million parts")),
            (heading.to_owned() + &"\n".repeat(2 * MAX_PARTS), Some(":2000001: more than")),
            (format!("{heading}5,{}\n", "a".repeat(5000)), Some(":2: the line is longer than")),
        ];
        for (text, word) in cases {
            std::fs::write(folder.path().join("triggers.csv"), text).expect("writes");
            match (read_recording(folder.path()), word) {
                (Ok(parts), None) => assert_eq!(parts.len(), MAX_PARTS),
                (Err(why), Some(word)) => assert!(why.to_string().contains(word), "{why}"),
                (got, word) => panic!("{:?}, wanted {word:?}", got.map(|parts| parts.len())),
            }
        }
        let sparse = std::fs::File::create(folder.path().join("triggers.csv")).expect("makes");
        sparse.set_len(MAX_BYTES + 1).expect("makes it long");
        let why = read_recording(folder.path()).expect_err("is refused");
        assert!(why.kind() == Kind::Usage && why.to_string().contains("more than"), "{why}");
        std::fs::write(folder.path().join("triggers.csv"), b"at_us\n5,\xff\n").expect("writes");
        let why = read_recording(folder.path()).expect_err("is refused").to_string();
        assert!(why.contains("triggers.csv:2: not text in UTF-8"), "{why}");
    }
}
