//! The control socket: one request a connection, one JSON line back.
//!
//! A local Unix socket, there only where the configuration names it, open to its user and group.
//! The peer is not trusted: a request is one short word, read with a time limit; connections
//! beyond a few are turned away. Nothing here can delay the line.

use super::archive::Archive;
use super::engine::PartId;
use super::hub::{Message, Outbox};
use super::records::{Losses, PartRecord};
use super::status::Snapshot;
use super::teach;
use super::templates::Templates;
use crate::error::{Error, Kind, Result};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

/// Longest request.
const MAX_REQUEST: u64 = 64;
/// Connections that are served at once.
const MAX_CONNECTIONS: usize = 4;
/// How long a peer may take.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long the line's thread is waited for.
const ANSWER: Duration = Duration::from_secs(2);
/// How long a part may take from trigger to gate before its caller is sent away.
const PART: Duration = Duration::from_secs(60);

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Counters, faults, percentiles.
    Status,
    /// A part, now; the answer is its record.
    Trigger,
    /// Load the template again.
    Reload,
    /// Take the safe state.
    Safe,
    /// Leave the safe state.
    Resume,
    /// Acknowledge the alarm.
    Acknowledge,
    /// Insert the archived picture of a part into the template, whether it looks like a defect or not.
    Teach(PartId, bool),
    /// Take back an entry of the template's journal, or the last one.
    Undo(Option<u32>),
    /// The template's journal.
    History,
}

impl Request {
    /// How requests are written.
    pub const FORMS: &'static str = "status, trigger, reload, safe, resume, acknowledge, \
                                     teach PART [force], undo [ENTRY], history";

    /// The request of a line.
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let request = match words.next()? {
            "status" => Request::Status,
            "trigger" => Request::Trigger,
            "reload" => Request::Reload,
            "safe" => Request::Safe,
            "resume" => Request::Resume,
            "acknowledge" => Request::Acknowledge,
            "history" => Request::History,
            "undo" => Request::Undo(words.next().map(str::parse).transpose().ok()?),
            "teach" => {
                let part = PartId(words.next()?.parse().ok()?);
                match words.next() {
                    None => Request::Teach(part, false),
                    Some("force") => Request::Teach(part, true),
                    Some(_) => return None,
                }
            }
            _ => return None,
        };
        words.next().is_none().then_some(request)
    }
}

/// What is answered.
pub enum Answer {
    /// The state of the line.
    Status(Box<Snapshot>),
    /// A part that has left.
    Part(Box<PartRecord>),
    /// It was done.
    Done(String),
    /// It was not done.
    Failed(String),
}

/// What the socket's thread can reach.
pub struct Control {
    /// The line's thread.
    pub hub: Outbox,
    /// The template.
    pub templates: Arc<Templates>,
    /// The archive.
    pub archive: Option<Arc<Archive>>,
    /// Whether the template may be changed.
    pub teach: bool,
    /// Records that were lost.
    pub losses: Arc<Losses>,
}

