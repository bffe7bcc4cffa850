//! One error type for the whole product: what went wrong, with which file, and what to do next.
//!
//! The kind decides the exit code of the programs and the fail-safe action of the device; the
//! text is for a person. Nothing in this crate decides anything by the text of an error.

use std::fmt;
use std::path::Path;

/// Result of every fallible operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What sort of thing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Options that contradict each other or the data.
    Usage,
    /// A picture, mask or data set that cannot be used.
    Image,
    /// A template that is damaged, too new, or made for something else.
    Template,
    /// A backbone model that cannot be used.
    Model,
    /// Files, memory, disks, devices.
    Io,
    /// The command could be done, but what was given looks wrong: the user has to confirm it.
    Unconfirmed,
}

impl Kind {
    /// Exit code of the programs: 1 where a check failed, 2 usage, 3 picture or data set, 4 template or model,
    /// 5 I/O.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Unconfirmed => 1,
            Kind::Usage => 2,
            Kind::Image => 3,
            Kind::Template | Kind::Model => 4,
            Kind::Io => 5,
        }
    }
}

/// A failure, in words for the person who has to mend it.
#[derive(Debug, Clone)]
pub struct Error {
    kind: Kind,
    what: String,
    next_step: Option<String>,
}

impl Error {
    /// An error of `kind`; `what` names the file or option and says what is wrong with it.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Error { kind, what: what.into(), next_step: None }
    }

    /// Options that cannot be used as given.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Kind::Usage, what)
    }

    /// `path` is a picture or data set that cannot be used, because of `why`.
    pub fn image(path: &Path, why: impl fmt::Display) -> Self {
        Self::new(Kind::Image, format!("{}: {why}", path.display()))
    }

    /// A template that cannot be used.
    pub fn template(what: impl Into<String>) -> Self {
        Self::new(Kind::Template, what)
    }

    /// A model that cannot be used.
    pub fn model(what: impl Into<String>) -> Self {
        Self::new(Kind::Model, what)
    }

    /// An operation on `path` that the system refused.
    pub fn io(path: &Path, doing: &str, why: &std::io::Error) -> Self {
        let error = Self::new(Kind::Io, format!("{}: {doing}: {why}", path.display()));
        match why.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                error.advise("free some space on that disk, or write somewhere else")
            }
            std::io::ErrorKind::PermissionDenied => {
                error.advise("check the owner and the permissions of the file and its folder")
            }
            std::io::ErrorKind::NotFound => error.advise("check the path"),
            _ => error,
        }
    }

    /// `errors`, of as many of `of` pictures, in one.
    pub fn unreadable(errors: &[Error], of: usize) -> Self {
        let kinds = errors.iter().map(Error::kind);
        let kind = kinds.into_iter().find(|&kind| kind != Kind::Image).unwrap_or(Kind::Image);
        let list: Vec<String> = errors.iter().map(Error::to_string).collect();
        let what = format!("{} of {of} pictures cannot be used\n{}", errors.len(), list.join("\n"));
        Self::new(kind, what)
            .advise("mend or remove them, or leave them out with --skip-unreadable")
    }

    /// The same error with a next step for the user.
    pub fn advise(mut self, next_step: impl Into<String>) -> Self {
        self.next_step = Some(next_step.into());
        self
    }

    /// The same error with a file or section name in front.
    pub fn within(mut self, name: impl fmt::Display) -> Self {
        self.what = format!("{name}: {}", self.what);
        self
    }

    /// What went wrong, without the next step.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What sort of thing failed.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(next_step) = &self.next_step {
            write!(f, "\n  -> {next_step}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
