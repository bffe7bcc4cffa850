//! Checks a chain from its first line to its last one.

use super::chain::{Head, Link, MAX_LINE, hex, unhex};
use super::device_key::PublicKey;
use super::line::{FORMAT, Gist, KINDS, SIGNATURE};
use super::open::CHECKPOINT_LINES;
use super::segments::{self, Segment};
use crate::error::{Error, Kind, Result};
use crate::files;
use serde::Deserialize;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// A device leaves no more lines without a signature at the end: those before a checkpoint is due, and some that come
/// with it.
const MOST_UNSIGNED: u64 = CHECKPOINT_LINES + 100;

/// Holds a line of a chain that was checked up to it.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// The kind of the line, for example `part`.
    pub kind: &'a str,
    /// The whole line as JSON, without its line end.
    pub text: &'a [u8],
}

/// Says what is wrong with a chain, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// The file name of the segment.
    pub segment: String,
    /// The number of the line in the segment, from 1.
    pub line: u64,
    /// What is wrong.
    pub why: String,
}

/// Holds what a chain has shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// The number of lines that were checked.
    pub lines: u64,
    /// The number of parts among them.
    pub parts: u64,
    /// The number of segments.
    pub segments: u64,
    /// The number of the first line, if there is one.
    pub first: Option<u64>,
    /// The end of the chain, if there is a line.
    pub head: Option<Head>,
    /// The public keys that have signed checkpoints.
    pub keys: Vec<String>,
    /// The number of checkpoints.
    pub checkpoints: u64,
    /// The number of the newest line that a checkpoint covers.
    pub signed_through: Option<u64>,
    /// The number of records that were lost, as the chain says.
    pub lost: u64,
    /// The number of times that the program did not end in good order.
    pub recovered: u64,
    /// The first thing that is wrong.
    pub bad: Option<Bad>,
}

/// Checks the chain in `folder`, and gives each line to `each` when everything up to it is right. With `key`, there
/// must be checkpoints, all must be signed by it, and no more lines may be unsigned than a device leaves.
///
/// # Errors
/// Returns [`Kind::Io`] if the folder cannot be read, or [`Kind::Usage`] if it holds no segment. Returns the errors of
/// `each`. What is wrong with the chain itself is no error: see [`Verified::bad`].
pub fn verify(
    folder: &Path,
    key: Option<&PublicKey>,
    each: &mut dyn FnMut(Line<'_>) -> Result<()>,
) -> Result<Verified> {
    let failed = |e: std::io::Error| Error::io(folder, "the records cannot be read", &e);
    let segments = segments::list(folder).map_err(failed)?;
    if segments.is_empty() {
        return Err(Error::usage(format!("{}: no records with a chain", folder.display()))
            .advise("give the folder that records.folder names"));
    }
    let mut check = Check { key, each, seen: Verified::default(), segment_key: None, cut: None };
    for segment in &segments {
        check.seen.segments = check.seen.segments.saturating_add(1);
        if let Some((line, why)) = check.segment(segment)? {
            check.seen.bad = Some(Bad { segment: segment.name(), line, why });
            return Ok(check.seen);
        }
    }
    if let Some((segment, why)) = check.at_the_end(&segments) {
        check.seen.bad = Some(Bad { segment, line: 1, why });
    }
    Ok(check.seen)
}

/// Holds the state of a check.
struct Check<'a> {
    key: Option<&'a PublicKey>,
    each: &'a mut dyn FnMut(Line<'_>) -> Result<()>,
    seen: Verified,
    /// The key that the present segment names.
    segment_key: Option<PublicKey>,
    /// The head before the first line that is there, until a line says that the lines before it were removed.
    cut: Option<Head>,
}

/// The number of a line in its segment, and what is wrong with it.
type Wrong = Option<(u64, String)>;

/// What the first line of a segment says.
#[derive(Deserialize)]
struct SegmentLine {
    format: u32,
    key: Option<String>,
}

