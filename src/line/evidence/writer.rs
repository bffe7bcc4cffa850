//! Writes the chain: one line after the other, in segments, with checkpoints and retention.
//!
//! Time is a value that is passed in. Whatever fails costs records, which are counted and told in a line of the chain.

use super::chain::{Head, hex};
use super::device_key::DeviceKey;
use super::line::{Event, Origin};
use super::moment::Moment;
use super::open::Open;
use super::recover::{Found, recover};
use super::retain;
use super::segments::{self, Segment};
use super::settings::Settings;
use crate::clock::LineTime;
use crate::files;
use crate::line::record::PartRecord;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// The time between two looks at the free space.
const LOOK: Duration = Duration::from_secs(1);
/// The time between two tries to open the folder.
const RETRY: Duration = Duration::from_secs(2);
/// How often, and with which pause, the lock of the folder is tried.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(5);
/// A larger difference between the two clocks is a step of the wall clock, in milliseconds.
const STEP_MS: i64 = 100;

/// Counts records since the last line that told of losses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Losses {
    queue: u64,
    disk: u64,
}

/// Writes the chain of a folder.
pub struct Writer {
    settings: Settings,
    /// The lock of the folder.
    lock: Option<File>,
    open: Option<Open>,
    /// The number of this start, once it is known.
    run: Option<u64>,
    start_is_written: bool,
    losses: Losses,
    /// The number of lines that the disk may not have for good.
    doubtful_lines: u64,
    is_below_floor: bool,
    /// The free space of the folder in bytes, once it is known.
    free_bytes: Option<u64>,
    retry_at: LineTime,
    looked_at: Option<LineTime>,
    /// The wall clock minus the monotonic clock, in milliseconds.
    offset_ms: Option<i64>,
    last_error: Option<String>,
}

impl Writer {
    /// Makes a writer. It opens the folder at the first [`Writer::tick`], and tries again if it cannot.
    pub fn new(settings: Settings) -> Self {
        Writer {
            settings,
            lock: None,
            open: None,
            run: None,
            start_is_written: false,
            losses: Losses::default(),
            doubtful_lines: 0,
            is_below_floor: false,
            free_bytes: None,
            retry_at: LineTime::default(),
            looked_at: None,
            offset_ms: None,
            last_error: None,
        }
    }

    /// Writes the line of a part. Returns false if it is lost.
    pub fn part(&mut self, record: &PartRecord, now: &Moment) -> bool {
        self.append(now, |origin, head, line| origin.part(head, record, now.clock, line))
    }

    /// Writes the line of an event. Returns false if it is lost.
    pub fn event(&mut self, event: &Event, now: &Moment) -> bool {
        self.append(now, |origin, head, line| origin.event(head, event, now, line))
    }

    /// Notes that `count` records were lost before they reached the writer.
    pub fn lose(&mut self, count: u64) {
        self.losses.queue = self.losses.queue.saturating_add(count);
    }

    /// Returns whether nothing is written because too little space is free.
    pub fn is_below_floor(&self) -> bool {
        self.is_below_floor
    }

    /// Returns the number of this start, once it is known.
    pub fn run(&self) -> Option<u64> {
        self.run
    }

    /// Returns the free space of the folder in bytes, once it is known.
    pub fn free_bytes(&self) -> Option<u64> {
        self.free_bytes
    }

    /// Returns the end of the chain, if the folder is open.
    pub fn head(&self) -> Option<Head> {
        self.open.as_ref().map(|open| open.head)
    }

    /// Returns the settings, to change them in a test.
    #[cfg(test)]
    pub(super) fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// Returns the last error.
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// Does what is due: opens the folder, signs, makes lines durable, removes old segments, and tells of losses and of
    /// steps of the wall clock. Call it at least once in the time of [`Settings::sync`].
    pub fn tick(&mut self, now: &Moment) {
        if self.looked_at.is_none_or(|at| now.at.since(at) >= LOOK) {
            self.looked_at = Some(now.at);
            self.look(now);
        }
        if !self.is_ready(now) {
            return;
        }
        let done = self.tell_of_losses(now).and_then(|()| {
            let Some(open) = &mut self.open else { return Ok(()) };
            open.checkpoint_if_due(now)?;
            open.sync_if_due(now.at, self.settings.sync)
        });
        self.note(done, now);
    }

