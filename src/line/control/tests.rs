//! Tests the socket without a device: what becomes of requests if the hub thread does not answer.

use super::{Control, PlantUser, Socket, client};
use crate::clock::LineTime;
use crate::gpio::{LineRef, MemoryPin};
use crate::line::config::{FaultConfig, LineConfig};
use crate::line::hub::{Hub, Links};
use crate::line::messages::Message;
use crate::line::outbox::Outbox;
use crate::line::outputs::Bank;
use crate::line::records::{Records, Reporter};
use crate::line::reply::{Answer, Asked, Bell, REQUESTS, Reply};
use crate::line::request::Request;
use crate::line::templates::Templates;
use crate::line::tracker::{Event, Line, PartTracker};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const CONFIG: &str = "[template]\nfile = \"no.hetmm\"\n[trigger]\nsource = \"free-run\"\n[camera]\n\
                      source = \"folder\"\nfolder = \"-\"\nframes_per_second = 1\n[reject]\n\
                      delay_us = 1000\npulse_width_us = 1000\n[outputs]\nsimulate = true\n";

/// Holds a socket that is served, and the ends of the hub thread. The test plays the hub.
struct Desk {
    folder: tempfile::TempDir,
    stop: Arc<AtomicBool>,
    bank: Arc<Mutex<Bank>>,
    fault: MemoryPin,
    requests: Receiver<Asked>,
    messages: Receiver<Message>,
    served: Option<std::thread::JoinHandle<()>>,
}

impl Desk {
    /// Makes a desk with room for so many requests to the hub thread, and for so many messages.
    fn new(requests: usize, messages: usize) -> Self {
        Self::with(requests, messages, None)
    }

    /// Makes a desk at which commissioning lasts so long, or is not allowed.
    fn with(requests: usize, messages: usize, commissioning: Option<Duration>) -> Self {
        Self::of(requests, messages, commissioning, None)
    }

    /// Makes a desk at which the user of this test runs `hetmm-plant`, which may make these requests.
    fn for_plant(may: &[&str]) -> Self {
        let user = nix::unistd::geteuid().as_raw();
        let may = may.iter().map(|verb| (*verb).to_owned()).collect();
        Self::of(REQUESTS, 1000, None, Some(PlantUser { user, may }))
    }

    fn of(
        requests: usize,
        messages: usize,
        commissioning: Option<Duration>,
        plant: Option<PlantUser>,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = LineConfig::parse(CONFIG, "test").expect("reads");
        let mut outputs = config.outputs.clone();
        let line = LineRef::Offset(1);
        outputs.fault = Some(FaultConfig { chip: None, line, healthy: Default::default() });
        let bank = Bank::open(&outputs).expect("opens");
        let fault = bank.memory(Line::Fault).expect("wired");
        let bank = Arc::new(Mutex::new(bank));
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, messages) = sync_channel(messages);
        let hub = Outbox::new(sender, stop.clone());
        let (ask, asked) = sync_channel(requests);
        let templates = Templates::new(
            config.recipe(),
            config.slots(),
            false,
            Arc::default(),
            hub.clone(),
            Reporter::default(),
        );
        let control = Arc::new(Control {
            hub,
            requests: ask,
            bank: bank.clone(),
            templates: Arc::new(templates),
            archive: None,
            drift: None,
            teach: false,
            review_passes: false,
            commissioning,
            plant,
            live: Default::default(),
            losses: Arc::default(),
            logins: Default::default(),
        });
        let socket = Socket::open(&folder.path().join("sock")).expect("listens");
        let served = Some(std::thread::spawn(move || socket.run(&control)));
        Desk { folder, stop, bank, fault, requests: asked, messages, served }
    }

    fn connect(&self, said: &str) -> UnixStream {
        let mut stream = UnixStream::connect(self.folder.path().join("sock")).expect("connects");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("sets");
        stream.write_all(said.as_bytes()).expect("writes");
        stream
    }

    /// Returns the next request that keeps its place among the events.
    fn next_in_order(&self) -> (Request, Reply) {
        loop {
            match self.messages.recv_timeout(Duration::from_secs(10)).expect("a message") {
                Message::Control(request, reply) => return (request, reply),
                Message::Event(Event::Tick) => {}
                _ => panic!("another message"),
            }
        }
    }

    /// Returns the next request that does not keep its place among the events.
    fn next_request(&self) -> (Request, Reply) {
        self.requests.recv_timeout(Duration::from_secs(10)).expect("a request")
    }

    /// Begins commissioning, as the hub thread does, and returns the client that attends it.
    fn commissioned(&self) -> BufReader<UnixStream> {
        let mut client = BufReader::new(self.connect("commission on\n"));
        let (request, reply) = self.next_request();
        assert_eq!(request, Request::Commission);
        reply.give(Answer::Json(json!({"done": "commissioning"})));
        assert_eq!(line_of(&mut client)["done"], "commissioning");
        client
    }

    fn set_fault(&self, active: bool) {
        self.bank.lock().expect("locks").set(Line::Fault, active).expect("sets");
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let served = self.served.take().expect("serves").join();
        assert!(served.is_ok() || std::thread::panicking());
    }
}

