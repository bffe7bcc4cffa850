//! The pages of a calibration and of an ablation, read as files and opened in a browser.

mod common;

use common::page::{Browser, between, check_frame, figure, number};
use common::{Bench, SMALL, TEMPLATE, assert_code, hetmm, stdout, text};
use image::Rgb;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Parts with a dark spot of `side` pixels.
fn spoiled(bench: &Bench, folder: &str, numbers: std::ops::Range<u32>, side: u32) -> PathBuf {
    let folder = bench.parts(folder, numbers);
    for entry in std::fs::read_dir(&folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let mut picture = image::open(&path).expect("reads").into_rgb8();
        for (x, y) in (55..55 + side).flat_map(|x| (12..12 + side).map(move |y| (x, y))) {
            picture.put_pixel(x, y, Rgb([10, 10, 10]));
        }
        picture.save(&path).expect("writes");
    }
    folder
}

fn template(bench: &Bench) -> PathBuf {
    let (good, template) = (bench.parts("good", 0..12), bench.path("part.hetmm"));
    let arguments = ["build", text(&good), "-o", text(&template)];
    assert_code(&hetmm(&[&arguments[..], &SMALL[..], &TEMPLATE[..]].concat()), 0, "");
    template
}

#[test]
fn the_page_of_a_calibration_says_what_the_command_says() {
    let bench = Bench::new();
    let template = template(&bench);
    let fresh = bench.parts("fresh", 40..90);
    let bad = spoiled(&bench, "scratch", 90..96, 9);
    let weak = spoiled(&bench, "dent", 96..100, 1);
    let page = bench.path("page.html");
    let before = std::fs::read(&template).expect("reads");
    let calibrate = |more: &[&str]| -> Value {
        let arguments = ["calibrate", text(&template), "--images", text(&fresh), "--defects"];
        let defects = [text(&bad), text(&weak)];
        let rates = ["--false-reject", "5%", "--review", "20%", "--json", "--report", text(&page)];
        let out = hetmm(&[&arguments[..], &defects, &rates, more].concat());
        assert_code(&out, 0, "");
        serde_json::from_str(&stdout(&out)).expect("JSON")
    };
    let check = |page: &str, figures: &Value, written: bool| {
        let titles =
            ["What is promised", "Scores", "Other rates", "Decisions", "Pictures", "Template"];
        check_frame(page, &titles);
        let same = |id: &str, of: &str| {
            let want = figures[of].as_f64().expect(of);
            assert!((number(page, id) - want).abs() <= 1e-9 * want.abs(), "{id}: {want}");
        };
        for (id, of) in [
            ("threshold", "threshold"),
            ("review", "review"),
            ("asked", "false_reject"),
            ("expected", "expected_per_10000"),
            ("defects", "defects"),
        ] {
            same(id, of);
        }
        let count = |of: &str| figures[of].as_f64().expect(of);
        assert_eq!(number(page, "missed"), count("missed") - count("missed_but_reviewed"));
        for (id, end) in [("range-low", 0), ("range-high", 1)] {
            assert_eq!(number(page, id), figures["range_per_200"][end].as_f64().expect(id));
        }
        assert_eq!(figure(page, "threshold").1, format!("{:.4}", count("threshold")));
        assert_eq!(page.contains("A dry run"), !written);
        // All pictures are in the strips and in the table, whose rows of rates mark those asked for.
        assert_eq!(page.matches("<path class=\"score\"").count(), 60);
        let rates = between(page, "<table id=\"other-rates\">", "</table>")[0];
        for rate in ["<strong>5 %</strong>", "<strong>20 %</strong>"] {
            assert!(rates.contains(rate), "{rate} in {rates}");
        }
        // Rates that 50 parts cannot promise are not listed.
        assert!(!rates.contains(">1 %<") && rates.contains(">2 %<") && rates.contains(">10 %<"));
        assert_eq!(page.matches("class=\"area\"").count(), 1, "the interval");
        let levels = between(page, "<text class=\"level\"", "</text>");
        for name in ["review ", "ng ", "old ng "] {
            assert!(
                levels.iter().any(|l| l.split_once('>').is_some_and(|(_, t)| t.starts_with(name))),
                "{name}"
            );
        }
        for kind in ["scratch", "dent"] {
            assert!(page.contains(&format!("data-defect=\"{kind}\"")), "{kind}");
        }
        assert!(page.contains("id=\"worst-good\"") && page.contains("id=\"hidden-bad\""));
    };
    let figures = calibrate(&["--dry-run"]);
    assert_eq!(std::fs::read(&template).expect("reads"), before, "a dry run writes no template");
    check(&std::fs::read_to_string(&page).expect("reads"), &figures, false);
    let figures = calibrate(&[]);
    assert_ne!(std::fs::read(&template).expect("reads"), before);
    let read = std::fs::read_to_string(&page).expect("reads");
    check(&read, &figures, true);
    let digest = blake3::hash(&std::fs::read(&template).expect("reads")).to_hex();
    assert!(read.contains(digest.as_str()), "the page is about the template as it was written");

    let Some(browser) = Browser::find() else { return };
    check(&browser.shows_quietly(&page), &figures, true);
    let at = |id: &str| browser.widest_dark_row(&format!("file://{}#{id}", text(&page)));
    let (card, opened) = (at("at-good-1"), at("good-1"));
    assert!(card < 250 && opened > 300, "{card} and {opened} pixels");
}

