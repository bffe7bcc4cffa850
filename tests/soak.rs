//! Plays many parts through the thread that drives the outputs, the feedback and the records with their chain, and checks
//! every line of the chain against a script that knows nothing of them. It has a process of its own, because it measures
//! the memory.
//!
//! By default it plays 20 000 parts, which takes ten seconds. Three environment variables change this:
//! - `HETMM_SOAK_PARTS`: how many parts to play;
//! - `HETMM_SOAK_RATE`: how many parts come in a second [2000];
//! - `HETMM_SOAK_FEED`: the path of a socket on which the parts are handed out meanwhile, as `hetmm-edge` does it.
//!   `plant/load.py --soak` connects `hetmm-plant` with it.
#![cfg(feature = "edge")]

use hetmm::clock::LineTime;
use hetmm::inspection::StageTimes;
use hetmm::line::assessment::Assessment;
use hetmm::line::config::LineConfig;
use hetmm::line::control::Control;
use hetmm::line::evidence::device_key::DeviceKey;
use hetmm::line::evidence::verify;
use hetmm::line::feed::{Feed, FeedSocket, feed};
use hetmm::line::feedback::{self, Feedback};
use hetmm::line::hub::{Hub, Links};
use hetmm::line::live::Live;
use hetmm::line::messages::{Judged, Message, WantedFrame};
use hetmm::line::outbox::{Outbox, QUEUE};
use hetmm::line::outputs::Bank;
use hetmm::line::record::PartRecord;
use hetmm::line::records::Records;
use hetmm::line::reply::{Asked, REQUESTS};
use hetmm::line::status::{Series, Snapshot};
use hetmm::line::templates::Templates;
use hetmm::line::tracker::{
    Event, Fault, Finished, Outcome, PartId, PartTracker, Pitch, Reason, Settings, Travel,
};
use hetmm::scoring::verdict::Rule;
use hetmm::scoring::{DecidedBy, Verdict};
use serde_json::Value;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_millis(15);
const TRAVEL: Duration = Duration::from_millis(20);

/// Says what the script does with a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scripted {
    /// It is good, and the result comes at once.
    Good,
    /// It has a defect, and the result comes at once.
    Defect,
    /// It is good, and the result comes after its deadline.
    TooLate,
}

/// Returns what the script says of a part, always the same (splitmix64).
fn script(part: u64) -> Scripted {
    let mut mixed = part.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    match (mixed ^ (mixed >> 31)) % 100 {
        0..90 => Scripted::Good,
        90..98 => Scripted::Defect,
        _ => Scripted::TooLate,
    }
}

fn from_environment(name: &str, otherwise: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(otherwise, |text| text.replace('_', "").parse().expect("a number"))
}

/// Holds what this process takes of the system.
#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    memory_kib: u64,
    open_files: usize,
    threads: usize,
}

fn taken() -> Taken {
    let text = std::fs::read_to_string("/proc/self/status").expect("reads");
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    let memory_kib = line.trim().trim_end_matches(" kB").parse().expect("a number");
    let count = |folder: &str| std::fs::read_dir(folder).expect("reads").count();
    Taken { memory_kib, open_files: count("/proc/self/fd"), threads: count("/proc/self/task") }
}

/// The feedback may come as late as can be configured, because a busy machine hands its edges over late.
fn config(folder: &Path) -> LineConfig {
    let text = "[template]\nfile = \"-\"\n[trigger]\nsource = \"software\"\n[camera]\n\
        source = \"folder\"\nfolder = \"-\"\n[reject]\ndelay_us = 20000\ndeadline_us = 15000\n\
        pulse_width_us = 200\n[outputs]\nsimulate = true\nfeedback_max_us = 1000000\n\
        ng = { line = 1, safe = \"inactive\", feedback = { line = 4 } }\nfault = { line = 2 }\n\
        ok = { line = 3 }\n[records]\nfolder = \"records\"\nmin_free_mib = 0\n\
        [control]\nsocket = \"edge.sock\"\n";
    let path = folder.join("line.toml");
    std::fs::write(&path, text).expect("writes");
    LineConfig::read(&path).expect("reads")
}

