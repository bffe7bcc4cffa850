//! Making a template file: whole, or not at all.

use super::container::{self, Section, SectionKind};
use super::contents::Template;
use super::header::{HeaderV1, Settings};
use crate::error::{Error, Kind, Result};
use crate::files::{self, Lock};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A template being written to a temporary file beside its destination.
///
/// Sections are written first, in their final places; the head, whose numbers come from them, is
/// written last. Nothing stands under the destination's name until [`Draft::finish`] renames the
/// whole file; a draft that is dropped leaves nothing behind.
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
    /// `header` and `settings` may change later in their floating-point numbers, not in anything
    /// that changes their encoded length.
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
        // Padding between sections stays zero.
        draft.file.as_file().set_len(end).map_err(|e| draft.cannot_write(&e))?;
        Ok(draft)
    }

    /// Writes the next section, in the order of the lengths given, through `fill`.
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

    /// The template as it stands, to compute with before it is finished. All sections that the
    /// header calls for must be written.
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

    /// Replaces the settings. Where they take another number of bytes, the sections that are written already move to
    /// a new draft.
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
            let mut bytes = vec![0; (section.range.end - section.range.start) as usize];
            from.seek(SeekFrom::Start(section.range.start)).map_err(|e| self.cannot_write(&e))?;
            std::io::Read::read_exact(&mut from, &mut bytes).map_err(|e| self.cannot_write(&e))?;
            moved.section(|writer| writer.write(&bytes))?;
        }
        Ok(moved)
    }

    /// The header as it stands.
    pub fn header(&self) -> &HeaderV1 {
        &self.header
    }

    /// Writes the head, proves the file by reading it back, and puts it in its place. Returns the
    /// bytes of the file.
    pub fn finish(self) -> Result<u64> {
        self.finish_over(None, None)
    }

    /// As [`Draft::finish`], but nothing is put in place where the file that `lock` holds is no longer
    /// the one it was, or where the BLAKE3 of what was written is not `digest`.
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
                .advise("another command has changed the template since: take that back first"));
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

/// Writes `template` to `destination` with another header, other settings and the zones that go with
/// them (empty for none); every other section stays as it is. The old file is replaced by a whole
/// new one or not at all, and not where it is no longer the one that `lock` holds.
///
/// # Errors
/// [`Kind::Io`] where the file behind `template` has been changed since it was opened, too: what is
/// copied has the checksums that were proven then, never new ones.
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

/// Where one section's bytes go.
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
