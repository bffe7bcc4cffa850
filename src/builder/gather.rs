//! The features that a template is built from: computed from pictures, or read from a file.

use super::features::{Extracted, Source, extract, size_warnings, unreadable};
use super::features_file::{FeaturesFile, PictureRecord};
use super::store::{Store, scratch_folder};
use super::{Options, Progress, Stage};
use crate::backbone::Backbone;
use crate::error::{Error, Result};
use crate::feature_map::FeatureMap;
use crate::image::NetworkImage;
use crate::template::ImageRecord;

/// What a template is built from.
#[derive(Clone, Copy)]
pub enum Input<'a> {
    /// Pictures of good parts.
    Pictures(&'a [Source]),
    /// Their features.
    Features(&'a FeaturesFile),
}

/// The features of all pictures, and what is known about them.
pub struct Gathered<'a> {
    /// Features of the pictures that could be read.
    pub store: Store,
    /// Their records, in the order of the store.
    pub images: Vec<ImageRecord>,
    /// What computed the features.
    pub engine: String,
    /// The pictures that could not be read, with the reason.
    pub skipped: Vec<Error>,
    /// Things a person should know.
    pub warnings: Vec<String>,
    originals: Originals<'a>,
}

/// Where the pictures of the store are.
enum Originals<'a> {
    Files(Vec<Source>),
    Features(&'a FeaturesFile),
}

/// Fills a store from `input`.
pub fn gather<'a>(
    input: Input<'a>,
    backbone: &dyn Backbone,
    options: &Options,
    progress: Progress,
) -> Result<Gathered<'a>> {
    let taps = &backbone.identity().taps;
    let mut filling =
        Filling { store: Store::new(taps, options.max_memory, scratch_folder()?), pending: vec![] };
    match input {
        Input::Pictures(pictures) => {
            let (mut records, mut sources) = (Vec::new(), Vec::new());
            let all: Vec<&Source> = pictures.iter().collect();
            let mut take = |source: &Source, Extracted { picture, maps, .. }: Extracted| {
                records.push(picture);
                sources.push(source.clone());
                filling.push(maps)
            };
            let skipped = extract(&all, backbone, options.skip_unreadable, progress, &mut take)?;
            if !skipped.is_empty() && !options.skip_unreadable {
                return Err(unreadable(&skipped, pictures.len()));
            }
            let warnings = size_warnings(records.iter());
            Ok(Gathered {
                store: filling.finish()?,
                images: records.iter().map(image_record).collect(),
                engine: backbone.engine().into(),
                skipped,
                warnings,
                originals: Originals::Files(sources),
            })
        }
        Input::Features(file) => {
            let differences = file.header().backbone.differences(backbone.identity());
            if !differences.is_empty() {
                return Err(Error::template(format!(
                    "the features were made with another backbone (different: {})\n  features: {}\n  here:     {}",
                    differences.join(", "),
                    file.header().backbone,
                    backbone.identity()
                ))
                .advise("give the model they were made with as --backbone"));
            }
            let total = file.pictures().len();
            for index in 0..total {
                filling.push(file.maps(index)?)?;
                progress(Stage::Features, index + 1, total);
            }
            Ok(Gathered {
                store: filling.finish()?,
                images: file.pictures().map(image_record).collect(),
                engine: file.header().engine.clone(),
                skipped: Vec::new(),
                warnings: size_warnings(file.pictures()),
                originals: Originals::Features(file),
            })
        }
    }
}

impl Gathered<'_> {
    /// Picture `index` at the network's size.
    pub fn image(&self, index: usize, (height, width): (usize, usize)) -> Result<NetworkImage> {
        match &self.originals {
            Originals::Files(sources) => {
                let picture = sources[index].read()?.0;
                NetworkImage::new(&picture, height, width)
            }
            Originals::Features(file) => file.image(index),
        }
    }
}

/// A store that gets its pictures one by one.
struct Filling {
    store: Store,
    pending: Vec<Vec<FeatureMap>>,
}

impl Filling {
    fn push(&mut self, maps: Vec<FeatureMap>) -> Result<()> {
        self.pending.push(maps);
        if self.pending.len() == self.store.batch_size() {
            self.store.push(&std::mem::take(&mut self.pending))?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Store> {
        if !self.pending.is_empty() {
            self.store.push(&self.pending)?;
        }
        Ok(self.store)
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
