//! Tests that a picture whose decoder panics is an unreadable picture, for the tool and for the device. Also tests what
//! the device says of pictures of another shape than the template's.

use crate::by_hand::Png;
use crate::common::{Bench, SMALL, TEMPLATE, assert_code, hetmm, stderr, stdout, text};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Returns a picture with a palette of 61 bytes, which is not a multiple of three. The decoder panics for it.
fn broken_palette() -> Vec<u8> {
    let mut png = Png::new(80, 60, 4, 3);
    png.palette = (0..61).collect();
    png.bytes(0)
}

/// Builds a template of good parts that lie in `good`.
fn template(bench: &Bench) -> PathBuf {
    let good = bench.parts("good", 0..10);
    let template = bench.path("part.hetmm");
    let arguments = ["build", text(&good), "-o", text(&template), "--no-audit"];
    assert_code(&hetmm(&[&arguments[..], &SMALL, &TEMPLATE].concat()), 0, "");
    template
}

#[test]
fn the_tool_names_the_picture_and_passes_over_it_when_told_so() {
    let bench = Bench::new();
    let template = template(&bench);
    let good = bench.path("good");
    std::fs::write(good.join("palette.png"), broken_palette()).expect("writes");
    let new = bench.path("new.hetmm");
    let build = ["build", text(&good), "-o", text(&new), "--no-audit"];
    let build = [&build[..], &SMALL, &TEMPLATE].concat();
    let commands: [&[&str]; 3] =
        [&["inspect", text(&template), text(&good)], &["audit", text(&good)], &build];
    for command in commands {
        let out = hetmm(command);
        assert_code(&out, 3, "palette.png");
        let said = stderr(&out);
        assert!(said.contains("failed because of a bug") && said.contains("->"), "{said}");
        if command[0] != "audit" {
            assert_code(&hetmm(&[command, &["--skip-unreadable"]].concat()), 0, "palette.png");
        }
    }
    let out = hetmm(&["inspect", text(&template), text(&good), "--json", "--skip-unreadable"]);
    assert_eq!(stdout(&out).lines().count(), 10);
}

/// Returns what `inspect` prints, without the times.
fn lines_without_times(arguments: &[&str], code: i32) -> (Vec<Value>, String) {
    let out = hetmm(&[&["inspect", "--json"], arguments].concat());
    assert_code(&out, code, "");
    let mut lines: Vec<Value> =
        stdout(&out).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for line in &mut lines {
        let times = line.as_object_mut().expect("an object").remove("timing_ms");
        assert!(times.is_some_and(|t| t["total"].as_f64().is_some_and(|ms| ms > 0.0)));
    }
    (lines, stderr(&out))
}

#[test]
fn results_heat_maps_and_messages_are_the_same_with_any_number_of_threads() {
    let bench = Bench::new();
    let template = template(&bench);
    let new = bench.parts("new", 20..50);
    bench.blotted_parts("new/blotted", 50..53);
    std::fs::write(new.join("030a.png"), broken_palette()).expect("writes");
    std::fs::write(new.join("041.png"), "no picture").expect("writes");
    let run = |threads: &str| {
        let maps = bench.path(threads);
        let (template, new, maps) = (text(&template), text(&new), text(&maps));
        let arguments = [template, new, "--recursive", "--heatmaps", maps, "--threads", threads];
        let (lines, said) = lines_without_times(&arguments, 3);
        let (skipping, _) =
            lines_without_times(&[&arguments[..3], &["--skip-unreadable"]].concat(), 0);
        assert_eq!(lines, skipping);
        let mut drawn: Vec<(PathBuf, Vec<u8>)> = std::fs::read_dir(maps)
            .expect("reads")
            .map(|entry| entry.expect("reads").path())
            .map(|path| {
                (path.file_name().expect("a name").into(), std::fs::read(&path).expect("reads"))
            })
            .collect();
        drawn.sort();
        (lines, said, drawn)
    };
    let one = run("1");
    assert_eq!((one.0.len(), one.2.len()), (32, 32));
    let order: Vec<&str> = one.0.iter().filter_map(|line| line["image"].as_str()).collect();
    assert!(order.is_sorted() && order.len() == 32, "{order:?}");
    for threads in ["2", "4", "40"] {
        assert!(run(threads) == one, "{threads} threads give other results");
    }
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
[records]
file = "parts.jsonl"
[control]
socket = "edge.sock"
"#;

/// Returns the command of the device program for a folder with `line.toml`.
fn edge(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hetmm-edge"));
    command.arg("--config").arg(folder.join("line.toml")).args(arguments);
    command
}

fn ask(folder: &Path, request: &str) -> Value {
    let out: Output = edge(folder, &[request]).output().expect("runs");
    serde_json::from_slice(&out.stdout).unwrap_or(Value::Null)
}

/// Ends the program with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn desk() -> Bench {
    let bench = Bench::new();
    template(&bench);
    std::fs::write(bench.path("line.toml"), CONFIG).expect("writes");
    bench.part("pictures/0.png", 3);
    std::fs::write(bench.path("pictures/1.png"), broken_palette()).expect("writes");
    bench.part("pictures/2.png", 4);
    bench
}

