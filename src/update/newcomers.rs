//! This module reads the pictures that are to be inserted, scores them by the template as it is,
//! and finds those that look like defects.

use crate::backbone;
use crate::error::{Error, Kind, Result};
use crate::feature_map::FeatureMap;
use crate::heatmap;
use crate::image::{self, NetworkImage, Picture, PictureView};
use crate::inspection::Pipeline;
use crate::scoring::Verdict;
use crate::template::{ImageRecord, Template};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// A picture looks like a defect when its score is above this many times the score that good parts
/// have at most; see [`GoodScores::limit`].
const DEFECT_LIKE: f32 = 1.25;
/// The longest side of the pictures in the journal, in pixels.
const THUMBNAIL: u32 = 96;
/// The number of pictures whose features are kept between scoring and learning. The features take 3
/// MB per picture with the default backbone. The features of further pictures are computed again.
const KEPT_FEATURES: usize = 32;
/// The longest name of a person or picture in the journal, in bytes.
const MAX_NAME: usize = 200;

/// A picture that may be inserted.
pub struct Newcomer {
    pub file: PathBuf,
    pub record: ImageRecord,
    /// A small JPEG of the picture.
    pub thumbnail: Vec<u8>,
    pub content: Content,
    pub is_defect_like: bool,
    /// A text that compares its score with those of the good pictures.
    place: String,
    /// The reason why a person should look at it: the template rejects it.
    pub warning: Option<String>,
}

/// The data from which a picture is learned.
pub enum Content {
    /// One map per tap.
    Features(Vec<FeatureMap>),
    /// The input from which the maps are computed.
    Image(NetworkImage),
}

/// The pictures that may be inserted, and the others.
pub struct Candidates {
    pub newcomers: Vec<Newcomer>,
    /// The pictures that the template already has.
    pub known: Vec<PathBuf>,
    /// The errors of the pictures that cannot be read.
    pub unreadable: Vec<Error>,
}

/// The scores that the pictures of the build have without their own prototypes, as far as these are
/// known. Inserted pictures are not among them, because they may have been forced.
pub struct GoodScores(Vec<f32>);

impl GoodScores {
    /// Takes the scores of the first `built_from` pictures of a template.
    pub fn new(template: &Template, built_from: usize) -> Self {
        let images = template.header().build.images.iter().take(built_from);
        GoodScores(images.map(|image| image.score).filter(|score| !score.is_nan()).collect())
    }

    /// Returns the score above which a picture looks like a defect. A threshold that promises a
    /// rate of false rejects tells what good parts score. A false reject is always a little above
    /// it. A threshold that promises nothing tells no more than the largest score of a good picture
    /// does.
    fn limit(&self, template: &Template) -> f32 {
        let threshold = template.header().calibration.threshold;
        let usual = match template.is_promised() {
            true => threshold,
            false => self.0.iter().copied().fold(threshold, f32::max),
        };
        (DEFECT_LIKE * usual).max(threshold)
    }

    /// Says in words above how many of these scores a score is.
    fn place(&self, score: f32) -> String {
        match (self.0.iter().filter(|&&good| good < score).count(), self.0.len()) {
            (_, 0) => "not comparable, because no scores of good pictures are known".into(),
            (below, of) => format!("higher than {below} of {of} good pictures"),
        }
    }
}

/// A picture that is to be inserted.
#[derive(Debug, Clone, Copy)]
pub enum NewPicture<'a> {
    /// The file of a picture.
    File(&'a Path),
    /// A picture in memory, and the name that it gets in the journal.
    View(&'a str, PictureView<'a>),
}

impl NewPicture<'_> {
    /// The name that reports and errors give it.
    fn file(&self) -> PathBuf {
        match self {
            NewPicture::File(path) => path.to_path_buf(),
            NewPicture::View(name, _) => name.into(),
        }
    }

    /// Reads the picture's file, or copies the picture.
    fn load(&self) -> Result<Loaded> {
        Ok(match self {
            NewPicture::File(path) => Loaded::Encoded(image::load(path)?),
            NewPicture::View(_, view) => Loaded::Decoded(view.to_picture()),
        })
    }
}

