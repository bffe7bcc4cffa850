//! Learning: further good pictures into a template.

use super::Change;
use super::journal::{self, MAX_ENTRIES};
use super::learner::{Learner, Options};
use super::newcomers::{Candidates, GoodScores, candidates, refuse_defects};
use crate::backbone::Engine;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::inspection::Pipeline;
use crate::scoring::Verdict;
use crate::template::Template;
use std::path::{Path, PathBuf};

/// What came of one picture.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its file.
    pub file: PathBuf,
    /// Its entry in the journal; `None` where nothing in it was new.
    pub id: Option<u32>,
    /// Its score before.
    pub score_before: f32,
    /// Its score after.
    pub score_after: f32,
    /// What is done with it after.
    pub verdict: Verdict,
    /// Prototypes that it brought.
    pub added: usize,
    /// Why a person should look at it: it was rejected before.
    pub warning: Option<String>,
}

impl Outcome {
    /// What is left to be said of a picture that does not pass afterwards, where the threshold is
    /// `threshold`.
    pub fn still(&self, threshold: f32) -> Option<String> {
        match self.verdict {
            Verdict::Ok => None,
            Verdict::Review => Some("still for review".into()),
            Verdict::Ng => Some(format!("still rejected at the threshold of {threshold:.4}")),
        }
    }

    /// Why nothing in a picture that does not pass may have been new.
    pub const NOT_LEARNED: &str = "only what the part has and the template has not is learned, from the novelty \
                                   on: for what the part lacks, build the template again with its picture";
}

/// What came of an insertion.
#[derive(Debug, Clone)]
pub struct Inserted {
    /// One a picture, in their order.
    pub outcomes: Vec<Outcome>,
    /// Pictures that the template was built from or has learned before.
    pub known: Vec<PathBuf>,
    /// Pictures that were left out, with the reason.
    pub skipped: Vec<Error>,
    /// Sheets of the first layer, before and after.
    pub sheets: [usize; 2],
    /// Bytes of the file, before and after.
    pub bytes: [u64; 2],
    /// The template's threshold, which stays.
    pub threshold: f32,
    /// Whether the threshold was set for a rate of false rejects.
    pub is_promised: bool,
    /// Pictures that have been inserted since the threshold was set, these included.
    pub since_threshold: usize,
}

/// Inserts the pictures in `files` into the template at `path`, all or none. `model` is its backbone,
/// where that is not the bundled one. The work is done on the caller's thread pool.
///
/// # Errors
/// [`Kind::Unconfirmed`] where a picture looks like a defect and `force` is not set; [`Kind::Image`] where some
/// cannot be read and are not to be skipped; [`Kind::Io`] where the template is read-only, changed by another process, or the
/// disk is full. Then the template stays as it is.
pub fn insert(
    path: &Path,
    model: Option<&Path>,
    engine: &Engine,
    files: &[PathBuf],
    options: &Options,
) -> Result<Inserted> {
    let lock = if options.dry_run { None } else { Some(files::lock(path)?) };
    let pipeline =
        Pipeline::join(Template::open(path)?, model, engine).map_err(|e| match e.kind() {
            Kind::Io => e,
            _ => e.within(path.display()),
        })?;
    let pipeline = if options.any_shape { pipeline.with_any_shape() } else { pipeline };
    let template = pipeline.template();
    let journal = journal::read(template).map_err(|e| e.within(path.display()))?;
    let built_from = journal.first().map_or(usize::MAX, |(first, _)| first.images_before as usize);
    let good = GoodScores::new(template, built_from);
    let Candidates { newcomers, known, unreadable } = candidates(&pipeline, &good, files)?;
    match &unreadable[..] {
        [why] if files.len() == 1 && !options.skip_unreadable => return Err(why.clone()),
        [_, ..] if !options.skip_unreadable => {
            return Err(Error::unreadable(&unreadable, files.len()));
        }
        _ => {}
    }
    if !options.force {
        refuse_defects(&newcomers, template.header().calibration.threshold)?;
    }
    if journal.len() + newcomers.len() > MAX_ENTRIES {
        let what = format!("{}: its journal takes {MAX_ENTRIES} pictures", path.display());
        return Err(Error::usage(what).advise("build a template from all good pictures"));
    }
    let mut learner = Learner::new(&pipeline, options)?;
    let sheets_before = learner.sheets();
    let (mut outcomes, mut entries) = (Vec::new(), Vec::new());
    for newcomer in &newcomers {
        let (mut entry, verdict) = learner.learn(newcomer)?;
        let is_new = entry.added > 0;
        if is_new {
            entry.id = (journal.len() + entries.len() + 1) as u32;
            entry.file_before = entries.is_empty().then(|| template.digest());
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
    let before = template.size() as u64;
    let sheets = [sheets_before, learner.sheets()];
    let bytes = match entries.is_empty() || options.dry_run {
        true => before,
        false => {
            let change = Change {
                template,
                header: learner.header,
                settings: learner.settings,
                zones: template.zones(),
                layers: &learner.layers,
                journal: journal
                    .iter()
                    .map(|(_, bytes)| *bytes)
                    .chain(entries.iter().map(Vec::as_slice))
                    .collect(),
            };
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
            draft.finish_over(lock.as_ref(), None)?
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
        since_threshold: journal::since_threshold(template, &journal) + entries.len(),
    })
}
