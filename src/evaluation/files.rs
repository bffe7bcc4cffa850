//! This module inspects picture files, one or many, and measures the time of every stage.

use crate::backbone::Backbone;
use crate::builder::Source;
use crate::embed::{Inspection, panicked};
use crate::error::{Error, Result};
use crate::feature_map::FeatureMap;
use crate::image::{self, Facts, NetworkImage, Picture, Size};
use crate::inspection::{Inspected, Pipeline, StageTimes, Timing};
use crate::workers::{Begun, Limits, Steps, in_batches, or_panic};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The result for one picture file.
pub struct FileInspected<K = Picture> {
    /// What was kept of the file: the decoded picture, or what [`inspect_files`] was asked to keep.
    pub kept: K,
    /// Special properties of the picture.
    pub facts: Facts,
    /// What was found.
    pub found: Inspected,
    /// How long it took. Where pictures are computed in batches, each has an equal share of the time of its batch.
    pub timing: Timing,
}

impl<K> FileInspected<K> {
    /// Returns what was kept, and what the public interface says about the picture. `pipeline` must be the one that
    /// inspected it.
    pub fn into_inspection(self, pipeline: &Arc<Pipeline>) -> (K, Inspection) {
        let mut inspection = Inspection::new(pipeline.clone(), 1, self.found);
        inspection.timing = self.timing;
        (self.kept, inspection)
    }
}

/// Says what a panic in the work on a picture does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Panics {
    /// It goes on in the calling thread.
    GoOn,
    /// It is the error of its picture and of every later one, because nothing that has panicked is used again.
    AreErrors,
}

/// Reads and inspects a picture on all threads of the calling thread's pool.
///
/// # Errors
/// As [`Pipeline::inspect`] and [`image::load`]; they name the file.
pub fn inspect_file(pipeline: &Pipeline, source: &Source) -> Result<FileInspected> {
    inspect_and_keep(pipeline, source, &|_, picture| picture)
}

/// Reads and inspects many pictures side by side ([`crate::workers`]), in batches if the feature extractor takes them.
/// `keep` says what is kept of a file, from its bytes and its picture, which takes the most memory. `each` makes of the
/// result what `take` needs. Both run side by side, too. `take` gets this in the order of `sources`, on the calling
/// thread, until it breaks or fails.
///
/// # Errors
/// Those of `take`, and [`crate::error::Kind::Io`] if the system gives no threads.
pub fn inspect_files<K: Send, T: Send>(
    pipeline: &Pipeline,
    sources: &[&Source],
    panics: Panics,
    keep: impl Fn(Vec<u8>, Picture) -> K + Sync,
    each: impl Fn(usize, FileInspected<K>) -> Result<T> + Sync,
    mut take: impl FnMut(usize, Result<T>) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let backbone = pipeline.backbone().as_ref();
    let (count, batch) = (sources.len(), backbone.batch());
    let begin = |index: usize| match batch > 1 {
        false => {
            let done = inspect_and_keep(pipeline, sources[index], &keep);
            Begun::Done(done.and_then(|done| each(index, done)))
        }
        true => match Waiting::prepare(pipeline, sources[index], &keep) {
            Ok(waiting) => Begun::Ready(waiting),
            Err(e) => Begun::Done(Err(e)),
        },
    };
    let finish = |index: usize, waiting: Waiting<K>| {
        let done = waiting.judge(pipeline).map_err(|e| e.within(sources[index].path.display()))?;
        each(index, done)
    };
    let steps = Steps { begin, compute: |pictures| computed(backbone, pictures), finish };
    let limits = Limits { count, at_once: pipeline.pictures_at_once(), batch };
    let mut panic = None;
    in_batches(limits, steps, |index, outcome| match (outcome, panics) {
        (Err(words), Panics::AreErrors) => {
            panic = Some((index, words));
            Ok(ControlFlow::Break(()))
        }
        (outcome, _) => take(index, or_panic(outcome)),
    })?;
    let Some((first, words)) = panic else { return Ok(()) };
    for (index, source) in sources.iter().enumerate().skip(first) {
        let refused = || Err(panicked(&words).within(source.path.display()));
        if take(index, File::read(source).and_then(|_| refused()))?.is_break() {
            break;
        }
    }
    Ok(())
}

