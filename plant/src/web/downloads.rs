//! Hands out files: the records of a day as a table, segments of records, pictures of rejected parts, and what somebody
//! needs who looks for a fault. A client that does not read is given up.

use super::api::{Answer, failed, now_unix_ms};
use super::guard::{App, Who};
use super::reply::{self, Refusal};
use crate::device::Said;
use axum::body::Body;
use axum::extract::{Extension, Path as Segment, State};
use axum::http::{HeaderValue, StatusCode, header};
use bytes::Bytes;
use hetmm::line::archive::rejected_files;
use hetmm::line::evidence::{self, Period, export};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Sender, channel};
use tokio_stream::wrappers::ReceiverStream;

/// The milliseconds of a day.
const DAY_MS: u64 = 24 * 3600 * 1000;
/// The size of a block, in bytes, and the number of blocks that may wait for a slow reader.
const BLOCK: usize = 1 << 16;
const BLOCKS: usize = 4;
/// The time in which a reader has to take a block.
const STALL: Duration = Duration::from_secs(30);
/// The media types of tables, lines of JSON, and archives of files.
const CSV: &str = "text/csv; charset=utf-8";
const LINES: &str = "application/jsonl";
const TAR: &str = "application/x-tar";

/// `GET /api/day.csv`: the records of this day, by the device's clock (UTC).
pub async fn day(State(app): State<Arc<App>>) -> Answer {
    let folder = app.records()?;
    let from = now_unix_ms() / DAY_MS * DAY_MS;
    app.hand_out(CSV, "parts-of-today.csv", move |out| {
        export(&folder, None, Period { from: Some(from), to: None }, out)
            .map(drop)
            .map_err(std::io::Error::other)
    })
}

/// `GET /api/records`: the segments of the records, the newest first.
pub async fn segments(State(app): State<Arc<App>>) -> Answer {
    // Without a folder there are no segments.
    let folder = app.records.clone().unwrap_or_default();
    let listed = tokio::task::spawn_blocking(move || evidence::segments(&folder)).await;
    let segments = listed.map_err(failed)?.map_err(failed)?;
    let row = |file: &PathBuf| {
        let found = std::fs::metadata(file).ok()?;
        let written = found.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_secs();
        let name = file.file_name()?.to_str()?;
        Some(json!({"name": name, "bytes": found.len(), "written_unix_s": written}))
    };
    let rows: Vec<Value> = segments.iter().rev().filter_map(row).collect();
    Ok(reply::json(StatusCode::OK, &json!({"segments": rows})))
}

/// `GET /api/records/{name}`: a segment. Of the newest one, what is written by now.
pub async fn segment(State(app): State<Arc<App>>, Segment(name): Segment<String>) -> Answer {
    let folder = app.records()?;
    let wanted = folder.join(&name);
    let listed = tokio::task::spawn_blocking(move || evidence::segments(&folder)).await;
    let segments = listed.map_err(failed)?.map_err(failed)?;
    // Only names from the list are opened, so a name cannot lead elsewhere.
    let Some(path) = segments.into_iter().find(|path| *path == wanted) else {
        return Err(reply::refusal(StatusCode::NOT_FOUND, "there is no such segment"));
    };
    app.hand_out(LINES, &name, move |out| {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        std::io::copy(&mut file.take(length), out).map(drop)
    })
}

/// `GET /api/pictures.tar`: pictures, heat maps and numbers of the rejected parts in the archive.
pub async fn pictures(State(app): State<Arc<App>>) -> Answer {
    let Some(folder) = app.archive.clone() else {
        let why = "no pictures are kept (archive.folder)";
        return Err(reply::refusal(StatusCode::NOT_FOUND, why));
    };
    app.hand_out(TAR, "rejected-parts.tar", move |out| {
        let mut tar = tar::Builder::new(out);
        for path in rejected_files(&folder) {
            let Some(name) = path.file_name() else { continue };
            // The archive may have removed it meanwhile, to make room.
            let Ok(mut file) = File::open(&path) else { continue };
            tar.append_file(name, &mut file)?;
        }
        tar.finish()
    })
}

