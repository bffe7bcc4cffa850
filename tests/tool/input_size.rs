//! Tests from outside that the network's input takes the shape of the pictures.

use crate::common::{Bench, assert_code, hetmm, stderr, stdout, text};
use image::{RgbImage, imageops};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The options that make templates quickly and say nothing about the input.
const QUICK: [&str; 8] =
    ["--layers", "block1.exp,block4.exp", "--patches", "3,3", "--sheets", "4", "--threshold", "2"];

fn build(images: &Path, template: &Path, more: &[&str]) -> std::process::Output {
    hetmm(&[&["build", text(images), "-o", text(template)], &QUICK[..], more].concat())
}

/// Returns the columns and rows of a template's input.
fn input(template: &Path) -> (u64, u64) {
    let output = hetmm(&["info", text(template), "--json"]);
    assert_code(&output, 0, "");
    let info: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let side = |name: &str| info["backbone"][name].as_u64().expect("a number");
    (side("width"), side("height"))
}

/// Draws the parts `numbers` in a folder, scaled to a size.
fn scaled(bench: &Bench, folder: &str, numbers: std::ops::Range<u32>, size: (u32, u32)) -> PathBuf {
    for number in numbers {
        let path = bench.part(&format!("{folder}/{number:03}.png"), number);
        let image: RgbImage = image::open(&path).expect("a picture").to_rgb8();
        let image = imageops::resize(&image, size.0, size.1, imageops::FilterType::Triangle);
        image.save(&path).expect("writes");
    }
    bench.path(folder)
}

#[test]
fn the_input_has_the_shape_of_most_pictures() {
    let bench = Bench::new();
    let template = bench.path("t.hetmm");
    // Each case holds the sizes of the pictures with how many of each, and the input.
    let cases = [
        (vec![((320, 240), 4)], (288, 224)),
        (vec![((300, 300), 4)], (256, 256)),
        (vec![((130, 520), 4)], (128, 512)),
        (vec![((240, 320), 1), ((320, 240), 3)], (288, 224)),
    ];
    for (at, (sizes, want)) in cases.into_iter().enumerate() {
        let folder = format!("case{at}");
        let mut first = 0;
        for (size, count) in sizes {
            scaled(&bench, &folder, first..first + count, size);
            first += count;
        }
        assert_code(&build(&bench.path(&folder), &template, &["--keep-suspects"]), 0, "");
        assert_eq!(input(&template), want, "{folder}");
        assert_code(&hetmm(&["check", text(&template)]), 0, "");
    }
}

#[test]
fn every_step_follows_an_input_that_is_no_square() {
    let bench = Bench::new();
    let good = scaled(&bench, "good", 0..6, (400, 160));
    let (template, features) = (bench.path("t.hetmm"), bench.path("t.features"));
    assert_code(&build(&good, &template, &[]), 0, "");
    assert_eq!(input(&template), (416, 160));

    // A features file gives the same bytes, and what is added to it has its input.
    let bytes = std::fs::read(&template).expect("reads");
    let layers = ["--layers", "block1.exp,block4.exp"];
    let make = |images: &Path, more: &[&str]| {
        hetmm(&[&["features", text(images), "-o", text(&features)], &layers[..], more].concat())
    };
    assert_code(&make(&good, &[]), 0, "");
    assert_code(&build(&features, &template, &[]), 0, "");
    assert!(std::fs::read(&template).expect("reads") == bytes, "other bytes from features");
    let tall = scaled(&bench, "tall", 10..12, (160, 400));
    assert_code(&make(&tall, &["--append"]), 0, "another shape");
    assert_code(&build(&features, &template, &["--keep-suspects"]), 0, "");
    assert_eq!(input(&template), (416, 160));
    assert_code(&build(&good, &template, &[]), 0, "");

    // This covers a region of interest, heat maps, timing, inserting and its undo.
    let mut roi = RgbImage::from_pixel(400, 160, image::Rgb([255; 3]));
    (0..80).for_each(|x| (0..160).for_each(|y| roi.put_pixel(x, y, image::Rgb([0; 3]))));
    let mask = bench.path("roi.png");
    roi.save(&mask).expect("writes");
    let masked = bench.path("m.hetmm");
    assert_code(&build(&good, &masked, &["--mask", text(&mask)]), 0, "");
    let heat = bench.path("heat");
    let shown = hetmm(&["inspect", text(&template), text(&good), "--heatmaps", text(&heat)]);
    assert_code(&shown, 0, "");
    assert_code(&hetmm(&["bench", text(&template), "--runs", "1"]), 0, "");
    let fresh = scaled(&bench, "fresh", 20..21, (400, 160));
    assert_code(&hetmm(&["insert", text(&template), text(&fresh)]), 0, "");
    assert_code(&hetmm(&["check", text(&template)]), 0, "");
    assert_code(&hetmm(&["undo", text(&template)]), 0, "");
    assert!(std::fs::read(&template).expect("reads") == bytes, "other bytes after undo");
}

