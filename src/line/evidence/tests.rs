use super::device_key::{DeviceKey, PublicKey};
use super::*;
use crate::clock::LineTime;
use crate::line::record::{Gate, PartRecord};
use crate::line::tracker::{Line as Output, PartId, Reason};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Noon of a day in 2026, in milliseconds since 1970.
const NOON: u64 = 1_795_867_200_000;
const DAY: u64 = 86_400_000;

/// Returns a moment so many milliseconds after the start.
fn after(ms: u64) -> Moment {
    let at = LineTime::from_nanos(5_000_000_000 + ms * 1_000_000);
    let clock = ClockQuality { state: ClockState::Synchronized, error_us: Some(900) };
    Moment { at, unix_ms: NOON + ms, clock }
}

fn part(number: u64) -> PartRecord {
    let rejected = number.is_multiple_of(3);
    PartRecord {
        part: PartId(number),
        unix_ms: NOON + number,
        trigger_us: number * 1000,
        gate_us: number * 1000 + 400,
        outcome: if rejected { "rejected" } else { "passed" },
        why: rejected.then_some(Reason::Defect),
        score: Some(number as f32 / 7.0),
        threshold: Some(1.5),
        verdict: None,
        decided_by: None,
        regions: vec![],
        timing_us: None,
        exposure_us: Some(number * 1000 + 10),
        result_us: Some(number * 1000 + 90),
        template: None,
        gate: Some(Gate {
            line: Output::Ng,
            due_us: 1,
            at_us: 2,
            took_us: 1,
            pulse: number / 3,
            seen_us: None,
        }),
    }
}

fn settings(folder: &Path) -> Settings {
    Settings {
        folder: folder.join("records"),
        segment_bytes: 1 << 20,
        sync: Duration::from_secs(1),
        keep_days: 0,
        min_free_bytes: 0,
        key_file: Some(folder.join("device.key")),
        device: DeviceName { serial: "s1".into(), name: "cam1".into(), site: "plant".into() },
        software: Software { version: "1.2.3", build: "abc".into() },
        boot: "b".into(),
        start: Event::Start { drives_outputs: false, configuration_blake3: "0".into() },
    }
}

/// Runs a program that records these parts and ends in good order.
fn run(settings: Settings, parts: std::ops::Range<u64>) {
    let mut writer = Writer::new(settings);
    for number in parts.clone() {
        assert!(writer.part(&part(number), &after(number)), "{:?}", writer.last_error());
        writer.tick(&after(number));
    }
    writer.stop(&after(parts.end));
}

fn checked(folder: &Path) -> Verified {
    let key = PublicKey::read(&folder.join("device.pub")).expect("reads");
    verify(&folder.join("records"), Some(&key), &mut |_| Ok(())).expect("reads")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let listed = segments::list(&folder.join("records")).expect("lists");
    listed.into_iter().map(|segment| segment.path).collect()
}

/// Returns the lines of all segments as JSON.
fn lines(folder: &Path) -> Vec<serde_json::Value> {
    let texts = files(folder).into_iter().map(|path| std::fs::read_to_string(path).expect("reads"));
    texts
        .flat_map(|t| t.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect::<Vec<_>>())
        .collect()
}

fn kinds(folder: &Path) -> Vec<String> {
    lines(folder).iter().map(|line| line["kind"].as_str().expect("a kind").to_owned()).collect()
}

#[test]
fn a_chain_goes_on_over_starts_and_segments() {
    let folder = tempfile::tempdir().expect("a folder");
    let small = Settings { segment_bytes: 40_000, ..settings(folder.path()) };
    run(small.clone(), 0..300);
    run(small, 300..310);
    let seen = checked(folder.path());
    assert_eq!((seen.bad, seen.parts, seen.lost, seen.recovered), (None, 310, 0, 0));
    assert!(seen.segments > 3, "{}", seen.segments);
    assert_eq!(seen.signed_through, seen.head.map(|head| head.seq), "it ends with a checkpoint");
    let lines = lines(folder.path());
    let runs: Vec<u64> = lines.iter().map(|line| line["run"].as_u64().expect("a run")).collect();
    assert!(runs.is_sorted() && runs.first() == Some(&1) && runs.last() == Some(&2));
    let first = lines.iter().find(|line| line["kind"] == "part").expect("a part");
    assert_eq!(first["utc"], "2026-11-28T12:00:00.000Z");
    assert_eq!(first["clock"]["state"], "synchronized");
    let kinds = kinds(folder.path());
    assert_eq!(kinds.get(..2), Some(&["segment".to_owned(), "start".to_owned()][..]));
    assert_eq!(kinds.iter().filter(|kind| *kind == "stop").count(), 2);
}

