//! Saves pictures with the camera and the trigger of the production line, to build a template from.
//!
//! No output is driven. A part without a usable picture is reported and left out. A second thread writes the files, so
//! that the camera is served while a picture is compressed.

use super::messages::Message;
use super::tracker::Event;
use crate::camera::{Camera, CameraError};
use crate::clock::LineTime;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::heatmap;
use crate::image::Picture;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// Stale frames are dropped this often between triggers.
const DRAIN: Duration = Duration::from_millis(5);
/// The longest time of one wait for a free-running camera.
const FREE_RUN_WAIT: Duration = Duration::from_millis(500);
/// The time without a frame after which a free-running camera counts as gone.
const SILENCE: Duration = Duration::from_secs(30);
/// The number of pictures that may wait to be written.
const QUEUE: usize = 8;
/// How the names of the files begin.
const PREFIX: &str = "collected-";

/// Says what makes a part.
pub enum Parts<'a> {
    /// Every [`Event::Trigger`] on this channel. [`Message::Stop`], or the end of the channel, means that no more will come.
    Triggers {
        /// The channel.
        triggers: &'a Receiver<Message>,
        /// The earliest beginning of an exposure after its trigger.
        delay: Duration,
        /// The time after the trigger by which a frame must be there.
        patience: Duration,
    },
    /// Every message on this channel, at the moment at which it is taken from it. The end of the channel means that no
    /// more will come.
    Requests {
        /// The channel.
        requests: &'a Receiver<()>,
        /// The time by which a frame must be there.
        patience: Duration,
    },
    /// Every frame.
    Frames,
}

/// Tells what happens meanwhile.
pub enum Progress<'a> {
    /// A picture was written.
    Saved(&'a Path),
    /// A part has no picture, for this reason.
    Missed(&'a str),
}

/// Holds what was collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collected {
    /// The number of pictures that were written.
    pub saved: u32,
    /// The number of parts without a picture.
    pub missed: u64,
}

/// Saves `count` pictures into `folder`, which is made if it does not exist. The files are PNG, and their samples have
/// as many bits as the camera's. Their numbers continue behind those of earlier files. No file is replaced. Returns
/// early if no more triggers come.
///
/// # Errors
/// Returns [`Kind::Io`] if the camera is gone or a file cannot be written. The pictures that were written stay.
pub fn collect(
    folder: &Path,
    count: u32,
    camera: &mut dyn Camera,
    parts: &Parts<'_>,
    tell: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Collected> {
    let failed = |e| Error::io(folder, "the folder cannot be used", &e);
    std::fs::create_dir_all(folder).map_err(failed)?;
    let first = next_number(folder).map_err(failed)?;
    let (sender, pictures) = sync_channel(QUEUE);
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || write_all(folder, first, &pictures, tell));
        let mut taker = Taker { camera, wanted: count, missed: 0, pictures: sender, tell };
        let taken = match parts {
            Parts::Frames => taker.frames(),
            Parts::Requests { requests, patience } => taker.requests(requests, *patience),
            Parts::Triggers { triggers, delay, patience } => {
                taker.triggers(triggers, *delay, *patience)
            }
        };
        let missed = taker.missed;
        drop(taker);
        let written = writer.join();
        let gone = |_| Error::new(Kind::Io, "the thread that writes pictures has failed");
        // A file that cannot be written ends the taking of pictures, too, and says more about it.
        let saved = written.map_err(gone)??;
        taken.map(|()| Collected { saved, missed })
    })
}

/// Takes pictures.
struct Taker<'a> {
    camera: &'a mut dyn Camera,
    /// The number of pictures that are still to be taken.
    wanted: u32,
    missed: u64,
    pictures: SyncSender<Picture>,
    tell: &'a (dyn Fn(Progress<'_>) + Sync),
}

