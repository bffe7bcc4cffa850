//! Decodes the frames of a motion JPEG.

use super::layout::Layout;
use crate::image::{Picture, decode};

/// An APP0 segment that marks a JPEG as one of a motion JPEG. Cameras leave out the Huffman tables that all of them
/// share. The decoder adds the tables if it sees this mark, which cameras leave out as well.
const MOTION_JPEG_MARK: &[u8] = b"\xFF\xE0\x00\x10AVI1\0\0\0\0\0\0\0\0\0\0";
/// The first bytes of a JPEG.
pub(super) const JPEG_START: &[u8] = b"\xFF\xD8";

pub(super) fn from_jpeg(bytes: &[u8], layout: &Layout) -> Result<Picture, String> {
    let rest = bytes.strip_prefix(JPEG_START).ok_or_else(|| "not a JPEG".to_owned())?;
    let marked = [JPEG_START, MOTION_JPEG_MARK, rest].concat();
    let picture = decode(&marked).map_err(|e| first_line(&e))?;
    if (picture.width, picture.height) != (layout.width, layout.height) {
        return Err(format!(
            "a JPEG of {} x {} in place of {} x {}",
            picture.width, picture.height, layout.width, layout.height
        ));
    }
    Ok(picture)
}

/// Returns an error without its advice, which is for people with a file at hand.
pub fn first_line(error: &crate::error::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