    /// Ends the chain in good order. Nothing is written afterwards.
    pub fn stop(&mut self, now: &Moment) {
        self.event(&Event::Stop {}, now);
        if let Some(mut open) = self.open.take() {
            let done = open.checkpoint(now).and_then(|()| open.sync());
            self.note(done, now);
        }
        self.retry_at = LineTime::NEVER;
    }

    fn look(&mut self, now: &Moment) {
        let millis = i64::try_from(now.at.as_nanos() / 1_000_000).unwrap_or(i64::MAX);
        let offset = i64::try_from(now.unix_ms).unwrap_or(i64::MAX).saturating_sub(millis);
        let before = self.offset_ms.replace(offset);
        let by_ms = before.map_or(0, |before| offset.saturating_sub(before));
        if by_ms.saturating_abs() > STEP_MS {
            self.event(&Event::ClockStep { by_ms }, now);
        }
        if self.open.is_some() {
            let done = self.retain(now);
            self.note(done, now);
        }
    }

    /// Removes segments that are too old, or that take space that has to be free.
    fn retain(&mut self, now: &Moment) -> std::io::Result<()> {
        let mut segments = segments::list(&self.settings.folder)?;
        let old = retain::too_old(&segments, self.settings.keep_days, now);
        self.prune(&mut segments, old, now)?;
        let floor = self.settings.min_free_bytes;
        let mut free = retain::free_bytes(&self.settings.folder)?;
        while free < floor && self.prune(&mut segments, 1, now)? {
            free = retain::free_bytes(&self.settings.folder)?;
        }
        self.free_bytes = Some(free);
        let is_below = free < floor;
        if is_below && !self.is_below_floor {
            log::error!(
                "{}: too little free space: records are lost until there is more",
                self.settings.folder.display()
            );
        }
        self.is_below_floor = is_below;
        Ok(())
    }

    /// Removes the `count` oldest segments. First a line keeps the digest of the newest line in them. Returns whether
    /// any were removed.
    fn prune(
        &mut self,
        segments: &mut Vec<Segment>,
        count: usize,
        now: &Moment,
    ) -> std::io::Result<bool> {
        let (Some(open), Some(kept)) = (&mut self.open, segments.get(count)) else {
            return Ok(false);
        };
        if count == 0 {
            return Ok(false);
        }
        let (through, hash) = (kept.first.saturating_sub(1), hex(&retain::before(kept)?));
        open.event(&Event::Pruned { through, hash, segments: count }, now)?;
        open.sync()?;
        for segment in segments.drain(..count) {
            std::fs::remove_file(&segment.path)?;
        }
        Ok(true)
    }

    /// Opens the folder if it is not open and may be tried again. Returns whether it is open.
    fn is_ready(&mut self, now: &Moment) -> bool {
        if self.open.is_some() {
            return true;
        }
        if now.at < self.retry_at {
            return false;
        }
        let done = self.open(now);
        self.note(done, now);
        self.open.is_some()
    }