/// Returns a belt on which 2000 parts a second can be told apart.
fn settings() -> Settings {
    Settings {
        travel: Travel::Time(TRAVEL),
        min_pitch: Pitch::Time(Duration::from_micros(1)),
        deadline: DEADLINE,
        ng_width: Duration::from_micros(50),
        ok_width: Duration::from_micros(50),
        strobe_delay: Duration::ZERO,
        strobe_width: Duration::ZERO,
        heartbeat_half_period: Duration::ZERO,
        max_in_flight: 4096,
        max_waiting: 1024,
        alarm_after: 0,
        ng_active_when_safe: false,
    }
}

fn assessment(passes: bool, at: LineTime) -> Assessment {
    Assessment {
        score: if passes { 0.5 } else { 1.5 },
        threshold: 1.0,
        verdict: if passes { Verdict::Ok } else { Verdict::Ng },
        decided_by: DecidedBy {
            rule: Rule::Threshold,
            limit: 1.0,
            zone: None,
            region: None,
            counting: 0,
        },
        passes,
        regions: vec![],
        exposure: Duration::from_millis(1),
        frame: Duration::from_millis(2),
        stages: StageTimes::default(),
        result_at: at,
        template: None,
    }
}

/// Answers each capture once, as the script says.
fn judge(hub: &Outbox, wanted: &Receiver<WantedFrame>) {
    let mut later: VecDeque<WantedFrame> = VecDeque::new();
    let answer = |wanted: WantedFrame, passes| {
        let WantedFrame { part, triggered_at, .. } = wanted;
        let result = Ok(assessment(passes, LineTime::now()));
        hub.send(Message::Judged(Box::new(Judged { part, triggered_at, result })));
    };
    loop {
        match wanted.recv_timeout(Duration::from_millis(1)) {
            Ok(wanted) => match script(wanted.part.0) {
                Scripted::Good => answer(wanted, true),
                Scripted::Defect => answer(wanted, false),
                Scripted::TooLate => later.push_back(wanted),
            },
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        while later.front().is_some_and(|wanted| wanted.deadline < LineTime::now()) {
            later.pop_front().into_iter().for_each(|wanted| answer(wanted, true));
        }
    }
}

/// Triggers the parts, then ends the line. Returns what is taken after the first tenth, half and all of them.
fn trigger(hub: &Outbox, parts: u64, rate: u64) -> [Taken; 3] {
    for fault in [Fault::Template, Fault::Camera] {
        hub.send(Message::Event(Event::Condition { fault, present: false }));
    }
    let (start, mut seen) = (LineTime::now(), [Taken::default(); 3]);
    for part in 1..=parts {
        let due = start + Duration::from_nanos(part * 1_000_000_000 / rate);
        std::thread::sleep(due.since(LineTime::now()));
        hub.trigger(LineTime::now(), 0);
        let marks = [parts / 10, parts / 2, parts];
        if let Some(at) = marks.iter().position(|mark| *mark == part) {
            seen[at] = taken();
        }
    }
    hub.send(Message::Finish);
    seen
}

/// Holds both ends of the feed: what the line's thread hands out and answers, and the thread that serves the socket.
struct Served {
    feed: Option<Feed>,
    asked: Receiver<Asked>,
    thread: Option<JoinHandle<()>>,
}

/// Serves the feed at the path that the environment names. Without a path, nobody is served.
fn serve(config: &LineConfig, hub: &Outbox, bank: &Arc<Mutex<Bank>>, records: &Records) -> Served {
    let (requests, asked) = sync_channel(REQUESTS);
    let Some(path) = std::env::var_os("HETMM_SOAK_FEED") else {
        return Served { feed: None, asked, thread: None };
    };
    let queue = config.feed.queue;
    let (feed, source, _) = feed(queue, config.feed.preview_per_second).expect("is made");
    let socket = FeedSocket::open(Path::new(&path)).expect("listens");
    let (recipe, slots, fallback) = (config.recipe(), config.slots(), config.template.fallback);
    let outputs = bank.lock().expect("is whole").levels();
    let control = Arc::new(Control {
        hub: hub.clone(),
        requests,
        bank: bank.clone(),
        templates: Arc::new(Templates::new(
            recipe,
            slots,
            fallback,
            Arc::default(),
            hub.clone(),
            records.reporter(),
        )),
        archive: None,
        drift: None,
        teach: false,
        review_passes: false,
        commissioning: None,
        plant: None,
        live: Live { inputs: vec![], outputs },
        losses: records.losses(),
        logins: Default::default(),
    });
    let thread = std::thread::spawn(move || socket.run(source, &control, queue, "soak"));
    Served { feed: Some(feed), asked, thread: Some(thread) }
}

/// Holds what a run has left.
struct Run {
    snapshot: Snapshot,
    taken: [Taken; 3],
    /// The lines that the records say they have lost, in the queue or on the disk.
    lines_lost: u64,
}

/// Plays the parts with the threads of a line. The chain is whole when it returns.
fn play(config: &LineConfig, parts: u64, rate: u64) -> Run {
    let (sender, messages) = sync_channel(QUEUE);
    let stop = Arc::new(AtomicBool::new(false));
    let hub = Outbox::new(sender, stop.clone());
    let limit = Duration::from_micros(config.outputs.feedback_max_us);
    let patience = Some(feedback::patience(limit));
    let (records, thread) =
        Records::start(&config.records, config.evidence(), patience).expect("starts");
    let losses = records.losses();
    let wired = config.outputs.feedback().expect("is wired");
    let (watched, teller) =
        Feedback::open(&wired, limit, hub.clone(), records.reporter()).expect("opens");
    let (captures, wanted) = sync_channel(4096);
    let bank = Arc::new(Mutex::new(Bank::open(&config.outputs).expect("opens")));
    let served = serve(config, &hub, &bank, &records);
    let links = Links {
        bank,
        captures,
        jobs: sync_channel(1).0,
        records,
        feed: served.feed,
        feedback: Some(teller),
        alive: Arc::default(),
        light: Arc::default(),
        commissioning: Duration::ZERO,
        expanders: Vec::new(),
        capture_delay: Duration::ZERO,
        free_run: false,
        lost_parts: hub.lost_parts(),
        requests: served.asked,
    };
    let line = std::thread::spawn(move || {
        Hub::new(PartTracker::new(settings(), LineTime::now()), links).run(&messages)
    });
    let watched = std::thread::spawn(move || watched.run());
    let judging = hub.clone();
    let judging = std::thread::spawn(move || judge(&judging, &wanted));
    let taken = trigger(&hub, parts, rate);
    let snapshot = line.join().expect("ends");
    stop.store(true, Ordering::SeqCst);
    for thread in [watched, judging].into_iter().chain(served.thread) {
        thread.join().expect("ends");
    }
    // The records end when nobody can report any more, and the thread of the feed could.
    thread.expect("writes").join().expect("ends");
    let lines_lost = losses.chain_to_json()["lost"].as_u64().expect("a number");
    Run { snapshot, taken, lines_lost }
}

/// Holds what the chain says about the parts.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    parts: u64,
    lost: u64,
    passed: u64,
    /// Parts that passed, and that the script does not let pass.
    wrongly_passed: u64,
    /// Parts that were rejected, and that the script lets pass.
    wrongly_rejected: u64,
    /// Pulses on the reject output without their edge.
    unseen: u64,
    /// Parts with two lines.
    twice: u64,
}