/// A socket that listens; its file goes when it is dropped.
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Listens. A file that an instance left behind is replaced; one that answers is not.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |e: std::io::Error| Error::io(path, "the control socket cannot be made", &e);
        if UnixStream::connect(path).is_ok() {
            let what = format!("{}: another hetmm-edge listens here", path.display());
            return Err(
                Error::new(Kind::Io, what).advise("stop it, or give another control.socket")
            );
        }
        let is_socket = std::fs::symlink_metadata(path)
            .is_ok_and(|m| std::os::unix::fs::FileTypeExt::is_socket(&m.file_type()));
        if is_socket {
            std::fs::remove_file(path).map_err(failed)?;
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Socket { listener, path: path.to_owned() })
    }

    /// Serves until the device stops.
    pub fn run(self, control: &Arc<Control>) {
        let connections = Arc::new(AtomicUsize::new(0));
        while !control.hub.stopped() {
            let Ok((stream, _)) = self.listener.accept() else {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            };
            if connections.fetch_add(1, Ordering::SeqCst) >= MAX_CONNECTIONS {
                connections.fetch_sub(1, Ordering::SeqCst);
                reply(stream, &json!({"error": "too many connections; try again"}));
                continue;
            }
            let (control, count) = (control.clone(), connections.clone());
            let served = std::thread::Builder::new().name("control".into()).spawn(move || {
                serve(stream, &control);
                count.fetch_sub(1, Ordering::SeqCst);
            });
            if served.is_err() {
                connections.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Left behind, it is replaced at the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn serve(mut stream: UnixStream, control: &Control) {
    let answer = match read_request(&mut stream) {
        Ok(request) => control.answer(request, &peer(&stream)),
        Err(why) => json!({"error": why}),
    };
    reply(stream, &answer);
}

/// Who asks, for the template's journal.
fn peer(stream: &UnixStream) -> String {
    match getsockopt(stream, PeerCredentials) {
        Ok(peer) => format!("hetmm-edge, user {}", peer.uid()),
        Err(_) => "hetmm-edge".into(),
    }
}

fn read_request(stream: &mut UnixStream) -> std::result::Result<Request, String> {
    // Accepted sockets do not inherit the listener's mode on Linux; said for certainty.
    let patience = stream
        .set_nonblocking(false)
        .and_then(|()| stream.set_read_timeout(Some(PATIENCE)))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
    patience.map_err(|e| e.to_string())?;
    let mut word = vec![];
    let mut byte = [0];
    while (word.len() as u64) < MAX_REQUEST {
        match stream.read(&mut byte) {
            Ok(0) => break,
            Ok(_) if byte == [b'\n'] => break,
            Ok(_) => word.extend_from_slice(&byte),
            Err(e) => return Err(format!("no request in time: {e}")),
        }
    }
    let word = String::from_utf8_lossy(&word);
    let forms = Request::FORMS;
    Request::parse(&word).ok_or_else(|| format!("not a request; there are: {forms}"))
}

fn reply(mut stream: UnixStream, answer: &Value) {
    let _ = stream.set_write_timeout(Some(PATIENCE));
    // A peer that has gone away gets no answer.
    let _ = stream.write_all(format!("{answer}\n").as_bytes());
}

impl Control {
    fn answer(&self, request: Request, who: &str) -> Value {
        // What concerns the template alone does not go through the line's thread.
        let of_template = match request {
            Request::Reload => Some(self.templates.reload().map(|what| json!({"done": what}))),
            Request::Teach(..) | Request::Undo(_) if !self.teach => {
                let what = "the template may not be changed here (control.teach = false)";
                Some(Err(
                    Error::usage(what).advise("use hetmm insert or undo, and copy the template")
                ))
            }
            Request::Teach(part, force) => {
                Some(teach::teach(part, force, who, self.archive.as_deref(), &self.templates))
            }
            Request::Undo(entry) => Some(teach::undo(entry, &self.templates)),
            Request::History => Some(teach::history(&self.templates)),
            _ => None,
        };
        if let Some(result) = of_template {
            return result.unwrap_or_else(|why| json!({"error": why.to_string()}));
        }
        let (sender, receiver) = sync_channel(1);
        if !self.hub.try_send(Message::Control(request, sender)) {
            return json!({"error": "the line is too busy; try again"});
        }
        let patience = if request == Request::Trigger { PART } else { ANSWER };
        match receiver.recv_timeout(patience) {
            Ok(Answer::Status(snapshot)) => self.status(&snapshot),
            Ok(Answer::Part(record)) => serde_json::to_value(record).unwrap_or_default(),
            Ok(Answer::Done(what)) => json!({"done": what}),
            Ok(Answer::Failed(why)) => json!({"error": why}),
            Err(_) => json!({"error": "the line does not answer"}),
        }
    }

    fn status(&self, snapshot: &Snapshot) -> Value {
        let mut status = snapshot.to_json();
        if let Some(fields) = status.as_object_mut() {
            fields.insert("template".into(), self.templates.to_json());
            let archive = self.archive.as_ref();
            let count = |c: fn(&Archive) -> &std::sync::atomic::AtomicU64| {
                archive.map_or(0, |a| c(a).load(Ordering::Relaxed))
            };
            let lost = json!({
                "records_dropped": self.losses.dropped.load(Ordering::Relaxed),
                "records_failed": self.losses.failed.load(Ordering::Relaxed),
                "pictures_dropped": count(|a| &a.dropped),
                "pictures_failed": count(|a| &a.failed),
                "pictures_written": count(|a| &a.written),
            });
            fields.insert("records".into(), lost);
        }
        status
    }
}

/// Asks a running device; the answer is one JSON line.
///
/// # Errors
/// [`Kind::Io`] where nobody answers.
pub fn ask(socket: &Path, word: &str) -> Result<String> {
    let failed = |e: std::io::Error| {
        Error::io(socket, "no answer from hetmm-edge", &e)
            .advise("is it running, with this control.socket, and may this user use it?")
    };
    let mut stream = UnixStream::connect(socket).map_err(failed)?;
    stream.set_read_timeout(Some(PART + ANSWER)).map_err(failed)?;
    stream.write_all(format!("{word}\n").as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    stream.take(1 << 20).read_to_string(&mut answer).map_err(failed)?;
    Ok(answer)
}
