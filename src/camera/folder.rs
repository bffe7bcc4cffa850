//! Reads a folder of pictures in place of a camera: for trials, for replays and for production lines without a camera.
//!
//! The pictures come in the order of their names, over and over. Each counts as taken when it was asked for.

use super::frame::{BadFrame, Camera, CameraError, Frame};
use super::pixels::first_line;
use crate::clock::LineTime;
use crate::error::{self, Error};
use crate::image::{Picture, Samples, Size, is_picture_name, read};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Says how a folder is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderSettings {
    /// The shortest time between frames in free run. `None` gives a frame whenever it is asked for.
    pub interval: Option<Duration>,
    /// The bytes up to which decoded pictures are kept. So a rehearsal measures the inspection and not the decoding.
    pub cache_bytes: usize,
}

impl Default for FolderSettings {
    fn default() -> Self {
        FolderSettings { interval: None, cache_bytes: 64 << 20 }
    }
}

/// Reads the pictures of a folder over and over.
pub struct FolderCamera {
    folder: PathBuf,
    settings: FolderSettings,
    names: Vec<PathBuf>,
    next: usize,
    sequence: u32,
    last: Option<LineTime>,
    cache: Cache,
}

impl FolderCamera {
    /// Lists the pictures of `folder`.
    ///
    /// # Errors
    /// Returns [`crate::error::Kind::Io`] if it cannot be read, and [`crate::error::Kind::Image`] if it holds no
    /// pictures.
    pub fn open(folder: &Path, settings: FolderSettings) -> error::Result<Self> {
        let names = list(folder).map_err(|e| Error::io(folder, "the folder cannot be read", &e))?;
        if names.is_empty() {
            return Err(Error::image(folder, "no pictures in this folder")
                .advise("name a folder with PNG, JPEG, BMP, TIFF, PNM or WebP files"));
        }
        let cache = Cache { free_bytes: settings.cache_bytes, pictures: HashMap::new() };
        let folder = folder.to_owned();
        Ok(FolderCamera { folder, settings, names, next: 0, sequence: 0, last: None, cache })
    }

    /// Waits until a frame may be taken. Returns that moment.
    fn exposure(&self, not_before: LineTime, give_up: LineTime) -> Result<LineTime, CameraError> {
        let free = match (self.last, self.settings.interval) {
            (Some(last), Some(interval)) => last + interval,
            _ => LineTime::default(),
        };
        let due = not_before.max(free);
        std::thread::sleep(due.min(give_up).since(LineTime::now()));
        let now = LineTime::now();
        if now < due || now > give_up { Err(CameraError::Late) } else { Ok(now) }
    }

    /// Returns the next name. At the end of the list it lists the folder again.
    fn next_name(&mut self) -> Result<PathBuf, CameraError> {
        let gone = |why: String| CameraError::Gone(format!("{}: {why}", self.folder.display()));
        if self.next >= self.names.len() {
            self.names = list(&self.folder).map_err(|e| gone(e.to_string()))?;
            self.next = 0;
        }
        if !self.folder.is_dir() {
            return Err(gone("the folder has vanished".into()));
        }
        let name = self.names.get(self.next).cloned();
        self.next = self.next.saturating_add(1);
        name.ok_or_else(|| gone("no pictures in this folder any more".into()))
    }
}

impl Camera for FolderCamera {
    fn frame_after(
        &mut self,
        not_before: LineTime,
        give_up: LineTime,
    ) -> Result<Frame, CameraError> {
        let exposed_at = self.exposure(not_before, give_up)?;
        let name = self.next_name()?;
        let sequence = self.sequence;
        self.last = Some(exposed_at);
        self.sequence = sequence.wrapping_add(1);
        match self.cache.picture(&name) {
            Ok(picture) => Ok(Frame { picture, exposed_at, sequence }),
            Err(why) => Err(CameraError::Garbage(BadFrame { why, exposed_at, sequence })),
        }
    }

    /// Does nothing, because nothing waits in a folder.
    fn drain(&mut self) -> Result<(), CameraError> {
        Ok(())
    }

    fn describe(&self) -> String {
        let rate = match self.settings.interval {
            Some(interval) => format!("every {} ms at most", interval.as_millis()),
            None => "on demand".into(),
        };
        format!("{}: {} pictures, {rate}", self.folder.display(), self.names.len())
    }

    /// Returns the size of the first picture that can be read.
    fn picture_size(&self) -> Option<Size> {
        let picture = self.names.iter().find_map(|name| read(name).ok())?;
        Some(Size { width: picture.width, height: picture.height })
    }
}

/// Returns the pictures of a folder in the order of their names.
fn list(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if is_picture_name(&path) && path.is_file() {
            names.push(path);
        }
    }
    names.sort();
    Ok(names)
}

/// Keeps decoded pictures until there is no room left. It never drops one for another, because with everything read in
/// turn the dropped one would be needed first.
struct Cache {
    free_bytes: usize,
    pictures: HashMap<PathBuf, (Version, Picture)>,
}

/// Distinguishes a file from one that replaced it.
type Version = (u64, Option<SystemTime>);

