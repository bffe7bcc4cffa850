//! Runs the thread that serves the socket. It waits for all connections at once and for none of them alone.

use super::answers::{Control, Next, Taken};
use super::ask;
use super::client::{Client, Place, Stage};
use crate::clock::LineTime;
use crate::error::{Error, Kind, Result};
use crate::line::local_socket::make_way;
use crate::line::reply::{Bell, Ear};
use crate::line::request::{Petition, Request};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::TryRecvError;
use std::time::Duration;

/// The number of connections that may send their requests at the same time. If there is one more, the slowest is turned
/// away.
const MAX_ASKING: usize = 256;
/// The time for its request that every connection has, however many there are.
const LEAST_PATIENCE: Duration = Duration::from_millis(50);
/// The number of connections that have their answer. If there is one more, the one that has had its answer for the
/// longest is closed.
const MAX_LEAVING: usize = 128;
/// The number of connections of all kinds. Further ones wait until they are accepted.
const MAX_CONNECTIONS: usize = 600;
/// The number of connections that are accepted in one turn.
const ACCEPTED: usize = 64;
/// The time for which new connections wait if there is no room for them.
const PAUSE: Duration = Duration::from_millis(5);
/// The longest sleep. It bounds the time until the end of the program is noticed.
const NAP: Duration = Duration::from_millis(50);

/// Holds a socket that listens. Its file is removed when it is dropped.
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    bell: Bell,
    ear: Ear,
}

impl Socket {
    /// Listens at a path. It replaces a file that an earlier instance left behind, but not one that answers.
    ///
    /// # Errors
    /// Returns [`Kind::Io`] if another program listens there, or if the socket cannot be made.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |e: std::io::Error| Error::io(path, "the control socket cannot be made", &e);
        if ask::somebody_listens(path) {
            let what = format!("{}: another hetmm-edge listens here", path.display());
            return Err(
                Error::new(Kind::Io, what).advise("stop it, or give another control.socket")
            );
        }
        make_way(path).map_err(failed)?;
        let (bell, ear) = Bell::new().map_err(failed)?;
        let listener = UnixListener::bind(path).map_err(failed)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Socket { listener, path: path.to_owned(), bell, ear })
    }

    /// Serves connections until the device stops.
    pub fn run(self, control: &Arc<Control>) {
        let mut server = Server {
            socket: &self,
            control,
            clients: vec![],
            taken: Taken::default(),
            accepts_from: LineTime::default(),
        };
        while !control.hub.stopped() {
            server.turn();
        }
        server.end();
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // If the file stays behind, the next start replaces it.
        let _ = std::fs::remove_file(&self.path);
    }
}

struct Server<'a> {
    socket: &'a Socket,
    control: &'a Arc<Control>,
    clients: Vec<Client>,
    taken: Taken,
    /// The moment until which new connections wait.
    accepts_from: LineTime,
}