fn line_of(stream: &mut BufReader<UnixStream>) -> Value {
    let mut line = String::new();
    stream.read_line(&mut line).expect("reads");
    serde_json::from_str(&line).expect("JSON")
}

fn answer(mut stream: UnixStream) -> Value {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("reads");
    assert!(answer.ends_with('\n') && answer.lines().count() == 1, "{answer:?}");
    serde_json::from_str(&answer).expect("JSON")
}

/// Covers a former fault: if the queue of the hub thread was full and the thread did nothing, `safe` was refused.
#[test]
fn safe_is_taken_without_the_line_where_that_does_not_answer() {
    let desk = Desk::new(REQUESTS, 0);
    let refused = answer(desk.connect("trigger\n"));
    assert!(
        refused["error"].to_string().contains("is too busy: this part is rejected"),
        "{refused}"
    );
    desk.set_fault(false);
    assert!(desk.fault.is_high(), "energised: healthy");
    let begun = Instant::now();
    let done = answer(desk.connect("safe\n"));
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(done["done"], "safe");
    assert!(done["warning"].as_str().is_some_and(|w| w.contains("without it")), "{done}");
    assert!(!desk.fault.is_high(), "the fault shows");
    desk.set_fault(false);
    assert!(!desk.fault.is_high(), "and nobody ends it");
    // The request still waits for the hub thread. The outputs can change again when that thread has taken the safe
    // state.
    let (request, reply) = desk.requests.try_recv().expect("a request");
    assert_eq!(request, Request::Safe);
    desk.bank.lock().expect("locks").release();
    reply.give(Answer::Done("safe".into()));
    desk.set_fault(false);
    assert!(desk.fault.is_high());
}

/// If not even a request finds room, the safe state lasts, because the hub thread never hears of it.
#[test]
fn safe_is_taken_for_good_where_the_line_takes_no_more_requests() {
    let desk = Desk::new(1, 0);
    let waits = desk.connect("status\n");
    while !matches!(desk.requests.try_recv(), Ok((Request::Status, _))) {}
    assert_eq!(answer(waits)["error"], "the line does not answer", "its reply was dropped");
    let _waits = desk.connect("status\n");
    std::thread::sleep(Duration::from_millis(200));
    desk.set_fault(false);
    let done = answer(desk.connect("safe\n"));
    assert!(done["done"] == "safe" && done["warning"].to_string().contains("started again"));
    desk.bank.lock().expect("locks").release();
    desk.set_fault(false);
    assert!(!desk.fault.is_high(), "the fault shows for good");
}

#[test]
fn parts_that_are_waited_for_are_bounded_and_keep_nobody_else_waiting() {
    let desk = Desk::new(REQUESTS, 1000);
    let waiting: Vec<UnixStream> = (0..32).map(|_| desk.connect("trigger\n")).collect();
    let replies: Vec<Reply> = (waiting.iter())
        .map(|_| {
            let (request, reply) = desk.next_in_order();
            assert_eq!(request, Request::Trigger);
            reply
        })
        .collect();
    let refused = answer(desk.connect("trigger\n"));
    assert!(refused["error"].to_string().contains("this part is rejected unseen"), "{refused}");
    let asked = desk.messages.try_iter().any(|m| matches!(m, Message::Control(..)));
    assert!(!asked && desk.requests.try_recv().is_err(), "nobody was asked");
    for word in ["acknowledge", "resume", "safe"] {
        let asks = desk.connect(&format!("{word}\n"));
        let (request, reply) = match word {
            "resume" => desk.next_in_order(),
            _ => desk.requests.recv_timeout(Duration::from_secs(10)).expect("a request"),
        };
        assert_eq!(Request::parse(word), Some(request));
        reply.give(Answer::Done(word.into()));
        assert_eq!(answer(asks)["done"], word);
    }
    // A client that goes away leaves its place to another.
    let mut waiting = waiting;
    drop(waiting.pop());
    std::thread::sleep(Duration::from_millis(200));
    waiting.push(desk.connect("trigger\n"));
    assert_eq!(desk.next_in_order().0, Request::Trigger);
    for (number, (reply, waits)) in replies.into_iter().zip(waiting).enumerate().take(31) {
        reply.give(Answer::Done(number.to_string()));
        assert_eq!(answer(waits)["done"], number.to_string());
    }
}

