//! Tests turned copies of few good pictures from outside.

use crate::common::{Bench, SMALL, assert_code, hetmm, stderr, stdout, text};
use image::{GrayImage, ImageBuffer, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use serde_json::Value;
use std::path::{Path, PathBuf};

const PATCHES: [&str; 2] = ["--patches", "3,3"];

/// Draws a bar with a thick end on an even ground, turned by `degrees`, with noise of its own.
fn bar(bench: &Bench, name: &str, number: u32, degrees: f64) -> PathBuf {
    let (sine, cosine) = degrees.to_radians().sin_cos();
    let mut state = number.wrapping_mul(7919) + 1;
    let image: RgbImage = ImageBuffer::from_fn(96, 96, |x, y| {
        let (x, y) = (f64::from(x) - 47.5, f64::from(y) - 47.5);
        let (along, across) = (cosine * x + sine * y, cosine * y - sine * x);
        let half = if along > 14.0 { 10.0 } else { 5.0 };
        let inside = along.abs() < 30.0 && across.abs() < half;
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let grey = if inside { 190 } else { 70 } + number % 5 + (state >> 28);
        Rgb([grey as u8, (grey - 9) as u8, grey as u8])
    });
    let path = bench.path(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("makes");
    image.save(&path).expect("writes");
    path
}

/// Draws bars that lie in any orientation, or all alike.
fn bars(bench: &Bench, folder: &str, count: u32, lie_anyhow: bool) -> PathBuf {
    for number in 0..count {
        // This is the golden angle: no two bars lie alike.
        let degrees = if lie_anyhow { 137.5 * f64::from(number) } else { f64::from(number % 3) };
        bar(bench, &format!("{folder}/{number:02}.png"), number, degrees);
    }
    bench.path(folder)
}

fn build(images: &[&str], template: &Path, more: &[&str]) -> std::process::Output {
    let room: &[&str] = if more.contains(&"--max-memory") { &[] } else { &["--max-memory", "64M"] };
    let common = [&SMALL[..], &PATCHES, room].concat();
    hetmm(&[&["build"], images, &["-o", text(template)], &common, more].concat())
}

fn info(template: &Path) -> Value {
    let output = hetmm(&["info", text(template), "--json"]);
    assert_code(&output, 0, "");
    serde_json::from_str(&stdout(&output)).expect("JSON")
}

/// Returns what the template says of turned copies.
fn recorded(template: &Path) -> Option<String> {
    let output = hetmm(&["info", text(template)]);
    stdout(&output).lines().find(|line| line.contains("turned copies")).map(str::to_string)
}

#[test]
fn good_pictures_tell_whether_parts_lie_turned() {
    let bench = Bench::new();
    let template = bench.path("t.hetmm");
    for (folder, lie_anyhow) in [("anyhow", true), ("alike", false)] {
        let pictures = bars(&bench, folder, 8, lie_anyhow);
        let output = build(&[text(&pictures)], &template, &[]);
        assert_code(&output, 0, "a copy differs from the other pictures");
        let used =
            stderr(&output).contains("29 turned copies of each picture, turned by any angle");
        assert_eq!(used, lie_anyhow, "{folder}: {}", stderr(&output));
        assert_eq!(recorded(&template).is_some(), lie_anyhow, "{folder}");
        // A copy is not a picture.
        assert_eq!(info(&template)["build"]["images"].as_array().expect("a list").len(), 8);
        assert_code(&hetmm(&["check", text(&template)]), 0, "");
    }
}

/// Returns the score of picture `name` of the folder `pictures` by a template from the others.
fn fresh_score(pictures: &Path, name: &str, template: &Path, options: &[&str]) -> f64 {
    let others: Vec<PathBuf> = std::fs::read_dir(pictures)
        .expect("reads")
        .map(|entry| entry.expect("reads").path())
        .filter(|path| !path.ends_with(name))
        .collect();
    let others: Vec<&str> = others.iter().map(|path| text(path)).collect();
    assert_code(&build(&others, template, options), 0, "");
    let output = hetmm(&["inspect", text(template), text(&pictures.join(name)), "--json"]);
    assert_code(&output, 0, "");
    let told: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    told["score"].as_f64().expect("a score")
}

/// Every picture scores as against a template that was built without it. So neither it nor a copy of it took part in
/// its own score. Baseline and weights come from all pictures and would differ, so they are given.
#[test]
fn no_picture_is_compared_with_its_own_copies() {
    let bench = Bench::new();
    let pictures = bars(&bench, "good", 4, true);
    bar(&bench, "good/odd.png", 9, 77.0);
    let (with, without) = (bench.path("with.hetmm"), bench.path("without.hetmm"));
    let plain = [
        &["--rotations", "5", "--baseline", "none", "--weights", "1,1", "--no-audit"][..],
        // Every picture is a fold of its own.
        &["--group-by", "(.*)", "--sheets"],
    ]
    .concat();
    let options = [&plain[..], &["all"]].concat();
    assert_code(&build(&[text(&pictures)], &with, &options), 0, "5 turned copies");
    let images = info(&with)["build"]["images"].clone();
    let held_out = info(&with)["calibration"]["evidence"]["held_out_scores"].clone();
    for (number, image) in images.as_array().expect("a list").iter().enumerate() {
        let name = image["name"].as_str().expect("a name");
        let fresh = fresh_score(&pictures, name, &without, &options);
        let of_build = image["score"].as_f64().expect("a score");
        assert!((of_build - fresh).abs() < 1e-5, "{name}: {of_build}, fresh {fresh}");
        let of_fold = held_out[number].as_f64().expect("a score");
        assert!((of_fold - fresh).abs() < 1e-5, "{name}: {of_fold} by folds, fresh {fresh}");
    }
    // If a fold chooses its own prototypes, it has no copies of its pictures, either.
    let chosen = [&plain[..], &["7"]].concat();
    assert_code(&build(&[text(&pictures)], &with, &chosen), 0, "");
    let held_out = info(&with)["calibration"]["evidence"]["held_out_scores"].clone();
    for (number, held_out) in held_out.as_array().expect("a list").iter().enumerate() {
        let name = images[number]["name"].as_str().expect("a name");
        let fresh = fresh_score(&pictures, name, &without, &chosen);
        let held_out = held_out.as_f64().expect("a score");
        // A fold continues from the prototypes that stay. So it is like a template without the fold, but not the same.
        assert!(
            (held_out - fresh).abs() < 0.15 * fresh,
            "{name}: {held_out} by folds, fresh {fresh}"
        );
    }
}

#[test]
fn copies_are_the_same_on_any_number_of_threads_and_from_a_features_file() {
    let bench = Bench::new();
    let pictures = bars(&bench, "good", 5, true);
    let features = bench.path("good.features");
    let output =
        hetmm(&[&["features", text(&pictures), "-o", text(&features)], &SMALL[..]].concat());
    assert_code(&output, 0, "");
    let built = |name: &str, more: &[&str]| {
        let template = bench.path(name);
        let more = [&["--rotations", "7", "--sheets", "6"], more].concat();
        assert_code(&build(&[text(&pictures)], &template, &more), 0, "");
        std::fs::read(&template).expect("reads")
    };
    let one = built("one.hetmm", &["--threads", "1"]);
    assert_eq!(one, built("three.hetmm", &["--threads", "3"]));
    // The copies spill to the scratch file, batch by batch.
    assert_eq!(one, built("spilled.hetmm", &["--max-memory", "1M"]));
    let template = bench.path("features.hetmm");
    let output = hetmm(
        &[
            &["build", text(&features), "-o", text(&template), "--rotations", "7", "--sheets", "6"],
            &PATCHES[..],
        ]
        .concat(),
    );
    assert_code(&output, 0, "");
    assert_eq!(one, std::fs::read(&template).expect("reads"));
}

#[test]
fn copies_that_make_no_sense_are_refused() {
    let bench = Bench::new();
    let pictures = bars(&bench, "good", 6, true);
    let mask = |name: &str, inside: &dyn Fn(f64, f64) -> bool| {
        let pixel = |x: u32, y: u32| {
            Luma([if inside(f64::from(x) - 47.5, f64::from(y) - 47.5) { 255u8 } else { 0 }])
        };
        let image: GrayImage = ImageBuffer::from_fn(96, 96, pixel);
        image.save(bench.path(name)).expect("writes");
        bench.path(name)
    };
    let strip = mask("strip.png", &|x, _| x.abs() < 20.0);
    let side = mask("side.png", &|x, _| x < 0.0);
    let disc = mask("disc.png", &|x, y| x.hypot(y) < 40.0);
    let template = bench.path("t.hetmm");
    let cases: [(&[&str], i32, &str); 8] = [
        (&["--rotations", "0"], 2, "from 1 to 359"),
        (&["--rotations", "360"], 2, "from 1 to 359"),
        (&["--rotations=-3"], 2, "from 1 to 359"),
        (&["--rotations", "some"], 2, "from 1 to 359"),
        (
            &["--rotations", "7", "--mask", text(&strip)],
            2,
            "the region of interest changes when it is turned",
        ),
        (&["--rotations", "1", "--mask", text(&strip)], 0, "a turned copy of each picture"),
        (&["--rotations", "7", "--mask", text(&disc)], 0, "7 turned copies of each picture"),
        (
            &["--rotations", "auto", "--mask", text(&side)],
            0,
            "region of interest changes when it is turned",
        ),
    ];
    for (options, code, message) in cases {
        let options = [options, &["--sheets", "4", "--threshold", "2"]].concat();
        assert_code(&build(&[text(&pictures)], &template, &options), code, message);
    }
    // The opaque area is a region of interest, too.
    for number in 0..4 {
        let path = bar(&bench, &format!("opaque/{number}.png"), number, 40.0 * f64::from(number));
        let opaque = image::open(&path).expect("a picture").to_rgba8();
        let clipped: RgbaImage = ImageBuffer::from_fn(96, 96, |x, y| {
            let [r, g, b, _] = opaque.get_pixel(x, y).0;
            Rgba([r, g, b, if x < 60 { 255 } else { 0 }])
        });
        clipped.save(&path).expect("writes");
    }
    let options = ["--rotations", "3", "--mask-from-alpha", "--sheets", "4", "--threshold", "2"];
    let output = build(&[text(&bench.path("opaque"))], &template, &options);
    assert_code(&output, 2, "the region of interest changes when it is turned");
    // 6 x 360 candidates: refused with the most that there may be.
    let output = build(&[text(&pictures)], &template, &["--rotations", "359"]);
    assert_code(&output, 2, "2160 candidates, but the limit is 2000");
    assert!(stderr(&output).contains("at most 332"), "{}", stderr(&output));
}