#[test]
fn changed_swapped_removed_and_added_lines_are_found_in_files() {
    let folder = tempfile::tempdir().expect("a folder");
    run(settings(folder.path()), 0..40);
    let path = files(folder.path()).remove(0);
    let whole = std::fs::read(&path).expect("reads");
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    let swapped: Vec<u8> = {
        let mut lines = lines.clone();
        lines.swap(10, 11);
        lines.concat()
    };
    let without = |gone: usize| [&lines[..gone], &lines[gone + 1..]].concat().concat();
    let doubled = [&lines[..9], &lines[8..]].concat().concat();
    // Each row holds what was made of the file, and the lines that may be named.
    let rows = [
        (swapped, 11..=12),
        (without(20), 21..=21),
        (without(0), 1..=1),
        (doubled, 10..=10),
        (whole[..whole.len() - 1].to_vec(), lines.len() as u64..=lines.len() as u64),
        (vec![], 1..=1),
    ];
    for (index, (bytes, named)) in rows.into_iter().enumerate() {
        std::fs::write(&path, bytes).expect("writes");
        let bad = checked(folder.path()).bad.unwrap_or_else(|| panic!("row {index} is not found"));
        assert!(named.contains(&bad.line), "row {index}: {bad:?}");
    }
    std::fs::write(&path, &whole).expect("writes");
    assert_eq!(checked(folder.path()).bad, None);
}

#[test]
fn a_segment_that_is_gone_is_found_unless_a_line_says_that_it_was_pruned() {
    let folder = tempfile::tempdir().expect("a folder");
    run(Settings { segment_bytes: 20_000, ..settings(folder.path()) }, 0..300);
    let paths = files(folder.path());
    for gone in [0, 1] {
        let bytes = std::fs::read(&paths[gone]).expect("reads");
        std::fs::remove_file(&paths[gone]).expect("removes");
        let bad = checked(folder.path()).bad.expect("is found");
        assert!(bad.why.contains("missing") || bad.why.contains("should follow"), "{bad:?}");
        std::fs::write(&paths[gone], bytes).expect("writes");
    }
}

#[test]
fn old_segments_are_removed_by_a_clock_that_is_right_and_the_rest_is_a_chain() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings { keep_days: 2, ..settings(folder.path()) };
    let mut writer = Writer::new(settings);
    for day in 0..6 {
        let now = after(day * DAY);
        assert!(writer.part(&part(day), &now));
        writer.tick(&now);
    }
    assert_eq!(files(folder.path()).len(), 4, "day 2 ended with the beginning of day 3");
    let oldest = files(folder.path()).remove(0);
    // A clock that is far ahead removes nothing while nobody disciplines it.
    let clock = ClockQuality { state: ClockState::Holdover, error_us: None };
    let ahead = Moment { clock, unix_ms: NOON + 900 * DAY, ..after(5 * DAY + 2000) };
    writer.tick(&ahead);
    assert_eq!(files(folder.path()).remove(0), oldest);
    writer.stop(&after(5 * DAY + 4000));
    let seen = checked(folder.path());
    assert_eq!((seen.bad, seen.parts), (None, 4));
    assert!(kinds(folder.path()).contains(&"pruned".to_owned()));
}

/// Below the floor nothing is written, and above it the chain says what was lost.
#[test]
fn too_little_free_space_costs_the_oldest_segments_and_then_records() {
    let folder = tempfile::tempdir().expect("a folder");
    let small = Settings { segment_bytes: 5_000, ..settings(folder.path()) };
    run(small.clone(), 0..100);
    assert!(files(folder.path()).len() > 5);
    let mut writer = Writer::new(Settings { min_free_bytes: u64::MAX, ..small.clone() });
    writer.tick(&after(200));
    writer.tick(&after(1300));
    assert!(writer.is_below_floor());
    assert_eq!(files(folder.path()).len(), 1, "the newest one stays");
    assert!(!writer.part(&part(200), &after(1301)) && !writer.part(&part(201), &after(1302)));
    writer.settings_mut().min_free_bytes = 0;
    writer.tick(&after(2400));
    assert!(writer.part(&part(202), &after(2401)));
    writer.stop(&after(2500));
    let seen = checked(folder.path());
    assert_eq!((seen.bad, seen.lost), (None, 2));
}

