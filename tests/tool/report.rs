//! Tests the page of an evaluation. The page is read as a file, then opened in a browser that logs what it does.

use crate::common::text;
use image::{ImageBuffer, Rgb, RgbImage};
use serde_json::Value;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The name of a kind of defect that a page has to escape.
const AWKWARD: &str = "dent <b>&amp;";

fn hetmm(arguments: &[&str]) {
    let out = Command::new(env!("CARGO_BIN_EXE_hetmm")).args(arguments).output().expect("runs");
    assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// Draws a part: a disc on a gradient, with a dark spot of some size if it is bad.
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

/// Builds a small template of parts.
fn template(folder: &Path) -> PathBuf {
    for i in 0..12 {
        part(folder.join(format!("good/{i:02}.png")), i, 0);
    }
    let (good, template) = (folder.join("good"), folder.join("part.hetmm"));
    let layers = ["--layers", "block1.exp,block4.exp", "--patches", "3,3", "--sheets", "6"];
    let build = ["build", text(&good), "-o", text(&template), "--size", "64", "--no-audit"];
    hetmm(&[&build[..], &layers].concat());
    template
}

/// Returns what stands between `from` and `to`, everywhere on the page.
fn between<'a>(page: &'a str, from: &str, to: &str) -> Vec<&'a str> {
    page.split(from).skip(1).filter_map(|rest| rest.split(to).next()).collect()
}

/// Returns the value of a figure of the page and what is shown of it.
fn figure<'a>(page: &'a str, id: &str) -> (&'a str, &'a str) {
    let found = between(page, &format!("<data id=\"{id}\" value=\""), "</data>");
    assert_eq!(found.len(), 1, "figure {id}");
    found[0].split_once("\">").expect("a value and a text")
}

/// Checks everything that can be read in the page, as it is in the file or in a browser's memory.
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
        ("caught_at_1", &figures["caught_at_1"]),
        ("caught_at_2", &figures["caught_at_2"]),
        ("caught_at_5", &figures["caught_at_5"]),
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
        // They are equal except for the last bit, which `serde_json` may read differently.
        let want = of.as_f64().expect(id);
        assert!((value - want).abs() <= 1e-12 * want.abs(), "{id}: {value}, want {want}");
    }
    let shown = |id| figure(page, id).1;
    let percent = |of: &Value| format!("{:.2} %", 100.0 * of.as_f64().expect("a number"));
    assert_eq!(shown("image_auroc"), percent(&figures["image_auroc"]));
    assert_eq!(shown("aupro30"), percent(&figures["aupro30"]));
    for (kind, name) in [("spot", "spot"), (AWKWARD, "dent &lt;b&gt;&amp;amp;")] {
        let counts = &figures["defects"][kind];
        // Browsers leave < and > in attributes as they are. The program does not.
        let rows = between(page, "<tr data-defect=\"", "</tr>");
        let row = rows.iter().find(|r| r.contains(&format!(">{name}</th>"))).expect(kind);
        let cells: Vec<&str> = between(row, "<td", "</td>");
        assert_eq!(cells.len(), 4);
        for (cell, of) in [(cells[0], "images"), (cells[2], "missed")] {
            assert!(cell.ends_with(&format!(">{}", counts[of])), "{kind}: {cell}");
        }
        assert!(cells[1].contains(&percent(&figures["per_defect"][kind])), "{}", cells[1]);
    }

    assert!(page.contains("<html lang=\"en\"") && page.contains("<main id=\"content\""));
    assert_eq!(page.matches("<h1").count(), 1);
    let titles: Vec<&str> = between(page, "<h2 id=\"", "</h2>")
        .iter()
        .filter_map(|h| h.split_once('>').map(|(_, title)| title))
        .collect();
    assert_eq!(
        titles,
        [
            "The choice of the threshold",
            "Decisions",
            "Scores",
            "Curves",
            "Pictures",
            "Time",
            "Template"
        ]
    );
    let pictures = figures["images"].as_u64().expect("a count") as usize;
    assert_eq!(page.matches("<path class=\"score\"").count(), pictures, "ticks in the strips");
    let table = between(page, "<table id=\"all\">", "</table>")[0];
    assert_eq!(table.matches("<tr>").count(), pictures + 1);
    assert_eq!(page.matches("<path class=\"curve\"").count(), 4);
    // There are three typical pictures and twelve of each side, with two pictures each.
    assert_eq!(page.matches("<figure class=\"shot\"").count(), 3 + 12 + 12);
    assert_eq!(page.matches("<img ").count(), 2 * 27);
    assert_eq!(page.matches("<img src=\"data:image/jpeg;base64,").count(), 2 * 27);
    assert!(
        between(page, "<img ", ">")
            .iter()
            .all(|img| { between(img, "alt=\"", "\"").first().is_some_and(|alt| alt.len() > 10) })
    );
    for drawing in between(page, "<svg", ">") {
        let told = drawing.contains("aria-label=\"") || drawing.contains("aria-hidden=\"true\"");
        assert!(told, "a drawing without words: {drawing}");
    }
    let words: String = page
        .split("base64,")
        .map(|part| part.split_once('"').map_or(part, |(_, rest)| rest))
        .collect();
    assert!(!words.contains("NaN") && !words.contains("Infinity"));
    assert!(between(page, " href=\"", "\"").len() > 27);
    alone(page);
}

