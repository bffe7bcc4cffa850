//! Holds the template in use, and replaces it while parts keep coming.
//!
//! A new template is checked ([`super::proof`]) before it is used for a part. If anything is wrong with it, the old one
//! stays in use. A feature extractor that fails while parts come is replaced in the same way, under the template that
//! is in use. Nothing is inspected between the failure and the check of the golden probes.
//!
//! The configuration may name several templates, each in a slot. One of them is selected. Everything here is about the
//! file of that one.

mod archived;
mod candidate;

use super::current::{Current, InUse};
use super::evidence::Event as Told;
use super::messages::Message;
use super::outbox::Outbox;
use super::proof::{self, Proven, Recipe};
use super::records::Reporter;
use super::slot::{DigestPrefix, Slot};
use super::slots::{Selected, Slots};
use super::tracker::{Event, Fault};
use super::trust::Trust;
use crate::backbone::{ExtractorOptions, INT8, TRACT};
use crate::error::{Error, Result};
use crate::template::Template;
use crate::template::signature::Signature;
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The time between two looks at the file.
const LOOK: Duration = Duration::from_millis(250);

/// Distinguishes one state of a file, and of its signature, from another.
type Mark = (FileMark, Option<FileMark>);
type FileMark = (u64, u64, i64, i64);

/// Loads templates and puts them in use.
pub struct Templates {
    /// What a pipeline is made from. Its file is replaced with the selected one.
    recipe: Recipe,
    slots: Slots,
    /// What is selected. It changes only while the state is locked.
    selected: Mutex<Selected>,
    /// Locked while somebody changes the selected file, or which file is selected.
    changing: Mutex<()>,
    /// Locked while somebody compares a template with the one in use.
    proving: Mutex<()>,
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
    /// The reason why the selection could not be read at the start, until a slot is selected.
    selection_error: Option<String>,
    /// Whether the usual feature extractor has replaced the configured one.
    fallen_back: bool,
}

impl Templates {
    /// Makes a loader for a recipe and the selected one of `slots`. If the selection cannot be read, it says so and uses
    /// the file that is there for this case. With `fallback`, the usual feature extractor replaces one that fails.
    /// `reporter` is told of what is in use.
    pub fn new(
        recipe: Recipe,
        slots: Slots,
        fallback: bool,
        current: Arc<Current>,
        hub: Outbox,
        reporter: Reporter,
    ) -> Self {
        let otherwise = slots.unselected();
        let (selected, selection_error) = match slots.read() {
            Ok(selected) => (selected.unwrap_or(otherwise), None),
            Err(why) => {
                log::error!("{why}; {} is used", otherwise.file.display());
                (otherwise, Some(why.to_string()))
            }
        };
        Templates {
            recipe,
            slots,
            selected: Mutex::new(selected),
            changing: Mutex::new(()),
            proving: Mutex::new(()),
            fallback,
            current,
            hub,
            reporter,
            fallbacks: AtomicU64::new(0),
            state: Mutex::new(State { selection_error, ..State::default() }),
        }
    }

