//! Teaches a false reject as good on the device: its archived picture goes into the template.
//!
//! It is the same insertion as on the workstation. It runs on one thread, so that the production line keeps the others.
//! The changed template is checked and put in use like any new one. Parts that are inspected meanwhile are inspected
//! with the old one. The wall clock is read only for the journal.

use super::archive::Archive;
use super::evidence::Event;
use super::slot::Slot;
use super::slots::Selected;
use super::templates::Templates;
use super::tracker::PartId;
use crate::backbone::ExtractorOptions;
use crate::containment::Containment;
use crate::error::{Error, Result};
use crate::scoring::Verdict;
use crate::template::Template;
use crate::update::{self, Inserted, Options, Outcome, journal};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Inserts the archived picture of `part` into the template and puts the result in use. `who` goes into the journal.
/// After an error, the template in use stays.
///
/// # Errors
/// Returns `Kind::Usage` if there is no archive. Returns `Kind::Unconfirmed` if the picture looks like a defect and
/// `force` is not set. Returns `Kind::Image` if the part has no picture. Otherwise it returns the errors of
/// [`update::insert`].
pub fn teach(
    part: PartId,
    force: bool,
    who: &str,
    archive: Option<&Archive>,
    templates: &Templates,
) -> Result<Value> {
    let archive = archive.ok_or_else(|| {
        Error::usage("pictures of rejected parts are not archived, so none can be taught")
            .advise("give archive.folder in the configuration")
    })?;
    let _changing = templates.lock_changes();
    let Selected { file, slot } = templates.selected();
    let picture = archive.picture_of(part)?;
    refuse_other_slot(part, archive.slot_of(&picture)?, slot)?;
    let options = Options {
        who: who.to_owned(),
        when_unix_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
        novelty: update::NOVELTY,
        capacity: None,
        force,
        skip_unreadable: false,
        dry_run: false,
        any_shape: templates.any_shape(),
    };
    let (file, backbone) = (file.as_path(), templates.backbone());
    let pictures = [update::NewPicture::File(&picture)];
    let insert = |file: &Path| {
        let extractor = ExtractorOptions::default();
        let inserted = update::insert(file, backbone, &extractor, &pictures, &options)?;
        learned(&inserted)?;
        Ok(inserted)
    };
    let inserted = contained(|| templates.trust().change(file, insert))?;
    let (outcome, entry) = learned(&inserted)?;
    if let Err(why) = templates.renew() {
        // If this machine refuses the template, that must not show only at its next start.
        let restored = update::undo(file, Some(entry)).is_ok();
        let state = if restored { "the template is as before" } else { "it could not be undone" };
        return Err(why.within(format!("the taught template is refused ({state})")));
    }
    templates.trust().tidy(file);
    templates.tell(Event::Teach { part: part.0, entry, who: who.to_owned(), forced: force });
    let name = picture.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let warning = outcome.warning.as_deref();
    let why = warning.map_or_else(String::new, |warning| format!("; {warning}"));
    log::warn!("part {} was taught as good (entry {entry}, {who}){why}", part.0);
    Ok(json!({
        "done": format!("part {} is taught as good; undo {entry} reverses it", part.0),
        "picture": name, "entry": entry, "score_before": outcome.score_before,
        "score_after": outcome.score_after, "threshold": inserted.threshold,
        "verdict": outcome.verdict, "passes": outcome.verdict == Verdict::Ok, "warning": warning,
    }))
}

/// Refuses to teach a part that was compared with the template of another slot, because it is another product.
fn refuse_other_slot(part: PartId, of_part: Option<Slot>, selected: Option<Slot>) -> Result<()> {
    if of_part == selected {
        return Ok(());
    }
    let named = |slot: Option<Slot>| {
        slot.map_or_else(|| "template.file".to_owned(), |slot| format!("slot {slot}"))
    };
    let (inspected, selected) = (named(of_part), named(selected));
    let what = format!("part {} was compared with {inspected}, and {selected} is selected", part.0);
    Err(Error::usage(what).advise("select that slot first, and teach the part then"))
}

/// Returns what was learned from the one picture that was inserted, and the number of its entry.
fn learned(inserted: &Inserted) -> Result<(&Outcome, u32)> {
    let Some(outcome) = inserted.outcomes.first() else {
        return Err(Error::usage("the template has this picture already"));
    };
    if let Some(entry) = outcome.id {
        return Ok((outcome, entry));
    }
    let nothing = "nothing in the picture is new to the template".to_owned();
    Err(match outcome.still(inserted.threshold) {
        None => Error::usage(nothing),
        Some(still) => {
            Error::usage(format!("{nothing}, and it is {still}")).advise(Outcome::NOT_LEARNED)
        }
    })
}

/// Does `work` on a thread of its own. A panic of the feature extractor becomes an error.
fn contained<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let containment = Containment::default();
    let pool = containment.pool(1).map_err(|e| e.within("nothing to teach with"))?;
    let done = pool.install(|| containment.run(|| Ok(work())));
    done.map_err(|panic| panic.within("the feature extractor that teaches"))?
}

/// Undoes entry `id` of the template's journal, or the last one, and puts the result in use. `who` asked for it.
///
/// # Errors
/// Returns the same errors as [`update::undo`].
pub fn undo(id: Option<u32>, who: &str, templates: &Templates) -> Result<Value> {
    let _changing = templates.lock_changes();
    let file = templates.selected().file;
    let undone = templates.trust().change(&file, |file| update::undo(file, id))?;
    templates.renew()?;
    templates.trust().tidy(&file);
    let entries: Vec<u32> = undone.entries.iter().map(|entry| entry.id).collect();
    log::warn!("entries {entries:?} of the template's journal were undone ({who})");
    templates.tell(Event::Undo { entries: entries.clone(), who: who.to_owned() });
    Ok(json!({
        "done": "the template is as before", "entries": entries,
        "threshold_before": undone.thresholds[0], "threshold": undone.thresholds[1],
        "rules_changed": undone.rules_changed,
    }))
}

/// Returns the journal of the template, without its pictures.
///
/// # Errors
/// Returns an error if the template cannot be read.
pub fn history(templates: &Templates) -> Result<Value> {
    let template = Template::open(&templates.selected().file)?;
    let entries = journal::read(&template)?;
    let entries = entries.iter().map(|(entry, _)| {
        json!({"entry": entry.id, "when_unix_s": entry.when_unix_s, "who": entry.who, "picture": entry.name,
               "score_before": entry.score_before, "score_after": entry.score_after,
               "forced": entry.forced, "prototypes": entry.added})
    });
    Ok(json!({"journal": entries.collect::<Vec<_>>()}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containment::is_contained;
    use rayon::prelude::*;

    /// The production line goes on, because teaching is no part of it.
    #[test]
    fn a_panic_while_a_part_is_taught_is_an_answer_and_not_the_end_of_the_line() {
        assert!(contained(|| Ok(is_contained())).expect("works"));
        let panics = || -> Result<()> {
            (0..8).into_par_iter().for_each(|i| assert!(i != 7, "on purpose"));
            Ok(())
        };
        let why = contained(panics).expect_err("panics").to_string();
        assert!(
            why.contains("the feature extractor that teaches: it panicked: on purpose"),
            "{why}"
        );
        assert!(!is_contained());
    }
}
