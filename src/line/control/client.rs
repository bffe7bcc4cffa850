//! One connection: it says what it wants, waits, gets its answer and goes, each within a time limit.

use crate::clock::LineTime;
use crate::line::reply::Answer;
use crate::line::request::Request;
use nix::poll::PollFlags;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// Longest request.
const MAX_REQUEST: usize = 64;
/// How long a peer may take for its whole request, how long to read its whole answer, and how long it may go on
/// sending after that.
const PATIENCE: Duration = Duration::from_millis(500);
/// Blocks of 4 KiB that are read at once from a peer that goes on sending.
const BLOCKS: usize = 16;

/// What a request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The line's thread, to take the safe state.
    Safe,
    /// The line's thread.
    Line,
    /// A part that is on its way to the gate.
    Part,
    /// A thread that works on the template.
    Work,
}

/// A request that was handed on.
pub(super) struct Waiting {
    pub(super) place: Place,
    pub(super) answer: Receiver<Answer>,
    /// How long it waits; `None` for as long as it takes.
    pub(super) until: Option<LineTime>,
}

/// How far a connection has come.
pub(super) enum Stage {
    /// It says what it wants.
    Asking(Vec<u8>),
    /// It waits for the answer.
    Waiting(Waiting),
    /// It gets the rest of its answer.
    Answering(Vec<u8>),
    /// It has its answer. What it still sends is read: closing a socket with unread bytes is an error to the
    /// peer, and some peers then never look at the answer.
    Leaving,
    /// It can be closed.
    Gone,
}

/// A connection.
pub(super) struct Client {
    pub(super) stream: UnixStream,
    pub(super) stage: Stage,
    /// When it came.
    pub(super) since: LineTime,
    /// When its stage ends at the latest, but for [`Stage::Waiting`], which knows itself.
    until: LineTime,
    /// Whether it has to make room for others.
    is_hurried: bool,
}

impl Client {
    /// A connection that has just been accepted.
    pub(super) fn new(stream: UnixStream, now: LineTime) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        let (stage, until) = (Stage::Asking(vec![]), now + PATIENCE);
        Ok(Client { stream, stage, since: now, until, is_hurried: false })
    }

    /// Whether it says what it wants and may take its time.
    pub(super) fn is_asking(&self) -> bool {
        matches!(self.stage, Stage::Asking(_)) && !self.is_hurried
    }

    /// Has it turned away, unless its request is there when it is looked at the next time.
    pub(super) fn hurry(&mut self, now: LineTime) {
        (self.is_hurried, self.until) = (true, now);
    }

    /// What it has to be polled for.
    pub(super) fn interest(&self) -> PollFlags {
        match self.stage {
            Stage::Asking(_) | Stage::Leaving => PollFlags::POLLIN,
            Stage::Answering(_) => PollFlags::POLLOUT,
            Stage::Waiting(_) | Stage::Gone => PollFlags::empty(),
        }
    }

    /// When it has to be looked at again, whatever it does.
    pub(super) fn due(&self) -> Option<LineTime> {
        match &self.stage {
            Stage::Waiting(waiting) => waiting.until,
            _ => Some(self.until),
        }
    }

    /// Reads what it has sent. Its request, or why there is none, when that is known.
    pub(super) fn read_request(&mut self, now: LineTime) -> Option<Result<Request, String>> {
        let Stage::Asking(line) = &mut self.stage else { return None };
        let mut bytes = [0; MAX_REQUEST];
        let room = MAX_REQUEST.saturating_sub(line.len());
        let read = self.stream.read(bytes.get_mut(..room).unwrap_or_default());
        let is_whole = match read {
            // The end: what came before it is the request.
            Ok(0) => true,
            Ok(count) => {
                let new = bytes.get(..count).unwrap_or_default();
                let end = new.iter().position(|byte| *byte == b'\n');
                line.extend_from_slice(new.get(..end.unwrap_or(count)).unwrap_or_default());
                end.is_some() || line.len() >= MAX_REQUEST
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => false,
            Err(e) => return Some(Err(format!("the request cannot be read: {e}"))),
        };
        if !is_whole {
            let late = match self.is_hurried {
                true => "too many connections; try again".to_owned(),
                false => format!("no request in time: it has to be there within {PATIENCE:?}"),
            };
            return (now >= self.until).then_some(Err(late));
        }
        let forms = Request::FORMS;
        let request = Request::parse(&String::from_utf8_lossy(line));
        Some(request.ok_or_else(|| format!("not a request; there are: {forms}")))
    }

    /// Begins to give it its answer.
    pub(super) fn answer(&mut self, answer: &Value, now: LineTime) {
        self.stage = Stage::Answering(format!("{answer}\n").into_bytes());
        self.until = now + PATIENCE;
        self.write(now);
    }

    /// Writes as much of its answer as it takes.
    pub(super) fn write(&mut self, now: LineTime) {
        let Stage::Answering(rest) = &mut self.stage else { return };
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(count) => drop(rest.drain(..count.min(rest.len()))),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock && now < self.until => return,
                // It has gone away, or does not read.
                Err(_) => return self.stage = Stage::Gone,
            }
        }
        let said = self.stream.shutdown(Shutdown::Write);
        self.until = now + PATIENCE;
        self.stage = if said.is_ok() { Stage::Leaving } else { Stage::Gone };
        self.leave(now);
    }

    /// Reads what it still sends, until it has gone or its time is over.
    pub(super) fn leave(&mut self, now: LineTime) {
        let mut bytes = [0; 4096];
        for _ in 0..BLOCKS {
            match self.stream.read(&mut bytes) {
                Ok(1..) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock && now < self.until => return,
                _ => return self.stage = Stage::Gone,
            }
        }
        if now >= self.until {
            self.stage = Stage::Gone;
        }
    }

    /// Who asks, for the template's journal.
    pub(super) fn who(&self) -> String {
        match getsockopt(&self.stream, PeerCredentials) {
            Ok(peer) => format!("hetmm-edge, user {}", peer.uid()),
            Err(_) => "hetmm-edge".into(),
        }
    }
}
