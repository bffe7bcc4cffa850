//! Gathers the features that a template is built from: it computes them from pictures or reads them from a file.

use super::features::{Extracted, Manner, Seen, Source, extract, size_warnings};
use super::features_file::{FeaturesFile, PictureRecord, require_whole};
use super::input_size::smaller_than_input;
use super::look::Look;
use super::notices::{self, Notice};
use super::store::{Store, scratch_folder};
use super::usable::Usable;
use super::{Progress, Stage};
use crate::backbone::{Backbone, INT8, Saturation};
use crate::error::{Choice, Error, NextStep, Result};
use crate::feature_map::FeatureMap;
use crate::image::{Mask, NetworkImage, Reading, Size};
use crate::template::ImageRecord;
use rayon::prelude::*;
use std::path::PathBuf;

/// Says how a feature pass runs.
#[derive(Debug, Clone, Copy)]
pub struct Pass {
    /// The bytes of features to hold in memory. A scratch file takes the rest.
    pub max_memory: u64,
    /// Whether unreadable pictures are left out. Otherwise they end the pass.
    pub skip_unreadable: bool,
    /// Whether to look at every picture for an audit.
    pub looks: bool,
    /// How the samples of the pictures are to be understood.
    pub reading: Reading,
}

/// Says what a template is built from.
#[derive(Clone, Copy)]
pub enum Input<'a> {
    /// Pictures of good parts.
    Pictures(&'a [Source]),
    /// The features of pictures of good parts.
    Features(&'a FeaturesFile),
}

/// Holds the features of all pictures, and what is known about them.
pub struct Gathered<'a> {
    /// The features of the pictures that could be read.
    pub store: Store,
    /// The records of the pictures, in the order of the store.
    pub images: Vec<ImageRecord>,
    /// The look of each picture, if the pass was asked for looks.
    pub looks: Vec<Look>,
    /// The feature extractor that computed the features.
    pub extractor: String,
    /// The errors of the pictures that could not be read.
    pub skipped: Vec<Error>,
    /// Facts that are as they should be and that are worth knowing.
    pub notes: Vec<String>,
    /// What a person should know about the pictures.
    pub warnings: Vec<String>,
    /// Notices that come from the pictures themselves.
    pub notices: Vec<Notice>,
    /// The pixels that are opaque in all pictures. It is `None` if every pixel is.
    pub opaque: Option<Mask>,
    reading: Reading,
    originals: Originals<'a>,
}

/// Says where the pictures of the store are.
enum Originals<'a> {
    Files(Vec<Source>),
    /// A features file, and the numbers of the pictures in it.
    Features(&'a FeaturesFile, Vec<usize>),
}

/// Fills a store from `input`.
///
/// # Errors
/// Returns [`crate::error::Kind::Image`] if pictures are unreadable (unless they may be skipped) or blank. Returns
/// [`crate::error::Kind::Template`] if the features are of another backbone. Passes on the errors of the backbone and
/// the disk.
pub fn gather<'a>(
    input: Input<'a>,
    backbone: &dyn Backbone,
    pass: Pass,
    progress: Progress,
) -> Result<Gathered<'a>> {
    let pictures = match input {
        Input::Pictures(pictures) => pictures.len(),
        Input::Features(file) => file.pictures().len(),
    };
    let taps = &backbone.identity().taps;
    let filling = Filling {
        store: Store::new(taps, pictures, pass.max_memory, scratch_folder()?),
        images: vec![],
        looks: vec![],
    };
    match input {
        Input::Pictures(pictures) => from_pictures(pictures, backbone, pass, filling, progress),
        Input::Features(file) => from_features(file, backbone, pass, filling, progress),
    }
}

/// The number of pictures whose values are counted in a network of eight bits.
const SATURATION_PICTURES: usize = 32;
/// The share of values at the ends of their ranges from which a person is told. On 14 real sets it is far smaller.
const MUCH_SATURATION: f64 = 1e-3;

