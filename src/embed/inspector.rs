//! Inspects pictures for many threads with a template that can be replaced meanwhile.

use super::inspection::Inspection;
use super::options::Options;
use crate::backbone::Backbone;
use crate::containment::quietly;
use crate::error::{Error, Kind, Result};
use crate::image::{PictureView, Size};
use crate::inspection::Pipeline;
use crate::template::Template;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

/// Inspects pictures with a template.
///
/// Threads may share an inspector. Their calls share its pool of threads. A child process that was made by `fork` must
/// make an inspector of its own.
pub struct Inspector {
    state: RwLock<State>,
    options: Options,
    pool: ThreadPool,
    /// The process in which the threads of the pool live.
    process: u32,
}

/// Holds what is in use at present.
struct State {
    pipeline: Arc<Pipeline>,
    generation: u64,
    /// The words of a panic. After a panic, nothing of the pipeline may be used.
    panic: Option<String>,
}

impl Inspector {
    /// Joins a template with the backbone that it asks for.
    ///
    /// # Errors
    /// Returns [`Kind::Template`] if the golden probes differ on this machine, and [`Kind::Model`] if the backbone
    /// cannot be used. Returns [`Kind::Io`] if the chosen feature extractor cannot be used, and [`Kind::Usage`] if the
    /// options contradict each other.
    pub fn new(template: impl Into<Arc<Template>>, options: &Options) -> Result<Self> {
        let (template, pool) = (template.into(), pool(options.threads())?);
        let pipeline = guarded(&pool, || open(template, None, options))
            .unwrap_or_else(|panic| Err(panicked(&panic)))?;
        let state = State { pipeline: Arc::new(pipeline), generation: 1, panic: None };
        let options = options.clone();
        Ok(Inspector { state: RwLock::new(state), options, pool, process: std::process::id() })
    }

    /// Does the same as [`Inspector::new`] with the template in a file.
    ///
    /// # Errors
    /// Returns the same errors as [`Template::open`] and [`Inspector::new`]. They name the file.
    pub fn open(template: impl AsRef<Path>, options: &Options) -> Result<Self> {
        let path = template.as_ref();
        Self::new(Template::open(path)?, options).map_err(|e| match e.kind() {
            Kind::Io => e,
            _ => e.within(path.display()),
        })
    }

    /// Inspects a picture. It may be called from many threads at once.
    ///
    /// The same picture gives the same bits, whatever the number of threads.
    ///
    /// # Errors
    /// Returns [`Kind::Image`] if the picture has another shape than those of the template, or samples out of range.
    /// Returns [`Kind::Model`] if the feature extractor fails. After a panic in it, every call returns [`Kind::Model`]
    /// until [`Inspector::replace`]. A part whose inspection failed must be rejected.
    pub fn inspect(&self, picture: &PictureView) -> Result<Inspection> {
        self.require_own_process()?;
        let (pipeline, generation) = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(panic) = &state.panic {
                return Err(panicked(panic));
            }
            (state.pipeline.clone(), state.generation)
        };
        let start = Instant::now();
        let done = guarded(&self.pool, || {
            let found = pipeline.inspect(picture, &|| start.elapsed())?;
            Ok(Inspection::new(pipeline.clone(), generation, found))
        });
        done.unwrap_or_else(|panic| {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            if state.generation == generation {
                state.panic = Some(panic.clone());
            }
            Err(panicked(&panic))
        })
    }

    /// Replaces the template in use. Inspections that are running end with the old one.
    ///
    /// The new template is opened and checked before anything changes.
    ///
    /// # Errors
    /// Returns the same errors as [`Inspector::new`]. The old template then stays in use.
    pub fn replace(&self, template: impl Into<Arc<Template>>) -> Result<()> {
        self.require_own_process()?;
        let template = template.into();
        let in_use = self.usable_backbone();
        let pipeline = guarded(&self.pool, || open(template, in_use, &self.options))
            .unwrap_or_else(|panic| Err(panicked(&panic)))?;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.pipeline = Arc::new(pipeline);
        state.generation += 1;
        state.panic = None;
        Ok(())
    }

    /// Returns the feature extractor in use. One that has panicked is not used again.
    fn usable_backbone(&self) -> Option<Arc<dyn Backbone>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.panic.is_none().then(|| state.pipeline.backbone().clone())
    }

    /// Returns the template in use.
    pub fn template(&self) -> Arc<Template> {
        self.pipeline().template().clone()
    }

    /// Returns how many templates have been in use, including this one.
    pub fn generation(&self) -> u64 {
        self.state.read().unwrap_or_else(PoisonError::into_inner).generation
    }

    /// Returns the name of the feature extractor, as in "tract" or "onnxruntime 1.22.0 cpu".
    pub fn extractor(&self) -> String {
        self.pipeline().extractor().to_owned()
    }

    /// Returns the size of the pictures that the template was built from, if none of them had `size`.
    pub fn other_size(&self, size: Size) -> Option<Size> {
        self.pipeline().other_size(size)
    }

    fn pipeline(&self) -> Arc<Pipeline> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).pipeline.clone()
    }

    /// Refuses a call in a forked child. The threads of the pool do not exist there, so the call would wait forever.
    fn require_own_process(&self) -> Result<()> {
        match std::process::id() == self.process {
            true => Ok(()),
            false => Err(Error::usage("this inspector was made before the process was forked")
                .advise("make an inspector in every process, after the fork")),
        }
    }
}

