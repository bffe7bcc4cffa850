//! The page of an evaluation: read as a file, then opened in a browser that logs what it does.

mod common;

use common::page::{Browser, between, check_frame, figure};
use common::text;
use image::{ImageBuffer, Rgb, RgbImage};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A kind of defect whose name a page has to escape.
const AWKWARD: &str = "dent <b>&amp;";

fn hetmm(arguments: &[&str]) {
    let out = Command::new(env!("CARGO_BIN_EXE_hetmm")).args(arguments).output().expect("runs");
    assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// A part: a disc on a gradient, a dark spot of some size where it is bad.
fn part(path: PathBuf, number: u32, spot: u32) {
    let (dx, dy, light) = (number % 3, number / 3 % 3, number * 7 % 11);
    let image: RgbImage = ImageBuffer::from_fn(80, 60, |x, y| {
        let disc = (x as i32 - 38 - dx as i32).pow(2) + (y as i32 - 29 - dy as i32).pow(2) < 200;
        let bad = (55..55 + spot).contains(&x) && (12..12 + spot).contains(&y);
        let grey = if bad {
            10
        } else if disc {
            190
        } else {
            60 + x
        } + light;
        Rgb([grey as u8, (grey - 5) as u8, (grey + number * 13 % 5) as u8])
    });
    save(&path, &image);
}

fn save(path: &Path, image: &RgbImage) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("makes");
    image.save(path).expect("writes");
}

/// A small template of parts.
fn template(folder: &Path) -> PathBuf {
    for i in 0..12 {
        part(folder.join(format!("good/{i:02}.png")), i, 0);
    }
    let (good, template) = (folder.join("good"), folder.join("part.hetmm"));
    let layers = ["--layers", "block1.exp,block4.exp", "--patches", "3,3", "--sheets", "6"];
    let build = ["build", text(&good), "-o", text(&template), "--size", "64"];
    hetmm(&[&build[..], &layers].concat());
    template
}

/// Everything that can be read in the page, as it is in the file or in a browser's memory.
fn check(page: &str, figures: &Value) {
    for (id, of) in [
        ("images", &figures["images"]),
        ("good", &figures["good"]),
        ("defective", &figures["defective"]),
        ("image_auroc", &figures["image_auroc"]),
        ("pixel_auroc", &figures["pixel_auroc"]),
        ("aupro30", &figures["aupro30"]),
        ("threshold", &figures["threshold"]),
        ("false_rejects", &figures["false_rejects"]),
        ("good-ng", &figures["false_rejects"]),
        ("missed", &figures["missed"]),
        ("defective-ok", &figures["missed"]),
        ("total_p50", &figures["timing_ms"]["total_p50"]),
        ("timing-total", &figures["timing_ms"]["total_p50"]),
        ("timing-decode", &figures["timing_ms"]["decode"]),
        ("timing-preprocess", &figures["timing_ms"]["preprocess"]),
        ("timing-backbone", &figures["timing_ms"]["backbone"]),
        ("timing-matching", &figures["timing_ms"]["matching"]),
        ("timing-scoring", &figures["timing_ms"]["scoring"]),
    ] {
        let value: f64 = figure(page, id).0.parse().expect(id);
        // Equal but for the last bit, which `serde_json` may read otherwise.
        let want = of.as_f64().expect(id);
        assert!((value - want).abs() <= 1e-12 * want.abs(), "{id}: {value}, want {want}");
    }
    let shown = |id| figure(page, id).1;
    let percent = |of: &Value| format!("{:.2} %", 100.0 * of.as_f64().expect("a number"));
    assert_eq!(shown("image_auroc"), percent(&figures["image_auroc"]));
    assert_eq!(shown("aupro30"), percent(&figures["aupro30"]));
    for (kind, name) in [("spot", "spot"), (AWKWARD, "dent &lt;b&gt;&amp;amp;")] {
        let counts = &figures["defects"][kind];
        // Browsers leave < and > in attributes as they are, the program does not.
        let rows = between(page, "<tr data-defect=\"", "</tr>");
        let row = rows.iter().find(|r| r.contains(&format!(">{name}</th>"))).expect(kind);
        let cells: Vec<&str> = between(row, "<td", "</td>");
        assert_eq!(cells.len(), 4);
        for (cell, of) in [(cells[0], "images"), (cells[2], "missed")] {
            assert!(cell.ends_with(&format!(">{}", counts[of])), "{kind}: {cell}");
        }
        assert!(cells[1].contains(&percent(&figures["per_defect"][kind])), "{}", cells[1]);
    }

    check_frame(page, &["Decisions", "Scores", "Curves", "Pictures", "Time", "Template"]);
    assert!(between(page, " href=\"", "\"").len() > 27);
    let pictures = figures["images"].as_u64().expect("a count") as usize;
    assert_eq!(page.matches("<path class=\"score\"").count(), pictures, "ticks in the strips");
    let table = between(page, "<table id=\"all\">", "</table>")[0];
    assert_eq!(table.matches("<tr>").count(), pictures + 1);
    assert_eq!(page.matches("<path class=\"curve\"").count(), 3);
    // Three typical ones, twelve of each side; two pictures each.
    assert_eq!(page.matches("<figure class=\"shot\"").count(), 3 + 12 + 12);
    assert_eq!(page.matches("<img ").count(), 2 * 27);
    assert_eq!(page.matches("<img src=\"data:image/jpeg;base64,").count(), 2 * 27);
}