impl Taker<'_> {
    fn triggers(
        &mut self,
        triggers: &Receiver<Message>,
        delay: Duration,
        patience: Duration,
    ) -> Result<()> {
        while self.wanted > 0 {
            match triggers.recv_timeout(DRAIN) {
                Ok(Message::Event(Event::Trigger { at, lost })) => {
                    for _ in 0..lost {
                        self.miss("its edge was lost");
                    }
                    if !self.take(at + delay, at + patience)? {
                        return Ok(());
                    }
                }
                Ok(Message::Event(Event::Blind { .. })) => self.miss("the trigger input fails"),
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => self.camera.drain().or_else(only_if_gone)?,
            }
        }
        Ok(())
    }

    fn requests(&mut self, requests: &Receiver<()>, patience: Duration) -> Result<()> {
        while self.wanted > 0 {
            match requests.recv_timeout(DRAIN) {
                Ok(()) => {
                    let now = LineTime::now();
                    if !self.take(now, now + patience)? {
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => self.camera.drain().or_else(only_if_gone)?,
            }
        }
        Ok(())
    }

    fn frames(&mut self) -> Result<()> {
        let mut last = LineTime::now();
        let mut seen = last;
        while self.wanted > 0 {
            let not_before = last + Duration::from_nanos(1);
            match self.camera.frame_after(not_before, LineTime::now() + FREE_RUN_WAIT) {
                Ok(frame) => {
                    (last, seen) = (last.max(frame.exposed_at), LineTime::now());
                    if !self.keep(frame.picture) {
                        return Ok(());
                    }
                }
                Err(CameraError::Garbage(bad)) => {
                    (last, seen) = (last.max(bad.exposed_at), LineTime::now());
                    self.miss(&bad.why);
                }
                Err(CameraError::Late) if LineTime::now().since(seen) > SILENCE => {
                    return only_if_gone(CameraError::Gone(format!("no frame within {SILENCE:?}")));
                }
                Err(why) => only_if_gone(why)?,
            }
        }
        Ok(())
    }

    /// Takes the picture of a part. Returns false if nobody writes pictures any more.
    fn take(&mut self, not_before: LineTime, give_up: LineTime) -> Result<bool> {
        match self.camera.frame_after(not_before, give_up) {
            Ok(frame) => Ok(self.keep(frame.picture)),
            Err(why @ CameraError::Gone(_)) => only_if_gone(why).map(|()| true),
            Err(why) => {
                self.miss(&why.to_string());
                Ok(true)
            }
        }
    }

    fn keep(&mut self, picture: Picture) -> bool {
        self.wanted = self.wanted.saturating_sub(1);
        self.pictures.send(picture).is_ok()
    }

    fn miss(&mut self, why: &str) {
        self.missed = self.missed.saturating_add(1);
        (self.tell)(Progress::Missed(why));
    }
}

/// Returns the error of a camera that is gone. Other ones concern a single frame.
fn only_if_gone(why: CameraError) -> Result<()> {
    match why {
        CameraError::Gone(_) => Err(Error::new(Kind::Io, why.to_string())
            .advise("the pictures so far are kept; connect the camera and begin again")),
        _ => Ok(()),
    }
}

/// Writes pictures until no more come. Returns their number.
fn write_all(
    folder: &Path,
    first: u64,
    pictures: &Receiver<Picture>,
    tell: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<u32> {
    let mut saved = 0_u32;
    while let Ok(picture) = pictures.recv() {
        let path = name(folder, first.saturating_add(u64::from(saved)));
        files::write_new(&path, &heatmap::picture_png(&picture)?, 0o644)?;
        saved = saved.saturating_add(1);
        tell(Progress::Saved(&path));
    }
    Ok(saved)
}

fn name(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{PREFIX}{number:06}.png"))
}

/// Returns the number behind those of all files that were collected before.
fn next_number(folder: &Path) -> std::io::Result<u64> {
    let mut next = 1;
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(".png"));
        if let Some(number) = digits.and_then(|digits| digits.parse::<u64>().ok()) {
            next = next.max(number.saturating_add(1));
        }
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::{BadFrame, Frame};
    use crate::image::{Samples, read};
    use std::collections::VecDeque;
    use std::sync::Mutex;

    /// Plays a camera with given answers. Afterwards it is gone.
    struct Scripted(VecDeque<std::result::Result<u16, CameraError>>);

    impl Camera for Scripted {
        fn frame_after(
            &mut self,
            not_before: LineTime,
            _: LineTime,
        ) -> std::result::Result<Frame, CameraError> {
            let value = self.0.pop_front().unwrap_or(Err(CameraError::Gone("over".into())))?;
            let picture = picture(value);
            Ok(Frame { picture, exposed_at: not_before, sequence: u32::from(value) })
        }

        fn drain(&mut self) -> std::result::Result<(), CameraError> {
            Ok(())
        }

        fn describe(&self) -> String {
            "scripted".into()
        }
    }

    fn picture(value: u16) -> Picture {
        let samples = Samples::Sixteen((0..3 * 8 * 9).map(|at| value.wrapping_add(at)).collect());
        Picture { width: 9, height: 8, samples }
    }

    /// Collects, and returns the result with everything that was told.
    fn collected(
        folder: &Path,
        count: u32,
        script: Vec<std::result::Result<u16, CameraError>>,
        parts: &Parts<'_>,
    ) -> (Result<Collected>, Vec<String>) {
        let told = Mutex::new(vec![]);
        let tell = |progress: Progress<'_>| {
            let what = match progress {
                Progress::Saved(path) => path.file_name().expect("a name").display().to_string(),
                Progress::Missed(why) => format!("missed: {why}"),
            };
            told.lock().expect("locks").push(what);
        };
        let done = collect(folder, count, &mut Scripted(script.into()), parts, &tell);
        (done, told.into_inner().expect("told"))
    }

    fn triggers(count: u32) -> (SyncSender<Message>, Receiver<Message>) {
        let (sender, triggers) = sync_channel(64);
        for _ in 0..count {
            let trigger = Event::Trigger { at: LineTime::now(), lost: 0 };
            sender.send(Message::Event(trigger)).expect("room");
        }
        (sender, triggers)
    }

    fn by(triggers: &Receiver<Message>) -> Parts<'_> {
        Parts::Triggers { triggers, delay: Duration::ZERO, patience: Duration::from_secs(1) }
    }

    #[test]
    fn pictures_are_kept_with_all_their_bits_and_their_numbers_continue() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("new");
        let (_sender, first) = triggers(2);
        let (done, told) = collected(&inner, 2, vec![Ok(7), Ok(60_001)], &by(&first));
        assert_eq!(done.expect("collects"), Collected { saved: 2, missed: 0 });
        assert_eq!(told, ["collected-000001.png", "collected-000002.png"]);
        let (done, told) = collected(&inner, 1, vec![Ok(9)], &Parts::Frames);
        assert_eq!(done.expect("collects").saved, 1);
        assert_eq!(told, ["collected-000003.png"]);
        for (number, value) in [(1, 7), (2, 60_001), (3, 9)] {
            assert_eq!(read(&name(&inner, number)).expect("reads"), picture(value));
        }
        assert_eq!(std::fs::read_dir(&inner).expect("reads").count(), 3, "nothing else lies there");
    }

    #[test]
    fn a_part_without_a_picture_is_told_and_left_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let bad = BadFrame { why: "cut".into(), exposed_at: LineTime::default(), sequence: 1 };
        let script = vec![Ok(1), Err(CameraError::Late), Err(CameraError::Garbage(bad)), Ok(2)];
        let (sender, parts) = triggers(3);
        let lost = Event::Trigger { at: LineTime::now(), lost: 2 };
        sender.send(Message::Event(lost)).expect("room");
        sender.send(Message::Stop).expect("room");
        let (done, mut told) = collected(folder.path(), 9, script, &by(&parts));
        assert_eq!(done.expect("collects"), Collected { saved: 2, missed: 4 });
        told.retain(|what| what.starts_with("missed"));
        let wanted = ["no frame in time", "a frame cannot be used: cut", "its edge was lost"];
        assert_eq!(told.len(), 4);
        assert!(wanted.iter().all(|why| told.contains(&format!("missed: {why}"))), "{told:?}");
    }

    #[test]
    fn a_camera_that_goes_and_a_file_that_cannot_be_written_end_it_and_keep_the_rest() {
        let folder = tempfile::tempdir().expect("a folder");
        let (done, told) = collected(folder.path(), 3, vec![Ok(1), Ok(2)], &Parts::Frames);
        assert!(done.expect_err("gone").to_string().contains("the camera is gone: over"));
        assert_eq!(told, ["collected-000001.png", "collected-000002.png"]);
        let file = folder.path().join("collected-000001.png");
        let (done, _) = collected(&file, 1, vec![Ok(1)], &Parts::Frames);
        assert!(done.is_err(), "a file is no folder");
        assert_eq!(read(&file).expect("reads"), picture(1));
    }
}
