//! Checks from outside what `hetmm calibrate` and `build --false-reject` promise: what counts as a part, what region
//! rules make of it, and what is written if something ends in between.

use crate::common::{Bench, SMALL, TEMPLATE, assert_code, command, hetmm, stderr, stdout, text};
use image::{GrayImage, Luma, Rgb};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

/// Builds a template from eight parts. Parts 100 and up are fresh.
fn template(bench: &Bench, options: &[&str]) -> PathBuf {
    let (good, path) = (bench.parts("good", 0..8), bench.path("part.hetmm"));
    let build =
        [&["build", text(&good), "-o", text(&path)], &SMALL[..], &TEMPLATE, options].concat();
    assert_code(&hetmm(&build), 0, "");
    path
}

/// Makes parts with a speckled patch. It is smaller with every number, and the last one is hardly visible.
fn blots(bench: &Bench, folder: &str, count: u32) -> PathBuf {
    let folder = bench.parts(folder, 200..200 + count);
    for (i, entry) in std::fs::read_dir(&folder).expect("reads").enumerate() {
        let path = entry.expect("an entry").path();
        let mut image = image::open(&path).expect("a picture").to_rgb8();
        let side = 2 * (count - i as u32);
        for (x, y) in (0..side * side).map(|p| (8 + p % side, 20 + p / side)) {
            image.put_pixel(x, y, Rgb([250, (x * 40) as u8, (y * 90) as u8]));
        }
        image.save(&path).expect("writes");
    }
    folder
}

fn calibrate(template: &Path, images: &[&Path], options: &[&str]) -> Output {
    let images: Vec<&str> = images.iter().map(|p| text(p)).collect();
    hetmm(&[&["calibrate", text(template), "--images"], &images[..], options].concat())
}

fn json(output: &Output) -> Value {
    assert_code(output, 0, "");
    serde_json::from_str(&stdout(output)).expect("JSON")
}

/// Returns how many pictures get each verdict from `inspect`.
fn verdicts(template: &Path, images: &Path) -> [usize; 3] {
    let output = hetmm(&["inspect", text(template), text(images), "--json"]);
    assert_code(&output, 0, "");
    let lines: Vec<Value> =
        stdout(&output).lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    ["ok", "review", "ng"].map(|v| lines.iter().filter(|l| l["verdict"] == v).count())
}

#[test]
fn a_picture_that_is_given_twice_counts_once() {
    let bench = Bench::new();
    let path = template(&bench, &[]);
    let fresh = bench.parts("fresh", 100..120);
    let dry = |images: &[&Path], rate| {
        calibrate(&path, images, &["--json", "--dry-run", "--false-reject", rate])
    };
    let once = json(&dry(&[&fresh], "10%"));
    assert_eq!((&once["pictures"], &once["rank"]), (&20.into(), &2.into()));
    // This adds the same folder again, one of its files, and equal bytes under other names.
    let copies = bench.path("copies");
    std::fs::create_dir(&copies).expect("makes");
    for i in 100..105 {
        let name = format!("{i}.png");
        std::fs::copy(fresh.join(&name), copies.join(format!("again-{name}"))).expect("copies");
    }
    let file = fresh.join("107.png");
    for (images, doubles) in
        [(vec![&fresh, &fresh], 20), (vec![&fresh, &file], 1), (vec![&copies, &fresh], 5)]
    {
        let images: Vec<&Path> = images.iter().map(|p| p.as_path()).collect();
        let output = dry(&images, "10%");
        let was = if doubles == 1 { "was" } else { "were" };
        let left_out = format!("{doubles} of {} pictures {was} left out", 20 + doubles);
        assert!(stderr(&output).contains(&left_out), "{}", stderr(&output));
        assert_eq!(json(&output), once, "{images:?}");
    }
    // 40 pictures could promise 3 %, 20 different ones cannot.
    let refused =
        "20 good parts are too few to guarantee a false-reject rate of 3 %: that needs 33";
    assert_code(&dry(&[&fresh, &fresh], "3%"), 3, refused);
    let bad = blots(&bench, "bad", 4);
    let defects = ["--json", "--dry-run", "--false-reject", "10%", "--defects"];
    let output = calibrate(&path, &[&fresh], &[&defects[..], &[text(&bad), text(&bad)]].concat());
    assert_eq!(json(&output)["defects"], 4);
}

