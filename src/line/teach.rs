//! A false reject is taught as good, on the spot: its archived picture goes into the template.
//!
//! The same insertion as on the workstation, on one thread, so that the line keeps the others. The
//! changed template is proven and put in use like any new one; parts that are inspected meanwhile are
//! inspected with the old one. The clock of the wall is read for the journal only.

use super::archive::Archive;
use super::engine::PartId;
use super::templates::Templates;
use crate::backbone::Engine;
use crate::error::{Error, Kind, Result};
use crate::template::Template;
use crate::update::{self, Options, journal};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// Inserts the archived picture of `part` into the template and puts the result in use. `who` goes
/// into the journal.
///
/// # Errors
/// [`Kind::Usage`] where there is no archive, or where the picture looks like a defect and `force` is
/// not set; [`Kind::Image`] where the part has no picture; otherwise as [`update::insert`]. The template in
/// use stays.
pub fn teach(
    part: PartId,
    force: bool,
    who: &str,
    archive: Option<&Archive>,
    templates: &Templates,
) -> Result<Value> {
    let archive = archive.ok_or_else(|| {
        Error::usage("pictures of rejected parts are not kept, so none can be taught")
            .advise("give archive.folder in the configuration")
    })?;
    let picture = archive.picture_of(part)?;
    let options = Options {
        who: who.to_owned(),
        when_unix_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
        novelty: update::NOVELTY,
        capacity: None,
        force,
        dry_run: false,
    };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .map_err(|e| Error::new(Kind::Io, format!("no thread to teach with: {e}")))?;
    let (file, backbone) = templates.files();
    let inserted = pool.install(|| {
        update::insert(file, backbone, &Engine::default(), std::slice::from_ref(&picture), &options)
    })?;
    let Some(outcome) = inserted.outcomes.first() else {
        return Err(Error::usage("the template has this picture already"));
    };
    let Some(entry) = outcome.id else {
        return Err(Error::usage("nothing in the picture is new to the template"));
    };
    if let Err(why) = templates.renew() {
        // What this machine refuses must not wait for its next start.
        let restored = update::undo(file, Some(entry)).is_ok();
        let state = if restored { "the template is as before" } else { "it could not be undone" };
        return Err(why.within(format!("the taught template is refused ({state})")));
    }
    let name = picture.file_name().unwrap_or_default().to_string_lossy().into_owned();
    log::warn!("part {} was taught as good (entry {entry}, {who})", part.0);
    Ok(json!({
        "done": format!("part {} is taught as good; undo {entry} takes it back", part.0),
        "picture": name, "entry": entry, "score_before": outcome.score_before,
        "score_after": outcome.score_after, "threshold": inserted.threshold,
        "passes": outcome.score_after <= inserted.threshold,
    }))
}

/// Takes entry `id` of the template's journal back, or the last one, and puts the result in use.
///
/// # Errors
/// As [`update::undo`].
pub fn undo(id: Option<u32>, templates: &Templates) -> Result<Value> {
    let undone = update::undo(templates.files().0, id)?;
    templates.renew()?;
    let entries: Vec<u32> = undone.entries.iter().map(|entry| entry.id).collect();
    log::warn!("entries {entries:?} of the template's journal were undone");
    Ok(json!({
        "done": "the template is as before", "entries": entries,
        "threshold_before": undone.thresholds[0], "threshold": undone.thresholds[1],
    }))
}

/// The journal of the template, without its pictures.
///
/// # Errors
/// Where the template cannot be read.
pub fn history(templates: &Templates) -> Result<Value> {
    let template = Template::open(templates.files().0)?;
    let entries = journal::read(&template)?;
    let entries = entries.iter().map(|(entry, _)| {
        json!({"entry": entry.id, "when_unix_s": entry.when_unix_s, "who": entry.who, "picture": entry.name,
               "score_before": entry.score_before, "score_after": entry.score_after,
               "forced": entry.forced, "prototypes": entry.added})
    });
    Ok(json!({"journal": entries.collect::<Vec<_>>()}))
}
