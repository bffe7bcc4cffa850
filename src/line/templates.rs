//! Holds the template in use, and replaces it while parts keep coming.
//!
//! A new template is checked ([`super::proof`]) before it is used for a part. If anything is wrong with it, the old one
//! stays in use. A feature extractor that fails while parts come is replaced in the same way, under the template that
//! is in use. Nothing is inspected between the failure and the check of the golden probes.

use super::current::{Current, InUse};
use super::evidence::Event as Told;
use super::messages::Message;
use super::outbox::Outbox;
use super::proof::{self, Proven, Recipe};
use super::records::Reporter;
use super::tracker::{Event, Fault};
use super::trust::Trust;
use crate::backbone::{ExtractorOptions, INT8, TRACT};
use crate::error::Result;
use crate::template::signature::Signature;
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The time between two looks at the file.
const LOOK: Duration = Duration::from_millis(250);

/// Distinguishes one state of a file, and of its signature, from another.
type Mark = (FileMark, Option<FileMark>);
type FileMark = (u64, u64, i64, i64);

/// Loads templates and puts them in use.
pub struct Templates {
    recipe: Recipe,
    /// Whether the usual feature extractor replaces one that fails.
    fallback: bool,
    current: Arc<Current>,
    hub: Outbox,
    reporter: Reporter,
    /// The number of times that the usual feature extractor has replaced the configured one.
    fallbacks: AtomicU64,
    /// The state, locked while a template is loaded.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The state of the file when it was last tried.
    tried: Option<Mark>,
    /// The reason why the last try was refused.
    refused: Option<String>,
    /// Whether the usual feature extractor has replaced the configured one.
    fallen_back: bool,
}

impl Templates {
    /// Makes a loader for a recipe. With `fallback`, the usual feature extractor replaces one that fails.
    /// `reporter` is told of what is in use.
    pub fn new(
        recipe: Recipe,
        fallback: bool,
        current: Arc<Current>,
        hub: Outbox,
        reporter: Reporter,
    ) -> Self {
        let (fallbacks, state) = (AtomicU64::new(0), Mutex::default());
        Templates { recipe, fallback, current, hub, reporter, fallbacks, state }
    }

    /// Returns the template's file, and that of its backbone if it is not the bundled one.
    pub fn files(&self) -> (&Path, Option<&Path>) {
        (&self.recipe.file, self.recipe.backbone.as_deref())
    }

    /// Returns whose signatures count.
    pub fn trust(&self) -> &Trust {
        &self.recipe.trust
    }

    /// Tells the records of an event.
    pub fn tell(&self, event: Told) {
        self.reporter.tell(event);
    }

    /// Returns whether pictures of another shape than the template's are accepted and squeezed.
    pub fn any_shape(&self) -> bool {
        self.recipe.any_shape
    }

    /// Loads the file, checks it and puts it in use, with the feature extractor that the configuration names.
    ///
    /// # Errors
    /// Returns an error if anything is wrong. The template in use then stays in use.
    pub fn reload(&self) -> Result<String> {
        self.load(true)
    }

    /// Does the same as [`Templates::reload`]. If the usual feature extractor has replaced one that failed, it
    /// stays in use.
    ///
    /// # Errors
    /// Returns the same errors as [`Templates::reload`].
    pub fn renew(&self) -> Result<String> {
        self.load(false)
    }

