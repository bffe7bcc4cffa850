//! This module refuses kinds of TIFF that are not read.

use crate::error::Error;
use crate::image::limits::unreadable;

pub(super) fn unsupported(kind: &str) -> Error {
    unreadable(format!("a TIFF {kind} is not supported"))
        .advise("save it as PNG, or as a TIFF in grey or RGB of 8 or 16 bits")
}
