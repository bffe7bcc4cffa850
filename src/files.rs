//! Files that are written whole or not at all.

use crate::error::{Error, Kind, Result};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Writes `bytes` to a temporary file beside `path`, syncs it and renames it into place.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = folder_of(path);
    let failed = |e: std::io::Error| Error::io(path, "cannot be written", &e);
    let mut file = temporary(folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    put_in_place(file, path)
}

/// First and last letters of temporary files.
const TEMPORARY: (&str, &str) = (".hetmm-", ".part");
/// A temporary file that nobody holds is taken for left behind when it is older than this.
const LEFT_BEHIND: Duration = Duration::from_secs(60);

/// A temporary file in `folder` that removes itself when it is dropped. What a killed program has
/// left there is removed first.
pub(crate) fn temporary(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    remove_left_behind(folder);
    let (prefix, suffix) = TEMPORARY;
    let file = tempfile::Builder::new().prefix(prefix).suffix(suffix).tempfile_in(folder)?;
    // Says that it is in use, as long as this process lives; some file systems know no locks.
    let _ = file.as_file().try_lock();
    Ok(file)
}

/// Removes temporary files whose program has ended without removing them, as a power loss does.
fn remove_left_behind(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let ours =
            name.to_str().is_some_and(|n| n.starts_with(TEMPORARY.0) && n.ends_with(TEMPORARY.1));
        let age =
            || entry.metadata().ok()?.modified().ok().map(|t| SystemTime::now().duration_since(t));
        if !ours || age().is_none_or(|age| age.is_ok_and(|age| age < LEFT_BEHIND)) {
            continue;
        }
        if File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
            // Where it cannot be removed it stays: that is no failure of what is to be written.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Takes `path`, a file that is about to be replaced, for this process alone, until the handle is
/// dropped. Readers are not kept out.
///
/// # Errors
/// [`Kind::Io`] where another process has it, or where it is marked as read-only.
pub fn lock(path: &Path) -> Result<File> {
    let failed = |e: std::io::Error| Error::io(path, "cannot be opened", &e);
    for _ in 0..100 {
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.permissions().readonly() {
            let what = format!("{}: is read-only and stays as it is", path.display());
            return Err(Error::new(Kind::Io, what)
                .advise("make it writable (chmod u+w), or work on a copy"));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                let what = format!("{}: another program is changing it", path.display());
                return Err(Error::new(Kind::Io, what).advise("try again when it is done"));
            }
            Err(std::fs::TryLockError::Error(e)) => {
                return Err(Error::io(path, "cannot be locked", &e));
            }
        }
        // Whoever had it before has put another file under its name: that one is meant.
        if is_same(&file, path).map_err(failed)? {
            return Ok(file);
        }
    }
    Err(Error::new(Kind::Io, format!("{}: changes all the time", path.display())))
}

#[cfg(unix)]
fn is_same(file: &File, path: &Path) -> std::io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (a, b) = (file.metadata()?, std::fs::metadata(path)?);
    Ok((a.dev(), a.ino()) == (b.dev(), b.ino()))
}

#[cfg(not(unix))]
fn is_same(_: &File, _: &Path) -> std::io::Result<bool> {
    Ok(true)
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

/// Fills `into` with what stands at `start`. Several threads may read from one file.
#[cfg(all(feature = "desktop", unix))]
pub(crate) fn read_exact_at(file: &File, into: &mut [u8], start: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, into, start)
}

/// Fills `into` with what stands at `start`. Several threads may read from one file: one at a time,
/// since they share its position.
#[cfg(all(feature = "desktop", not(unix)))]
pub(crate) fn read_exact_at(mut file: &File, into: &mut [u8], start: u64) -> std::io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    static POSITION: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _position = POSITION.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(into)
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
