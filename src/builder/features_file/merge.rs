//! Merges the features of several files into one.

use super::Header;
use super::data_error;
use super::read::FeaturesFile;
use super::shards;
use super::write::Part;
use crate::error::Result;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Holds what a merge made.
#[derive(Debug)]
pub struct Merged {
    /// The number of pictures in the new file.
    pub pictures: usize,
    /// The number of pictures that were there already, in the same file or another.
    pub left_out: usize,
    /// The number of bytes of the new file.
    pub bytes: u64,
}

/// Writes the pictures of all `files`, in their order, to `destination`. Of equal pictures it keeps the first.
///
/// Shards of one list go into the order of their numbers. All their pictures stay, so the file has the same bytes as
/// that of one run over the whole list.
///
/// # Errors
/// Returns [`crate::error::Kind::Image`] if the files are of different backbones or feature extractors, or damaged, or
/// if some but not all shards of a list are there.
pub fn merge(
    files: &[PathBuf],
    destination: &Path,
    progress: &dyn Fn(usize, usize),
) -> Result<Merged> {
    let opened: Vec<FeaturesFile> =
        files.iter().map(|path| FeaturesFile::open(path)).collect::<Result<_>>()?;
    let Some(first) = opened.first() else {
        return Err(data_error("there are no features files to join"));
    };
    for (path, other) in files.iter().zip(&opened) {
        let differences = first.header().differences(other.header());
        if !differences.is_empty() {
            let (a, b) = (first.header(), other.header());
            return Err(data_error(format!(
                "features of two kinds cannot be joined (different: {differences})\n  {}: {}, {}\n  {}: {}, {}",
                files[0].display(), a.extractor, a.backbone, path.display(), b.extractor, b.backbone
            ))
            .advise("compute both files with the same options"));
        }
    }
    let shards = shards::in_order(files, &opened)?;
    let are_shards = shards.is_some();
    let ordered = shards.unwrap_or_else(|| opened.iter().collect());
    let mut part = Part::open(destination, Header { part: None, ..first.header().clone() })?;
    part.cut_to(0)?;
    let total = opened.iter().map(|file| file.pictures().len()).sum();
    let mut seen = HashSet::new();
    let (mut done, mut left_out) = (0, 0);
    for file in ordered {
        for (index, picture) in file.pictures().enumerate() {
            match seen.insert(picture.digest) || are_shards {
                true => part.copy(file, index)?,
                false => left_out += 1,
            }
            done += 1;
            progress(done, total);
        }
    }
    Ok(Merged { pictures: total - left_out, left_out, bytes: part.finish()? })
}
