//! This module makes a template file whole, or not at all.

use super::container::{self, Section, SectionKind};
use super::contents::Template;
use super::header::{HeaderV1, Settings};
use crate::error::{Error, Kind, Result};
use crate::files::{self, Lock};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// The number of bytes of a section that are in memory while it moves to another draft.
const COPIED_AT_ONCE: u64 = 1 << 20;

/// A template being written to a temporary file beside its destination.
///
/// Sections are written first, in their final places. The head is written last, because its numbers
/// come from the sections. No file has the destination's name until [`Draft::finish`] renames the
/// whole file. A draft that is dropped leaves nothing behind.
pub struct Draft {
    file: NamedTempFile,
    destination: PathBuf,
    header: HeaderV1,
    settings: Settings,
    header_length: usize,
    sections: Vec<Section>,
    next: usize,
}

impl Draft {
    /// Starts a file for `destination` with sections of the given lengths.
    ///
    /// Later, `header` and `settings` may change only in their floating-point numbers. Nothing may
    /// change their encoded length.
    pub fn create(
        destination: &Path,
        header: HeaderV1,
        settings: Settings,
        lengths: &[(SectionKind, u16, u64)],
    ) -> Result<Self> {
        if destination.is_dir() {
            return Err(Error::usage(format!("{}: is a folder", destination.display()))
                .advise("give the name of a .hetmm file"));
        }
        let destination = files::resolved(destination);
        let folder = files::folder_of(&destination);
        let file = files::temporary(folder)
            .map_err(|e| Error::io(folder, "a file cannot be made in this folder", &e))?;
        let header_length = header.encode(&settings)?.len();
        let sections = container::lay_out(header_length, lengths);
        let draft = Draft { file, destination, header, settings, header_length, sections, next: 0 };
        let end = draft.sections.last().map_or(0, |s| s.range.end);
        // The padding between sections stays zero.
        draft.file.as_file().set_len(end).map_err(|e| draft.cannot_write(&e))?;
        Ok(draft)
    }

    /// Writes the next section through `fill`, in the order of the given lengths.
    pub fn section(&mut self, fill: impl FnOnce(&mut SectionWriter) -> Result<()>) -> Result<()> {
        let Some(section) = self.sections.get(self.next) else {
            return Err(Error::template("more sections than were announced"));
        };
        let range = section.range.clone();
        let file = self.file.as_file();
        let mut at_start = file;
        at_start.seek(SeekFrom::Start(range.start)).map_err(|e| self.cannot_write(&e))?;
        let mut writer = SectionWriter {
            file,
            path: &self.destination,
            crc: crc32fast::Hasher::new(),
            written: 0,
        };
        fill(&mut writer)?;
        let (crc, written) = (writer.crc.finalize(), writer.written);
        if written != range.end - range.start {
            return Err(Error::template(format!(
                "{} bytes written for {}",
                written, self.sections[self.next]
            )));
        }
        self.sections[self.next].crc = crc;
        self.next += 1;
        Ok(())
    }

    /// Returns the unfinished template, to compute with. All sections that the header asks for must
    /// be written.
    pub fn preview(&self) -> Result<Template> {
        let (header, settings) = (self.header.clone(), self.settings.clone());
        Template::unproven(self.file.as_file(), header, settings, self.sections.clone())
    }

    /// Gives the header its final numbers.
    pub fn set_header(&mut self, change: impl FnOnce(&mut HeaderV1)) {
        change(&mut self.header);
    }

    /// Gives the settings their final numbers.
    pub fn set_settings(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
    }

    /// Replaces the settings. If they need another number of bytes, the sections that are already
    /// written move to a new draft.
    pub fn with_settings(
        mut self,
        settings: Settings,
        lengths: &[(SectionKind, u16, u64)],
    ) -> Result<Self> {
        if self.header.encode(&settings)?.len() == self.header_length {
            self.settings = settings;
            return Ok(self);
        }
        let mut moved = Draft::create(&self.destination, self.header.clone(), settings, lengths)?;
        let mut from = self.file.as_file();
        for section in &self.sections[..self.next] {
            from.seek(SeekFrom::Start(section.range.start)).map_err(|e| self.cannot_write(&e))?;
            moved.section(|writer| {
                let mut left = section.range.end - section.range.start;
                let mut bytes = vec![0; left.min(COPIED_AT_ONCE) as usize];
                while left > 0 {
                    bytes.truncate(left.min(COPIED_AT_ONCE) as usize);
                    from.read_exact(&mut bytes).map_err(|e| self.cannot_write(&e))?;
                    writer.write(&bytes)?;
                    left -= bytes.len() as u64;
                }
                Ok(())
            })?;
        }
        Ok(moved)
    }

