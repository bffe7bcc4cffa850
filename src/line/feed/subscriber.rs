//! Holds one connection of the feed. Nothing here waits for the other end.

use super::backlog::Backlog;
use super::messages::{self, Packet};
use super::preview::Preview;
use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{ControlMessage, MsgFlags, recv, send, sendmsg};
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// The longest request in bytes. There are only short ones.
const LONGEST_REQUEST: usize = 64;
/// The number of requests that are read in one turn.
const REQUESTS: usize = 8;

/// A connection.
pub(super) struct Subscriber {
    socket: OwnedFd,
    backlog: Backlog,
    /// The latest picture that it was not sent yet.
    preview: Option<Arc<Preview>>,
    /// Whether it watches the edges of outputs.
    pub(super) edges: bool,
    /// Whether it wants pictures.
    pub(super) previews: bool,
    is_gone: bool,
}

impl Subscriber {
    /// Makes a connection with room for `queue` messages. Its first message is `hello`.
    pub(super) fn new(socket: OwnedFd, queue: usize, hello: Packet) -> Self {
        let mut backlog = Backlog::new(queue);
        backlog.push(hello);
        Subscriber { socket, backlog, preview: None, edges: false, previews: false, is_gone: false }
    }

    /// Adds a message.
    pub(super) fn push(&mut self, packet: &Packet) {
        self.backlog.push(packet.clone());
    }

    /// Takes a picture in place of an older one, if it wants pictures.
    pub(super) fn show(&mut self, preview: &Arc<Preview>) {
        if self.previews {
            self.preview = Some(preview.clone());
        }
    }

    /// Returns the events that it waits for.
    pub(super) fn interest(&self) -> PollFlags {
        match self.backlog.is_empty() && self.preview.is_none() {
            true => PollFlags::POLLIN,
            false => PollFlags::POLLIN | PollFlags::POLLOUT,
        }
    }

    /// Returns whether the other end has gone, or has broken the rules.
    pub(super) fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// Reads what it asks for. A request that is not known ends the connection.
    pub(super) fn read(&mut self) {
        for _ in 0..REQUESTS {
            let mut request = [0; LONGEST_REQUEST];
            match recv(self.socket.as_raw_fd(), &mut request, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => self.request(request.get(..length).unwrap_or_default()),
                Err(Errno::EAGAIN | Errno::EINTR) => return,
                Err(_) => self.is_gone = true,
            }
            if self.is_gone {
                return;
            }
        }
    }

    fn request(&mut self, request: &[u8]) {
        match request.trim_ascii() {
            b"edges on" => self.edges = true,
            b"edges off" => self.edges = false,
            b"preview on" => self.previews = true,
            b"preview off" => (self.previews, self.preview) = (false, None),
            // An empty message is how a closed connection reads.
            _ => self.is_gone = true,
        }
    }

    /// Sends as much as there is room for.
    pub(super) fn write(&mut self) {
        while let Some(packet) = self.backlog.next() {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            match send(self.socket.as_raw_fd(), &packet, flags) {
                Ok(_) => self.backlog.sent(),
                Err(Errno::EAGAIN | Errno::EINTR | Errno::ENOBUFS) => return,
                Err(_) => return self.is_gone = true,
            }
        }
        let Some(preview) = &self.preview else { return };
        let packet = messages::preview(preview);
        let file = [preview.samples.as_raw_fd()];
        let sent = sendmsg::<()>(
            self.socket.as_raw_fd(),
            &[IoSlice::new(&packet)],
            &[ControlMessage::ScmRights(&file)],
            MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL,
            None,
        );
        match sent {
            Ok(_) => self.preview = None,
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ENOBUFS) => {}
            Err(_) => self.is_gone = true,
        }
    }
}

impl AsFd for Subscriber {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