/// Power is lost when any number of bytes since the last sync are on the disk.
#[test]
fn cut_at_any_byte_the_chain_goes_on_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    run(settings(folder.path()), 0..3);
    let path = files(folder.path()).remove(0);
    let synced = std::fs::read(&path).expect("reads").len();
    let mut writer = Writer::new(settings(folder.path()));
    writer.tick(&after(10));
    (10..13).for_each(|number| assert!(writer.part(&part(number), &after(number))));
    drop(writer);
    let whole = std::fs::read(&path).expect("reads");
    // Every byte of the newest line, and every eleventh before it.
    let newest =
        whole.len() - 1 - whole.iter().rev().skip(1).take_while(|byte| **byte != b'\n').count();
    for length in
        (synced..=whole.len()).filter(|n| *n >= newest - 1 || (n - synced).is_multiple_of(11))
    {
        std::fs::write(&path, &whole[..length]).expect("writes");
        torn(folder.path()).iter().for_each(|(name, _)| {
            std::fs::remove_file(folder.path().join("records").join(name)).expect("removes")
        });
        let kept = whole[..length].iter().filter(|byte| **byte == b'\n').count();
        let torn = whole[..length].iter().rev().take_while(|byte| **byte != b'\n').count();
        run(settings(folder.path()), 20..21);
        let seen = checked(folder.path());
        assert_eq!(seen.bad, None, "{length}");
        let lines = lines(folder.path());
        let said = lines.iter().find(|line| line["kind"] == "recovered");
        // What ended in good order and lost nothing needs no word.
        assert_eq!(said.is_some(), length > synced, "{length}");
        let line = lines.get(kept).expect("a line after the cut");
        if let Some(said) = said {
            assert_eq!(line, said);
            assert_eq!(said["bytes"], torn);
            assert_eq!(said["may_miss_ms"], 1000);
        }
        if torn > 0 {
            let aside = folder
                .path()
                .join("records")
                .join(said.expect("says")["aside"].as_str().expect("a name"));
            assert_eq!(std::fs::read(aside).expect("reads"), whole[length - torn..length]);
        }
    }
}

/// Returns the files with torn bytes, by name.
fn torn(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder.join("records")).expect("reads").flatten();
    let mut files: Vec<(String, Vec<u8>)> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("torn-"))
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, std::fs::read(entry.path()).expect("reads"))
        })
        .collect();
    files.sort();
    files
}

/// Power is lost again while the line that tells of the first loss is written.
#[test]
fn a_second_tear_of_the_same_line_keeps_the_bytes_of_the_first() {
    let folder = tempfile::tempdir().expect("a folder");
    run(settings(folder.path()), 0..3);
    let path = files(folder.path()).remove(0);
    let whole = std::fs::read(&path).expect("reads");
    let tears: [&[u8]; 3] = [b"{\"seq\":the first", b"{\"seq\":the second, longer", b"{"];
    for tear in tears {
        std::fs::write(&path, [&whole[..], tear].concat()).expect("writes");
        recover::recover(&folder.path().join("records")).expect("recovers");
    }
    let kept: Vec<Vec<u8>> = torn(folder.path()).into_iter().map(|(_, bytes)| bytes).collect();
    assert_eq!(kept.len(), 3, "{kept:?}");
    assert!(tears.iter().all(|tear| kept.iter().any(|kept| kept == tear)), "{kept:?}");
    run(settings(folder.path()), 3..4);
    let seen = checked(folder.path());
    assert_eq!((seen.bad, seen.recovered, seen.parts), (None, 1, 4));
    let lines = lines(folder.path());
    let said = lines.iter().find(|line| line["kind"] == "recovered").expect("says");
    assert_eq!(said["bytes"], tears.iter().map(|tear| tear.len()).sum::<usize>());
    let mut named = said["also_aside"].as_array().expect("a list").clone();
    named.push(said["aside"].clone());
    for (name, _) in torn(folder.path()) {
        assert!(named.iter().any(|named| *named == name.as_str()), "{name} is not in {said}");
    }
    // What was told once is not told again.
    run(settings(folder.path()), 4..5);
    assert_eq!(checked(folder.path()).recovered, 1);
}

/// A file system may give a file its length before its bytes.
#[test]
fn zeros_at_the_end_are_put_aside_also_where_a_segment_begins() {
    let folder = tempfile::tempdir().expect("a folder");
    run(settings(folder.path()), 0..3);
    let path = files(folder.path()).remove(0);
    let next = lines(folder.path()).last().expect("a line")["seq"].as_u64().expect("a number") + 1;
    let mut bytes = std::fs::read(&path).expect("reads");
    bytes.extend([0; 5000]);
    std::fs::write(&path, &bytes).expect("writes");
    std::fs::write(segments::Segment::of(&folder.path().join("records"), next).path, [0; 77])
        .expect("writes");
    run(settings(folder.path()), 3..4);
    let seen = checked(folder.path());
    assert_eq!((seen.bad, seen.recovered, seen.segments, seen.parts), (None, 1, 1, 4));
    let said = lines(folder.path()).into_iter().find(|line| line["kind"] == "recovered");
    assert_eq!(said.expect("says")["bytes"], 5077);
    let kept: Vec<usize> = torn(folder.path()).iter().map(|(_, bytes)| bytes.len()).collect();
    assert_eq!(kept.iter().sum::<usize>(), 5077, "neither replaces the other: {kept:?}");
}

