//! Checks a template that is not in use, compares it with the one in use, and copies an uploaded one into a slot.

use super::{Templates, Told, archived, expect_digest};
use crate::error::Result;
use crate::files;
use crate::inspection::Pipeline;
use crate::line::archive::Archive;
use crate::line::inbox::Inbox;
use crate::line::proof::{self, Proven, Recipe};
use crate::line::slot::{Candidate, DigestPrefix, Slot};
use crate::line::slots::Selected;
use crate::line::template_identity::TemplateIdentity;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::sync::PoisonError;

impl Templates {
    /// Checks a template as if it were to be used: its signature, every byte, and its golden probes on this machine.
    /// Returns what is in it beside what is in the one in use, and how it would decide on archived pictures. Nothing
    /// changes. It computes on one thread, so that the production line keeps the others. With `review_passes`, the verdict
    /// *review* lets a part pass.
    ///
    /// # Errors
    /// Returns an error, which names what is wrong, if the template would be refused.
    pub fn prove(
        &self,
        candidate: Candidate,
        archive: Option<&Archive>,
        review_passes: bool,
    ) -> Result<Value> {
        // One at a time, because each has a template in memory.
        let _proving = self.proving.lock().unwrap_or_else(PoisonError::into_inner);
        let changing = self.lock_changes();
        let proven = self.try_out(candidate)?;
        drop(changing);
        let in_use = self.current.get();
        let pictures = archive.map(|archive| archive.judged(self.selected().slot, archived::MOST));
        let compare = |pictures: Vec<_>| {
            let compared = archived::compare(&pictures, &proven.pipeline, review_passes);
            compared.unwrap_or_else(|why| json!({"error": why.to_string()}))
        };
        Ok(json!({
            "candidate": contents(&proven.pipeline, &proven.identity),
            "in_use": in_use.map(|in_use| contents(&in_use.pipeline, &in_use.identity)),
            "archived": pictures.map(compare),
        }))
    }

    /// Checks the uploaded template as [`Templates::prove`] does, copies it into `slot` with its signature, and changes to
    /// it as [`Templates::select`] does. `digest` has to be that of the uploaded template. What was in the slot is gone.
    ///
    /// # Errors
    /// Returns an error if there is no such slot or no uploaded template, if anything is wrong with that, or if it cannot
    /// be copied. Slot and selection then stay as they were. If only the change to it fails, the slot has the new
    /// template, and the one in use stays in use.
    pub fn install(&self, slot: Slot, digest: DigestPrefix, who: &str) -> Result<Value> {
        let _changing = self.lock_changes();
        let target = self.slots.get(slot)?;
        let inbox = self.slots.inbox()?;
        let proven = self.try_out(Candidate::Upload)?;
        let upload = inbox.template();
        expect_digest(&proven, Some(digest)).map_err(|e| e.within(upload.display()))?;
        self.copy_into(&target.file, &upload, &proven)?;
        let blake3 = proven.identity.blake3.clone();
        drop(proven);
        let number = slot.number();
        log::warn!("the uploaded template {blake3} is in slot {number} ({who})");
        self.reporter.tell(Told::Install { slot: number, blake3, who: who.to_owned() });
        if let Err(why) = inbox.empty() {
            log::warn!("the inbox keeps what was installed: {why}");
        }
        self.change_to(slot, Some(digest), who)
    }

    /// Loads a template on one thread and checks it.
    fn try_out(&self, candidate: Candidate) -> Result<Proven> {
        let wanted = match candidate {
            Candidate::Slot(slot) => self.slots.get(slot)?,
            Candidate::Upload => Selected { file: self.slots.inbox()?.uploaded()?, slot: None },
        };
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let by_usual = state.fallen_back;
        drop(state);
        let recipe = Recipe { threads: 1, ..self.recipe(wanted, by_usual) };
        match candidate {
            Candidate::Slot(_) => proof::load(&recipe),
            Candidate::Upload => {
                proof::load_foreign(&recipe, Inbox::MOST_BYTES).inspect_err(|why| {
                    log::warn!("the uploaded template is refused: {why}");
                    self.reporter.tell(Told::TemplateRefused { why: why.what() });
                })
            }
        }
    }

    /// Puts the bytes that were checked in place of a slot's file. At every moment the file has a signature that fits, if
    /// the upload has one.
    fn copy_into(&self, file: &Path, upload: &Path, proven: &Proven) -> Result<()> {
        let lock = files::lock_if_there(file)?;
        let bytes = proven.pipeline.template().bytes();
        self.trust().carry_over(upload, file, bytes)?;
        let failed = |e| crate::error::Error::io(file, "cannot be written", &e);
        let mut copy = files::temporary(files::folder_of(file)).map_err(failed)?;
        copy.write_all(bytes).map_err(failed)?;
        files::put_in_place_if(copy, file, || lock.as_ref().map_or(Ok(()), files::Lock::check))?;
        self.trust().settle(file, &proven.identity.blake3)
    }
}

/// Returns what people compare before they change from one template to another.
fn contents(pipeline: &Pipeline, identity: &TemplateIdentity) -> Value {
    let template = pipeline.template();
    let header = template.header();
    let (built, inserted) = template.pictures();
    let size = header.picture_size();
    json!({
        "identity": identity,
        "bytes": template.size(),
        "threshold": header.calibration.threshold,
        "false_reject": template.decision().map(|decision| decision.false_reject),
        "rules": template.settings().rules.is_some(),
        "pictures": built.len(),
        "inserted": inserted.len(),
        "picture_size": [size.width, size.height],
        "smallest_defect_px": header.smallest_defect_px(),
        "mm_per_pixel": header.build.mm_per_pixel(),
        "probes": header.probes.len(),
        "backbone": header.backbone.to_string(),
        "made_by": header.build.version,
        "engine": pipeline.extractor(),
    })
}