    fn load(&self, by_configured: bool) -> Result<String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.tried = mark(&self.recipe.file);
        let has_fallen_back = state.fallen_back && !by_configured;
        let recipe = if has_fallen_back { self.by_usual() } else { self.recipe.clone() };
        match proof::load(&recipe) {
            Ok(proven) => {
                state.fallen_back = has_fallen_back;
                Ok(self.use_it(proven, &mut state))
            }
            Err(why) => {
                let kept = if self.current.get().is_some() { "; the old one stays" } else { "" };
                log::error!("the template is refused: {why}{kept}");
                self.reporter.tell(Told::TemplateRefused { why: why.what() });
                state.refused = Some(why.to_string());
                Err(why)
            }
        }
    }

    /// Loads the file and replaces a feature extractor that fails, until the device stops. If `watch` is true, it loads
    /// the file again whenever it has changed.
    pub fn run(&self, watch: bool) {
        // The error was logged, and a better file may come.
        let _ = self.reload();
        let mut changed: Option<Mark> = None;
        while !self.hub.stopped() {
            if let Some(failed) = self.current.wait_for_failure(LOOK) {
                self.replace_engine(&failed);
            }
            if !watch {
                continue;
            }
            let seen = mark(&self.recipe.file);
            let tried = self.state.lock().unwrap_or_else(PoisonError::into_inner).tried;
            if seen.is_none() || seen == tried {
                changed = None;
            } else if seen == changed {
                // Two looks saw the same state, so nobody writes the file any more.
                let _ = self.renew();
            } else {
                changed = seen;
            }
        }
    }

    /// Joins the template of a pipeline whose feature extractor has failed with another one, or with the same one
    /// opened again. Puts the result in use.
    fn replace_engine(&self, failed: &InUse) {
        let InUse { pipeline: failed, identity } = failed;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if self.current.get().is_some() {
            // Another template was put in use meanwhile, with a feature extractor that was checked with it.
            return;
        }
        let is_own = matches!(failed.extractor(), INT8 | TRACT);
        let falls_back = self.fallback && !is_own;
        let recipe = if self.fallback { self.by_usual() } else { self.recipe.clone() };
        match proof::join(failed.template(), identity, &recipe) {
            Ok(proven) => {
                let how = match falls_back {
                    true => format!("{} takes its place", proven.pipeline.extractor()),
                    false => "it was opened again".into(),
                };
                log::warn!("the feature extractor {} had failed: {how}", failed.extractor());
                state.fallen_back |= falls_back;
                self.fallbacks.fetch_add(u64::from(falls_back), Ordering::SeqCst);
                self.use_it(proven, &mut state);
            }
            Err(why) => {
                log::error!(
                    "the feature extractor {} has failed, and nothing is in its place: {why}",
                    failed.extractor()
                );
                state.refused = Some(why.to_string());
            }
        }
    }

    fn by_usual(&self) -> Recipe {
        Recipe { extractors: vec![ExtractorOptions::default()], ..self.recipe.clone() }
    }

    fn use_it(&self, proven: Proven, state: &mut State) -> String {
        let what = proven.describe(&self.recipe.file);
        self.reporter.tell(Told::Template {
            template: (*proven.identity).clone(),
            extractor: proven.pipeline.extractor().to_owned(),
        });
        self.current.set(InUse { pipeline: Arc::new(proven.pipeline), identity: proven.identity });
        state.refused = None;
        for fault in [Fault::Template, Fault::Engine] {
            self.hub.send(Message::Event(Event::Condition { fault, present: false }));
        }
        log::info!("{what}");
        what
    }

    /// Returns the JSON for the status.
    pub fn to_json(&self) -> Value {
        let current = self.current.get();
        let (failures, last_failure) = self.current.failures();
        let refused = self.state.try_lock().ok().and_then(|state| state.refused.clone());
        let template = current.as_ref().map(|in_use| in_use.pipeline.template());
        let identity = current.as_ref().map(|in_use| &*in_use.identity);
        json!({
            "file": self.recipe.file.display().to_string(),
            "threshold": template.map(|t| t.header().calibration.threshold),
            "backbone": template.map(|t| t.header().backbone.to_string()),
            "refused": refused,
            "identity": identity,
            "engine": current.as_ref().map(|in_use| in_use.pipeline.extractor()),
            "engine_failures": failures,
            "last_engine_failure": last_failure,
            "fallbacks": self.fallbacks.load(Ordering::SeqCst),
        })
    }
}