    /// Returns the selected template's file with its slot.
    pub fn selected(&self) -> Selected {
        self.selected.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the file of the backbone if it is not the bundled one.
    pub fn backbone(&self) -> Option<&Path> {
        self.recipe.backbone.as_deref()
    }

    /// Keeps others from changing the selected file, and from selecting another one, until the result is dropped.
    pub fn lock_changes(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
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
        let selected = self.selected();
        state.tried = mark(&selected.file);
        let has_fallen_back = state.fallen_back && !by_configured;
        match proof::load(&self.recipe(selected, has_fallen_back)) {
            Ok(proven) => {
                state.fallen_back = has_fallen_back;
                Ok(self.use_it(proven, &mut state))
            }
            Err(why) => Err(self.refuse(why, &mut state)),
        }
    }

    /// Selects a slot for `who`: checks its template as [`Templates::renew`] does, keeps the selection, and changes to
    /// the template between two parts. With `expected`, the template has to have this digest.
    ///
    /// # Errors
    /// Returns an error if there is no such slot, if anything is wrong with its template, or if the selection cannot be
    /// kept. The template in use and the selection then stay as they were.
    pub fn select(&self, slot: Slot, expected: Option<DigestPrefix>, who: &str) -> Result<Value> {
        let _changing = self.lock_changes();
        self.change_to(slot, expected, who)
    }

    /// Does the rest of [`Templates::select`] while others are kept from changing the selection.
    fn change_to(&self, slot: Slot, expected: Option<DigestPrefix>, who: &str) -> Result<Value> {
        let wanted = self.slots.get(slot)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let tried = mark(&wanted.file);
        let proven = match self.prove_for_selection(&wanted, expected, state.fallen_back) {
            Ok(proven) => proven,
            Err(why) => return Err(self.refuse(why, &mut state)),
        };
        *self.selected.lock().unwrap_or_else(PoisonError::into_inner) = wanted;
        (state.tried, state.selection_error) = (tried, None);
        let (slot, blake3) = (slot.number(), proven.identity.blake3.clone());
        log::warn!("slot {slot} is selected ({who})");
        self.reporter.tell(Told::Select { slot, blake3: blake3.clone(), who: who.to_owned() });
        let done = self.use_it(proven, &mut state);
        Ok(json!({"done": done, "slot": slot, "blake3": blake3}))
    }

    /// Checks the template of a slot, and then keeps that the slot is selected.
    fn prove_for_selection(
        &self,
        wanted: &Selected,
        expected: Option<DigestPrefix>,
        by_usual: bool,
    ) -> Result<Proven> {
        let proven = proof::load(&self.recipe(wanted.clone(), by_usual))?;
        expect_digest(&proven, expected).map_err(|e| e.within(wanted.file.display()))?;
        wanted.slot.map_or(Ok(()), |slot| self.slots.write(slot))?;
        Ok(proven)
    }

    /// Returns the JSON of all slots. It reads every file, which takes a while.
    pub fn slots_to_json(&self) -> Value {
        let selected = self.selected().slot;
        let slots = self.slots.all().map(|Selected { file, slot }| {
            let (name, blake3, error) = match proof::name_and_digest(&file, &self.recipe.trust) {
                Ok((name, blake3)) => (Some(name), Some(blake3), None),
                Err(why) => (None, None, Some(why.to_string())),
            };
            json!({
                "slot": slot.map(Slot::number), "file": file.display().to_string(), "name": name,
                "blake3": blake3, "active": slot == selected, "error": error,
            })
        });
        json!({"slots": slots.collect::<Vec<_>>()})
    }

    /// Returns what tells the chain of records.
    pub fn reporter(&self) -> &Reporter {
        &self.reporter
    }

    /// Notes that a template is refused, and returns why.
    fn refuse(&self, why: Error, state: &mut State) -> Error {
        let kept = if self.current.get().is_some() { "; the old one stays" } else { "" };
        log::error!("the template is refused: {why}{kept}");
        self.reporter.tell(Told::TemplateRefused { why: why.what() });
        state.refused = Some(why.to_string());
        why
    }

    /// Returns what a pipeline with this template is made from. With `by_usual`, the usual feature extractor is used.
    fn recipe(&self, selected: Selected, by_usual: bool) -> Recipe {
        let Selected { file, slot } = selected;
        let extractors = match by_usual {
            true => vec![ExtractorOptions::default()],
            false => self.recipe.extractors.clone(),
        };
        Recipe { file, slot, extractors, ..self.recipe.clone() }
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
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let (seen, tried) = (mark(&self.selected().file), state.tried);
            drop(state);
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
        let recipe = self.recipe(self.selected(), self.fallback);
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

    fn use_it(&self, proven: Proven, state: &mut State) -> String {
        let what = proven.describe(&self.selected().file);
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
        let (current, selected) = (self.current.get(), self.selected());
        let (failures, last_failure) = self.current.failures();
        // While a template is loaded, nobody waits for it.
        let state = self.state.try_lock().ok();
        let changing = state.is_none();
        let state = state.map(|state| (state.refused.clone(), state.selection_error.clone()));
        let (refused, selection_error) = state.unwrap_or_default();
        let template = current.as_ref().map(|in_use| in_use.pipeline.template());
        let identity = current.as_ref().map(|in_use| &*in_use.identity);
        json!({
            "file": selected.file.display().to_string(),
            "slot": selected.slot.map(Slot::number),
            "selection_error": selection_error,
            "threshold": template.map(|t| t.header().calibration.threshold),
            "backbone": template.map(|t| t.header().backbone.to_string()),
            "zones": template.map(|template| zones(template)),
            "changing": changing,
            "refused": refused,
            "identity": identity,
            "engine": current.as_ref().map(|in_use| in_use.pipeline.extractor()),
            "engine_failures": failures,
            "last_engine_failure": last_failure,
            "fallbacks": self.fallbacks.load(Ordering::SeqCst),
        })
    }
}

/// Returns the names of the zones of a template, in their order.
fn zones(template: &Template) -> Vec<&str> {
    let rules = template.settings().rules.as_ref();
    rules.into_iter().flat_map(|rules| rules.zones.iter()).map(|zone| &*zone.name).collect()
}

/// Refuses a template that has another digest than the one that is expected.
fn expect_digest(proven: &Proven, expected: Option<DigestPrefix>) -> Result<()> {
    let found = &proven.identity.blake3;
    match expected.filter(|expected| !expected.is_of(found)) {
        None => Ok(()),
        Some(expected) => {
            let what = format!("the template has the digest {found}, and {expected} is expected");
            Err(Error::template(what)
                .advise("look at hetmm-edge slots, and copy the template that is meant"))
        }
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
mod tests;
