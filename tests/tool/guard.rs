//! Tests from outside what protects a template from pictures that should not be inserted or cannot be read: warnings,
//! refusals and names that are shown.

use crate::common::{Bench, SMALL, TEMPLATE, assert_code, hetmm, stderr, stdout, text};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Output;

/// Builds a template from eight parts. Parts 20 and up are new to it.
fn template(bench: &Bench) -> PathBuf {
    let (good, path) = (bench.parts("good", 0..8), bench.path("part.hetmm"));
    let build = [&["build", text(&good), "-o", text(&path)], &SMALL[..], &TEMPLATE].concat();
    assert_code(&hetmm(&build), 0, "");
    path
}

/// Makes a part with a speckled patch. It stands out more with a larger `strength`, up to 400.
fn spoiled(bench: &Bench, strength: u32) -> PathBuf {
    let mut image = image::open(bench.part("plain.png", 20)).expect("a picture").to_rgb8();
    for (x, y) in (0..400).map(|i| (30 + i % 20, 20 + i / 20)) {
        let mixed = |speckle: u32, plain: u8| {
            ((speckle % 256 * strength + u32::from(plain) * (400 - strength)) / 400) as u8
        };
        let image::Rgb([r, g, b]) = *image.get_pixel(x, y);
        image.put_pixel(x, y, image::Rgb([mixed(x * 90, r), mixed(0, g), mixed(y * 120, b)]));
    }
    let path = bench.path(&format!("spoiled{strength}.png"));
    image.save(&path).expect("writes");
    path
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&stdout(output)).expect("JSON")
}

fn inspected(template: &Path, picture: &Path) -> Value {
    json(&hetmm(&["inspect", text(template), text(picture), "--json"]))
}

fn insert(template: &Path, picture: &Path, options: &[&str]) -> Output {
    hetmm(&[&["insert", text(template), text(picture)], options].concat())
}

/// Returns a spoiled part with a score from `above` to `up_to`.
fn between(bench: &Bench, template: &Path, above: f64, up_to: f64) -> PathBuf {
    let score = |picture: &Path| inspected(template, picture)["score"].as_f64().expect("a score");
    let mut scores = Vec::new();
    for strength in 1..=100 {
        let picture = spoiled(bench, strength);
        scores.push(score(&picture));
        if (above..=up_to).contains(&scores[scores.len() - 1]) {
            return picture;
        }
    }
    panic!("none between {above} and {up_to}: {scores:?}");
}

/// Returns the threshold of a template, and the largest score of a picture that it was built from.
fn levels(template: &Path) -> (f64, f64) {
    let info = json(&hetmm(&["info", text(template), "--json"]));
    let images = info["build"]["images"].as_array().expect("pictures");
    let largest = images.iter().filter_map(|i| i["score"].as_f64()).fold(0.0, f64::max);
    (info["calibration"]["threshold"].as_f64().expect("a threshold"), largest)
}

#[test]
fn what_was_rejected_and_goes_in_is_warned_of_with_its_place_among_the_good() {
    let bench = Bench::new();
    let path = template(&bench);
    let (threshold, _) = levels(&path);
    let good = insert(&path, &bench.part("new/20.png", 20), &["--dry-run", "--json"]);
    assert_code(&good, 0, "");
    assert_eq!(json(&good)["images"][0]["warning"], Value::Null);
    let rejected = between(&bench, &path, threshold * 1.001, threshold * 1.24);
    let output = insert(&path, &rejected, &["--dry-run", "--json"]);
    assert_code(&output, 0, "higher than 8 of 8 good pictures");
    let told = json(&output);
    let warning = told["images"][0]["warning"].as_str().expect("a warning").to_owned();
    let score = told["images"][0]["score_before"].as_f64().expect("a score");
    let numbers = [format!("score {score:.4}"), format!("threshold is {threshold:.4}")];
    assert!(numbers.iter().all(|number| warning.contains(number)), "{warning}");
    assert_code(&insert(&path, &rejected, &[]), 0, "warning: ");
    assert!(stderr(&insert(&path, &spoiled(&bench, 400), &[])).contains("higher than 8 of 8"));
}

/// A calibrated threshold says more of good parts than the largest of their scores.
#[test]
fn after_a_calibration_what_is_far_above_the_threshold_needs_to_be_forced() {
    let bench = Bench::new();
    // One of the pictures that the template is built from differs from all others.
    let mut odd = image::open(bench.part("odd.png", 5)).expect("a picture").to_rgb8();
    for (x, y) in (0..150).map(|i| (62 + i % 15, 5 + i / 15)) {
        odd.put_pixel(x, y, image::Rgb([250, 0, 0]));
    }
    std::fs::create_dir(bench.path("good")).expect("makes");
    odd.save(bench.path("good/odd.png")).expect("writes");
    let path = template(&bench);
    let (_, largest) = levels(&path);
    let fresh = bench.parts("fresh", 100..120);
    let calibrate = ["calibrate", text(&path), "--images", text(&fresh), "--false-reject", "10%"];
    assert_code(&hetmm(&calibrate), 0, "");
    let (threshold, _) = levels(&path);
    assert!(1.3 * threshold < largest, "{threshold} {largest}");
    let before = std::fs::read(&path).expect("reads");
    let far = between(&bench, &path, threshold * 1.26, largest * 1.24);
    assert_code(&insert(&path, &far, &[]), 1, "looks like a defect");
    assert_eq!(std::fs::read(&path).expect("reads"), before);
    assert_code(
        &insert(&path, &far, &["--force", "--dry-run"]),
        0,
        "it is rejected by the present template",
    );
    let false_reject = between(&bench, &path, threshold * 1.001, threshold * 1.24);
    assert_code(&insert(&path, &false_reject, &[]), 0, "it is rejected by the present template");
}