#[test]
fn doubles_among_the_good_pictures_do_not_lower_the_threshold_by_folds() {
    let bench = Bench::new();
    let (plain, doubled) = (bench.path("plain.hetmm"), bench.path("doubled.hetmm"));
    let good = bench.parts("good", 0..12);
    let build = |template: &Path, images: &Path, rate: &str| {
        let arguments = ["build", text(images), "-o", text(template), "--false-reject", rate];
        hetmm(&[&arguments[..], &SMALL, &TEMPLATE].concat())
    };
    let calibration =
        |template: &Path| json(&hetmm(&["info", text(template), "--json"]))["calibration"].clone();
    let output = build(&plain, &good, "10%");
    assert_code(&output, 0, "");
    assert!(!stderr(&output).contains("the same exposure"));
    for i in 0..12 {
        let name = format!("{i:03}.png");
        std::fs::copy(good.join(&name), good.join(format!("again-{name}"))).expect("copies");
    }
    assert_code(
        &build(&doubled, &good, "10%"),
        0,
        "12 of 24 pictures show the same exposure as another one",
    );
    let (plain, told) = (calibration(&plain), calibration(&doubled));
    assert_eq!(told["decision"]["pictures"], 12);
    assert_eq!(told["decision"]["rank"], plain["decision"]["rank"]);
    // Every picture of each fold has a double. If a template were built from the doubles, it would score next to
    // nothing.
    let threshold = |of: &Value| of["threshold"].as_f64().expect("a number");
    assert!(threshold(&told) > 0.5 * threshold(&plain), "{told} {plain}");
    let refused =
        "12 good parts are too few to guarantee a false-reject rate of 5 %: that needs 19";
    assert_code(&build(&doubled, &good, "5%"), 3, refused);
    let same = bench.path("same");
    std::fs::create_dir(&same).expect("makes");
    for i in 0..3 {
        std::fs::copy(good.join("000.png"), same.join(format!("{i}.png"))).expect("copies");
    }
    assert_code(
        &build(&doubled, &same, "50%"),
        3,
        "all 3 pictures show the same exposure of one part",
    );
}

