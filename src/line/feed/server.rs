//! Runs the thread that serves the subscribers of the feed.

use super::messages::{self, Packet};
use super::source::{Item, Source};
use super::subscriber::Subscriber;
use crate::clock::LineTime;
use crate::error::{Error, Kind, Result};
use crate::line::control::Control;
use crate::line::local_socket::make_way;
use crate::line::reply::Answer;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket,
};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// The most subscribers.
const MOST_SUBSCRIBERS: usize = 4;
/// The time between two messages about the state of the line.
const STATUS_EVERY: Duration = Duration::from_millis(500);
/// The longest sleep. It bounds the time until the end of the program is noticed.
const NAP: Duration = Duration::from_millis(50);
/// The number of records that are taken in one turn.
const TAKEN: usize = 1024;
/// The number of connections that wait to be accepted.
const WAITING: i32 = 8;

/// A socket that listens. Its file is removed when it is dropped.
pub struct FeedSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl FeedSocket {
    /// Listens at a path. It replaces a file that an earlier instance left behind, but not one that answers. User and
    /// group of the program may connect.
    ///
    /// # Errors
    /// Returns [`Kind::Io`] if another program listens there, or if the socket cannot be made.
    pub fn open(path: &Path) -> Result<Self> {
        let failed =
            |e: std::io::Error| Error::io(path, "the socket of the feed cannot be made", &e);
        let address = UnixAddr::new(path).map_err(|e| failed(e.into()))?;
        let new = || {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)
        };
        let probe = new().map_err(|e| failed(e.into()))?;
        if connect(probe.as_raw_fd(), &address).is_ok() {
            let what = format!("{}: another program listens here", path.display());
            return Err(Error::new(Kind::Io, what).advise("stop it, or give another feed.socket"));
        }
        make_way(path).map_err(failed)?;
        let listener = new().map_err(|e| failed(e.into()))?;
        bind(listener.as_raw_fd(), &address).map_err(|e| failed(e.into()))?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(failed)?;
        let waiting = Backlog::new(WAITING).map_err(|e| failed(e.into()))?;
        listen(&listener, waiting).map_err(|e| failed(e.into()))?;
        Ok(FeedSocket { listener: UnixListener::from(listener), path: path.to_owned() })
    }

    /// Serves subscribers until the device stops. `queue` is the number of messages that may wait for each of them, and
    /// `name` the name of the device.
    pub fn run(self, source: Source, control: &Arc<Control>, queue: usize, name: &str) {
        let mut server = Server {
            socket: &self,
            source,
            control,
            queue,
            hello: messages::hello(name),
            subscribers: vec![],
            status: None,
            status_at: LineTime::default(),
        };
        while !control.hub.stopped() {
            server.turn();
        }
    }
}

impl Drop for FeedSocket {
    fn drop(&mut self) {
        // If the file stays behind, the next start replaces it.
        let _ = std::fs::remove_file(&self.path);
    }
}

struct Server<'a> {
    socket: &'a FeedSocket,
    source: Source,
    control: &'a Arc<Control>,
    queue: usize,
    hello: Packet,
    subscribers: Vec<Subscriber>,
    /// Where the answer of the hub thread comes from, while one is awaited.
    status: Option<Receiver<Answer>>,
    /// The moment at which the state was last asked for.
    status_at: LineTime,
}

impl Server<'_> {
    /// Waits until something happens, and does what there is to do.
    fn turn(&mut self) {
        let (readable, accepts) = self.wait();
        self.source.ear.clear();
        let now = LineTime::now();
        for (subscriber, readable) in self.subscribers.iter_mut().zip(readable) {
            if readable {
                subscriber.read();
            }
        }
        if accepts {
            self.accept();
        }
        self.subscribers.retain(|subscriber| !subscriber.is_gone());
        self.announce();
        self.hand_out();
        self.tell_status(now);
        self.show_preview();
        self.subscribers.iter_mut().for_each(Subscriber::write);
        self.subscribers.retain(|subscriber| !subscriber.is_gone());
    }

    /// Waits. Returns which subscribers have something to say, and whether there is a new one.
    fn wait(&self) -> (Vec<bool>, bool) {
        let mut polled: Vec<PollFd<'_>> =
            self.subscribers.iter().map(|s| PollFd::new(s.as_fd(), s.interest())).collect();
        polled.push(PollFd::new(self.source.ear.as_fd(), PollFlags::POLLIN));
        polled.push(PollFd::new(self.socket.listener.as_fd(), PollFlags::POLLIN));
        let timeout = PollTimeout::from(u16::try_from(NAP.as_millis()).unwrap_or(u16::MAX));
        if poll(&mut polled, timeout).is_err() {
            return (vec![], false);
        }
        let to_read = PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR;
        let can_read = |fd: &PollFd<'_>| fd.revents().is_some_and(|e| e.intersects(to_read));
        let accepts = polled.last().is_some_and(can_read);
        (polled.iter().take(self.subscribers.len()).map(can_read).collect(), accepts)
    }

    /// Accepts one subscriber. If there are too many already, it is turned away.
    fn accept(&mut self) {
        // Of a connection, the standard library's type is only used as the owner of its descriptor.
        let Ok((connection, _)) = self.socket.listener.accept() else { return };
        if self.subscribers.len() < MOST_SUBSCRIBERS {
            let subscriber = Subscriber::new(connection.into(), self.queue, self.hello.clone());
            self.subscribers.push(subscriber);
        } else {
            log::warn!(
                "feed: there are {MOST_SUBSCRIBERS} subscribers already; one is turned away"
            );
        }
    }

    /// Tells the hub thread and the inspection what somebody watches.
    fn announce(&self) {
        let any = |wants: fn(&Subscriber) -> bool| self.subscribers.iter().any(wants);
        let shared = &self.source.shared;
        shared.watched.store(!self.subscribers.is_empty(), Ordering::Relaxed);
        shared.edges.store(any(|s| s.edges), Ordering::Relaxed);
        self.source.preview.want(any(|s| s.previews));
    }

    /// Hands out what the hub thread has put into the queue.
    fn hand_out(&mut self) {
        for item in self.source.items.try_iter().take(TAKEN) {
            let (packet, only_edges) = match &item {
                Item::Part(record) => (messages::part(record), false),
                Item::Edge(record) => (messages::edge(record), true),
            };
            let interested = self.subscribers.iter_mut().filter(|s| !only_edges || s.edges);
            interested.for_each(|subscriber| subscriber.push(&packet));
        }
        // The newest records are the ones that found no room. So the gap follows those that did.
        let lost = self.source.shared.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let packet = messages::gap(lost);
            self.subscribers.iter_mut().for_each(|subscriber| subscriber.push(&packet));
        }
    }

    /// Asks the hub thread for the state of the line, and hands it out when it comes.
    fn tell_status(&mut self, now: LineTime) {
        if let Some(answer) = self.status.as_ref().and_then(|status| status.try_recv().ok()) {
            self.status = None;
            let packet = messages::status(&self.control.to_json(answer));
            self.subscribers.iter_mut().for_each(|subscriber| subscriber.push(&packet));
        }
        if !self.subscribers.is_empty() && now.since(self.status_at) >= STATUS_EVERY {
            self.status_at = now;
            // An answer that has not come by now belongs to a line that does not answer: its subscribers see no status.
            self.status = self.control.ask_status(&self.source.bell);
        }
    }

    fn show_preview(&mut self) {
        if let Some(preview) = self.source.preview.take().map(Arc::new) {
            self.subscribers.iter_mut().for_each(|subscriber| subscriber.show(&preview));
        }
    }
}
