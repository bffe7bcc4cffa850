//! Holds the client's end of the socket: it asks the running device.

use super::limits::{ANSWER, PART};
use crate::error::{Error, Result};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// The time that a device has to accept a connection, and to take the request.
const ACCEPT: Duration = Duration::from_secs(5);
/// The longest answer, in bytes.
const MAX_ANSWER: u64 = 1 << 20;

/// Asks a running device. The answer is one line of JSON.
///
/// # Errors
/// Returns [`crate::error::Kind::Io`] if nobody answers.
pub fn ask(socket: &Path, word: &str) -> Result<String> {
    let failed = |e: std::io::Error| {
        Error::io(socket, "no answer from hetmm-edge", &e)
            .advise("is it running, with this control.socket, and may this user use it?")
    };
    let mut stream = connected(socket, ACCEPT).map_err(|e| failed(e.into()))?;
    stream.set_read_timeout(Some(PART + ANSWER)).map_err(failed)?;
    // A client that is turned away gets an answer all the same, perhaps before it could ask.
    let asked = stream.write_all(format!("{word}\n").as_bytes());
    let mut answer = vec![];
    let read = stream.take(MAX_ANSWER).read_to_end(&mut answer);
    if answer.last() != Some(&b'\n') {
        asked.and(read.map(drop)).map_err(failed)?;
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Asks a running device for something that lasts as long as this program stays. Hands over each answer, a line of
/// JSON, until the device ends it.
///
/// # Errors
/// Returns [`crate::error::Kind::Io`] if nobody answers, or what `each` returns.
pub fn attend(socket: &Path, word: &str, mut each: impl FnMut(&str) -> Result<()>) -> Result<()> {
    let failed = |e: std::io::Error| Error::io(socket, "no answer from hetmm-edge", &e);
    let mut stream = connected(socket, ACCEPT).map_err(|e| {
        failed(e.into())
            .advise("is it running, with this control.socket, and may this user use it?")
    })?;
    stream.write_all(format!("{word}\n").as_bytes()).map_err(failed)?;
    let mut answers = BufReader::new(stream.take(MAX_ANSWER));
    let mut line = String::new();
    while answers.read_line(&mut line).map_err(failed)? > 0 {
        each(&line)?;
        line.clear();
    }
    Ok(())
}

/// Returns whether a program listens at a socket. It also counts one that has no room for another connection.
pub(super) fn somebody_listens(path: &Path) -> bool {
    matches!(connected(path, Duration::ZERO), Ok(_) | Err(Errno::EAGAIN))
}

/// Connects to a device. If the device has no room, it waits in the order in which others wait. Returns
/// [`Errno::EAGAIN`] if that takes longer than `patience`.
fn connected(path: &Path, patience: Duration) -> nix::Result<UnixStream> {
    let address = UnixAddr::new(path)?;
    let mut flags = SockFlag::SOCK_CLOEXEC;
    if patience.is_zero() {
        flags |= SockFlag::SOCK_NONBLOCK;
    }
    let socket = UnixStream::from(socket(AddressFamily::Unix, SockType::Stream, flags, None)?);
    if !patience.is_zero() {
        // On Linux this is also the time limit for connecting.
        socket.set_write_timeout(Some(patience)).map_err(|_| Errno::EINVAL)?;
    }
    connect(socket.as_raw_fd(), &address)?;
    Ok(socket)
}