#[test]
fn what_calibrate_counts_is_what_inspect_and_eval_decide_whatever_the_rules() {
    let bench = Bench::new();
    let path = template(&bench, &[]);
    let (fresh, bad) = (bench.parts("set/test/good", 100..130), blots(&bench, "set/test/blot", 8));
    let zones = bench.path("zones.png");
    GrayImage::from_pixel(80, 60, Luma([1])).save(&zones).expect("writes");
    let (page, set) = (bench.path("page.html"), bench.path("set"));
    let rules: [&[&str]; 5] = [
        &["--clear"],
        &["--min-area", "150px"],
        &["--min-area", "4700px"],
        &["--zones", text(&zones), "--zone", "1=0.6x"],
        &["--zones", text(&zones), "--zone", "1=3x"],
    ];
    let mut rejected = Vec::new();
    for rules in rules {
        assert_code(&hetmm(&["rules", text(&path), "--clear"]), 0, "");
        assert_code(&hetmm(&[&["rules", text(&path)], rules].concat()), 0, "");
        let is_ruled = rules != ["--clear"];
        let options = ["--false-reject", "10%", "--review", "30%", "--defects", text(&bad)];
        let report = [&options[..], &["--json", "--report", text(&page)]].concat();
        let told = json(&calibrate(&path, &[&fresh], &report));
        let ([_, _, ng], [missed, reviewed, _]) = (verdicts(&path, &fresh), verdicts(&path, &bad));
        assert_eq!((&told["rejected"], &told["missed"]), (&ng.into(), &missed.into()), "{rules:?}");
        assert_eq!(told["reviewed"], reviewed, "{rules:?}");
        // The threshold is the third largest score, with and without rules.
        assert_eq!((&told["rank"], &told["above_threshold"]), (&3.into(), &2.into()), "{rules:?}");
        assert_eq!(told["region_rules"], is_ruled);
        rejected.push(ng);

        let calibrated = std::fs::read_to_string(&page).expect("a page");
        let badges = |page: &str, what: &str| {
            let table = page.split("<table id=\"all\">").nth(1).expect("a table");
            table.split("</table>").next().map_or(0, |t| t.matches(what).count())
        };
        assert_eq!(badges(&calibrated, " false reject<"), ng, "{rules:?}");
        assert_eq!(badges(&calibrated, " missed<"), missed, "{rules:?}");
        let figures = json(&hetmm(&[
            "eval",
            text(&path),
            text(&set),
            "--json",
            "-",
            "--report",
            text(&page),
        ]));
        for (of_eval, of_calibrate) in
            [("missed", "missed"), ("reviewed", "reviewed"), ("false_rejects", "rejected")]
        {
            assert_eq!(figures[of_eval], told[of_calibrate], "{rules:?}");
        }
        let evaluated = std::fs::read_to_string(&page).expect("a page");
        let is = if ng == 1 { "is" } else { "are" };
        assert!(evaluated.contains(&format!("{ng} of 30 pictures {is} rejected")), "{rules:?}");
        assert_eq!(evaluated.contains("Its region rules decide, too"), is_ruled, "{rules:?}");
        assert!(evaluated.contains("use the score alone"));

        let words = stdout(&calibrate(&path, &[&fresh], &[&options[..], &["--dry-run"]].concat()));
        let about = "That is about the score alone.";
        let under = format!(
            "With these rules, {ng} of the 30 good parts are rejected. 2 score above the threshold."
        );
        assert_eq!(words.contains(about) && words.contains(&under), is_ruled, "{words}");
        assert_eq!(calibrated.contains(about), is_ruled, "{rules:?}");
        assert_eq!(stdout(&hetmm(&["info", text(&path)])).contains(about), is_ruled, "{rules:?}");
        let missed =
            format!("Of 8 known defects, {missed} would pass and {reviewed} would be reviewed");
        assert!(words.contains(&missed), "{words}");
    }
    // The cases differ: a smallest area that nothing reaches, and a zone that rejects more than the score.
    assert_eq!((rejected[0], rejected[2]), (2, 0));
    assert!(rejected[3] > 2, "{rejected:?}");
}

/// Runs a command whose reader goes away before it prints anything.
fn without_reader(arguments: &[&str]) {
    let mut child =
        command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
    drop(child.stdout.take());
    assert_code(&child.wait_with_output().expect("ends"), 0, "");
}

#[test]
fn what_is_asked_for_is_written_when_the_reader_goes_away() {
    let bench = Bench::new();
    let path = template(&bench, &[]);
    let before = std::fs::read(&path).expect("reads");
    let fresh = bench.parts("set/test/good", 100..120);
    let train = bench.parts("set/train/good", 0..12);
    blots(&bench, "set/test/blot", 4);
    let (page, rows, set) = (bench.path("page.html"), bench.path("rows.json"), bench.path("set"));
    let report = ["--report", text(&page)];
    let calibrate = ["calibrate", text(&path), "--images", text(&fresh), "--false-reject", "10%"];
    let audit = [&["audit", text(&train)], &SMALL[..]].concat();
    let ablate =
        [&["ablate", text(&set), "--studies", "sheets", "--json", text(&rows)], &SMALL[..]]
            .concat();
    let commands: [Vec<&str>; 5] = [
        calibrate.to_vec(),
        [&calibrate[..], &["--json"]].concat(),
        audit.clone(),
        [&audit[..], &["--json"]].concat(),
        ablate,
    ];
    for command in commands {
        std::fs::write(&path, &before).expect("writes");
        without_reader(&[&command[..], &report].concat());
        let written = std::fs::read_to_string(&page).expect("a page");
        assert!(written.ends_with("</html>"), "{command:?}");
        std::fs::remove_file(&page).expect("removes");
        if command[0] == "calibrate" {
            assert!(std::fs::read(&path).expect("reads") != before, "{command:?}");
        }
    }
    let rows: Value = serde_json::from_slice(&std::fs::read(rows).expect("rows")).expect("JSON");
    assert_eq!(rows["rows"].as_array().map(Vec::len), Some(5));
}

