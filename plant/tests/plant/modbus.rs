//! Tests Modbus with raw frames and with other people's clients.

use crate::desk::{Desk, is_installed};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

const READ_ONLY: &str = "[modbus]\nlisten = \"MODBUS\"\nmax_connections = 4\nidle_s = 2\n";
const WRITABLE: &str = "[modbus]\nlisten = \"MODBUS\"\nwrite = true\nwriters = [\"127.0.0.1\"]\n";

/// A client that sends what it is told.
struct Client(TcpStream);

impl Client {
    fn new(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("connects");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("sets");
        stream.set_nodelay(true).expect("sets");
        Client(stream)
    }

    /// Sends a request. Returns the function code and what follows, or `None` if the connection ends.
    fn ask(&mut self, pdu: &[u8]) -> Option<Vec<u8>> {
        let length = u16::try_from(pdu.len() + 1).expect("short");
        let mut frame = vec![0, 7, 0, 0];
        frame.extend_from_slice(&length.to_be_bytes());
        frame.push(1);
        frame.extend_from_slice(pdu);
        self.0.write_all(&frame).ok()?;
        let mut head = [0; 7];
        self.0.read_exact(&mut head).ok()?;
        assert_eq!(&head[..4], [0, 7, 0, 0]);
        let mut answer = vec![0; usize::from(u16::from_be_bytes([head[4], head[5]])) - 1];
        self.0.read_exact(&mut answer).ok()?;
        Some(answer)
    }

    /// Reads registers with function 3 (holding) or 4 (input).
    fn read(&mut self, function: u8, at: u16, count: u16) -> Result<Vec<u16>, u8> {
        let [a, b] = at.to_be_bytes();
        let [c, d] = count.to_be_bytes();
        let answer = self.ask(&[function, a, b, c, d]).expect("an answer");
        if answer[0] & 0x80 != 0 {
            return Err(answer[1]);
        }
        Ok(answer[2..].chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect())
    }

    fn write(&mut self, function: u8, at: u16, value: u16) -> Result<(), u8> {
        let [a, b] = at.to_be_bytes();
        let [c, d] = value.to_be_bytes();
        let answer = self.ask(&[function, a, b, c, d]).expect("an answer");
        if answer[0] & 0x80 != 0 { Err(answer[1]) } else { Ok(()) }
    }

    fn coil(&mut self, coil: u16, on: bool) -> Result<(), u8> {
        self.write(5, coil, if on { 0xff00 } else { 0 })
    }
}

fn u32_of(registers: &[u16], at: usize) -> u32 {
    (u32::from(registers[at]) << 16) | u32::from(registers[at + 1])
}

/// A fuzz target found that the decoder of requests panics on this. Only the connection may end, and its place is free
/// again.
#[test]
fn fewer_coils_than_a_request_says_end_only_its_connection() {
    let mut desk = Desk::new(READ_ONLY);
    desk.start();
    for _ in 0..8 {
        let mut client = Client::new(desk.modbus);
        assert_eq!(client.ask(&[15, 0, 0, 0, 16, 1, 255]), None);
        desk.wait("an answer", |desk| Client::new(desk.modbus).ask(&[4, 0, 0, 0, 1]).is_some());
    }
}

