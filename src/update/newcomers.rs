//! Pictures that are to be inserted: read, scored by the template as it is, and doubted.

use crate::backbone;
use crate::error::{Error, Kind, Result};
use crate::feature_map::FeatureMap;
use crate::heatmap;
use crate::image::{self, NetworkImage};
use crate::inspection::Pipeline;
use crate::scoring::Verdict;
use crate::template::{ImageRecord, Template};
use std::path::PathBuf;

/// A picture looks like a defect when its score is above this many times what good parts score at most:
/// see [`GoodScores::limit`].
const DEFECT_LIKE: f32 = 1.25;
/// Longest side of the pictures in the journal, in pixels.
const THUMBNAIL: u32 = 96;
/// Of so many pictures the features are kept from being scored until they are learned, at 3 MB a picture
/// with the default backbone; those of further ones are computed again.
const KEPT_FEATURES: usize = 32;
/// Longest name of a person or picture in the journal, in bytes.
const MAX_NAME: usize = 200;

/// A picture that may be inserted.
pub struct Newcomer {
    pub file: PathBuf,
    pub record: ImageRecord,
    /// A small JPEG of it.
    pub thumbnail: Vec<u8>,
    pub content: Content,
    pub is_defect_like: bool,
    /// What it is among the good pictures.
    place: String,
    /// Why a person should look at it: the template rejects it.
    pub warning: Option<String>,
}

/// What a picture is learned from.
pub enum Content {
    /// One map a layer.
    Features(Vec<FeatureMap>),
    /// What they are computed from.
    Image(NetworkImage),
}

/// Pictures that may be inserted, and the others.
pub struct Candidates {
    pub newcomers: Vec<Newcomer>,
    /// The template has them.
    pub known: Vec<PathBuf>,
    /// They cannot be read.
    pub unreadable: Vec<Error>,
}

/// What the pictures that a template was built from score without their own prototypes, as far as that is
/// known. What was inserted is not among them: it may have been forced.
pub struct GoodScores(Vec<f32>);

impl GoodScores {
    /// Of the first `built_from` pictures of a template.
    pub fn new(template: &Template, built_from: usize) -> Self {
        let images = template.header().build.images.iter().take(built_from);
        GoodScores(images.map(|image| image.score).filter(|score| !score.is_nan()).collect())
    }

    /// The score above which a picture looks like a defect. A threshold that promises a rate of false
    /// rejects says what good parts score, and a false reject is by its nature above it, a little; one that
    /// promises nothing says no more than the largest score of a good picture does.
    fn limit(&self, template: &Template) -> f32 {
        let threshold = template.header().calibration.threshold;
        let usual = match template.is_promised() {
            true => threshold,
            false => self.0.iter().copied().fold(threshold, f32::max),
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

/// Reads and scores the pictures; those that the template has or that cannot be read are put aside.
pub fn candidates(pipeline: &Pipeline, good: &GoodScores, files: &[PathBuf]) -> Result<Candidates> {
    let template = pipeline.template();
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
            .and_then(|picture| pipeline.prepare(&picture).map(|image| (picture, image)));
        let (picture, image) = match prepared {
            Ok(prepared) => prepared,
            Err(why) => {
                unreadable.push(why.within(file.display()));
                continue;
            }
        };
        let features = pipeline.features(&image)?;
        backbone::require_usable(pipeline.backbone().identity(), &features)
            .map_err(|e| e.within(file.display()))?;
        let distances = pipeline.distances(&features, None);
        let scored = pipeline.score(&pipeline.anomaly_map(&distances));
        let score = scored.score;
        let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
        let (width, height) = (picture.width, picture.height);
        let place = good.place(score);
        let is_rejected = pipeline.decide(&scored, width, height).verdict == Verdict::Ng;
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

/// Refuses pictures of which some look like a defect.
///
/// # Errors
/// [`Kind::Unconfirmed`], with each one's score.
pub fn refuse_defects(newcomers: &[Newcomer], threshold: f32) -> Result<()> {
    let suspects: Vec<String> = newcomers
        .iter()
        .filter(|newcomer| newcomer.is_defect_like)
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
    let what =
        format!("{}\nthe threshold is {threshold:.4}; nothing was inserted", suspects.join("\n"));
    Err(Error::new(Kind::Unconfirmed, what).advise(
        "look at the part: parts like it pass once it is inserted. A good part can be inserted by force",
    ))
}

/// No more of a name than the journal takes.
pub fn shortened(name: &str) -> String {
    let mut end = name.len().min(MAX_NAME);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name[..end].to_owned()
}
