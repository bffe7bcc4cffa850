//! This module writes files whole or not at all, and reads files without ever waiting for them.

pub mod outputs;

use crate::error::{Error, Kind, Result};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Writes `bytes` to a temporary file beside `path`, syncs it and renames it into place.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = folder_of(path);
    let failed = |e: std::io::Error| Error::io(path, "cannot be written", &e);
    let mut file = temporary(folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    put_in_place(file, path)
}

/// Does the same as [`write_whole`] where nothing lies at `path` yet. It never replaces anything. On Unix, the file gets the
/// permissions `mode`, such as 0o644, before it has its name.
///
/// # Errors
/// [`Kind::Io`] where something lies there, or where the file cannot be written.
#[cfg(feature = "line")]
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let failed = |e: std::io::Error| Error::io(path, "cannot be written", &e);
    let mut file = temporary(folder_of(path)).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let permissions = std::fs::Permissions::from_mode(mode);
        file.as_file().set_permissions(permissions).map_err(failed)?;
    }
    file.as_file().sync_all().map_err(failed)?;
    file.persist_noclobber(path).map_err(|e| failed(e.error))?;
    sync_folder(path)
}

/// Opens a regular file of at most `most_bytes` bytes for reading, and never waits for it. An
/// ordinary open of a pipe waits for its other end, and a device may never end.
///
/// The file may grow afterwards. So take no more than `most_bytes` from it, as [`read_regular`]
/// does.
///
/// # Errors
/// [`Kind::Io`] where the file cannot be opened or is a folder. An error of `kind` where it is not
/// a regular file (a pipe, a socket, a device), or where it is longer than `most_bytes`.
pub fn open_regular(path: &Path, most_bytes: u64, kind: Kind) -> Result<File> {
    let failed = |e: std::io::Error| Error::io(path, "cannot be opened", &e);
    // Opening a device can already have an effect. So check for a regular file before opening it.
    check_regular(path, &std::fs::metadata(path).map_err(failed)?, most_bytes, kind)?;
    let mut options = File::options();
    options.read(true);
    let file = open_without_waiting(&mut options, path).map_err(failed)?;
    // Another file may have taken the name in the meantime.
    check_regular(path, &file.metadata().map_err(failed)?, most_bytes, kind)?;
    Ok(file)
}

/// Returns the bytes of a regular file of at most `most_bytes` bytes; see [`open_regular`].
///
/// # Errors
/// As [`open_regular`]; [`Kind::Io`] where the file cannot be read.
pub fn read_regular(path: &Path, most_bytes: u64, kind: Kind) -> Result<Vec<u8>> {
    let failed = |e: std::io::Error| Error::io(path, "cannot be read", &e);
    let file = open_regular(path, most_bytes, kind)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut bytes = vec![];
    bytes.try_reserve(usize::try_from(length).unwrap_or(0)).map_err(|e| failed(e.into()))?;
    file.take(most_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 {
        length if length > most_bytes => Err(too_long(path, length, most_bytes, kind)),
        _ => Ok(bytes),
    }
}

/// Opens a file as `options` say, without waiting for the other end of a pipe or for a device.
pub(crate) fn open_without_waiting(
    options: &mut std::fs::OpenOptions,
    path: &Path,
) -> std::io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, libc::O_NONBLOCK | libc::O_NOCTTY);
    options.open(path)
}

fn check_regular(
    path: &Path,
    metadata: &std::fs::Metadata,
    most_bytes: u64,
    kind: Kind,
) -> Result<()> {
    if metadata.is_dir() {
        let why = std::io::ErrorKind::IsADirectory.into();
        return Err(Error::io(path, "cannot be read", &why).advise("name a file"));
    }
    if !metadata.is_file() {
        let what = format!("{}: not a regular file", path.display());
        return Err(Error::new(kind, what)
            .advise("pipes and devices are not read: copy the contents into a file"));
    }
    match metadata.len() {
        length if length > most_bytes => Err(too_long(path, length, most_bytes, kind)),
        _ => Ok(()),
    }
}

fn too_long(path: &Path, length: u64, most_bytes: u64, kind: Kind) -> Error {
    let what = format!("{}: {length} bytes, more than {most_bytes}", path.display());
    Error::new(kind, what).advise("check that it is the file that was meant")
}

/// How the names of temporary files begin and end.
const TEMPORARY: (&str, &str) = (".hetmm-", ".part");
/// A temporary file that no process holds counts as left behind when it is older than this.
const LEFT_BEHIND: Duration = Duration::from_secs(60);