fn read_chain(config: &LineConfig, parts: u64) -> Seen {
    let folder = config.records.folder.as_deref().expect("a folder");
    let key = config.device.key_file.as_deref().expect("a key");
    let device = DeviceKey::read_if_there(key).expect("reads").expect("was made");
    let (mut seen, mut lines) = (Seen::default(), vec![false; parts as usize + 1]);
    let verified = verify(folder, Some(device.public()), &mut |line| {
        if line.kind != "part" {
            return Ok(());
        }
        let part: Value = serde_json::from_slice(line.text).expect("JSON");
        let number = part["part"].as_u64().expect("a number");
        let (passed, scripted) = (part["outcome"] == "passed", script(number));
        seen.parts += 1;
        seen.passed += u64::from(passed);
        seen.wrongly_passed += u64::from(passed && scripted != Scripted::Good);
        seen.wrongly_rejected += u64::from(!passed && scripted == Scripted::Good);
        let gate = &part["gate"];
        seen.unseen += u64::from(gate["line"] == "ng" && !gate["seen_us"].is_u64());
        seen.twice += u64::from(std::mem::replace(&mut lines[number as usize], true));
        Ok(())
    });
    let verified = verified.expect("reads");
    assert_eq!(verified.bad, None);
    Seen { lost: verified.lost, ..seen }
}

