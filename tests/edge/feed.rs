//! Tests the feed: that readers get every record or its number among the missing, and that no reader delays the line.

use super::*;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, connect, recvmsg,
    send, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// A reader of the feed.
struct Reader(OwnedFd);

impl Reader {
    /// Connects, and waits for messages for as long as `patience_ms`.
    fn connect(path: &Path, patience_ms: i64) -> Reader {
        let kind = SockType::SeqPacket;
        let fd = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None).expect("a socket");
        setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::milliseconds(patience_ms))
            .expect("sets");
        connect(fd.as_raw_fd(), &UnixAddr::new(path).expect("a path")).expect("connects");
        Reader(fd)
    }

    fn ask(&self, request: &str) {
        send(self.0.as_raw_fd(), request.as_bytes(), MsgFlags::MSG_NOSIGNAL).expect("sends");
    }

    /// Returns the next message, and the file that came with it. `None` if the feed has closed, or nothing came.
    fn next(&self) -> Option<(Value, Option<OwnedFd>)> {
        let mut bytes = vec![0; 1 << 18];
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let mut room = nix::cmsg_space!(RawFd);
        let flags = MsgFlags::empty();
        let got = recvmsg::<()>(self.0.as_raw_fd(), &mut slices, Some(&mut room), flags).ok()?;
        let length = got.bytes;
        let file = got.cmsgs().expect("whole").find_map(|message| match message {
            ControlMessageOwned::ScmRights(files) => files.first().copied(),
            _ => None,
        });
        // SAFETY: the message has just brought this descriptor, and nobody else owns it.
        #[allow(unsafe_code)]
        let file = file.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
        (length > 0).then(|| (serde_json::from_slice(&bytes[..length]).expect("JSON"), file))
    }

    /// Returns the next message of a kind.
    fn next_of(&self, kind: &str) -> (Value, Option<OwnedFd>) {
        loop {
            let got = self.next().unwrap_or_else(|| panic!("no message of the kind {kind}"));
            if got.0["type"] == kind {
                return got;
            }
        }
    }
}

/// Rounds all numbers to 32 bits. The feed writes scores as short as they can be, the answer of a request with all digits.
fn in_32_bits(value: &Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or(Value::Null, |n| Value::from(n as f32)),
        Value::Array(values) => values.iter().map(in_32_bits).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (key.clone(), in_32_bits(value))).collect()
        }
        other => other.clone(),
    }
}

fn with_feed() -> Desk {
    let fast = CONFIG.replace("delay_us = 1000000", "delay_us = 300000");
    let fast = fast.replace("deadline_us = 900000", "deadline_us = 250000");
    Desk::new(&format!("{fast}[feed]\nsocket = \"feed.sock\"\nqueue = 16\n"))
}