/// What a line says about segments that were removed.
#[derive(Deserialize)]
struct PrunedLine<'a> {
    through: u64,
    hash: &'a str,
}

/// What a line says about records that were lost.
#[derive(Deserialize)]
struct LostLine {
    queue: u64,
    disk: u64,
}

impl Check<'_> {
    fn segment(&mut self, segment: &Segment) -> Result<Wrong> {
        let file = files::open_regular(&segment.path, u64::MAX, Kind::Io)?;
        let failed = |e: std::io::Error| Error::io(&segment.path, "cannot be read", &e);
        let (mut reader, mut line) = (BufReader::with_capacity(1 << 16, file), Vec::new());
        for number in 1.. {
            line.clear();
            let limit = MAX_LINE as u64;
            let read = (&mut reader).take(limit).read_until(b'\n', &mut line).map_err(failed)?;
            if read == 0 {
                return Ok((number == 1).then(|| (1, "the segment is empty".into())));
            }
            let Some(text) = line.strip_suffix(b"\n") else {
                let why = match read == MAX_LINE {
                    true => "it is longer than a line can be",
                    false => "it is torn: it has no end",
                };
                return Ok(Some((number, why.into())));
            };
            match self.line(text, (number == 1).then_some(segment.first)) {
                Ok(kind) => (self.each)(Line { kind, text })?,
                Err(why) => return Ok(Some((number, why))),
            }
        }
        Ok(None)
    }

    /// Checks a line, and returns its kind. `begins` is the number of the file's name if it is the first line of its
    /// segment.
    fn line<'a>(
        &mut self,
        text: &'a [u8],
        begins: Option<u64>,
    ) -> std::result::Result<&'a str, String> {
        let link = Link::of(text).ok_or("it does not begin with a number and a digest")?;
        let head = match self.seen.head {
            Some(head) => head.follow(text)?,
            None => {
                self.cut = first_cut(&link)?;
                self.seen.first = Some(link.seq);
                link.head(text)
            }
        };
        let gist = Gist::of(text).ok_or("it is no line of records")?;
        if begins.is_some_and(|first| first != link.seq) {
            return Err("its number is not that of the file".into());
        }
        if begins.is_some() != (gist.kind == "segment") {
            return Err("only the first line of a segment describes it".into());
        }
        self.content(gist.kind, text, link.seq)?;
        self.seen.head = Some(head);
        self.seen.lines = self.seen.lines.saturating_add(1);
        Ok(gist.kind)
    }

    /// Checks what the kind of a line asks for.
    fn content(&mut self, kind: &str, text: &[u8], seq: u64) -> std::result::Result<(), String> {
        match kind {
            "part" => self.seen.parts = self.seen.parts.saturating_add(1),
            "segment" => self.describes(&read(text)?)?,
            "checkpoint" => self.checkpoint(text, seq)?,
            "recovered" => self.seen.recovered = self.seen.recovered.saturating_add(1),
            "lost" => {
                let LostLine { queue, disk } = read(text)?;
                let lost = queue.saturating_add(disk);
                self.seen.lost = self.seen.lost.saturating_add(lost);
            }
            "pruned" => {
                let PrunedLine { through, hash } = read(text)?;
                let hash = unhex(hash.as_bytes()).ok_or("its digest cannot be read")?;
                self.cut.take_if(|cut| *cut == Head { seq: through, hash });
            }
            other if KINDS.contains(&other) => {}
            other => {
                return Err(format!("its kind is {other:?}, which this program does not know"));
            }
        }
        Ok(())
    }

    /// Takes the key that the first line of a segment names.
    fn describes(&mut self, line: &SegmentLine) -> std::result::Result<(), String> {
        if line.format != FORMAT {
            return Err(format!("its format is {}, and this program reads {FORMAT}", line.format));
        }
        let key = match &line.key {
            None => None,
            Some(text) => Some(PublicKey::parse(text).ok_or("its key cannot be read")?),
        };
        if self.key.is_some() && key.as_ref() != self.key {
            let id = key.map_or("no key".into(), |key| format!("the key {}", key.id()));
            return Err(format!("it names {id}, which is not the key that was given"));
        }
        self.segment_key = key;
        Ok(())
    }

    /// Checks the signature of a checkpoint.
    fn checkpoint(&mut self, text: &[u8], seq: u64) -> std::result::Result<(), String> {
        let key = self.segment_key.as_ref().ok_or("its segment names no key")?;
        // The signature has a fixed length and stands at the end.
        let end = SIGNATURE.len().saturating_add(128 + 2);
        let at = text.len().checked_sub(end).ok_or("it has no signature")?;
        let (signed, rest) = text.split_at_checked(at).ok_or("it has no signature")?;
        let signature = rest
            .strip_prefix(SIGNATURE.as_bytes())
            .and_then(|rest| rest.strip_suffix(b"\"}"))
            .and_then(unhex::<64>)
            .ok_or("its signature cannot be read")?;
        if !key.verifies(signed, &signature) {
            return Err(format!("its signature was not made by the key {} for it", key.id()));
        }
        let name = key.to_text();
        if !self.seen.keys.contains(&name) {
            self.seen.keys.push(name);
        }
        self.seen.checkpoints = self.seen.checkpoints.saturating_add(1);
        self.seen.signed_through = Some(seq);
        Ok(())
    }

    /// Checks what only the whole chain can show.
    fn at_the_end(&self, segments: &[Segment]) -> Option<(String, String)> {
        if let Some(cut) = self.cut {
            let why = format!("the lines up to {} are missing, and no line says so", cut.seq);
            return Some((segments.first()?.name(), why));
        }
        if self.key.is_some() && self.seen.checkpoints == 0 {
            let why = "no line is signed with the key that was given".into();
            return Some((segments.first()?.name(), why));
        }
        let newest = self.seen.head?.seq;
        let signed = self.seen.signed_through.or_else(|| self.seen.first?.checked_sub(1))?;
        let unsigned = newest.saturating_sub(signed);
        if self.key.is_some() && unsigned > MOST_UNSIGNED {
            let why = format!("the last {unsigned} lines of the chain are not signed");
            return Some((segments.last()?.name(), why));
        }
        None
    }
}

