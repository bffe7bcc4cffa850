//! Changes a template's file: inserts good parts and undoes it.

use super::inspector::{guarded, panicked, pool};
use super::options::Options;
use crate::error::Result;
use crate::image::PictureView;
use crate::template::Template;
use crate::update::journal::{self, Entry};
use crate::update::{self, Inserted, NOVELTY, NewPicture, Undone};
use rayon::ThreadPool;
use std::path::{Path, PathBuf};

/// Teaches a template further good parts.
///
/// It works on the file, under a lock against other writers, and never on an [`Inspector`](super::Inspector). When it
/// is done, give the inspector the changed file: `inspector.replace(Template::open(path)?)`.
///
/// ```no_run
/// use hetmm::{Options, Teacher};
///
/// # fn main() -> hetmm::Result<()> {
/// let teacher = Teacher::new("part.hetmm", &Options::default())?.who("Keller");
/// let now_unix_s = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |d| d.as_secs());
/// let inserted = teacher.insert(&["false-reject.png".into()], now_unix_s)?;
/// println!("score before {}", inserted.outcomes[0].score_before);
/// teacher.undo(None)?;
/// # Ok(())
/// # }
/// ```
pub struct Teacher {
    path: PathBuf,
    options: Options,
    pool: ThreadPool,
    who: String,
    force: bool,
}

impl Teacher {
    /// Makes a teacher for the template file at `path`, which is opened with each call.
    ///
    /// # Errors
    /// Returns [`crate::ErrorKind::Io`] if the system gives no threads.
    pub fn new(path: impl Into<PathBuf>, options: &Options) -> Result<Self> {
        Ok(Teacher {
            path: path.into(),
            options: options.clone(),
            pool: pool(options.threads())?,
            who: "unknown".into(),
            force: false,
        })
    }

    /// Sets who teaches, for the journal.
    pub fn who(mut self, who: impl Into<String>) -> Self {
        self.who = who.into();
        self
    }

    /// Sets whether pictures that look like defects are inserted, too. Parts like them pass from then on.
    pub fn force(mut self, force: bool) -> Self {
        self.force = force;
        self
    }

    /// Inserts the pictures in `files`, all or none. The journal records `unix_time_s`, the seconds since 1970.
    ///
    /// # Errors
    /// Returns [`crate::ErrorKind::Unconfirmed`] if a picture looks like a defect, and [`crate::ErrorKind::Image`] if
    /// one cannot be read. Returns [`crate::ErrorKind::Io`] if the file is read-only, is being changed by another
    /// process, or the disk is full. The file then stays as it is.
    pub fn insert(&self, files: &[PathBuf], unix_time_s: u64) -> Result<Inserted> {
        let pictures: Vec<NewPicture> = files.iter().map(|file| NewPicture::File(file)).collect();
        self.insert_all(&pictures, unix_time_s)
    }

    /// Inserts a picture from memory, which the journal calls `name`.
    ///
    /// # Errors
    /// Returns the same errors as [`Teacher::insert`].
    pub fn insert_view(
        &self,
        picture: &PictureView,
        name: &str,
        unix_time_s: u64,
    ) -> Result<Inserted> {
        self.insert_all(&[NewPicture::View(name, *picture)], unix_time_s)
    }

    /// Undoes entry `entry` of the journal and all later ones. `None` means the last entry.
    ///
    /// Thresholds and rules that were set since then are undone, too.
    ///
    /// # Errors
    /// Returns [`crate::ErrorKind::Usage`] if there is no such entry, and [`crate::ErrorKind::Template`] if the earlier
    /// bytes cannot be restored. Returns [`crate::ErrorKind::Io`] as [`Teacher::insert`] does.
    pub fn undo(&self, entry: Option<u32>) -> Result<Undone> {
        self.guarded(|| update::undo(&self.path, entry))
    }

    /// Returns the journal: every picture that was inserted, the oldest first.
    ///
    /// # Errors
    /// Returns the same errors as [`Template::open`].
    pub fn history(&self) -> Result<Vec<Entry>> {
        let template = Template::open(&self.path)?;
        let entries = journal::read(&template).map_err(|e| e.within(self.path.display()))?;
        Ok(entries.into_iter().map(|(entry, _)| entry).collect())
    }

    /// Returns the template's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn insert_all(&self, pictures: &[NewPicture], unix_time_s: u64) -> Result<Inserted> {
        let options = update::Options {
            who: self.who.clone(),
            when_unix_s: unix_time_s,
            novelty: NOVELTY,
            capacity: None,
            force: self.force,
            skip_unreadable: false,
            dry_run: false,
            any_shape: self.options.takes_any_shape(),
        };
        let (model, extractor) = (self.options.backbone(), self.options.extractor());
        self.guarded(|| update::insert(&self.path, model, extractor, pictures, &options))
    }

    fn guarded<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        guarded(&self.pool, work).unwrap_or_else(|panic| Err(panicked(&panic)))
    }
}
