//! Tests small traps that a first user of the command line fell into.

use crate::common::{Bench, SMALL, TEMPLATE, assert_code, hetmm, stderr, stdout, text};
use image::{GrayImage, Luma, Rgb};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn template(bench: &Bench, options: &[&str]) -> PathBuf {
    let (good, path) = (bench.parts("good", 0..8), bench.path("part.hetmm"));
    let build =
        [&["build", text(&good), "-o", text(&path)], &SMALL[..], &TEMPLATE, options].concat();
    assert_code(&hetmm(&build), 0, "");
    path
}

/// Draws a grey picture of the parts' size.
fn drawn(bench: &Bench, name: &str, value: impl Fn(u32, u32) -> u8) -> PathBuf {
    let path = bench.path(name);
    GrayImage::from_fn(80, 60, |x, y| Luma([value(x, y)])).save(&path).expect("writes");
    path
}

fn rules_of(template: &Path) -> Value {
    serde_json::from_str(&stdout(&hetmm(&["rules", text(template), "--json"]))).expect("JSON")
}

/// The times of two runs differ; everything else is the same.
#[test]
fn shards_of_an_inspection_are_one_inspection() {
    let bench = Bench::new();
    let good = bench.parts("good", 0..7);
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/template_v1.hetmm");
    let inspect = |more: &[&str]| {
        let out =
            hetmm(&[&["inspect", template, text(&good), "--json", "--any-shape"], more].concat());
        assert_code(&out, 0, "");
        let line = |line: &str| {
            let mut found: serde_json::Value = serde_json::from_str(line).expect("is JSON");
            assert!(found.as_object_mut().expect("an object").remove("timing_ms").is_some());
            found
        };
        stdout(&out).lines().map(line).collect::<Vec<_>>()
    };
    let maps = |name: &str| {
        let folder = bench.path(name);
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .expect("is there")
            .map(|entry| entry.expect("reads").file_name())
            .collect();
        names.sort();
        names
    };
    let (one, many) = (bench.path("one"), bench.path("many"));
    let whole = inspect(&["--heatmaps", text(&one)]);
    assert_eq!(whole.len(), 7);
    for of in [1, 3, 9] {
        let shards = (1..=of).flat_map(|number| {
            inspect(&["--shard", &format!("{number}/{of}"), "--heatmaps", text(&many)])
        });
        assert_eq!(shards.collect::<Vec<_>>(), whole, "{of} shards");
        assert_eq!(maps("many"), maps("one"));
    }
    let wrong = hetmm(&["inspect", template, text(&good), "--shard", "8/7"]);
    assert_code(&wrong, 2, "as in 3/8");
}

#[test]
fn a_photograph_is_refused_as_a_mask() {
    let bench = Bench::new();
    let path = template(&bench, &[]);
    let (good, photograph) = (bench.path("good"), bench.path("good/003.png"));
    let (good, photograph) = (text(&good), text(&photograph));
    let new = bench.path("new.hetmm");
    let build = [&["build", good, "-o", text(&new), "--mask", photograph], &SMALL[..], &TEMPLATE];
    let audit = [&["audit", good, "--mask", photograph], &SMALL[..]];
    let refused = "are neither black nor white";
    for arguments in
        [build.concat(), audit.concat(), vec!["rules", text(&path), "--ignore", photograph]]
    {
        let output = hetmm(&arguments);
        assert_code(&output, 3, refused);
        assert_code(&output, 3, "003.png: ");
    }
    assert!(!new.exists() && rules_of(&path).is_null());
}

