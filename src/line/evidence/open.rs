//! Appends lines to the newest segment, signs checkpoints, and makes lines durable.

use super::chain::{Head, MAX_LINE, hex};
use super::device_key::DeviceKey;
use super::line::{DeviceName, Event, FORMAT, Origin};
use super::moment::Moment;
use super::recover::{Found, Last};
use super::segments::Segment;
use super::settings::Settings;
use crate::clock::LineTime;
use crate::files;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::time::Duration;

/// The number of lines after which a checkpoint is signed.
pub(super) const CHECKPOINT_LINES: u64 = 1000;
/// The time after which a checkpoint is signed if there are lines without one.
const CHECKPOINT_TIME: Duration = Duration::from_secs(600);

/// Holds the key of the checkpoints.
#[derive(Clone)]
struct Signing {
    key: Arc<DeviceKey>,
    /// The public half as text.
    public: Arc<str>,
}

/// Holds the newest segment.
pub(super) struct Open {
    file: File,
    pub segment: Segment,
    pub length: u64,
    /// The day on which the segment began, if the wall clock was set.
    pub day: Option<u64>,
    pub head: Head,
    origin: Origin,
    key: Option<Signing>,
    buffer: String,
    unsynced_since: Option<LineTime>,
    pub unsynced_lines: u64,
    unsigned_lines: u64,
    unsigned_since: LineTime,
    /// Whether it is not known what the file holds.
    pub is_doubtful: bool,
}

impl Open {
    /// Continues the chain after what was found.
    pub fn after(
        settings: &Settings,
        origin: Origin,
        key: Option<DeviceKey>,
        found: &Found,
        last: Option<Last>,
        now: &Moment,
    ) -> std::io::Result<Self> {
        let key = key.map(|key| {
            let public = key.public().to_text().into();
            Signing { key: Arc::new(key), public }
        });
        let public = key.as_ref().map(|key| &*key.public);
        let last = last.filter(|last| {
            let is_same = same_origin(&last.header, &origin.device, public, now);
            found.damaged.is_none() && last.length < settings.segment_bytes && is_same
        });
        let next = Segment::of(&settings.folder, found.head.seq.saturating_add(1));
        let (segment, length) = match last {
            Some(last) => (last.segment, last.length),
            None => (next, 0),
        };
        let mut open = Open {
            file: open_segment(&segment, length == 0)?,
            segment,
            length,
            day: now.day(),
            head: found.head,
            origin,
            key,
            buffer: String::with_capacity(4096),
            unsynced_since: None,
            unsynced_lines: 0,
            unsigned_lines: 0,
            unsigned_since: now.at,
            is_doubtful: false,
        };
        if open.length == 0 {
            open.header(settings, now)?;
        }
        Ok(open)
    }

    pub fn begin_segment(&mut self, settings: &Settings, now: &Moment) -> std::io::Result<()> {
        self.is_doubtful = true;
        self.segment = Segment::of(&settings.folder, self.head.seq.saturating_add(1));
        self.file = open_segment(&self.segment, true)?;
        (self.length, self.day) = (0, now.day());
        self.header(settings, now)?;
        self.is_doubtful = false;
        Ok(())
    }

    /// Writes the first line of the segment, and makes the file durable.
    fn header(&mut self, settings: &Settings, now: &Moment) -> std::io::Result<()> {
        let key = self.key.clone();
        let public = key.as_ref().map(|key| &*key.public);
        self.line(now, |origin, head, line| origin.segment(head, public, now, line))?;
        self.sync()?;
        File::open(&settings.folder)?.sync_all()
    }

    pub fn event(&mut self, event: &Event, now: &Moment) -> std::io::Result<()> {
        self.line(now, |origin, head, line| origin.event(head, event, now, line))
    }

    /// Appends a line in one write. After an error the file is as it was before, or doubtful.
    pub fn line(
        &mut self,
        now: &Moment,
        build: impl FnOnce(&Origin, &Head, &mut String),
    ) -> std::io::Result<()> {
        build(&self.origin, &self.head, &mut self.buffer);
        let seq = self.head.seq.saturating_add(1);
        let head = Head { seq, hash: blake3::hash(self.buffer.as_bytes()).into() };
        self.buffer.push('\n');
        if self.buffer.len() > MAX_LINE {
            return Err(std::io::Error::other("a line would be too long"));
        }
        if let Err(why) = self.file.write_all(self.buffer.as_bytes()) {
            // A full disk can take half of a line of text.
            self.is_doubtful = self.file.set_len(self.length).is_err();
            return Err(why);
        }
        self.length = self.length.saturating_add(self.buffer.len() as u64);
        self.head = head;
        self.unsynced_since.get_or_insert(now.at);
        self.unsynced_lines = self.unsynced_lines.saturating_add(1);
        if self.unsigned_lines == 0 {
            self.unsigned_since = now.at;
        }
        self.unsigned_lines = self.unsigned_lines.saturating_add(1);
        Ok(())
    }

    pub fn checkpoint_if_due(&mut self, now: &Moment) -> std::io::Result<()> {
        let is_long = now.at.since(self.unsigned_since) >= CHECKPOINT_TIME;
        match self.unsigned_lines {
            0 => Ok(()),
            lines if lines >= CHECKPOINT_LINES || is_long => self.checkpoint(now),
            _ => Ok(()),
        }
    }

    /// Signs all lines so far, if there is a key and a line that is not signed yet.
    pub fn checkpoint(&mut self, now: &Moment) -> std::io::Result<()> {
        let Some(Signing { key, public }) = self.key.clone().filter(|_| self.unsigned_lines > 0)
        else {
            return Ok(());
        };
        let sign = |message: &[u8]| hex(&key.sign(message));
        self.line(now, |origin, head, line| origin.checkpoint(head, &public, sign, now, line))?;
        self.unsigned_lines = 0;
        Ok(())
    }

    pub fn sync_if_due(&mut self, now: LineTime, limit: Duration) -> std::io::Result<()> {
        match self.unsynced_since {
            Some(since) if now.since(since) >= limit => self.sync(),
            _ => Ok(()),
        }
    }

    /// Makes all lines so far durable.
    pub fn sync(&mut self) -> std::io::Result<()> {
        if self.unsynced_since.is_none() {
            return Ok(());
        }
        if let Err(why) = self.file.sync_data() {
            // The kernel may have forgotten these lines.
            self.is_doubtful = true;
            return Err(why);
        }
        (self.unsynced_since, self.unsynced_lines) = (None, 0);
        Ok(())
    }
}

/// Opens a segment to append to it.
fn open_segment(segment: &Segment, is_new: bool) -> std::io::Result<File> {
    let mut options = File::options();
    options.append(true).create_new(is_new).mode(0o640);
    files::open_without_waiting(&mut options, &segment.path)
}

/// Returns whether a segment with this first line can be continued today, by this device and with this key.
fn same_origin(header: &[u8], device: &DeviceName, key: Option<&str>, now: &Moment) -> bool {
    let Ok(header) = serde_json::from_slice::<serde_json::Value>(header) else { return false };
    let text = |name: &str| header.get(name).and_then(serde_json::Value::as_str);
    let day = header.get("unix_ms").and_then(serde_json::Value::as_u64).map(|ms| ms / 86_400_000);
    text("kind") == Some("segment")
        && header.get("format").and_then(serde_json::Value::as_u64) == Some(u64::from(FORMAT))
        && text("key") == key
        && header.get("device") == serde_json::to_value(device).ok().as_ref()
        && (now.day().is_none() || day == now.day())
}