/// Returns the head before the first line that is there, or `None` if nothing was before it.
fn first_cut(link: &Link) -> std::result::Result<Option<Head>, String> {
    let before = Head { seq: link.seq.checked_sub(1).ok_or("its number is 0")?, hash: link.prev };
    match before.seq {
        0 if before != Head::EMPTY => {
            Err(format!("it is the first line and names a line before it, {}", hex(&link.prev)))
        }
        0 => Ok(None),
        _ => Ok(Some(before)),
    }
}

fn read<'a, T: Deserialize<'a>>(text: &'a [u8]) -> std::result::Result<T, String> {
    serde_json::from_slice(text).map_err(|why| format!("it cannot be read: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::evidence::device_key::DeviceKey;
    use crate::line::evidence::line::{DeviceName, Event, Origin, Software};
    use crate::line::evidence::{ClockQuality, Moment};
    use rayon::prelude::*;

    /// Returns a chain of this many lines, with a checkpoint at every 1000th and at the end.
    fn chain(lines: u64, key: &DeviceKey) -> Vec<String> {
        let device = DeviceName { serial: "s".into(), name: "n".into(), site: "p".into() };
        let software = Software { version: "1", build: String::new() };
        let origin = Origin { run: 1, boot: "b".into(), device, software };
        let now = Moment { at: Default::default(), unix_ms: 0, clock: ClockQuality::UNKNOWN };
        let (public, mut head, mut all) = (key.public().to_text(), Head::EMPTY, vec![]);
        for number in 1..=lines {
            let mut line = String::new();
            let sign = |message: &[u8]| hex(&key.sign(message));
            let event = Event::Teach { part: number, entry: 1, who: "Ada".into(), forced: false };
            match number {
                1 => origin.segment(&head, Some(&public), &now, &mut line),
                _ if number == lines || number % 1000 == 0 => {
                    origin.checkpoint(&head, &public, sign, &now, &mut line);
                }
                _ => origin.event(&head, &event, &now, &mut line),
            }
            head = head.follow(line.as_bytes()).expect("follows");
            all.push(line);
        }
        all
    }

    /// Returns whether the lines are right after a chain that has shown `seen`.
    fn are_right(seen: &Verified, key: &PublicKey, lines: &[&[u8]], begins: bool) -> bool {
        let mut check = Check {
            key: Some(key),
            each: &mut |_| Ok(()),
            seen: seen.clone(),
            segment_key: Some(key.clone()),
            cut: None,
        };
        let first = |index: usize| (begins && index == 0).then_some(1);
        lines.iter().enumerate().all(|(i, line)| check.line(line, first(i)).is_ok())
    }

    /// A byte that was changed shows in its own line or in the next one. The newest line is a checkpoint, whose
    /// signature covers it.
    #[test]
    fn every_changed_byte_of_ten_thousand_lines_is_found() {
        let key = DeviceKey::of_seed(&[7; 32]);
        let lines = chain(10_000, &key);
        let missed: Vec<(usize, usize)> = (0..lines.len())
            .into_par_iter()
            .flat_map_iter(|i| {
                let before = i.checked_sub(1).map(|i| lines[i].as_bytes());
                let head = before.and_then(|line| Some(Link::of(line)?.head(line)));
                let seen = Verified { head, first: head.map(|_| 1), ..Verified::default() };
                let next = lines.get(i + 1).map(String::as_bytes);
                let right: Vec<&[u8]> =
                    [Some(lines[i].as_bytes()), next].into_iter().flatten().collect();
                assert!(are_right(&seen, key.public(), &right, i == 0), "line {}", i + 1);
                let mut changed = lines[i].clone().into_bytes();
                let mut missed = vec![];
                for at in 0..changed.len() {
                    // Another bit, or several, at every byte.
                    let mask = 1 + ((at * 31 + i * 17) % 255) as u8;
                    changed[at] ^= mask;
                    let pair: Vec<&[u8]> = [Some(&*changed), next].into_iter().flatten().collect();
                    if are_right(&seen, key.public(), &pair, i == 0) {
                        missed.push((i + 1, at));
                    }
                    changed[at] ^= mask;
                }
                missed
            })
            .collect();
        assert!(missed.is_empty(), "{missed:?}");
        assert!(lines.iter().map(String::len).sum::<usize>() > 2_000_000);
    }

    #[test]
    fn changed_bytes_of_files_are_found_line_ends_included() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = DeviceKey::of_seed(&[7; 32]);
        let mut bytes = chain(10_000, &key).join("\n").into_bytes();
        bytes.push(b'\n');
        let path = Segment::of(folder.path(), 1).path;
        let look = |bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("writes");
            verify(folder.path(), Some(key.public()), &mut |_| Ok(())).expect("reads").bad
        };
        assert_eq!(look(&bytes), None);
        let ends: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] == b'\n').collect();
        let places = (0..40).map(|i| ends[i * 7919 % ends.len()]);
        let places =
            places.chain((0..40).map(|i| i * 1_000_003 % bytes.len())).chain([bytes.len() - 1]);
        for at in places.collect::<Vec<_>>() {
            let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
            bytes[at] ^= 0x15;
            let bad = look(&bytes).unwrap_or_else(|| panic!("byte {at} is not found"));
            assert!((line..=line + 1).contains(&bad.line), "byte {at} of line {line}: {bad:?}");
            bytes[at] ^= 0x15;
        }
    }
}