    /// Returns the current header.
    pub fn header(&self) -> &HeaderV1 {
        &self.header
    }

    /// Writes the head, checks the file by reading it back, and renames it to its destination.
    /// Returns the number of bytes of the file.
    pub fn finish(self) -> Result<u64> {
        self.finish_over(None, None)
    }

    /// Does the same as [`Draft::finish`] under two conditions. The file that `lock` holds must be
    /// unchanged, and the BLAKE3 of the written bytes must be `digest`. Otherwise it does not
    /// replace the file.
    pub fn finish_over(mut self, lock: Option<&Lock>, digest: Option<[u8; 32]>) -> Result<u64> {
        let seal = self.header.seal(&self.settings, &container::table(&self.sections))?;
        if let (Some(proof), Some(seal)) = (&mut self.settings.proof, seal) {
            proof.seal = seal;
        }
        let header = self.header.encode(&self.settings)?;
        if header.len() != self.header_length || self.next != self.sections.len() {
            return Err(Error::template("the draft is not complete"));
        }
        let head = container::head(&header, &self.sections);
        let mut file = self.file.as_file();
        file.seek(SeekFrom::Start(0)).map_err(|e| self.cannot_write(&e))?;
        file.write_all(&head).map_err(|e| self.cannot_write(&e))?;
        let template = Template::of_file(file)?;
        if digest.is_some_and(|digest| digest != template.digest()) {
            return Err(Error::template("the bytes from before cannot be restored exactly")
                .advise("another command has changed the template since: undo that change first"));
        }
        let size = template.size() as u64;
        drop(template);
        let unchanged = || lock.map_or(Ok(()), Lock::check);
        files::put_in_place_if(self.file, &self.destination, unchanged)?;
        Ok(size)
    }

    fn cannot_write(&self, error: &std::io::Error) -> Error {
        Error::io(&self.destination, "cannot be written", error)
    }
}

/// Writes `template` to `destination` with another header, other settings and the zones that go
/// with them (empty for none). Every other section stays as it is. A whole new file replaces the
/// old one, or nothing does. The old file stays if it is no longer the one that `lock` holds.
///
/// # Errors
/// [`Kind::Io`] also where the file behind `template` has changed since it was opened. The copied
/// sections keep the checksums that were checked then, and never get new ones.
pub fn rewrite(
    destination: &Path,
    lock: Option<&Lock>,
    template: &Template,
    header: HeaderV1,
    settings: Settings,
    zones: &[u8],
) -> Result<u64> {
    let sections = || template.sections().iter();
    let plain = sections().filter(|s| !matches!(s.kind, SectionKind::Zones | SectionKind::Journal));
    let journal = sections().filter(|s| s.kind == SectionKind::Journal);
    let copied = |s: &Section| (s.kind, s.index, template.section_bytes(s), Some(s.crc));
    let zones = (!zones.is_empty()).then_some((SectionKind::Zones, 0, zones, None));
    let contents: Vec<_> = plain.map(copied).chain(zones).chain(journal.map(copied)).collect();
    let lengths: Vec<_> = contents.iter().map(|(k, i, b, _)| (*k, *i, b.len() as u64)).collect();
    let mut draft = Draft::create(destination, header, settings, &lengths)?;
    for (_, _, bytes, _) in &contents {
        draft.section(|writer| writer.write(bytes))?;
    }
    let differs = |(written, content): &(&Section, &(_, _, _, Option<u32>))| {
        content.3.is_some_and(|proven| proven != written.crc)
    };
    if let Some((section, _)) = draft.sections.iter().zip(&contents).find(differs) {
        let what = format!("the template has changed while it was copied ({section})");
        return Err(Error::new(Kind::Io, what)
            .advise("another program writes into it; nothing was written here: try again"));
    }
    draft.finish_over(lock, None)
}

/// The writer of one section's bytes.
pub struct SectionWriter<'a> {
    file: &'a File,
    path: &'a Path,
    crc: crc32fast::Hasher,
    written: u64,
}

impl SectionWriter<'_> {
    /// Appends bytes to the section.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let mut file = self.file;
        file.write_all(bytes).map_err(|e| Error::io(self.path, "cannot be written", &e))?;
        self.crc.update(bytes);
        self.written += bytes.len() as u64;
        Ok(())
    }
}