fn inspect_and_keep<K>(
    pipeline: &Pipeline,
    source: &Source,
    keep: &impl Fn(Vec<u8>, Picture) -> K,
) -> Result<FileInspected<K>> {
    let File { bytes, picture, facts, decoding } = File::read(source)?;
    let start = Instant::now();
    let found = picture.view().and_then(|v| pipeline.inspect(&v, &|| start.elapsed()));
    let found = found.map_err(|e| e.within(source.path.display()))?;
    let timing = Timing::new(decoding, found.times);
    Ok(FileInspected { kept: keep(bytes, picture), facts, found, timing })
}

/// A file that was read and decoded.
struct File {
    bytes: Vec<u8>,
    picture: Picture,
    facts: Facts,
    decoding: Duration,
}

impl File {
    fn read(source: &Source) -> Result<Self> {
        let start = Instant::now();
        let bytes = image::load(&source.path)?;
        let decoded =
            image::decode_with_opacity(&bytes).map_err(|e| e.within(source.path.display()))?;
        let decoding = start.elapsed();
        Ok(File { bytes, facts: Facts::of(&decoded), picture: decoded.picture, decoding })
    }
}

/// A picture that waits for its features, and then for its verdict.
struct Waiting<K> {
    kept: K,
    facts: Facts,
    size: Size,
    image: NetworkImage,
    decoding: Duration,
    times: StageTimes,
    features: Result<Vec<FeatureMap>>,
}

impl<K> Waiting<K> {
    fn prepare(
        pipeline: &Pipeline,
        source: &Source,
        keep: &impl Fn(Vec<u8>, Picture) -> K,
    ) -> Result<Self> {
        let File { bytes, picture, facts, decoding } = File::read(source)?;
        let start = Instant::now();
        let prepared = picture.view().and_then(|view| Ok((view.size(), pipeline.prepare(&view)?)));
        let (size, image) = prepared.map_err(|e| e.within(source.path.display()))?;
        let times = StageTimes { prepare: start.elapsed(), ..StageTimes::default() };
        let (kept, features) = (keep(bytes, picture), Ok(Vec::new()));
        Ok(Waiting { kept, facts, size, image, decoding, times, features })
    }

    fn judge(self, pipeline: &Pipeline) -> Result<FileInspected<K>> {
        let Waiting { kept, facts, size, image, decoding, times, features } = self;
        let start = Instant::now();
        let found = pipeline.judge(size, image, &features?, times, &|| start.elapsed());
        let timing = Timing::new(decoding, found.times);
        Ok(FileInspected { kept, facts, found, timing })
    }
}

