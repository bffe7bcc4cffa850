//! Tests region rules from outside: what they decide, what they do not change, what is refused.

use crate::common::{Bench, SMALL, TEMPLATE, assert_code, hetmm, stderr, stdout, text};
use image::{GrayImage, Luma, Rgb};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Builds a template, and a part with a large blot on the left and a small one on the right.
fn bench() -> (Bench, PathBuf, PathBuf) {
    let bench = Bench::new();
    let (good, path) = (bench.parts("good", 0..8), bench.path("part.hetmm"));
    let build = [&["build", text(&good), "-o", text(&path)], &SMALL[..], &TEMPLATE].concat();
    assert_code(&hetmm(&build), 0, "");
    let mut image = image::open(bench.part("bad.png", 3)).expect("a picture").to_rgb8();
    for (left, side) in [(8, 14), (66, 5)] {
        for (x, y) in (0..side * side).map(|i| (left + i % side, 22 + i / side)) {
            image.put_pixel(x, y, Rgb([250, (x * 40) as u8, (y * 90) as u8]));
        }
    }
    let bad = bench.path("bad.png");
    image.save(&bad).expect("writes");
    (bench, path, bad)
}

fn inspected(template: &Path, picture: &Path) -> Value {
    let output = hetmm(&["inspect", text(template), text(picture), "--json"]);
    assert_code(&output, 0, "");
    serde_json::from_str(&stdout(&output)).expect("JSON")
}

fn rules(template: &Path, options: &[&str]) -> std::process::Output {
    hetmm(&[&["rules", text(template)], options].concat())
}

/// Draws a grey picture of the parts' size.
fn drawn(bench: &Bench, name: &str, value: impl Fn(u32, u32) -> u8) -> PathBuf {
    let path = bench.path(name);
    GrayImage::from_fn(80, 60, |x, y| Luma([value(x, y)])).save(&path).expect("writes");
    path
}

#[test]
fn rules_decide_and_the_score_stays() {
    let (bench, path, bad) = bench();
    let before = std::fs::read(&path).expect("reads");
    let plain = inspected(&path, &bad);
    assert_eq!(
        (&plain["verdict"], &plain["decided_by"]["rule"]),
        (&"ng".into(), &"threshold".into())
    );
    let found = plain["regions"].as_array().expect("regions").len();
    assert!(found >= 2, "{plain}");
    let largest = plain["regions"].as_array().expect("regions").iter();
    let largest = largest.filter_map(|r| r["area"].as_u64()).max().expect("an area");

    let left = drawn(&bench, "left.png", |x, _| if x < 40 { 1 } else { 2 });
    let right_only = drawn(&bench, "right.png", |x, _| if x < 40 { 0 } else { 255 });
    let over = format!("{}px", largest + 60);
    let mm2 = format!("{}mm2", (largest + 60) as f64 * 0.25);
    let many = found.to_string();
    let (left, right_only) = (text(&left), text(&right_only));
    // Each case holds the options, the verdict, and the rule that decides.
    let cases: [(&[&str], &str, &str); 8] = [
        (&["--max-regions", "0"], "ng", "threshold"),
        (&["--min-area", &over], "ok", "area"),
        (&["--mm-per-pixel", "0.5", "--min-area", &mm2], "ok", "area"),
        (&["--max-regions", "1"], "ng", "count"),
        // The blot on the left is too large to be tolerated.
        (&["--max-regions", &many], "ng", "count"),
        (&["--ignore", right_only], "ng", "threshold"),
        (&["--zones", left, "--zone", "1=1000x"], "ng", "threshold"),
        (&["--zones", left, "--zone", "1=1000x", "--zone", "2=rim:1000x"], "ok", "zone"),
    ];
    for (options, verdict, rule) in cases {
        assert_code(&rules(&path, options), 0, "");
        let now = inspected(&path, &bad);
        assert_eq!(now["score"], plain["score"], "{options:?}");
        let got = (&now["verdict"], &now["decided_by"]["rule"]);
        assert_eq!(got, (&verdict.into(), &rule.into()), "{options:?} {now}");
        assert_code(&hetmm(&["check", text(&path)]), 0, "");
        assert_code(&rules(&path, &["--clear"]), 0, "");
        assert_eq!(std::fs::read(&path).expect("reads"), before, "{options:?}");
    }
    assert_code(&rules(&path, &["--zones", left, "--zone", "2=rim:0.5x:2px"]), 0, "");
    let text_line = stdout(&hetmm(&["inspect", text(&path), text(&bad)]));
    let now = inspected(&path, &bad);
    let zones: Vec<_> =
        now["regions"].as_array().expect("regions").iter().map(|r| &r["zone"]).collect();
    assert!(zones.contains(&&"rim".into()), "{now}");
    assert!(text_line.contains("worst of"), "{text_line}");
    assert!(stdout(&hetmm(&["info", text(&path)])).contains("rim: 0.5 x the threshold"));
}

