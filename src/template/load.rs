//! This module turns a template's file into a [`Template`]. It checks every byte and number once.
#![allow(unsafe_code)]

use super::container::{self, Section};
use super::contents::Template;
use super::header::{self, HeaderV1, Settings};
use super::numbers;
use crate::error::{Error, Kind, Result};
use memmap2::{Mmap, MmapMut};
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

/// Opens a template file for reading.
///
/// # Errors
/// [`Kind::Template`] where it is not a regular file, [`Kind::Io`] where it cannot be opened.
pub(crate) fn open_file(path: &Path) -> Result<File> {
    let unreadable = |e| Error::io(path, "the template cannot be opened", &e);
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(Error::template(format!("{}: not a regular file", path.display()))
            .advise("give a file that hetmm build has written"));
    }
    File::open(path).map_err(unreadable)
}

/// The bytes of a template's file in memory of this process, where no other program can change them. Nothing of them was
/// checked yet.
pub(crate) struct OwnBytes(Mmap);

impl OwnBytes {
    /// Reads the file of a template.
    ///
    /// # Errors
    /// [`Kind::Template`] where it is another kind of file, [`Kind::Io`] where it cannot be read or there is no memory
    /// for it.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Self::read_from(open_file(path)?, path, u64::MAX)
    }

    /// Does the same as [`OwnBytes::read`] with a file of at most `most_bytes` that another user may exchange at any
    /// moment. It never waits for a pipe.
    ///
    /// # Errors
    /// As [`OwnBytes::read`]; [`Kind::Template`] where the file is longer.
    #[cfg(feature = "line")]
    pub(crate) fn read_foreign(path: &Path, most_bytes: u64) -> Result<Self> {
        let file = crate::files::open_regular(path, most_bytes, Kind::Template)?;
        Self::read_from(file, path, most_bytes)
    }

    fn read_from(mut file: File, path: &Path, most_bytes: u64) -> Result<Self> {
        let unreadable = |e| Error::io(path, "the template cannot be read", &e);
        let length = file.metadata().map_err(unreadable)?.len();
        if length == 0 {
            return Err(empty().within(path.display()));
        }
        if length > most_bytes {
            return Err(Error::template(format!("{}: too large", path.display())));
        }
        let length = usize::try_from(length)
            .map_err(|_| Error::template(format!("{}: too large", path.display())))?;
        // Check the first bytes before copying: another kind of file may be larger than memory.
        let mut start = Vec::with_capacity(container::PRELUDE);
        let prelude = (&file).take(container::PRELUDE as u64).read_to_end(&mut start);
        if prelude.map_err(unreadable)? < container::PRELUDE
            || !start.starts_with(&container::MAGIC)
        {
            container::parse(&start).map_err(|e| e.within(path.display()))?;
        }
        file.rewind().map_err(unreadable)?;
        let mut copy = room(length).map_err(unreadable)?;
        file.read_exact(&mut copy).map_err(unreadable)?;
        #[cfg(target_os = "linux")]
        collapse(&mut copy);
        copy.make_read_only().map(OwnBytes).map_err(unreadable)
    }

    /// Returns the bytes.
    #[cfg(feature = "line")]
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl Template {
    /// Opens a template file, checks it, and keeps a copy of its bytes in memory.
    ///
    /// The file may be replaced, cut short or removed afterwards.
    ///
    /// # Errors
    /// [`Kind::Template`] where the file is damaged, cut, too new or makes no sense. [`Kind::Io`]
    /// where it cannot be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::of_bytes(OwnBytes::read(path)?).map_err(|e| e.within(path.display()))
    }

    /// Checks the bytes of a template's file and makes a template of them.
    ///
    /// # Errors
    /// [`Kind::Template`], as for [`Template::open`].
    pub(crate) fn of_bytes(bytes: OwnBytes) -> Result<Self> {
        Self::of_mapping(bytes.0)
    }

    /// Makes a template from the bytes of its file, which are copied.
    ///
    /// # Errors
    /// [`Kind::Template`] as for [`Template::open`], [`Kind::Io`] where there is no memory for the
    /// copy.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        if bytes.is_empty() {
            return Err(empty());
        }
        let no_memory = |e| Error::new(Kind::Io, format!("no memory for a template: {e}"));
        let mut copy = room(bytes.len()).map_err(no_memory)?;
        copy.copy_from_slice(bytes);
        Self::of_mapping(copy.make_read_only().map_err(no_memory)?)
    }

    /// Does the same as [`Template::open`], but maps the file instead of copying it. That is
    /// quicker for a large file of which only a little is read.
    ///
    /// If the file is cut short while it is mapped, for example by `cp` over it, the process ends.
    /// So this is only for programs that look at a file and end.
    ///
    /// # Errors
    /// As [`Template::open`].
    pub fn map(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = open_file(path)?;
        Self::of_file(&file).map_err(|e| e.within(path.display()))
    }

    /// Does the same as [`Template::map`] for an open file.
    ///
    /// # Errors
    /// [`Kind::Template`], as for [`Template::open`].
    pub fn of_file(file: &File) -> Result<Self> {
        let unreadable = |e| Error::template(format!("cannot be mapped: {e}"));
        if file.metadata().map_err(unreadable)?.len() == 0 {
            return Err(empty());
        }
        // SAFETY: mapped memory must not change while it is borrowed. Templates are never written
        // in place. They are made under another name and renamed over the old one, so that a
        // mapping keeps the file that it was opened with.
        Self::of_mapping(unsafe { Mmap::map(file) }.map_err(unreadable)?)
    }

    fn of_mapping(bytes: Mmap) -> Result<Self> {
        let parsed = container::parse(&bytes)?;
        let (header, settings) = header::decode(parsed.header)?;
        let seal = header.seal(&settings, parsed.table)?;
        if seal != settings.proof.as_ref().map(|proof| proof.seal) {
            return Err(Error::template("the template was changed after it was written")
                .advise("copy it again from its source, or build it again"));
        }
        let sections = parsed.sections;
        let template = Template::of_parts(bytes, header, settings, sections)?;
        numbers::check(&template)?;
        Ok(template)
    }

    /// Refuses a template with prototypes that are not unit vectors. It reads the whole template
    /// once more, on the caller's thread pool.
    ///
    /// # Errors
    /// [`Kind::Template`], which names the first wrong prototype.
    pub fn check_prototypes(&self) -> Result<()> {
        numbers::check_prototypes(self)
    }

    /// Makes a template that is still being built, whose checksums are not yet written.
    pub(super) fn unproven(
        file: &File,
        header: HeaderV1,
        settings: Settings,
        sections: Vec<Section>,
    ) -> Result<Self> {
        // SAFETY: the draft's owner writes nothing to the sections while this mapping lives. It
        // drops the mapping before it writes the head.
        let bytes = unsafe { Mmap::map(file) }
            .map_err(|e| Error::new(Kind::Io, format!("the draft cannot be mapped: {e}")))?;
        Template::of_parts(bytes, header, settings, sections)
    }
}

/// Returns memory for a template of `length` bytes, in large pages where the system offers them. Matching reads all of it
/// for every picture, and a processor's prefetching stops at the end of each page.
fn room(length: usize) -> std::io::Result<MmapMut> {
    let room = MmapMut::map_anon(length)?;
    // Without large pages, matching is a little slower.
    #[cfg(target_os = "linux")]
    let _ = room.advise(memmap2::Advice::HugePage);
    Ok(room)
}

/// Asks the system to put memory that is filled into large pages. If a program locks all its memory, the system fills
/// [`room`] with small pages before the program can ask for large ones. Systems before Linux 6.1 do not know the request.
#[cfg(target_os = "linux")]
fn collapse(room: &mut MmapMut) {
    /// `MADV_COLLAPSE`, which not all C libraries name.
    const COLLAPSE: libc::c_int = 25;
    // SAFETY: the range is that of a mapping which this function alone can use, and the request changes no byte of it.
    let _ = unsafe { libc::madvise(room.as_mut_ptr().cast(), room.len(), COLLAPSE) };
}

fn empty() -> Error {
    Error::template("the template is empty").advise("build it again")
}
