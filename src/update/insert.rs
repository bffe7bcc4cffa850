//! This module inserts further good pictures into a template.

use super::Change;
use super::journal::{self, Entry, MAX_ENTRIES};
use super::learner::{Learner, Options};
use super::newcomers::{Candidates, GoodScores, NewPicture, Newcomer, candidates, refuse_defects};
use crate::backbone::ExtractorOptions;
use crate::error::{Error, Kind, Result};
use crate::files::{self, Lock};
use crate::inspection::Pipeline;
use crate::scoring::Verdict;
use crate::template::Template;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The result of inserting one picture.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The picture's file.
    pub file: PathBuf,
    /// Its entry in the journal, or `None` where nothing in it was new.
    pub id: Option<u32>,
    /// Its score before the insertion.
    pub score_before: f32,
    /// Its score after the insertion.
    pub score_after: f32,
    /// The verdict on it after the insertion.
    pub verdict: Verdict,
    /// The number of prototypes that it added.
    pub added: usize,
    /// The reason why a person should look at it: it was rejected before.
    pub warning: Option<String>,
}

impl Outcome {
    /// Describes a picture that does not pass even after its insertion. Returns `None` for a
    /// picture that passes. `threshold` is the template's threshold.
    pub fn still(&self, threshold: f32) -> Option<String> {
        match self.verdict {
            Verdict::Ok => None,
            Verdict::Review => Some("still sent to review".into()),
            Verdict::Ng => Some(format!("still rejected at the threshold of {threshold:.4}")),
        }
    }

    /// The reason why nothing in a picture that does not pass may have been new.
    pub const NOT_LEARNED: &str = "only new features of the part are added. If the part lacks something that the \
                                   template expects, build the template again with its picture";
}

/// The result of an insertion.
#[derive(Debug, Clone)]
pub struct Inserted {
    /// One outcome per picture, in their order.
    pub outcomes: Vec<Outcome>,
    /// The pictures that the template was built from or has learned before.
    pub known: Vec<PathBuf>,
    /// The errors of the pictures that were left out.
    pub skipped: Vec<Error>,
    /// The sheets of the first layer, before and after.
    pub sheets: [usize; 2],
    /// The number of bytes of the file, before and after.
    pub bytes: [u64; 2],
    /// The template's threshold, which does not change.
    pub threshold: f32,
    /// Whether the threshold was set for a rate of false rejects.
    pub is_promised: bool,
    /// How many pictures have been inserted since the threshold was set, including these.
    pub since_threshold: usize,
}

impl Inserted {
    /// Returns the object that the command `hetmm insert --json` prints, without its key `written`.
    pub fn to_json(&self) -> Value {
        let outcomes = self.outcomes.iter().map(|o| {
            json!({
                "image": o.file.display().to_string(), "entry": o.id, "verdict": o.verdict,
                "score_before": o.score_before, "score_after": o.score_after,
                "prototypes": o.added, "warning": o.warning,
            })
        });
        let skipped: Vec<String> = self.skipped.iter().map(Error::what).collect();
        let known: Vec<String> = self.known.iter().map(|file| file.display().to_string()).collect();
        json!({
            "images": outcomes.collect::<Vec<_>>(), "known": known, "skipped": skipped,
            "sheets_before": self.sheets[0], "sheets": self.sheets[1],
            "bytes_before": self.bytes[0], "bytes": self.bytes[1], "threshold": self.threshold,
            "inserted_since_threshold": self.since_threshold,
        })
    }
}