/// Checks that the page loads nothing from elsewhere and runs nothing. Links lead to places that exist exactly once.
fn alone(page: &str) {
    for foreign in ["<script", "<iframe", "<object", "<embed", "://", "@import", "url(", "onload="]
    {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(between(page, " src=\"", "\"").iter().all(|s| s.starts_with("data:image/")));
    let ids = between(page, " id=\"", "\"");
    let unique: HashSet<&&str> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len(), "ids are unique");
    let links = between(page, " href=\"", "\"");
    for link in links {
        let there = link.strip_prefix('#').is_some_and(|id| unique.contains(&id));
        assert!(there || link == "data:,", "{link}");
    }
    assert_eq!(between(page, "<body>", "</a>")[0].matches("class=\"skip\"").count(), 1);
}

/// Holds what a browser did with a page.
struct Visit {
    /// The page as it stands in the browser's memory.
    dom: String,
    /// The lines of text on its console.
    console: Vec<String>,
    /// The addresses that the page, not the browser itself, asked the network for.
    requests: Vec<String>,
}

struct Browser {
    program: PathBuf,
    folder: TempDir,
}

impl Browser {
    fn find() -> Option<Self> {
        let program = crate::common::browser::chromium()?;
        Some(Browser { program, folder: TempDir::new().expect("a temporary folder") })
    }