/// Opens a template with its backbone, and checks its golden probes if the options ask for that. A backbone that is
/// `in_use` is taken if it is the one that the template asks for.
fn open(
    template: Arc<Template>,
    in_use: Option<Arc<dyn Backbone>>,
    options: &Options,
) -> Result<Pipeline> {
    let asked = &template.header().backbone;
    let same = in_use.filter(|backbone| backbone.identity().differences(asked).is_empty());
    let pipeline = match same {
        Some(backbone) => Pipeline::new(template, backbone)?,
        None => Pipeline::join(template, options.backbone(), options.extractor())?,
    };
    if options.proves() {
        pipeline.prove()?;
    }
    Ok(if options.takes_any_shape() { pipeline.with_any_shape() } else { pipeline })
}

/// Makes a pool of threads. 0 means one thread per core.
pub(super) fn pool(threads: usize) -> Result<ThreadPool> {
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|number| format!("hetmm-{number}"))
        .build()
        .map_err(|e| Error::new(Kind::Io, format!("no threads: {e}")))
}

/// Does `work` on the pool. If it panics, the error holds the words of the panic.
pub(super) fn guarded<T: Send>(
    pool: &ThreadPool,
    work: impl FnOnce() -> Result<T> + Send,
) -> std::result::Result<Result<T>, String> {
    quietly(|| pool.install(work))
}

pub(crate) fn panicked(words: &str) -> Error {
    Error::model(format!("the inspection panicked: {words}"))
        .advise("reject the part, open the template again, and report this")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::Identity;
    use crate::feature_map::FeatureMap;
    use crate::image::NetworkImage;
    use std::sync::atomic::{AtomicBool, Ordering};

    const TEMPLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/template_v1.hetmm");

    /// Panics from some moment on, in place of a backbone.
    struct Faulty {
        backbone: Arc<dyn Backbone>,
        panics: Arc<AtomicBool>,
    }

    impl Backbone for Faulty {
        fn identity(&self) -> &Identity {
            self.backbone.identity()
        }

        fn extractor(&self) -> &str {
            "faulty"
        }

        fn features(&self, image: &NetworkImage) -> Result<Vec<FeatureMap>> {
            assert!(!self.panics.load(Ordering::Relaxed), "on purpose");
            self.backbone.features(image)
        }
    }

    /// To the inspector, this test looks like a forked child.
    #[test]
    fn an_inspector_of_another_process_refuses_to_wait_for_threads_that_are_not_there() {
        let mut inspector = Inspector::open(TEMPLATE, &Options::default()).expect("opens");
        inspector.process += 1;
        let pixels = [90; 64 * 64];
        let view = PictureView::gray8(&pixels, 64, 64, 64).expect("fits");
        assert_eq!(inspector.inspect(&view).expect_err("refused").kind(), Kind::Usage);
        let template = Template::open(TEMPLATE).expect("opens");
        assert_eq!(inspector.replace(template).expect_err("refused").kind(), Kind::Usage);
    }

    #[test]
    fn after_a_panic_every_answer_is_an_error_until_the_template_is_replaced() {
        let inspector = Inspector::open(TEMPLATE, &Options::default()).expect("opens");
        let panics = Arc::new(AtomicBool::new(false));
        {
            let mut state = inspector.state.write().expect("no panic yet");
            let (template, backbone) =
                (state.pipeline.template().clone(), state.pipeline.backbone().clone());
            let faulty = Faulty { backbone, panics: panics.clone() };
            state.pipeline = Arc::new(Pipeline::new(template, Arc::new(faulty)).expect("joins"));
        }
        let pixels = [90; 64 * 64];
        let view = PictureView::gray8(&pixels, 64, 64, 64).expect("fits");
        inspector.inspect(&view).expect("inspects");
        panics.store(true, Ordering::Relaxed);
        let error = inspector.inspect(&view).expect_err("panics");
        assert_eq!(error.kind(), Kind::Model);
        assert!(error.to_string().contains("on purpose"), "{error}");
        panics.store(false, Ordering::Relaxed);
        assert!(inspector.inspect(&view).is_err(), "what panicked is not asked again");
        inspector.replace(Template::open(TEMPLATE).expect("opens")).expect("is taken");
        assert_eq!(inspector.inspect(&view).expect("inspects").generation, 2);
    }
}