/// Times what the thread that drives the outputs does for the record of a part.
fn time_records(config: &LineConfig) -> Series {
    let (records, thread) =
        Records::start(&config.records, config.evidence(), None).expect("starts");
    let mut times = Series::default();
    for part in 1..=4096 {
        let at = LineTime::now();
        let outcome = Outcome::Rejected(Reason::Defect);
        let finished =
            Finished { part: PartId(part), triggered_at: at, at, outcome, at_gate: true };
        let found = assessment(false, at);
        let begun = LineTime::now();
        records.part(Arc::new(PartRecord::new(&finished, Some(found), None)));
        times.add(LineTime::now().since(begun));
        std::thread::sleep(Duration::from_micros(100));
    }
    drop(records);
    thread.expect("writes").join().expect("ends");
    times
}

#[test]
fn no_part_passes_wrongly_and_no_record_is_lost_without_being_counted() {
    let parts = from_environment("HETMM_SOAK_PARTS", 20_000);
    let rate = from_environment("HETMM_SOAK_RATE", 2000);
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let begun = LineTime::now();
    let run = play(&config, parts, rate);
    let took = LineTime::now().since(begun).as_secs_f64();
    let seen = read_chain(&config, parts);
    let [tenth, half, end] = run.taken;
    let timed = tempfile::tempdir().expect("a folder");
    let times = time_records(&self::config(timed.path()));
    eprintln!(
        "{parts} parts in {took:.0} s; {seen:?}; taken after a tenth, half and all: {tenth:?}, {half:?}, {end:?}; \
         records on the line's thread, us: {}; pulses late by, us: {}",
        times.to_json(),
        run.snapshot.samples.pulse_lateness.to_json()
    );
    let triggers = run.snapshot.counters.triggers;
    // After more than 10,000 lost edges in a row the input counts as broken, and not each of them gets an outcome. That
    // needs a machine that lets the thread wait for five seconds.
    let late_us = run.snapshot.samples.pulse_lateness.to_json()["max"].as_u64().unwrap_or(0);
    assert!(triggers == parts || (triggers < parts && late_us > 1_000_000), "{triggers} parts");
    // A machine that is too busy for this rate loses records. Then the chain tells of fewer parts.
    let untold = run.snapshot.counters.passed.checked_sub(seen.passed);
    assert!(
        untold.is_some_and(|untold| untold <= seen.lost),
        "the counters say what the chain says"
    );
    assert_eq!((seen.wrongly_passed, seen.twice), (0, 0));
    assert_eq!(seen.parts + seen.lost, triggers, "every record is there or counted");
    assert_eq!(seen.lost, run.lines_lost);
    let is_faulty = run.snapshot.faults.contains(&Fault::Outputs);
    assert!(!is_faulty && (seen.unseen == 0 || seen.lost > 0), "the valve has always followed");
    assert!(seen.wrongly_rejected < parts / 2, "{seen:?}");
    // The allocator may keep some memory. What grows with every part would be much more.
    let [tenth_kib, half_kib, end_kib] = run.taken.map(|taken| taken.memory_kib);
    assert!(end_kib < half_kib + 8 * 1024, "it grows: {tenth_kib}, {half_kib}, {end_kib} KiB");
    // A segment may be open twice while the next one begins.
    assert!(end.open_files <= tenth.open_files + 2, "files stay open: {tenth:?}, {end:?}");
    assert_eq!(end.threads, tenth.threads);
}