/// Makes a temporary file in `folder` that removes itself when it is dropped. Before that, it
/// removes what a killed program has left there.
pub(crate) fn temporary(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    remove_left_behind(folder);
    let (prefix, suffix) = TEMPORARY;
    let file = tempfile::Builder::new().prefix(prefix).suffix(suffix).tempfile_in(folder)?;
    // The lock shows other processes that the file is in use as long as this process lives. Some
    // file systems have no locks.
    let _ = file.as_file().try_lock();
    Ok(file)
}

/// Removes temporary files whose program has ended without removing them, for example in a power
/// loss.
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
        let opened = open_regular(&entry.path(), u64::MAX, Kind::Io);
        if opened.is_ok_and(|file| file.try_lock().is_ok()) {
            // A file that cannot be removed stays, because the caller's own write can still
            // succeed.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// A file that only this process may replace until the lock is dropped, and the state of the file
/// when it was locked. The lock does not keep out readers, or programs that ask for no lock, such
/// as `cp` and `mv`; see [`Lock::check`].
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    mark: Mark,
    _file: File,
}

/// Data that tell one state of a file from another: file system, file, length, time of the last
/// change.
type Mark = (u64, u64, u64, Option<SystemTime>);

impl Lock {
    /// Checks that nobody has changed or replaced the file since it was locked.
    ///
    /// # Errors
    /// [`Kind::Io`] where somebody has changed or replaced it.
    pub fn check(&self) -> Result<()> {
        if std::fs::metadata(&self.path).is_ok_and(|metadata| mark(&metadata) == self.mark) {
            return Ok(());
        }
        let what = format!("{}: another program has replaced it meanwhile", self.path.display());
        Err(Error::new(Kind::Io, what)
            .advise("what that program wrote stays, and nothing else was changed: try again"))
    }
}

/// Does the same as [`lock`] for a file that may not exist yet. Returns `None` where it does not
/// exist.
///
/// # Errors
/// As [`lock`].
pub fn lock_if_there(path: &Path) -> Result<Option<Lock>> {
    path.is_file().then(|| lock(path)).transpose()
}

/// Locks `path`, a file that is about to be replaced, for this process alone.
///
/// # Errors
/// [`Kind::Io`] where another process holds the file, or where the file is read-only.
/// [`Kind::Template`] where it is not a regular file.
pub fn lock(path: &Path) -> Result<Lock> {
    let failed = |e: std::io::Error| Error::io(path, "cannot be opened", &e);
    for _ in 0..100 {
        // Opening a pipe would wait for its other end.
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(Error::template(format!("{}: not a regular file", path.display())));
        }
        let file = open_to_lock(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.permissions().readonly() {
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
            // This file system has no locks, so only `Lock::check` protects the file.
            Err(std::fs::TryLockError::Error(e)) if e.kind() == std::io::ErrorKind::Unsupported => {
            }
            Err(std::fs::TryLockError::Error(e)) => {
                return Err(Error::io(path, "cannot be locked", &e));
            }
        }
        // The previous holder may have put another file under this name. Then the loop locks that
        // file instead.
        let mark = mark(&metadata);
        if is_same(mark, path).map_err(failed)? {
            return Ok(Lock { path: path.to_owned(), mark, _file: file });
        }
    }
    Err(Error::new(Kind::Io, format!("{}: changes all the time", path.display())))
}

/// Opens a file for locking, with write access where that is permitted. NFS gives an exclusive lock
/// only through a descriptor that may write. The function writes nothing and truncates nothing.
fn open_to_lock(path: &Path) -> std::io::Result<File> {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    match open_without_waiting(File::options().read(true).write(true), path) {
        Err(e) if matches!(e.kind(), PermissionDenied | ReadOnlyFilesystem) => {
            open_without_waiting(File::options().read(true), path)
        }
        opened => opened,
    }
}

fn is_same(mark: Mark, path: &Path) -> std::io::Result<bool> {
    Ok(self::mark(&std::fs::metadata(path)?) == mark)
}

fn mark(metadata: &std::fs::Metadata) -> Mark {
    #[cfg(unix)]
    let (device, number) = {
        use std::os::unix::fs::MetadataExt;
        (metadata.dev(), metadata.ino())
    };
    #[cfg(not(unix))]
    let (device, number) = (0, 0);
    (device, number, metadata.len(), metadata.modified().ok())
}