#[test]
fn who_still_waits_when_the_device_stops_is_told_so() {
    let desk = Desk::new(REQUESTS, 1000);
    let waiting = [desk.connect("trigger\n"), desk.connect("sta")];
    std::thread::sleep(Duration::from_millis(200));
    desk.stop.store(true, Ordering::SeqCst);
    for stream in waiting {
        assert_eq!(answer(stream)["error"], "hetmm-edge stops");
    }
    assert!(desk.messages.try_recv().is_ok());
}

/// The answer does not fit into the socket, and the peer does not read. Its place is free in time.
#[test]
fn an_answer_that_nobody_reads_is_given_up() {
    let (server, peer) = UnixStream::pair().expect("a pair");
    let begun = LineTime::now();
    let mut client = client::Client::new(server, begun).expect("a client");
    client.answer(&Value::String("a".repeat(4 << 20)), begun);
    assert!(matches!(client.stage, client::Stage::Answering(_)));
    client.write(begun + Duration::from_millis(499));
    assert!(matches!(client.stage, client::Stage::Answering(_)));
    client.write(begun + Duration::from_millis(500));
    assert!(matches!(client.stage, client::Stage::Gone));
    drop(peer);
}

/// Requests for the safe state overtake the events that wait. An earlier request to leave it is among these events.
#[test]
fn leaving_the_safe_state_that_was_asked_for_before_it_does_not_end_it() {
    let (bell, _ear) = Bell::new().expect("a bell");
    let (before, answer_before) = Reply::new(&bell);
    let (safe, answer_safe) = Reply::new(&bell);
    let (after, answer_after) = Reply::new(&bell);
    let config = LineConfig::parse(CONFIG, "test").expect("reads");
    let (sender, messages) = sync_channel(8);
    let (ask, requests) = sync_channel(8);
    let ((captures, _captures), (jobs, _jobs)) = (sync_channel(1), sync_channel(1));
    let links = Links {
        feed: None,
        feedback: None,
        bank: Arc::new(Mutex::new(Bank::open(&config.outputs).expect("opens"))),
        captures,
        jobs,
        records: Records::start(&config.records, None, None).expect("starts").0,
        alive: Arc::default(),
        light: Arc::default(),
        capture_delay: Duration::ZERO,
        free_run: true,
        lost_parts: Arc::default(),
        commissioning: Duration::from_secs(900),
        expanders: vec![],
        requests,
    };
    for message in [
        Message::Control(Request::Resume, before),
        Message::Control(Request::Resume, after),
        Message::Stop,
    ] {
        assert!(sender.try_send(message).is_ok());
    }
    assert!(ask.try_send((Request::Safe, safe)).is_ok());
    Hub::new(PartTracker::new(config.tracker_settings(), LineTime::now()), links).run(&messages);
    let said = |answer: Receiver<Answer>| match answer.try_recv().expect("an answer") {
        Answer::Done(what) => what,
        Answer::Failed(why) => why,
        _ => panic!("another answer"),
    };
    assert_eq!(said(answer_safe), "safe");
    assert!(said(answer_before).contains("the safe state was requested after this"));
    assert_eq!(said(answer_after), "resumed");
}

#[test]
fn commissioning_ends_when_the_client_goes_away() {
    let desk = Desk::with(REQUESTS, 1000, Some(Duration::from_secs(600)));
    let client = desk.commissioned();
    let second = answer(desk.connect("commission on\n"));
    assert!(second["error"].to_string().contains("in commissioning already"), "{second}");
    drop(client);
    assert_eq!(desk.next_request().0, Request::EndCommissioning);
    // The same holds for a client that goes away before its answer, and for one that waits for a pulse.
    drop(desk.connect("commission on\n"));
    let asked = [desk.next_request(), desk.next_request()].map(|(request, _)| request);
    assert_eq!(asked, [Request::Commission, Request::EndCommissioning]);
    let pulse = desk.connect("pulse ng\n");
    let (request, _reply) = desk.next_request();
    assert_eq!(request, Request::PulseNg);
    drop(pulse);
    assert_eq!(desk.next_request().0, Request::EndCommissioning);
}