#[test]
fn rules_outlive_calibration_and_insertion_and_undo() {
    let (bench, path, bad) = bench();
    assert_code(&rules(&path, &["--min-area", "4700px"]), 0, "");
    let ignore = drawn(&bench, "ignore.png", |x, _| if x < 4 { 0 } else { 255 });
    assert_code(&rules(&path, &["--ignore", text(&ignore)]), 0, "");
    let before = std::fs::read(&path).expect("reads");
    let fresh = bench.parts("fresh", 100..120);
    let calibrate = ["calibrate", text(&path), "--images", text(&fresh), "--false-reject", "10%"];
    assert_code(&hetmm(&calibrate), 0, "");
    let part = bench.part("new/20.png", 20);
    assert_code(&hetmm(&["insert", text(&path), text(&part), "--novelty", "1"]), 0, "");
    let now = inspected(&path, &bad);
    assert_eq!((&now["verdict"], &now["decided_by"]["rule"]), (&"ok".into(), &"area".into()));
    // Rules that are set between an insertion and its undo are not those from before.
    assert_code(&rules(&path, &["--max-regions", "1"]), 0, "");
    assert_code(&hetmm(&["undo", text(&path)]), 0, "");
    let shown: Value = serde_json::from_str(&stdout(&rules(&path, &["--json"]))).expect("JSON");
    assert_eq!((&shown["max_regions"], &shown["min_area_px"]), (&0.into(), &4700.0.into()));
    assert_ne!(std::fs::read(&path).expect("reads"), before);
    assert_code(&hetmm(&["insert", text(&path), text(&part), "--novelty", "1"]), 0, "");
    assert_code(&rules(&path, &["--clear"]), 0, "");
    assert_code(&hetmm(&["undo", text(&path)]), 0, "the bytes are those from before");
    let again: Value = serde_json::from_str(&stdout(&rules(&path, &["--json"]))).expect("JSON");
    assert_eq!(again, shown);
}

#[test]
fn rules_that_cannot_be_are_refused_and_change_nothing() {
    let (bench, path, _) = bench();
    let before = std::fs::read(&path).expect("reads");
    let black = drawn(&bench, "black.png", |_, _| 0);
    let labels = drawn(&bench, "labels.png", |x, _| u8::from(x < 40));
    let square = bench.path("square.png");
    GrayImage::new(60, 60).save(&square).expect("writes");
    let (black, labels, square) = (text(&black), text(&labels), text(&square));
    let cases: [(&[&str], i32, &str); 14] = [
        (&["--min-area", "40"], 2, "40px or 0.5mm2"),
        (&["--min-area", "0.5mm2"], 2, "choose --mm-per-pixel"),
        (&["--min-area", "4800px"], 2, "larger than a picture"),
        (&["--mm-per-pixel", "0"], 2, "is no length"),
        (&["--mm-per-pixel", "NaN"], 2, "is no length"),
        (&["--max-regions", "99999999"], 2, "tolerated regions"),
        (&["--ignore", black], 3, "nothing would count"),
        (&["--ignore", square], 3, "another shape"),
        (&["--ignore", "none.png"], 5, "none.png"),
        (&["--zone", "1=2x"], 2, "choose --zones"),
        (&["--zones", labels], 2, "2 grey values: 0, 1"),
        (&["--zones", labels, "--zone", "7=2x"], 2, "has no pixel"),
        (&["--zones", labels, "--zone", "1=2x", "--zone", "1=3x"], 2, "given twice"),
        (&["--clear", "--max-regions", "1"], 2, "cannot be used with"),
    ];
    for (options, code, message) in cases {
        let output = rules(&path, options);
        assert_code(&output, code, message);
        assert_eq!(std::fs::read(&path).expect("reads"), before, "{options:?} {}", stderr(&output));
    }
    assert!(stdout(&rules(&path, &[])).contains("the score alone decides"));
}

/// A zone of 3000 pixels with half the threshold must not hide a blot that reaches into it from an area where 10 pixels
/// are enough.
#[test]
fn a_zone_with_a_large_least_area_hides_nothing_beside_it() {
    let (bench, path, bad) = bench();
    let strip = drawn(&bench, "strip.png", |x, _| u8::from(x < 10));
    for zone in ["1=seal:0.9x:3000px", "1=seal:0.5x:3000px", "1=seal:0.2x:3000px"] {
        let zoned = ["--min-area", "10px", "--zones", text(&strip), "--zone", zone];
        assert_code(&rules(&path, &zoned), 0, "");
        let now = inspected(&path, &bad);
        assert_eq!(now["verdict"], "ng", "{zone}: {now}");
        assert_eq!(now["decided_by"]["zone"], Value::Null, "{zone}: {now}");
    }
}

/// An ignored area takes its pixels from a zone, and may take all of them.
#[test]
fn a_zone_that_is_ignored_altogether_is_refused_whichever_comes_first() {
    let (bench, path, _) = bench();
    let left = drawn(&bench, "left.png", |x, _| if x < 40 { 0 } else { 255 });
    let corner = drawn(&bench, "corner.png", |x, y| u8::from(x < 20 && y < 20));
    let white = drawn(&bench, "white.png", |_, _| 255);
    let (left, corner, white) = (text(&left), text(&corner), text(&white));
    let zoned = ["--zones", corner, "--zone", "1=lid:1.5x"];
    let refused = "zone 1 (lid) has no pixel that is not ignored";
    assert_code(&rules(&path, &["--ignore", left]), 0, "");
    assert_code(&rules(&path, &zoned), 2, refused);
    assert_code(&rules(&path, &[&zoned[..], &["--ignore", white]].concat()), 0, "");
    assert_code(&rules(&path, &["--ignore", left]), 2, refused);
    assert_code(&rules(&path, &["--clear"]), 0, "");
}