/// Says that pictures do not fit the ranges of a network in eight bits.
fn beyond_ranges(saturation: Saturation) -> Option<String> {
    log::info!(
        "{} of {} values of the network lie at the ends of their ranges",
        saturation.at_ends,
        saturation.values
    );
    let share = saturation.share();
    (share > MUCH_SATURATION).then(|| {
        format!(
            "{:.1} % of the network's values lie beyond what it can hold in eight bits, because these pictures \
             are unlike those that it was prepared for. Weak defects may be missed. Build a template with features \
             of 32 bits (tract) as well, and compare the two",
            100.0 * share
        )
    })
}

/// Computes the features of every picture.
fn from_pictures<'a>(
    pictures: &[Source],
    backbone: &dyn Backbone,
    pass: Pass,
    mut filling: Filling,
    progress: Progress,
) -> Result<Gathered<'a>> {
    let mut usable = Usable::new(backbone.identity());
    let (mut records, mut sources) = (Vec::new(), Vec::new());
    let (mut facts, mut opaque, mut saturation) = (Vec::new(), None, Saturation::default());
    let all: Vec<&Source> = pictures.iter().collect();
    let mut take = |source: &Source, Extracted { picture, image, maps, seen }: Extracted| {
        if let Some(Seen { facts: of_picture, opaque: inside }) = seen {
            facts.push((picture.name.clone(), of_picture));
            opaque = common(opaque.take(), inside);
        }
        records.push(picture);
        sources.push(source.clone());
        usable.push(&maps, || Ok(image.clone()))?;
        if records.len() <= SATURATION_PICTURES {
            saturation += backbone.saturation(&image)?;
        }
        filling.push(&maps, pass.looks.then_some(image))
    };
    let Pass { skip_unreadable, reading, .. } = pass;
    let manner = Manner { reading, skip_unreadable };
    let skipped = extract(&all, backbone, manner, progress, &mut take)?;
    if !skipped.is_empty() && !pass.skip_unreadable {
        return Err(Error::unreadable(&skipped, pictures.len()));
    }
    // Check for blank pictures first, because they say more about the cause than their features.
    let notices = notices::of_set(&facts, pass.reading.bits())?;
    let mut warnings = size_warnings(records.iter());
    warnings.extend(usable.finish()?);
    warnings.extend(beyond_ranges(saturation));
    let notes = smaller_than_input(records.iter(), backbone.identity());
    let (store, looks) = filling.finish();
    Ok(Gathered {
        store,
        looks,
        images: records.iter().map(image_record).collect(),
        extractor: backbone.extractor().into(),
        skipped,
        notes: notes.into_iter().collect(),
        warnings,
        notices,
        opaque,
        reading: pass.reading,
        originals: Originals::Files(sources),
    })
}

/// Reads the features that a file holds.
fn from_features<'a>(
    file: &'a FeaturesFile,
    backbone: &dyn Backbone,
    pass: Pass,
    mut filling: Filling,
    progress: Progress,
) -> Result<Gathered<'a>> {
    require_whole(file)?;
    require_same_backbone(file, backbone)?;
    let mut usable = Usable::new(backbone.identity());
    let total = file.pictures().len();
    for index in 0..total {
        let image = pass.looks.then(|| file.image(index)).transpose()?;
        let maps = file.maps(index)?;
        usable.push(&maps, || file.image(index)).map_err(|e| e.within(file.name_of(index)))?;
        filling.push(&maps, image)?;
        progress(Stage::Features, index + 1, total);
    }
    let mut warnings = size_warnings(file.pictures());
    warnings.extend(usable.finish()?);
    let notes = smaller_than_input(file.pictures(), backbone.identity());
    let (store, looks) = filling.finish();
    Ok(Gathered {
        store,
        looks,
        images: file.pictures().map(image_record).collect(),
        extractor: file.header().extractor.clone(),
        skipped: Vec::new(),
        notes: notes.into_iter().collect(),
        warnings,
        notices: Vec::new(),
        opaque: None,
        reading: Reading::default(),
        originals: Originals::Features(file, (0..total).collect()),
    })
}

