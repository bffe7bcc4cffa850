//! Tests that other clients cannot keep one from the safe state, and that no input keeps the program from starting or
//! from ending.

use super::*;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Returns a configuration whose gate is so far away that triggered parts stay on their way.
fn far_gate() -> String {
    CONFIG.replace("delay_us = 1000000", "delay_us = 60000000")
}

/// Sends one request on a socket of its own, and returns its answer.
fn ask(socket: &Path, request: &str) -> Value {
    let mut stream = UnixStream::connect(socket).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(70))).expect("sets");
    stream.write_all(format!("{request}\n").as_bytes()).expect("writes");
    answer(stream)
}

/// Reads the one line of JSON that every connection gets.
fn answer(mut stream: UnixStream) -> Value {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer that is whole");
    assert!(answer.ends_with('\n') && answer.lines().count() == 1, "{answer:?}");
    serde_json::from_str(&answer).expect("JSON")
}

/// Returns the exit code of a child, which has to end in time.
fn code_within(child: &mut Child, limit: Duration) -> Option<i32> {
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().expect("waits") {
            use std::os::unix::process::ExitStatusExt;
            return status.code().or_else(|| status.signal().map(|signal| 128 + signal));
        }
        if Instant::now() > end {
            child.kill().expect("kills");
            child.wait().expect("ends");
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn make_pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().expect("mkfifo runs");
    assert!(made.success(), "{}", path.display());
}

/// Runs a command until it ends by itself, which has to be soon.
fn run_soon(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let code = code_within(&mut child, Duration::from_secs(20));
    let out = child.wait_with_output().expect("ends");
    assert!(code.is_some(), "it hangs: {}", stderr(&out));
    out
}

/// Holds clients of every bad kind, each on a thread of its own, until they are told to stop.
struct Crowd {
    stop: Arc<AtomicBool>,
    refused: Arc<AtomicUsize>,
    reloads: Arc<AtomicUsize>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Crowd {
    fn new() -> Self {
        let (stop, refused, reloads) = Default::default();
        Crowd { stop, refused, reloads, threads: vec![] }
    }

    /// Calls `client` again and again.
    fn add(&mut self, client: impl Fn(&AtomicBool) -> bool + Send + 'static) {
        let (stop, refused) = (self.stop.clone(), self.refused.clone());
        self.threads.push(std::thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                if client(&stop) {
                    refused.fetch_add(1, Ordering::SeqCst);
                }
            }
        }));
    }

    /// Adds four clients that wait for the part that they have triggered.
    fn add_triggers(&mut self, socket: &Path) {
        for _ in 0..4 {
            let socket = socket.to_owned();
            self.add(move |_| {
                std::thread::sleep(Duration::from_millis(20));
                ask(&socket, "trigger")["error"].is_string()
            });
        }
    }

    /// Adds four clients that send a byte now and then, and four that never end their line of text.
    fn add_slow(&mut self, socket: &Path) {
        for said in [" ", " ", " ", " ", "saf", "safe", "\u{0}", ""] {
            let socket = socket.to_owned();
            self.add(move |stop| {
                let mut stream = UnixStream::connect(&socket).expect("connects");
                while stream.write_all(said.as_bytes()).is_ok() && !stop.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(50));
                }
                true
            });
        }
    }

    /// Adds one client whose work takes long: the template is loaded and checked again, and a part is taught.
    fn add_work(&mut self, socket: &Path) {
        let (socket, reloads) = (socket.to_owned(), self.reloads.clone());
        self.add(move |_| {
            let is_done = ask(&socket, "reload")["done"].is_string();
            reloads.fetch_add(usize::from(is_done), Ordering::SeqCst);
            ask(&socket, "teach 1 force")["error"].is_string()
        });
    }

    /// Adds 200 connections at once that say nothing.
    fn add_flood(&mut self, socket: &Path) {
        let socket = socket.to_owned();
        self.add(move |stop| {
            let connect = |_| UnixStream::connect(&socket).expect("connects");
            let mut open: Vec<UnixStream> = (0..200).map(connect).collect();
            while !stop.load(Ordering::SeqCst) {
                open.rotate_left(1);
                open.pop();
                open.push(connect(0));
                std::thread::sleep(Duration::from_millis(1));
            }
            false
        });
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            assert!(thread.join().is_ok() || std::thread::panicking());
        }
    }
}

