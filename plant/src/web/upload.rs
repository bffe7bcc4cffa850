//! Takes a template that an engineer uploads: streams it into the inbox, and lets the device check it there. What the
//! device refuses does not stay.

use super::api::{Answer, failed};
use super::guard::{App, Who};
use super::limits::{BODY, SIGNATURE_BYTES};
use super::reply::{self, Refusal};
use crate::device::Said;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hetmm::line::inbox::Inbox;
use http_body_util::BodyExt;
use serde_json::json;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// The header that brings the signature of an uploaded template, in base64.
const SIGNATURE: &str = "x-signature";
/// How the names of files begin that are not complete yet.
const INCOMPLETE: &str = "incomplete-";
/// The blocks of an upload that may wait for the disk.
const BLOCKS: usize = 4;
/// `hetmm-edge` reads what is uploaded as a member of the group, and nobody else does.
const MODE: u32 = 0o640;

/// `POST /api/upload`: takes a template, and answers as `prove` does.
pub async fn upload(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Who>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let Some(inbox) = app.inbox.clone() else {
        let why = "no template can be uploaded here (template.inbox)";
        return Err(reply::refusal(StatusCode::NOT_FOUND, why));
    };
    let Ok(_place) = app.uploads.try_acquire() else {
        return Err(reply::refusal(StatusCode::CONFLICT, "another template is being uploaded"));
    };
    let length = length_of(&headers)?;
    let signature = signature_of(&headers)?;
    room_for(length, inbox.folder(), app.floor_bytes)?;
    receive(inbox.clone(), body, length, signature).await?;
    log::info!("web: {} uploads a template of {length} bytes", who.name());
    let (status, why) = match app.device.ask(who.name(), "prove upload").await {
        Said::Done(found) => return Ok(reply::json(StatusCode::OK, &found)),
        Said::Refused(why) => (StatusCode::UNPROCESSABLE_ENTITY, why),
        Said::Silent(why) => (StatusCode::BAD_GATEWAY, why),
    };
    inbox.empty().map_err(failed)?;
    Err(reply::refusal(status, why))
}

/// `POST /api/upload/discard`: removes what was uploaded.
pub async fn discard(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    if let Some(inbox) = &app.inbox {
        inbox.empty().map_err(failed)?;
    }
    Ok(reply::json(StatusCode::OK, &json!({"done": "the inbox is empty"})))
}

/// Removes what an earlier start of this program has left: uploads that nobody has confirmed, and incomplete ones.
pub fn tidy(inbox: &Inbox) {
    let left = std::fs::read_dir(inbox.folder()).into_iter().flatten().flatten();
    for file in left.filter(|file| file.file_name().to_string_lossy().starts_with(INCOMPLETE)) {
        // What stays takes room, and is never used.
        let _ = std::fs::remove_file(file.path());
    }
    if let Err(why) = inbox.empty() {
        log::warn!("web: an old upload stays: {why}");
    }
}

/// Returns the length that the head of a request states.
fn length_of(headers: &HeaderMap) -> Result<u64, Refusal> {
    let stated = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    match stated.and_then(|value| value.parse().ok()) {
        None => Err(reply::refusal(StatusCode::LENGTH_REQUIRED, "state the length of the file")),
        Some(length) if length > Inbox::MOST_BYTES => {
            Err(reply::refusal(StatusCode::PAYLOAD_TOO_LARGE, "a template has at most 1 GiB"))
        }
        Some(length) => Ok(length),
    }
}

fn signature_of(headers: &HeaderMap) -> Result<Option<Vec<u8>>, Refusal> {
    let Some(encoded) = headers.get(SIGNATURE) else { return Ok(None) };
    let text = STANDARD.decode(encoded).ok().filter(|text| text.len() <= SIGNATURE_BYTES);
    let broken = || reply::refusal(StatusCode::BAD_REQUEST, "the signature cannot be read");
    text.map(Some).ok_or_else(broken)
}

/// Refuses a file after which fewer than `floor_bytes` would be free: records and pictures need them.
fn room_for(length: u64, folder: &Path, floor_bytes: u64) -> Result<(), Refusal> {
    let found = nix::sys::statvfs::statvfs(folder)
        .map_err(|why| failed(format!("the inbox {}: {why}", folder.display())))?;
    let free = found.blocks_available().saturating_mul(found.fragment_size());
    match free.checked_sub(length) {
        Some(left) if left >= floor_bytes => Ok(()),
        _ => Err(full()),
    }
}

fn full() -> Refusal {
    reply::refusal(StatusCode::INSUFFICIENT_STORAGE, "the device has too little disk space for it")
}

/// Puts the content of a request into the inbox.
async fn receive(
    inbox: Inbox,
    body: Body,
    length: u64,
    signature: Option<Vec<u8>>,
) -> Result<(), Refusal> {
    let (sender, blocks) = channel(BLOCKS);
    let writer =
        tokio::task::spawn_blocking(move || write(&inbox, blocks, length, signature.as_deref()));
    let sent = send(body, sender).await;
    let written = writer.await.map_err(failed)?;
    // A full disk ends the sending, too. So its answer comes first.
    match written {
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => {
            sent?;
            Err(reply::refusal(StatusCode::BAD_REQUEST, "the upload has ended early"))
        }
        Err(e) if matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
            Err(full())
        }
        Err(e) => Err(failed(format!("an upload cannot be kept: {e}"))),
        Ok(()) => sent,
    }
}

