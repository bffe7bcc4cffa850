//! Tests insert, undo and history from outside: bytes before and after, and everything that can go wrong on the way.

use crate::common::{Bench, SMALL, TEMPLATE, assert_code, hetmm, stderr, stdout, text};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds a template from eight parts, and returns its bytes, too. Parts 20 and up are new to it.
fn template(bench: &Bench, options: &[&str]) -> (PathBuf, Vec<u8>) {
    let good = bench.parts("good", 0..8);
    let path = bench.path("part.hetmm");
    let build =
        [&["build", text(&good), "-o", text(&path)], &SMALL[..], &TEMPLATE, options].concat();
    assert_code(&hetmm(&build), 0, "");
    let bytes = std::fs::read(&path).expect("reads");
    (path, bytes)
}

fn new_part(bench: &Bench, number: u32) -> PathBuf {
    bench.part(&format!("new/{number}.png"), number)
}

/// Inserts pictures, at the limit of six sheets unless the options say otherwise.
fn insert(template: &Path, pictures: &[&Path], options: &[&str]) -> std::process::Output {
    let pictures: Vec<&str> = pictures.iter().map(|p| text(p)).collect();
    let limit: &[&str] = if options.contains(&"--capacity") { &[] } else { &["--capacity", "6"] };
    hetmm(&[&["insert", text(template)], &pictures[..], &["--json"], limit, options].concat())
}

fn json(output: &std::process::Output) -> serde_json::Value {
    serde_json::from_str(&stdout(output)).expect("JSON")
}

/// Returns the score of a single picture.
fn score(template: &Path, picture: &Path) -> f64 {
    json(&hetmm(&["inspect", text(template), text(picture), "--json"]))["score"]
        .as_f64()
        .expect("a score")
}

/// Makes a part with a speckled patch, whose place depends on the number, 0 or 1.
fn defect(bench: &Bench, number: u32) -> PathBuf {
    let mut image = image::open(new_part(bench, 20)).expect("a picture").to_rgb8();
    for (x, y) in (0..600).map(|i| (30 + i % 20, 20 + i / 30)) {
        image.put_pixel(x, y - 14 * number, image::Rgb([(x * 90) as u8, 0, (y * 120) as u8]));
    }
    let bad = bench.path(&format!("bad{number}.png"));
    image.save(&bad).expect("writes");
    bad
}

fn left_behind(bench: &Bench) -> Vec<String> {
    let names = std::fs::read_dir(bench.path("")).expect("reads");
    let names = names.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned());
    names.filter(|n| n.ends_with(".part")).collect()
}

#[test]
fn undo_restores_the_bytes_whatever_the_storage_and_the_sheets() {
    for storage in ["f32", "f16", "i8"] {
        for options in [&["--capacity", "6"][..], &["--capacity", "7"], &["--capacity", "100"]] {
            let bench = Bench::new();
            let (path, before) = template(&bench, &["--storage", storage]);
            let parts: Vec<PathBuf> = (20..24).map(|i| new_part(&bench, i)).collect();
            let parts: Vec<&Path> = parts.iter().map(PathBuf::as_path).collect();
            let alone = score(&path, parts[0]);
            let output = insert(&path, &parts[..1], options);
            assert_code(&output, 0, "");
            let told = &json(&output)["images"][0];
            assert!((told["score_before"].as_f64().expect("a score") - alone).abs() < 1e-5);
            let after = score(&path, parts[0]);
            assert!((told["score_after"].as_f64().expect("a score") - after).abs() < 1e-5);
            assert!(after < alone, "{alone} -> {after}");
            assert_code(&hetmm(&["check", text(&path)]), 0, "");
            let one = std::fs::read(&path).expect("reads");
            assert_code(&insert(&path, &parts[1..], options), 0, "");

            // This is the last of three. Such a file has never existed.
            let output = hetmm(&["undo", text(&path)]);
            assert_code(&output, 0, "restored");
            assert!(!stderr(&output).contains("bytes"), "{}", stderr(&output));
            assert_code(&hetmm(&["check", text(&path)]), 0, "");
            assert_code(&hetmm(&["undo", text(&path), "2"]), 0, "the bytes are those from before");
            assert_eq!(std::fs::read(&path).expect("reads"), one, "{storage} {options:?}");
            assert_code(&hetmm(&["undo", text(&path)]), 0, "the bytes are those from before");
            assert_eq!(std::fs::read(&path).expect("reads"), before, "{storage} {options:?}");
            assert_code(&hetmm(&["undo", text(&path)]), 2, "nothing was inserted");
        }
    }
}