#[test]
fn one_zone_is_changed_without_its_label_picture() {
    let bench = Bench::new();
    let path = template(&bench, &[]);
    let template = text(&path);
    let labels = drawn(&bench, "labels.png", |x, _| if x < 40 { 1 } else { 2 });
    let change = |options: &[&str]| hetmm(&[&["rules", template], options].concat());
    assert_code(&change(&["--zone", "1=2x"]), 2, "--zone: the template has no zones yet");
    let zoned = ["--zones", text(&labels), "--zone", "1=belt:1.5x", "--zone", "2=seal:0.9x:10px"];
    assert_code(&change(&zoned), 0, "");
    let before = rules_of(&path);
    assert_code(&change(&["--zone", "1=3x:7px"]), 0, "");
    let after = rules_of(&path);
    assert_eq!(after["zones"][1], before["zones"][1]);
    assert_eq!(after["zones"][0]["map_pixels"], before["zones"][0]["map_pixels"]);
    let changed = &after["zones"][0];
    assert_eq!((&changed["name"], &changed["factor"]), (&"belt".into(), &3.0.into()));
    assert_eq!(changed["min_area_px"], 7.0);
    assert_code(&change(&["--zone", "2=rim:2"]), 0, "");
    assert_eq!(rules_of(&path)["zones"][1]["name"], "rim");
    assert_code(&change(&["--zone", "3=2x"]), 2, "zone 3 has no pixel");
}

#[test]
fn a_part_that_looks_like_a_defect_is_confirmed_with_an_exit_code_of_its_own() {
    let bench = Bench::new();
    let path = template(&bench, &[]);
    let blotted = bench.blotted_parts("blotted", 30..31);
    let refused = hetmm(&["insert", text(&path), text(&blotted)]);
    assert_code(&refused, 1, "looks like a defect");
    assert_code(&refused, 1, "run the same command again with --force");
    assert_code(&hetmm(&["insert", text(&path), text(&blotted), "--force"]), 0, "");
}

#[test]
fn a_calibration_says_that_it_removes_the_review_threshold() {
    let bench = Bench::new();
    let path = template(&bench, &[]);
    let fresh = bench.parts("fresh", 100..120);
    let calibrate = ["calibrate", text(&path), "--images", text(&fresh), "--false-reject", "10%"];
    let with_review = [&calibrate[..], &["--review", "30%"]].concat();
    assert!(!stderr(&hetmm(&with_review)).contains("removed"));
    let dry = [&calibrate[..], &["--dry-run"]].concat();
    assert_code(&hetmm(&dry), 0, "would be removed, so no part is sent to review");
    assert_code(&hetmm(&calibrate), 0, "is removed, so no part is sent to review");
    assert!(!stderr(&hetmm(&calibrate)).contains("removed"), "there is none any more");
}

#[test]
fn figures_in_a_file_leave_the_text_on_standard_output() {
    let bench = Bench::new();
    let path = template(&bench, &[]);
    bench.parts("set/test/good", 20..23);
    bench.blotted_parts("set/test/blot", 30..33);
    let (set, json) = (bench.path("set"), bench.path("figures.json"));
    let eval = |json: &str| hetmm(&["eval", text(&path), text(&set), "--json", json]);
    let told = eval(text(&json));
    assert_code(&told, 0, "");
    assert!(stdout(&told).contains("image AUROC"), "{}", stdout(&told));
    assert!(json.is_file());
    assert!(serde_json::from_str::<Value>(&stdout(&eval("-"))).is_ok());
}

/// Covers a former fault: there were cyan strips at the upper and lower edge, over columns that the mask had left out.
#[test]
fn heat_maps_outline_nothing_where_the_mask_leaves_the_picture_out() {
    let bench = Bench::new();
    let mask = drawn(&bench, "mask.png", |x, _| if x < 30 { 0 } else { 255 });
    let path = template(&bench, &["--mask", text(&mask)]);
    let (good, heat) = (bench.path("good/002.png"), bench.path("heat"));
    let inspected = hetmm(&["inspect", text(&path), text(&good), "--heatmaps", text(&heat)]);
    assert_code(&inspected, 0, "");
    assert!(stdout(&inspected).starts_with("ok"), "{}", stdout(&inspected));
    let drawn = image::open(heat.join("002.png")).expect("a picture").to_rgb8();
    // The second panel shows the picture with its outlines.
    let outlined = (88..168).flat_map(|x| (0..60).map(move |y| (x, y)));
    let cyan = outlined.filter(|&(x, y)| *drawn.get_pixel(x, y) == Rgb([0, 255, 255])).count();
    assert_eq!(cyan, 0);
}