/// Returns the file that `path` names. A symbolic link gives the file that it leads to, so that
/// replacing the file keeps the link. A link that leads nowhere gives itself.
pub(crate) fn resolved(path: &Path) -> PathBuf {
    match path.is_symlink() {
        true => std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()),
        false => path.to_owned(),
    }
}

/// Syncs a temporary file and renames it to `path`, in a way that survives a power loss.
///
/// The file gets the permissions of the file that it replaces, and its owner as far as this user
/// may give files away. Where it replaces nothing, it gets the usual permissions of a new file
/// (0644).
pub(crate) fn put_in_place(file: tempfile::NamedTempFile, path: &Path) -> Result<()> {
    put_in_place_if(file, path, || Ok(()))
}

/// Does the same as [`put_in_place`] if `check` agrees right before the renaming.
pub(crate) fn put_in_place_if(
    file: tempfile::NamedTempFile,
    path: &Path,
    check: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let failed =
        |e: std::io::Error| Error::io(path, "cannot be put in place, what was there stays", &e);
    only_over_a_file(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
        let replaced = std::fs::metadata(path).ok();
        if let Some(replaced) = &replaced {
            // If root replaces a service's file, the service must still be able to read it. A user
            // who may not give files away remains the owner, as with any other program that
            // replaces a file.
            let _ = fchown(file.as_file(), Some(replaced.uid()), Some(replaced.gid()));
        }
        let permissions =
            replaced.map_or_else(|| std::fs::Permissions::from_mode(0o644), |m| m.permissions());
        file.as_file().set_permissions(permissions).map_err(failed)?;
    }
    file.as_file().sync_all().map_err(failed)?;
    check()?;
    file.persist(path).map_err(|e| failed(e.error))?;
    sync_folder(path)
}

/// Refuses to put a file in the place of a device, a pipe or a socket. Otherwise a program that is
/// told to write to `/dev/null` would replace it for the whole system.
fn only_over_a_file(path: &Path) -> Result<()> {
    if std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        let what = format!("{}: is no regular file, and stays as it is", path.display());
        return Err(Error::new(Kind::Io, what).advise("write to a file"));
    }
    Ok(())
}

/// Fills `into` with the bytes from `start` on. Several threads may read from one file.
#[cfg(all(feature = "desktop", unix))]
pub(crate) fn read_exact_at(file: &File, into: &mut [u8], start: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, into, start)
}

/// Fills `into` with the bytes from `start` on. Several threads may read from one file, but only
/// one at a time, because they share its position.
#[cfg(all(feature = "desktop", not(unix)))]
pub(crate) fn read_exact_at(mut file: &File, into: &mut [u8], start: u64) -> std::io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    static POSITION: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _position = POSITION.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(into)
}

/// Renames a file that is already synced to `path`, in a way that survives a power loss.
#[cfg(feature = "desktop")]
pub(crate) fn rename(from: &Path, path: &Path) -> Result<()> {
    let failed = |e: std::io::Error| Error::io(path, "cannot be put in place", &e);
    only_over_a_file(path)?;
    std::fs::rename(from, path).map_err(failed)?;
    sync_folder(path)
}

/// Syncs the folder of `path`, so that the new name survives a power loss.
///
/// # Errors
/// [`Kind::Io`] where the folder cannot be synced. The file has its new name nevertheless.
fn sync_folder(path: &Path) -> Result<()> {
    let sync = || File::open(folder_of(path))?.sync_all();
    match cfg!(unix) {
        true => lasting(path, sync()),
        false => Ok(()),
    }
}

/// Turns the result of syncing the folder into the result for the file `path`, which already has
/// its name.
fn lasting(path: &Path, synced: std::io::Result<()>) -> Result<()> {
    use std::io::ErrorKind::{InvalidInput, Unsupported};
    match synced {
        // Some file systems cannot sync folders.
        Err(e) if !matches!(e.kind(), InvalidInput | Unsupported) => {
            let what = "the new file is in place, but not proven safe against a power loss";
            Err(Error::io(path, what, &e).advise("check the disk; the file need not be made again"))
        }
        _ => Ok(()),
    }
}

