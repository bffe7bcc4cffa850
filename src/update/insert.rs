//! Learning: further good pictures into a template.

use super::Change;
use super::journal::{self, MAX_ENTRIES};
use super::learner::Learner;
use crate::backbone::Engine;
use crate::error::{Error, Kind, Result};
use crate::image::{self, NetworkImage};
use crate::inspection::Inspector;
use crate::scoring::Verdict;
use crate::template::{ImageRecord, Template};
use crate::{files, heatmap};
use std::path::{Path, PathBuf};

/// A picture looks like a defect when its score is above this many times the threshold, or the
/// largest score of a good picture where that is larger.
const DEFECT_LIKE: f32 = 1.25;
/// Longest side of the pictures in the journal, in pixels.
const THUMBNAIL: u32 = 96;
/// What [`Options::novelty`] is by itself.
pub const NOVELTY: f32 = 1.5;
/// Longest name of a person or picture in the journal, in bytes.
const MAX_NAME: usize = 200;

/// How pictures are inserted.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who inserts them.
    pub who: String,
    /// Seconds since 1970.
    pub when_unix_s: u64,
    /// A vector is new where its distance is above this many times the baseline at its pixel; in a
    /// template without a baseline every vector is.
    pub novelty: f32,
    /// Sheets up to which the template grows; `None` for the next multiple of 64.
    pub capacity: Option<usize>,
    /// Pictures that look like defects are inserted, too.
    pub force: bool,
    /// Nothing is written.
    pub dry_run: bool,
}

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
}

/// What came of an insertion.
#[derive(Debug, Clone)]
pub struct Inserted {
    /// One a picture, in their order.
    pub outcomes: Vec<Outcome>,
    /// Pictures that the template was built from or has learned before.
    pub known: Vec<PathBuf>,
    /// Sheets of the first layer, before and after.
    pub sheets: [usize; 2],
    /// Bytes of the file, before and after.
    pub bytes: [u64; 2],
    /// The template's threshold, which stays.
    pub threshold: f32,
}

/// A picture that may be inserted.
pub(super) struct Newcomer {
    file: PathBuf,
    pub record: ImageRecord,
    /// A small JPEG of it.
    pub thumbnail: Vec<u8>,
    pub image: NetworkImage,
    pub is_defect_like: bool,
}

/// Inserts the pictures in `files` into the template at `path`, all or none. `model` is its backbone,
/// where that is not the bundled one. The work is done on the caller's thread pool.
///
/// # Errors
/// [`Kind::Usage`] where a picture looks like a defect and `force` is not set; [`Kind::Image`] where one
/// cannot be read; [`Kind::Io`] where the template is read-only, changed by another process, or the
/// disk is full. Then the template stays as it is.
pub fn insert(
    path: &Path,
    model: Option<&Path>,
    engine: &Engine,
    files: &[PathBuf],
    options: &Options,
) -> Result<Inserted> {
    let lock = if options.dry_run { None } else { Some(files::lock(path)?) };
    let inspector =
        Inspector::join(Template::open_copy(path)?, model, engine).map_err(|e| match e.kind() {
            Kind::Io => e,
            _ => e.within(path.display()),
        })?;
    let template = inspector.template();
    let journal = journal::read(template).map_err(|e| e.within(path.display()))?;
    let images = &template.header().build.images;
    // What was inserted does not say what good parts score: it may have been forced.
    let built_from =
        journal.first().map_or(images.len(), |(first, _)| first.images_before as usize);
    let (newcomers, known) = newcomers(&inspector, &images[..built_from], files)?;
    refuse_defects(&newcomers, inspector.template().header().calibration.threshold, options)?;
    if journal.len() + newcomers.len() > MAX_ENTRIES {
        let what = format!("{}: its journal takes {MAX_ENTRIES} pictures", path.display());
        return Err(Error::usage(what).advise("build a template from all good pictures"));
    }
    let mut learner = Learner::new(&inspector, options)?;
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
                settings: template.settings().clone(),
                zones: template.zones(),
                layers: &learner.layers,
                journal: journal
                    .iter()
                    .map(|(_, bytes)| *bytes)
                    .chain(entries.iter().map(Vec::as_slice))
                    .collect(),
            };
            let draft = change.draft(path)?;
            let renewed = Inspector::new(draft.preview()?, inspector.backbone().clone())?;
            if let Some(probe) = renewed.check_probes()?.iter().find(|probe| !probe.agrees) {
                return Err(Error::template(format!(
                    "golden probe {} scores {}, and {} was expected; nothing was inserted",
                    probe.name, probe.score, probe.expected
                )));
            }
            drop(renewed);
            draft.finish_over(lock.as_ref(), None).map_err(|e| e.within("nothing was inserted"))?
        }
    };
    let threshold = template.header().calibration.threshold;
    Ok(Inserted { outcomes, known, sheets, bytes: [before, bytes], threshold })
}

/// Reads the pictures; those that the template has are put aside. `built_from` says what good parts score.
fn newcomers(
    inspector: &Inspector,
    built_from: &[ImageRecord],
    files: &[PathBuf],
) -> Result<(Vec<Newcomer>, Vec<PathBuf>)> {
    let header = inspector.template().header();
    // Scores that are not known are no numbers, which `max` passes over.
    let scores = built_from.iter().map(|image| image.score);
    let limit = DEFECT_LIKE * scores.fold(header.calibration.threshold, f32::max);
    let mut digests: std::collections::HashSet<[u8; 32]> =
        header.build.images.iter().map(|image| image.digest).collect();
    let (mut newcomers, mut known) = (Vec::new(), Vec::new());
    for file in files {
        let bytes = image::load(file)?;
        let digest = blake3::hash(&bytes).into();
        if !digests.insert(digest) {
            known.push(file.clone());
            continue;
        }
        let picture = image::decode(&bytes).map_err(|e| e.within(file.display()))?;
        let image = inspector.prepare(&picture).map_err(|e| e.within(file.display()))?;
        let score = inspector.run(&image)?.score;
        let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
        let (width, height) = (picture.width, picture.height);
        newcomers.push(Newcomer {
            file: file.clone(),
            record: ImageRecord { name: shortened(&name), digest, width, height, score },
            thumbnail: heatmap::thumbnail(&picture, THUMBNAIL)?,
            image,
            is_defect_like: score.is_nan() || score > limit,
        });
    }
    Ok((newcomers, known))
}

fn refuse_defects(newcomers: &[Newcomer], threshold: f32, options: &Options) -> Result<()> {
    let suspects: Vec<String> = newcomers
        .iter()
        .filter(|newcomer| newcomer.is_defect_like && !options.force)
        .map(|n| {
            format!(
                "{}: looks like a defect, with a score of {:.4}",
                n.file.display(),
                n.record.score
            )
        })
        .collect();
    if suspects.is_empty() {
        return Ok(());
    }
    Err(Error::usage(format!(
        "{}\nthe threshold is {threshold:.4}; nothing was inserted",
        suspects.join("\n")
    ))
    .advise(
        "look at the part: what is inserted passes from then on. If it is good, insert it with --force",
    ))
}

/// No more of a name than the journal takes.
pub(super) fn shortened(name: &str) -> String {
    let mut end = name.len().min(MAX_NAME);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name[..end].to_owned()
}