/// A picture that was loaded.
enum Loaded {
    /// The bytes of its file.
    Encoded(Vec<u8>),
    /// The picture itself.
    Decoded(Picture),
}

impl Loaded {
    /// What tells it from others: the BLAKE3 of its file, or of its size and samples.
    fn digest(&self) -> [u8; 32] {
        match self {
            Loaded::Encoded(bytes) => blake3::hash(bytes).into(),
            Loaded::Decoded(picture) => picture.digest(),
        }
    }

    fn decode(self) -> Result<Picture> {
        match self {
            Loaded::Encoded(bytes) => image::decode(&bytes),
            Loaded::Decoded(picture) => Ok(picture),
        }
    }
}

/// Reads and scores the pictures. It sets aside those that the template has already, and those that cannot be
/// read.
///
/// # Errors
/// Those of the feature extractor.
pub fn candidates(
    pipeline: &Pipeline,
    good: &GoodScores,
    pictures: &[NewPicture],
) -> Result<Candidates> {
    let images = &pipeline.template().header().build.images;
    let mut digests: HashSet<[u8; 32]> = images.iter().map(|image| image.digest).collect();
    let (mut newcomers, mut known, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
    for new in pictures {
        let file = new.file();
        let loaded = match new.load() {
            Ok(loaded) => loaded,
            Err(why) => {
                unreadable.push(why);
                continue;
            }
        };
        let digest = loaded.digest();
        if !digests.insert(digest) {
            known.push(file);
            continue;
        }
        let prepared = loaded.decode().and_then(|picture| {
            let image = pipeline.prepare(&picture.view()?)?;
            Ok((picture, image))
        });
        match prepared {
            Ok((picture, image)) => {
                let keeps_features = newcomers.len() < KEPT_FEATURES;
                let source = (file, picture, digest);
                newcomers.push(newcomer(pipeline, good, source, image, keeps_features)?);
            }
            Err(why) => unreadable.push(why.within(file.display())),
        }
    }
    Ok(Candidates { newcomers, known, unreadable })
}

/// Scores one picture, whose input to the network is `image`.
fn newcomer(
    pipeline: &Pipeline,
    good: &GoodScores,
    (file, picture, digest): (PathBuf, Picture, [u8; 32]),
    image: NetworkImage,
    keeps_features: bool,
) -> Result<Newcomer> {
    let template = pipeline.template();
    let features = pipeline.features(&image)?;
    backbone::require_usable(pipeline.backbone().identity(), &features)
        .map_err(|e| e.within(file.display()))?;
    let scored = pipeline.score(&pipeline.anomaly_map(&pipeline.distances(&features, None)));
    let score = scored.score;
    let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
    let (width, height) = (picture.width, picture.height);
    let place = good.place(score);
    let is_rejected = pipeline.decide(&scored, picture.size()).verdict == Verdict::Ng;
    let threshold = template.header().calibration.threshold;
    let warning = || {
        format!(
            "it is rejected by the present template: its score {score:.4} is {place}, and the threshold is {threshold:.4}"
        )
    };
    Ok(Newcomer {
        record: ImageRecord { name: shortened(&name), digest, width, height, score },
        thumbnail: heatmap::thumbnail(&picture, THUMBNAIL)?,
        content: match keeps_features {
            true => Content::Features(features),
            false => Content::Image(image),
        },
        is_defect_like: score.is_nan() || score > good.limit(template),
        warning: is_rejected.then(warning),
        place,
        file,
    })
}

/// Refuses all pictures if some of them look like a defect.
///
/// # Errors
/// [`Kind::Unconfirmed`], with the score of each such picture.
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

/// Cuts a name to the length that the journal accepts.
pub fn shortened(name: &str) -> String {
    let mut end = name.len().min(MAX_NAME);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name[..end].to_owned()
}