#[test]
fn every_register_can_be_read_and_nothing_can_be_written_unless_allowed() {
    let mut desk = Desk::new(READ_ONLY);
    desk.start();
    let seen = |desk: &Desk| Client::new(desk.modbus).read(4, 0, 100).expect("reads");
    desk.wait("a rejected part", |desk| {
        u32_of(&seen(desk), 14) >= 1 && u32_of(&seen(desk), 10) >= 3
    });
    let mut client = Client::new(desk.modbus);
    let mut all: Vec<u16> = vec![];
    // A part that was not inspected has no score.
    desk.wait("an inspected part", |desk| u32_of(&seen(desk), 49) != 0);
    while all.len() < 256 || all[40] != all[63] || u32_of(&all, 49) == 0 {
        let blocks = [0, 64, 128, 192].iter();
        all = blocks.flat_map(|at| client.read(4, *at, 64).expect("reads")).collect();
    }
    let status = desk.status().expect("a status");
    assert_eq!((all[0], u32_of(&all, 4)), (1, 0x0102_0304));
    assert_eq!(all[2] & 0b11, 0b11, "online and ready");
    let counted = status["counters"]["triggers"].as_u64().expect("a number");
    assert!((1..=counted).contains(&u64::from(u32_of(&all, 8))), "{counted}");
    assert!(matches!(all[45], 1 | 2) && all[40] == all[63] && all[40] > 0);
    assert_eq!(all[45] == 1, all[46] == 0, "a passed part has no reason");
    assert!(f32::from_bits(u32_of(&all, 49)) > 0.0, "the threshold");
    assert_eq!(&all[200..203], [0x6361, 0x6d31, 0], "cam1");
    // Holding registers repeat them.
    assert_eq!(client.read(3, 1000, 8).expect("reads")[4..6], [0x0102, 0x0304]);
    assert_eq!(client.read(3, 0, 4), Ok(vec![0; 4]));
    // What is not there, or too much.
    for (function, at, count, exception) in [
        (4, 256, 1, 2),
        (4, 255, 2, 2),
        (3, 1256, 1, 2),
        (3, 500, 1, 2),
        (4, 0, 126, 3),
        (4, 0, 0, 3),
        (1, 16, 1, 2),
        (2, 32, 1, 2),
        (4, 65535, 1, 2),
    ] {
        assert_eq!(
            client.read(function, at, count).expect_err("refused"),
            exception,
            "{at} {count}"
        );
    }
    for (function, at) in [(5, 3), (6, 1)] {
        assert_eq!(client.write(function, at, 0), Err(1), "{function}");
    }
    for pdu in [&[7][..], &[8, 0, 0, 0, 0], &[0x16, 0, 0, 0, 0, 0, 0], &[0x11]] {
        let answer = client.ask(pdu).expect("an answer");
        assert_eq!(answer, [pdu[0] | 0x80, 1], "{pdu:?}");
    }
    let identity = client.ask(&[0x2b, 0x0e, 1, 0]).expect("an answer");
    assert!(identity.windows(5).any(|window| window == b"hetmm"), "{identity:?}");
}

#[test]
fn another_clients_mbpoll_reads_the_same() {
    if !is_installed("mbpoll") {
        return;
    }
    let mut desk = Desk::new(READ_ONLY);
    desk.start();
    let poll = |kind: &str, at: &str| {
        let port = desk.modbus.to_string();
        let out = Command::new("mbpoll")
            .args([
                "-m",
                "tcp",
                "-p",
                &port,
                "-a",
                "1",
                "-0",
                "-1",
                "-q",
                "-t",
                kind,
                "-r",
                at,
                "127.0.0.1",
            ])
            .output()
            .expect("runs");
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let line = text.lines().find(|line| line.starts_with('[')).expect("a value").to_owned();
        line.rsplit_once(':').expect("a value").1.trim().to_owned()
    };
    assert_eq!(poll("3", "0"), "1");
    assert_eq!(poll("3:hex", "4"), "0x0102");
    assert_eq!(poll("4:hex", "1005"), "0x0304");
}