/// Inserts `pictures` into the template at `path`, all or none. `model` is the template's backbone, where that
/// is not the bundled one. The function computes on the caller's thread pool.
///
/// # Errors
/// - [`Kind::Unconfirmed`] where a picture looks like a defect and `force` is not set.
/// - [`Kind::Image`] where some pictures cannot be read and must not be skipped.
/// - [`Kind::Io`] where the template is read-only, another process changes it, or the disk is full.
///
/// The template then stays as it is.
pub fn insert(
    path: &Path,
    model: Option<&Path>,
    extractor: &ExtractorOptions,
    pictures: &[NewPicture],
    options: &Options,
) -> Result<Inserted> {
    let lock = if options.dry_run { None } else { Some(files::lock(path)?) };
    let pipeline = open(path, model, extractor, options)?;
    let template = pipeline.template();
    let journal = journal::read(template).map_err(|e| e.within(path.display()))?;
    let Candidates { newcomers, known, unreadable } =
        accepted(path, &pipeline, &journal, pictures, options)?;
    let mut learner = Learner::new(&pipeline, options)?;
    let sheets_before = learner.sheets();
    let (outcomes, entries) = learn(&mut learner, &newcomers, journal.len())?;
    let sheets = [sheets_before, learner.sheets()];
    let since_threshold = journal::since_threshold(template, &journal) + entries.len();
    let before = template.size() as u64;
    let bytes = match entries.is_empty() || options.dry_run {
        true => before,
        false => {
            let old = journal.iter().map(|(_, bytes)| *bytes);
            let change = Change {
                template,
                header: learner.header,
                settings: learner.settings,
                zones: template.zones(),
                layers: &learner.layers,
                journal: old.chain(entries.iter().map(Vec::as_slice)).collect(),
            };
            write(path, change, &pipeline, lock.as_ref())?
        }
    };
    Ok(Inserted {
        outcomes,
        known,
        skipped: unreadable,
        sheets,
        bytes: [before, bytes],
        threshold: template.header().calibration.threshold,
        is_promised: template.is_promised(),
        since_threshold,
    })
}

fn open(
    path: &Path,
    model: Option<&Path>,
    extractor: &ExtractorOptions,
    options: &Options,
) -> Result<Pipeline> {
    let joined = Pipeline::join(Template::open(path)?, model, extractor);
    let pipeline = joined.map_err(|e| match e.kind() {
        Kind::Io => e,
        _ => e.within(path.display()),
    })?;
    Ok(if options.any_shape { pipeline.with_any_shape() } else { pipeline })
}

/// The pictures that may be inserted. All are refused where one of them may not be.
fn accepted(
    path: &Path,
    pipeline: &Pipeline,
    journal: &[(Entry, &[u8])],
    pictures: &[NewPicture],
    options: &Options,
) -> Result<Candidates> {
    let built_from = journal.first().map_or(usize::MAX, |(first, _)| first.images_before as usize);
    let good = GoodScores::new(pipeline.template(), built_from);
    let found = candidates(pipeline, &good, pictures)?;
    match &found.unreadable[..] {
        [why] if pictures.len() == 1 && !options.skip_unreadable => return Err(why.clone()),
        [_, ..] if !options.skip_unreadable => {
            return Err(Error::unreadable(&found.unreadable, pictures.len()));
        }
        _ => {}
    }
    if !options.force {
        refuse_defects(&found.newcomers, pipeline.template().header().calibration.threshold)?;
    }
    if journal.len() + found.newcomers.len() > MAX_ENTRIES {
        let what = format!("{}: its journal can hold {MAX_ENTRIES} pictures", path.display());
        return Err(Error::usage(what).advise("build a template from all good pictures"));
    }
    Ok(found)
}

/// Learns the pictures one after the other. Returns what came of each, and the journal entries of those in which
/// something was new.
fn learn(
    learner: &mut Learner,
    newcomers: &[Newcomer],
    entries_before: usize,
) -> Result<(Vec<Outcome>, Vec<Vec<u8>>)> {
    let (mut outcomes, mut entries) = (Vec::new(), Vec::new());
    for newcomer in newcomers {
        let (mut entry, verdict) = learner.learn(newcomer)?;
        let is_new = entry.added > 0;
        if is_new {
            entry.id = (entries_before + entries.len() + 1) as u32;
            entry.file_before = entries.is_empty().then(|| learner.template_digest());
        }
        outcomes.push(Outcome {
            file: newcomer.file.clone(),
            id: is_new.then_some(entry.id),
            score_before: entry.score_before,
            score_after: entry.score_after,
            verdict,
            added: entry.added as usize,
            warning: newcomer.warning.clone(),
        });
        if is_new {
            entries.push(entry.encode()?);
        }
    }
    Ok((outcomes, entries))
}

/// Writes the changed template, checks its golden probes, and puts it in place. Returns its bytes.
fn write(path: &Path, change: Change, pipeline: &Pipeline, lock: Option<&Lock>) -> Result<u64> {
    let draft = change.draft(path)?;
    let renewed = Pipeline::new(draft.preview()?, pipeline.backbone().clone())?;
    for probe in renewed.check_probes()? {
        if let Some(difference) = probe.difference() {
            return Err(Error::template(format!(
                "golden probe {} differs: {difference}; nothing was inserted",
                probe.name
            )));
        }
    }
    drop(renewed);
    draft.finish_over(lock, None)
}
