//! Runs the feature pass: reads and decodes every picture once, and runs it through the backbone.

use super::features_file::PictureRecord;
use super::{Progress, Stage};
use crate::backbone::{self, Backbone};
use crate::error::{Error, Kind, Result};
use crate::feature_map::FeatureMap;
use crate::image::{self, Decoded, Facts, Mask, NetworkImage, Picture, Reading, Size};
use crate::workers::{Begun, Limits, Steps, in_batches, or_panic};
use rayon::prelude::*;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// Names a picture to build from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file of the picture.
    pub path: PathBuf,
}

impl Source {
    /// Returns the name that goes into templates: the file's own name, without folders.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }

    /// Reads the file and returns its BLAKE3.
    pub fn digest(&self) -> Result<[u8; 32]> {
        Ok(blake3::hash(&image::load(&self.path)?).into())
    }

    /// Reads and decodes the picture. Also returns the BLAKE3 of its file.
    pub fn read(&self) -> Result<(Picture, [u8; 32])> {
        let (decoded, digest) = self.read_with_opacity()?;
        Ok((decoded.picture, digest))
    }

    /// Does the same as [`Source::read`], and also returns how opaque each pixel is.
    pub fn read_with_opacity(&self) -> Result<(Decoded, [u8; 32])> {
        let bytes = image::load(&self.path)?;
        let decoded =
            image::decode_with_opacity(&bytes).map_err(|e| e.within(self.path.display()))?;
        Ok((decoded, blake3::hash(&bytes).into()))
    }
}

/// Holds what the pass gives of one picture.
pub struct Extracted {
    /// The record of the picture.
    pub picture: PictureRecord,
    /// The picture at network size.
    pub image: NetworkImage,
    /// Its feature maps.
    pub maps: Vec<FeatureMap>,
    /// What is known of the file itself. It is `None` if only features were given.
    pub seen: Option<Seen>,
}

/// Holds what is known of a picture's file beside its pixels.
pub struct Seen {
    /// Facts that are worth knowing.
    pub facts: Facts,
    /// The opaque pixels at network size. It is `None` if every pixel is opaque.
    pub opaque: Option<Mask>,
}

/// Says how the pictures of a pass are read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manner {
    /// How the samples are to be understood.
    pub reading: Reading,
    /// Whether unreadable pictures are left out. Otherwise they end the pass.
    pub skip_unreadable: bool,
}

