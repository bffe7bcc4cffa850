//! This module decides which files a command may write over.
//!
//! A file that a command writes may replace an earlier file of the same [`Format`], or an empty
//! file. Any other file is somebody's data and stays, unless the user allows its replacement. A
//! file that the command itself reads always stays. So does everything that is not a regular file:
//! a device, a pipe, a folder.
//!
//! A command names its inputs first. Then it claims every output before the work begins, so that a
//! long run does not end with a refusal.

use super::{folder_of, open_regular, resolved, write_whole};
use crate::error::{Error, Kind, Result};
use std::collections::HashSet;
use std::fmt;
use std::fs::Metadata;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A kind of file that the programs write, and how an earlier file of this kind is recognised.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// The name of the format with its article, such as "a template".
    pub name: &'static str,
    /// How many bytes of a file [`Format::is_one`] looks at.
    pub reads: u64,
    /// Returns whether a file that begins with these bytes is of this format.
    pub is_one: fn(&[u8]) -> bool,
}

/// The files that one command reads and writes.
#[derive(Debug, Default)]
pub struct Outputs {
    /// Whether files of another format may be replaced.
    may_replace: bool,
    inputs: HashSet<Identity>,
    claimed: HashSet<PathBuf>,
}

/// A file that is not written, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The file that was to be written.
    pub path: PathBuf,
    /// The name of the format that the file was to have.
    pub wanted: &'static str,
    /// The obstacle to writing it.
    pub obstacle: Obstacle,
}

/// The reasons why a file is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// The command reads this very file.
    Input,
    /// The command writes another file to the same place.
    Twice,
    /// A folder has this name.
    Folder,
    /// A device node has this name.
    Device,
    /// A named pipe has this name.
    Pipe,
    /// A socket has this name.
    Socket,
    /// A file has this name that is not an earlier file of the format. The user may want to replace
    /// it.
    Foreign,
    /// No file is in the way, but the folder for the file does not exist.
    NoFolder,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.obstacle {
            Obstacle::Input => {
                write!(f, "{path}: is both input and output, and {} would replace it", self.wanted)
            }
            Obstacle::Twice => write!(f, "{path}: two outputs have this name"),
            Obstacle::Folder => write!(f, "{path}: is a folder, not the name of {}", self.wanted),
            Obstacle::Device => {
                write!(f, "{path}: is a device, and {} is not written over it", self.wanted)
            }
            Obstacle::Pipe => {
                write!(f, "{path}: is a pipe, and {} is not written over it", self.wanted)
            }
            Obstacle::Socket => {
                write!(f, "{path}: is a socket, and {} is not written over it", self.wanted)
            }
            Obstacle::Foreign => write!(f, "{path}: a file lies there that is not {}", self.wanted),
            Obstacle::NoFolder => write!(f, "{path}: the folder for this file does not exist"),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal.obstacle {
            Obstacle::NoFolder => Kind::Io,
            _ => Kind::Usage,
        };
        Error::new(kind, refusal.to_string())
    }
}

impl Outputs {
    /// Makes the outputs of a command that reads nothing yet. With `may_replace`, the command may
    /// replace a file of another format, but never an input, a folder or a device.
    pub fn new(may_replace: bool) -> Self {
        Outputs { may_replace, ..Self::default() }
    }

    /// Registers files that the command reads, so that no output may replace them under any name.
    pub fn reads<'a>(&mut self, paths: impl IntoIterator<Item = &'a Path>) {
        self.inputs.extend(paths.into_iter().filter_map(identity));
    }

    /// Claims `path` for a file of `format` that the command is going to write.
    ///
    /// # Errors
    /// A [`Refusal`] where something at `path` must stay, where another output has the same name,
    /// or where the folder does not exist.
    pub fn claim(&mut self, path: &Path, format: &Format) -> std::result::Result<(), Refusal> {
        self.check(path, format)?;
        match self.claimed.insert(place(path)) {
            true => Ok(()),
            false => Err(refusal(path, format, Obstacle::Twice)),
        }
    }

    /// Checks that a file of `format` may be written to `path` now.
    ///
    /// # Errors
    /// As [`Outputs::claim`], except that a name may come twice.
    pub fn check(&self, path: &Path, format: &Format) -> std::result::Result<(), Refusal> {
        let refused = |obstacle| Err(refusal(path, format, obstacle));
        let Ok(metadata) = std::fs::metadata(path) else {
            // Nothing exists under this name, or it is a link that leads nowhere.
            return match folder_of(path).is_dir() {
                true => Ok(()),
                false => refused(Obstacle::NoFolder),
            };
        };
        if let Some(obstacle) = special(&metadata) {
            return refused(obstacle);
        }
        if identity(path).is_some_and(|identity| self.inputs.contains(&identity)) {
            return refused(Obstacle::Input);
        }
        match metadata.len() == 0 || self.may_replace || is_of(path, format) {
            true => Ok(()),
            false => refused(Obstacle::Foreign),
        }
    }

    /// Writes a claimed file whole or not at all, after a last check of what exists there. Where
    /// `path` is a symbolic link, it replaces the file that the link leads to.
    ///
    /// # Errors
    /// [`Kind::Usage`] where another file has appeared in the meantime, [`Kind::Io`] where the file
    /// cannot be written.
    pub fn write(&self, path: &Path, format: &Format, bytes: &[u8]) -> Result<()> {
        self.check(path, format)?;
        write_whole(&resolved(path), bytes)
    }
}

