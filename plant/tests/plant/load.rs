//! Hammers `hetmm-plant` from all sides and kills it meanwhile, and checks every record of the production line. `plant/load.py`
//! does the same for longer, and measures.

use crate::desk::Desk;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const FRONTS: &str = "[modbus]\nlisten = \"MODBUS\"\nmax_connections = 32\n[metrics]\nlisten = \"METRICS\"\n\
    [web]\nlisten = \"WEB\"\nusers = \"users.json\"\nanonymous_observer = true\n[mqtt]\nbroker = \"mqtt://127.0.0.1:BROKER\"\n";
/// A read of 64 input registers.
const POLL: [u8; 12] = [0, 1, 0, 0, 0, 6, 1, 4, 0, 0, 0, 64];

/// Says what a client does with its connection.
#[derive(Clone, Copy)]
enum Manner {
    /// It asks for the state and closes.
    Fast,
    /// It sends its request byte by byte.
    Slow,
    /// It streams events for a while.
    Streaming,
    /// It reads registers.
    Master,
}

/// Starts a broker that answers with garbage. Returns its port.
fn bad_broker() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.write_all(&[0x20, 0xff, 0xff, 0xff, 0x7f, 1, 2, 3]);
        }
    });
    port
}

/// Connects again and again. Whatever fails belongs to the test: the other program is killed meanwhile.
fn hammer(port: u16, manner: Manner, ends: Arc<AtomicBool>) -> JoinHandle<u32> {
    std::thread::spawn(move || {
        let mut answers = 0;
        while !ends.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(100));
            answers += u32::from(visit(port, manner).unwrap_or(false));
        }
        answers
    })
}

/// Makes one connection. Returns whether there was an answer.
fn visit(port: u16, manner: Manner) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let ask = |path: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")
    };
    let mut bytes = [0; 4096];
    match manner {
        Manner::Fast => stream.write_all(ask("/api/state").as_bytes())?,
        Manner::Streaming => stream.write_all(ask("/api/events").as_bytes())?,
        Manner::Master => stream.write_all(&POLL)?,
        Manner::Slow => {
            for byte in ask("/").bytes().take(20) {
                stream.write_all(&[byte])?;
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
    let is_answered = stream.read(&mut bytes)? > 0;
    for _ in 0..20 {
        if !matches!(manner, Manner::Streaming) || stream.read(&mut bytes)? == 0 {
            break;
        }
    }
    Ok(is_answered)
}

/// Returns the records of all parts.
fn records(desk: &Desk) -> Vec<Value> {
    let mut lines = chain(desk);
    lines.retain(|line| line["kind"] == "part");
    lines
}

/// Returns the whole lines of the chain of records.
pub fn chain(desk: &Desk) -> Vec<Value> {
    let mut records = vec![];
    for entry in std::fs::read_dir(desk.path("records")).expect("reads") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            let text = std::fs::read_to_string(path).expect("reads");
            let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            records.extend(whole.map(|line| serde_json::from_str::<Value>(line).expect("JSON")));
        }
    }
    records
}

#[test]
fn no_part_passes_wrongly_while_clients_hammer_and_the_other_program_is_killed() {
    let mut desk = Desk::new(&FRONTS.replace("BROKER", &bad_broker().to_string()));
    desk.start();
    let ends = Arc::new(AtomicBool::new(false));
    let crowd = [
        (40, desk.web, Manner::Fast),
        (30, desk.web, Manner::Slow),
        (30, desk.web, Manner::Streaming),
        (20, desk.modbus, Manner::Master),
    ];
    let clients: Vec<_> = (crowd.iter())
        .flat_map(|(count, port, manner)| (0..*count).map(move |_| (*port, *manner)))
        .map(|(port, manner)| hammer(port, manner, ends.clone()))
        .collect();
    for _ in 0..3 {
        std::thread::sleep(Duration::from_secs(4));
        Desk::kill(&mut desk.plant);
        desk.start_plant();
    }
    std::thread::sleep(Duration::from_secs(2));
    ends.store(true, Ordering::SeqCst);
    let answers: u32 = clients.into_iter().map(|client| client.join().expect("ends")).sum();
    assert!(answers > 100, "the clients were served: {answers} answers");
    assert_eq!(Desk::stop(&mut desk.edge), Some(0));
    // Each picture was judged before. The score in the record of a part says which picture it was.
    let passing = desk.scores_that_pass();
    let is_known = |score: f64| passing.iter().any(|one| (one - score).abs() < 1e-3);
    let records = records(&desk);
    let passed: Vec<&Value> =
        records.iter().filter(|record| record["outcome"] == "passed").collect();
    assert!(passed.len() > 3, "{} of {} parts passed", passed.len(), records.len());
    for part in passed {
        assert!(part["score"].as_f64().is_some_and(is_known), "passed wrongly: {part}");
    }
    // The numbers of the parts have no gap: no record is lost.
    let numbers: Vec<u64> =
        records.iter().map(|record| record["part"].as_u64().expect("a number")).collect();
    let last = numbers.iter().max().copied().expect("parts");
    assert_eq!(numbers.len() as u64, last, "each part has its record");
}
