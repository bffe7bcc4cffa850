//! Tests from outside the threshold of a plain build: an estimate from held-out parts. Strays do not decide it, and
//! pictures of the same exposure do not move it.

use crate::common::{Bench, SMALL, TEMPLATE, assert_code, hetmm, stderr, stdout, text};
use image::{Rgb, RgbImage, imageops};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Output;

fn build(images: &Path, template: &Path, options: &[&str]) -> Output {
    hetmm(
        &[&["build", text(images), "-o", text(template)], &SMALL[..], &TEMPLATE, options].concat(),
    )
}

/// Returns what `info` says of a template's calibration.
fn calibration(template: &Path) -> Value {
    let output = hetmm(&["info", text(template), "--json"]);
    assert_code(&output, 0, "");
    let info: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    info["calibration"].clone()
}

fn threshold(template: &Path) -> f64 {
    calibration(template)["threshold"].as_f64().expect("a number")
}

fn open(path: &Path) -> RgbImage {
    image::open(path).expect("a picture").to_rgb8()
}

/// Returns the scores of pictures.
fn scores(template: &Path, images: &Path) -> Vec<f64> {
    let output = hetmm(&["inspect", text(template), text(images), "--json"]);
    assert_code(&output, 0, "");
    let score = |line: &str| -> f64 {
        let line: Value = serde_json::from_str(line).expect("JSON");
        line["score"].as_f64().expect("a number")
    };
    stdout(&output).lines().map(score).collect()
}

#[test]
fn a_plain_build_estimates_its_threshold_from_parts_that_were_held_out() {
    let bench = Bench::new();
    let (good, path) = (bench.parts("good", 0..40), bench.path("t.hetmm"));
    let built = build(&good, &path, &[]);
    assert_code(
        &built,
        0,
        "an estimate that about 2 % of good parts are rejected, from 40 good parts (10 folds)",
    );
    assert_code(&built, 0, "the true rate lies between");
    let told = calibration(&path);
    let evidence = &told["evidence"];
    assert_eq!(evidence["origin"], "estimate");
    assert_eq!((&evidence["parts"], &evidence["items"]), (&40.into(), &40.into()));
    assert_eq!(evidence["held_out_scores"].as_array().map(Vec::len), Some(40));
    assert_eq!(told["decision"]["pictures"], 40);
    assert_eq!((&told["provisional"], &told["given"]), (&false.into(), &false.into()));
    // Fresh parts of the same kind hardly exceed it. Blotted ones do.
    let level = threshold(&path);
    let above = |images: &Path| scores(&path, images).iter().filter(|s| **s > level).count();
    let rejected = above(&bench.parts("fresh", 100..140));
    assert!(rejected <= 4, "{rejected} of 40");
    assert_eq!(above(&bench.blotted_parts("bad", 200..210)), 10);
    // One thread gives the same bytes.
    let again = bench.path("again.hetmm");
    assert_code(&build(&good, &again, &["--threads", "1"]), 0, "");
    assert_eq!(std::fs::read(&path).expect("reads"), std::fs::read(&again).expect("reads"));
}

#[test]
fn a_stray_is_named_left_out_and_does_not_move_the_threshold() {
    let bench = Bench::new();
    let (clean, path) = (bench.path("clean.hetmm"), bench.path("t.hetmm"));
    let good = bench.parts("good", 0..40);
    assert_code(&build(&good, &clean, &[]), 0, "");
    let like = open(&good.join("007.png"));
    let size = like.dimensions();
    let mut dark = like.clone();
    dark.pixels_mut().for_each(|p| p.0 = p.0.map(|v| v / 12));
    let strays = [
        ("mask", RgbImage::from_pixel(size.0, size.1, Rgb([255; 3]))),
        ("dark", dark),
        ("blurred", imageops::blur(&like, 4.0)),
    ];
    for (name, picture) in strays {
        let stray = good.join(format!("{name}.png"));
        picture.save(&stray).expect("writes");
        let built = build(&good, &path, &[]);
        assert_code(&built, 0, "1 picture looks unlike the rest and was left out");
        assert_code(&built, 0, &format!("  {name}.png: "));
        let ratio = threshold(&path) / threshold(&clean);
        assert!((0.99..1.01).contains(&ratio), "{name}: {ratio}");
        assert_code(&build(&good, &path, &["--keep-suspects"]), 0, &format!("  {name}.png: "));
        assert_eq!(calibration(&path)["evidence"]["parts"], 41, "{name}");
        std::fs::remove_file(&stray).expect("removes");
    }
}

