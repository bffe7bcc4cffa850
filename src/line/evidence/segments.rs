//! Names and lists the segments of a folder.

use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// How the names of segments begin and end. Between them stands the number of the first line.
const NAME: (&str, &str) = ("evidence-", ".jsonl");

/// Describes a segment by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment {
    /// The number of its first line.
    pub first: u64,
    /// Its file.
    pub path: PathBuf,
}

impl Segment {
    /// Names the segment that begins with line `first`.
    pub fn of(folder: &Path, first: u64) -> Self {
        let path = folder.join(format!("{}{first:012}{}", NAME.0, NAME.1));
        Segment { first, path }
    }

    /// Returns the name of its file.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// Returns the files of the segments of a folder, the oldest first.
///
/// # Errors
/// Returns [`crate::error::Kind::Io`] if the folder cannot be read.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let segments = list(folder).map_err(|e| Error::io(folder, "cannot be read", &e))?;
    Ok(segments.into_iter().map(|segment| segment.path).collect())
}

/// Lists the segments of a folder, the oldest first. Other files are left alone. A folder that does not exist has none.
pub(super) fn list(folder: &Path) -> std::io::Result<Vec<Segment>> {
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        entries => entries?,
    };
    let mut segments = vec![];
    for entry in entries {
        let name = entry?.file_name();
        let number = || name.to_str()?.strip_prefix(NAME.0)?.strip_suffix(NAME.1)?.parse().ok();
        let segment = number().map(|first| Segment::of(folder, first));
        // A name that is written in another way is another file.
        segments.extend(segment.filter(|segment| segment.path.file_name() == Some(&name)));
    }
    segments.sort();
    Ok(segments)
}