    fn run(&self, options: &[&str], address: &str) -> (String, String) {
        let profile = format!("--user-data-dir={}", text(&self.folder.path().join("profile")));
        let out = Command::new(&self.program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", &profile])
            .args(options)
            .arg(address)
            .output()
            .expect("starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(out.status.success(), "{}", text(&out.stderr));
        (text(&out.stdout), text(&out.stderr))
    }

    fn visit(&self, page: &Path) -> Visit {
        let log = self.folder.path().join("network.json");
        let log_option = format!("--log-net-log={}", text(&log));
        let options = ["--enable-logging=stderr", "--v=0", "--dump-dom", &log_option];
        let (dom, stderr) = self.run(&options, &format!("file://{}", text(page)));
        let log: Value =
            serde_json::from_slice(&std::fs::read(&log).expect("a log")).expect("JSON");
        // The browser's own requests, for example for updates, have no origin.
        let requests = (log["events"].as_array().expect("events").iter())
            .map(|event| &event["params"])
            .filter(|params| params["initiator"].as_str().is_some_and(|i| i != "not an origin"))
            .filter_map(|params| params["url"].as_str())
            .filter(|url| !url.starts_with("file:") && !url.starts_with("data:"))
            .map(String::from)
            .collect();
        let console = stderr.lines().filter(|l| l.contains("CONSOLE")).map(String::from).collect();
        Visit { dom, console, requests }
    }

    /// Returns the longest row of dark pixels in a window of 800 x 600 at an address.
    fn widest_dark_row(&self, address: &str) -> usize {
        let shot = self.folder.path().join("shot.png");
        let option = format!("--screenshot={}", text(&shot));
        let light = "--blink-settings=preferredColorScheme=1";
        self.run(&[&option, "--window-size=800,600", "--hide-scrollbars", light], address);
        let shot = image::open(&shot).expect("a picture").into_rgb8();
        let dark = |row: image::buffer::Pixels<'_, Rgb<u8>>| {
            let dark: Vec<bool> = row.map(|p| p.0.iter().all(|&v| v < 150)).collect();
            dark.split(|d| !d).map(<[bool]>::len).max().unwrap_or(0)
        };
        shot.rows().map(dark).max().unwrap_or(0)
    }
}

#[test]
fn the_page_holds_the_figures_and_a_browser_shows_it_without_network_or_complaint() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let template = template(folder.path());
    for i in 0..14 {
        // One of them looks bad, whatever the threshold.
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

    // An address with the id of a figure opens it in full. The anomaly map fills half the window.
    let at = |id: &str| browser.widest_dark_row(&format!("file://{}#{id}", text(&page)));
    let (card, opened) = (at("at-good-1"), at("good-1"));
    assert!(card < 200 && opened > 300, "{card} and {opened} pixels");

    // The same check finds what it is meant to find.
    let noisy = path("noisy.html");
    let image = "http://127.0.0.1:9/missing.png";
    std::fs::write(&noisy, format!("<img src='{image}'><script>console.error('no')</script>"))
        .expect("writes");
    let visit = browser.visit(&noisy);
    assert!(visit.requests.iter().any(|r| r == image) && !visit.console.is_empty());
}

#[test]
fn the_pages_of_other_commands_stand_alone_and_a_browser_has_no_complaint() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let template = template(folder.path());
    for i in 0..24 {
        part(path(&format!("set/train/good/{i:02}.png")), i, 0);
        part(path(&format!("set/test/good/{i:02}.png")), 30 + i, 0);
    }
    for i in 0..6 {
        part(path(&format!("set/test/{AWKWARD}/{i}.png")), 60 + i, 9);
    }
    let (good, bad) = (path("set/test/good"), path(&format!("set/test/{AWKWARD}")));
    let (set, train) = (path("set"), path("set/train/good"));
    let small = ["--layers", "block1.exp,block4.exp", "--size", "64"];
    let fresh = ["--images", text(&good), "--defects", text(&bad), "--false-reject", "10%"];
    let calibrate = [&["calibrate", text(&template)], &fresh[..], &["--review", "20%"]].concat();
    let audit = [&["audit", text(&train)], &small[..]].concat();
    let ablate = [&["ablate", text(&set), "--studies", "alpha,sheets"], &small[..]].concat();
    let browser = Browser::find();
    for (name, command, words) in [
        ("calibrate", calibrate, "10,000"),
        ("audit", audit, "suspect"),
        ("ablate", ablate, "Weight of the forward direction"),
    ] {
        let page = path(&format!("{name}.html"));
        hetmm(&[&command[..], &["--report", text(&page)]].concat());
        let file = std::fs::read_to_string(&page).expect("reads");
        assert!(file.contains(words), "{name}");
        let Some(browser) = &browser else { continue };
        let visit = browser.visit(&page);
        for page in [&file, &visit.dom] {
            alone(page);
            // Look only outside of pictures, whose letters may say anything.
            let words: String = page
                .split("base64,")
                .map(|part| part.split_once('"').map_or(part, |(_, rest)| rest))
                .collect();
            assert!(!words.contains("NaN") && !words.contains("Infinity"), "{name}");
        }
        assert!(visit.console.is_empty(), "{name}: {:?}", visit.console);
        assert!(visit.requests.is_empty(), "{name}: {:?}", visit.requests);
    }
}