#[test]
fn a_rejected_part_in_which_nothing_is_new_is_said_to_be_rejected_still() {
    let bench = Bench::new();
    let path = template(&bench);
    let before = std::fs::read(&path).expect("reads");
    let bad = spoiled(&bench, 400);
    let output = insert(&path, &bad, &["--force", "--novelty", "1000"]);
    assert_code(&output, 0, "warning: ");
    let told = stdout(&output);
    assert!(told.contains("nothing new") && told.contains("still rejected"), "{told}");
    assert!(told.contains("build the template again"), "{told}");
    let good = insert(&path, &bench.part("good/000.png", 90), &["--novelty", "1000"]);
    assert!(!stdout(&good).contains("still"), "{}", stdout(&good));
    assert_eq!(std::fs::read(&path).expect("reads"), before);
}

#[test]
fn unreadable_pictures_are_all_named_and_counted_and_left_out_only_when_told_so() {
    let bench = Bench::new();
    let path = template(&bench);
    let before = std::fs::read(&path).expect("reads");
    let new = bench.parts("new", 20..22);
    for (name, bytes) in [("broken.png", &b"no picture"[..]), ("empty.png", b"")] {
        std::fs::write(new.join(name), bytes).expect("writes");
    }
    let output = insert(&path, &new, &[]);
    assert_code(&output, 3, "2 of 4 pictures cannot be used");
    let told = stderr(&output);
    for part in ["broken.png", "empty.png", "--skip-unreadable"] {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(std::fs::read(&path).expect("reads"), before);
    let output = insert(&path, &new, &["--skip-unreadable", "--json"]);
    assert_code(&output, 0, "skipped: ");
    let told = json(&output);
    assert_eq!(told["images"].as_array().map(Vec::len), Some(2), "{told}");
    assert_eq!(told["skipped"].as_array().map(Vec::len), Some(2), "{told}");
}

/// A pipe waits for its other end, and a device file may never end.
#[cfg(target_os = "linux")]
#[test]
fn only_regular_files_are_read() {
    let bench = Bench::new();
    let path = template(&bench);
    let (pipe, link) = (bench.path("pipe.png"), bench.path("link.png"));
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("runs");
    assert!(made.success());
    std::os::unix::fs::symlink(&pipe, &link).expect("links");
    let good = bench.part("new/20.png", 20);
    let (path, good) = (text(&path), text(&good));
    let timed = |arguments: &[&str]| {
        let mut limited = std::process::Command::new("timeout");
        limited.arg("60").arg(env!("CARGO_BIN_EXE_hetmm")).args(arguments);
        limited.output().expect("runs")
    };
    for odd in [text(&pipe), text(&link), "/dev/zero"] {
        for task in ["insert", "inspect"] {
            assert_code(&timed(&[task, path, odd]), 3, "not a regular file");
        }
        for task in
            [&["inspect", odd, good][..], &["info", odd], &["insert", odd, good], &["undo", odd]]
        {
            assert_code(&timed(task), 4, "not a regular file");
        }
        assert_code(&timed(&["rules", path, "--ignore", odd]), 3, "not a regular file");
    }
}

/// Names of zones and files can come from anywhere.
#[cfg(target_os = "linux")]
#[test]
fn names_that_would_move_the_cursor_are_shown_spelled_out_everywhere() {
    let bench = Bench::new();
    let path = template(&bench);
    let zones = bench.path("zones.png");
    image::GrayImage::from_pixel(80, 60, image::Luma([1])).save(&zones).expect("writes");
    let zone = "1=l\u{1b}[31mid:0.01x";
    let rules = hetmm(&["rules", text(&path), "--zones", text(&zones), "--zone", zone]);
    assert_code(&rules, 0, "written");
    let many = bench.parts("many", 0..10);
    let odd = bench.path("many/\u{1b}[31mred.png");
    std::fs::copy(bench.part("new/20.png", 20), &odd).expect("copies");
    let info = hetmm(&["info", text(&path)]);
    let inspect = hetmm(&["inspect", text(&path), text(&odd)]);
    let audit = [&["audit", text(&many)][..], &SMALL].concat();
    for (shown, expected) in [
        (rules, r"l\u{1b}[31mid"),
        (info, "zone 1"),
        (inspect, "in zone l"),
        (hetmm(&audit), "red.png"),
    ] {
        assert_code(&shown, 0, "");
        let shown = stdout(&shown);
        assert!(shown.contains(expected) && !shown.contains('\u{1b}'), "{shown}");
    }
}
