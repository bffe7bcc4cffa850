//! The chain of records: it is checked, continued after a power loss, and checked again.

use crate::seeds::scratch;
use hetmm::clock::LineTime;
use hetmm::line::evidence::{
    ClockQuality, ClockState, DeviceName, Event, Moment, Settings, Software, Verified, Writer,
    verify,
};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

fn moment(ms: u64) -> Moment {
    let at = LineTime::from_nanos(5_000_000_000 + ms * 1_000_000);
    let clock = ClockQuality { state: ClockState::Synchronized, error_us: Some(900) };
    Moment { at, unix_ms: 1_795_867_200_000 + ms, clock }
}

fn settings(folder: &Path) -> Settings {
    Settings {
        folder: folder.into(),
        segment_bytes: 1 << 20,
        sync: Duration::from_secs(3600),
        keep_days: 0,
        min_free_bytes: 0,
        key_file: None,
        device: DeviceName { serial: "s1".into(), name: "cam1".into(), site: "plant".into() },
        software: Software { version: "1.2.3", build: "abc".into() },
        boot: "b".into(),
        start: Event::Start { drives_outputs: false, configuration_blake3: "0".into() },
    }
}

/// Starts a program in the folder and ends it in good order.
fn start_and_stop(folder: &Path, ms: u64) {
    let mut writer = Writer::new(settings(folder));
    writer.tick(&moment(ms));
    writer.stop(&moment(ms + 1));
}

fn checked(folder: &Path) -> Option<Verified> {
    verify(folder, None, &mut |_| Ok(())).ok()
}

/// Links the lines of a segment anew, so that what they say is read.
fn linked(input: &[u8]) -> Vec<u8> {
    const PREV: &[u8] = b",\"prev\":\"";
    let mut out = Vec::with_capacity(input.len());
    let mut before = String::from("0").repeat(64);
    for line in input.split_inclusive(|byte| *byte == b'\n') {
        let mut line = line.to_vec();
        let at = line.windows(PREV.len()).position(|part| part == PREV);
        if let Some(place) = at.and_then(|at| line.get_mut(at + PREV.len()..at + PREV.len() + 64)) {
            place.copy_from_slice(before.as_bytes());
        }
        before = hetmm::line::evidence::hex(&hash(line.strip_suffix(b"\n").unwrap_or(&line)));
        out.extend(line);
    }
    out
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    blake3::hash(bytes).into()
}

pub fn run(input: &[u8]) {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(scratch);
    for entry in std::fs::read_dir(folder).expect("reads").flatten() {
        let _ = std::fs::remove_file(entry.path());
    }
    // The first byte says where the input is cut in two segments, if at all.
    let (cut, input) = input.split_first().unwrap_or((&0, &[]));
    let lines = linked(input);
    let mut ends =
        lines.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let cut = cut % 8;
    let middle = if cut == 0 { None } else { ends.nth(usize::from(cut) - 1) };
    let (first, second) = lines.split_at(middle.unwrap_or(lines.len()));
    let name = |number: u64| folder.join(format!("evidence-{number:012}.jsonl"));
    std::fs::write(name(1), first).expect("writes");
    if middle.is_some() {
        std::fs::write(name(u64::from(cut) + 1), second).expect("writes");
    }
    let before = checked(folder);
    start_and_stop(folder, 10_000);
    let after = checked(folder).expect("there is a chain now");
    // What was right stays right, and what the program has repaired it keeps.
    if before.is_some_and(|before| before.bad.is_none()) {
        assert_eq!(after.bad, None);
    }
    start_and_stop(folder, 20_000);
    let again = checked(folder).expect("there is a chain now");
    assert_eq!(again.bad, after.bad);
    assert!(again.lines > after.lines || after.bad.is_some());
}

pub fn seeds() -> Vec<Vec<u8>> {
    let folder = scratch();
    let mut seeds = vec![];
    for count in 1..4 {
        start_and_stop(&folder, 1000 * count);
        let file = std::fs::read(folder.join("evidence-000000000001.jsonl")).expect("reads");
        for cut in [0, 3] {
            seeds.push([&[cut], &file[..]].concat());
        }
        seeds.push([&[0], &file[..file.len() - 30]].concat());
    }
    seeds
}
