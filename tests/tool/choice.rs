//! Tests the choice of a threshold from outside: the operating curve, advice in both situations, the peak of a part
//! that is ok, and colours that follow the threshold.

use crate::common::{Bench, SMALL, TEMPLATE, assert_code, hetmm, stderr, stdout, text};
use image::{Rgb, RgbImage};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Makes the parts `numbers` in one folder: a disc on a gradient under soft clouds, which differ on every part. Bad
/// parts have a blot from 10, 8 to 30, 18.
fn parts(bench: &Bench, folder: &str, numbers: std::ops::Range<u32>, is_bad: bool) -> PathBuf {
    for number in numbers {
        let mut state = number * 2_654_435 + 1;
        let mut random = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % below
        };
        let clouds: Vec<[f32; 3]> = (0..12)
            .map(|_| [random(80) as f32, random(60) as f32, random(30) as f32 - 15.0])
            .collect();
        let image = RgbImage::from_fn(80, 60, |x, y| {
            let is_blot = is_bad && (10..30).contains(&x) && (8..18).contains(&y);
            let disc = (x as i32 - 39).pow(2) + (y as i32 - 30).pow(2) < 200;
            let cloud = |[u, v, depth]: &[f32; 3]| {
                depth * (-((x as f32 - u).powi(2) + (y as f32 - v).powi(2)) / 60.0).exp()
            };
            let light: f32 = clouds.iter().map(cloud).sum();
            let grey = (if disc { 190.0 } else { 60.0 + x as f32 }) + light + random(4) as f32;
            if is_blot { Rgb([255, 0, (x * 8) as u8]) } else { Rgb([grey as u8; 3]) }
        });
        let path = bench.path(&format!("{folder}/{number:03}.png"));
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("makes");
        image.save(path).expect("writes");
    }
    bench.path(folder)
}

fn template(bench: &Bench, options: &[&str]) -> PathBuf {
    let (good, path) = (parts(bench, "good", 0..20, false), bench.path("t.hetmm"));
    let build = ["build", text(&good), "-o", text(&path), "--force"];
    assert_code(&hetmm(&[&build[..], &SMALL, &TEMPLATE, options].concat()), 0, "");
    path
}

/// Makes a data set with 20 good parts and 10 of each kind of defect.
fn dataset(bench: &Bench, is_weak: bool) -> PathBuf {
    parts(bench, "set/test/good", 100..120, false);
    match is_weak {
        // These are good parts under another name. Nothing distinguishes them.
        true => drop(parts(bench, "set/test/invisible", 200..210, false)),
        false => drop(parts(bench, "set/test/blot", 300..310, true)),
    }
    bench.path("set")
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

/// Returns what `eval` says in JSON and in words.
fn eval(template: &Path, set: &Path) -> (Value, String) {
    let figures = hetmm(&["eval", text(template), text(set), "--json", "-"]);
    assert_code(&figures, 0, "");
    let words = hetmm(&["eval", text(template), text(set)]);
    assert_code(&words, 0, "");
    (json(&figures.stdout), stdout(&words))
}

/// Follows the definition: the share of defects above the (1 - R) quantile of the good scores, linear between
/// neighbours.
fn caught_at(rate: f64, scores: &[Value]) -> f64 {
    let of = |is_good: bool| -> Vec<f64> {
        let class = scores.iter().filter(|s| s["defect"].is_null() == is_good);
        let mut scores: Vec<f64> = class.map(|s| s["score"].as_f64().expect("a score")).collect();
        scores.sort_by(f64::total_cmp);
        scores
    };
    let (good, bad) = (of(true), of(false));
    let at = (1.0 - rate) * (good.len() - 1) as f64;
    let next = (at as usize + 1).min(good.len() - 1);
    let limit = good[at as usize] + at.fract() * (good[next] - good[at as usize]);
    bad.iter().filter(|score| **score > limit).count() as f64 / bad.len() as f64
}

#[test]
fn eval_has_every_score_and_what_is_caught_at_three_rates() {
    let bench = Bench::new();
    let path = template(&bench, &[]);
    parts(&bench, "set/test/invisible", 200..210, false);
    let set = dataset(&bench, false);
    let (figures, words) = eval(&path, &set);
    let scores = figures["scores"].as_array().expect("a list");
    assert_eq!(scores.len(), 40);
    let inspected = hetmm(&["inspect", text(&path), text(&set.join("test/blot")), "--json"]);
    for line in stdout(&inspected).lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let same = scores.iter().find(|s| s["image"] == line["image"]).expect("the same path");
        assert_eq!((&same["defect"], &same["verdict"]), (&"blot".into(), &line["verdict"]));
        let difference =
            same["score"].as_f64().expect("one") - line["score"].as_f64().expect("one");
        assert!(difference.abs() < 1e-6);
    }
    assert!(scores.iter().any(|s| s["defect"].is_null()));
    for (key, rate) in [("caught_at_1", 0.01), ("caught_at_2", 0.02), ("caught_at_5", 0.05)] {
        let told = figures[key].as_f64().expect(key);
        assert!((told - caught_at(rate, scores)).abs() < 1e-12, "{key}: {told}");
        assert!((0.5..1.0).contains(&told), "{key}: {told}, where only half can be seen");
        let row = format!("{:.2} %", 100.0 * told);
        assert!(words.contains(&row), "{row} in {words}");
    }
    assert!(words.contains("good rejected  score above  defects caught"), "{words}");
    // Without good or without defective pictures, this figure does not exist.
    std::fs::remove_dir_all(set.join("test/good")).expect("removes");
    let (figures, words) = eval(&path, &set);
    assert_eq!((&figures["caught_at_5"], &figures["advice"]), (&Value::Null, &"incomplete".into()));
    assert!(!words.contains("score above"), "{words}");
}

