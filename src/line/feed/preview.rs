//! Keeps a copy of the latest picture for those who want to look at the production line.

use crate::clock::LineTime;
use crate::image::{Picture, Samples};
use crate::line::tracker::PartId;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::Serialize;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Describes the latest picture.
#[derive(Debug, Serialize)]
pub struct Preview {
    /// The part in the picture.
    pub part: PartId,
    /// The number of columns.
    pub width: u32,
    /// The number of rows.
    pub height: u32,
    /// The number of values of a pixel: 1 for grey, 3 for red, green and blue.
    pub channels: usize,
    /// The bits of a value, 8 or 16. Values of 16 bits have the order of this machine's bytes.
    pub bits: u32,
    /// The file in memory that holds the samples, row by row. It can no longer be changed.
    #[serde(skip)]
    pub samples: OwnedFd,
}

/// Holds the latest picture until it is handed out.
#[derive(Debug)]
pub struct PreviewSlot {
    pause: Duration,
    wanted: AtomicBool,
    /// The moment from which the next picture is taken, in nanoseconds.
    next: AtomicU64,
    latest: Mutex<Option<Preview>>,
}

impl PreviewSlot {
    /// Makes an empty slot. At least `pause` lies between two pictures.
    pub(super) fn new(pause: Duration) -> Self {
        let (wanted, next) = (AtomicBool::new(false), AtomicU64::new(0));
        PreviewSlot { pause, wanted, next, latest: Mutex::new(None) }
    }

    /// Says whether somebody looks.
    pub(super) fn want(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::Relaxed);
    }

    /// Returns whether the next picture is to be kept: somebody looks, and the pause is over.
    pub fn wants(&self, now: LineTime) -> bool {
        self.wanted.load(Ordering::Relaxed) && now.as_nanos() >= self.next.load(Ordering::Relaxed)
    }

    /// Keeps a picture in place of an older one. It costs a copy. If there is no memory for it, nothing is kept.
    pub fn keep(&self, part: PartId, picture: &Picture, now: LineTime) {
        self.next.store((now + self.pause).as_nanos(), Ordering::Relaxed);
        match Preview::of(part, picture) {
            Ok(preview) => {
                *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(preview);
            }
            Err(why) => log::debug!("no preview: {why}"),
        }
    }

    /// Takes the latest picture.
    pub(super) fn take(&self) -> Option<Preview> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Preview {
    fn of(part: PartId, picture: &Picture) -> std::io::Result<Self> {
        let (bytes, bits): (&[u8], u32) = match &picture.samples {
            Samples::Eight(samples) => (samples, 8),
            Samples::Sixteen(samples) => (bytemuck::cast_slice(samples), 16),
        };
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let mut file = std::fs::File::from(memfd_create(c"preview", flags)?);
        file.write_all(bytes)?;
        let seals = SealFlag::F_SEAL_SEAL
            | SealFlag::F_SEAL_SHRINK
            | SealFlag::F_SEAL_GROW
            | SealFlag::F_SEAL_WRITE;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        Ok(Preview {
            part,
            width: picture.width,
            height: picture.height,
            channels: 3,
            bits,
            samples: file.into(),
        })
    }
}
