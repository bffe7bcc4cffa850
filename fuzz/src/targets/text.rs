//! Texts from outside: `line.toml`, requests, signatures and keys, recordings.

use crate::seeds::scratch;
use hetmm::camera::read_recording;
use hetmm::line::config::LineConfig;
use hetmm::line::evidence::{device_key, parse_utc};
use hetmm::line::request::{Petition, Request};
use hetmm::template::signature::{Signature, TrustedKey};
use std::path::PathBuf;
use std::sync::OnceLock;

/// A configuration that is accepted is shown and read again, and means the same.
pub fn config(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(config) = LineConfig::parse(text, "line.toml") else { return };
    let shown = config.to_toml().expect("what was read can be shown");
    let again = LineConfig::parse(&shown, "shown").expect("what was shown can be read");
    assert_eq!(again.to_toml().expect("shows"), shown);
}

pub fn request(input: &[u8]) {
    let line = String::from_utf8_lossy(input);
    let Some(petition) = Petition::parse(&line) else { return };
    assert!(Request::VERBS.contains(&petition.request.verb()));
    if let Some(person) = &petition.person {
        assert!((1..=64).contains(&person.len()) && !person.contains(['"', '\n']), "{person:?}");
    }
    let written = match petition.request {
        Request::Select(slot, None) => format!("select {slot}"),
        Request::Select(slot, Some(digest)) => format!("select {slot} {digest}"),
        Request::Teach(part, force) => {
            format!("teach {}{}", part.0, if force { " force" } else { "" })
        }
        Request::Undo(Some(entry)) => format!("undo {entry}"),
        _ => return,
    };
    assert_eq!(Request::parse(&written), Some(petition.request), "{written}");
}

pub fn signature(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let first = text.lines().next().unwrap_or_default();
    let keys: Vec<TrustedKey> = TrustedKey::parse(first).into_iter().collect();
    if let Ok(signature) = Signature::parse(text) {
        assert!(!signature.key_id().is_empty());
        assert!(signature.check(&mut &b"the bytes of a template"[..], &keys).is_err());
    }
    if let Some(key) = device_key::PublicKey::parse(text) {
        assert_eq!(
            device_key::PublicKey::parse(&key.to_text()).map(|key| key.id()),
            Some(key.id())
        );
    }
    parse_utc(first);
}

pub fn recording(input: &[u8]) {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(scratch);
    std::fs::write(folder.join("triggers.csv"), input).expect("writes");
    if let Ok(parts) = read_recording(folder) {
        assert!(parts.windows(2).all(|two| two[0].at <= two[1].at), "triggers come in order");
    }
}