#[test]
fn a_full_template_keeps_its_sheets_and_one_with_room_grows() {
    let bench = Bench::new();
    let (path, before) = template(&bench, &[]);
    let (a, b) = (new_part(&bench, 20), new_part(&bench, 21));
    let dry = json(&insert(&path, &[&a], &["--dry-run"]));
    assert_eq!((dry["sheets"].as_u64(), dry["written"].as_bool()), (Some(6), Some(false)));
    assert_eq!(std::fs::read(&path).expect("reads"), before);
    let full = json(&insert(&path, &[&a], &[]));
    assert_eq!((full["sheets_before"].as_u64(), full["sheets"].as_u64()), (Some(6), Some(6)));
    let grown = json(&insert(&path, &[&b], &["--capacity", "7"]));
    assert_eq!((grown["sheets_before"].as_u64(), grown["sheets"].as_u64()), (Some(6), Some(7)));
    let again = json(&insert(&path, &[&a, &b], &[]));
    assert_eq!(again["known"].as_array().map(Vec::len), Some(2));
    assert_eq!(again["written"].as_bool(), Some(false));
    let nothing = json(&insert(&path, &[&new_part(&bench, 22)], &["--novelty", "1000"]));
    assert_eq!(nothing["images"][0]["entry"], serde_json::Value::Null);
}

#[test]
fn the_history_says_who_when_and_what_and_keeps_small_pictures() {
    let bench = Bench::new();
    let (path, _) = template(&bench, &[]);
    assert_code(&hetmm(&["history", text(&path)]), 0, "");
    let (a, b) = (new_part(&bench, 20), new_part(&bench, 21));
    assert_code(&insert(&path, &[&a], &["--who", "Ada"]), 0, "");
    assert_code(&insert(&path, &[&b], &["--who", &"x".repeat(5000)]), 0, "");
    let seen = bench.path("seen");
    let output = hetmm(&["history", text(&path), "--json", "--thumbnails", text(&seen)]);
    let history = json(&output);
    assert_eq!(
        (history[0]["who"].as_str(), history[0]["image"].as_str()),
        (Some("Ada"), Some("20.png"))
    );
    let digest = blake3::hash(&std::fs::read(&a).expect("reads")).to_hex();
    assert_eq!(history[0]["blake3"].as_str(), Some(digest.as_str()));
    assert_eq!(history[1]["who"].as_str().map(str::len), Some(200));
    let when = history[1]["when"].as_str().expect("a time");
    assert!(when.starts_with("20") && when.ends_with('Z'), "{when}");
    let picture = image::open(seen.join("0002.jpg")).expect("a picture");
    assert_eq!((picture.width(), picture.height()), (80, 60));
    assert!(stdout(&hetmm(&["history", text(&path)])).contains("Ada"));
}

#[test]
fn an_inserted_part_no_longer_counts_as_fresh_and_a_later_threshold_goes_with_undo() {
    let bench = Bench::new();
    let (path, before) = template(&bench, &[]);
    let part = new_part(&bench, 20);
    assert_code(&insert(&path, &[&part], &[]), 0, "");
    let fresh = bench.parts("fresh", 100..120);
    std::fs::copy(&part, fresh.join("020.png")).expect("copies");
    let calibrate = ["calibrate", text(&path), "--images", text(&fresh), "--false-reject", "10%"];
    assert_code(&hetmm(&calibrate), 0, "1 of 21 pictures was left out");
    let output = hetmm(&["undo", text(&path)]);
    assert_code(&output, 0, "the bytes are those from before");
    assert!(stdout(&output).contains("again"), "{}", stdout(&output));
    assert_eq!(std::fs::read(&path).expect("reads"), before);
}

#[test]
fn what_looks_like_a_defect_needs_to_be_forced() {
    let bench = Bench::new();
    let (path, before) = template(&bench, &[]);
    let (good, bad) = (new_part(&bench, 20), defect(&bench, 0));
    // Neither of the two is inserted.
    let output = insert(&path, &[&good, &bad], &[]);
    assert_code(&output, 1, "bad0.png: looks like a defect, with a score of");
    assert!(stderr(&output).contains("--force") && !stderr(&output).contains("20.png"));
    assert_eq!(std::fs::read(&path).expect("reads"), before);
    assert_code(&insert(&path, &[&good, &bad], &["--force"]), 0, "");
    assert!(stdout(&hetmm(&["history", text(&path)])).contains("bad0.png (forced)"));
}

