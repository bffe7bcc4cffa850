//! This module restores a template to its state before a picture was inserted.

use super::Change;
use super::journal::{self, Entry};
use super::prototypes::Prototypes;
use crate::error::{Error, Result};
use crate::files;
use crate::template::Template;
use serde_json::{Value, json};
use std::path::Path;

/// The result of an undo.
#[derive(Debug, Clone)]
pub struct Undone {
    /// The entries that were removed, the newest first.
    pub entries: Vec<Entry>,
    /// The threshold before and after. A threshold that was set since the insertion is also undone.
    pub thresholds: [f32; 2],
    /// Whether the region rules changed. Rules that were set since the insertion are also undone.
    pub rules_changed: bool,
    /// Whether the file's BLAKE3 was compared with the one from before. That digest is not known
    /// where the picture was inserted together with others that stay.
    pub proven: bool,
}

impl Undone {
    /// Returns the entries that were removed, and the threshold before and after.
    pub fn to_json(&self) -> Value {
        let entries: Vec<u32> = self.entries.iter().map(|entry| entry.id).collect();
        json!({
            "entries": entries, "threshold_before": self.thresholds[0],
            "threshold": self.thresholds[1], "rules_changed": self.rules_changed,
        })
    }
}

/// Restores the template at `path` to its state before entry `id` of its journal, or before the
/// last entry. Everything that was inserted after that entry is also undone.
///
/// # Errors
/// - [`crate::error::Kind::Usage`] where there is nothing to undo or no such entry.
/// - [`crate::error::Kind::Template`] where the bytes from before cannot be restored. Nothing is
///   changed then.
/// - [`crate::error::Kind::Io`] where another process changes the template.
pub fn undo(path: &Path, id: Option<u32>) -> Result<Undone> {
    let lock = files::lock(path)?;
    let template = Template::open(path)?;
    let journal = journal::read(&template).map_err(|e| e.within(path.display()))?;
    let Some((last, _)) = journal.last() else {
        return Err(Error::usage(format!("{}: nothing was inserted", path.display()))
            .advise("there is nothing to undo"));
    };
    let id = id.unwrap_or(last.id);
    let Some(first) = journal.iter().position(|(entry, _)| entry.id == id) else {
        return Err(Error::usage(format!("{}: the journal has no entry {id}", path.display()))
            .advise(format!("it has 1 to {}: hetmm history shows them", last.id)));
    };
    let mut layers: Vec<Prototypes> = (0..template.layers())
        .map(|layer| Prototypes::read(&template, layer))
        .collect::<Result<_>>()?;
    let (kept, undone) = journal.split_at(first);
    let mut sheets: Vec<usize> = layers.iter().map(|layer| layer.shape().sheets).collect();
    for (entry, _) in undone.iter().rev() {
        for ((layer, before), sheets) in layers.iter_mut().zip(&entry.layers).zip(&mut sheets) {
            if (before.sheets as usize) > *sheets {
                return Err(Error::template("the journal's entries do not follow each other"));
            }
            for replaced in before.replaced.iter().rev() {
                layer.set(replaced.pixel as usize, replaced.sheet as usize, &replaced.prototype());
            }
            *sheets = before.sheets as usize;
        }
    }
    layers.iter_mut().zip(sheets).for_each(|(layer, sheets)| layer.resize(sheets));
    let entry = &journal[first].0;
    let (mut header, settings) = entry.header_before.clone().into_parts();
    header.build.images = template.header().build.images[..entry.images_before as usize].to_vec();
    let thresholds = [template.header().calibration.threshold, header.calibration.threshold];
    let zones = entry.zones_before.as_slice();
    let rules_changed = settings.rules != template.settings().rules || zones != template.zones();
    let change = Change {
        template: &template,
        header,
        settings,
        zones,
        layers: &layers,
        journal: kept.iter().map(|(_, bytes)| *bytes).collect(),
    };
    let draft = change.draft(path)?;
    draft.finish_over(Some(&lock), entry.file_before).map_err(|e| e.within(path.display()))?;
    let entries = undone.iter().rev().map(|(entry, _)| entry.clone()).collect();
    Ok(Undone {
        entries,
        thresholds,
        rules_changed,
        proven: journal[first].0.file_before.is_some(),
    })
}