#[test]
fn a_threshold_that_is_too_high_and_a_bad_ranking_get_other_advice() {
    let bench = Bench::new();
    let set = dataset(&bench, false);
    let (figures, words) = eval(&template(&bench, &[]), &set);
    assert_eq!(figures["advice"], "sound", "{words}");
    let high = template(&bench, &["--threshold", "500"]);
    let (figures, words) = eval(&high, &set);
    assert_eq!(
        (&figures["advice"], &figures["missed"]),
        (&"threshold-too-high".into(), &10.into())
    );
    assert_eq!(figures["caught_at_5"], 1.0);
    assert!(words.contains("ranks these pictures well, but its threshold is too high"), "{words}");
    let command = format!("  -> hetmm calibrate {} --images fresh/ --false-reject 1%", text(&high));
    assert!(words.contains(&command), "{command} in {words}");

    let bench = Bench::new();
    let set = dataset(&bench, true);
    std::fs::create_dir_all(set.join("train")).expect("makes");
    parts(&bench, "set/train/good", 0..3, false);
    let (figures, words) = eval(&template(&bench, &[]), &set);
    assert_eq!(figures["advice"], "does-not-rank", "{words}");
    assert!(words.contains("does not rank these defects above good parts"), "{words}");
    let good = set.join("train/good");
    let mask = format!("  -> hetmm build {} -o new.hetmm --mask roi.png", text(&good));
    let audit = format!("  -> hetmm audit {} --report audit.html", text(&good));
    let places = ["Try next: ", &mask, "Then: ", &audit].map(|w| words.find(w).expect(w));
    assert!(places.is_sorted(), "{words}");
    let page = bench.path("page.html");
    let path = bench.path("t.hetmm");
    let report = ["eval", text(&path), text(&set), "--report", text(&page)];
    assert_code(&hetmm(&report), 0, "");
    let page = std::fs::read_to_string(&page).expect("a page");
    assert!(page.contains("data-advice=\"does-not-rank\"") && page.contains("Try next: "));
    assert!(!page.contains(text(&set)), "a page names no folder of this machine");
}

#[test]
fn a_part_that_is_ok_has_a_peak() {
    let bench = Bench::new();
    let path = template(&bench, &["--threshold", "500"]);
    let bad = parts(&bench, "bad", 300..302, true);
    let inspected = hetmm(&["inspect", text(&path), text(&bad), "--json"]);
    assert_code(&inspected, 0, "");
    for line in stdout(&inspected).lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!((&line["verdict"], &line["regions"]), (&"ok".into(), &Value::Array(vec![])));
        assert_eq!(line["peak"]["value"], line["score"]);
        let at = |key: &str| line["peak"][key].as_u64().expect("a place");
        // The blot lies from 10, 8 to 30, 18.
        assert!((8..32).contains(&at("x")) && (4..22).contains(&at("y")), "{line}");
    }
}

/// Returns the largest brightness in the third panel of a heat map of an 80 x 60 picture.
fn brightest(map: &RgbImage) -> u32 {
    let grey = |p: &Rgb<u8>| {
        (299 * u32::from(p.0[0]) + 587 * u32::from(p.0[1]) + 114 * u32::from(p.0[2])) / 1000
    };
    let bar = (0..map.width()).rev().find(|x| map.get_pixel(*x, map.height() - 1).0 == [0, 0, 4]);
    let end = bar.expect("a colour bar that ends in black") - 40;
    let inside = |x: u32, y: u32| (end - 140..end).contains(&x) && (18..70).contains(&y);
    // The ground is white. So are letters and what lies beside a small panel.
    let is_colour = |p: &Rgb<u8>| p.0 != [255; 3];
    map.enumerate_pixels()
        .filter(|(x, y, p)| inside(*x, *y) && is_colour(p))
        .map(|(.., p)| grey(p))
        .max()
        .expect("a panel")
}