/// A data set of drawn parts in MVTec layout, with masks.
fn dataset(bench: &Bench) -> PathBuf {
    bench.parts("set/train/good", 0..14);
    bench.parts("set/test/good", 20..28);
    spoiled(bench, "set/test/spot", 30..35, 9);
    spoiled(bench, "set/test/dent", 40..43, 3);
    for (kind, numbers, side) in [("spot", 30..35, 9), ("dent", 40..43, 3)] {
        for number in numbers {
            let path = bench.path(&format!("set/ground_truth/{kind}/{number:03}_mask.png"));
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("makes");
            let inside =
                |x: u32, y: u32| (55..55 + side).contains(&x) && (12..12 + side).contains(&y);
            image::GrayImage::from_fn(80, 60, |x, y| image::Luma([255 * u8::from(inside(x, y))]))
                .save(&path)
                .expect("writes");
        }
    }
    bench.path("set")
}

fn rows<'a>(found: &'a Value, study: &str) -> Vec<&'a Value> {
    let rows = found["rows"].as_array().expect("rows");
    rows.iter().filter(|r| r["study"] == study).collect()
}

fn eval(template: &Path, set: &Path) -> Value {
    let out = hetmm(&["eval", text(template), text(set), "--json", "-"]);
    assert_code(&out, 0, "");
    serde_json::from_str(&stdout(&out)).expect("JSON")
}

