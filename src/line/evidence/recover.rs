//! Finds the end of the chain at the start, and puts aside what a power loss has torn.

use super::chain::{Head, Link, MAX_LINE};
use super::line::Gist;
use super::segments::{self, Segment};
use crate::error::Kind;
use crate::files;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// Holds what a folder held when it was opened.
pub(super) struct Found {
    /// The end of the chain.
    pub head: Head,
    /// The number of the last start of the program; 0 if there was none.
    pub run: u64,
    /// Whether the chain is empty, or ends with the end of a program in good order.
    pub is_clean: bool,
    /// The newest segment.
    pub last: Option<Last>,
    /// The files with torn bytes that no line has named yet. A power loss during the recovery leaves several.
    pub aside: Vec<Aside>,
    /// The segment in which the chain is damaged, and how. Nothing is removed there.
    pub damaged: Option<(String, String)>,
}

/// Describes a file with torn bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Aside {
    pub bytes: u64,
    pub name: String,
}

/// Holds the newest segment.
pub(super) struct Last {
    pub segment: Segment,
    /// The number of its bytes.
    pub length: u64,
    /// Its first line.
    pub header: Vec<u8>,
}

/// Finds the end of the chain in `folder`. Bytes behind the last whole line go to a file of their own, and the segment
/// is cut there. A chain that is damaged before its end stays as it is.
pub(super) fn recover(folder: &Path) -> std::io::Result<Found> {
    let mut found = Found {
        head: Head::EMPTY,
        run: 0,
        is_clean: true,
        last: None,
        aside: vec![],
        damaged: None,
    };
    let mut segments = segments::list(folder)?;
    while let Some(segment) = segments.pop() {
        let mut file = files::open_regular(&segment.path, u64::MAX, Kind::Io)
            .map_err(|why| std::io::Error::other(why.what()))?;
        let scan = scan(&file, segment.first)?;
        if scan.torn > 0 {
            found.aside.push(put_aside(folder, &mut file, &scan, segment.first)?);
        }
        let Some((head, header)) = scan.head.zip(scan.header) else {
            // Power was lost before the first line of the segment was on the disk.
            std::fs::remove_file(&segment.path)?;
            continue;
        };
        if scan.torn > 0 {
            let file = File::options().write(true).open(&segment.path)?;
            file.set_len(scan.end)?;
            file.sync_all()?;
        }
        found.damaged = scan.damaged.map(|why| (segment.name(), why));
        found.is_clean &= scan.is_clean;
        (found.head, found.run) = (head, scan.run);
        found.last = Some(Last { segment, length: scan.end, header });
        break;
    }
    // Power may have been lost again after bytes were put aside, and before a line said so.
    for aside in unnamed(folder, found.head.seq.saturating_add(1)) {
        if !found.aside.contains(&aside) {
            found.aside.push(aside);
        }
    }
    found.is_clean &= found.aside.is_empty();
    Ok(found)
}

/// Gives the names for files with the bytes of a torn line that would have had this number: line 7 may be torn more than
/// once.
fn torn_names(seq: u64) -> impl Iterator<Item = String> {
    std::iter::once(format!("torn-{seq:012}.bin"))
        .chain((2_u32..).map(move |copy| format!("torn-{seq:012}-{copy}.bin")))
}

/// Returns the files with torn bytes of a line with this number, in the order in which they were put aside.
fn unnamed(folder: &Path, seq: u64) -> impl Iterator<Item = Aside> {
    torn_names(seq).map_while(|name| {
        let bytes = std::fs::metadata(folder.join(&name)).ok()?.len();
        Some(Aside { bytes, name })
    })
}

/// Holds what a segment holds.
#[derive(Default)]
struct Scan {
    /// The head after its last whole line.
    head: Option<Head>,
    header: Option<Vec<u8>>,
    run: u64,
    is_clean: bool,
    /// The number of bytes up to the end of its last whole line.
    end: u64,
    /// The number of bytes behind it.
    torn: u64,
    damaged: Option<String>,
}

/// Reads a segment. Lines that cannot be read count as torn if no whole line follows them, and as damage otherwise.
fn scan(file: &File, first: u64) -> std::io::Result<Scan> {
    let mut scan = Scan::default();
    let (mut reader, mut line) = (BufReader::with_capacity(1 << 16, file), Vec::new());
    let (mut position, mut number) = (0_u64, 0_u64);
    loop {
        line.clear();
        let read = (&mut reader).take(MAX_LINE as u64).read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        position = position.saturating_add(read as u64);
        number = number.saturating_add(1);
        let whole = line.strip_suffix(b"\n");
        let Some((text, link, gist)) =
            whole.and_then(|text| Some((text, Link::of(text)?, Gist::of(text)?)))
        else {
            continue;
        };
        let follows = match scan.head {
            _ if scan.end.saturating_add(read as u64) != position => {
                Err("lines before it cannot be read".to_owned())
            }
            Some(head) => head.follow(text).map(drop),
            None if link.seq != first => Err("its number is not that of the file".to_owned()),
            None => Ok(()),
        };
        if let (Err(why), None) = (follows, &scan.damaged) {
            scan.damaged = Some(format!("line {number}: {why}"));
        }
        scan.header.get_or_insert_with(|| text.to_vec());
        // A program ends with the line "stop", and a checkpoint may follow it.
        scan.is_clean = gist.kind == "stop" || (gist.kind == "checkpoint" && scan.is_clean);
        scan.run = gist.run;
        scan.head = Some(link.head(text));
        scan.end = position;
    }
    scan.torn = position.saturating_sub(scan.end);
    Ok(scan)
}

/// Copies the torn bytes to a new file of their own. It never replaces the bytes of an earlier tear.
fn put_aside(folder: &Path, file: &mut File, scan: &Scan, first: u64) -> std::io::Result<Aside> {
    let next = scan.head.map_or(first, |head| head.seq.saturating_add(1));
    let is_free = |name: &String| !std::fs::exists(folder.join(name)).unwrap_or(true);
    let name = torn_names(next).find(is_free);
    let name = name.ok_or_else(|| std::io::Error::other("there is no name for torn bytes"))?;
    let mut aside = files::temporary(folder)?;
    file.seek(SeekFrom::Start(scan.end))?;
    std::io::copy(&mut file.take(scan.torn), aside.as_file_mut())?;
    files::put_in_place(aside, &folder.join(&name))
        .map_err(|why| std::io::Error::other(why.what()))?;
    Ok(Aside { bytes: scan.torn, name })
}
