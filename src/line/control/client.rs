//! Serves one connection. The client sends its request, waits, gets its answer and leaves, each within a time limit.

use crate::clock::LineTime;
use crate::line::reply::Answer;
use crate::line::request::{Petition, Request};
use nix::poll::PollFlags;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// The longest request, in bytes.
const MAX_REQUEST: usize = 256;
/// The time that a peer has for its whole request, and again for reading its whole answer. It is also the time for
/// which the peer may go on sending afterwards.
const PATIENCE: Duration = Duration::from_millis(500);
/// The number of 4 KiB blocks that are read at once from a peer that goes on sending.
const BLOCKS: usize = 16;

/// Says what a request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The hub thread, to take the safe state.
    Safe,
    /// The hub thread.
    Line,
    /// A part that is on its way to the gate.
    Part,
    /// A thread that works on the template.
    Work,
    /// The hub thread, to begin commissioning. It lasts as long as the client stays.
    Commission,
    /// A test pulse that is not over.
    Pulse,
}

impl Place {
    /// Returns whether commissioning ends if the client goes away.
    pub(super) fn is_attended(self) -> bool {
        matches!(self, Place::Commission | Place::Pulse)
    }
}

/// Holds a request that was passed on.
pub(super) struct Waiting {
    pub(super) place: Place,
    pub(super) answer: Receiver<Answer>,
    /// The end of the wait. It is `None` if the wait has no limit.
    pub(super) until: Option<LineTime>,
}

/// Says how far a connection has come.
pub(super) enum Stage {
    /// The client sends its request.
    Asking(Vec<u8>),
    /// The client waits for the answer.
    Waiting(Waiting),
    /// The client gets the rest of its answer.
    Answering(Vec<u8>),
    /// The client has its answer, and commissioning lasts as long as it stays.
    Attending,
    /// The client has its answer. What it still sends is read. Otherwise closing the socket with unread bytes would be
    /// an error for the peer, and some peers then never look at the answer.
    Leaving,
    /// The connection can be closed.
    Gone,
}

/// Holds a connection.
pub(super) struct Client {
    pub(super) stream: UnixStream,
    pub(super) stage: Stage,
    /// The moment at which the client connected.
    pub(super) since: LineTime,
    /// The latest end of the stage. [`Stage::Waiting`] has a limit of its own.
    until: LineTime,
    /// Whether the client has to make room for others.
    is_hurried: bool,
    /// The end of commissioning, if the client stays after its answer to attend it.
    attends_until: Option<LineTime>,
}

impl Client {
    /// Makes a client from a connection that has just been accepted.
    pub(super) fn new(stream: UnixStream, now: LineTime) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        let (stage, until) = (Stage::Asking(vec![]), now + PATIENCE);
        let (is_hurried, attends_until) = (false, None);
        Ok(Client { stream, stage, since: now, until, is_hurried, attends_until })
    }

    /// Returns whether the client is still sending its request and may take its time.
    pub(super) fn is_asking(&self) -> bool {
        matches!(self.stage, Stage::Asking(_)) && !self.is_hurried
    }

    /// Lets the client be turned away, unless its request is there at the next look.
    pub(super) fn hurry(&mut self, now: LineTime) {
        (self.is_hurried, self.until) = (true, now);
    }

    /// Returns the events for which the connection has to be polled.
    pub(super) fn interest(&self) -> PollFlags {
        match self.stage {
            Stage::Asking(_) | Stage::Leaving | Stage::Attending => PollFlags::POLLIN,
            Stage::Answering(_) => PollFlags::POLLOUT,
            Stage::Waiting(_) | Stage::Gone => PollFlags::empty(),
        }
    }

    /// Returns when the client has to be served again, even if nothing happens.
    pub(super) fn due(&self) -> Option<LineTime> {
        match &self.stage {
            Stage::Waiting(waiting) => waiting.until,
            _ => Some(self.until),
        }
    }

    /// Reads what the client has sent. Returns its request, or why there is none, as soon as that is known.
    pub(super) fn read_request(&mut self, now: LineTime) -> Option<Result<Petition, String>> {
        let Stage::Asking(line) = &mut self.stage else { return None };
        let mut bytes = [0; MAX_REQUEST];
        let room = MAX_REQUEST.saturating_sub(line.len());
        let read = self.stream.read(bytes.get_mut(..room).unwrap_or_default());
        let is_whole = match read {
            // This is the end of the stream. What came before it is the request.
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
                false => format!("no request came in time: it must be there within {PATIENCE:?}"),
            };
            return (now >= self.until).then_some(Err(late));
        }
        let forms = Request::FORMS;
        let petition = Petition::parse(&String::from_utf8_lossy(line));
        Some(petition.ok_or_else(|| format!("not a request; there are: {forms}")))
    }

    /// Begins to send the answer.
    pub(super) fn answer(&mut self, answer: &Value, now: LineTime) {
        self.stage = Stage::Answering(format!("{answer}\n").into_bytes());
        self.until = now + PATIENCE;
        self.write(now);
    }

    /// Begins to send the first answer to a client that attends commissioning until `end`. It gets another one when
    /// commissioning has ended.
    pub(super) fn attend(&mut self, answer: &Value, now: LineTime, end: LineTime) {
        self.attends_until = Some(end);
        self.answer(answer, now);
    }

    /// Returns whether the client attends commissioning, or waits for its beginning.
    pub(super) fn attends_commissioning(&self) -> bool {
        let waits = matches!(&self.stage, Stage::Waiting(w) if w.place == Place::Commission);
        waits || self.attends_until.is_some() || matches!(self.stage, Stage::Attending)
    }

    /// Returns whether commissioning ends if the client goes away.
    pub(super) fn is_attended(&self) -> bool {
        let pulses = matches!(&self.stage, Stage::Waiting(w) if w.place.is_attended());
        pulses || self.attends_commissioning()
    }

    /// Returns whether a client that attends commissioning has gone. What it still sends is read and means nothing.
    pub(super) fn has_left(&mut self) -> bool {
        let mut bytes = [0; 4096];
        for _ in 0..BLOCKS {
            match self.stream.read(&mut bytes) {
                Ok(1..) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return false,
                Ok(0) | Err(_) => return true,
            }
        }
        false
    }

    /// Writes as much of the answer as the peer takes.
    pub(super) fn write(&mut self, now: LineTime) {
        let Stage::Answering(rest) = &mut self.stage else { return };
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(count) => drop(rest.drain(..count.min(rest.len()))),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock && now < self.until => return,
                // The peer has gone away, or does not read.
                Err(_) => return self.stage = Stage::Gone,
            }
        }
        if let Some(until) = self.attends_until.take() {
            (self.stage, self.until) = (Stage::Attending, until);
            return;
        }
        let said = self.stream.shutdown(Shutdown::Write);
        self.until = now + PATIENCE;
        self.stage = if said.is_ok() { Stage::Leaving } else { Stage::Gone };
        self.leave(now);
    }

    /// Reads what the peer still sends, until it has gone or its time is over.
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

    /// Returns the user who asks. It is `None` if the system does not say.
    pub(super) fn user(&self) -> Option<u32> {
        getsockopt(&self.stream, PeerCredentials).ok().map(|peer| peer.uid())
    }
}
