//! Tests from outside what a template finds of made-up defects, on small drawn parts.

use crate::common::{Bench, SMALL, TEMPLATE, assert_code, hetmm, stderr, stdout, text};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Builds a template of 40 small parts, and a folder of ten others.
fn template(bench: &Bench) -> (PathBuf, PathBuf) {
    let (good, path) = (bench.parts("good", 0..40), bench.path("t.hetmm"));
    let build = [&["build", text(&good), "-o", text(&path)], &SMALL[..], &TEMPLATE].concat();
    assert_code(&hetmm(&build), 0, "confidence; `hetmm sensitivity` has details)");
    (path, bench.parts("fresh", 100..110))
}

/// Returns the figures of a run with these options.
fn figures(template: &Path, good: &Path, options: &[&str]) -> Value {
    let run = ["sensitivity", text(template), text(good), "--json", "-", "--runs", "60"];
    let output = hetmm(&[&run[..], options].concat());
    assert_code(&output, 0, "");
    serde_json::from_str(&stdout(&output)).expect("JSON")
}

const SPOTS: [&str; 4] = ["--kinds", "dark-spot,bright-spot", "--contrasts", "120,4"];

#[test]
fn sizes_are_stated_by_kind_and_contrast() {
    let bench = Bench::new();
    let (template, fresh) = template(&bench);
    let found = figures(&template, &fresh, &SPOTS);
    let kinds = found["kinds"].as_array().expect("kinds");
    let named: Vec<(&str, f64)> = kinds
        .iter()
        .map(|k| (k["kind"].as_str().expect("a name"), k["contrast"].as_f64().expect("a contrast")))
        .collect();
    let want =
        [("dark-spot", 4.0), ("dark-spot", 120.0), ("bright-spot", 4.0), ("bright-spot", 120.0)];
    assert_eq!(named, want);
    assert_eq!(found["picture_size"]["width"], 80);
    for kind in kinds {
        let tries = kind["pod"]["tries"].as_u64().expect("a count");
        assert_eq!(tries + kind["without_place"].as_u64().expect("a count"), 60);
        let sizes = kind["pod"]["sizes"].as_array().expect("sizes");
        let sum: u64 = sizes.iter().map(|s| s["tries"].as_u64().expect("a count")).sum();
        assert_eq!(sum, tries);
    }
    // A strong spot is found at a size where a faint one is not.
    let share = |kind: &Value| {
        let count = |key: &str| kind["pod"][key].as_f64().expect("a count");
        count("found") / count("tries")
    };
    assert_eq!(kinds[0]["pod"]["a90_95"]["relation"], ">", "{}", kinds[0]);
    assert!(share(&kinds[1]) > 0.3 && share(&kinds[0]) < 0.3, "{kinds:?}");
    let cells = found["blind_map"]["cells"].as_array().expect("cells");
    let tried: u64 = cells.iter().map(|c| c["tries"].as_u64().expect("a count")).sum();
    assert_eq!(cells.len(), 64);
    assert!(tried > 0 && tried <= 240);
}

#[test]
fn the_same_seed_gives_the_same_figures_with_any_number_of_threads() {
    let bench = Bench::new();
    let (template, fresh) = template(&bench);
    let options = ["--kinds", "scratch,missing,moved,smoothed", "--contrasts", "60"];
    let with = |more: &[&str]| figures(&template, &fresh, &[&options[..], more].concat());
    let once = with(&["--threads", "1"]);
    assert_eq!(once, with(&["--threads", "3"]));
    assert_ne!(once["kinds"], with(&["--seed", "1"])["kinds"]);
}

