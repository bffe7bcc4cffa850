//! What an insertion and an undo have done, as JSON.

use hetmm::update::{Inserted, Undone};
use serde_json::{Value, json};

/// The keys of `hetmm insert --json`, as far as the library knows them.
pub fn inserted(done: &Inserted) -> Value {
    let outcomes = done.outcomes.iter().map(|o| {
        json!({
            "image": o.file.display().to_string(), "entry": o.id, "verdict": o.verdict,
            "score_before": o.score_before, "score_after": o.score_after,
            "prototypes": o.added, "warning": o.warning,
        })
    });
    let known: Vec<String> = done.known.iter().map(|file| file.display().to_string()).collect();
    json!({
        "images": outcomes.collect::<Vec<_>>(), "known": known,
        "sheets_before": done.sheets[0], "sheets": done.sheets[1],
        "bytes_before": done.bytes[0], "bytes": done.bytes[1], "threshold": done.threshold,
        "inserted_since_threshold": done.since_threshold,
    })
}

/// The entries that are gone, and the threshold before and after.
pub fn undone(done: &Undone) -> Value {
    let entries: Vec<u32> = done.entries.iter().map(|entry| entry.id).collect();
    json!({
        "entries": entries, "threshold_before": done.thresholds[0],
        "threshold": done.thresholds[1], "rules_changed": done.rules_changed,
    })
}