#[test]
fn the_page_holds_the_figures_and_a_browser_shows_it_without_network_or_complaint() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let template = template(folder.path());
    for i in 0..14 {
        // One of them is taken for bad, whatever the threshold.
        part(path(&format!("set/test/good/{i}.png")), 30 + i, if i == 13 { 9 } else { 0 });
    }
    for i in 0..9 {
        part(path(&format!("set/test/spot/{i}.png")), 40 + i, 9);
        let mask: RgbImage = ImageBuffer::from_fn(80, 60, |x, y| {
            Rgb([if (55..64).contains(&x) && (12..21).contains(&y) { 255 } else { 0 }; 3])
        });
        save(&path(&format!("set/ground_truth/spot/{i}_mask.png")), &mask);
        // A third of them looks good.
        part(path(&format!("set/test/{AWKWARD}/{i}.png")), 50 + i, 3 * (i % 3));
    }
    let (json, page) = (path("figures.json"), path("report.html"));
    let outputs = ["--json", text(&json), "--report", text(&page)];
    let set = path("set");
    hetmm(&[&["eval", text(&template), text(&set)], &outputs[..]].concat());
    let figures: Value =
        serde_json::from_slice(&std::fs::read(&json).expect("reads")).expect("JSON");
    assert_eq!((&figures["missed"], &figures["false_rejects"]), (&3.into(), &1.into()));
    check(&std::fs::read_to_string(&page).expect("reads"), &figures);

    let Some(browser) = Browser::find() else { return };
    let visit = browser.visit(&page);
    check(&visit.dom, &figures);
    assert!(visit.console.is_empty() && visit.requests.is_empty(), "{:?}", visit.console);
    assert!(visit.requests.is_empty(), "{:?}", visit.requests);

    // An address with the id of a figure opens it in full: the anomaly map fills half the window.
    let at = |id: &str| browser.widest_dark_row(&format!("file://{}#{id}", text(&page)));
    let (card, opened) = (at("at-good-1"), at("good-1"));
    assert!(card < 200 && opened > 300, "{card} and {opened} pixels");

    // The same watch sees what it is there for.
    let noisy = path("noisy.html");
    let image = "http://127.0.0.1:9/missing.png";
    std::fs::write(&noisy, format!("<img src='{image}'><script>console.error('no')</script>"))
        .expect("writes");
    let visit = browser.visit(&noisy);
    assert!(visit.requests.iter().any(|r| r == image) && !visit.console.is_empty());
}

#[test]
fn a_page_of_600_noisy_pictures_stays_below_8_megabytes() {
    let folder = TempDir::new().expect("a temporary folder");
    let template = template(folder.path());
    let mut state = 1u32;
    for (class, first) in [("good", 0), ("noise", 300)] {
        let noise: RgbImage = ImageBuffer::from_fn(660, 660, |_, _| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            Rgb([(state >> 24) as u8, (state >> 16) as u8, (state >> 8) as u8])
        });
        let one = folder.path().join(format!("set/test/{class}/{first}.jpg"));
        save(&one, &noise);
        for i in first + 1..first + 300 {
            std::fs::hard_link(&one, one.with_file_name(format!("{i}.jpg"))).expect("links");
        }
    }
    let page = folder.path().join("report.html");
    let set = folder.path().join("set");
    hetmm(&["eval", text(&template), text(&set), "--report", text(&page), "--json", "-"]);
    let bytes = std::fs::metadata(&page).expect("a page").len();
    assert!((1_000_000..8_000_000).contains(&bytes), "{bytes} bytes");
}