#[test]
fn what_was_written_is_said_when_the_rest_cannot_be() {
    let bench = Bench::new();
    let path = template(&bench, &[]);
    let before = std::fs::read(&path).expect("reads");
    let fresh = bench.parts("fresh", 100..120);
    let (nowhere, early) = (bench.path("none/t.hetmm"), bench.path("none/page.html"));
    // No file system accepts a name of this length, but that shows only when the page is written.
    let page = bench.path(&"none".repeat(100));
    let run = |options: &[&str]| {
        let output =
            calibrate(&path, &[&fresh], &[&["--json", "--false-reject", "10%"], options].concat());
        assert_code(&output, 5, "none");
        assert!(stdout(&output).is_empty(), "{}", stdout(&output));
        stderr(&output)
    };
    // No message says that a file was written when it was not.
    run(&["-o", text(&nowhere)]);
    run(&["--report", text(&early)]);
    let told = run(&["--report", text(&page), "--dry-run"]);
    assert!(!told.contains("threshold"), "{told}");
    assert_eq!(std::fs::read(&path).expect("reads"), before);
    let told = run(&["--report", text(&page)]);
    let threshold =
        json(&hetmm(&["info", text(&path), "--json"]))["calibration"]["threshold"].clone();
    let threshold = threshold.as_f64().expect("a number");
    let words = format!("the threshold is set to {threshold:.4}, but the report is not written");
    assert!(told.contains(&words), "{told}");
    assert!(std::fs::read(&path).expect("reads") != before);
}

#[test]
fn a_threshold_that_was_given_is_called_given() {
    let bench = Bench::new();
    let (page, set) = (bench.path("page.html"), bench.path("set"));
    bench.parts("set/test/good", 100..103);
    let fresh = bench.parts("fresh", 100..120);
    for (options, given) in [(&["--threshold", "5"][..], true), (&[], false)] {
        let path = template(&bench, options);
        let told = || {
            let calibration = &json(&hetmm(&["info", text(&path), "--json"]))["calibration"];
            (calibration["given"].as_bool(), calibration["provisional"].as_bool())
        };
        assert_eq!(told(), (Some(given), Some(false)));
        let info = stdout(&hetmm(&["info", text(&path)]));
        assert_eq!(info.contains(", given by the user."), given, "{info}");
        assert_eq!(info.contains("an estimate that about 2 %"), !given, "{info}");
        assert_eq!(info.contains("option     threshold: 5"), given, "{info}");
        assert_code(&hetmm(&["eval", text(&path), text(&set), "--report", text(&page)]), 0, "");
        let written = std::fs::read_to_string(&page).expect("a page");
        assert_eq!(written.contains("Threshold 5.0000, given by the user."), given);
        assert_eq!(written.contains("an estimate that about 2 %"), !given);
        assert_code(&calibrate(&path, &[&fresh], &["--false-reject", "10%"]), 0, "");
        assert_eq!(told(), (Some(false), Some(false)));
    }
}

/// A template that is mapped shows what is written into its file. Such changes must not get checksums of their own.
#[cfg(target_os = "linux")]
#[test]
fn a_source_that_is_changed_meanwhile_is_not_copied_with_new_checksums() {
    use hetmm::template::{Template, writer};
    use std::os::unix::fs::FileExt;
    let bench = Bench::new();
    let path = template(&bench, &[]);
    let copy = bench.path("copy.hetmm");
    let rewrite = |template: &Template| {
        let (header, settings) = (template.header().clone(), template.settings().clone());
        writer::rewrite(&copy, None, template, header, settings, template.zones())
    };
    let opened = Template::map(&path).expect("opens");
    let file = std::fs::File::options().write(true).open(&path).expect("opens");
    for section in opened.sections() {
        for at in [section.range.start, section.range.end - 1] {
            let old = std::fs::read(&path).expect("reads")[at as usize];
            file.write_all_at(&[old ^ 4], at).expect("writes");
            let error = rewrite(&opened).expect_err("a change");
            assert!(error.to_string().contains("has changed while it was copied"), "{error}");
            assert_eq!(error.kind(), hetmm::error::Kind::Io);
            assert!(!copy.exists(), "{section}");
            file.write_all_at(&[old], at).expect("writes");
        }
    }
    rewrite(&opened).expect("as it was");
    let [one, other] = [&path, &copy].map(|p| std::fs::read(p).expect("reads"));
    assert_eq!(one, other);
}