/// Nobody may use a restart to remove what was changed.
#[test]
fn damage_before_the_end_stays_and_is_found_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    run(settings(folder.path()), 0..30);
    let path = files(folder.path()).remove(0);
    let whole = std::fs::read(&path).expect("reads");
    let at = whole.len() / 2;
    let mut changed = whole.clone();
    changed[at] ^= 1;
    std::fs::write(&path, &changed).expect("writes");
    run(settings(folder.path()), 30..40);
    assert_eq!(std::fs::read(&path).expect("reads"), changed);
    let line = whole[..at].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
    let bad = checked(folder.path()).bad.expect("is found");
    assert!((line..=line + 1).contains(&bad.line) && path.ends_with(&bad.segment), "{bad:?}");
    assert_eq!(files(folder.path()).len(), 2);
    let second = std::fs::read_to_string(&files(folder.path())[1]).expect("reads");
    assert!(second.contains("\"kind\":\"damaged\""));
}

#[test]
fn a_forged_chain_needs_the_key_of_the_device() {
    let folder = tempfile::tempdir().expect("a folder");
    run(settings(folder.path()), 0..5);
    let other = tempfile::tempdir().expect("a folder");
    run(settings(other.path()), 0..5);
    let key = PublicKey::read(&folder.path().join("device.pub")).expect("reads");
    let seen = verify(&other.path().join("records"), Some(&key), &mut |_| Ok(())).expect("reads");
    assert!(seen.bad.expect("is found").why.contains("not the key that was given"));
    // A chain without signatures that names the right key, a long one and a short one.
    for (parts, word) in [(1200, "no line is signed"), (3, "no line is signed")] {
        std::fs::remove_dir_all(other.path().join("records")).expect("removes");
        run(Settings { key_file: None, ..settings(other.path()) }, 0..parts);
        let path = files(other.path()).remove(0);
        let text = std::fs::read_to_string(&path).expect("reads");
        let named = format!("\"key\":\"{}\"", key.to_text());
        std::fs::write(&path, rechained(&text.replace("\"key\":null", &named))).expect("writes");
        let look =
            |key| verify(&other.path().join("records"), key, &mut |_| Ok(())).expect("reads").bad;
        assert_eq!(look(None), None, "without a key, only the links can be checked");
        assert!(look(Some(&key)).expect("is found").why.contains(word));
    }
    // A true chain that a long forged one continues.
    let path = files(folder.path()).remove(0);
    let mut text = std::fs::read_to_string(&path).expect("reads");
    let part =
        text.lines().find(|line| line.contains("\"kind\":\"part\"")).expect("a part").to_owned();
    (0..1200).for_each(|_| text.push_str(&format!("{part}\n")));
    std::fs::write(&path, rechained(&text)).expect("writes");
    assert!(
        checked(folder.path())
            .bad
            .expect("is found")
            .why
            .contains("lines of the chain are not signed")
    );
}

/// Computes all digests anew, as somebody would who changes lines.
fn rechained(text: &str) -> String {
    let (mut head, mut out) = (Head::EMPTY, String::new());
    for line in text.lines() {
        let rest = line.splitn(3, ',').nth(2).expect("a body");
        let mut new = String::new();
        head.begin_next(&mut new);
        new.push_str(rest);
        head = head.follow(new.as_bytes()).expect("follows");
        out.push_str(&new);
        out.push('\n');
    }
    out
}

#[test]
fn a_step_of_the_wall_clock_is_a_line_and_the_order_is_that_of_the_numbers() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut writer = Writer::new(settings(folder.path()));
    writer.tick(&after(0));
    let year = 365 * DAY;
    let back = |ms: u64| Moment { unix_ms: NOON - year + ms, ..after(ms) };
    writer.tick(&back(1100));
    assert!(writer.part(&part(1), &back(1200)));
    writer.tick(&back(2300));
    writer.stop(&back(2400));
    let lines = lines(folder.path());
    let steps: Vec<_> = lines.iter().filter(|line| line["kind"] == "clock").collect();
    assert_eq!(steps.len(), 1);
    assert_eq!(steps[0]["by_ms"].as_i64(), Some(-(year as i64)));
    assert_eq!(checked(folder.path()).bad, None);
}