#[test]
fn a_defect_is_found_where_it_is_in_an_input_that_is_no_square() {
    let bench = Bench::new();
    let good = scaled(&bench, "good", 0..8, (480, 192));
    let template = bench.path("t.hetmm");
    assert_code(&build(&good, &template, &[]), 0, "");
    let bad = scaled(&bench, "bad", 8..9, (480, 192)).join("008.png");
    let mut image = image::open(&bad).expect("a picture").to_rgb8();
    for (x, y) in (0..24 * 24).map(|i| (400 + i % 24, 20 + i / 24)) {
        image.put_pixel(x, y, image::Rgb([255, 0, (x * 20 % 256) as u8]));
    }
    image.save(&bad).expect("writes");
    let output = hetmm(&["inspect", text(&template), text(&bad), "--json"]);
    assert_code(&output, 0, "");
    let told: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(told["verdict"], "ng", "{told}");
    let region = &told["regions"][0];
    let number = |name: &str| region[name].as_u64().expect("a number");
    let (x, y) = (number("x") + number("width") / 2, number("y") + number("height") / 2);
    assert!(x.abs_diff(412) < 16 && y.abs_diff(32) < 16, "{region}");
}

#[test]
fn a_size_that_is_asked_for_wins_and_one_that_cannot_be_is_refused() {
    let bench = Bench::new();
    let good = scaled(&bench, "good", 0..4, (320, 240));
    let template = bench.path("t.hetmm");
    for (size, want) in [("64", (64, 64)), ("96x64", (96, 64))] {
        assert_code(&build(&good, &template, &["--size", size]), 0, "");
        assert_eq!(input(&template), want);
    }
    let absent = bench.path("absent.hetmm");
    for (size, message) in [
        ("100x64", "an input of 100 x 64 pixels"),
        ("64x100", "multiples of 32"),
        ("0", "multiples of 32"),
        ("8192x64", "up to 4096"),
        ("wide", "columns x rows"),
    ] {
        assert_code(&build(&good, &absent, &["--size", size]), 2, message);
        assert!(!absent.exists());
    }
}

#[test]
fn an_input_beyond_the_memory_is_refused_before_any_work() {
    let bench = Bench::new();
    let good = scaled(&bench, "good", 0..6, (320, 240));
    let template = bench.path("t.hetmm");
    let build = |memory_kib: &str, more: &[&str]| {
        let hetmm = env!("CARGO_BIN_EXE_hetmm");
        let first = ["-c", "ulimit -v $0; exec \"$@\"", memory_kib, hetmm, "build"];
        let files = [text(&good), "-o", text(&template), "--threads", "2"];
        let arguments = [&first[..], &files[..], &QUICK[..4], &QUICK[6..], more].concat();
        std::process::Command::new("sh").args(arguments).output().expect("runs")
    };
    // The features alone do not fit.
    let huge = build("2000000", &["--size", "4096", "--device", "tract"]);
    assert_code(&huge, 2, "an input of 4096 x 4096 needs about");
    assert_code(&huge, 2, "GB of memory on 2 threads, but only 2.0 GB are free");
    // The features fit, and a template of all sheets beside them does not.
    let many =
        [&["--size", "1024", "--device", "tract"][..], &["--sheets", "6", "--storage", "f32"]];
    let many = many.concat();
    let large = build("1325000", &many);
    assert_code(&large, 2, "a template of 6 sheets for an input of 1024 x 1024 needs");
    assert_code(&large, 2, "but only 1.4 GB are free");
    assert_code(&large, 2, "sheets or fewer");
    assert!(!template.exists());
    assert_code(&build("2000000", &["--size", "64"]), 0, "");
}