#[test]
fn the_colours_follow_the_threshold_and_panels_have_names() {
    let bench = Bench::new();
    let bad = parts(&bench, "bad", 300..301, true);
    let maps = bench.path("maps");
    let drawn = |threshold: &str| {
        let path = template(&bench, &["--threshold", threshold]);
        let command = ["inspect", text(&path), text(&bad), "--heatmaps", text(&maps)];
        assert_code(&hetmm(&command), 0, "");
        image::open(maps.join("300.png")).expect("a heat map").to_rgb8()
    };
    let path = template(&bench, &["--threshold", "1"]);
    let inspected = hetmm(&["inspect", text(&path), text(&bad), "--json"]);
    let score = json(&inspected.stdout)["score"].as_f64().expect("a score");
    let at = |thresholds: f64| brightest(&drawn(&(score / thresholds).to_string()));
    let (weak, just_above, gross) = (at(0.4), at(1.05), at(8.0));
    assert!(weak > 15 && weak < 70, "weak signals are dark, and can be seen: {weak}");
    assert!(
        just_above > 105 && just_above < 150,
        "what is above the threshold is bright: {just_above}"
    );
    assert!(gross > 220, "{gross}");
    let map = drawn(&score.to_string());
    assert_eq!(map.get_pixel(0, 0).0, [255; 3]);
    let ink = |from: u32, to: u32| {
        let dark = |x: u32, y: u32| map.get_pixel(x, y).0 == [20; 3];
        (from..to).flat_map(|x| (0..14).map(move |y| (x, y))).filter(|(x, y)| dark(*x, *y)).count()
    };
    // The strip shows "picture", then two longer names, then the bar.
    assert!(ink(0, 80) > 50 && ink(158, 300) > 100 && ink(316, 460) > 100);
}

#[test]
fn calibrate_prints_the_curve_and_a_dry_run_needs_no_rate() {
    let bench = Bench::new();
    let (path, fresh) = (template(&bench, &[]), parts(&bench, "fresh", 100..120, false));
    let bad = parts(&bench, "bad", 300..305, true);
    let calibrate = |options: &[&str]| {
        let command = ["calibrate", text(&path), "--images", text(&fresh), "--defects", text(&bad)];
        hetmm(&[&command[..], options].concat())
    };
    let before = std::fs::read(&path).expect("reads");
    // 20 parts cannot promise the usual 1 %.
    let dry = calibrate(&["--dry-run"]);
    assert_code(&dry, 0, "20 good parts are too few to guarantee a false-reject rate of 1 %");
    let words = stdout(&dry);
    assert!(
        words.contains("of these 20 good parts. It lets 0 of 5 known defects pass."),
        "{words}"
    );
    assert!(words.contains("defects caught") && words.contains("100.00 %"), "{words}");
    let told = json(&calibrate(&["--dry-run", "--json"]).stdout);
    assert_eq!((&told["threshold"], &told["present"]["missed"]), (&Value::Null, &0.into()));
    assert_eq!(told["caught_at_5"], 1.0);
    // A rate that was asked for still leads to an error, after the answer.
    let asked = calibrate(&["--dry-run", "--false-reject", "1%"]);
    assert_code(&asked, 3, "too few to guarantee");
    assert!(stdout(&asked).contains("The present threshold"));
    assert_code(&calibrate(&[]), 3, "too few to guarantee");
    assert_eq!(std::fs::read(&path).expect("reads"), before);
    let page = bench.path("page.html");
    let set = calibrate(&["--false-reject", "7%", "--report", text(&page)]);
    assert_code(&set, 0, "");
    let words = stdout(&set);
    assert!(words.contains("Only some rates are possible with 20 good parts: 4.76 %"), "{words}");
    assert!(words.contains("  before "), "{words}");
    let page = std::fs::read_to_string(&page).expect("a page");
    assert!(page.contains("<table id=\"operating\">") && page.contains("<data id=\"caught_at_2\""));
    let rates = page.split("id=\"other-rates\"").nth(1).expect("a table");
    assert_eq!(rates.matches("<tr class=\"asked\">").count(), 1);
    assert!(!stderr(&set).contains("panicked"));
}