/// Computes the features of a batch. If that fails, every picture is computed alone, so that the error is that of its
/// picture.
fn computed<K>(backbone: &dyn Backbone, mut batch: Vec<Waiting<K>>) -> Vec<Waiting<K>> {
    let start = Instant::now();
    let images: Vec<&NetworkImage> = batch.iter().map(|waiting| &waiting.image).collect();
    let features: Vec<Result<Vec<FeatureMap>>> = match backbone.features_of_batch(&images) {
        Ok(features) => features.into_iter().map(Ok).collect(),
        Err(e) if images.len() > 1 => {
            log::warn!("{e}: these {} pictures are computed one by one", images.len());
            images.iter().map(|image| backbone.features(image)).collect()
        }
        Err(e) => vec![Err(e)],
    };
    let missing = || Err(Error::model("the backbone gave nothing"));
    let mut features = features.into_iter().chain(std::iter::repeat_with(missing));
    let share = start.elapsed() / batch.len().max(1) as u32;
    for waiting in &mut batch {
        waiting.times.features = share;
        waiting.features = features.next().unwrap_or_else(missing);
    }
    batch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::Identity;
    use crate::template::Template;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::path::Path;

    const TEMPLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/template_v1.hetmm");

    /// A backbone that takes batches, fails for batches with dark pictures, and panics for white pictures.
    struct Faulty {
        backbone: Arc<dyn Backbone>,
        batch: usize,
    }

    impl Backbone for Faulty {
        fn identity(&self) -> &Identity {
            self.backbone.identity()
        }

        fn extractor(&self) -> &str {
            "faulty"
        }

        fn features(&self, image: &NetworkImage) -> Result<Vec<FeatureMap>> {
            let brightest = image.samples().iter().max();
            assert!(brightest != Some(&u16::MAX), "on purpose");
            match brightest {
                Some(0..10_000) => Err(Error::model("too dark")),
                _ => self.backbone.features(image),
            }
        }

        fn batch(&self) -> usize {
            self.batch
        }
    }

    /// Writes gray pictures of these levels.
    fn pictures(folder: &Path, levels: &[u8]) -> Vec<Source> {
        let write = |(number, level): (usize, &u8)| {
            let path = folder.join(format!("{number:02}.png"));
            let pixel = ::image::Luma([*level]);
            ::image::GrayImage::from_pixel(64, 64, pixel).save(&path).expect("writes");
            Source { path }
        };
        levels.iter().enumerate().map(write).collect()
    }

    /// The scores of the pictures, or the words of their errors.
    fn scores(threads: usize, batch: usize, sources: &[Source], panics: Panics) -> Vec<String> {
        let plain = Pipeline::open(Path::new(TEMPLATE), None, &Default::default()).expect("opens");
        let backbone = Arc::new(Faulty { backbone: plain.backbone().clone(), batch });
        let template = Template::open(TEMPLATE).expect("opens");
        let pipeline = Pipeline::new(template, backbone).expect("joins");
        let sources: Vec<&Source> = sources.iter().collect();
        let each = |index: usize, done: FileInspected<usize>| {
            assert_eq!(done.kept, std::fs::read(&sources[index].path).expect("reads").len());
            assert!(done.timing.total_ms > 0.0);
            Ok(done.found.scored.score.to_string())
        };
        let mut scores = Vec::new();
        let keep = |bytes: Vec<u8>, _| bytes.len();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("starts");
        let take = |index, result: Result<String>| {
            assert_eq!(index, scores.len());
            scores.push(result.unwrap_or_else(|e| e.to_string()));
            Ok(ControlFlow::Continue(()))
        };
        pool.install(|| inspect_files(&pipeline, &sources, panics, keep, each, take))
            .expect("runs");
        scores
    }

    #[test]
    fn threads_and_batches_change_no_result() {
        let folder = tempfile::tempdir().expect("makes");
        let mut sources = pictures(folder.path(), &[50, 60, 70, 80, 5, 100, 110, 120, 130]);
        std::fs::write(&sources[2].path, "no picture").expect("writes");
        sources[7].path = folder.path().join("missing.png");
        let one = scores(1, 1, &sources, Panics::GoOn);
        for (failed, why) in [(2, "02.png"), (4, "too dark"), (7, "missing.png")] {
            assert!(one[failed].contains(why), "{}", one[failed]);
        }
        assert_eq!(one.iter().filter(|score| score.parse::<f32>().is_ok()).count(), 6);
        for (threads, batch) in [(4, 1), (1, 3), (4, 3), (4, 100), (20, 2)] {
            assert_eq!(scores(threads, batch, &sources, Panics::GoOn), one, "{threads}, {batch}");
        }
    }

    #[test]
    fn after_a_panic_every_later_picture_has_its_error() {
        let folder = tempfile::tempdir().expect("makes");
        let mut sources = pictures(folder.path(), &[50, 60, 70, 80, 90, 255, 110, 120, 130]);
        sources[7].path = folder.path().join("missing.png");
        for (threads, batch, first) in [(1, 1, 5), (4, 1, 5), (1, 4, 4), (4, 4, 4)] {
            let scores = scores(threads, batch, &sources, Panics::AreErrors);
            let is_score = |score: &String| score.parse::<f32>().is_ok();
            assert!(scores[..first].iter().all(is_score), "{scores:?}");
            for (index, words) in scores.iter().enumerate().skip(first) {
                let why = if index == 7 { "missing.png" } else { "panicked: on purpose" };
                assert!(words.contains(why), "{words}");
            }
        }
        let goes_on = || scores(4, 1, &sources, Panics::GoOn);
        assert!(catch_unwind(AssertUnwindSafe(goes_on)).is_err());
    }
}