#[test]
fn the_line_rejects_the_part_and_goes_on() {
    let bench = desk();
    let folder = bench.path("");
    let log = std::fs::File::create(bench.path("log")).expect("creates");
    let running = edge(&folder, &[]).stderr(log).stdout(Stdio::null()).spawn().expect("starts");
    let _running = Running(running);
    let said = || std::fs::read_to_string(bench.path("log")).unwrap_or_default();
    let end = Instant::now() + Duration::from_secs(30);
    while ask(&folder, "status")["state"] != "ready" {
        assert!(Instant::now() < end, "never ready: {}", said());
        std::thread::sleep(Duration::from_millis(20));
    }
    for round in 0..2 {
        let parts = [0, 1, 2].map(|_| ask(&folder, "trigger"));
        assert_eq!(parts[1]["why"], "bad_frame", "round {round}: {}\n{}", parts[1], said());
        for part in [&parts[0], &parts[2]] {
            assert!(part["score"].is_number(), "round {round}: {part}\n{}", said());
        }
    }
    assert_eq!(ask(&folder, "status")["faults"], Value::Array(Vec::new()), "{}", said());
    assert!(said().contains("failed because of a bug"), "the log says why: {}", said());
}

#[test]
fn a_recording_is_played_to_its_end() {
    let bench = desk();
    let csv = "at_us,picture,exposure_delay_us\n0,0.png,0\n400000,1.png,0\n800000,2.png,0\n";
    std::fs::write(bench.path("pictures/triggers.csv"), csv).expect("writes");
    let out = edge(&bench.path(""), &["--replay", text(&bench.path("pictures"))]).output();
    let out = out.expect("runs");
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let records = std::fs::read_to_string(bench.path("parts.jsonl")).expect("reads");
    let parts: Vec<Value> =
        records.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(parts.len(), 3);
    assert_eq!(parts[1]["why"], "bad_frame");
    assert!(parts[0]["score"].is_number() && parts[2]["score"].is_number(), "{records}");
}

#[test]
fn a_camera_of_another_shape_is_found_by_the_check_and_its_parts_are_rejected() {
    let bench = desk();
    std::fs::remove_dir_all(bench.path("pictures")).expect("removes");
    let wide = image::open(bench.part("drawn.png", 3)).expect("opens").crop_imm(0, 10, 80, 40);
    std::fs::create_dir(bench.path("pictures")).expect("makes");
    wide.save(bench.path("pictures/0.png")).expect("writes");
    let check = || edge(&bench.path(""), &["--check"]).output().expect("runs");
    let said = check();
    assert_eq!(said.status.code(), Some(3), "{}", stderr(&said));
    assert!(stderr(&said).contains("WRONG shape: the picture has 80 x 40"), "{}", stderr(&said));
    assert!(stderr(&said).contains("pictures of 80 x 60"), "{}", stderr(&said));
    let csv = "at_us,picture,exposure_delay_us\n0,0.png,0\n";
    std::fs::write(bench.path("pictures/triggers.csv"), csv).expect("writes");
    let replayed = || -> Value {
        let _ = std::fs::remove_file(bench.path("parts.jsonl"));
        let pictures = bench.path("pictures");
        let out = edge(&bench.path(""), &["--replay", text(&pictures)]).output().expect("runs");
        assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
        let records = std::fs::read_to_string(bench.path("parts.jsonl")).expect("reads");
        serde_json::from_str(records.lines().next().expect("a record")).expect("JSON")
    };
    assert_eq!(replayed()["why"], "inspection_failed");
    let any = CONFIG.replace("file = \"part.hetmm\"", "file = \"part.hetmm\"\nany_shape = true");
    std::fs::write(bench.path("line.toml"), any).expect("writes");
    assert_eq!(check().status.code(), Some(0), "{}", stderr(&check()));
    assert!(replayed()["score"].is_number());
    let larger = image::open(bench.path("drawn.png")).expect("opens");
    let filter = image::imageops::FilterType::Triangle;
    larger.resize_exact(160, 120, filter).save(bench.path("pictures/0.png")).expect("writes");
    std::fs::write(bench.path("line.toml"), CONFIG).expect("writes");
    assert_eq!(check().status.code(), Some(0), "{}", stderr(&check()));
    assert!(stderr(&check()).contains("160 x 120, the template's 80 x 60: they are scaled"));
}