fn refusal(path: &Path, format: &Format, obstacle: Obstacle) -> Refusal {
    Refusal { path: path.to_owned(), wanted: format.name, obstacle }
}

/// Returns the obstacle of a path that is not a regular file, or `None` for a regular file. No
/// output replaces such a path, whatever the user says.
fn special(metadata: &Metadata) -> Option<Obstacle> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return None;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return Some(Obstacle::Pipe);
        }
        if kind.is_socket() {
            return Some(Obstacle::Socket);
        }
    }
    Some(if kind.is_dir() { Obstacle::Folder } else { Obstacle::Device })
}

/// Returns whether the regular file at `path` is of a format. A file that cannot be read is of no
/// format.
fn is_of(path: &Path, format: &Format) -> bool {
    let mut bytes = Vec::new();
    let file = open_regular(path, u64::MAX, Kind::Io).ok();
    file.is_some_and(|file| file.take(format.reads).read_to_end(&mut bytes).is_ok())
        && (format.is_one)(&bytes)
}

/// Data that tell one file from another, whatever their names are.
#[cfg(unix)]
type Identity = (u64, u64);
#[cfg(not(unix))]
type Identity = PathBuf;

/// Returns the identity of the file that `path` leads to, or `None` where there is none.
#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> Option<Identity> {
    std::fs::canonicalize(path).ok()
}

/// Returns one spelling for all paths that lead to the same place, whether or not a file exists
/// there.
fn place(path: &Path) -> PathBuf {
    let path = resolved(path);
    let folder =
        std::fs::canonicalize(folder_of(&path)).unwrap_or_else(|_| folder_of(&path).to_owned());
    path.file_name().map_or_else(|| folder.clone(), |name| folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTE: Format =
        Format { name: "a note", reads: 4, is_one: |bytes| bytes.starts_with(b"note") };

    #[test]
    fn only_an_earlier_file_of_the_format_or_an_empty_one_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        for (name, bytes) in [("note", &b"note 1"[..]), ("empty", b""), ("other", b"letter")] {
            std::fs::write(path(name), bytes).expect("writes");
        }
        let cases = [
            ("nothing", None, None),
            ("note", None, None),
            ("empty", None, None),
            ("other", Some(Obstacle::Foreign), None),
            (".", Some(Obstacle::Folder), Some(Obstacle::Folder)),
            ("no/note", Some(Obstacle::NoFolder), Some(Obstacle::NoFolder)),
        ];
        for (name, plain, forced) in cases {
            for (may_replace, wanted) in [(false, plain), (true, forced)] {
                let claimed = Outputs::new(may_replace).claim(&path(name), &NOTE);
                assert_eq!(claimed.err().map(|r| r.obstacle), wanted, "{name}, {may_replace}");
            }
        }
    }

    #[test]
    fn an_input_stays_under_every_name_and_also_where_others_may_be_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let input = folder.path().join("input");
        std::fs::write(&input, b"note, and an input").expect("writes");
        std::fs::create_dir(folder.path().join("sub")).expect("makes");
        let mut names = vec![input.clone(), folder.path().join("sub/../input")];
        #[cfg(unix)]
        {
            let (link, hard) = (folder.path().join("link"), folder.path().join("hard"));
            std::os::unix::fs::symlink(&input, &link).expect("links");
            std::fs::hard_link(&input, &hard).expect("links");
            names.extend([link, hard]);
        }
        for name in names {
            for may_replace in [false, true] {
                let mut outputs = Outputs::new(may_replace);
                outputs.reads([input.as_path()]);
                let obstacle = outputs.claim(&name, &NOTE).err().map(|r| r.obstacle);
                assert_eq!(obstacle, Some(Obstacle::Input), "{}", name.display());
            }
        }
    }

    #[test]
    fn two_outputs_of_one_name_are_refused_however_it_is_spelled() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut outputs = Outputs::new(true);
        assert!(outputs.claim(&folder.path().join("note"), &NOTE).is_ok());
        let again = outputs.claim(&folder.path().join("./note"), &NOTE);
        assert_eq!(again.err().map(|r| r.obstacle), Some(Obstacle::Twice));
    }

    #[test]
    fn what_has_come_to_lie_there_meanwhile_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("note");
        let mut outputs = Outputs::new(false);
        outputs.claim(&path, &NOTE).expect("nothing there");
        outputs.write(&path, &NOTE, b"note 1").expect("writes");
        std::fs::write(&path, b"letter").expect("writes");
        assert!(outputs.write(&path, &NOTE, b"note 2").is_err());
        assert_eq!(std::fs::read(&path).expect("reads"), b"letter");
    }
}