#[test]
fn the_page_of_a_calibration_says_what_the_command_says() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let template = template(folder.path());
    for i in 0..50 {
        part(path(&format!("fresh/{i:02}.png")), 40 + i, 0);
    }
    for i in 0..6 {
        part(path(&format!("scratch/{i}.png")), 90 + i, 9);
        part(path(&format!("dent/{i}.png")), 100 + i, 1);
    }
    let [fresh, scratch, dent] = ["fresh", "scratch", "dent"].map(path);
    let page = path("page.html");
    let before = std::fs::read(&template).expect("reads");
    let calibrate = |more: &[&str]| -> (Value, String) {
        let arguments = ["calibrate", text(&template), "--images", text(&fresh), "--defects"];
        let defects = [text(&scratch), text(&dent)];
        let rates = ["--false-reject", "5%", "--review", "20%", "--json", "--report", text(&page)];
        let out = Command::new(env!("CARGO_BIN_EXE_hetmm"))
            .args([&arguments[..], &defects, &rates, more].concat())
            .output()
            .expect("runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let figures = serde_json::from_slice(&out.stdout).expect("one object");
        (figures, std::fs::read_to_string(&page).expect("a page"))
    };
    let (_, dry) = calibrate(&["--dry-run"]);
    assert_eq!(std::fs::read(&template).expect("reads"), before, "a dry run writes no template");
    assert!(dry.contains("This was a dry run"));
    let (figures, page) = calibrate(&[]);
    assert!(!page.contains("This was a dry run"));
    let digest = blake3::hash(&std::fs::read(&template).expect("reads")).to_hex();
    assert!(page.contains(digest.as_str()), "about the template as it was written");
    let shown = |id: &str| figure(&page, id).0.parse::<f64>().expect(id);
    let told = |of: &Value| of.as_f64().expect("a number");
    for (id, want) in [
        ("threshold", told(&figures["threshold"])),
        ("review", told(&figures["review"])),
        ("asked", 0.05),
        ("expected", told(&figures["expected_per_10000"])),
        ("defects", 12.0),
        ("missed", told(&figures["missed"])),
        ("range-low", told(&figures["range_per_200"][0])),
        ("range-high", told(&figures["range_per_200"][1])),
    ] {
        // Scores are of single precision, and the page has their shortest digits.
        assert!((shown(id) - want).abs() <= 1e-7 * want.abs(), "{id}: {}, want {want}", shown(id));
    }
    // Parts that were drawn alike count once. Known defects always count.
    let counted = told(&figures["pictures"]) as usize;
    assert!((30..=50).contains(&counted), "{counted}");
    assert_eq!(page.matches("<path class=\"score\"").count(), counted + 12, "all in the strips");
    let rates = between(&page, "<table id=\"other-rates\">", "</table>")[0];
    for rate in ["<strong>5 %</strong>", "<strong>20 %</strong>", ">10 %<"] {
        assert!(rates.contains(rate), "{rate} in {rates}");
    }
    assert!(!rates.contains(">1 %<"), "50 parts cannot promise it");
    assert_eq!(page.matches("class=\"area\"").count(), 1, "the interval");
    let levels = between(&page, "<text class=\"level\"", "</text>");
    for name in [">review ", ">ng ", ">old ng "] {
        assert!(levels.iter().any(|l| l.contains(name)), "{name} in {levels:?}");
    }
    for place in
        ["data-defect=\"scratch\"", "data-defect=\"dent\"", "\"worst-good\"", "\"hidden-bad\""]
    {
        assert!(page.contains(place), "{place}");
    }
}

#[test]
fn a_page_of_600_noisy_pictures_stays_below_8_megabytes() {
    let folder = TempDir::new().expect("a temporary folder");
    let template = template(folder.path());
    let mut state = 1u32;
    for (class, first) in [("good", 0), ("noise", 300)] {
        let noise: RgbImage = ImageBuffer::from_fn(760, 570, |_, _| {
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