#[test]
fn a_reader_gets_hello_status_records_edges_and_pictures() {
    let mut desk = with_feed();
    desk.start();
    desk.wait_until_ready();
    let reader = Reader::connect(&desk.path("feed.sock"), 20_000);
    let hello = reader.next().expect("a message").0;
    assert_eq!((&hello["type"], &hello["format"]), (&"hello".into(), &1.into()), "{hello}");
    let status = reader.next_of("status").0;
    assert_eq!(status["status"]["state"], "ready", "{status}");
    reader.ask("edges on");
    reader.ask("preview on");
    // Each status is asked for every half second, so after two of them the requests were read.
    reader.next_of("status");
    reader.next_of("status");
    let asked = desk.ask("trigger");
    let mut seen: Vec<(Value, Option<OwnedFd>)> = vec![];
    let kinds = |seen: &[(Value, Option<OwnedFd>)]| -> Vec<String> {
        seen.iter().map(|(m, _)| m["type"].as_str().expect("a kind").to_owned()).collect()
    };
    while !["part", "edge", "preview"].iter().all(|k| kinds(&seen).iter().any(|s| s == k)) {
        seen.push(reader.next().unwrap_or_else(|| panic!("only {:?}", kinds(&seen))));
    }
    let of = |kind: &str| seen.iter().find(|(m, _)| m["type"] == kind).expect("seen");
    let part = &of("part").0;
    for (key, value) in asked.as_object().expect("a record") {
        assert_eq!(in_32_bits(&part[key]), in_32_bits(value), "{key}: {part} {asked}");
    }
    let (preview, file) = of("preview");
    assert_eq!(preview["part"], part["part"]);
    let mut samples = vec![];
    let mut file = std::fs::File::from(file.as_ref().expect("a file").try_clone().expect("copies"));
    std::io::Seek::rewind(&mut file).expect("rewinds");
    file.read_to_end(&mut samples).expect("reads");
    assert!(file.write_all(b"x").is_err(), "a sealed file was written to");
    let picture = image::open(desk.path("pictures/0.png")).expect("opens").to_rgb8();
    let size = [preview["width"].as_u64(), preview["height"].as_u64()];
    assert_eq!(size, [Some(picture.width().into()), Some(picture.height().into())]);
    assert_eq!(preview["bits"], 8);
    let known = (0..4).map(|i| image::open(desk.path(&format!("pictures/{i}.png"))));
    assert!(known.into_iter().any(|p| p.expect("opens").to_rgb8().into_raw() == samples));
    assert_eq!(desk.stop(), 0);
    assert!(!desk.path("feed.sock").exists());
}

#[test]
fn a_reader_that_never_reads_loses_messages_and_learns_how_many_and_delays_nobody() {
    let mut desk = with_feed();
    desk.start();
    desk.wait_until_ready();
    let stuck = Reader::connect(&desk.path("feed.sock"), 2_000);
    let quick = Reader::connect(&desk.path("feed.sock"), 2_000);
    // The socket holds some hundred messages. All others wait in the ring, or are dropped.
    const PARTS: u64 = 400;
    let mut of_quick = vec![];
    for _ in 0..PARTS {
        desk.ask("trigger");
        if let Some((message, _)) = quick.next() {
            of_quick.push(message);
        }
    }
    assert_eq!(desk.ask("status")["counters"]["triggers"], PARTS);
    let rest = std::iter::from_fn(|| stuck.next()).take(2000).map(|(message, _)| message);
    let mut of_stuck: Vec<Value> = vec![];
    for message in rest {
        // Everything that waited comes at once. Later messages come every half second.
        let is_part_of_today = message["type"] == "status" && !of_stuck.is_empty();
        of_stuck.push(message);
        if is_part_of_today && of_stuck.iter().any(|m| m["part"] == PARTS) {
            break;
        }
    }
    let parts: Vec<u64> = of_stuck.iter().filter_map(|m| m["part"].as_u64()).collect();
    assert!(parts.is_sorted() && parts.last() == Some(&PARTS), "{parts:?}");
    let lost: u64 = of_stuck.iter().filter_map(|m| m["lost"].as_u64()).sum();
    // Status messages may be among the lost ones.
    assert!(parts.len() as u64 + lost >= PARTS, "{} parts and {lost} lost", parts.len());
    assert_eq!(desk.stop(), 0);
}

#[test]
fn a_fifth_reader_and_a_bad_request_are_turned_away_and_the_others_stay() {
    let mut desk = with_feed();
    desk.start();
    desk.wait_until_ready();
    let path = desk.path("feed.sock");
    let mut readers: Vec<Reader> = (0..4).map(|_| Reader::connect(&path, 5_000)).collect();
    for reader in &readers {
        assert_eq!(reader.next().expect("a message").0["type"], "hello");
    }
    assert!(Reader::connect(&path, 5_000).next().is_none(), "a fifth reader got a message");
    readers[3].ask("give me everything");
    while readers[3].next().is_some() {}
    readers.pop();
    let again = Reader::connect(&path, 5_000);
    assert_eq!(again.next().expect("a message").0["type"], "hello");
    for reader in &readers {
        reader.next_of("status");
    }
    assert_eq!(desk.stop(), 0);
}