impl Cache {
    /// Returns the picture of a file, or why there is none, with the file's name.
    fn picture(&mut self, path: &Path) -> Result<Picture, String> {
        let metadata = std::fs::metadata(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let version = (metadata.len(), metadata.modified().ok());
        match self.pictures.get(path) {
            Some((known, picture)) if *known == version => return Ok(picture.clone()),
            _ => self.forget(path),
        }
        let picture = read(path).map_err(|e| first_line(&e))?;
        if let Some(left) = self.free_bytes.checked_sub(size_of(&picture)) {
            self.free_bytes = left;
            self.pictures.insert(path.to_owned(), (version, picture.clone()));
        }
        Ok(picture)
    }

    fn forget(&mut self, path: &Path) {
        if let Some((_, picture)) = self.pictures.remove(path) {
            self.free_bytes = self.free_bytes.saturating_add(size_of(&picture));
        }
    }
}

fn size_of(picture: &Picture) -> usize {
    match &picture.samples {
        Samples::Eight(samples) => samples.len(),
        Samples::Sixteen(samples) => samples.len().saturating_mul(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: [u8; 3] = [1, 2, 3];
    const SECOND: [u8; 3] = [200, 100, 50];

    fn write(folder: &Path, name: &str, colour: [u8; 3]) {
        let picture = image::RgbImage::from_pixel(8, 8, image::Rgb(colour));
        picture.save(folder.join(name)).expect("saves");
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "b.png", SECOND);
        write(folder.path(), "a.png", FIRST);
        std::fs::write(folder.path().join("notes.txt"), "no picture").expect("writes");
        folder
    }

    fn camera(folder: &Path) -> FolderCamera {
        FolderCamera::open(folder, FolderSettings::default()).expect("opens")
    }

    fn next(camera: &mut FolderCamera) -> Result<Frame, CameraError> {
        let now = LineTime::now();
        camera.frame_after(now, now + Duration::from_secs(5))
    }

    fn colour(frame: &Frame) -> [u8; 3] {
        match &frame.picture.samples {
            Samples::Eight(samples) => [samples[0], samples[1], samples[2]],
            Samples::Sixteen(_) => panic!("8 bits"),
        }
    }

    #[test]
    fn name_order_over_and_over() {
        let folder = folder();
        let mut camera = camera(folder.path());
        for (count, want) in [FIRST, SECOND, FIRST, SECOND, FIRST].into_iter().enumerate() {
            let frame = next(&mut camera).expect("a frame");
            assert_eq!((frame.sequence as usize, colour(&frame)), (count, want));
        }
        assert_eq!(camera.drain(), Ok(()));
        assert!(camera.describe().contains("2 pictures"), "{}", camera.describe());
    }

    #[test]
    fn exposure_never_lies_before_the_wish_nor_after_the_end_of_patience() {
        let folder = folder();
        let mut camera = camera(folder.path());
        let start = LineTime::now();
        let (soon, late) = (start + Duration::from_millis(40), start + Duration::from_secs(9));
        let frame = camera.frame_after(soon, late).expect("a frame");
        assert!(frame.exposed_at >= soon && frame.exposed_at < late);
        let give_up = LineTime::now() + Duration::from_millis(20);
        assert_eq!(camera.frame_after(late, give_up).err(), Some(CameraError::Late));
        assert!(LineTime::now() >= give_up && LineTime::now() < late);
        assert_eq!(camera.frame_after(start, start).err(), Some(CameraError::Late));
    }

    #[test]
    fn free_run_keeps_its_interval() {
        let folder = folder();
        let interval = Some(Duration::from_millis(30));
        let settings = FolderSettings { interval, ..FolderSettings::default() };
        let mut camera = FolderCamera::open(folder.path(), settings).expect("opens");
        let times: Vec<_> =
            (0..3).map(|_| next(&mut camera).expect("a frame").exposed_at).collect();
        for pair in times.windows(2) {
            assert!(pair[1].since(pair[0]) >= Duration::from_millis(30));
        }
    }

    #[test]
    fn pictures_are_decoded_once_if_there_is_room() {
        for (cache_bytes, kept) in [(0, 0), (200, 1), (10_000, 2)] {
            let folder = folder();
            let settings = FolderSettings { cache_bytes, ..FolderSettings::default() };
            let mut camera = FolderCamera::open(folder.path(), settings).expect("opens");
            for want in [FIRST, SECOND, FIRST, SECOND] {
                assert_eq!(colour(&next(&mut camera).expect("a frame")), want);
            }
            assert_eq!(camera.cache.pictures.len(), kept, "{cache_bytes} bytes");
            write(folder.path(), "a.png", SECOND);
            let later = SystemTime::now() + Duration::from_secs(10);
            let file = std::fs::File::options().append(true).open(folder.path().join("a.png"));
            file.expect("opens").set_modified(later).expect("sets");
            assert_eq!(colour(&next(&mut camera).expect("a frame")), SECOND, "replaced");
        }
    }

    #[test]
    fn bad_pictures_and_bad_folders() {
        let folder = folder();
        std::fs::write(folder.path().join("a.png"), b"\x89PNG no more").expect("writes");
        let mut camera = camera(folder.path());
        let Err(CameraError::Garbage(bad)) = next(&mut camera) else { panic!("garbage") };
        let BadFrame { why, sequence, .. } = bad;
        assert_eq!(sequence, 0, "a frame that cannot be used has its number, too");
        assert!(why.contains("a.png") && !why.contains('\n'), "{why}");
        assert_eq!(colour(&next(&mut camera).expect("the next one")), SECOND);
        std::fs::remove_file(folder.path().join("a.png")).expect("removes");
        assert_eq!(colour(&next(&mut camera).expect("listed anew")), SECOND);
        let path = folder.path().to_owned();
        drop(folder);
        assert!(matches!(next(&mut camera), Err(CameraError::Gone(_))));
        assert!(FolderCamera::open(&path, FolderSettings::default()).is_err(), "vanished");
        let empty = tempfile::tempdir().expect("a folder");
        let refused = FolderCamera::open(empty.path(), FolderSettings::default()).err();
        assert!(refused.expect("empty").to_string().contains("no pictures"));
    }
}
