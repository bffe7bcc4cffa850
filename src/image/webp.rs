//! This module looks at the contents of a WebP file before it is decoded.

use super::limits::{several, truncated, unreadable};
use crate::error::Result;

/// The bit of a `VP8X` chunk that marks an animation.
const ANIMATION: u8 = 0b10;

/// Refuses animations, and chunks that are longer than the file. The decoder would reserve as much
/// memory as a chunk declares.
pub(super) fn check_chunks(bytes: &[u8]) -> Result<()> {
    let number =
        |bytes: &[u8]| bytes.iter().rev().fold(0, |value, &byte| value << 8 | usize::from(byte));
    let whole = bytes.get(4..8).map_or(0, number);
    // Data after the picture is not a part of it.
    let Some(picture) = bytes.get(8..).and_then(|rest| rest.get(..whole)) else {
        return Err(truncated("the file is shorter than it says"));
    };
    let mut rest = picture.get(4..).unwrap_or_default();
    while let Some((head, body)) = rest.split_at_checked(8) {
        let (name, length) = head.split_at(4);
        let length = number(length);
        let Some(content) = body.get(..length) else {
            return Err(truncated("a WebP chunk is longer than the file"));
        };
        match (name, content.first()) {
            (b"VP8X", Some(flags)) if flags & ANIMATION != 0 => {
                return Err(several("a WebP animation"));
            }
            (b"ANIM" | b"ANMF", _) => return Err(several("a WebP animation")),
            (b"VP8X", None) => return Err(unreadable("cannot be decoded: a WebP header is empty")),
            _ => {}
        }
        // Chunks begin at even positions.
        rest = body.get(length.next_multiple_of(2)..).unwrap_or_default();
    }
    Ok(())
}
