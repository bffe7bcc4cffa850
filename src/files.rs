//! Files that are written whole or not at all.

use crate::error::{Error, Result};
use std::io::Write;
use std::path::Path;

/// Writes `bytes` to a temporary file beside `path`, syncs it and renames it into place.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = folder_of(path);
    let failed = |e: std::io::Error| Error::io(path, "cannot be written", &e);
    let mut file = temporary(folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    put_in_place(file, path)
}

/// A temporary file in `folder` that removes itself when it is dropped.
pub(crate) fn temporary(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    tempfile::Builder::new().prefix(".hetmm-").suffix(".part").tempfile_in(folder)
}

/// Syncs a temporary file and renames it to `path`, in a way that survives a power loss.
///
/// The file gets the permissions of the one it replaces, or those of any new file.
pub(crate) fn put_in_place(file: tempfile::NamedTempFile, path: &Path) -> Result<()> {
    let failed = |e: std::io::Error| Error::io(path, "cannot be put in place", &e);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let permissions = std::fs::metadata(path)
            .map_or_else(|_| std::fs::Permissions::from_mode(0o644), |m| m.permissions());
        file.as_file().set_permissions(permissions).map_err(failed)?;
    }
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|e| failed(e.error))?;
    sync_folder(path).map_err(failed)
}

/// Renames a file that is synced already to `path`, in a way that survives a power loss.
#[cfg(feature = "desktop")]
pub(crate) fn rename(from: &Path, path: &Path) -> Result<()> {
    let failed = |e: std::io::Error| Error::io(path, "cannot be put in place", &e);
    std::fs::rename(from, path).map_err(failed)?;
    sync_folder(path).map_err(failed)
}

/// Makes a new name in the folder of `path` last.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    match cfg!(unix) {
        true => std::fs::File::open(folder_of(path))?.sync_all(),
        false => Ok(()),
    }
}

/// The folder that a file of this name lies in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
