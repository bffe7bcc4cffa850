//! Decides which segments are removed: the oldest ones, whole, and never the newest one.

use super::chain::{Link, MAX_LINE};
use super::moment::{ClockState, Moment};
use super::segments::Segment;
use crate::error::Kind;
use crate::files;
use serde::Deserialize;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

const DAY_MS: u64 = 86_400_000;

/// Holds what the first line of a segment says about its time.
#[derive(Deserialize)]
struct Begin {
    unix_ms: u64,
}

/// Returns the number of the oldest segments that ended more than `keep_days` days ago. It is none if the wall clock
/// cannot be trusted, because a clock that is wrong must not remove anything.
pub(super) fn too_old(segments: &[Segment], keep_days: u64, now: &Moment) -> usize {
    if keep_days == 0 || now.clock.state != ClockState::Synchronized {
        return 0;
    }
    let oldest = now.unix_ms.saturating_sub(keep_days.saturating_mul(DAY_MS));
    // A segment ended when the next one began.
    let ends = segments.iter().skip(1).map(|next| begin(next).map(|begin| begin.unix_ms));
    ends.take_while(|end| end.is_some_and(|end| end < oldest)).count()
}

/// Returns the digest that the first line of a segment holds of the line before it.
pub(super) fn before(segment: &Segment) -> std::io::Result<[u8; 32]> {
    let link = Link::of(&first_line(segment)?);
    link.map(|link| link.prev)
        .ok_or_else(|| std::io::Error::other(format!("{} has no first line", segment.name())))
}

fn begin(segment: &Segment) -> Option<Begin> {
    serde_json::from_slice(&first_line(segment).ok()?).ok()
}

fn first_line(segment: &Segment) -> std::io::Result<Vec<u8>> {
    let file = files::open_regular(&segment.path, u64::MAX, Kind::Io)
        .map_err(|why| std::io::Error::other(why.what()))?;
    let mut line = vec![];
    BufReader::new(file).take(MAX_LINE as u64).read_until(b'\n', &mut line)?;
    Ok(line)
}

/// Returns the free space of a folder in bytes.
pub(super) fn free_bytes(folder: &Path) -> std::io::Result<u64> {
    let stats = nix::sys::statvfs::statvfs(folder)?;
    Ok(stats.blocks_available().saturating_mul(stats.fragment_size()))
}
