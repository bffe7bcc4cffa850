//! Runs the programs from outside, as a user does.

use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, Rgb, RgbImage};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// The options that make a small, quick template.
const SMALL: [&str; 8] =
    ["--size", "64", "--layers", "block1.exp,block4.exp", "--patches", "3,3", "--sheets", "6"];

struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        Bench { folder: TempDir::new().expect("a temporary folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Draws a part: a disc on a gradient, in a slightly different place and light every time.
    fn part(&self, name: &str, number: u32, spot: bool) -> PathBuf {
        let (dx, dy, light) = (number % 3, number / 3 % 3, number * 7 % 11);
        let image: RgbImage = ImageBuffer::from_fn(80, 60, |x, y| {
            let disc =
                (x as i32 - 38 - dx as i32).pow(2) + (y as i32 - 29 - dy as i32).pow(2) < 200;
            let bad = spot && (55..64).contains(&x) && (12..21).contains(&y);
            let grey = if bad {
                10
            } else if disc {
                200
            } else {
                60 + x
            } + light;
            Rgb([grey as u8, (grey - 5) as u8, (grey + number * 13 % 5) as u8])
        });
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("makes");
        image.save(&path).expect("writes");
        path
    }

    fn good(&self, count: u32) -> PathBuf {
        for i in 0..count {
            self.part(&format!("good/{i:02}.png"), i, false);
        }
        self.path("good")
    }

    fn template(&self) -> PathBuf {
        let good = self.good(12);
        let template = self.path("part.hetmm");
        let built = self.build(&good, &template, &[]);
        assert_code(&built, 0, "");
        template
    }

    fn build(&self, images: &Path, template: &Path, more: &[&str]) -> Output {
        hetmm(&[&["build", text(images), "-o", text(template)], &SMALL[..], more].concat())
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of letters")
}

fn hetmm(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hetmm")).args(arguments).output().expect("runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn assert_code(output: &Output, code: i32, message: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "stderr: {stderr}");
    assert!(stderr.contains(message), "wanted {message:?} in: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[test]
fn a_defect_scores_above_every_good_part() {
    let bench = Bench::new();
    let template = bench.template();
    for i in 0..6 {
        bench.part(&format!("new/{i}-good.png"), 20 + i, false);
        bench.part(&format!("new/{i}-spot.png"), 20 + i, true);
    }
    let heat = bench.path("heat");
    let out = hetmm(&[
        "inspect",
        text(&template),
        text(&bench.path("new")),
        "--json",
        "--heatmaps",
        text(&heat),
    ]);
    assert_code(&out, 0, "");
    let results: Vec<Value> =
        stdout(&out).lines().map(|l| serde_json::from_str(l).expect("one object a line")).collect();
    assert_eq!(results.len(), 12);
    let score = |r: &Value| r["score"].as_f64().expect("a number");
    let is_bad = |r: &Value| r["image"].as_str().expect("a name").contains("spot");
    let best_good = results.iter().filter(|r| !is_bad(r)).map(score).fold(0.0, f64::max);
    for result in results.iter().filter(|r| is_bad(r)) {
        assert!(score(result) > best_good, "{result}");
        assert_eq!(result["verdict"], "ng");
        let worst = &result["regions"][0];
        let (x, y) = (worst["x"].as_f64().expect("x"), worst["y"].as_f64().expect("y"));
        let (width, height) =
            (worst["width"].as_f64().expect("width"), worst["height"].as_f64().expect("height"));
        assert!(x <= 60.0 && x + width >= 60.0 && y <= 17.0 && y + height >= 17.0, "{worst}");
        assert!(result["timing_ms"]["total"].as_f64().expect("ms") > 0.0);
    }
    let drawn = image::open(heat.join("0-spot.png")).expect("a picture");
    // There are the panels, and above them a strip with their names.
    assert!(drawn.width() > 3 * 80 + 3 * 8 + 20 && drawn.height() == 60 + 16);
}

#[test]
fn the_same_pictures_give_the_same_bytes_with_any_number_of_threads_and_any_memory() {
    let bench = Bench::new();
    let good = bench.good(9);
    let mut files = Vec::new();
    for (i, more) in
        [["--threads", "1"], ["--threads", "2"], ["--threads", "5"], ["--max-memory", "0"]]
            .iter()
            .enumerate()
    {
        let template = bench.path(&format!("{i}.hetmm"));
        assert_code(&bench.build(&good, &template, more), 0, "");
        files.push(std::fs::read(template).expect("reads"));
    }
    assert!(files.iter().all(|f| *f == files[0]));
}

#[test]
fn every_selection_rule_and_storage_builds_a_template_that_checks() {
    let bench = Bench::new();
    let good = bench.good(9);
    let template = bench.path("t.hetmm");
    let rules: [&[&str]; 12] = [
        &["--select", "pts", "--hard-rule", "sum"],
        &["--select", "random-image"],
        &["--select", "random-pixel"],
        &["--select", "kmeans-image"],
        &["--select", "kmeans-pixel"],
        &["--sheets", "all"],
        &["--storage", "f32"],
        &["--storage", "f16"],
        &["--fusion", "sum", "--baseline", "none"],
        &["--alpha", "0.5", "--patches-backward", "1,1"],
        &["--weights", "auto"],
        &["--weights", "1,0.5", "--alpha", "0"],
    ];
    for more in rules {
        let arguments = [
            "build",
            text(&good),
            "-o",
            text(&template),
            "--size",
            "64",
            "--layers",
            "block1.exp,block4.exp",
            "--patches",
            "3,3",
        ];
        let sheets: &[&str] = if more.contains(&"--sheets") { &[] } else { &["--sheets", "4"] };
        assert_code(&hetmm(&[&arguments, more, sheets].concat()), 0, "");
        let check = hetmm(&["check", text(&template)]);
        assert_code(&check, 0, "");
        assert_eq!(stdout(&check).matches("agrees:").count(), 3);
    }
}

#[test]
fn bad_pictures_are_named_with_a_next_step() {
    let bench = Bench::new();
    let jpeg = bench.path("jpeg/cut.jpg");
    std::fs::create_dir_all(bench.path("jpeg")).expect("makes");
    let whole = image::open(bench.part("whole.png", 1, false)).expect("opens");
    whole.save(&jpeg).expect("writes");
    let bytes = std::fs::read(&jpeg).expect("reads");
    std::fs::write(&jpeg, &bytes[..bytes.len() * 2 / 3]).expect("writes");
    let lone = |folder: &str, name: &str, bytes: &[u8]| {
        let path = bench.path(folder).join(name);
        std::fs::create_dir_all(bench.path(folder)).expect("makes");
        std::fs::write(path, bytes).expect("writes");
    };
    lone("text", "notes.png", b"these are not the pixels you are looking for");
    lone("nothing", "readme.txt", b"no picture here");
    lone("empty-file", "zero.png", b"");
    lone("huge", "wide.png", &png_header(20_000, 20_000));
    lone("bomb", "bomb.png", &png_header(u32::MAX, u32::MAX));
    std::fs::create_dir_all(bench.path("empty")).expect("makes");
    bench.part("one/only.png", 1, false);
    std::fs::create_dir_all(bench.path("dot")).expect("makes");
    RgbImage::new(1, 1).save(bench.path("dot/dot.png")).expect("writes");
    let cases = [
        ("jpeg", "cut.jpg: incomplete"),
        ("text", "notes.png: not a picture in a known format"),
        ("nothing", "no pictures in this folder"),
        ("empty-file", "zero.png: not a picture"),
        ("huge", "wide.png: 20000 x 20000 pixels are more than 100 million"),
        ("bomb", "bomb.png:"),
        ("empty", "the folder is empty"),
        ("one", "only.png is the only picture"),
        ("dot", "dot.png: 1 x 1 pixels are too few"),
        ("no-such-folder", "no such file or folder"),
    ];
    let template = bench.path("t.hetmm");
    for (folder, message) in cases {
        let out = bench.build(&bench.path(folder), &template, &[]);
        assert_code(&out, 3, message);
        assert_code(&out, 3, "->");
        assert!(!template.exists(), "{folder}");
    }
    assert!(left_overs(bench.folder.path()).is_empty());
}

#[test]
fn one_picture_builds_where_a_threshold_is_given() {
    let bench = Bench::new();
    bench.part("one/only.png", 1, false);
    let template = bench.path("t.hetmm");
    assert_code(&bench.build(&bench.path("one"), &template, &["--threshold", "0.2"]), 0, "");
    let info: Value =
        serde_json::from_str(&stdout(&hetmm(&["info", text(&template), "--json"]))).expect("JSON");
    assert!((info["calibration"]["threshold"].as_f64().expect("a number") - 0.2).abs() < 1e-6);
    assert_eq!(info["layers"][0]["sheets"], 1);
}

#[test]
fn unreadable_pictures_stop_a_folder_unless_they_may_be_skipped() {
    let bench = Bench::new();
    let template = bench.template();
    std::fs::write(bench.path("good/03b.png"), b"broken").expect("writes");
    std::fs::write(bench.path("good/07b.jpg"), b"broken too").expect("writes");
    let good = bench.path("good");
    let kept = std::fs::read(&template).expect("reads");
    let out = bench.build(&good, &template, &[]);
    assert_code(&out, 3, "2 of 14 pictures cannot be used");
    assert_code(&out, 3, "03b.png");
    assert_code(&out, 3, "07b.jpg");
    assert_eq!(std::fs::read(&template).expect("still there"), kept);
    assert_code(&bench.build(&good, &template, &["--skip-unreadable"]), 0, "skipped:");
    // The readable pictures are the same as before, so the template is the same.
    assert_eq!(std::fs::read(&template).expect("reads"), kept);
    assert_code(&hetmm(&["inspect", text(&template), text(&good)]), 3, "--skip-unreadable");
    let out = hetmm(&["inspect", text(&template), text(&good), "--json", "--skip-unreadable"]);
    assert_code(&out, 0, "skipped:");
    assert_eq!(stdout(&out).lines().count(), 12);
}

#[test]
fn pictures_of_other_shapes_and_depths_are_taken_with_a_warning() {
    let bench = Bench::new();
    let good = bench.good(4);
    let wide: DynamicImage = ImageBuffer::from_fn(200, 40, |x, _| Luma([x as u16 * 300])).into();
    wide.save_with_format(good.join("16bit.png"), ImageFormat::Png).expect("writes");
    let out = bench.build(&good, &bench.path("t.hetmm"), &[]);
    assert_code(
        &out,
        0,
        "1 of 5 pictures have another shape than 00.png (80 x 60), for example 16bit.png (200 x 40)",
    );
}

#[test]
fn a_region_of_interest_hides_what_lies_outside() {
    let bench = Bench::new();
    let good = bench.good(8);
    let roi: RgbImage = ImageBuffer::from_fn(80, 60, |x, _| Rgb([if x < 50 { 255 } else { 0 }; 3]));
    let mask = bench.path("roi.png");
    roi.save(&mask).expect("writes");
    let template = bench.path("t.hetmm");
    assert_code(&bench.build(&good, &template, &["--mask", text(&mask)]), 0, "");
    let bad = bench.part("bad.png", 3, true);
    let out = hetmm(&["inspect", text(&template), text(&bad), "--json"]);
    let result: Value = serde_json::from_str(&stdout(&out)).expect("JSON");
    for region in result["regions"].as_array().expect("a list") {
        assert!(
            region["x"].as_u64().expect("x") + region["width"].as_u64().expect("width") <= 52,
            "{region}"
        );
    }
    let small = bench.path("small.png");
    RgbImage::new(8, 8).save(&small).expect("writes");
    assert_code(
        &bench.build(&good, &template, &["--mask", text(&small)]),
        3,
        "the mask has 8 x 8 pixels",
    );
    let black = bench.path("black.png");
    RgbImage::new(80, 60).save(&black).expect("writes");
    assert_code(
        &bench.build(&good, &template, &["--mask", text(&black)]),
        2,
        "the whole mask is black",
    );
}

#[test]
fn wrong_options_are_refused_with_a_next_step() {
    let bench = Bench::new();
    let good = bench.good(3);
    let cases: [(&[&str], i32, &str); 12] = [
        (&["--patches", "3"], 2, "--patches: 1 number given for 2 layers"),
        (&["--patches", "3,4"], 2, "4 is not an odd number"),
        (&["--alpha", "1.5"], 2, "--alpha: 1.5 is not"),
        (&["--weights", "1"], 2, "--weights: needs 2 numbers"),
        (&["--weights", "0,0"], 2, "at least one must be above 0"),
        (&["--sigma", "65"], 2, "--sigma: 65 is not"),
        (&["--size", "100"], 2, "multiples of 32"),
        (&["--sheets", "0"], 2, "a number of at least 1"),
        (&["--threads", "0"], 2, "--threads is 0"),
        (&["--layers", "block1.exp,block99.exp"], 4, "no tap called block99.exp"),
        (&["--preset", "best"], 2, "possible values: default, classic, paper"),
        (&["--threshold", "NaN"], 2, "--threshold"),
    ];
    for (more, code, message) in cases {
        let template = bench.path("t.hetmm");
        let base = ["build", text(&good), "-o", text(&template)];
        let defaults: Vec<&str> =
            SMALL.chunks(2).filter(|pair| pair[0] != more[0]).flatten().copied().collect();
        assert_code(&hetmm(&[&base, &defaults[..], more].concat()), code, message);
        assert!(!template.exists());
    }
}

#[test]
fn unusable_models_and_foreign_templates_are_refused() {
    let bench = Bench::new();
    let template = bench.template();
    let model = bench.path("model.onnx");
    std::fs::write(&model, b"no ONNX at all").expect("writes");
    let good = bench.path("good");
    let taken = ["--backbone", text(&model)];
    assert_code(
        &bench.build(&good, &bench.path("t.hetmm"), &taken),
        4,
        "model.onnx: not a usable ONNX model",
    );
    assert_code(
        &hetmm(&["inspect", text(&template), text(&good), taken[0], taken[1]]),
        4,
        "not a usable ONNX model",
    );
    // The bundled model, given as a file, gets the bundled model's default taps.
    let lite0 = concat!(env!("CARGO_MANIFEST_DIR"), "/models/efficientnet_lite0.onnx");
    let by_name = bench.path("by-name.hetmm");
    let out =
        hetmm(&["build", text(&good), "-o", text(&by_name), "--backbone", lite0, "--size", "64"]);
    assert_code(&out, 0, "");
    let mut other = std::fs::read(lite0).expect("reads");
    // One bit of a weight changes: the same network gets another digest.
    let at = other.len() / 2;
    other[at] ^= 1;
    std::fs::write(&model, &other).expect("writes");
    let out = hetmm(&["inspect", text(&template), text(&good), taken[0], taken[1]]);
    assert_code(&out, 4, "made with another backbone (different: model file)");
    assert_code(&out, 4, "template: efficientnet_lite0");
    assert_code(&hetmm(&["info", text(&model)]), 4, "not a hetmm template");
    assert_code(&hetmm(&["info", text(&bench.path("missing.hetmm"))]), 5, "check the path");
    assert_code(&hetmm(&["check", text(&good)]), 4, "not a regular file");
}

#[test]
fn damaged_templates_are_noticed_wherever_the_damage_is() {
    let bench = Bench::new();
    let template = bench.template();
    let whole = std::fs::read(&template).expect("reads");
    let damaged = bench.path("damaged.hetmm");
    let refused = |bytes: &[u8], what: &str| {
        std::fs::write(&damaged, bytes).expect("writes");
        let Err(error) = hetmm::template::Template::map(&damaged) else {
            panic!("{what} went unnoticed")
        };
        assert_eq!(error.kind(), hetmm::error::Kind::Template, "{what}: {error}");
        error.to_string()
    };
    for end in (0..whole.len()).step_by(1024) {
        refused(&whole[..end], &format!("a cut at {end}"));
    }
    let opened = hetmm::template::Template::map(&template).expect("whole");
    let mut places: Vec<usize> = (0..600).collect();
    for section in opened.sections() {
        let (start, end) = (section.range.start as usize, section.range.end as usize);
        places.extend([start - 1, start, start + 1, (start + end) / 2, end - 1]);
    }
    places.extend((0..40).map(|i| whole.len() * i / 40));
    for at in places {
        for bit in [0, 3, 7] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            refused(&bytes, &format!("bit {bit} of byte {at}"));
        }
    }
    let mut bytes = whole.clone();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert!(refused(&bytes, "the last byte").contains("section Probe 2"));
    assert_code(&hetmm(&["check", text(&damaged)]), 4, "section Probe 2");
}

#[test]
fn a_template_of_format_1_0_still_loads_and_its_probes_agree() {
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/template_v1.hetmm");
    let check = hetmm(&["check", kept]);
    assert_code(&check, 0, "");
    assert_eq!(stdout(&check).matches("agrees:").count(), 3);
}

#[test]
fn calibration_sets_thresholds_and_nothing_else() {
    let bench = Bench::new();
    let template = bench.template();
    for i in 0..30 {
        bench.part(&format!("fresh/{i:02}.png"), 40 + i, false);
    }
    for i in 0..4 {
        bench.part(&format!("bad/{i}.png"), 20 + i, true);
    }
    let (fresh, bad) = (bench.path("fresh"), bench.path("bad"));
    let before = std::fs::read(&template).expect("reads");
    let calibrate = |more: &[&str]| {
        hetmm(&[&["calibrate", text(&template), "--images", text(&fresh)], more].concat())
    };
    let inspect = |images: &Path| -> Vec<(f64, String)> {
        let out = hetmm(&["inspect", text(&template), text(images), "--json"]);
        let lines = stdout(&out);
        let results =
            lines.lines().map(|l| serde_json::from_str::<Value>(l).expect("one object a line"));
        let result = |r: Value| (r["score"].as_f64().unwrap_or(f64::NAN), r["verdict"].to_string());
        results.map(result).collect()
    };

    // What cannot be promised is refused, and nothing is written.
    assert_code(
        &calibrate(&[]),
        3,
        "30 good parts are too few to guarantee a false-reject rate of 1 %: that needs 99",
    );
    assert_code(&calibrate(&["--false-reject", "0"]), 2, "a rate above 0");
    assert_code(
        &calibrate(&["--false-reject", "10%", "--review", "5%"]),
        2,
        "--review must be larger",
    );
    let known = hetmm(&["calibrate", text(&template), "--images", text(&bench.path("good"))]);
    assert_code(&known, 3, "the template was built from all of them");
    let tried = calibrate(&["--false-reject", "10%", "--dry-run"]);
    assert_code(&tried, 0, "");
    assert_eq!(std::fs::read(&template).expect("reads"), before);

    let scores = inspect(&fresh);
    let out =
        calibrate(&["--false-reject", "10%", "--review", "20%", "--json", "--defects", text(&bad)]);
    assert_code(&out, 0, "");
    let figures: Value = serde_json::from_str(&stdout(&out)).expect("one object");
    assert_eq!((&figures["rank"], &figures["pictures"]), (&3.into(), &30.into()));
    assert_eq!((&figures["missed"], &figures["defects"]), (&0.into(), &4.into()));
    let after = inspect(&fresh);
    let only_scores = |r: &[(f64, String)]| r.iter().map(|(s, _)| *s).collect::<Vec<_>>();
    assert_eq!(only_scores(&scores), only_scores(&after), "scores never change");
    let with = |verdict: &str| after.iter().filter(|(_, v)| v == verdict).count();
    // The threshold is a score. The part with this score still passes.
    assert_eq!((with("\"ng\""), with("\"review\"")), (2, 3));
    assert!(inspect(&bad).iter().all(|(_, verdict)| verdict == "\"ng\""));
    assert_code(&hetmm(&["check", text(&template)]), 0, "");
    assert!(
        stdout(&hetmm(&["info", text(&template)])).contains("from 30 good parts (fresh parts)")
    );
    assert!(left_overs(bench.folder.path()).is_empty());
}

#[test]
fn a_build_sets_its_threshold_by_folds() {
    let bench = Bench::new();
    let good = bench.good(24);
    let template = bench.path("part.hetmm");
    let rate = ["--no-audit", "--false-reject", "10%", "--folds", "4"];
    let built = bench.build(&good, &template, &rate);
    assert_code(&built, 0, "asked for 10.000 % false rejects, from 24 good parts (4 folds)");
    let again = bench.path("again.hetmm");
    let more = ["--threads", "1"];
    assert_code(&bench.build(&good, &again, &[&rate[..], &more].concat()), 0, "");
    assert_eq!(std::fs::read(&template).expect("reads"), std::fs::read(&again).expect("reads"));
    let refused = bench.build(&good, &again, &["--false-reject", "1%"]);
    assert_code(&refused, 3, "that needs 99");
    let both = bench.build(&good, &again, &["--false-reject", "10%", "--threshold", "1"]);
    assert_code(&both, 2, "contradict");
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let bench = Bench::new();
    let template = bench.template();
    for arguments in
        [vec!["info", text(&template), "--json"], vec!["bench", text(&template), "--runs", "1"]]
    {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hetmm"))
            .args(&arguments)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("runs");
        drop(child.stdout.take());
        let out = child.wait_with_output().expect("ends");
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert!(!stderr.contains("panicked"), "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_full_disk_leaves_the_old_template() {
    let bench = Bench::new();
    let template = bench.template();
    let kept = std::fs::read(&template).expect("reads");
    // The shell's limit on file sizes replaces a full disk: writes fail in the middle.
    let script = format!(
        "trap '' XFSZ; ulimit -f 200; exec {} build {} -o {} {}",
        env!("CARGO_BIN_EXE_hetmm"),
        text(&bench.path("good")),
        text(&template),
        SMALL.join(" ")
    );
    let out = Command::new("sh").args(["-c", &script]).output().expect("runs");
    assert_code(&out, 5, "cannot be written");
    assert_eq!(std::fs::read(&template).expect("still there"), kept);
    assert!(left_overs(bench.folder.path()).is_empty());
}

#[test]
fn evaluation_figures_page_and_requirements() {
    let bench = Bench::new();
    let template = bench.template();
    for i in 0..5 {
        bench.part(&format!("set/test/good/{i}.png"), 30 + i, false);
        bench.part(&format!("set/test/spot/{i}.png"), 40 + i, true);
        bench.part(&format!("set/test/unmasked/{i}.png"), 50 + i, true);
        let mask: RgbImage = ImageBuffer::from_fn(80, 60, |x, y| {
            Rgb([if (55..64).contains(&x) && (12..21).contains(&y) { 255 } else { 0 }; 3])
        });
        std::fs::create_dir_all(bench.path("set/ground_truth/spot")).expect("makes");
        mask.save(bench.path(&format!("set/ground_truth/spot/{i}_mask.png"))).expect("writes");
    }
    let (json, page) = (bench.path("figures.json"), bench.path("report.html"));
    let set = bench.path("set");
    let out = hetmm(&[
        "eval",
        text(&template),
        text(&set),
        "--json",
        text(&json),
        "--report",
        text(&page),
        "--require",
        "image_auroc=0.9",
    ]);
    assert_code(&out, 0, "");
    let figures: Value =
        serde_json::from_slice(&std::fs::read(&json).expect("reads")).expect("JSON");
    assert_eq!((&figures["images"], &figures["image_auroc"]), (&15.into(), &1.0.into()));
    assert_eq!(
        (&figures["per_defect"]["spot"], &figures["defects"]["spot"]["images"]),
        (&1.0.into(), &5.into())
    );
    assert!(figures["pixel_auroc"].as_f64().expect("masks") > 0.9);
    assert!(figures["aupro30"].as_f64().expect("masks") > 0.7);
    for stage in
        ["decode", "preprocess", "backbone", "matching", "scoring", "total_p50", "total_p99"]
    {
        assert!(figures["timing_ms"][stage].as_f64().expect(stage) >= 0.0);
    }
    let html = std::fs::read_to_string(&page).expect("reads");
    assert!(
        html.contains("Image AUROC")
            && html.contains("data:image/jpeg;base64,")
            && !html.contains("://")
    );
    assert_code(
        &hetmm(&["eval", text(&template), text(&set), "--require", "aupro30=1.01"]),
        1,
        "aupro30 must be at least 1.01",
    );
    std::fs::remove_dir_all(bench.path("set/ground_truth")).expect("removes");
    let out = hetmm(&["eval", text(&template), text(&set), "--json", "-"]);
    let figures: Value = serde_json::from_str(&stdout(&out)).expect("JSON");
    assert_eq!((&figures["pixel_auroc"], &figures["aupro30"]), (&Value::Null, &Value::Null));
    assert_code(
        &hetmm(&["eval", text(&template), text(&bench.path("good"))]),
        3,
        "no data set in MVTec layout",
    );
}

#[test]
fn bench_reports_every_stage() {
    let bench = Bench::new();
    let template = bench.template();
    let out = hetmm(&["bench", text(&template), "--runs", "5", "--json"]);
    assert_code(&out, 0, "");
    let figures: Value = serde_json::from_str(&stdout(&out)).expect("JSON");
    for stage in ["backbone", "matching", "scoring", "total"] {
        let of = |figure: &str| figures["stages"][stage][figure].as_f64().expect("a number");
        assert!(0.0 < of("p50") && of("p50") <= of("p99") && of("p99") <= of("max"), "{figures}");
    }
    // The maps have 16 x 16 and 8 x 8 pixels, windows of 3 cut at the border, 6 sheets, 96 and 240 channels.
    assert_eq!(figures["multiply_adds"], 46 * 46 * 6 * 96 + 22 * 22 * 6 * 240);
    // A good picture is timed, and one that the template rejects beside it.
    assert_eq!(
        (&figures["verdict"], &figures["disturbed"]["verdict"]),
        (&"ok".into(), &"ng".into())
    );
    assert!(figures["disturbed"]["stages"]["scoring"]["p50"].as_f64().expect("a number") > 0.0);
    assert_code(&hetmm(&["bench", text(&template), "--runs", "0"]), 2, "--runs 0");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn bench_does_without_the_instructions_that_it_is_not_allowed() {
    let bench = Bench::new();
    let template = bench.template();
    let arguments = ["bench", text(&template), "--runs", "2", "--json", "--instructions"];
    for (set, kernel) in [("portable", "portable"), ("avx2", "avx2+fma")] {
        let out = hetmm(&[&arguments[..], &[set]].concat());
        assert_code(&out, 0, "");
        let figures: Value = serde_json::from_str(&stdout(&out)).expect("JSON");
        let has_it = set == "portable" || is_x86_feature_detected!("avx2");
        assert_eq!(figures["kernel"], if has_it { kernel } else { "portable" });
    }
}

#[test]
fn a_build_says_where_its_time_went() {
    let bench = Bench::new();
    let good = bench.good(9);
    let out = bench.build(&good, &bench.path("part.hetmm"), &[]);
    assert_code(&out, 0, "");
    let stderr = String::from_utf8_lossy(&out.stderr);
    let line = stderr.lines().find_map(|l| l.strip_prefix("The build took ")).expect("times");
    let line = line.trim_end_matches('.').replace(" and ", ", ");
    let stages = ["features", "turned copies", "selection", "leave-one-out", "folds", "audit"];
    for (part, stage) in line.split(", ").zip(stages) {
        let seconds = part.split_once(" s for ").filter(|(_, rest)| rest.contains(stage));
        assert!(seconds.is_some_and(|(s, _)| s.parse::<f64>().is_ok()), "{line}");
    }
    assert_eq!(line.split(", ").count(), stages.len(), "{line}");
    let quiet = bench.build(&good, &bench.path("quiet.hetmm"), &["--quiet"]);
    assert!(quiet.stderr.is_empty());
}

#[test]
fn help_completions_and_the_device_program_answer() {
    for command in ["demo", "build", "features", "inspect", "eval", "info", "check", "bench"] {
        let help = stdout(&hetmm(&[command, "--help"]));
        assert!(help.contains("Example"), "{command}: {help}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(stdout(&hetmm(&["completions", shell])).contains("skip-unreadable"));
    }
    assert_code(&hetmm(&["biuld"]), 2, "build");
    let edge = Command::new(env!("CARGO_BIN_EXE_hetmm-edge")).arg("--help").output().expect("runs");
    assert!(stdout(&edge).contains("--replay"));
}

/// Returns files that a failed run left behind.
fn left_overs(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("reads").map(|e| e.expect("reads").path());
    entries.filter(|p| p.extension().is_some_and(|e| e == "part")).collect()
}

/// Returns a PNG that declares a size and then ends.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(width.to_be_bytes());
    chunk.extend(height.to_be_bytes());
    chunk.extend([8, 2, 0, 0, 0]);
    let crc = crc32fast::hash(&chunk).to_be_bytes();
    [&b"\x89PNG\r\n\x1a\n\0\0\0\x0d"[..], &chunk, &crc, b"\0\0\0\0IDAT\x35\xaf\x06\x1e"].concat()
}

/// Scripts and inventories read this form. A plain version stays one line for people.
#[test]
fn every_program_says_its_version_commit_and_formats_for_other_programs() {
    let programs =
        [("hetmm", env!("CARGO_BIN_EXE_hetmm")), ("hetmm-edge", env!("CARGO_BIN_EXE_hetmm-edge"))];
    for (name, path) in programs {
        let run = |arguments: &[&str]| Command::new(path).args(arguments).output().expect("runs");
        let plain = run(&["--version"]);
        assert_code(&plain, 0, "");
        assert_eq!(stdout(&plain), format!("{name} {}\n", env!("CARGO_PKG_VERSION")));
        for short in ["--version", "-V"] {
            let said = run(&[short, "--json"]);
            assert_code(&said, 0, "");
            let said: Value = serde_json::from_str(&stdout(&said)).expect("is JSON");
            assert_eq!(said["program"], name);
            assert_eq!(said["version"], env!("CARGO_PKG_VERSION"));
            assert_eq!(said["formats"]["template"], "1.0");
            assert_eq!(said["formats"]["records"], "1");
            assert_eq!(said["formats"]["feed"], "1");
            let features = said["features"].as_array().expect("a list");
            assert!(features.contains(&"edge".into()), "{features:?}");
            assert!(said["commit"].is_null() || said["commit"].is_string());
        }
        // The version of what is not asked for stays an error.
        assert_code(&run(&["--json"]), 2, "--json");
    }
}