/// Returns the number that `info` has for the smallest defect, and its text.
fn laid_out_for(template: &Path) -> (f64, String) {
    let output = hetmm(&["info", text(template), "--json"]);
    assert_code(&output, 0, "");
    let info: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let words = hetmm(&["info", text(template)]);
    assert_code(&words, 0, "");
    (info["defects"]["smallest_px"].as_f64().expect("a number"), stdout(&words))
}

#[test]
fn the_input_is_chosen_for_the_smallest_defect() {
    let bench = Bench::new();
    let good = scaled(&bench, "good", 0..4, (640, 480));
    let template = bench.path("t.hetmm");
    // Each case holds the options, the input, and the smallest defect in pixels of the pictures.
    let cases: [(&[&str], (u64, u64), f64); 4] = [
        (&[], (288, 224), 160.0 / 9.0),
        (&["--defect", "10px"], (512, 384), 10.0),
        (&["--defect", "0.5mm", "--mm-per-pixel", "0.05"], (512, 384), 10.0),
        // This defect is larger than what the usual input is laid out for.
        (&["--defect", "100"], (288, 224), 160.0 / 9.0),
    ];
    for (options, want, px) in cases {
        let built = build(&good, &template, options);
        assert_code(&built, 0, "");
        assert_eq!(input(&template), want, "{options:?}");
        let (smallest, words) = laid_out_for(&template);
        assert!((smallest - px).abs() < 1e-9, "{options:?}: {smallest}");
        let is_costly = want.0 > 288;
        let cost = "note: an input of 512 x 384 has 3.0 times the pixels of the usual 288 x 224";
        assert_eq!(stderr(&built).contains(cost), is_costly, "{}", stderr(&built));
        let line = if is_costly { "laid out for defects from 10 px" } else { "from 18 px" };
        assert!(words.contains(line), "{words}");
        assert_eq!(words.contains("(0.50 mm)"), options.contains(&"0.5mm"), "{words}");
    }
    // The program says what the pictures do not show.
    let tiny = build(&good, &template, &["--defect", "3px"]);
    assert_code(&tiny, 0, "warning: a defect of 3px covers 3.0 pixels of the pictures");
    assert_eq!(input(&template), (640, 480));
}

#[test]
fn a_defect_that_cannot_be_laid_out_for_is_refused() {
    let bench = Bench::new();
    let good = scaled(&bench, "good", 0..4, (160, 120));
    let long = scaled(&bench, "long", 0..4, (8192, 64));
    let (template, features) = (bench.path("absent.hetmm"), bench.path("t.features"));
    let made =
        ["features", text(&good), "-o", text(&features), "--layers", "block1.exp,block4.exp"];
    assert_code(&hetmm(&made), 0, "");
    let cases: [(&Path, &[&str], &str); 9] = [
        (&good, &["--defect", "0.5mm"], "the size of a pixel is not known"),
        (&good, &["--defect", "0.5mm", "--mm-per-pixel", "1"], "less than one pixel"),
        (&good, &["--defect", "0px"], "a size above 0"),
        (&good, &["--defect", "NaN"], "a size above 0"),
        (&good, &["--defect", "5cm"], "in pixels or millimetres"),
        (&good, &["--defect", "5mm", "--mm-per-pixel", "0"], "millimetres above 0"),
        (&good, &["--defect", "5px", "--size", "64"], "cannot be used with"),
        (&features, &["--defect", "5px"], "features have a fixed input"),
        (&long, &["--defect", "8px"], "a side may have at most 4096 pixels"),
    ];
    for (images, options, message) in cases {
        assert_code(&build(images, &template, options), 2, message);
        assert!(!template.exists(), "{options:?}");
    }
}

#[test]
fn pictures_smaller_than_the_input_are_a_note() {
    let bench = Bench::new();
    let (small, template) = (scaled(&bench, "small", 0..4, (120, 90)), bench.path("t.hetmm"));
    let built = build(&small, &template, &[]);
    assert_code(
        &built,
        0,
        "note: 4 of 4 pictures have fewer pixels than the network's input of 288 x 224",
    );
    let fitting = build(&small, &template, &["--size", "96x64"]);
    assert_code(&fitting, 0, "");
    assert!(!stderr(&fitting).contains("fewer pixels"), "{}", stderr(&fitting));
}