#[test]
fn only_the_user_of_the_plant_speaks_for_somebody_and_only_as_far_as_it_may() {
    let desk = Desk::for_plant(&["status"]);
    let said = |words: &str| answer(desk.connect(words))["error"].to_string();
    for words in ["for \"anna\" safe\n", "for \"anna\" teach 1\n", "for \"anna\" resume\n"] {
        assert!(said(words).contains("control.plant_may"), "{words}");
    }
    for words in ["for \"\" status\n", "for anna status\n", "for \"an\u{7}na\" status\n"] {
        assert!(said(words).contains("not a request"), "{words}");
    }
    assert!(desk.requests.try_recv().is_err(), "nothing was passed on");
    let client = desk.connect("for \"anna\" status\n");
    let (request, reply) = desk.next_request();
    assert_eq!(request, Request::Status);
    reply.give(Answer::Done("it".into()));
    assert_eq!(answer(client)["done"], "it");
    // The same user at the device, in nobody's name, may everything.
    let client = desk.connect("acknowledge\n");
    assert_eq!(desk.next_request().0, Request::Acknowledge);
    drop(client);
    let desk = Desk::new(REQUESTS, 1000);
    let refused = answer(desk.connect("for \"anna\" status\n"));
    assert!(refused["error"].to_string().contains("only the user control.plant_user"), "{refused}");
}

/// Covers a former fault: a client that went right after the answer to its pulse ended commissioning.
#[test]
fn commissioning_goes_on_when_a_client_leaves_with_its_answer() {
    let desk = Desk::with(REQUESTS, 1000, Some(Duration::from_secs(600)));
    let _attends = desk.commissioned();
    for (word, request) in [("pulse ng\n", Request::PulseNg), ("status\n", Request::Status)] {
        let client = desk.connect(word);
        // It sends nothing more, which is all that the device sees of a client that goes.
        client.shutdown(std::net::Shutdown::Write).expect("ends");
        let (asked, reply) = desk.next_request();
        assert_eq!(asked, request);
        reply.give(Answer::Json(json!({"done": word})));
        assert_eq!(answer(client)["done"], word);
    }
    let second = answer(desk.connect("commission on\n"));
    assert!(second["error"].to_string().contains("in commissioning already"), "{second}");
    assert!(desk.requests.try_recv().is_err(), "the hub is told that commissioning ends");
}

#[test]
fn the_client_is_told_when_commissioning_ends() {
    let desk = Desk::with(REQUESTS, 1000, Some(Duration::from_secs(600)));
    for word in ["safe", "commission off"] {
        let mut client = desk.commissioned();
        let asks = desk.connect(&format!("{word}\n"));
        let (request, reply) = desk.next_request();
        assert_eq!(Request::parse(word), Some(request));
        reply.give(Answer::Done(word.into()));
        assert_eq!(answer(asks)["done"], word);
        let told = line_of(&mut client);
        assert!(told["done"].to_string().contains("commissioning has ended"), "{told}");
    }
    let brief = Desk::with(REQUESTS, 1000, Some(Duration::from_millis(300)));
    let mut client = brief.commissioned();
    let told = line_of(&mut client);
    assert!(told["done"].to_string().contains("commissioning has ended"), "{told}");
    assert_eq!(brief.next_request().0, Request::EndCommissioning, "the hub is told, too");
}

#[test]
fn commissioning_needs_leave_of_the_configuration() {
    let desk = Desk::new(REQUESTS, 1000);
    for word in ["commission on", "pulse ng"] {
        let refused = answer(desk.connect(&format!("{word}\n")));
        let why = refused["error"].to_string();
        assert!(why.contains("commissioning.allowed = false"), "{word}: {why}");
    }
    assert!(desk.requests.try_recv().is_err(), "nobody was asked");
    let lines = answer(desk.connect("lines\n"));
    assert_eq!(lines["outputs"], json!([]), "the hub thread is not needed for this");
}
