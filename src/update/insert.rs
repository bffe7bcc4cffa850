//! Learning: further good pictures into a template.

use super::Change;
use super::journal::{self, MAX_ENTRIES};
use super::learner::Learner;
use crate::backbone::Engine;
use crate::error::{Error, Kind, Result};
use crate::feature_map::FeatureMap;
use crate::image::{self, NetworkImage};
use crate::inspection::Inspector;
use crate::scoring::Verdict;
use crate::template::{ImageRecord, Template};
use crate::{files, heatmap};
use std::path::{Path, PathBuf};

/// A picture looks like a defect when its score is above this many times what good parts score at most:
/// see [`GoodScores::limit`].
const DEFECT_LIKE: f32 = 1.25;
/// Longest side of the pictures in the journal, in pixels.
const THUMBNAIL: u32 = 96;
/// What [`Options::novelty`] is by itself.
pub const NOVELTY: f32 = 1.25;
/// Of so many pictures the features are kept from being scored until they are learned, at 3 MB a picture
/// with the default backbone; those of further ones are computed again.
const KEPT_FEATURES: usize = 32;
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
    /// Sheets up to which the template grows; `None` for the next multiple of 128.
    pub capacity: Option<usize>,
    /// Pictures that look like defects are inserted, too.
    pub force: bool,
    /// Pictures that cannot be read are left out.
    pub skip_unreadable: bool,
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

/// A picture that may be inserted.
pub(super) struct Newcomer {
    file: PathBuf,
    pub record: ImageRecord,
    /// A small JPEG of it.
    pub thumbnail: Vec<u8>,
    pub content: Content,
    pub is_defect_like: bool,
    /// What it is among the good pictures.
    place: String,
    warning: Option<String>,
}

/// What a picture is learned from.
pub(super) enum Content {
    /// One map a layer.
    Features(Vec<FeatureMap>),
    /// What they are computed from.
    Image(NetworkImage),
}

/// Pictures that may be inserted, and the others.
struct Candidates {
    newcomers: Vec<Newcomer>,
    /// The template has them.
    known: Vec<PathBuf>,
    /// They cannot be read.
    unreadable: Vec<Error>,
}

/// What the pictures that a template was built from score without their own prototypes, as far as that is
/// known. What was inserted is not among them: it may have been forced.
struct GoodScores(Vec<f32>);

impl GoodScores {
    fn new(template: &Template, built_from: usize) -> Self {
        let images = template.header().build.images.iter().take(built_from);
        GoodScores(images.map(|image| image.score).filter(|score| !score.is_nan()).collect())
    }

    /// The score above which a picture looks like a defect. A threshold that promises a rate of false
    /// rejects says what good parts score, and a false reject is by its nature above it, a little; one that
    /// promises nothing says no more than the largest score of a good picture does.
    fn limit(&self, template: &Template) -> f32 {
        let threshold = template.header().calibration.threshold;
        let usual = match template.decision() {
            Some(_) => threshold,
            None => self.0.iter().copied().fold(threshold, f32::max),
        };
        (DEFECT_LIKE * usual).max(threshold)
    }

    /// How many of them a score is above, in words.
    fn place(&self, score: f32) -> String {
        match (self.0.iter().filter(|&&good| good < score).count(), self.0.len()) {
            (_, 0) => "no scores of good pictures are known".into(),
            (below, of) => format!("higher than {below} of {of} good pictures"),
        }
    }
}

/// Inserts the pictures in `files` into the template at `path`, all or none. `model` is its backbone,
/// where that is not the bundled one. The work is done on the caller's thread pool.
///
/// # Errors
/// [`Kind::Usage`] where a picture looks like a defect and `force` is not set; [`Kind::Image`] where some
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
    let inspector =
        Inspector::join(Template::open_copy(path)?, model, engine).map_err(|e| match e.kind() {
            Kind::Io => e,
            _ => e.within(path.display()),
        })?;
    let template = inspector.template();
    let journal = journal::read(template).map_err(|e| e.within(path.display()))?;
    let built_from = journal.first().map_or(usize::MAX, |(first, _)| first.images_before as usize);
    let good = GoodScores::new(template, built_from);
    let Candidates { newcomers, known, unreadable } = candidates(&inspector, &good, files)?;
    match &unreadable[..] {
        [why] if files.len() == 1 && !options.skip_unreadable => return Err(why.clone()),
        [_, ..] if !options.skip_unreadable => {
            return Err(Error::unreadable(&unreadable, files.len()));
        }
        _ => {}
    }
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
        is_promised: template.decision().is_some(),
        since_threshold: journal::since_threshold(template, &journal) + entries.len(),
    })
}

/// Reads and scores the pictures; those that the template has or that cannot be read are put aside.
fn candidates(inspector: &Inspector, good: &GoodScores, files: &[PathBuf]) -> Result<Candidates> {
    let template = inspector.template();
    let limit = good.limit(template);
    let images = &template.header().build.images;
    let mut digests: std::collections::HashSet<[u8; 32]> =
        images.iter().map(|image| image.digest).collect();
    let (mut newcomers, mut known, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
    for file in files {
        let bytes = match image::load(file) {
            Ok(bytes) => bytes,
            Err(why) => {
                unreadable.push(why);
                continue;
            }
        };
        let digest = blake3::hash(&bytes).into();
        if !digests.insert(digest) {
            known.push(file.clone());
            continue;
        }
        let prepared = image::decode(&bytes)
            .and_then(|picture| inspector.prepare(&picture).map(|image| (picture, image)));
        let (picture, image) = match prepared {
            Ok(prepared) => prepared,
            Err(why) => {
                unreadable.push(why.within(file.display()));
                continue;
            }
        };
        let features = inspector.features(&image)?;
        let distances = inspector.distances(&features, None);
        let scored = inspector.score(&inspector.anomaly_map(&distances));
        let score = scored.score;
        let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
        let (width, height) = (picture.width, picture.height);
        let place = good.place(score);
        let is_rejected = inspector.decide(&scored, width, height).verdict == Verdict::Ng;
        let threshold = template.header().calibration.threshold;
        let warning = || {
            format!(
                "it is rejected as the template is: score {score:.4}, threshold {threshold:.4}, {place}"
            )
        };
        newcomers.push(Newcomer {
            file: file.clone(),
            record: ImageRecord { name: shortened(&name), digest, width, height, score },
            thumbnail: heatmap::thumbnail(&picture, THUMBNAIL)?,
            content: match newcomers.len() < KEPT_FEATURES {
                true => Content::Features(features),
                false => Content::Image(image),
            },
            is_defect_like: score.is_nan() || score > limit,
            warning: is_rejected.then(warning),
            place,
        });
    }
    Ok(Candidates { newcomers, known, unreadable })
}

fn refuse_defects(newcomers: &[Newcomer], threshold: f32, options: &Options) -> Result<()> {
    let suspects: Vec<String> = newcomers
        .iter()
        .filter(|newcomer| newcomer.is_defect_like && !options.force)
        .map(|n| {
            format!(
                "{}: looks like a defect, with a score of {:.4}, {}",
                n.file.display(),
                n.record.score,
                n.place
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