/// Hands the content of a request over, block by block. A client that is silent for too long is given up.
async fn send(mut body: Body, sender: Sender<Bytes>) -> Result<(), Refusal> {
    loop {
        let Ok(frame) = tokio::time::timeout(BODY, body.frame()).await else {
            return Err(reply::refusal(StatusCode::REQUEST_TIMEOUT, "too slow"));
        };
        let Some(Ok(frame)) = frame else { return Ok(()) };
        let Ok(block) = frame.into_data() else { continue };
        if sender.send(block).await.is_err() {
            // The writer has ended, and says why.
            return Ok(());
        }
    }
}

/// Writes a template of `length` bytes and its signature into the inbox, and replaces what was there. Nothing appears
/// there before all of it has come.
fn write(
    inbox: &Inbox,
    mut blocks: Receiver<Bytes>,
    length: u64,
    signature: Option<&[u8]>,
) -> std::io::Result<()> {
    let mut template = temporary(inbox)?;
    let mut left = length;
    while let Some(block) = blocks.blocking_recv() {
        left = left.checked_sub(block.len() as u64).ok_or(ErrorKind::FileTooLarge)?;
        template.write_all(&block)?;
    }
    if left > 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    inbox.empty().map_err(std::io::Error::other)?;
    if let Some(text) = signature {
        let mut file = temporary(inbox)?;
        file.write_all(text)?;
        file.persist(inbox.signature())?;
    }
    template.as_file().sync_all()?;
    template.persist(inbox.template())?;
    Ok(())
}

fn temporary(inbox: &Inbox) -> std::io::Result<tempfile::NamedTempFile> {
    let file = tempfile::Builder::new().prefix(INCOMPLETE).tempfile_in(inbox.folder())?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(MODE))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use axum::response::IntoResponse;

    fn names(folder: &Path) -> Vec<String> {
        let files = std::fs::read_dir(folder).expect("lists");
        let mut names: Vec<String> = files
            .map(|file| file.expect("reads").file_name().into_string().expect("text"))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn an_upload_is_there_as_a_whole_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let inbox = Inbox::new(folder.path().to_owned());
        let put = |blocks: &[&'static [u8]], length, signature| {
            let (sender, receiver) = channel(8);
            for block in blocks {
                sender.try_send(Bytes::from_static(block)).expect("has room");
            }
            drop(sender);
            write(&inbox, receiver, length, signature)
        };
        put(&[b"a tem", b"plate"], 10, Some(b"signed")).expect("writes");
        assert_eq!(names(folder.path()), ["upload.hetmm", "upload.hetmm.minisig"]);
        let mode = std::fs::metadata(inbox.template()).expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        // What does not come as a whole leaves what was there.
        for (blocks, length) in [(&[&b"anoth"[..]][..], 6), (&[b"another"], 6), (&[], 1)] {
            put(blocks, length, None).expect_err("is refused");
            assert_eq!(std::fs::read(inbox.template()).expect("reads"), b"a template");
            assert_eq!(names(folder.path()).len(), 2);
        }
        put(&[b"new"], 3, None).expect("writes");
        assert_eq!(names(folder.path()), ["upload.hetmm"], "the old signature is not for it");
        std::fs::write(folder.path().join("incomplete-x"), "left").expect("writes");
        std::fs::write(folder.path().join("notes"), "mine").expect("writes");
        tidy(&inbox);
        assert_eq!(names(folder.path()), ["notes"]);
    }

    #[test]
    fn lengths_and_room_are_checked_before_anything_is_read() {
        let with = |name: &'static str, value: &str| {
            let value = HeaderValue::from_str(value).expect("a value");
            HeaderMap::from_iter([(header::HeaderName::from_static(name), value)])
        };
        let status = |refused: Refusal| refused.into_response().status();
        for (text, wanted) in [
            ("0", Ok(0)),
            ("1073741824", Ok(1 << 30)),
            ("1073741825", Err(StatusCode::PAYLOAD_TOO_LARGE)),
            ("-1", Err(StatusCode::LENGTH_REQUIRED)),
            ("1e3", Err(StatusCode::LENGTH_REQUIRED)),
        ] {
            let found = length_of(&with("content-length", text)).map_err(status);
            assert_eq!(found, wanted, "{text}");
        }
        assert!(length_of(&HeaderMap::new()).is_err());
        let long = STANDARD.encode(vec![b'x'; SIGNATURE_BYTES + 1]);
        for (text, wanted) in [("c2ln", Some(&b"sig"[..])), ("?", None), (&*long, None)] {
            let found = signature_of(&with(SIGNATURE, text)).ok().flatten();
            assert_eq!(found.as_deref(), wanted, "{text}");
        }
        assert!(signature_of(&HeaderMap::new()).expect("none").is_none());
        let folder = tempfile::tempdir().expect("a folder");
        assert!(room_for(1, folder.path(), 0).is_ok());
        let refused = room_for(1, folder.path(), u64::MAX).map_err(status);
        assert_eq!(refused, Err(StatusCode::INSUFFICIENT_STORAGE));
        assert!(room_for(1, &folder.path().join("missing"), 0).is_err());
    }
}
