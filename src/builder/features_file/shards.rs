//! Features files that hold one part of a list of pictures, as the jobs of an array write them.

use super::data_error;
use super::read::FeaturesFile;
use crate::builder::features::Source;
use crate::builder::shard::Shard;
use crate::error::Result;
use crate::wording::form;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Says which part of which list of pictures a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartOfList {
    /// The part.
    pub shard: Shard,
    /// The BLAKE3 of the names of all pictures of the list.
    pub list: [u8; 32],
}

impl PartOfList {
    /// Describes `shard` of `pictures`. The names count without their folders: a job may see them elsewhere.
    pub(super) fn new(shard: Shard, pictures: &[Source]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for source in pictures {
            let name = source.name();
            hasher.update(&(name.len() as u64).to_le_bytes());
            hasher.update(name.as_bytes());
        }
        PartOfList { shard, list: hasher.finalize().into() }
    }
}

/// Refuses a file that holds only a part of its list.
pub(in crate::builder) fn require_whole(file: &FeaturesFile) -> Result<()> {
    match file.header().part {
        None => Ok(()),
        Some(part) => Err(data_error(format!(
            "{}: this file holds only shard {}",
            file.path().display(),
            part.shard
        ))
        .advise("join all shards with `hetmm features merge`, and use the result")),
    }
}

/// Puts files in the order of their shards. Returns `None` if no file is a shard.
///
/// # Errors
/// Returns [`crate::error::Kind::Image`] if shards are missing or there twice, or if the files do not belong together.
pub(super) fn in_order<'a>(
    files: &[PathBuf],
    opened: &'a [FeaturesFile],
) -> Result<Option<Vec<&'a FeaturesFile>>> {
    let parts: Vec<Option<PartOfList>> = opened.iter().map(|file| file.header().part).collect();
    let Some(first) = parts.iter().flatten().next() else { return Ok(None) };
    let of = first.shard.of;
    let mut places: Vec<Option<usize>> = vec![None; of as usize];
    for (index, part) in parts.iter().enumerate() {
        let same = part.filter(|part| part.list == first.list && part.shard.of == of);
        let Some(part) = same else {
            return Err(data_error(format!(
                "{}: this file is not a shard of the same list of pictures as the others",
                files[index].display()
            ))
            .advise("compute all shards from the same pictures, with the same number of shards"));
        };
        if let Some(before) = places[part.shard.number as usize - 1].replace(index) {
            return Err(data_error(format!(
                "shard {} is there twice: {} and {}",
                part.shard,
                files[before].display(),
                files[index].display()
            ))
            .advise("name each shard once"));
        }
    }
    let missing: Vec<String> = (1..)
        .zip(&places)
        .filter(|(_, place)| place.is_none())
        .map(|(n, _)| n.to_string())
        .collect();
    if !missing.is_empty() {
        let (word, verb) =
            (form(missing.len(), "shard", "shards"), form(missing.len(), "is", "are"));
        let missing = missing.join(", ");
        return Err(data_error(format!("{word} {missing} of {of} {verb} missing"))
            .advise("compute what is missing, and name the files of all shards"));
    }
    Ok(Some(places.into_iter().flatten().map(|index| &opened[index]).collect()))
}