/// Covers a former fault: four parts on their way, or four slow clients, blocked `safe` for as long as they liked.
#[test]
fn safe_is_done_within_a_second_whatever_other_clients_do() {
    let mut desk = Desk::new(&far_gate());
    desk.start();
    desk.wait_until_ready();
    let socket = desk.path("edge.sock");
    let mut crowd = Crowd::new();
    crowd.add_triggers(&socket);
    crowd.add_slow(&socket);
    crowd.add_flood(&socket);
    crowd.add_work(&socket);
    let mut slowest = Duration::ZERO;
    for round in 0..40 {
        std::thread::sleep(Duration::from_millis(60));
        let begun = Instant::now();
        let done = ask(&socket, "safe");
        let took = begun.elapsed();
        assert_eq!(done["done"], "safe", "round {round}: {done}");
        assert!(took < Duration::from_secs(1), "round {round}: {took:?}");
        slowest = slowest.max(took);
        assert_eq!(ask(&socket, "status")["state"], "safe");
        assert_eq!(ask(&socket, "acknowledge")["done"], "acknowledged");
        // The program itself gets an answer, too. It reads its configuration and finds the socket there.
        if round % 8 == 0 {
            assert_eq!(desk.ask("safe")["done"], "safe");
        }
        assert_eq!(ask(&socket, "resume")["done"], "resumed");
    }
    eprintln!("the slowest of 40 took {slowest:?}");
    assert!(crowd.reloads.load(Ordering::SeqCst) > 0, "nothing was loaded meanwhile");
    assert_eq!(ask(&socket, "safe")["done"], "safe");
    drop(crowd);
    assert_eq!(desk.stop(), 0);
}

/// Repeats the case as it was found: five triggers whose gate is far away.
#[test]
fn parts_on_their_way_keep_nobody_from_the_socket_and_one_too_many_is_rejected_unseen() {
    let mut desk = Desk::new(&far_gate());
    desk.start();
    desk.wait_until_ready();
    let socket = desk.path("edge.sock");
    let trigger = |_| {
        let mut stream = UnixStream::connect(&socket).expect("connects");
        stream.write_all(b"trigger\n").expect("writes");
        stream
    };
    let waiting: Vec<UnixStream> = (0..32).map(trigger).collect();
    desk.wait_for("32 parts", |status| status["counters"]["triggers"] == 32);
    let refused = ask(&socket, "trigger");
    assert!(
        refused["error"].as_str().is_some_and(|e| e.contains("is rejected unseen")),
        "{refused}"
    );
    desk.wait_for("the lost part", |status| {
        let counters = &status["counters"];
        counters["triggers"] == 33 && counters["rejected_for"]["lost_trigger"] == 1
    });
    assert_eq!(ask(&socket, "acknowledge")["done"], "acknowledged");
    assert_eq!(ask(&socket, "history")["journal"], Value::Array(vec![]));
    assert_eq!(desk.ask("safe")["done"], "safe");
    // The safe state rejects their parts, and the clients that waited hear of it.
    let mut reasons: Vec<Value> = waiting.into_iter().map(|s| answer(s)["why"].clone()).collect();
    reasons.retain(|why| why != "safe");
    assert!(reasons.len() <= 32 && reasons.iter().all(|why| why != &Value::Null), "{reasons:?}");
    assert_eq!(desk.stop(), 0);
}