/// Returns the folder that holds a file of this name.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `mv`, `cp` and `rm` ask nobody for a lock.
    #[test]
    fn a_file_that_others_replace_is_no_longer_the_one_that_was_locked() {
        let changes: [fn(&Path); 4] = [
            |path| {
                std::fs::write(path.with_extension("new"), b"other").expect("writes");
                std::fs::rename(path.with_extension("new"), path).expect("renames");
            },
            |path| std::fs::write(path, b"longer than before").expect("writes"),
            |path| std::fs::remove_file(path).expect("removes"),
            |path| {
                let file = File::options().write(true).open(path).expect("opens");
                file.set_modified(SystemTime::UNIX_EPOCH).expect("sets");
            },
        ];
        for (case, change) in changes.iter().enumerate() {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("file");
            std::fs::write(&path, b"before").expect("writes");
            let lock = lock(&path).expect("locks");
            assert!(lock.check().is_ok());
            change(&path);
            let now = std::fs::read(&path).ok();
            assert!(lock.check().is_err(), "case {case}");
            let file = temporary(folder.path()).expect("makes");
            assert!(put_in_place_if(file, &path, || lock.check()).is_err(), "case {case}");
            assert_eq!(std::fs::read(&path).ok(), now, "case {case}");
        }
    }

    /// By then the file has its name, so an error that says that nothing was done would be wrong.
    #[test]
    fn a_folder_that_cannot_be_synced_leaves_the_new_file_in_place_and_says_so() {
        // EIO, ENOSPC and EBADF are real failures. EINVAL and EOPNOTSUPP come from file systems
        // that cannot sync folders.
        for (errno, is_error) in [(5, true), (28, true), (9, true), (22, false), (95, false)] {
            let synced = Err(std::io::Error::from_raw_os_error(errno));
            let said = lasting(Path::new("part.hetmm"), synced).err().map(|e| e.to_string());
            assert_eq!(said.is_some(), is_error, "{errno}: {said:?}");
            assert!(said.is_none_or(|s| s.contains("part.hetmm: the new file is in place, but")));
        }
        assert!(lasting(Path::new("part.hetmm"), Ok(())).is_ok());
    }

    /// NFS refuses an exclusive lock on a descriptor that only reads.
    #[test]
    fn a_lock_is_held_by_a_descriptor_that_may_write_and_nothing_is_cut_off() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        std::fs::write(&path, b"before").expect("writes");
        let lock = lock(&path).expect("locks");
        lock._file.set_len(6).expect("may write");
        assert_eq!(std::fs::read(&path).expect("reads"), b"before");
    }

    /// Opening a pipe that nobody writes to waits for ever, and `/dev/zero` never ends.
    #[test]
    #[cfg(unix)]
    fn pipes_devices_folders_and_long_files_are_refused_without_waiting() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let made = std::process::Command::new("mkfifo").arg(path("pipe")).status().expect("runs");
        assert!(made.success());
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).expect("binds");
        std::os::unix::fs::symlink(path("pipe"), path("link")).expect("links");
        std::fs::write(path("file"), b"12345").expect("writes");
        let cases = [
            (path("pipe"), Kind::Usage, "not a regular file"),
            (path("link"), Kind::Usage, "not a regular file"),
            (path("socket"), Kind::Usage, "not a regular file"),
            ("/dev/zero".into(), Kind::Usage, "not a regular file"),
            (folder.path().into(), Kind::Io, "directory"),
            (path("missing"), Kind::Io, "missing"),
            (path("file"), Kind::Usage, "5 bytes, more than 4"),
        ];
        for (path, kind, word) in cases {
            let opened = open_regular(&path, 4, Kind::Usage).expect_err("is refused");
            let read = read_regular(&path, 4, Kind::Usage).expect_err("is refused");
            for why in [opened, read] {
                assert!(why.kind() == kind && why.to_string().contains(word), "{why}");
            }
        }
        assert_eq!(read_regular(&path("file"), 5, Kind::Usage).expect("reads"), b"12345");
        // The program looks in every folder that it writes to for files that a killed program has
        // left there.
        let left = format!("{}x{}", TEMPORARY.0, TEMPORARY.1);
        let made = std::process::Command::new("mkfifo").arg(path(&left)).status().expect("runs");
        assert!(made.success());
        let old = ["-d", "2020-01-01"];
        let aged = std::process::Command::new("touch").args(old).arg(path(&left)).status();
        assert!(aged.expect("runs").success());
        write_whole(&path("written"), b"whole").expect("writes and does not wait");
    }

    #[test]
    fn a_file_is_locked_for_one_and_only_where_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        assert!(lock(&path).is_err() && lock(folder.path()).is_err());
        assert!(lock_if_there(&path).expect("nothing to lock").is_none());
        write_whole(&path, b"1").expect("writes");
        let first = lock_if_there(&path).expect("locks");
        assert!(first.is_some() && lock(&path).is_err());
        drop(first);
        assert!(lock(&path).is_ok());
    }
}