#[test]
fn a_folder_of_two_things_is_refused() {
    let bench = Bench::new();
    let (good, path) = (bench.parts("good", 0..30), bench.path("t.hetmm"));
    for i in 0..6u32 {
        let other =
            RgbImage::from_fn(80, 60, |x, y| Rgb([((x * (7 + i) + y * 31) % 256) as u8; 3]));
        other.save(good.join(format!("other-{i}.png"))).expect("writes");
    }
    assert_code(&build(&good, &path, &[]), 3, "the folder contains two different things");
    assert!(!path.exists());
    assert_code(&build(&good, &path, &["--keep-suspects"]), 0, "look unlike the rest");
}

/// Copies every picture of `good` through `change`, under other names in another format.
fn doubled(good: &Path, extension: &str, change: impl Fn(RgbImage, u32) -> RgbImage) {
    let files: Vec<PathBuf> =
        std::fs::read_dir(good).expect("reads").map(|e| e.expect("an entry").path()).collect();
    for (number, file) in files.iter().enumerate() {
        let stem = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let copy = good.join(format!("{stem}_copy.{extension}"));
        change(open(file), number as u32).save(copy).expect("writes");
    }
}

/// Draws parts with a dot each, always at another place. They differ by more than light and position.
fn dotted_parts(bench: &Bench, folder: &str, numbers: std::ops::Range<u32>) -> PathBuf {
    for number in numbers {
        let path = bench.part(&format!("{folder}/{number:03}.png"), number);
        let mut picture = open(&path);
        let (left, top) = (8 + number * 29 % 58, 8 + number * 17 % 38);
        for (x, y) in (0..36).map(|i| (left + i % 6, top + i / 6)) {
            picture.put_pixel(x, y, Rgb([140; 3]));
        }
        picture.save(path).expect("writes");
    }
    bench.path(folder)
}