#[test]
fn whatever_is_in_the_way_leaves_the_template_as_it_is() {
    let bench = Bench::new();
    let (path, before) = template(&bench, &[]);
    let part = new_part(&bench, 20);
    let unchanged = |output: &std::process::Output, code: i32, message: &str| {
        assert_code(output, code, message);
        assert_eq!(std::fs::read(&path).expect("reads"), before, "{message}");
        assert!(left_behind(&bench).is_empty(), "{message}");
    };
    let file = std::fs::File::open(&path).expect("opens");
    file.try_lock().expect("locks");
    unchanged(&insert(&path, &[&part], &[]), 5, "another program is changing it");
    unchanged(&hetmm(&["undo", text(&path)]), 5, "another program is changing it");
    drop(file);

    let writable = std::fs::metadata(&path).expect("is there").permissions();
    let mut read_only = writable.clone();
    read_only.set_readonly(true);
    std::fs::set_permissions(&path, read_only).expect("sets");
    unchanged(&insert(&path, &[&part], &[]), 5, "is read-only");
    unchanged(&hetmm(&["undo", text(&path)]), 5, "is read-only");
    std::fs::set_permissions(&path, writable).expect("sets");

    let broken = bench.path("broken.png");
    std::fs::write(&broken, b"no picture").expect("writes");
    unchanged(&insert(&path, &[&part, &broken], &[]), 3, "broken.png");
    unchanged(&insert(&path, &[&bench.path("none.png")], &[]), 3, "none.png");
    unchanged(&insert(&path, &[&part], &["--novelty", "2000"]), 2, "--novelty");
    unchanged(&hetmm(&["undo", text(&path), "7"]), 2, "nothing was inserted");
}

/// Plays a disk without room, as far as the system can: files may not become longer than some size. It tries every size
/// up to that of the template.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_clear_error_and_leaves_nothing_behind() {
    let bench = Bench::new();
    let (path, before) = template(&bench, &[]);
    let part = new_part(&bench, 20);
    let blocks = before.len() / 512;
    for size in (0..10).map(|i| i * blocks / 10) {
        let script = format!(
            "trap '' XFSZ; ulimit -f {size}; exec {} insert {} {} --capacity 6",
            env!("CARGO_BIN_EXE_hetmm"),
            text(&path),
            text(&part)
        );
        let output = Command::new("sh").args(["-c", &script]).output().expect("runs");
        assert_code(&output, 5, "File too large");
        assert_eq!(std::fs::read(&path).expect("reads"), before, "{size}");
        assert!(left_behind(&bench).is_empty(), "{size}");
    }
}

#[test]
fn a_damaged_journal_is_refused_by_name_at_every_byte() {
    let bench = Bench::new();
    let (path, _) = template(&bench, &[]);
    assert_code(&insert(&path, &[&new_part(&bench, 20)], &[]), 0, "");
    let whole = std::fs::read(&path).expect("reads");
    let journal = json(&hetmm(&["history", text(&path), "--json"]))[0]["bytes"].as_u64();
    let start = whole.len() - journal.expect("a length") as usize;
    let (cut, damaged) = ("cut off in section Journal 0", "damaged in section Journal 0");
    let mut flipped = whole.clone();
    for at in start..whole.len() {
        flipped[at] ^= 1 << (at % 8);
        for (bytes, message) in [(&whole[..at], cut), (&flipped, damaged)] {
            let error = hetmm::template::container::parse(bytes).expect_err("damage").to_string();
            assert!(error.contains(message), "byte {at}: {error}");
        }
        flipped[at] = whole[at];
    }
    // The programs refuse what the reader refuses.
    for at in [start, (start + whole.len()) / 2, whole.len() - 1] {
        flipped[at] ^= 0x10;
        for (bytes, message) in [(&whole[..at], cut), (&flipped, damaged)] {
            std::fs::write(&path, bytes).expect("writes");
            for task in ["history", "undo", "check"] {
                assert_code(&hetmm(&[task, text(&path)]), 4, message);
            }
        }
        flipped[at] = whole[at];
    }
}

