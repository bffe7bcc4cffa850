//! This module tells by their names which files of a folder are pictures.

use std::path::Path;

/// The file name extensions of the formats that are decoded.
const EXTENSIONS: [&str; 14] = [
    "png", "jpg", "jpeg", "jpe", "jfif", "bmp", "tif", "tiff", "pnm", "pgm", "ppm", "pbm", "pam",
    "webp",
];

/// Returns whether a file of this name counts as a picture when a folder is read.
pub fn is_picture_name(path: &Path) -> bool {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    !is_system_name(path) && extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str()))
}

/// The names of files and folders that systems and programs make beside those of people.
const SYSTEM_NAMES: [&str; 12] = [
    "__MACOSX",
    "@eaDir",
    "@tmp",
    "@Recycle",
    "#recycle",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
    "Thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "Icon\r",
];

/// Returns whether a file or folder of this name is hidden, or is one that a system makes for
/// itself.
pub fn is_system_name(path: &Path) -> bool {
    path.file_name().is_some_and(|name| {
        let name = name.to_string_lossy();
        name.starts_with('.') || SYSTEM_NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
    })
}
