//! Runs `hetmm-edge` from outside: the real program, a real template, recorded or simulated signals. Tests that need
//! kernel GPIO and a kernel camera run on the virtual board, `cross/board-test.sh`.
#![cfg(feature = "desktop")]

#[path = "edge/archive.rs"]
mod archive;
#[path = "edge/collect.rs"]
mod collect;
#[path = "edge/commission.rs"]
mod commission;
#[path = "edge/control.rs"]
mod control;
#[path = "edge/drift.rs"]
mod drift;
#[path = "edge/evidence.rs"]
mod evidence;
#[path = "edge/engines.rs"]
mod extractors;
#[path = "edge/feed.rs"]
mod feed;
#[path = "edge/feedback.rs"]
mod feedback;
#[path = "edge/free_run.rs"]
mod free_run;
#[path = "edge/slots.rs"]
mod slots;

use serde_json::Value;
use std::io::{Read, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const EDGE: &str = env!("CARGO_BIN_EXE_hetmm-edge");

/// Makes the demo's parts and template once.
fn demo() -> &'static Path {
    static DEMO: OnceLock<tempfile::TempDir> = OnceLock::new();
    DEMO.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let made = Command::new(env!("CARGO_BIN_EXE_hetmm"))
            .args(["demo", "--quiet", "--out"])
            .arg(folder.path())
            .output()
            .expect("runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        folder
    })
    .path()
}

fn template() -> PathBuf {
    demo().join("part.hetmm")
}

/// Returns a picture of the demo's test set.
fn picture(kind: &str, number: usize) -> PathBuf {
    let folder = demo().join("parts/test").join(kind);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("reads").map(|e| e.expect("reads").path()).collect();
    files.sort();
    files[number % files.len()].clone()
}

/// Returns good pictures that the template passes, so that verdicts do not depend on its threshold.
fn good() -> &'static [PathBuf] {
    static GOOD: OnceLock<Vec<PathBuf>> = OnceLock::new();
    GOOD.get_or_init(|| {
        let folder = demo().join("parts/test/good");
        let out = Command::new(env!("CARGO_BIN_EXE_hetmm"))
            .args(["inspect", "--json"])
            .args([template(), folder.clone()])
            .output()
            .expect("runs");
        let lines = String::from_utf8(out.stdout).expect("text");
        let records = lines.lines().map(|l| serde_json::from_str::<Value>(l).expect("JSON"));
        let passing: Vec<PathBuf> = records
            .filter(|r| r["verdict"] == "ok")
            .map(|r| {
                let name = PathBuf::from(r["image"].as_str().expect("a name"));
                if name.exists() { name } else { folder.join(name.file_name().expect("a name")) }
            })
            .collect();
        assert!(passing.len() >= 10, "{passing:?}");
        passing
    })
}

/// Holds a production line at a desk: a folder with its configuration, and perhaps a running program.
struct Desk {
    folder: tempfile::TempDir,
    child: Option<Child>,
}

const CONFIG: &str = r#"
[template]
file = "part.hetmm"
[trigger]
source = "software"
[camera]
source = "folder"
folder = "pictures"
[reject]
delay_us = 1000000
deadline_us = 900000
pulse_width_us = 20000
min_pitch_us = 20000
[outputs]
simulate = true
ng = { line = 1 }
fault = { line = 2 }
ok = { line = 3 }
[records]
file = "parts.jsonl"
edges = "edges.jsonl"
[archive]
folder = "archive"
min_free_mib = 0
[control]
socket = "edge.sock"
"#;

