//! Defines one error type for the whole product: what failed, with which file or choice, why, and what to do next.
//!
//! The kind decides the exit code of the programs and the fail-safe action of the device. The text is for a person.
//! Nothing in this crate decides anything by the text of an error.
//!
//! The library never names an option of a command line. If a choice of the caller is the reason, the error holds the
//! [`Choice`], and the program words it.

mod choice;

pub use choice::Choice;

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Holds the result of every fallible operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Says what sort of thing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Options contradict each other or the data.
    Usage,
    /// A picture, mask or data set cannot be used.
    Image,
    /// A template is damaged, too new, or made for something else.
    Template,
    /// A backbone model cannot be used.
    Model,
    /// Files, memory, disks or hardware failed.
    Io,
    /// The command could be done, but what was given looks wrong. The user has to confirm it.
    Unconfirmed,
}

impl Kind {
    /// Returns the exit code of the programs: 1 if a check failed, 2 for usage, 3 for picture or data set, 4 for
    /// template or model, 5 for I/O.
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

/// Says what an error is about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subject {
    /// A file, folder or device file.
    File(PathBuf),
    /// Something that the caller has chosen.
    Choice(Choice),
    /// Anything else that has a name, such as a picture of a data set or a section of a file.
    Named(String),
}

/// Says what to do about an error.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NextStep {
    /// Do something that every caller does in the same way. The words say what.
    Do(Cow<'static, str>),
    /// Choose something, or something else. The words say what.
    Choose(Choice, Cow<'static, str>),
    /// Do not choose this, or leave it to the default.
    LeaveOut(Choice),
    /// Switch this choice on.
    SwitchOn(Choice),
    /// Take one of these steps.
    OneOf(Vec<NextStep>),
}

/// Holds a failure, with what a person needs to mend it.
#[derive(Debug, Clone)]
pub struct Error {
    kind: Kind,
    /// The subjects, the outermost first.
    subjects: Vec<Subject>,
    reason: String,
    next_step: Option<NextStep>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// Makes an error of `kind`. `reason` says what is wrong.
    pub fn new(kind: Kind, reason: impl Into<String>) -> Self {
        Error { kind, subjects: Vec::new(), reason: reason.into(), next_step: None, source: None }
    }

    /// Makes an error about options that cannot be used as given.
    pub fn usage(reason: impl Into<String>) -> Self {
        Self::new(Kind::Usage, reason)
    }

    /// Makes an error about a choice of the caller that cannot be used, because of `reason`.
    pub fn choice(choice: Choice, reason: impl Into<String>) -> Self {
        Self::usage(reason).about(Subject::Choice(choice))
    }

    /// Makes an error about `path`, a picture or data set that cannot be used, because of `why`.
    pub fn image(path: &Path, why: impl fmt::Display) -> Self {
        Self::new(Kind::Image, why.to_string()).about(Subject::File(path.into()))
    }

    /// Makes an error about a template that cannot be used.
    pub fn template(reason: impl Into<String>) -> Self {
        Self::new(Kind::Template, reason)
    }

    /// Makes an error about a model that cannot be used.
    pub fn model(reason: impl Into<String>) -> Self {
        Self::new(Kind::Model, reason)
    }

    /// Makes an error about an operation on `path` that the system refused.
    pub fn io(path: &Path, doing: &str, why: &std::io::Error) -> Self {
        let source = match why.raw_os_error() {
            Some(number) => std::io::Error::from_raw_os_error(number),
            None => std::io::Error::new(why.kind(), why.to_string()),
        };
        let error = Self::new(Kind::Io, format!("{doing}: {why}"))
            .about(Subject::File(path.into()))
            .caused_by(source);
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

    /// Joins `errors` of pictures into one error. `of` is the number of all pictures.
    pub fn unreadable(errors: &[Error], of: usize) -> Self {
        let kinds = errors.iter().map(Error::kind);
        let kind = kinds.into_iter().find(|&kind| kind != Kind::Image).unwrap_or(Kind::Image);
        let list: Vec<String> = errors.iter().map(Error::to_string).collect();
        let reason =
            format!("{} of {of} pictures cannot be used\n{}", errors.len(), list.join("\n"));
        Self::new(kind, reason).next(NextStep::OneOf(vec![
            NextStep::Do("mend or remove them".into()),
            NextStep::SwitchOn(Choice::SkipUnreadable),
        ]))
    }

    /// Returns the same error with a next step for the user, in words.
    pub fn advise(self, next_step: impl Into<Cow<'static, str>>) -> Self {
        self.next(NextStep::Do(next_step.into()))
    }

    /// Returns the same error with a next step for the user.
    pub fn next(mut self, next_step: NextStep) -> Self {
        self.next_step = Some(next_step);
        self
    }

    /// Returns the same error with a further subject in front of the subjects so far.
    pub fn about(mut self, subject: Subject) -> Self {
        self.subjects.insert(0, subject);
        self
    }

    /// Returns the same error with a file or section name in front.
    pub fn within(self, name: impl fmt::Display) -> Self {
        self.about(Subject::Named(name.to_string()))
    }

    /// Returns the same error with the error that caused it.
    pub fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Returns what sort of thing failed.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns what the error is about, the outermost first, for example a file and then a section of it.
    pub fn subjects(&self) -> &[Subject] {
        &self.subjects
    }

    /// Returns what is wrong, without the subjects and without the next step.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Returns what to do about the error.
    pub fn next_step(&self) -> Option<&NextStep> {
        self.next_step.as_ref()
    }

    /// Returns what went wrong and with what, in plain words, without the next step.
    pub fn what(&self) -> String {
        self.what_in_words(&|choice| choice.to_string())
    }

    /// Returns what went wrong, and on the next line what to do about it. `name` gives the words for choices.
    pub fn in_words(&self, name: &dyn Fn(Choice) -> String) -> String {
        let what = self.what_in_words(name);
        match &self.next_step {
            Some(next_step) => format!("{what}\n  -> {}", next_step.in_words(name)),
            None => what,
        }
    }

    fn what_in_words(&self, name: &dyn Fn(Choice) -> String) -> String {
        let subject = |subject: &Subject| match subject {
            Subject::File(path) => path.display().to_string(),
            Subject::Choice(choice) => name(*choice),
            Subject::Named(text) => text.clone(),
        };
        let reason = std::iter::once(self.reason.clone());
        self.subjects.iter().map(subject).chain(reason).collect::<Vec<_>>().join(": ")
    }
}

impl NextStep {
    /// Returns the step. `name` gives the words for choices.
    pub fn in_words(&self, name: &dyn Fn(Choice) -> String) -> String {
        match self {
            NextStep::Do(words) => words.clone().into_owned(),
            NextStep::Choose(choice, what) => format!("choose {}: {what}", name(*choice)),
            NextStep::LeaveOut(choice) => format!("leave out {}", name(*choice)),
            NextStep::SwitchOn(choice) => format!("switch on {}", name(*choice)),
            NextStep::OneOf(steps) => {
                let words: Vec<String> = steps.iter().map(|step| step.in_words(name)).collect();
                words.join("; or ")
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.in_words(&|choice| choice.to_string()))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[test]
    fn the_words_of_an_error_are_the_callers() {
        let error = Error::choice(Choice::Alpha, "2 is not between 0 and 1")
            .next(NextStep::OneOf(vec![
                NextStep::Choose(Choice::Alpha, "1 is forward only".into()),
                NextStep::LeaveOut(Choice::Alpha),
            ]))
            .within("part.hetmm");
        let plain = "part.hetmm: alpha: 2 is not between 0 and 1\n  -> choose alpha: 1 is forward only; or leave out alpha";
        assert_eq!(error.to_string(), plain);
        let flags = error.in_words(&|_| "--alpha".into());
        assert!(flags.starts_with("part.hetmm: --alpha: 2 is"), "{flags}");
        assert!(flags.ends_with("or leave out --alpha"), "{flags}");
        assert_eq!(error.subjects().len(), 2);
        assert_eq!(error.reason(), "2 is not between 0 and 1");
    }

    #[test]
    fn what_the_system_refused_is_the_source() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = Error::io(Path::new("a"), "cannot be written", &full);
        assert!(error.source().is_some_and(|source| source.is::<std::io::Error>()));
        assert!(matches!(error.next_step(), Some(NextStep::Do(words)) if words.contains("space")));
        assert!(Error::usage("x").source().is_none());
    }
}