#[test]
fn the_same_exposure_counts_once_in_whatever_file_it_comes() {
    let bench = Bench::new();
    let clean = bench.path("clean.hetmm");
    assert_code(
        &build(&dotted_parts(&bench, "once", 0..20), &clean, &[]),
        0,
        "from 20 good parts (",
    );
    let noisy = |mut picture: RgbImage, number: u32| {
        let mut state = number + 99;
        for pixel in picture.pixels_mut() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            pixel.0 = pixel.0.map(|v| v.saturating_add((state >> 30) as u8));
        }
        picture
    };
    let larger = |picture: RgbImage, _| {
        imageops::resize(&picture, 160, 120, imageops::FilterType::CatmullRom)
    };
    type Change<'a> = &'a dyn Fn(RgbImage, u32) -> RgbImage;
    let cases: [(&str, Change<'_>); 4] =
        [("bmp", &|p, _| p), ("jpg", &|p, _| p), ("png", &noisy), ("png", &larger)];
    for (case, (extension, change)) in cases.into_iter().enumerate() {
        let (good, path) = (dotted_parts(&bench, &format!("{case}"), 0..20), bench.path("t.hetmm"));
        doubled(&good, extension, change);
        let built = build(&good, &path, &[]);
        assert_code(&built, 0, "they count as 20 parts");
        assert_code(&built, 0, "from 20 good parts in 40 pictures");
        let ratio = threshold(&path) / threshold(&clean);
        assert!((0.7..1.4).contains(&ratio), "case {case}: {ratio}");
        let refused = build(&good, &path, &["--false-reject", "4%"]);
        assert_code(
            &refused,
            3,
            "20 good parts are too few to guarantee a false-reject rate of 4 %",
        );
        // Fresh parts count once for a calibration, too.
        let fresh = dotted_parts(&bench, &format!("fresh-{case}"), 100..120);
        doubled(&fresh, extension, change);
        let rate =
            ["calibrate", text(&clean), "--dry-run", "--false-reject", "10%", "--json", "--images"];
        let told = hetmm(&[&rate[..], &[text(&fresh)]].concat());
        assert_code(&told, 0, "20 of 40 pictures were left out");
        let told: Value = serde_json::from_str(&stdout(&told)).expect("JSON");
        assert_eq!(told["pictures"], 20, "case {case}");
    }
    let one = bench.parts("one", 3..4);
    doubled(&one, "bmp", |p, _| p);
    let path = bench.path("one.hetmm");
    assert_code(&build(&one, &path, &[]), 3, "all 2 pictures show the same exposure of one part");
    assert_code(&build(&one, &path, &["--threshold", "1"]), 0, "");
}

#[test]
fn pictures_of_one_item_are_held_out_together() {
    let bench = Bench::new();
    let (good, path) = (bench.path("good"), bench.path("t.hetmm"));
    for item in 0..12 {
        for view in 0..3 {
            bench.part(&format!("good/item{item:02}_view{view}.png"), 3 * item + view);
        }
    }
    assert_code(&build(&good, &path, &[]), 0, "from 36 good parts, of 12 items by their names");
    let told = calibration(&path);
    assert_eq!(
        (&told["evidence"]["items"], &told["evidence"]["grouping"]),
        (&12.into(), &"names".into())
    );
    let by_view = build(&good, &path, &["--group-by", "view([0-9])"]);
    assert_code(&by_view, 0, "of 3 items by their names");
    assert_eq!(calibration(&path)["evidence"]["grouping"], "pattern");
    assert_code(&build(&good, &path, &["--group-by", "("]), 2, "--group-by");
}

#[test]
fn calibrate_tells_what_the_present_threshold_does_and_what_it_takes_away() {
    let bench = Bench::new();
    let (good, fresh) = (bench.parts("good", 0..20), bench.parts("fresh", 100..130));
    let path = bench.path("t.hetmm");
    assert_code(&build(&good, &path, &[]), 0, "");
    let before = std::fs::read(&path).expect("reads");
    let calibrate = |options: &[&str]| {
        hetmm(&[&["calibrate", text(&path), "--images", text(&fresh)], options].concat())
    };
    let level = threshold(&path);
    let rejected = scores(&path, &fresh).iter().filter(|s| **s > level).count();
    let dry = calibrate(&["--false-reject", "10%", "--dry-run"]);
    assert_code(&dry, 0, "");
    let words =
        format!("The present threshold {level:.4} rejects {rejected} of these 30 good parts.");
    assert!(stdout(&dry).contains(&words), "{words}: {}", stdout(&dry));
    assert_eq!(std::fs::read(&path).expect("reads"), before);
    let removed = "--review RATE sets a new one";
    let first = calibrate(&["--false-reject", "10%", "--review", "20%"]);
    assert_code(&first, 0, "");
    assert!(!stderr(&first).contains(removed));
    assert_code(&calibrate(&["--false-reject", "10%"]), 0, removed);
    assert!(!stderr(&calibrate(&["--false-reject", "10%"])).contains(removed));
    assert_eq!(calibration(&path)["evidence"]["origin"], "rank");
}

#[test]
fn a_template_of_an_older_version_keeps_its_threshold_and_calls_it_provisional() {
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/template_v1.hetmm");
    let info = hetmm(&["info", text(&old)]);
    assert_code(&info, 0, "");
    assert!(stdout(&info).contains("provisional"), "{}", stdout(&info));
    assert_eq!(calibration(&old)["provisional"], true);
    assert_eq!(calibration(&old)["evidence"], Value::Null);
}