#[test]
fn what_a_killed_program_left_behind_is_cleared_away_but_not_what_is_in_use() {
    let bench = Bench::new();
    let (path, _) = template(&bench, &[]);
    let (old, used, recent) = (".hetmm-old.part", ".hetmm-used.part", ".hetmm-recent.part");
    let hour_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    for name in [old, used, recent] {
        let file = std::fs::File::create(bench.path(name)).expect("makes");
        if name != recent {
            file.set_modified(hour_ago).expect("sets");
        }
    }
    let held = std::fs::File::open(bench.path(used)).expect("opens");
    held.try_lock().expect("locks");
    assert_code(&insert(&path, &[&new_part(&bench, 20)], &[]), 0, "");
    let mut left = left_behind(&bench);
    left.sort();
    assert_eq!(left, [recent, used]);
}

#[test]
fn forced_defects_do_not_make_the_next_defect_look_good() {
    let bench = Bench::new();
    let (path, _) = template(&bench, &[]);
    let defects: Vec<PathBuf> = (0..2).map(|i| defect(&bench, i)).collect();
    let [first, second] = [&defects[0], &defects[1]];
    assert_code(&insert(&path, &[first], &[]), 1, "looks like a defect");
    assert_code(&insert(&path, &[second], &[]), 1, "looks like a defect");
    assert_code(&insert(&path, &[first], &["--force"]), 0, "");
    let before = std::fs::read(&path).expect("reads");
    assert_code(&insert(&path, &[second], &[]), 1, "looks like a defect");
    assert_eq!(std::fs::read(&path).expect("reads"), before);
}

#[test]
fn undo_restores_the_region_rules_and_zones_from_before() {
    let bench = Bench::new();
    let zones = bench.path("zones.png");
    let labels = |split: u32| {
        image::GrayImage::from_fn(80, 60, |x, _| image::Luma([u8::from(x < split)]))
            .save(&zones)
            .expect("writes");
    };
    let rules = |path: &Path, options: &[&str]| {
        assert_code(&hetmm(&[&["rules", text(path)], options].concat()), 0, "written");
    };
    let zoned: &[&str] = &["--zones", text(&zones), "--zone", "1=lid:1.5x"];
    for (before, since) in [
        (&[][..], zoned),
        (zoned, &["--clear"]),
        (zoned, zoned),
        (&["--min-area", "9px"], &["--clear"]),
    ] {
        let (path, _) = template(&bench, &[]);
        labels(30);
        if !before.is_empty() {
            rules(&path, before);
        }
        let bytes = std::fs::read(&path).expect("reads");
        assert_code(&insert(&path, &[&new_part(&bench, 20)], &[]), 0, "");
        labels(50);
        rules(&path, since);
        assert_code(&insert(&path, &[&new_part(&bench, 21)], &[]), 0, "");
        let output = hetmm(&["undo", text(&path), "1"]);
        assert_code(&output, 0, "the bytes are those from before");
        assert!(stdout(&output).contains("others were set since"), "{}", stdout(&output));
        assert_eq!(std::fs::read(&path).expect("reads"), bytes, "{before:?} {since:?}");
    }
}

#[test]
fn what_insert_says_of_a_part_is_what_inspect_says_afterwards() {
    let bench = Bench::new();
    let (path, _) = template(&bench, &[]);
    let zones = bench.path("zones.png");
    image::GrayImage::from_pixel(80, 60, image::Luma([1])).save(&zones).expect("writes");
    for (factor, number) in [("1=0.0001x", 20), ("1=3x", 21)] {
        let rules = ["rules", text(&path), "--zones", text(&zones), "--zone", factor];
        assert_code(&hetmm(&rules), 0, "written");
        let part = new_part(&bench, number);
        let told = &json(&insert(&path, &[&part], &[]))["images"][0];
        let inspected = json(&hetmm(&["inspect", text(&path), text(&part), "--json"]));
        assert_eq!(told["verdict"], inspected["verdict"], "{factor}");
        assert_eq!(told["verdict"] == "ok", number == 21, "{told}");
    }
}

#[cfg(unix)]
#[test]
fn a_template_behind_a_link_is_changed_and_the_link_stays() {
    let bench = Bench::new();
    let (path, before) = template(&bench, &[]);
    std::fs::create_dir(bench.path("line")).expect("makes");
    let link = bench.path("line/part.hetmm");
    std::os::unix::fs::symlink("../part.hetmm", &link).expect("links");
    let bytes = || {
        assert!(link.is_symlink());
        std::fs::read(&path).expect("reads")
    };
    assert_code(&insert(&link, &[&new_part(&bench, 20)], &[]), 0, "");
    assert!(bytes() != before);
    assert_code(&hetmm(&["rules", text(&link), "--min-area", "9px"]), 0, "written");
    let fresh = bench.parts("fresh", 100..120);
    let calibrate = ["calibrate", text(&link), "--images", text(&fresh), "--false-reject", "10%"];
    assert_code(&hetmm(&calibrate), 0, "threshold");
    assert_code(&hetmm(&["undo", text(&link)]), 0, "the bytes are those from before");
    assert_eq!(bytes(), before);
    assert_eq!(std::fs::read_dir(bench.path("line")).expect("reads").count(), 1);
}