#[test]
fn broken_frames_floods_and_silence_cost_only_their_own_connection() {
    let mut desk = Desk::new(READ_ONLY);
    desk.start();
    let steady = || Client::new(desk.modbus).read(4, 0, 125);
    let ends = |bytes: &[u8]| {
        let mut client = Client::new(desk.modbus);
        client.0.write_all(bytes).expect("writes");
        let mut rest = vec![];
        client.0.read_to_end(&mut rest).map(|_| rest)
    };
    // Another protocol, a wrong length, and half a frame that never goes on (closed after idle_s).
    for bytes in
        [&[0, 1, 0, 9, 0, 6, 1, 4, 0, 0, 0, 1][..], &[0, 1, 0, 0, 0, 0], &[0, 1, 0, 0, 0, 6, 1]]
    {
        let begun = Instant::now();
        assert!(ends(bytes).is_ok(), "{bytes:?}: {:?}", begun.elapsed());
        assert!(steady().is_ok());
    }
    let mut flood = Client::new(desk.modbus);
    let asked = (0..5000).take_while(|_| flood.ask(&[4, 0, 0, 0, 1]).is_some()).count();
    assert!((900..1100).contains(&asked), "{asked} of at most 1000 a second");
    let begun = Instant::now();
    assert!(steady().is_ok() && begun.elapsed() < Duration::from_millis(500));
    // The places are counted, and come back.
    drop(flood);
    // All of them stay connected until all were asked: a busy server accepts late.
    let mut taken: Vec<Client> = (0..8).map(|_| Client::new(desk.modbus)).collect();
    let served = taken.iter_mut().filter_map(|client| client.ask(&[4, 0, 0, 0, 1])).count();
    assert!((3..=4).contains(&served), "{served} of 4 places");
    drop(taken);
    desk.wait("a free place", |desk| Client::new(desk.modbus).ask(&[4, 0, 0, 0, 1]).is_some());
}

#[test]
fn a_plc_acknowledges_results_and_commands_the_device() {
    let mut desk = Desk::new(WRITABLE);
    desk.start();
    let mut plc = Client::new(desk.modbus);
    assert_eq!(plc.coil(7, true), Err(3), "a reserved coil");
    assert_eq!(plc.write(6, 100, 1), Err(2));
    // Every part is shown until it is acknowledged.
    plc.coil(2, true).expect("writes");
    let mut seen = vec![];
    let end = Instant::now() + Duration::from_secs(30);
    while seen.len() < 6 && Instant::now() < end {
        let block = plc.read(4, 0, 64).expect("reads");
        if block[2] & 0b1000 == 0 {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        }
        seen.push(block[44]);
        for on in [true, false] {
            plc.coil(1, on).expect("writes");
        }
    }
    let steps: Vec<u16> = seen.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(steps, [1; 5], "{seen:?}");
    // A command is carried out once, and says what it came to.
    let mut command = |number: u16, argument: u16| {
        plc.coil(3, false).expect("writes");
        for (at, value) in [(1, number), (2, 0), (3, argument)] {
            plc.write(6, at, value).expect("writes");
        }
        plc.coil(3, true).expect("writes");
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let block = plc.read(4, 0, 34).expect("reads");
            if block[2] & (1 << 11) == 0 {
                return (block[30], block[31], block[2] & (0b11 << 12));
            }
            assert!(Instant::now() < end, "the command never ends");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    assert_eq!(command(6, 0), (6, 1, 1 << 12), "reload is done");
    assert_eq!(command(2, 60_000), (2, 2, 1 << 13), "there is no such part to teach");
    assert_eq!(command(1, 3), (1, 2, 1 << 13), "there is no such slot to select");
    assert_eq!(command(99, 0), (99, 4, 1 << 13), "there is no such command");
    assert_eq!(command(5, 0), (5, 1, 1 << 12), "the safe state");
    assert_eq!(desk.status().expect("a status")["state"], "safe");
    // Without the device nothing can be written, and the last values stay.
    Desk::kill(&mut desk.edge);
    desk.wait("the end of the feed", |desk| {
        Client::new(desk.modbus).read(4, 2, 1).expect("reads")[0] & 1 == 0
    });
    assert_eq!(plc.coil(1, true), Err(6));
    assert!(u32_of(&plc.read(4, 8, 2).expect("reads"), 0) > 0);
}