/// Runs `backbone` over `pictures` side by side ([`crate::workers`]), or in its own batches. It gives each picture to
/// `sink`, in their order. Returns the errors of the pictures that could not be read. Unless they may be skipped, the
/// pass computes no more features after the first such picture and only looks for more of them.
pub fn extract(
    pictures: &[&Source],
    backbone: &dyn Backbone,
    manner: Manner,
    progress: Progress,
    sink: &mut dyn FnMut(&Source, Extracted) -> Result<()>,
) -> Result<Vec<Error>> {
    let pass = Pass { backbone, manner, failed: AtomicBool::new(false) };
    let (count, batch) = (pictures.len(), backbone.batch());
    let begin = |index: usize| match pass.prepare(pictures[index]) {
        Ok(ready) if batch > 1 => Begun::Ready(ready),
        Ok(ready) => Begun::Done(pass.computed(ready)),
        Err(e) => Begun::Done(Err(e)),
    };
    let finish = |_, (ready, maps): (Extracted, Result<Vec<FeatureMap>>)| {
        Ok(Extracted { maps: maps?, ..ready })
    };
    let steps = Steps { begin, compute: |ready| pass.batch(ready), finish };
    let limits = Limits { count, at_once: backbone.identity().pictures_at_once(), batch };
    let mut skipped = Vec::new();
    in_batches(limits, steps, |index, outcome| {
        progress(Stage::Features, index + 1, count);
        match or_panic(outcome) {
            // Nothing was computed, because another picture further on has ended the pass.
            Ok(one) if one.maps.is_empty() => {}
            Ok(one) if skipped.is_empty() || manner.skip_unreadable => {
                backbone::require_usable(backbone.identity(), &one.maps)
                    .map_err(|e| e.within(pictures[index].path.display()))?;
                sink(pictures[index], one)?;
            }
            Ok(_) => {}
            Err(e) if e.kind() == Kind::Model => return Err(e),
            Err(e) => skipped.push(e),
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(skipped)
}

/// The number of pictures for each thread that are computed together outside the pass.
const TOGETHER: usize = 8;

/// Returns how many pictures should be given to [`of_images`] at the same time. More would only take memory.
pub fn pictures_together(backbone: &dyn Backbone) -> usize {
    let at_once = backbone.identity().pictures_at_once();
    (TOGETHER * rayon::current_num_threads()).min(at_once).max(backbone.batch())
}

/// Computes the features of pictures at network size, on all threads of the pool or in the batches of `backbone`.
pub fn of_images(images: &[NetworkImage], backbone: &dyn Backbone) -> Result<Vec<Vec<FeatureMap>>> {
    match backbone.batch() {
        1 => images.par_iter().map(|image| backbone.features(image)).collect(),
        batch => {
            let images: Vec<&NetworkImage> = images.iter().collect();
            let batches = images.chunks(batch).map(|batch| backbone.features_of_batch(batch));
            Ok(batches.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
        }
    }
}

/// A picture that is ready for the network, and its maps, which are empty before.
type Ready = (Extracted, Result<Vec<FeatureMap>>);

/// Holds what the threads of a pass share.
struct Pass<'a> {
    backbone: &'a dyn Backbone,
    manner: Manner,
    failed: AtomicBool,
}

impl Pass<'_> {
    fn prepare(&self, source: &Source) -> Result<Ready> {
        let id = self.backbone.identity();
        let result = (|| {
            let (decoded, digest) = source.read_with_opacity()?;
            let (width, height) = (decoded.picture.width, decoded.picture.height);
            let size = Size { width: id.width, height: id.height };
            let view = decoded.picture.view();
            let image = view.and_then(|view| NetworkImage::read(&view, self.manner.reading, size));
            let image = image.map_err(|e| e.within(source.path.display()))?;
            let seen = Seen {
                facts: Facts::of(&decoded),
                opaque: Mask::of_opacity(&decoded, id.height as usize, id.width as usize)?,
            };
            let picture = PictureRecord { name: source.name(), digest, width, height };
            let ready = Extracted { picture, image, maps: Vec::new(), seen: Some(seen) };
            Ok((ready, Ok(Vec::new())))
        })();
        if result.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        result
    }

    /// Returns whether no features are needed any more.
    fn is_lost(&self) -> bool {
        self.failed.load(Ordering::Relaxed) && !self.manner.skip_unreadable
    }

    fn computed(&self, (ready, _): Ready) -> Result<Extracted> {
        if self.is_lost() {
            return Ok(ready);
        }
        Ok(Extracted { maps: self.backbone.features(&ready.image)?, ..ready })
    }

    /// Computes a batch. If that fails, every picture of it has the error.
    fn batch(&self, mut batch: Vec<Ready>) -> Vec<Ready> {
        if self.is_lost() {
            return batch;
        }
        let images: Vec<&NetworkImage> = batch.iter().map(|(ready, _)| &ready.image).collect();
        match self.backbone.features_of_batch(&images) {
            Ok(maps) => batch.iter_mut().zip(maps).for_each(|((_, of), maps)| *of = Ok(maps)),
            Err(e) => {
                let (kind, what) = (e.kind(), e.what());
                let again = std::iter::repeat_with(|| Error::new(kind, what.clone()));
                let errors = std::iter::once(e).chain(again);
                batch.iter_mut().zip(errors).for_each(|((_, of), e)| *of = Err(e));
            }
        }
        batch
    }
}

/// Returns warnings about pictures whose shape differs from the usual one.
pub fn size_warnings<'a>(images: impl Iterator<Item = &'a PictureRecord>) -> Vec<String> {
    let images: Vec<&PictureRecord> = images.collect();
    let size = |i: &PictureRecord| Size { width: i.width, height: i.height };
    let usual = most_frequent(images.iter().map(|i| size(i)));
    let Some(first) = images.iter().find(|i| Some(size(i)) == usual) else { return Vec::new() };
    let odd: Vec<&&PictureRecord> =
        images.iter().filter(|i| !size(i).has_shape_of(size(first))).collect();
    let Some(example) = odd.first() else { return Vec::new() };
    vec![format!(
        "{} of {} pictures have another shape than {} ({} x {}), for example {} ({} x {}). All are squeezed to \
         one size, so parts look different",
        odd.len(),
        images.len(),
        first.name,
        first.width,
        first.height,
        example.name,
        example.width,
        example.height
    )]
}

/// Returns the most frequent value. Of equally frequent ones it returns the first.
pub fn most_frequent<T: PartialEq>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut counts: Vec<(T, usize)> = Vec::new();
    for value in values {
        match counts.iter_mut().find(|(known, _)| *known == value) {
            Some((_, count)) => *count += 1,
            None => counts.push((value, 1)),
        }
    }
    // `max_by_key` would take the last of equals.
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(value, _)| value)
}