/// Covers a former fault: the limit of half a second held for each byte.
#[test]
fn a_request_has_half_a_second_however_slowly_it_comes() {
    let mut desk = Desk::new(CONFIG);
    desk.start();
    desk.wait_until_ready();
    let begun = Instant::now();
    let slow = |_| {
        let mut stream = UnixStream::connect(desk.path("edge.sock")).expect("connects");
        std::thread::spawn(move || {
            let mut byte = |_: &u32| {
                std::thread::sleep(Duration::from_millis(100));
                stream.write_all(b" ")
            };
            // A little data after the answer does not destroy it.
            let sent = (0..7).take_while(|n| byte(n).is_ok()).count();
            (sent, answer(stream))
        })
    };
    let clients: Vec<_> = (0..4).map(slow).collect();
    for client in clients {
        let (sent, answer) = client.join().expect("ends");
        assert!(answer["error"].as_str().is_some_and(|e| e.contains("in time")), "{answer}");
        assert!(sent >= 5, "{sent}");
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(desk.stop(), 0);
}

/// Covers a former fault: a socket that was closed with the request unread gave "connection reset" in place of the
/// answer.
#[test]
fn who_is_turned_away_is_told_so_also_if_it_speaks_late() {
    let mut desk = Desk::new(CONFIG);
    desk.start();
    desk.wait_until_ready();
    let connect = |_| UnixStream::connect(desk.path("edge.sock")).expect("connects");
    let clients: Vec<UnixStream> = (0..300).map(connect).collect();
    std::thread::sleep(Duration::from_millis(300));
    let mut answers = vec![];
    for (number, mut client) in clients.into_iter().enumerate() {
        if number % 3 == 0 {
            // Write as much as the socket takes. The device may have closed it already.
            let _ = client.write_all(&[b'x'; 3000]);
        }
        if number % 3 == 1 {
            let _ = client.write_all(b"status\n");
        }
        let answer = answer(client);
        answers.push(match (answer["error"].as_str(), answer["state"].as_str()) {
            (Some(error), None) if error.contains("too many") => "turned away",
            (Some(error), None) if error.contains("in time") => "late",
            (Some(error), None) if error.contains("not a request") => "wrong",
            (None, Some("ready")) => "served",
            _ => panic!("{answer}"),
        });
    }
    let count = |what: &str| answers.iter().filter(|answer| **answer == what).count();
    assert!(count("turned away") > 20, "{}", count("turned away"));
    assert_eq!(answers.len(), 300);
    assert_eq!(desk.stop(), 0);
}

/// Requests that work on the template take long. They have places of their own.
#[test]
fn reloads_that_take_all_their_places_keep_nobody_else_from_the_socket() {
    let mut desk = Desk::new(CONFIG);
    desk.start();
    desk.wait_until_ready();
    let socket = desk.path("edge.sock");
    let reload = |_| {
        let socket = socket.clone();
        std::thread::spawn(move || ask(&socket, "reload"))
    };
    let reloads: Vec<_> = (0..12).map(reload).collect();
    std::thread::sleep(Duration::from_millis(50));
    let begun = Instant::now();
    assert_eq!(ask(&socket, "safe")["done"], "safe");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    let answers: Vec<Value> = reloads.into_iter().map(|r| r.join().expect("ends")).collect();
    let done = answers.iter().filter(|answer| answer["done"].is_string()).count();
    let busy = |a: &&Value| a["error"].as_str().is_some_and(|e| e.contains("try again later"));
    assert!(done >= 1, "{answers:?}");
    assert_eq!(done + answers.iter().filter(busy).count(), 12, "{answers:?}");
    assert_eq!(desk.stop(), 0);
}

/// Returns deterministic numbers (splitmix64).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[test]
fn whatever_bytes_come_every_connection_gets_one_json_line() {
    let mut desk = Desk::new(CONFIG);
    desk.start();
    desk.wait_until_ready();
    let seeds = ["status", "resume", "acknowledge", "teach 7 force", "undo 3", "history", "safe"];
    let mut state = 20_261_127;
    for _ in 0..10 {
        let mut clients = vec![];
        for _ in 0..40 {
            let mut line = seeds[next(&mut state) as usize % seeds.len()].as_bytes().to_vec();
            for _ in 0..next(&mut state) % 4 {
                let at = next(&mut state) as usize % (line.len() + 1);
                match next(&mut state) % 4 {
                    0 => line.insert(at, next(&mut state) as u8),
                    1 => line.truncate(at),
                    2 => line.extend((0..at * 20).map(|_| next(&mut state) as u8)),
                    _ => {
                        line.iter_mut().skip(at).take(1).for_each(|b| *b ^= next(&mut state) as u8)
                    }
                }
            }
            line.push(b'\n');
            let mut client = UnixStream::connect(desk.path("edge.sock")).expect("connects");
            let _ = client.write_all(&line);
            clients.push((client, line));
        }
        for (client, line) in clients {
            let answer = answer(client);
            assert!(answer.is_object(), "{:?}: {answer}", String::from_utf8_lossy(&line));
        }
    }
    assert_eq!(desk.ask("resume")["done"], "resumed");
    desk.wait_until_ready();
    assert_eq!(desk.stop(), 0);
}

/// Covers a former fault: the program waited for the other end of the pipe when signals were already blocked, so only
/// SIGKILL ended it. A device file without an end filled the memory.
#[test]
fn a_recording_that_is_no_regular_file_is_refused_at_once() {
    let desk = Desk::new(CONFIG);
    let recording = desk.path("recording");
    std::fs::create_dir(&recording).expect("makes");
    let csv = recording.join("triggers.csv");
    let pipe = |path: &Path| make_pipe(path);
    let zero = |path: &Path| std::os::unix::fs::symlink("/dev/zero", path).expect("links");
    let socket = |path: &Path| drop(UnixListener::bind(path).expect("binds"));
    let makers: [&dyn Fn(&Path); 3] = [&pipe, &zero, &socket];
    for make in makers {
        make(&csv);
        let out = run_soon(desk.command().arg("--replay").arg(&recording));
        assert_eq!(out.status.code(), Some(2), "{}", stderr(&out));
        assert!(stderr(&out).contains("triggers.csv: not a regular file"), "{}", stderr(&out));
        assert!(stderr(&out).contains("-> "), "{}", stderr(&out));
        std::fs::remove_file(&csv).expect("removes");
    }
}

#[test]
fn a_configuration_or_a_socket_that_is_no_regular_file_is_refused_at_once() {
    let desk = Desk::new(CONFIG);
    make_pipe(&desk.path("pipe"));
    let (pipe, line) = (desk.path("pipe"), desk.path("line.toml"));
    let (pipe, line) = (pipe.to_str().expect("text"), line.to_str().expect("text"));
    for (arguments, code) in [
        (vec!["--config", pipe], 2),
        (vec!["--config", pipe, "--check"], 2),
        (vec!["--config", pipe, "--replay", "recording"], 2),
        (vec!["--config", pipe, "safe"], 2),
        (vec!["--config", "/dev/zero"], 2),
        (vec!["--config", line, "status", "--socket", pipe], 5),
        (vec!["--config", line, "status", "--socket", line], 5),
        (vec!["--config", line, "status", "--socket", "/dev/zero"], 5),
    ] {
        let out = run_soon(Command::new(EDGE).args(&arguments));
        assert_eq!(out.status.code(), Some(code), "{arguments:?}: {}", stderr(&out));
    }
    let other = Desk::new(&CONFIG.replace("edge.sock", "pipe"));
    make_pipe(&other.path("pipe"));
    let out = run_soon(&mut other.command());
    assert_eq!(out.status.code(), Some(5), "{}", stderr(&out));
}

/// Nothing that a configuration names delays the production line or the end of the program.
#[test]
fn pipes_in_the_place_of_files_and_folders_delay_neither_the_line_nor_its_end() {
    let with = |from: &str, to: &str| CONFIG.replace(from, to);
    let cases = [
        (with("\"parts.jsonl\"", "\"pipe\""), true),
        (with("\"edges.jsonl\"", "\"pipe\""), true),
        (with("folder = \"archive\"", "folder = \"pipe\""), true),
        (with("file = \"part.hetmm\"", "file = \"pipe\""), false),
        (with("folder = \"pictures\"", "folder = \"pipe\""), false),
        (with("file = \"part.hetmm\"", "file = \"part.hetmm\"\nbackbone = \"pipe\""), false),
    ];
    for (number, (config, is_ready)) in cases.into_iter().enumerate() {
        let mut desk = Desk::new(&config);
        make_pipe(&desk.path("pipe"));
        // The folder of pictures holds a pipe, too.
        make_pipe(&desk.path("pictures/00.png"));
        desk.start();
        if is_ready {
            desk.wait_until_ready();
            assert_eq!(desk.ask("trigger")["outcome"], "passed", "case {number}: {}", desk.log());
            let shown = run_soon(desk.command().arg("--check"));
            assert_eq!(shown.status.code(), Some(5), "case {number}: {}", stderr(&shown));
            assert!(stderr(&shown).contains("WRONG"), "{}", stderr(&shown));
        } else {
            desk.wait_for("an answer", |status| status["state"] == "not_ready");
        }
        let begun = Instant::now();
        assert_eq!(desk.ask("safe")["done"], "safe", "case {number}");
        let child = desk.child.as_mut().expect("runs");
        signal(child, "TERM");
        let code = code_within(child, Duration::from_secs(10));
        assert_eq!(code, Some(0), "case {number}: {}", desk.log());
        assert!(begun.elapsed() < Duration::from_millis(2500), "case {number}: {begun:?}");
    }
}

/// Signals are caught before anything is opened. From then on a thread has to listen to them.
#[test]
fn a_signal_ends_the_program_at_any_moment_of_its_start() {
    let desk = Desk::new(CONFIG);
    let recording = desk.record(&[(0, None, 0)]);
    // The recording is long enough to be read for a while.
    let csv = "at_us,picture\n".to_owned() + &"50000000,\n".repeat(900_000);
    std::fs::write(recording.join("triggers.csv"), csv).expect("writes");
    let mut before = 0;
    for number in 0..30 {
        let mut command = desk.command();
        if number % 2 == 0 {
            command.arg("--replay").arg(&recording);
        }
        let log = std::fs::File::create(desk.path("log")).expect("creates");
        let mut child = command.stdout(Stdio::null()).stderr(log).spawn().expect("starts");
        std::thread::sleep(Duration::from_millis(number * 5));
        signal(&child, ["TERM", "INT"][number as usize / 2 % 2]);
        let code = code_within(&mut child, Duration::from_secs(10));
        // 143 and 130 mean that the signal came before the program caught signals.
        assert!(matches!(code, Some(0 | 143 | 130)), "{number}: {code:?} {}", desk.log());
        before += u32::from(desk.log().contains("asked to stop before the line ran"));
    }
    eprintln!("{before} of 30 ended before the line ran");
}

/// Covers a former fault: a full disk behind standard output was a panic, with an undocumented exit code.
#[test]
fn standard_output_that_cannot_be_written_is_an_error_and_no_panic() {
    let mut desk = Desk::new(CONFIG);
    let recording = desk.record(&[(0, None, 0)]);
    let recording = recording.to_str().expect("text");
    std::fs::copy(desk.path("line.toml"), desk.path("other.toml")).expect("copies");
    let other = std::fs::read_to_string(desk.path("other.toml")).expect("reads");
    std::fs::write(desk.path("other.toml"), other.replace("edge.sock", "other.sock"))
        .expect("writes");
    let other = desk.path("other.toml");
    let other = other.to_str().expect("text");
    desk.start();
    desk.wait_until_ready();
    let socket = desk.path("edge.sock");
    let socket = socket.to_str().expect("text");
    // Each case holds the arguments, and what standard error says beside the failure.
    let cases: [(&[&str], &str); 13] = [
        (&["completions", "bash"], ""),
        (&["completions", "zsh"], ""),
        (&["--help"], ""),
        (&["--version"], ""),
        (&["--version", "--json"], ""),
        (&["teach", "--help"], ""),
        (&["--config", other, "--check"], ""),
        (&["--config", other, "--replay", recording], "the recording is over"),
        (&["status", "--socket", socket], "status: ready"),
        (&["history", "--socket", socket], ""),
        (&["safe", "--socket", socket], "safe: safe"),
        (&["undo", "--socket", socket], "nothing was inserted"),
        (&["resume", "--socket", socket], "resume: resumed"),
    ];
    for (arguments, word) in cases {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("opens");
        let out = Command::new(EDGE).args(arguments).stdout(full).output().expect("runs");
        assert_eq!(out.status.code(), Some(5), "{arguments:?}: {}", stderr(&out));
        assert!(stderr(&out).contains("standard output cannot be written"), "{}", stderr(&out));
        assert!(stderr(&out).contains(word), "{arguments:?}: {}", stderr(&out));
        assert!(!stderr(&out).contains("panicked"), "{}", stderr(&out));
        // Here the reader has gone away.
        let mut child = (Command::new(EDGE).args(arguments))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        drop(child.stdout.take());
        let out = child.wait_with_output().expect("ends");
        let refused = i32::from(arguments.contains(&"undo"));
        assert_eq!(out.status.code(), Some(refused), "{arguments:?}: {}", stderr(&out));
        assert!(!stderr(&out).contains("standard output"), "{arguments:?}: {}", stderr(&out));
    }
    // If standard error cannot be written, only the visible text changes.
    for (arguments, code) in [(vec!["--config", "/nonexistent", "--check"], 5), (vec!["--no"], 2)] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("opens");
        let out = Command::new(EDGE).args(&arguments).stderr(full).output().expect("runs");
        assert_eq!(out.status.code(), Some(code), "{arguments:?}");
    }
    assert_eq!(desk.stop(), 0);
}
