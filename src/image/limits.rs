//! This module refuses pictures of any format that are too small, too large or cut off, and files
//! with several pictures.

use crate::error::{Error, Kind, Result};

/// The most pixels that a picture may have: 100 megapixels.
pub const MAX_PIXELS: u64 = 100_000_000;
/// The fewest rows and the fewest columns that a picture may have.
pub const MIN_SIDE: u32 = 8;
/// The number of pixels that a file of any size may declare.
const ANY_FILE_PIXELS: u64 = 4 << 20;
/// The number of further pixels that a file may declare for each of its bytes. PNG's compression
/// turns one byte into at most 1,032 bytes, and a picture of a single colour is of no use here.
const PIXELS_PER_BYTE: u64 = 1_000;

/// Refuses pictures that are too small to inspect or too large to hold.
pub(super) fn check_sides(width: u32, height: u32) -> Result<()> {
    if width < MIN_SIDE || height < MIN_SIDE {
        return Err(unreadable(format!("{width} x {height} pixels are too few to inspect"))
            .advise(format!("pictures need at least {MIN_SIDE} x {MIN_SIDE} pixels")));
    }
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(unreadable(format!(
            "{width} x {height} pixels are more than {} million",
            MAX_PIXELS / 1_000_000
        ))
        .advise("crop or scale the picture first; the network sees a few hundred pixels a side"));
    }
    Ok(())
}

/// Refuses pictures that are too small or too large to be decoded, or too large for their file.
pub(super) fn check_size(width: u32, height: u32, file_bytes: usize) -> Result<()> {
    check_sides(width, height)?;
    let most = ANY_FILE_PIXELS.saturating_add(PIXELS_PER_BYTE.saturating_mul(file_bytes as u64));
    if u64::from(width) * u64::from(height) > most {
        return Err(unreadable(format!(
            "{file_bytes} bytes are too few for {width} x {height} pixels"
        ))
        .advise("copy the picture again from its source, or remove it"));
    }
    Ok(())
}

/// Makes the error for a picture that cannot be used because of `why`.
pub(super) fn unreadable(why: impl Into<String>) -> Error {
    Error::new(Kind::Image, why)
}

/// Makes the error for a file with several pictures. Nobody has said which of them shows the part.
pub(super) fn several(what: impl std::fmt::Display) -> Error {
    unreadable(format!("it is {what}, and a part has one picture"))
        .advise("save the picture that shows the part as a file of its own")
}

/// Makes the error for an incomplete picture.
pub(super) fn truncated(why: &str) -> Error {
    unreadable(format!("incomplete: {why}"))
        .advise("copy the picture again from its source, or remove it")
}