#[test]
fn every_row_of_an_ablation_is_what_a_template_with_these_settings_gives() {
    let bench = Bench::new();
    let set = dataset(&bench);
    let (json, page) = (bench.path("rows.json"), bench.path("page.html"));
    let arguments = ["ablate", text(&set), "--json", text(&json), "--report", text(&page)];
    let out = hetmm(&[&arguments[..], &SMALL[..], &TEMPLATE[..]].concat());
    assert_code(&out, 0, "");
    let table = stdout(&out);
    let found: Value = serde_json::from_slice(&std::fs::read(&json).expect("reads")).expect("JSON");
    let all = found["rows"].as_array().expect("rows");
    assert_eq!(table.lines().count(), 1 + all.len());
    for (study, count) in [
        ("direction", 4),
        ("alpha", 11),
        ("layers", 3),
        ("patch", 10),
        ("sheets", 4),
        ("rules", 10),
    ] {
        assert_eq!(rows(&found, study).len(), count, "{study}");
    }
    assert!(rows(&found, "kmeans-pixel").is_empty(), "runs only where it is asked for");
    let seeds = |row: &&Value| row["seeds"].as_u64().expect("seeds");
    assert!(rows(&found, "rules").iter().any(|r| seeds(r) == 3));

    let row = |study: &str, line: &str, name: &str| -> &Value {
        let found = rows(&found, study);
        let row = found.iter().find(|r| r["line"] == line && r["name"] == name);
        row.copied().unwrap_or_else(|| panic!("{study} {line} {name} in {table}"))
    };
    let good = set.join("train/good");
    let cases: [(&Value, &[&str]); 6] = [
        (row("direction", "", "mutual, alpha 0.8"), &[]),
        (row("direction", "", "forward"), &["--alpha", "1"]),
        (row("layers", "", "block4.exp"), &["--layers", "block4.exp", "--patches", "3"]),
        (row("patch", "forward", "1 x 1"), &["--alpha", "1", "--patches", "1,1"]),
        (row("sheets", "pts, maxmin", "all 14"), &["--sheets", "all"]),
        (row("rules", "pts, sum", "10"), &["--hard-rule", "sum", "--sheets", "10"]),
    ];
    for (row, more) in cases {
        let template = bench.path("one.hetmm");
        let settings: Vec<(&str, &str)> = SMALL
            .chunks(2)
            .chain(TEMPLATE.chunks(2))
            .chain(more.chunks(2))
            .map(|pair| (pair[0], pair[1]))
            .collect();
        // An option given again takes the place of the first.
        let last = |i: usize| settings[i + 1..].iter().all(|(name, _)| *name != settings[i].0);
        let options: Vec<&str> = (0..settings.len())
            .filter(|&i| last(i))
            .flat_map(|i| [settings[i].0, settings[i].1])
            .collect();
        let build = ["build", text(&good), "-o", text(&template)];
        assert_code(&hetmm(&[&build[..], &options].concat()), 0, "");
        let figures = eval(&template, &set);
        for figure in ["image_auroc", "pixel_auroc", "aupro30"] {
            let [got, want] = [row, &figures].map(|v| v[figure].as_f64().expect(figure));
            assert!((got - want).abs() < 1e-9, "{figure} of {row}: {want}");
        }
        let bytes = std::fs::metadata(&template).expect("a template").len();
        assert!(
            row["template_bytes"].as_u64().expect("bytes").abs_diff(bytes) < 64,
            "{row}: {bytes}"
        );
    }

    let check = |page: &str| {
        let titles = [
            "Direction",
            "Weight of the forward direction",
            "Layers",
            "Windows",
            "Sheets",
            "Selection rules",
            "Settings",
        ];
        check_frame(page, &titles);
        assert_eq!(number(page, "rows"), all.len() as f64);
        assert_eq!(page.matches("<tr data-study=").count(), all.len());
        // Three figures against alpha, windows, sheets, and sheets of each rule.
        assert_eq!(page.matches("class=\"chart lines\"").count(), 4 * 3);
    };
    check(&std::fs::read_to_string(&page).expect("reads"));
    if let Some(browser) = Browser::find() {
        check(&browser.shows_quietly(&page));
    }
}

#[test]
fn studies_can_be_chosen_and_what_cannot_be_compared_is_refused() {
    let bench = Bench::new();
    let set = dataset(&bench);
    let ablate =
        |more: &[&str]| hetmm(&[&["ablate", text(&set)], &SMALL[..], &TEMPLATE[..], more].concat());
    let out = ablate(&["--studies", "alpha", "--pictures", "2", "--json", "-"]);
    assert_code(&out, 0, "");
    let found: Value = serde_json::from_str(&stdout(&out)).expect("JSON");
    assert_eq!((&found["test"], &found["with_truth"]), (&6.into(), &6.into()));
    assert_eq!(found["rows"].as_array().map(Vec::len), Some(11));
    assert_code(&ablate(&["--studies", "beta"]), 2, "possible values");
    std::fs::remove_dir_all(set.join("test/good")).expect("removes");
    assert_code(&ablate(&[]), 3, "one kind is missing");
    std::fs::remove_dir_all(set.join("train")).expect("removes");
    assert_code(&ablate(&[]), 3, "no folder `train/good`");
}