/// A user who runs as root, as with `sudo`, must not take the template away from the service that owns it.
#[cfg(unix)]
#[test]
fn a_changed_template_keeps_its_owner_and_permissions() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    let bench = Bench::new();
    let (path, _) = template(&bench, &[]);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("sets");
    // Only root may give files away. For others the owner is the same before and after.
    let _ = chown(&path, Some(12_345), Some(12_346));
    let of = || {
        let m = std::fs::metadata(&path).expect("is there");
        (m.uid(), m.gid(), m.mode())
    };
    let before = of();
    assert_code(&insert(&path, &[&new_part(&bench, 20)], &[]), 0, "");
    assert_eq!(of(), before);
    assert_code(&hetmm(&["undo", text(&path)]), 0, "");
    assert_eq!(of(), before);
}

/// `cp` over a template first cuts the file short. A process that has it mapped would be ended by that.
#[test]
fn a_template_that_is_cut_short_while_it_is_in_use_does_no_harm() {
    let bench = Bench::new();
    let (path, before) = template(&bench, &[]);
    let opened = hetmm::template::Template::open(&path).expect("opens");
    std::fs::write(&path, b"short").expect("writes");
    assert_eq!(opened.digest(), *blake3::hash(&before).as_bytes());
    for bytes in [&b""[..], b"short", &before[..before.len() - 1]] {
        std::fs::write(&path, bytes).expect("writes");
        assert!(hetmm::template::Template::open(&path).is_err());
    }
    std::fs::remove_file(&path).expect("removes");
    assert!(hetmm::template::Template::open(&path).is_err());
    assert!(hetmm::template::Template::open(bench.path("")).is_err());
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_no_text_or_would_move_the_cursor_are_shown_spelled_out() {
    use std::os::unix::ffi::OsStrExt;
    let bench = Bench::new();
    let (path, _) = template(&bench, &[]);
    for (number, name) in [(20, &b"a\xff.png"[..]), (21, b"b\n\x1b[31m.png"), (22, b"-rf.png")] {
        let part = new_part(&bench, number);
        let odd = part.with_file_name(std::ffi::OsStr::from_bytes(name));
        std::fs::rename(part, odd).expect("renames");
    }
    let new = bench.path("new");
    let told = json(&insert(&path, &[&new], &["--who", "A\tB"]));
    assert_eq!(told["images"].as_array().map(Vec::len), Some(3), "{told}");
    let known = json(&insert(&path, &[&new], &[]));
    assert_eq!(known["known"].as_array().map(Vec::len), Some(3), "{known}");
    for task in ["history", "info", "undo"] {
        let output = hetmm(&[task, text(&path)]);
        assert_code(&output, 0, "");
        let shown = stdout(&output);
        assert!(!shown.contains(['\u{1b}', '\t']), "{task}: {shown}");
        assert!(task == "info" || shown.contains(r"b\n\u{1b}[31m.png"), "{task}: {shown}");
    }
}

#[test]
fn a_dry_run_works_where_nothing_may_be_written() {
    let bench = Bench::new();
    let (path, before) = template(&bench, &[]);
    let part = new_part(&bench, 20);
    let file = std::fs::File::open(&path).expect("opens");
    file.try_lock().expect("locks");
    let mut read_only = file.metadata().expect("is there").permissions();
    read_only.set_readonly(true);
    std::fs::set_permissions(&path, read_only).expect("sets");
    let told = json(&insert(&path, &[&part], &["--dry-run"]));
    assert_eq!(told["images"][0]["entry"], 1, "{told}");
    assert_eq!(std::fs::read(&path).expect("reads"), before);
}

#[test]
fn what_lies_outside_the_region_of_interest_is_not_learned() {
    let bench = Bench::new();
    let mask = bench.path("mask.png");
    let white = |x| if x < 12 { 255 } else { 0 };
    image::GrayImage::from_fn(80, 60, |x, _| image::Luma([white(x)])).save(&mask).expect("writes");
    let part = bench.part("good/000.png", 0);
    let mut changed = image::open(&part).expect("a picture").to_rgb8();
    for (x, y) in (0..900).map(|i| (70 + i % 9, i / 15)) {
        changed.put_pixel(x, y, image::Rgb([255, 0, (y * 4) as u8]));
    }
    let elsewhere = bench.path("elsewhere.png");
    changed.save(&elsewhere).expect("writes");
    for (options, is_new) in [(&["--mask", text(&mask)][..], false), (&[], true)] {
        for capacity in ["6", "100"] {
            let (path, _) = template(&bench, options);
            let told = json(&insert(&path, &[&elsewhere], &["--force", "--capacity", capacity]));
            assert_eq!(told["images"][0]["entry"].is_u64(), is_new, "{told}");
        }
    }
}

#[test]
fn what_was_inserted_is_not_said_to_be_built_from() {
    let bench = Bench::new();
    let (path, _) = template(&bench, &[]);
    assert_code(&insert(&path, &[&new_part(&bench, 20)], &[]), 0, "");
    let info = stdout(&hetmm(&["info", text(&path)]));
    assert!(info.contains("built from 8 pictures, 000.png to 007.png"), "{info}");
    assert!(info.contains("inserted   1 picture later"), "{info}");
    let page = bench.path("page.html");
    bench.parts("set/test/good", 100..103);
    let set = bench.path("set");
    assert_code(&hetmm(&["eval", text(&path), text(&set), "--report", text(&page)]), 0, "");
    let page = std::fs::read_to_string(&page).expect("a page");
    for fact in ["<data id=\"built-from\" value=\"8\">", "<data id=\"inserted\" value=\"1\">"] {
        assert!(page.contains(fact), "{fact}");
    }
    // The digest of the pictures is also that of the pictures that it was built from.
    let mut hasher = blake3::Hasher::new();
    for number in 0..8 {
        let bytes = std::fs::read(bench.path(&format!("good/{number:03}.png"))).expect("reads");
        hasher.update(blake3::hash(&bytes).as_bytes());
    }
    assert!(page.contains(hasher.finalize().to_hex().as_str()));
}

#[test]
fn insert_and_info_say_what_came_in_since_the_threshold_was_set() {
    let bench = Bench::new();
    let (path, _) = template(&bench, &[]);
    let [a, b, c] = [20, 21, 22].map(|number| new_part(&bench, number));
    let fresh = bench.parts("fresh", 40..64);
    let insert = |picture: &Path| hetmm(&["insert", text(&path), text(picture), "--force"]);
    let said = |output: &std::process::Output| stderr(output).contains("the threshold stays");
    assert!(!said(&insert(&a)), "a provisional one promises nothing");
    let images = ["--images", text(&fresh), "--false-reject", "10%"];
    assert_code(&hetmm(&[&["calibrate", text(&path)], &images[..]].concat()), 0, "");
    let info = || stdout(&hetmm(&["info", text(&path)]));
    assert!(
        info().contains("1 picture later, 0 of them since the threshold was set"),
        "{}",
        info()
    );
    let output = insert(&b);
    assert!(said(&output) && stderr(&output).contains("before 1 picture came in"));
    let output = hetmm(&["insert", text(&path), text(&c), "--force", "--json"]);
    assert_eq!(json(&output)["inserted_since_threshold"], 2);
    assert!(
        info().contains("3 pictures later, 2 of them since the threshold was set"),
        "{}",
        info()
    );
}

#[test]
fn many_pictures_at_once_are_learned_as_a_few_at_a_time() {
    let bench = Bench::new();
    let (path, before) = template(&bench, &[]);
    let parts: Vec<PathBuf> = (20..56).map(|number| new_part(&bench, number)).collect();
    let parts: Vec<&Path> = parts.iter().map(PathBuf::as_path).collect();
    let options = ["--capacity", "20", "--force"];
    let learned = |output: &std::process::Output| -> Vec<serde_json::Value> {
        let images = json(output)["images"].as_array().expect("images").clone();
        let of = |image: serde_json::Value| {
            serde_json::json!([image["entry"], image["score_after"], image["prototypes"]])
        };
        images.into_iter().map(of).collect()
    };
    let at_once = learned(&insert(&path, &parts, &options));
    std::fs::write(&path, before).expect("writes");
    let in_parts: Vec<_> =
        parts.chunks(12).flat_map(|some| learned(&insert(&path, some, &options))).collect();
    assert_eq!(at_once, in_parts);
}