fn mark(file: &Path) -> Option<Mark> {
    let mark = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
    };
    Some((mark(file)?, mark(&Signature::path_of(file))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::{Backbone, Identity};
    use crate::camera::Frame;
    use crate::clock::LineTime;
    use crate::error::Error;
    use crate::feature_map::FeatureMap;
    use crate::image::{NetworkImage, Picture, Samples};
    use crate::inspection::Pipeline;
    use crate::line::inspect::Inspection;
    use crate::line::messages::Job;
    use crate::line::tracker::{PartId, Reason};
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    const TEMPLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/template_v1.hetmm");

    /// Does what tract does, until it is told to fail.
    struct Flaky {
        inner: Arc<dyn Backbone>,
        name: &'static str,
        fault: Mutex<&'static str>,
    }

    impl Backbone for Flaky {
        fn identity(&self) -> &Identity {
            self.inner.identity()
        }

        fn extractor(&self) -> &str {
            self.name
        }

        fn features(&self, image: &NetworkImage) -> Result<Vec<FeatureMap>> {
            match *self.fault.lock().expect("locks") {
                "" => self.inner.features(image),
                "panic" => panic!("on purpose"),
                why => Err(Error::model(why)),
            }
        }
    }

    /// Holds an inspection's thread, its templates, and what they tell the hub.
    struct Line {
        templates: Templates,
        current: Arc<Current>,
        jobs: Option<SyncSender<Job>>,
        messages: Receiver<Message>,
        thread: Option<std::thread::JoinHandle<()>>,
    }

    impl Line {
        fn new(fallback: bool, backbone: Option<&str>) -> Self {
            let (sender, messages) = sync_channel(64);
            let (hub, current) = (Outbox::new(sender, Arc::default()), Arc::<Current>::default());
            let recipe = Recipe {
                file: TEMPLATE.into(),
                backbone: backbone.map(Into::into),
                extractors: vec![ExtractorOptions::default()],
                threads: 2,
                any_shape: true,
                bayer: None,
                trust: Trust::default(),
            };
            let reporter = Reporter::default();
            let templates =
                Templates::new(recipe, fallback, current.clone(), hub.clone(), reporter);
            let inspection = Inspection {
                preview: None,
                current: current.clone(),
                threads: 2,
                review_passes: false,
                archive: None,
                drift: None,
                alive: Arc::default(),
                hub,
            };
            let (jobs, received) = sync_channel(4);
            let thread = Some(std::thread::spawn(move || inspection.run(&received)));
            Line { templates, current, jobs: Some(jobs), messages, thread }
        }

        /// Puts the template in use with a feature extractor that can fail.
        fn use_flaky(&self, name: &'static str) -> Arc<Flaky> {
            let recipe = Recipe { backbone: None, ..self.templates.recipe.clone() };
            let Proven { pipeline: proven, identity, .. } =
                proof::load(&recipe).expect("is proven");
            let inner = proven.backbone().clone();
            let flaky = Arc::new(Flaky { inner, name, fault: Mutex::new("") });
            let joined = Pipeline::new(proven.template().clone(), flaky.clone())
                .expect("joins")
                .with_any_shape();
            self.current.set(InUse { pipeline: Arc::new(joined), identity });
            flaky
        }

        /// Has a part inspected. Returns why it is rejected, unless that is because of its score.
        fn part(&self) -> Option<Reason> {
            let (width, height) = (64, 64);
            let samples = Samples::Eight(vec![128; 3 * 64 * 64]);
            let now = LineTime::now();
            let frame =
                Frame { picture: Picture { width, height, samples }, exposed_at: now, sequence: 0 };
            let deadline = now + Duration::from_secs(60);
            let job = Job { part: PartId(1), triggered_at: now, deadline, frame };
            self.jobs.as_ref().expect("runs").send(job).expect("is taken");
            let mut judged = None;
            while judged.is_none() {
                match self.messages.recv_timeout(Duration::from_secs(60)).expect("an answer") {
                    Message::Judged(answer) => judged = Some(answer.result),
                    Message::Event(event) => self.expect_fault(event, true),
                    _ => panic!("another message"),
                }
            }
            judged.and_then(|result| result.err())
        }

        /// Checks that the feature extractor's fault has begun or ended. The template's fault may end with it.
        fn expect_fault(&self, event: Event, begins: bool) {
            let Event::Condition { fault, present } = event else { panic!("{event:?}") };
            let expected = fault == Fault::Engine || (fault == Fault::Template && !begins);
            assert!(expected && present == begins, "{event:?}");
        }

        /// Does what the templates' thread does about a failure. Returns true if the fault has ended.
        fn replace(&self) -> bool {
            let failed = self.current.wait_for_failure(Duration::ZERO).expect("a failure");
            self.templates.replace_engine(&failed);
            let mut ended = false;
            for message in self.messages.try_iter() {
                let Message::Event(event) = message else { panic!("another message") };
                self.expect_fault(event, false);
                ended = true;
            }
            ended
        }

        fn status(&self, key: &str) -> Value {
            self.templates.to_json()[key].clone()
        }
    }

    impl Drop for Line {
        fn drop(&mut self) {
            self.jobs = None;
            let thread = self.thread.take().expect("runs");
            assert!(thread.join().is_ok() || std::thread::panicking());
        }
    }

    #[test]
    fn an_engine_that_fails_costs_its_part_and_tract_takes_its_place() {
        for (round, fault) in ["out of memory", "panic"].into_iter().enumerate() {
            let line = Line::new(true, None);
            let flaky = line.use_flaky("flaky");
            assert_eq!((line.part(), line.status("engine")), (None, "flaky".into()), "{round}");
            *flaky.fault.lock().expect("locks") = fault;
            assert_eq!(line.part(), Some(Reason::InspectionFailed));
            assert_eq!(line.status("engine"), Value::Null, "nothing is inspected until the proof");
            assert_eq!(line.part(), Some(Reason::InspectionFailed));
            assert!(line.replace());
            assert_eq!((line.part(), line.status("engine")), (None, TRACT.into()));
            let counted = [line.status("engine_failures"), line.status("fallbacks")];
            assert_eq!(counted, [Value::from(1), Value::from(1)]);
            let said = line.status("last_engine_failure");
            assert_eq!(said, ["out of memory", "it panicked: on purpose"][round]);
            // A new template does not bring the failed feature extractor back. A request to reload does.
            line.templates.renew().expect("loads");
            assert!(line.templates.state.lock().expect("locks").fallen_back);
            line.templates.reload().expect("loads");
            assert!(!line.templates.state.lock().expect("locks").fallen_back);
        }
    }

    #[test]
    fn without_fallback_the_same_engine_is_opened_again() {
        let line = Line::new(false, None);
        *line.use_flaky("flaky").fault.lock().expect("locks") = "once";
        assert_eq!(line.part(), Some(Reason::InspectionFailed));
        assert!(line.replace());
        assert_eq!((line.part(), line.status("fallbacks")), (None, 0.into()));
        assert!(!line.templates.state.lock().expect("locks").fallen_back);
    }

    #[test]
    fn tract_falls_back_on_nothing_but_itself() {
        let line = Line::new(true, None);
        *line.use_flaky(TRACT).fault.lock().expect("locks") = "panic";
        assert_eq!(line.part(), Some(Reason::InspectionFailed));
        assert!(line.replace());
        assert_eq!(line.part(), None);
        let counted = [line.status("engine_failures"), line.status("fallbacks")];
        assert_eq!(counted, [Value::from(1), Value::from(0)]);
    }

    #[test]
    fn where_nothing_can_take_its_place_the_fault_stays() {
        let line = Line::new(true, Some("/no/such/model.onnx"));
        *line.use_flaky("flaky").fault.lock().expect("locks") = "gone";
        assert_eq!(line.part(), Some(Reason::InspectionFailed));
        assert!(!line.replace(), "the fault must not end");
        assert!(line.status("refused").as_str().is_some_and(|why| why.contains("model.onnx")));
        assert_eq!(line.part(), Some(Reason::InspectionFailed));
        assert!(line.current.wait_for_failure(Duration::ZERO).is_none(), "it was dealt with");
        assert!(line.templates.reload().is_err());
    }

    #[test]
    fn a_failure_of_what_is_no_longer_in_use_changes_nothing() {
        let line = Line::new(true, None);
        line.use_flaky("old");
        let old = line.current.get().expect("is in use").pipeline;
        line.use_flaky("new");
        assert!(!line.current.fail(&old, "late".into()));
        assert!(line.current.wait_for_failure(Duration::ZERO).is_none());
        assert_eq!((line.part(), line.status("engine")), (None, "new".into()));
        // A feature extractor fails, and another template comes before anybody deals with the failure.
        let flaky = line.use_flaky("flaky");
        *flaky.fault.lock().expect("locks") = "gone";
        assert_eq!(line.part(), Some(Reason::InspectionFailed));
        let newer = line.use_flaky("newer");
        assert!(!line.replace());
        assert_eq!((line.part(), line.status("engine")), (None, "newer".into()));
        drop(newer);
    }
}
