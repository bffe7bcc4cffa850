//! Reads the feed of `hetmm-edge` on a thread, for as long as this program runs.

use crate::board::Board;
use crate::part::Part;
use crate::preview::{Preview, Raw};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, connect, recvmsg,
    send, setsockopt, socket, sockopt::ReceiveTimeout,
};
use nix::sys::time::{TimeVal, TimeValLike};
use serde_json::Value;
use std::fs::File;
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The longest message, in bytes.
const LONGEST: usize = 1 << 18;
/// The format of the feed that is understood.
const FORMAT: u64 = 1;
/// The pause between two tries to connect.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest wait for a message. The device says something every 500 ms.
const PATIENCE_MS: i64 = 1500;

/// Reads the feed until the program ends, and connects again whenever it is gone.
pub fn run(path: &Path, board: &Arc<Board>) {
    let mut said = String::new();
    loop {
        let why = match read(path, board) {
            Ok(()) => "hetmm-edge has closed it".to_owned(),
            Err(why) => why,
        };
        board.gone();
        if why != said {
            log::warn!("{}: no feed: {why}; trying again", path.display());
            said = why;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Reads one connection to its end.
fn read(path: &Path, board: &Arc<Board>) -> Result<(), String> {
    let feed = connected(path).map_err(|e| e.desc().to_owned())?;
    let mut buffer = vec![0; LONGEST];
    let mut is_asked = false;
    loop {
        if is_asked != board.is_watched() {
            is_asked = !is_asked;
            let word = if is_asked { "preview on" } else { "preview off" };
            send(feed.as_raw_fd(), word.as_bytes(), MsgFlags::MSG_NOSIGNAL)
                .map_err(|e| e.desc().to_owned())?;
        }
        let (length, file) = match received(&feed, &mut buffer) {
            Ok((0, _)) => return Ok(()),
            Ok(received) => received,
            Err(Errno::EAGAIN) => return Err("it is silent".into()),
            Err(Errno::EINTR) => continue,
            Err(why) => return Err(why.desc().to_owned()),
        };
        let message = buffer.get(..length).unwrap_or_default();
        let message: Value = serde_json::from_slice(message).map_err(|e| e.to_string())?;
        take(message, file, board)?;
    }
}

fn connected(path: &Path) -> nix::Result<OwnedFd> {
    let address = UnixAddr::new(path)?;
    let flags = SockFlag::SOCK_CLOEXEC;
    let feed = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    setsockopt(&feed, ReceiveTimeout, &TimeVal::milliseconds(PATIENCE_MS))?;
    connect(feed.as_raw_fd(), &address)?;
    Ok(feed)
}

/// Receives one message, and the file that came with it.
fn received(feed: &OwnedFd, buffer: &mut [u8]) -> nix::Result<(usize, Option<File>)> {
    let mut parts = [IoSliceMut::new(buffer)];
    let mut space = cmsg_space!([RawFd; 4]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(feed.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    if message.flags.contains(MsgFlags::MSG_TRUNC) {
        return Err(Errno::EMSGSIZE);
    }
    let mut files = vec![];
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(descriptors) = control {
            // SAFETY: the kernel has made these descriptors for this process with this call, so nobody else owns them.
            #[allow(unsafe_code)]
            files.extend(descriptors.into_iter().map(|fd| unsafe { File::from_raw_fd(fd) }));
        }
    }
    Ok((message.bytes, files.into_iter().next()))
}

/// Notes what a message says. What it does not know, it ignores: the feed may say more than this program understands.
fn take(message: Value, file: Option<File>, board: &Board) -> Result<(), String> {
    match message.get("type").and_then(Value::as_str) {
        Some("hello") => {
            let format = message.get("format").and_then(Value::as_u64);
            if format != Some(FORMAT) {
                let found = format.unwrap_or(0);
                return Err(format!("format {found}, and this program understands {FORMAT}"));
            }
            log::info!("the feed is there");
            board.hello(message.get("version").and_then(Value::as_str).unwrap_or(""));
        }
        Some("status") => board.status(message.get("status").cloned().unwrap_or_default()),
        Some("part") => match Part::read(message) {
            Ok(part) => board.part(part),
            Err(why) => log::warn!("a part of the feed cannot be understood: {why}"),
        },
        Some("gap") => board.lost(message.get("lost").and_then(Value::as_u64).unwrap_or(1)),
        Some("preview") => match (serde_json::from_value::<Raw>(message), file) {
            (Ok(raw), Some(file)) => match Preview::read(raw, &file) {
                Ok(preview) => board.preview(preview),
                Err(why) => log::warn!("a picture of the feed cannot be used: {why}"),
            },
            _ => log::warn!("a picture of the feed came without its samples"),
        },
        _ => {}
    }
    Ok(())
}
