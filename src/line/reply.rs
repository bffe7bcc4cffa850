//! Carries a request to the thread that carries it out, and the answer back.

use super::record::PartRecord;
use super::request::Request;
use super::status::Snapshot;
use crate::clock::LineTime;
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// The number of requests that may wait for the hub thread beside its queue of messages. It is more than can be asked
/// at once while that thread lives.
pub const REQUESTS: usize = 512;

/// Holds a request to the hub thread that need not keep its place among the events, and the way of its answer.
pub type Asked = (Request, Reply);

/// Holds an answer.
pub enum Answer {
    /// The state of the production line.
    Status(Box<Snapshot>),
    /// A part that has left.
    Part(Arc<PartRecord>),
    /// The request was carried out.
    Done(String),
    /// The request was not carried out.
    Failed(String),
    /// An answer that is complete already.
    Json(Value),
}

/// Carries one answer back. It can be dropped without an answer. The one who waits learns of that, too.
pub struct Reply {
    sender: SyncSender<Answer>,
    bell: Bell,
    asked_at: LineTime,
}

impl Reply {
    /// Makes a reply that rings `bell`, and returns its other end, too.
    pub(in crate::line) fn new(bell: &Bell) -> (Reply, Receiver<Answer>) {
        let (sender, answer) = sync_channel(1);
        (Reply { sender, bell: bell.clone(), asked_at: LineTime::now() }, answer)
    }

    /// Returns the moment at which the request came.
    pub fn asked_at(&self) -> LineTime {
        self.asked_at
    }

    /// Gives the answer and never waits. If nobody waits for the answer any more, it is lost.
    pub fn give(self, answer: Answer) {
        let _ = self.sender.try_send(answer);
        self.bell.ring();
    }
}

/// Wakes the thread that serves the connections.
#[derive(Clone)]
pub(in crate::line) struct Bell(Arc<UnixStream>);

/// Hears the bell.
pub(in crate::line) struct Ear(UnixStream);

impl Bell {
    pub(in crate::line) fn new() -> std::io::Result<(Bell, Ear)> {
        let (bell, ear) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        ear.set_nonblocking(true)?;
        Ok((Bell(Arc::new(bell)), Ear(ear)))
    }

    pub(in crate::line) fn ring(&self) {
        // If there is no room for another byte, there are enough bytes to be heard.
        let _ = (&*self.0).write(&[1]);
    }
}

impl Ear {
    /// Forgets how often the bell has rung.
    pub(in crate::line) fn clear(&self) {
        let mut bytes = [0; 512];
        loop {
            match (&self.0).read(&mut bytes) {
                Ok(1..) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    }
}

impl std::os::fd::AsFd for Ear {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}