fn require_same_backbone(file: &FeaturesFile, backbone: &dyn Backbone) -> Result<()> {
    let differences = file.header().backbone.differences(backbone.identity());
    if differences.is_empty() {
        let (made_by, here) = (&file.header().extractor, backbone.extractor());
        if (made_by == INT8) != (here == INT8) {
            return Err(Error::template(format!(
                "the features were computed by {made_by}, and here computes {here}: they do not fit together"
            ))
            .next(NextStep::LeaveOut(Choice::Device)));
        }
        return Ok(());
    }
    Err(Error::template(format!(
        "the features were made with another backbone (different: {})\n  features: {}\n  here:     {}",
        differences.join(", "),
        file.header().backbone,
        backbone.identity()
    ))
    .next(NextStep::Choose(Choice::Backbone, "the model that they were made with".into())))
}

impl Gathered<'_> {
    /// Returns picture `index` at the network's size.
    pub fn image(&self, index: usize, size: Size) -> Result<NetworkImage> {
        match &self.originals {
            Originals::Files(sources) => {
                let picture = sources[index].read()?.0;
                NetworkImage::read(&picture.view()?, self.reading, size)
            }
            Originals::Features(file, numbers) => file.image(numbers[index]),
        }
    }

    /// Returns the files of the pictures. They are only names if features were given.
    pub fn paths(&self) -> Vec<PathBuf> {
        match &self.originals {
            Originals::Files(sources) => sources.iter().map(|s| s.path.clone()).collect(),
            Originals::Features(..) => self.images.iter().map(|i| (&i.name).into()).collect(),
        }
    }

    /// Returns the same without some pictures. `keep` says for each whether it stays.
    pub fn only(mut self, keep: &[bool]) -> Self {
        let kept: Vec<usize> = (0..keep.len()).filter(|&i| keep[i]).collect();
        self.store = self.store.subset(&kept);
        self.images = kept.iter().map(|&i| self.images[i].clone()).collect();
        self.looks = kept.iter().filter_map(|&i| self.looks.get(i).cloned()).collect();
        match &mut self.originals {
            Originals::Files(sources) => {
                *sources = kept.iter().map(|&i| sources[i].clone()).collect()
            }
            Originals::Features(_, numbers) => {
                *numbers = kept.iter().map(|&i| numbers[i]).collect()
            }
        }
        self
    }
}

/// Returns what is opaque in both of two sets of pictures.
fn common(one: Option<Mask>, other: Option<Mask>) -> Option<Mask> {
    match (one, other) {
        (Some(one), Some(other)) => one.and(&other),
        (one, other) => one.or(other),
    }
}

/// The number of pictures for each thread whose looks are computed at the same time.
pub(super) const LOOKS_TOGETHER: usize = 4;

/// Holds a store that gets its pictures one by one, and computes the looks of a few at a time.
struct Filling {
    store: Store,
    images: Vec<NetworkImage>,
    looks: Vec<Look>,
}

impl Filling {
    /// Adds the maps of a picture. If `image` is given, its look is computed.
    fn push(&mut self, maps: &[FeatureMap], image: Option<NetworkImage>) -> Result<()> {
        self.store.push(maps)?;
        self.images.extend(image);
        if self.images.len() >= LOOKS_TOGETHER * rayon::current_num_threads() {
            self.look();
        }
        Ok(())
    }

    fn look(&mut self) {
        self.looks.par_extend(std::mem::take(&mut self.images).par_iter().map(Look::new));
    }

    fn finish(mut self) -> (Store, Vec<Look>) {
        self.look();
        (self.store, self.looks)
    }
}

fn image_record(picture: &PictureRecord) -> ImageRecord {
    ImageRecord {
        name: picture.name.clone(),
        digest: picture.digest,
        width: picture.width,
        height: picture.height,
        score: f32::NAN,
    }
}
