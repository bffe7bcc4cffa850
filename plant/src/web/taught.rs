//! Answers the requests about what was taught: the journal, teaching, and taking it back.

use super::api::{Answer, now_unix_ms, number};
use super::guard::{App, Who, content};
use super::reply;
use super::users::Role;
use crate::device::Said;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use std::sync::Arc;

/// The time for which an operator may undo an own entry, in seconds: the shift. No session lasts longer.
const SHIFT_S: u64 = 12 * 3600;

/// `GET /api/history`: what was taught. Every entry says whether this user may undo it, with all after it.
pub async fn history(State(app): State<Arc<App>>, Extension(who): Extension<Who>) -> Response {
    let mut history = match app.device.ask(who.name(), "history").await {
        Said::Done(history) => history,
        Said::Refused(why) => return reply::error(StatusCode::CONFLICT, why),
        Said::Silent(why) => return reply::error(StatusCode::BAD_GATEWAY, why),
    };
    let now_unix_s = now_unix_ms() / 1000;
    let whole = history.clone();
    let entries = history.get_mut("journal").and_then(Value::as_array_mut);
    for entry in entries.into_iter().flatten() {
        let number = entry.get("entry").and_then(Value::as_u64);
        let may = number.is_some_and(|number| may_undo(&whole, number, &who, now_unix_s));
        if let Some(fields) = entry.as_object_mut() {
            fields.insert("may_undo".into(), may.into());
        }
    }
    reply::json(StatusCode::OK, &history)
}

/// `POST /api/teach`: teaches a part as good. Only an engineer may force it.
pub async fn teach(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Who>,
    body: Body,
) -> Answer {
    let content = content(body).await?;
    let part = number(&content, "part")?;
    let is_forced = content.get("force") == Some(&Value::Bool(true));
    if is_forced && who.role != Some(Role::Engineer) {
        return Err(reply::refusal(StatusCode::FORBIDDEN, "only an engineer may force this"));
    }
    let force = if is_forced { " force" } else { "" };
    Ok(app.ask(&who, &format!("teach {part}{force}")).await)
}

/// `POST /api/undo`: takes an entry of the journal back, and all after it. An operator may do that with own entries of
/// this shift.
pub async fn undo(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Who>,
    body: Body,
) -> Answer {
    let content = content(body).await?;
    let entry = number(&content, "entry")?;
    if who.role != Some(Role::Engineer) {
        let Said::Done(history) = app.device.ask(who.name(), "history").await else {
            return Err(reply::refusal(StatusCode::BAD_GATEWAY, "the device does not answer"));
        };
        if !may_undo(&history, entry, &who, now_unix_ms() / 1000) {
            let why = "operators undo their own last entries of this shift only";
            return Err(reply::refusal(StatusCode::FORBIDDEN, why));
        }
    }
    Ok(app.ask(&who, &format!("undo {entry}")).await)
}

fn may_undo(history: &Value, first: u64, who: &Who, now_unix_s: u64) -> bool {
    match who.role {
        Some(Role::Engineer) => true,
        Some(Role::Operator) => is_own(history, first, who.name(), now_unix_s),
        Some(Role::Observer) | None => false,
    }
}

/// Returns whether an entry, and all after it, were made in the name of a user and in this shift. An entry of the future
/// was made before the clock was set back, and nobody knows when.
fn is_own(history: &Value, first: u64, name: &str, now_unix_s: u64) -> bool {
    let number = |entry: &Value, key: &str| entry.get(key).and_then(Value::as_u64);
    let entries = history.get("journal").and_then(Value::as_array);
    let mut after = entries
        .into_iter()
        .flatten()
        .filter(|entry| number(entry, "entry").is_none_or(|number| number >= first))
        .peekable();
    let own = format!("{name}, by hetmm-plant");
    after.peek().is_some()
        && after.all(|entry| {
            let age_s = number(entry, "when_unix_s").and_then(|at| now_unix_s.checked_sub(at));
            entry.get("who").and_then(Value::as_str) == Some(&own)
                && age_s.is_some_and(|age_s| age_s <= SHIFT_S)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_operator_undoes_own_entries_of_this_shift_only() {
        let entry = |number: u64, name: &str, at: u64| json!({"entry": number, "who": format!("{name}, by hetmm-plant"), "when_unix_s": at});
        let now = 1_000_000;
        let history = |entries: &[Value]| json!({"journal": entries});
        let (old, young) = (now - SHIFT_S - 1, now - SHIFT_S);
        let mixed = [entry(1, "anna", young), entry(2, "bert", young), entry(3, "anna", now)];
        for (first, name, is_allowed) in [
            (3, "anna", true),
            (2, "anna", false),
            (2, "bert", false),
            (1, "anna", false),
            (4, "anna", false),
            (3, "an", false),
        ] {
            assert_eq!(is_own(&history(&mixed), first, name, now), is_allowed, "{first} {name}");
        }
        for (at, is_allowed) in [(old, false), (young, true), (now, true), (now + 1, false)] {
            let entries = [entry(1, "anna", at), entry(2, "anna", now)];
            assert_eq!(is_own(&history(&entries), 1, "anna", now), is_allowed, "{at}");
        }
        let without_number = [entry(2, "anna", now), json!({"who": "bert, by hetmm-plant"})];
        assert!(!is_own(&history(&without_number), 2, "anna", now), "it may be a later one");
        assert!(!is_own(&json!({}), 1, "anna", now));
    }
}
