//! Runs `hetmm ablate` from outside.

use crate::common::{Bench, SMALL, assert_code, hetmm, stdout, text};
use serde_json::Value;

/// Makes a small data set: ten good parts to build from, four to test with, four with a blot.
fn dataset() -> Bench {
    let bench = Bench::new();
    bench.parts("set/train/good", 0..10);
    bench.parts("set/test/good", 20..24);
    bench.blotted_parts("set/test/blot", 30..34);
    bench
}

fn ablate(bench: &Bench, options: &[&str]) -> std::process::Output {
    hetmm(&[&["ablate", text(&bench.path("set"))], &SMALL[..], options].concat())
}

#[test]
fn every_row_is_a_template_of_its_own_and_the_same_everywhere() {
    let bench = dataset();
    let page = bench.path("page.html");
    let studies = "windows,alpha,layers,sheets,selection";
    let options = ["--studies", studies, "--json", "-", "--report", text(&page)];
    let output = ablate(&bench, &options);
    assert_code(&output, 0, "");
    let told: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let rows = told["rows"].as_array().expect("rows");
    let of = |study: &str| -> Vec<&Value> { rows.iter().filter(|r| r["study"] == study).collect() };
    let count = |study| of(study).len();
    // The sheets are 1, 2, 5 and all ten. The layers are alone and both.
    let counts = ["windows", "alpha", "layers", "sheets", "selection"].map(count);
    assert_eq!(counts, [6, 11, 3, 4, 5]);
    for row in rows {
        assert!(row["image_auroc"].as_f64().is_some_and(|a| a > 0.9), "{row}");
        // The blots have no masks.
        assert_eq!((&row["pixel_auroc"], &row["aupro30"]), (&Value::Null, &Value::Null));
    }
    let bytes: Vec<u64> =
        of("sheets").iter().filter_map(|r| r["template_bytes"].as_u64()).collect();
    assert!(bytes.windows(2).all(|b| b[0] < b[1]), "{bytes:?}");

    let page = std::fs::read_to_string(page).expect("a page");
    for part in
        ["Weight of the forward direction", "random-image", "<svg class=\"chart lines\"", "</html>"]
    {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("NaN") && !page.contains("http"), "made of itself alone");

    // A row has the figures of `build` and `eval`.
    let (path, figures) = (bench.path("t.hetmm"), bench.path("figures.json"));
    let (good, set) = (bench.path("set/train/good"), bench.path("set"));
    let build = ["build", text(&good), "-o", text(&path), "--patches", "3,3", "--sheets", "5"];
    assert_code(&hetmm(&[&build[..], &SMALL].concat()), 0, "");
    assert_code(&hetmm(&["eval", text(&path), text(&set), "--json", text(&figures)]), 0, "");
    let figures: Value =
        serde_json::from_slice(&std::fs::read(figures).expect("reads")).expect("JSON");
    assert_eq!(of("sheets")[2]["image_auroc"], figures["image_auroc"]);
    assert_eq!(
        of("sheets")[2]["template_bytes"],
        std::fs::metadata(&path).expect("is there").len()
    );
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let bench = dataset();
    assert_code(&ablate(&bench, &["--studies", "colour"]), 2, "possible values");
    assert_code(&ablate(&bench, &["--pictures", "1"]), 2, "--pictures");
    assert_code(&hetmm(&["ablate", text(&bench.path("set/train"))]), 3, "train/good");
    std::fs::remove_dir_all(bench.path("set/test/blot")).expect("removes");
    assert_code(&ablate(&bench, &[]), 3, "no defective pictures in its folder `test`");
    std::fs::remove_dir_all(bench.path("set/test")).expect("removes");
    assert_code(&ablate(&bench, &[]), 3, "no data set in MVTec layout");
}
