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
        Self::with(fallback, backbone, Slots::new(TEMPLATE.into(), Default::default()))
    }

    fn with(fallback: bool, backbone: Option<&str>, slots: Slots) -> Self {
        let (sender, messages) = sync_channel(64);
        let (hub, current) = (Outbox::new(sender, Arc::default()), Arc::<Current>::default());
        let recipe = Recipe {
            file: TEMPLATE.into(),
            slot: None,
            backbone: backbone.map(Into::into),
            extractors: vec![ExtractorOptions::default()],
            threads: 2,
            any_shape: true,
            bayer: None,
            trust: Trust::default(),
        };
        let reporter = Reporter::default();
        let templates =
            Templates::new(recipe, slots, fallback, current.clone(), hub.clone(), reporter);
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
        let Proven { pipeline: proven, identity, .. } = proof::load(&recipe).expect("is proven");
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

    /// Selects a slot. If that is done, the faults end that a template can end.
    fn select(&self, slot: Slot, expected: Option<DigestPrefix>) -> Result<Value> {
        let done = self.templates.select(slot, expected, "somebody");
        self.expect_ends();
        done
    }

    /// Checks that nothing but the end of faults was told.
    fn expect_ends(&self) {
        for message in self.messages.try_iter() {
            let Message::Event(event) = message else { panic!("another message") };
            self.expect_fault(event, false);
        }
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

/// Makes a folder with two slots whose templates differ, and `part.hetmm`, which is in no slot.
fn two_slots() -> (tempfile::TempDir, Slots) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    for name in ["part.hetmm", "a.hetmm", "b.hetmm"] {
        std::fs::copy(TEMPLATE, path(name)).expect("copies");
    }
    let files = [("1", "a.hetmm"), ("2", "b.hetmm")];
    let files = files.map(|(number, name)| (Slot::parse(number).expect("a slot"), path(name)));
    let slots = Slots::new(path("part.hetmm"), files.into());
    (folder, slots)
}

fn slot(number: &str) -> Slot {
    Slot::parse(number).expect("a slot")
}

#[test]
fn a_slot_is_selected_between_two_parts_and_after_the_next_start() {
    let (folder, slots) = two_slots();
    let line = Line::with(true, None, slots.clone());
    line.templates.reload().expect("loads");
    line.expect_ends();
    let file = |line: &Line| line.status("file").as_str().map(str::to_owned).expect("a path");
    assert!(file(&line).ends_with("part.hetmm") && line.status("slot").is_null());
    assert_eq!(line.part(), None);
    let done = line.select(slot("2"), None).expect("selects");
    let digest = blake3::hash(&std::fs::read(TEMPLATE).expect("reads")).to_hex().to_string();
    assert_eq!((&done["slot"], &done["blake3"]), (&2.into(), &digest.as_str().into()));
    assert!(file(&line).ends_with("b.hetmm"));
    assert_eq!(
        (line.status("slot"), line.status("identity")["slot"].clone()),
        (2.into(), 2.into())
    );
    assert_eq!(line.part(), None);
    let listed = line.templates.slots_to_json();
    let active: Vec<Value> = (0..2).map(|at| listed["slots"][at]["active"].clone()).collect();
    assert_eq!(active, [Value::from(false), Value::from(true)], "{listed}");
    assert_eq!(listed["slots"][1]["blake3"], digest.as_str());
    assert_eq!(listed["slots"][1]["name"], "b.hetmm");
    let again = Line::with(true, None, slots.clone());
    assert_eq!(again.status("slot"), 2);
    // A selection that is damaged is not guessed at.
    std::fs::write(folder.path().join("part.hetmm.slot"), "hetmm-edge slot 1\n").expect("writes");
    let damaged = Line::with(true, None, slots);
    assert!(file(&damaged).ends_with("part.hetmm") && damaged.status("slot").is_null());
    let why = damaged.status("selection_error");
    assert!(why.as_str().is_some_and(|why| why.contains("is damaged")), "{why}");
    damaged.select(slot("1"), None).expect("selects");
    assert_eq!(
        (damaged.status("slot"), damaged.status("selection_error")),
        (1.into(), Value::Null)
    );
}

#[test]
fn a_slot_that_is_refused_changes_neither_the_template_nor_the_selection() {
    let (folder, slots) = two_slots();
    let line = Line::with(true, None, slots.clone());
    line.select(slot("1"), None).expect("selects");
    let selection = || std::fs::read(folder.path().join("part.hetmm.slot")).expect("reads");
    let (before, in_use) = (selection(), line.current.get().expect("in use").pipeline);
    let digest = blake3::hash(&std::fs::read(TEMPLATE).expect("reads")).to_hex().to_string();
    let expected = DigestPrefix::parse(&digest[..8]).expect("digits");
    let other = DigestPrefix::parse("00000000").expect("digits");
    let refused = |slot: Slot, digest: Option<DigestPrefix>| {
        let why = line.select(slot, digest).expect_err("refused");
        let now = line.current.get().expect("in use").pipeline;
        assert!(Arc::ptr_eq(&now, &in_use) && selection() == before);
        assert_eq!(line.status("slot"), 1);
        assert_eq!(line.part(), None, "parts are inspected as before");
        why.to_string()
    };
    assert!(refused(slot("2"), Some(other)).contains("and 00000000 is expected"));
    assert!(refused(slot("3"), None).contains("the configuration has no slot 3"));
    let template = folder.path().join("b.hetmm");
    std::fs::write(&template, &std::fs::read(TEMPLATE).expect("reads")[..1000]).expect("writes");
    assert!(refused(slot("2"), Some(expected)).contains("b.hetmm"));
    assert!(line.status("refused").as_str().is_some_and(|why| why.contains("b.hetmm")));
    std::fs::copy(TEMPLATE, &template).expect("copies");
    // A folder in the place of the selection: it cannot be kept.
    let path = folder.path().join("part.hetmm.slot");
    std::fs::rename(&path, folder.path().join("aside")).expect("renames");
    std::fs::create_dir_all(path.join("in the way")).expect("makes");
    assert!(line.select(slot("2"), Some(expected)).is_err());
    assert!(Arc::ptr_eq(&line.current.get().expect("in use").pipeline, &in_use));
    std::fs::remove_dir_all(&path).expect("removes");
    line.select(slot("2"), Some(expected)).expect("selects");
    assert_eq!(line.status("slot"), 2);
}