#[test]
fn a_folder_has_one_writer_and_the_other_counts_what_it_loses() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = Writer::new(settings(folder.path()));
    assert!(first.part(&part(1), &after(1)));
    let mut second = Writer::new(settings(folder.path()));
    assert!(!second.part(&part(2), &after(2)));
    assert!(second.last_error().is_some_and(|why| why.contains("another program")));
    first.stop(&after(3));
    drop(first);
    second.lose(4);
    assert!(second.part(&part(3), &after(5000)));
    second.stop(&after(5001));
    let seen = checked(folder.path());
    assert_eq!((seen.bad, seen.lost, seen.parts), (None, 5, 2));
}

#[test]
fn checkpoints_come_after_enough_lines_or_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut writer = Writer::new(settings(folder.path()));
    (0..2500).for_each(|number| assert!(writer.part(&part(number), &after(number))));
    writer.tick(&after(602_000));
    drop(writer);
    let kinds = kinds(folder.path());
    let at: Vec<usize> =
        (0..kinds.len()).filter(|i| kinds.get(*i).is_some_and(|k| k == "checkpoint")).collect();
    assert_eq!(at.len(), 3, "{at:?}");
    assert_eq!(at.last(), Some(&(kinds.len() - 1)));
    assert_eq!(at.first(), Some(&1000));
}

#[test]
fn a_key_that_others_may_read_is_refused_and_stays_the_same_otherwise() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("new/device.key");
    let made = DeviceKey::read_or_make(&path).expect("makes");
    let mode = std::fs::metadata(&path).expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = DeviceKey::read_or_make(&path).expect("reads");
    assert_eq!(again.public(), made.public());
    assert_eq!(PublicKey::read(&device_key::public_path(&path)).expect("reads"), *made.public());
    assert!(
        made.public().verifies(b"a", &again.sign(b"a"))
            && !made.public().verifies(b"b", &again.sign(b"a"))
    );
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).expect("sets");
    let why = DeviceKey::read_or_make(&path).err().expect("is refused").to_string();
    assert!(why.contains("others may read") && why.contains("\n  -> "), "{why}");
    std::fs::write(&path, "x").expect("writes");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("sets");
    assert!(DeviceKey::read_or_make(&path).is_err());
}

#[test]
fn a_table_has_a_row_for_each_part_with_its_picture() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut writer = Writer::new(settings(folder.path()));
    (0..4).for_each(|number| assert!(writer.part(&part(number), &after(number))));
    let picture = Event::Picture { part: 3, stem: "=part3".into(), blake3: "ab".into() };
    assert!(writer.event(&picture, &after(9)));
    writer.stop(&after(10));
    let mut table = vec![];
    let period = Period { from: Some(NOON + 1), to: Some(NOON + 4) };
    let seen = export(&folder.path().join("records"), None, period, &mut table).expect("exports");
    assert_eq!(seen.bad, None);
    let text = String::from_utf8(table).expect("text");
    let rows: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(rows.len(), 5, "a heading, three parts, and nothing after the last line end");
    assert!(rows[0].starts_with("seq,run,part,utc,") && rows[4].is_empty());
    assert!(rows[3].ends_with(",'=part3,ab"), "{}", rows[3]);
    assert!(rows[3].contains(",rejected,defect,") && rows[1].contains(",passed,,"));
}

/// `minisign` is a program from outside.
#[test]
fn minisign_accepts_what_the_device_signs() {
    if std::process::Command::new("minisign").arg("-v").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "apt-get install minisign");
        return eprintln!("SKIPPED: minisign is not installed; no signature was tried");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let key = DeviceKey::read_or_make(&folder.path().join("device.key")).expect("makes");
    let text = key.sign_file(b"a template", "bracket\n4711");
    std::fs::write(folder.path().join("t"), b"a template").expect("writes");
    std::fs::write(folder.path().join("t.minisig"), &text).expect("writes");
    let check = || {
        std::process::Command::new("minisign")
            .args(["-V", "-p", "device.pub", "-m", "t"])
            .current_dir(folder.path())
            .output()
            .expect("minisign is installed: apt-get install minisign")
    };
    let seen = check();
    assert!(seen.status.success(), "{}", String::from_utf8_lossy(&seen.stderr));
    assert!(String::from_utf8_lossy(&seen.stdout).contains("bracket4711"));
    std::fs::write(folder.path().join("t"), b"A template").expect("writes");
    assert!(!check().status.success());
}