/// `GET /api/diagnosis.tar`: what the device and this program say about themselves. There are no pictures and no secrets
/// in it.
pub async fn diagnosis(State(app): State<Arc<App>>, Extension(who): Extension<Who>) -> Answer {
    let mut files: Vec<(String, Vec<u8>)> = vec![];
    for request in ["status", "slots", "history", "lines", "drift status"] {
        let said = match app.device.ask(who.name(), request).await {
            Said::Done(said) => said,
            Said::Refused(why) | Said::Silent(why) => json!({"error": why}),
        };
        files.push((format!("{}.json", request.replace(' ', "-")), pretty(&said)));
    }
    let metrics = crate::metrics::text(&app.board).into_bytes();
    let now = app.board.now();
    let parts: Vec<Value> = now.parts.iter().map(|part| part.json.clone()).collect();
    let versions = json!({"hetmm-plant": env!("CARGO_PKG_VERSION"), "hetmm-edge": now.version});
    drop(now);
    files.push(("versions.json".into(), pretty(&versions)));
    files.push(("parts.json".into(), pretty(&json!(parts))));
    files.push(("metrics.txt".into(), metrics));
    files.push(("line.toml".into(), app.configuration.clone().into_bytes()));
    let at_unix_s = now_unix_ms() / 1000;
    app.hand_out(TAR, "diagnosis.tar", move |out| {
        let mut tar = tar::Builder::new(out);
        for (name, content) in &files {
            let mut head = tar::Header::new_gnu();
            head.set_size(content.len() as u64);
            head.set_mode(0o640);
            head.set_mtime(at_unix_s);
            tar.append_data(&mut head, name, content.as_slice())?;
        }
        tar.finish()
    })
}

fn pretty(value: &Value) -> Vec<u8> {
    // Only maps with keys that are no texts could make this fail.
    serde_json::to_vec_pretty(value).unwrap_or_default()
}

impl App {
    fn records(&self) -> Result<PathBuf, Refusal> {
        let none = || reply::refusal(StatusCode::NOT_FOUND, "no records are kept (records.folder)");
        self.records.clone().ok_or_else(none)
    }

    /// Answers with a file that `write` writes, for as long as the client reads. Few files are handed out at the same time.
    fn hand_out(
        &self,
        kind: &'static str,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> std::io::Result<()> + Send + 'static,
    ) -> Answer {
        let Ok(place) = self.downloads.clone().try_acquire_owned() else {
            let why = "other files are handed out; try again later";
            return Err(reply::refusal(StatusCode::SERVICE_UNAVAILABLE, why).until(5));
        };
        let (sender, receiver) = channel(BLOCKS);
        let (handle, what) = (Handle::current(), name.to_owned());
        tokio::task::spawn_blocking(move || {
            let _place = place;
            let mut out = BufWriter::with_capacity(BLOCK, Blocks { sender, handle });
            if let Err(why) = write(&mut out).and_then(|()| out.flush()) {
                log::warn!("web: {what} is not handed out as a whole: {why}");
                // The connection then ends in a way that no client takes for the end of the file.
                let _ = out.get_mut().send(Err(why));
            }
        });
        let content = Body::from_stream(ReceiverStream::new(receiver));
        let mut response = reply::bytes(StatusCode::OK, kind, content);
        let name = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
        response.headers_mut().insert(header::CONTENT_DISPOSITION, name.map_err(failed)?);
        Ok(response)
    }
}

/// Writes to a client, and waits for it, but not for long.
struct Blocks {
    sender: Sender<std::io::Result<Bytes>>,
    handle: Handle,
}

impl Blocks {
    fn send(&self, block: std::io::Result<Bytes>) -> std::io::Result<()> {
        let sent = self.handle.block_on(self.sender.send_timeout(block, STALL));
        sent.map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let block = bytes.get(..BLOCK).unwrap_or(bytes);
        self.send(Ok(Bytes::copy_from_slice(block))).map(|()| block.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