impl Server<'_> {
    /// Waits until something happens, and does what there is to do.
    fn turn(&mut self) {
        let happened = self.wait();
        self.socket.ear.clear();
        let now = LineTime::now();
        self.count();
        for (index, happened) in happened.into_iter().enumerate() {
            self.serve(index, happened, now);
        }
        self.clients.retain(|client| !matches!(client.stage, Stage::Gone));
        self.accept(now);
    }

    /// Waits for any connection, new or old, for an answer or for the end of a time limit. Returns what happened to
    /// each client.
    fn wait(&self) -> Vec<PollFlags> {
        let now = LineTime::now();
        let accepts = (now < self.accepts_from).then_some(self.accepts_from);
        let dues = self.clients.iter().filter_map(Client::due).chain(accepts);
        let nap = dues.map(|due| due.since(now)).min().unwrap_or(NAP).min(NAP);
        // Round up: a turn that begins a millisecond early has nothing to do.
        let milliseconds = nap.as_micros().div_ceil(1000);
        let timeout = PollTimeout::from(u16::try_from(milliseconds).unwrap_or(1));
        let clients = self.clients.iter().map(|c| PollFd::new(c.stream.as_fd(), c.interest()));
        let mut polled: Vec<PollFd<'_>> = clients.collect();
        polled.push(PollFd::new(self.socket.ear.as_fd(), PollFlags::POLLIN));
        if now >= self.accepts_from {
            polled.push(PollFd::new(self.socket.listener.as_fd(), PollFlags::POLLIN));
        }
        // If polling fails, nothing has happened, and every time limit still holds.
        let failed = poll(&mut polled, timeout).is_err();
        let happened = |fd: &PollFd<'_>| match failed {
            true => PollFlags::empty(),
            false => fd.revents().unwrap_or(PollFlags::empty()),
        };
        polled.iter().take(self.clients.len()).map(happened).collect()
    }

    /// Counts the requests that wait.
    fn count(&mut self) {
        let waiting = |wanted: Place| {
            let is_there = |c: &&Client| matches!(&c.stage, Stage::Waiting(w) if w.place == wanted);
            self.clients.iter().filter(is_there).count()
        };
        (self.taken.line, self.taken.parts) = (waiting(Place::Line), waiting(Place::Part));
        self.taken.is_attended = self.clients.iter().any(Client::attends_commissioning);
    }

    /// Does what there is to do for one client.
    fn serve(&mut self, index: usize, happened: PollFlags, now: LineTime) {
        let Some(client) = self.clients.get_mut(index) else { return };
        let is_due = client.due().is_some_and(|due| now >= due);
        let mut is_attending = client.is_attended();
        match &client.stage {
            Stage::Asking(_) | Stage::Answering(_) | Stage::Leaving
                if happened.is_empty() && !is_due => {}
            Stage::Asking(_) => {
                let Some(petition) = client.read_request(now) else { return };
                let request = petition.as_ref().map(|petition| petition.request);
                let ends = matches!(request, Ok(Request::Safe | Request::EndCommissioning));
                let (taken, bell) = (&mut self.taken, &self.socket.bell);
                begin(self.control, client, petition, taken, bell, now);
                if ends {
                    self.dismiss(now);
                }
                return;
            }
            Stage::Waiting(waiting) => {
                let place = waiting.place;
                match waiting.answer.try_recv() {
                    // A client that has its answer may go, unless that answer began commissioning.
                    Ok(answer) => {
                        is_attending = self.control.answer(client, place, answer, now);
                    }
                    Err(TryRecvError::Empty) if !is_due => {
                        let gone = happened.intersects(PollFlags::POLLHUP | PollFlags::POLLERR);
                        // The safe state is taken even if the client has gone.
                        if gone && place != Place::Safe {
                            client.stage = Stage::Gone;
                        }
                    }
                    Err(_) => {
                        client.answer(&self.control.without_answer(place), now);
                        if place.is_attended() {
                            self.control.end_commissioning(&self.socket.bell);
                        }
                    }
                }
            }
            Stage::Attending if is_due => {
                client.answer(&ended(), now);
                self.control.end_commissioning(&self.socket.bell);
            }
            Stage::Attending => {
                if client.has_left() {
                    client.stage = Stage::Gone;
                }
            }
            Stage::Answering(_) => client.write(now),
            Stage::Leaving => client.leave(now),
            Stage::Gone => {}
        }
        if is_attending && matches!(client.stage, Stage::Gone) {
            log::warn!("the client that attends commissioning has gone");
            self.control.end_commissioning(&self.socket.bell);
        }
    }

    /// Tells the clients that attend commissioning that it has ended.
    fn dismiss(&mut self, now: LineTime) {
        for client in &mut self.clients {
            if matches!(client.stage, Stage::Attending) {
                client.answer(&ended(), now);
            }
        }
    }

    /// Accepts new connections, and makes room for them.
    fn accept(&mut self, now: LineTime) {
        if now < self.accepts_from {
            return;
        }
        for _ in 0..ACCEPTED {
            if !self.make_room(now) {
                self.accepts_from = now + PAUSE;
                return;
            }
            match self.socket.listener.accept() {
                Ok((stream, _)) => self.clients.extend(Client::new(stream, now)),
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return,
                // The peer has gone again, or there are no more file descriptors.
                Err(_) => return self.accepts_from = now + NAP,
            }
        }
    }

    /// Returns whether one more connection may come. If there are too many, it turns away the slowest one.
    fn make_room(&mut self, now: LineTime) -> bool {
        let mut leaving = self.clients.iter_mut().filter(|c| matches!(c.stage, Stage::Leaving));
        // Clients are kept in the order in which they came.
        if let Some(first) = leaving.next()
            && leaving.count() >= MAX_LEAVING
        {
            first.stage = Stage::Gone;
            self.clients.retain(|client| !matches!(client.stage, Stage::Gone));
        }
        if self.clients.len() >= MAX_CONNECTIONS {
            return false;
        }
        let mut asking = self.clients.iter_mut().filter(|client| client.is_asking());
        let Some(slowest) = asking.next() else { return true };
        if asking.count() + 1 < MAX_ASKING {
            return true;
        }
        let is_slow = now.since(slowest.since) >= LEAST_PATIENCE;
        if is_slow {
            slowest.hurry(now);
        }
        is_slow
    }

    /// Answers the clients that still wait, as far as that takes no time.
    fn end(&mut self) {
        let now = LineTime::now();
        for client in &mut self.clients {
            if matches!(client.stage, Stage::Asking(_) | Stage::Waiting(_) | Stage::Attending) {
                client.answer(&json!({"error": "hetmm-edge stops"}), now);
            }
        }
    }
}

/// Returns what a client is told that attended commissioning.
fn ended() -> Value {
    json!({"done": "commissioning has ended; the safe state stays"})
}

/// Begins to carry out what a client asks for.
fn begin(
    control: &Arc<Control>,
    client: &mut Client,
    petition: std::result::Result<Petition, String>,
    taken: &mut Taken,
    bell: &Bell,
    now: LineTime,
) {
    let next = match petition {
        Ok(petition) => control.begin(petition, client.user(), taken, bell),
        Err(why) => Next::Answer(json!({"error": why})),
    };
    match next {
        Next::Answer(answer) => client.answer(&answer, now),
        Next::Wait(waiting) => {
            match waiting.place {
                Place::Line => taken.line += 1,
                Place::Part => taken.parts += 1,
                Place::Commission => taken.is_attended = true,
                Place::Safe | Place::Work | Place::Pulse => {}
            }
            client.stage = Stage::Waiting(waiting);
        }
    }
}
