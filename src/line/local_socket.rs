//! Prepares the place of a local socket.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// Removes the socket that an earlier instance has left at `path`, and makes the folder. Another kind of file stays, so
/// that the socket cannot be made.
///
/// # Errors
/// An error of the system if the file cannot be removed or the folder cannot be made.
pub(super) fn make_way(path: &Path) -> std::io::Result<()> {
    let is_socket =
        std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    if is_socket {
        std::fs::remove_file(path)?;
    }
    match path.parent() {
        Some(folder) => std::fs::create_dir_all(folder),
        None => Ok(()),
    }
}