#[test]
fn only_good_pictures_that_the_template_has_not_seen_count() {
    let bench = Bench::new();
    let (template, fresh) = template(&bench);
    let run = |images: &[&str], options: &[&str]| {
        let run = [&["sensitivity", text(&template)], images].concat();
        hetmm(&[&run[..], &["--runs", "60"], &SPOTS, options].concat())
    };
    let good = bench.path("good");
    assert_code(&run(&[text(&good)], &[]), 3, "the template was built from all of them");
    let both = run(&[text(&good), text(&fresh)], &[]);
    assert_code(
        &both,
        0,
        "40 of 50 pictures were left out, because the template was built from them",
    );
    assert!(stdout(&both).contains("Artificial defects in 10 good pictures"), "{}", stdout(&both));
    // What is rejected without a defect is counted and left out.
    let bad = bench.blotted_parts("bad", 200..203);
    let told = stdout(&run(&[text(&fresh), text(&bad)], &[]));
    assert!(
        told.contains(
            "3 of 13 pictures are left out, because they are not ok even without a defect"
        ),
        "{told}"
    );
    assert_code(&run(&[text(&bad)], &[]), 3, "the template rejects all 3 good pictures");
    // With few pictures, the output says so.
    let few = stdout(&run(&[text(&fresh.join("100.png"))], &[]));
    assert!(few.contains("1 good picture says little"), "{few}");
    // Unreadable pictures are named.
    std::fs::write(fresh.join("broken.png"), b"no picture").expect("writes");
    assert_code(&run(&[text(&fresh)], &[]), 3, "broken.png");
    assert_code(&run(&[text(&fresh)], &["--skip-unreadable"]), 0, "skipped: ");
}

#[test]
fn a_scale_gives_millimetres_and_ignored_places_are_not_tried() {
    let bench = Bench::new();
    let (template, fresh) = template(&bench);
    let ignored =
        image::GrayImage::from_fn(80, 60, |x, _| image::Luma([if x < 40 { 0 } else { 255 }]));
    let mask = bench.path("ignore.png");
    ignored.save(&mask).expect("writes");
    let rules = ["rules", text(&template), "--mm-per-pixel", "0.5", "--ignore", text(&mask)];
    assert_code(&hetmm(&rules), 0, "");
    let found = figures(&template, &fresh, &SPOTS);
    assert_eq!(found["mm_per_pixel"], 0.5);
    for kind in found["kinds"].as_array().expect("kinds") {
        let px = kind["pod"]["a90_95"]["px"].as_f64().expect("a size");
        assert!((kind["a90_95_mm"].as_f64().expect("a length") - 0.5 * px).abs() < 1e-9);
    }
    let cells = found["blind_map"]["cells"].as_array().expect("cells");
    let tried_left = (0..64).filter(|at| at % 8 < 4 && cells[*at]["tries"] != 0).count();
    assert_eq!(tried_left, 0, "{cells:?}");
}

#[test]
fn a_page_and_a_file_are_written_and_wrong_options_refused() {
    let bench = Bench::new();
    let (template, fresh) = template(&bench);
    let (page, file) = (bench.path("page.html"), bench.path("sizes.json"));
    let run = ["sensitivity", text(&template), text(&fresh), "--runs", "60"];
    let of = |options: &[&str]| hetmm(&[&run[..], options].concat());
    let both = ["--report", text(&page), "--json", text(&file), "--kinds", "dark-spot,moved"];
    assert_code(&of(&both), 0, "");
    let json: Value = serde_json::from_slice(&std::fs::read(&file).expect("reads")).expect("JSON");
    let html = std::fs::read_to_string(&page).expect("reads");
    for kind in json["kinds"].as_array().expect("kinds") {
        let contrast = kind["contrast"].as_f64().map_or_else(String::new, |c| format!("-{c}"));
        let id = format!("a90_95-{}{contrast}", kind["kind"].as_str().expect("a name"));
        let px = kind["pod"]["a90_95"]["px"].as_f64().expect("a size");
        let rest = html.split(&format!("<data id=\"{id}\" value=\"")).nth(1).expect("a figure");
        let shown: f64 = rest.split('"').next().and_then(|v| v.parse().ok()).expect("a number");
        // They are equal except for the last bit, which `serde_json` may read differently.
        assert!((shown - px).abs() <= 1e-12 * px, "{id}: {shown}, want {px}");
    }
    assert_eq!(html.matches("<g class=\"cell").count(), 64);
    assert!(!html.contains("NaN") && !html.contains("inf "));
    // Both outputs are recognised and replaced. A picture is not.
    assert_code(&of(&both), 0, "");
    let picture = fresh.join("101.png");
    assert_code(&of(&["--report", text(&picture)]), 2, "101.png");
    for (option, value) in [("--runs", "59"), ("--contrasts", "0"), ("--kinds", "crack")] {
        let refused = of(&[option, value]);
        assert_eq!(refused.status.code(), Some(2), "{option}: {}", stderr(&refused));
    }
}
