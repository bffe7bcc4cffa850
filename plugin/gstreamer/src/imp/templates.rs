//! Starting, and taking over templates.

use super::{CAT, Hetmm, Running, lock};
use crate::settings::Settings;
use crate::swap::{Outcome, Stamp, Worker};
use crate::{latency, message, report};
use gst::prelude::*;
use gst::subclass::prelude::*;
use hetmm::{Error, Inspector};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

impl Hetmm {
    /// Makes the inspector and its helpers.
    pub(super) fn begin(&self, settings: &Settings) -> hetmm::Result<Running> {
        let file = settings.template.as_ref().ok_or_else(|| {
            Error::usage("no template is set")
                .advise("set the property template to a file that `hetmm build` has made")
        })?;
        let (options, path) = (settings.options()?, PathBuf::from(file));
        let stamp = Stamp::of(&path);
        let inspector = Arc::new(Inspector::open(&path, &options)?);
        let latency = match u64::try_from(settings.processing_latency_ns) {
            Ok(ns) => Duration::from_nanos(ns),
            Err(_) => latency::measured(&inspector)?,
        };
        gst::info!(CAT, imp = self, "{file}: {}, {latency:?} of latency", inspector.extractor());
        let element = self.obj().downgrade();
        let tell = move |outcome: Outcome| {
            if let Some(element) = element.upgrade() {
                element.imp().swapped(outcome);
            }
        };
        let worker = Worker::start(inspector.clone(), path, stamp, settings.watch, tell)?;
        Ok(Running { inspector, worker: Arc::new(worker), latency })
    }

    pub(super) fn running(&self) -> Option<Running> {
        lock(&self.running).clone()
    }

    /// Takes over the template that the property names now.
    pub(super) fn template_was_set(&self, running: &Running) {
        let file = lock(&self.settings).template.clone();
        match file {
            Some(file) => running.worker.swap(file.into()),
            None => {
                let text = "the property template is empty, and the template in use stays\n  -> set it to a file that `hetmm build` has made";
                gst::element_imp_warning!(self, gst::ResourceError::Settings, ("{text}"));
            }
        }
    }

    /// Takes over the file of the property again. Returns whether it is in use.
    pub(super) fn reload(&self) -> bool {
        let file = lock(&self.settings).template.clone();
        match (self.running(), file) {
            (Some(running), Some(file)) => running.worker.swap_now(file.into()),
            _ => false,
        }
    }

    /// Hears what became of a template. After a refusal the property names the file in use again.
    pub(super) fn swapped(&self, outcome: Outcome) {
        let generation = self.running().map_or(0, |running| running.inspector.generation());
        let Outcome { file, before, result } = outcome;
        let file = file.to_string_lossy();
        match result {
            Ok(generation) => self.tell_template(&file, true, generation, "taken over"),
            Err(error) => {
                self.name_file_in_use(&file, &before);
                let text = report::words(&error);
                self.tell_template(&file, false, generation, &text);
                let text =
                    format!("the template was refused, and the one before stays in use: {text}");
                gst::element_imp_warning!(self, gst::ResourceError::Read, ("{text}"));
            }
        }
    }

    fn name_file_in_use(&self, refused: &str, in_use: &Path) {
        let is_changed = {
            let mut settings = lock(&self.settings);
            let in_use = in_use.to_string_lossy();
            let is_changed = settings.template.as_deref() == Some(refused) && in_use != refused;
            if is_changed {
                settings.template = Some(in_use.into_owned());
            }
            is_changed
        };
        if is_changed {
            self.obj().notify("template");
        }
    }

    pub(super) fn tell_template(&self, file: &str, in_use: bool, generation: u64, what: &str) {
        message::post(&self.obj(), message::template(file, in_use, generation, what));
    }

    pub(super) fn stats(&self) -> gst::Structure {
        let generation = self.running().map_or(0, |running| running.inspector.generation());
        lock(&self.tally).structure(generation)
    }
}