    fn open(&mut self, now: &Moment) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.settings.folder)?;
        if self.lock.is_none() {
            self.lock = Some(lock(&self.settings.folder)?);
        }
        let key = self.settings.key_file.as_deref().map(DeviceKey::read_or_make).transpose();
        let key = key.map_err(|why| std::io::Error::other(why.what()))?;
        let mut found = recover(&self.settings.folder)?;
        let is_first = self.run.is_none();
        let run = self.run.unwrap_or_else(|| found.run.saturating_add(1));
        let origin = Origin {
            run,
            boot: self.settings.boot.clone(),
            device: self.settings.device.clone(),
            software: self.settings.software.clone(),
        };
        let last = found.last.take();
        let mut open = Open::after(&self.settings, origin, key, &found, last, now)?;
        self.run = Some(run);
        self.tell_of_recovery(&mut open, found, is_first, now)?;
        if self.doubtful_lines > 0 {
            open.event(&Event::SyncFailed { lines: self.doubtful_lines }, now)?;
        }
        if !self.start_is_written {
            open.event(&self.settings.start, now)?;
        }
        open.sync()?;
        (self.doubtful_lines, self.start_is_written) = (0, true);
        self.open = Some(open);
        Ok(())
    }

    fn tell_of_recovery(
        &self,
        open: &mut Open,
        found: Found,
        is_first: bool,
        now: &Moment,
    ) -> std::io::Result<()> {
        if let Some((segment, why)) = found.damaged {
            log::error!("the chain of records is damaged in {segment}, {why}");
            open.event(&Event::Damaged { segment, why }, now)?;
        }
        if !found.aside.is_empty() || (is_first && !found.is_clean) {
            let bytes =
                found.aside.iter().fold(0, |sum: u64, aside| sum.saturating_add(aside.bytes));
            let mut names = found.aside.into_iter().map(|aside| aside.name);
            let (aside, also_aside) = (names.next(), names.collect());
            let may_miss_ms = u64::try_from(self.settings.sync.as_millis()).unwrap_or(u64::MAX);
            open.event(&Event::Recovered { bytes, aside, also_aside, may_miss_ms }, now)?;
        }
        Ok(())
    }

    fn append(&mut self, now: &Moment, build: impl FnOnce(&Origin, &Head, &mut String)) -> bool {
        if self.is_below_floor || !self.is_ready(now) {
            self.losses.disk = self.losses.disk.saturating_add(1);
            return false;
        }
        let done = self.rotate_if_due(now).and_then(|()| self.tell_of_losses(now));
        let done = done.and_then(|()| match &mut self.open {
            Some(open) => open.line(now, build),
            None => Err(std::io::Error::other("the folder is not open")),
        });
        let is_written = self.note(done, now);
        match is_written {
            true => self.last_error = None,
            false => self.losses.disk = self.losses.disk.saturating_add(1),
        }
        if let Some(open) = &mut self.open {
            let done = open
                .checkpoint_if_due(now)
                .and_then(|()| open.sync_if_due(now.at, self.settings.sync));
            self.note(done, now);
        }
        is_written
    }

    fn tell_of_losses(&mut self, now: &Moment) -> std::io::Result<()> {
        let Losses { queue, disk } = self.losses;
        let (Some(open), false) = (&mut self.open, self.is_below_floor) else { return Ok(()) };
        if queue > 0 || disk > 0 {
            open.event(&Event::Lost { queue, disk }, now)?;
            self.losses = Losses::default();
        }
        Ok(())
    }

    fn rotate_if_due(&mut self, now: &Moment) -> std::io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let is_next_day = open.day.zip(now.day()).is_some_and(|(day, today)| day != today);
        if open.length >= self.settings.segment_bytes || is_next_day {
            open.checkpoint(now)?;
            open.sync()?;
            open.begin_segment(&self.settings, now)?;
        }
        Ok(())
    }

    /// Logs an error, and closes the folder if its state is not known any more. Returns whether there was none.
    fn note(&mut self, done: std::io::Result<()>, now: &Moment) -> bool {
        let Err(why) = done else { return true };
        let what = format!("{}: a record is lost: {why}", self.settings.folder.display());
        // A full disk fails for every record. One message is enough.
        if self.last_error.as_ref() != Some(&what) || now.at >= self.retry_at {
            log::error!("{what}");
            self.retry_at = now.at + RETRY;
        }
        self.last_error = Some(what);
        if let Some(open) = self.open.take_if(|open| open.is_doubtful) {
            self.doubtful_lines = self.doubtful_lines.saturating_add(open.unsynced_lines);
        }
        false
    }
}

/// Locks the folder for this process as long as the file is open. It waits a moment for a process that is ending.
fn lock(folder: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.append(true).create(true).mode(0o640);
    let file = files::open_without_waiting(&mut options, &folder.join("lock"))?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Err(std::fs::TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            // Some file systems have no locks.
            _ => return Ok(file),
        }
    }
    Err(std::io::Error::other("another program writes records to this folder"))
}
