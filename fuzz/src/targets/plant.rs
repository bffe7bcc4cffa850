//! What `hetmm-plant` reads: requests of Modbus clients, and messages of the feed.

use crate::board::Board;
use crate::device::Device;
use crate::modbus::control::Control;
use crate::modbus::map::View;
use crate::modbus::results::Results;
use crate::part::Part;
use crate::preview::{Preview, Raw};
use hetmm::line::config::{LineConfig, WordOrder};
use serde_json::Value;
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// A server that listens, as `hetmm-plant` starts it.
struct Serving {
    runtime: Runtime,
    at: SocketAddr,
    board: std::sync::Arc<Board>,
}

fn serving() -> &'static Serving {
    static SERVING: OnceLock<Serving> = OnceLock::new();
    SERVING.get_or_init(|| {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let at = free.local_addr().expect("an address");
        drop(free);
        let text = crate::seeds::CONFIGURATION.to_owned()
            + &format!("[feed]\nsocket = \"f\"\n[modbus]\nlisten = \"{at}\"\nwrite = true\nwriters = [\"127.0.0.1\"]\nmax_connections = 64\n");
        let config = LineConfig::parse(&text, "fuzz").expect("a configuration");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let (runtime, board) = (runtime.expect("a runtime"), Board::new(None));
        let device = Device::new(&config.control);
        let served = crate::modbus::serve(&config, board.clone(), device);
        runtime.block_on(served).expect("listens");
        Serving { runtime, at, board }
    })
}

/// A connection, and how many inputs it had. The server ends one that asks too often.
static CONNECTION: Mutex<Option<(TcpStream, u32)>> = Mutex::new(None);
/// Reads one register. The server must answer this, whatever came before.
const QUESTION: [u8; 12] = [0xff, 0xfe, 0, 0, 0, 6, 1, 4, 0, 0, 0, 1];
const ANSWER: [u8; 9] = [0xff, 0xfe, 0, 0, 0, 5, 1, 4, 2];

/// Sends the input as one frame, and a question behind it. The question is answered, or the connection ends.
pub fn modbus(input: &[u8]) {
    let serving = serving();
    serving.board.status(Value::Null);
    let mut frame = input.to_vec();
    frame.resize(frame.len().max(8), 0);
    let length = (frame.len() - 6) as u16;
    frame[2..4].fill(0);
    frame[4..6].copy_from_slice(&length.to_be_bytes());
    let mut connection = CONNECTION.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = connection.take().filter(|(_, inputs)| *inputs < 400);
    serving.runtime.block_on(async {
        let (mut stream, inputs) = match taken {
            Some(taken) => taken,
            None => (connected(serving).await, 0),
        };
        if is_answered(&mut stream, &frame).await {
            *connection = Some((stream, inputs + 1));
        } else {
            // A connection of its own gets the answer.
            assert!(is_answered(&mut connected(serving).await, &[]).await, "the server is gone");
        }
    });
}

async fn connected(serving: &Serving) -> TcpStream {
    let stream = TcpStream::connect(serving.at).await.expect("connects");
    let _ = stream.set_nodelay(true);
    // Otherwise the system keeps the port of every connection for a minute.
    stream.set_zero_linger().expect("can be set");
    stream
}

/// Returns whether the question behind `frame` is answered. Otherwise the connection has ended.
async fn is_answered(stream: &mut TcpStream, frame: &[u8]) -> bool {
    if stream.write_all(&[frame, &QUESTION].concat()).await.is_err() {
        return false;
    }
    let (mut answer, mut part) = (vec![], [0; 4096]);
    loop {
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => return false,
            Ok(length) => answer.extend(&part[..length]),
        }
        assert!(answer.len() < 1 << 16);
        if answer.len() >= 11 && answer[answer.len() - 11..].starts_with(&ANSWER) {
            return true;
        }
    }
}

/// Takes messages, one in each line of text, as the feed's reader does, and shows everything that can be shown.
pub fn feed(input: &[u8]) {
    let board = Board::new(Some(50_000));
    let mut results = Results::default();
    for message in input.split(|byte| *byte == b'\n') {
        let Ok(message) = serde_json::from_slice::<Value>(message) else { continue };
        match message.get("type").and_then(Value::as_str) {
            Some("hello") => {
                board.hello(message.get("version").and_then(Value::as_str).unwrap_or(""))
            }
            Some("status") => board.status(message.get("status").cloned().unwrap_or_default()),
            Some("gap") => board.lost(message.get("lost").and_then(Value::as_u64).unwrap_or(1)),
            Some("preview") => preview(message, &board),
            _ => {
                let Ok(part) = Part::read(message) else { continue };
                part.ratio();
                part.gate_lateness_us();
                part.trigger_to_result_us();
                part.summary();
                results.add(part.clone().into());
                board.part(part);
            }
        }
    }
    assert!(!crate::metrics::text(&board).is_empty());
    let (now, control) = (board.now(), Control::default());
    for order in [WordOrder::HighFirst, WordOrder::LowFirst] {
        let view = View {
            now: &now,
            results: &results,
            control: &control,
            device: "fuzz",
            order,
            clock: true,
            plc_alive: Duration::from_secs(1),
            at: Instant::now(),
        };
        view.registers();
        view.discrete_inputs();
    }
}

/// Reads a picture that has as many samples as the message says, if they are few, and one byte fewer.
fn preview(message: Value, board: &Board) {
    let Ok(raw) = serde_json::from_value::<Raw>(message) else { return };
    let bytes = u128::from(raw.width)
        * u128::from(raw.height)
        * u128::from(raw.channels)
        * u128::from(raw.bits / 8);
    for length in [bytes.min(1 << 14), bytes.saturating_sub(1).min(1 << 14)] {
        let samples: Vec<u8> = (0..length).map(|i| i as u8).collect();
        if let Ok(preview) = Preview::read(raw, &file_of(&samples)) {
            preview.summary();
            board.preview(preview);
        }
    }
}

fn file_of(bytes: &[u8]) -> File {
    let mut file =
        tempfile::tempfile_in("/dev/shm").or_else(|_| tempfile::tempfile()).expect("a file");
    file.write_all(bytes).expect("writes");
    file
}