impl Desk {
    fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("line.toml"), config).expect("writes");
        std::fs::copy(template(), folder.path().join("part.hetmm")).expect("copies");
        std::fs::create_dir(folder.path().join("pictures")).expect("makes");
        for (i, file) in good().iter().take(4).enumerate() {
            std::fs::copy(file, folder.path().join(format!("pictures/{i}.png"))).expect("copies");
        }
        Desk { folder, child: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(EDGE);
        command.arg("--config").arg(self.path("line.toml"));
        command
    }

    fn start(&mut self) {
        let log = std::fs::File::create(self.path("log")).expect("creates");
        self.child = Some(self.command().stderr(log).spawn().expect("starts"));
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Returns the answer to a request of one or more words.
    fn ask(&self, request: &str) -> Value {
        let out = self.command().args(request.split(' ')).output().expect("runs");
        serde_json::from_slice(&out.stdout).unwrap_or(Value::Null)
    }

    fn wait_for(&self, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let status = self.ask("status");
            if condition(&status) {
                return status;
            }
            assert!(Instant::now() < end, "{what} never came: {status:#}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn wait_until_ready(&self) -> Value {
        self.wait_for("ready", |status| status["state"] == "ready")
    }

    fn stop(&mut self) -> i32 {
        let mut child = self.child.take().expect("runs");
        signal(&child, "TERM");
        child.wait().expect("ends").code().unwrap_or(-1)
    }

    fn lines(&self, name: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(|l| serde_json::from_str(l).expect("a JSON line")).collect()
    }

    /// Writes a recording: for every part its time, picture and exposure delay.
    fn record(&self, parts: &[(u64, Option<&Path>, u64)]) -> PathBuf {
        let folder = self.path("recording");
        std::fs::create_dir_all(&folder).expect("makes");
        let mut csv = String::from("at_us,picture,exposure_delay_us\n");
        for (i, (at, picture, delay)) in parts.iter().enumerate() {
            let mut name = String::new();
            if let Some(picture) = picture {
                name = format!("{i:05}.png");
                std::os::unix::fs::symlink(picture, folder.join(&name)).expect("links");
            }
            csv += &format!("{at},{name},{delay}\n");
        }
        std::fs::write(folder.join("triggers.csv"), csv).expect("writes");
        folder
    }

    /// Plays a recording to its end. Returns its final status.
    fn replay(&self, parts: &[(u64, Option<&Path>, u64)]) -> Value {
        let folder = self.record(parts);
        let out = self.command().arg("--replay").arg(folder).output().expect("runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice(&out.stdout).expect("a status")
    }

    /// Returns `passed` or the reason for every part.
    fn outcomes(&self) -> Vec<String> {
        let mut records = self.lines("parts.jsonl");
        records.sort_by_key(|r| r["part"].as_u64());
        let word = |r: &Value| r["why"].as_str().unwrap_or("passed").to_owned();
        records.iter().map(word).collect()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
}

fn stderr(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

#[test]
fn a_recorded_line_passes_good_parts_and_rejects_everything_else() {
    let desk = Desk::new(CONFIG);
    let garbage = desk.path("garbage.png");
    std::fs::write(&garbage, b"\x89PNG\r\n\x1a\nnothing").expect("writes");
    let defect = picture("missing-screw", 0);
    let status = desk.replay(&[
        (0, Some(&good()[0]), 0),
        (400_000, Some(&defect), 1_000),
        (800_000, None, 0),
        (2_400_000, Some(&garbage), 0),
        (2_800_000, Some(&good()[1]), 0),
        (2_810_000, Some(&good()[2]), 0),
        (3_400_000, Some(&good()[3]), 2_000_000),
        (4_800_000, Some(&good()[2]), 0),
    ]);
    let expected = [
        "passed",
        "defect",
        "no_frame",
        "bad_frame",
        "too_close",
        "too_close",
        "no_frame",
        "passed",
    ];
    assert_eq!(desk.outcomes(), expected);
    assert_eq!(status["counters"]["passed"], 2);
    assert_eq!(status["counters"]["triggers"], 8);
    // Every reject has its pulse, due exactly one delay after its trigger. Passes have none.
    let edges = desk.lines("edges.jsonl");
    let due = |line: &str| -> Vec<u64> {
        let rises = edges.iter().filter(|e| e["line"] == line && e["active"] == true);
        rises.map(|e| e["due_us"].as_u64().expect("a time")).collect()
    };
    let gates = |passed: bool| -> Vec<u64> {
        let records = desk.lines("parts.jsonl");
        let mut gates: Vec<u64> = records
            .iter()
            .filter(|r| (r["outcome"] == "passed") == passed)
            .map(|r| r["trigger_us"].as_u64().expect("a time") + 1_000_000)
            .collect();
        // The two parts that touch share a pulse.
        gates.dedup_by(|b, a| *b - *a < 20_000);
        gates
    };
    let close = |a: Vec<u64>, b: Vec<u64>| {
        assert_eq!(a.len(), b.len(), "{a:?} {b:?}");
        assert!(a.iter().zip(&b).all(|(a, b)| a.abs_diff(*b) <= 1), "{a:?} {b:?}");
    };
    // The last edge of ng comes from the safe state at the end.
    let mut ng = due("ng");
    ng.pop();
    close(ng, gates(false));
    close(due("ok"), gates(true));
    // The pictures of the defect are kept: the picture as it was, its map and its numbers.
    let kept: Vec<String> = std::fs::read_dir(desk.path("archive"))
        .expect("an archive")
        .map(|e| e.expect("reads").file_name().into_string().expect("text"))
        .collect();
    assert!(kept.contains(&"000000000-part2-defect.png".to_owned()), "{kept:?}");
    assert_eq!(kept.len(), 3, "{kept:?}");
    let archived = image::open(desk.path("archive/000000000-part2-defect.png")).expect("opens");
    assert_eq!(archived.to_rgb8(), image::open(&defect).expect("opens").to_rgb8());
    // The record of an inspected part holds score, regions and stages.
    let defect = &desk.lines("parts.jsonl")[1];
    assert!(defect["score"].as_f64() > defect["threshold"].as_f64(), "{defect}");
    assert!(defect["regions"][0]["area"].as_u64() > Some(0), "{defect}");
    assert!(defect["timing_us"]["backbone"].as_u64() > Some(0), "{defect}");
}

#[test]
fn an_inspection_that_is_too_slow_rejects_and_raises_the_fault() {
    let desk = Desk::new(&CONFIG.replace("deadline_us = 900000", "deadline_us = 1000"));
    let parts: Vec<_> =
        (0..5).map(|i| (i * 200_000, Some(good()[i as usize].as_path()), 0)).collect();
    let status = desk.replay(&parts);
    assert_eq!(status["counters"]["passed"], 0, "{status}");
    let rejected = &status["counters"]["rejected_for"];
    assert_eq!(rejected["late"].as_u64().unwrap() + rejected["no_frame"].as_u64().unwrap(), 5);
    let edges = desk.lines("edges.jsonl");
    let fault = edges.iter().rfind(|e| e["line"] == "fault").expect("fault edges");
    assert_eq!(fault["active"], true);
}

#[test]
fn a_trigger_storm_is_survived_and_counted() {
    let desk = Desk::new(CONFIG);
    let mut parts = vec![(0, Some(good()[0].as_path()), 0)];
    parts.extend((0..20_000).map(|i| (1_500_000 + i * 100, None, 0)));
    parts.push((6_000_000, Some(good()[1].as_path()), 0));
    let status = desk.replay(&parts);
    assert_eq!(status["counters"]["triggers"], 20_002);
    assert_eq!(status["counters"]["passed"], 2, "{status:#}");
    assert_eq!(status["counters"]["rejected"], 20_000);
}

#[test]
fn a_corrupt_template_keeps_the_device_from_ready_until_a_good_one_comes() {
    let mut desk = Desk::new(CONFIG);
    let whole = std::fs::read(template()).expect("reads");
    let mut broken = whole.clone();
    broken[whole.len() / 2] ^= 4;
    std::fs::write(desk.path("part.hetmm"), &broken).expect("writes");
    desk.start();
    let status = desk.wait_for("refusal", |s| s["template"]["refused"].is_string());
    assert_eq!(status["state"], "not_ready");
    assert!(status["faults"].as_array().expect("faults").contains(&"template".into()), "{status}");
    // A part that comes meanwhile is rejected.
    assert_eq!(desk.ask("trigger")["why"], "missed");
    std::fs::write(desk.path("new"), &whole).expect("writes");
    std::fs::rename(desk.path("new"), desk.path("part.hetmm")).expect("renames");
    desk.wait_until_ready();
    assert_eq!(desk.ask("trigger")["outcome"], "passed");
    assert_eq!(desk.stop(), 0);
}

#[test]
fn a_template_swap_under_load_loses_no_part_and_a_bad_one_changes_nothing() {
    let mut desk = Desk::new(
        &CONFIG
            .replace("source = \"software\"", "source = \"free-run\"")
            .replace("folder = \"pictures\"", "folder = \"pictures\"\nframes_per_second = 10"),
    );
    desk.start();
    desk.wait_until_ready();
    let whole = std::fs::read(template()).expect("reads");
    for round in 0..4 {
        std::thread::sleep(Duration::from_millis(700));
        let cut = if round % 2 == 0 { whole.len() } else { whole.len() / 3 };
        std::fs::write(desk.path("new"), &whole[..cut]).expect("writes");
        std::fs::rename(desk.path("new"), desk.path("part.hetmm")).expect("renames");
        let answer = desk.ask("reload");
        assert_eq!(answer["error"].is_string(), round % 2 == 1, "{answer}");
        let child = desk.child.as_ref().expect("runs");
        signal(child, "HUP");
    }
    // Only frames are parts. A trigger by hand would wait for a frame that never comes.
    for _ in 0..6 {
        assert!(desk.ask("trigger")["error"].is_string());
    }
    let status = desk.wait_for("thirty parts", |s| s["counters"]["passed"].as_u64() > Some(30));
    assert!(status["template"]["refused"].is_string(), "{status}");
    desk.ask("safe");
    let status = desk.ask("status");
    assert_eq!(status["state"], "safe");
    assert_eq!(desk.stop(), 0);
    // Parts are numbered without a gap, and each inspected part was inspected once.
    let records = desk.lines("parts.jsonl");
    let parts: Vec<u64> = records.iter().map(|r| r["part"].as_u64().expect("a number")).collect();
    assert_eq!(parts, (1..=parts.len() as u64).collect::<Vec<_>>());
    let failed = records.iter().filter(|r| r["why"] == "inspection_failed").count();
    assert_eq!(failed, 0);
}

#[test]
fn a_camera_that_goes_and_comes_back_needs_no_restart() {
    let mut desk = Desk::new(CONFIG);
    desk.start();
    desk.wait_until_ready();
    std::fs::rename(desk.path("pictures"), desk.path("unplugged")).expect("renames");
    let during = desk.ask("trigger");
    assert_eq!(during["why"], "no_frame", "{during}");
    desk.wait_for("camera fault", |s| {
        s["faults"].as_array().is_some_and(|f| f.contains(&"camera".into()))
    });
    assert_eq!(desk.ask("trigger")["why"], "missed");
    std::fs::rename(desk.path("unplugged"), desk.path("pictures")).expect("renames");
    desk.wait_until_ready();
    assert_eq!(desk.ask("trigger")["outcome"], "passed");
}

#[test]
fn a_full_disk_costs_records_and_an_archive_that_cannot_be_written_costs_pictures() {
    let mut desk = Desk::new(
        &CONFIG
            .replace("\"parts.jsonl\"", "\"/dev/full\"")
            .replace("folder = \"archive\"", "folder = \"/proc/no-archive\""),
    );
    std::fs::remove_dir_all(desk.path("pictures")).expect("removes");
    std::fs::create_dir(desk.path("pictures")).expect("makes");
    std::fs::copy(picture("scratch", 0), desk.path("pictures/0.png")).expect("copies");
    desk.start();
    desk.wait_until_ready();
    for _ in 0..3 {
        assert_eq!(desk.ask("trigger")["why"], "defect");
    }
    let lost = desk.wait_for("losses", |s| s["records"]["pictures_failed"] == 3);
    assert_eq!(lost["records"]["records_failed"], 3, "{lost}");
    assert_eq!(lost["state"], "ready");
    assert_eq!(desk.stop(), 0);
}

#[test]
fn the_archive_keeps_no_more_than_it_may() {
    let mut desk =
        Desk::new(&CONFIG.replace("min_free_mib = 0", "min_free_mib = 0\nmax_parts = 2"));
    std::fs::copy(picture("scratch", 0), desk.path("pictures/0.png")).expect("copies");
    for i in 1..4 {
        std::fs::remove_file(desk.path(&format!("pictures/{i}.png"))).expect("removes");
    }
    for _ in 0..2 {
        desk.start();
        desk.wait_until_ready();
        for _ in 0..2 {
            assert_eq!(desk.ask("trigger")["why"], "defect");
        }
        assert_eq!(desk.stop(), 0);
    }
    let mut kept: Vec<String> = std::fs::read_dir(desk.path("archive"))
        .expect("an archive")
        .map(|e| e.expect("reads").file_name().into_string().expect("text"))
        .filter(|name| name.ends_with(".json"))
        .collect();
    kept.sort();
    // The number in front continues after a restart. Part numbers begin again.
    assert_eq!(kept, ["000000002-part1-defect.json", "000000003-part2-defect.json"]);
}

#[test]
fn a_false_reject_is_taught_and_passes_until_that_is_undone() {
    let mut desk = Desk::new(CONFIG);
    let template = desk.path("part.hetmm");
    let bytes = || std::fs::read(&template).expect("reads");
    let before = bytes();
    std::fs::copy(picture("scratch", 0), desk.path("pictures/0.png")).expect("copies");
    for i in 1..4 {
        std::fs::remove_file(desk.path(&format!("pictures/{i}.png"))).expect("removes");
    }
    desk.start();
    desk.wait_until_ready();
    let rejected = desk.ask("trigger");
    assert_eq!(rejected["why"], "defect", "{rejected}");
    desk.wait_for("the picture", |status| status["records"]["pictures_written"] == 1);

    let unknown = desk.ask("teach 99");
    assert!(unknown["error"].as_str().is_some_and(|e| e.contains("no picture of part 99")));
    let unsure = desk.ask("teach 1");
    assert!(
        unsure["error"].as_str().is_some_and(|e| e.contains("looks like a defect")),
        "{unsure}"
    );
    assert!(unsure["error"].as_str().is_some_and(|e| e.contains("higher than")), "{unsure}");
    assert!(desk.ask("undo")["error"].as_str().is_some_and(|e| e.contains("nothing was inserted")));
    assert_eq!(bytes(), before);

    let taught = desk.ask("teach 1 --force");
    assert_eq!(
        (&taught["entry"], &taught["passes"]),
        (&Value::from(1), &Value::from(true)),
        "{taught}"
    );
    assert!(taught["warning"].as_str().is_some_and(|w| w.contains("it is rejected")), "{taught}");
    let passed = desk.ask("trigger");
    assert_eq!(passed["outcome"], "passed", "{passed}");
    assert!(desk.ask("teach 1 --force")["error"].as_str().is_some_and(|e| e.contains("already")));
    let history = desk.ask("history");
    let entry = &history["journal"][0];
    assert_eq!(entry["picture"], taught["picture"]);
    assert!(
        entry["who"].as_str().is_some_and(|who| who.starts_with("hetmm-edge, user ")),
        "{entry}"
    );
    assert_eq!(entry["forced"], true);
    let listed = Command::new(env!("CARGO_BIN_EXE_hetmm"))
        .arg("history")
        .arg(desk.path("part.hetmm"))
        .output()
        .expect("runs");
    assert!(String::from_utf8_lossy(&listed.stdout).contains("part1-defect.png (forced)"));

    assert_eq!(desk.ask("undo")["entries"], Value::from(vec![1]));
    assert_eq!(bytes(), before);
    assert_eq!(desk.ask("trigger")["why"], "defect");
    assert_eq!(desk.stop(), 0);
}

/// Part numbers begin again with every start. The picture of another part must not be taught.
#[test]
fn a_part_is_not_mistaken_for_one_of_an_earlier_start() {
    let mut desk = Desk::new(CONFIG);
    let before = std::fs::read(desk.path("part.hetmm")).expect("reads");
    for i in 0..4 {
        std::fs::copy(picture("scratch", 0), desk.path(&format!("pictures/{i}.png")))
            .expect("copies");
    }
    desk.start();
    desk.wait_until_ready();
    assert_eq!(desk.ask("trigger")["why"], "defect");
    assert_eq!(desk.stop(), 0);
    desk.start();
    desk.wait_until_ready();
    let error = |answer: Value| answer["error"].as_str().unwrap_or_default().to_owned();
    let refused = error(desk.ask("teach 1 --force"));
    assert!(refused.contains("000000000-part1-defect.png is of a part 1 from before"), "{refused}");
    assert_eq!(desk.ask("trigger")["why"], "defect");
    desk.wait_for("the picture", |status| status["records"]["pictures_written"] == 1);
    let refused = error(desk.ask("teach 2 --force"));
    assert!(refused.contains("no picture of part 2"), "{refused}");
    assert_eq!(std::fs::read(desk.path("part.hetmm")).expect("reads"), before);
    let taught = desk.ask("teach 1 --force");
    assert_eq!(taught["picture"], "000000001-part1-defect.png", "{taught}");
    assert_eq!(desk.stop(), 0);
}

#[test]
fn a_device_that_may_not_be_taught_says_so() {
    let mut desk = Desk::new(
        &CONFIG.replace("socket = \"edge.sock\"", "socket = \"edge.sock\"\nteach = false"),
    );
    desk.start();
    desk.wait_until_ready();
    for request in ["teach 1", "teach 1 --force", "undo"] {
        let answer = desk.ask(request);
        assert!(
            answer["error"].as_str().is_some_and(|e| e.contains("control.teach = false")),
            "{answer}"
        );
    }
    assert_eq!(desk.ask("history")["journal"], Value::Array(vec![]));
    assert_eq!(desk.stop(), 0);
}

#[test]
fn a_flooded_control_socket_does_not_hold_up_the_line() {
    let mut desk = Desk::new(
        &CONFIG
            .replace("source = \"software\"", "source = \"free-run\"")
            .replace("folder = \"pictures\"", "folder = \"pictures\"\nframes_per_second = 10"),
    );
    desk.start();
    desk.wait_until_ready();
    let before = desk.ask("status")["counters"]["passed"].as_u64().expect("a count");
    let end = Instant::now() + Duration::from_secs(3);
    let mut open = vec![];
    while Instant::now() < end {
        if let Ok(mut stream) = UnixStream::connect(desk.path("edge.sock")) {
            let _ = stream.write_all(&[0xff; 300]);
            open.push(stream);
        }
        open.truncate(200);
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(open);
    let status = desk.wait_for("an answer", |s| s["counters"]["passed"].is_u64());
    let after = status["counters"]["passed"].as_u64().expect("a count");
    assert!(after >= before + 10, "{before} {after}");
    assert_eq!(status["counters"]["rejected_for"]["late"], 0, "{status}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let desk = Desk::new(CONFIG);
    let mut child = desk
        .command()
        .arg("--check")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    drop(child.stdout.take());
    let out = child.wait_with_output().expect("ends");
    assert!(out.status.success(), "{}", stderr(&out));
}

#[test]
fn wrong_requests_are_refused_in_words() {
    let mut desk = Desk::new(CONFIG);
    desk.start();
    desk.wait_until_ready();
    for request in [
        "",
        "reboot\n",
        "status status\n",
        "\u{0}\n",
        "teach\n",
        "teach x\n",
        "teach -1\n",
        "teach 1 always\n",
        "teach 1 force force\n",
        "undo 1 2\n",
        "undo last\n",
    ] {
        let mut stream = UnixStream::connect(desk.path("edge.sock")).expect("connects");
        stream.write_all(request.as_bytes()).expect("writes");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("reads");
        assert!(answer.contains("\"error\""), "{request:?}: {answer}");
    }
    assert_eq!(desk.ask("safe")["done"], "safe");
    assert_eq!(desk.ask("status")["state"], "safe");
    let refused = desk.ask("trigger");
    assert!(refused["done"].as_str().is_some_and(|d| d.contains("safe state")), "{refused}");
    assert_eq!(desk.ask("resume")["done"], "resumed");
    desk.wait_until_ready();
}

#[test]
fn a_second_instance_is_refused_and_the_first_goes_on() {
    let mut desk = Desk::new(CONFIG);
    desk.start();
    desk.wait_until_ready();
    let second = desk.command().output().expect("runs");
    assert_eq!(second.status.code(), Some(5));
    assert!(stderr(&second).contains("another hetmm-edge"), "{}", stderr(&second));
    // Another configuration with the same socket does not help.
    std::fs::copy(desk.path("line.toml"), desk.path("other.toml")).expect("copies");
    let third = Command::new(EDGE).arg("--config").arg(desk.path("other.toml")).output();
    let third = third.expect("runs");
    assert_eq!(third.status.code(), Some(5));
    assert!(stderr(&third).contains("listens here"), "{}", stderr(&third));
    assert_eq!(desk.ask("trigger")["outcome"], "passed");
}

#[test]
fn sigterm_takes_the_safe_state_and_ends_well() {
    let mut desk = Desk::new(CONFIG);
    desk.start();
    desk.wait_until_ready();
    assert_eq!(desk.ask("trigger")["outcome"], "passed");
    assert_eq!(desk.stop(), 0);
    let edges = desk.lines("edges.jsonl");
    let last =
        |line: &str| edges.iter().rfind(|e| e["line"] == line).expect("edges")["active"].clone();
    assert_eq!(
        (last("fault"), last("ng"), last("ready")),
        (true.into(), true.into(), false.into())
    );
    assert!(!desk.path("edge.sock").exists(), "the socket's file is left behind");
}

#[test]
fn the_service_manager_hears_of_ready_life_and_end() {
    let mut desk = Desk::new(CONFIG);
    let socket = desk.path("notify.sock");
    let manager = UnixDatagram::bind(&socket).expect("binds");
    manager.set_read_timeout(Some(Duration::from_secs(20))).expect("sets");
    let child = desk
        .command()
        .env("NOTIFY_SOCKET", &socket)
        .env("WATCHDOG_USEC", "400000")
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    desk.child = Some(child);
    let mut heard = vec![];
    let mut hear = |wanted: &str| {
        let mut buffer = [0; 256];
        while let Ok(length) = manager.recv(&mut buffer) {
            heard.push(String::from_utf8_lossy(&buffer[..length]).trim().to_owned());
            if heard.last().is_some_and(|h| h == wanted) {
                return;
            }
        }
        panic!("{wanted} was not heard: {heard:?}");
    };
    hear("READY=1");
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    signal(desk.child.as_ref().expect("runs"), "TERM");
    hear("STOPPING=1");
}

#[test]
fn missing_devices_are_named_with_a_remedy() {
    let gpio = CONFIG
        .replace("source = \"software\"", "source = \"gpio\"\nchip = \"gpiochip77\"\nline = 2");
    let output = CONFIG.replace("simulate = true", "chip = \"gpiochip77\"");
    let camera = CONFIG.replace(
        "source = \"folder\"\nfolder = \"pictures\"",
        "source = \"v4l2\"\ndevice = \"/dev/video77\"\nwidth = 640\nheight = 480\nformat = \"YUYV\"",
    );
    let template = CONFIG.replace("part.hetmm", "no.hetmm");
    for (config, code, word) in [
        (&gpio, 5, "no GPIO chip \"gpiochip77\""),
        (&output, 5, "no GPIO chip \"gpiochip77\""),
        (&camera, 5, "/dev/video77"),
        (&template, 5, "no.hetmm"),
    ] {
        let desk = Desk::new(config);
        let out = desk.command().arg("--check").output().expect("runs");
        assert_eq!(out.status.code(), Some(code), "{}", stderr(&out));
        assert!(stderr(&out).contains(word), "{}", stderr(&out));
        assert!(stderr(&out).contains("-> "), "{}", stderr(&out));
    }
    // Without the outputs or the trigger nothing runs.
    for config in [&gpio, &output] {
        let out = Desk::new(config).command().output().expect("runs");
        assert_eq!(out.status.code(), Some(5), "{}", stderr(&out));
    }
}

#[test]
fn check_prints_a_configuration_that_reads_back() {
    let desk = Desk::new(CONFIG);
    let out = desk.command().arg("--check").output().expect("runs");
    assert!(out.status.success(), "{}", stderr(&out));
    std::fs::write(desk.path("resolved.toml"), &out.stdout).expect("writes");
    let again = Command::new(EDGE)
        .arg("--config")
        .arg(desk.path("resolved.toml"))
        .arg("--check")
        .output()
        .expect("runs");
    assert_eq!(again.stdout, out.stdout);
}

#[test]
fn bench_times_every_stage_and_every_edge() {
    let desk = Desk::new(CONFIG);
    let bench =
        |arguments: &[&str]| desk.command().arg("bench").args(arguments).output().expect("runs");
    let out = bench(&["--json", "--runs", "3", "--pulses", "5", "--picture", "640x480"]);
    assert!(out.status.success(), "{}", stderr(&out));
    let found: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert_eq!(found["picture"], serde_json::json!([640, 480]));
    assert_eq!((&found["runs"], &found["pulse_lateness_us"]["count"]), (&3.into(), &10.into()));
    let of = |stage: &str, at: &str| found["stages"][stage][at].as_f64().expect("a number");
    let parts: f64 =
        ["resize", "backbone", "matching", "scoring"].map(|s| of(s, "max")).iter().sum();
    assert!(of("total", "max") <= parts + 1e-6 && of("total", "p50") > 0.0, "{found}");
    assert!(of("total", "p50") <= of("total", "p99") && of("total", "p99") <= of("total", "max"));
    let out = bench(&["--runs", "2", "--pulses", "1"]);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success() && text.contains("2 edges were late by"), "{text}");
    for wrong in
        [["--runs", "0"], ["--pulses", "100001"], ["--picture", "4x4"], ["--picture", "1e9x9"]]
    {
        assert_eq!(bench(&wrong).status.code(), Some(2), "{wrong:?}");
    }
    // Nothing is driven and nothing is written.
    assert!(!desk.path("edges.jsonl").exists() && !desk.path("parts.jsonl").exists());
}

#[test]
fn wrong_command_lines_and_files_end_with_their_codes() {
    let desk = Desk::new(CONFIG);
    let run = |arguments: &[&str]| Command::new(EDGE).args(arguments).output().expect("runs");
    let config = desk.path("line.toml");
    let config = config.to_str().expect("text");
    for (arguments, code) in [
        (vec!["--nonsense"], 2),
        (vec!["--config", "/nonexistent/line.toml"], 5),
        (vec!["--config", desk.folder.path().to_str().expect("text")], 5),
        (vec!["--config", config, "--replay", "/nonexistent"], 5),
        (vec!["--config", config, "status"], 5),
        (vec!["--config", "/dev/zero", "--check"], 2),
    ] {
        let out = run(&arguments);
        assert_eq!(out.status.code(), Some(code), "{arguments:?}: {}", stderr(&out));
    }
    std::fs::create_dir_all(desk.path("recording")).expect("makes");
    for (csv, word) in [
        ("", "no part in it"),
        ("at_us,picture\nsoon,a.png\n", "triggers.csv:2: no time"),
        ("at_us,picture\n5,a.png\n4,b.png\n", "triggers.csv:3: triggered before"),
        ("at_us,picture\n5\n", "triggers.csv:2: no picture"),
    ] {
        std::fs::write(desk.path("recording/triggers.csv"), csv).expect("writes");
        let recording = desk.path("recording");
        let out = run(&["--config", config, "--replay", recording.to_str().expect("text")]);
        assert_eq!(out.status.code(), Some(2), "{csv:?}: {}", stderr(&out));
        assert!(stderr(&out).contains(word), "{}", stderr(&out));
    }
    let completions = run(&["completions", "bash"]);
    assert!(
        completions.status.success()
            && String::from_utf8_lossy(&completions.stdout).contains("-F _hetmm__edge")
    );
}
