//! Writes a chain of records into a folder, and says how quick that was. Tests kill it at every system call.
//!
//! usage: chain_writer FOLDER PARTS

use hetmm::clock::LineTime;
use hetmm::line::evidence::{
    ClockQuality, DeviceName, Event, Moment, Settings, Software, Writer, verify,
};
use hetmm::line::record::PartRecord;
use hetmm::line::tracker::PartId;
use std::path::Path;
use std::time::{Duration, Instant};

/// Noon of a day in 2026, in milliseconds since 1970.
const NOON: u64 = 1_795_867_200_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, parts] = arguments.as_slice() else { panic!("usage: chain_writer FOLDER PARTS") };
    let (folder, parts) = (Path::new(folder), parts.parse::<u64>().expect("a number of parts"));
    let moment = |ms: u64| Moment {
        at: LineTime::from_nanos(ms * 1_000_000),
        unix_ms: NOON + ms,
        clock: ClockQuality::UNKNOWN,
    };
    let begun = Instant::now();
    let mut writer = Writer::new(settings(folder));
    for number in 0..parts {
        assert!(writer.part(&part(number), &moment(number)), "{:?}", writer.last_error());
        writer.tick(&moment(number));
    }
    writer.stop(&moment(parts));
    let wrote = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let seen = verify(folder, None, &mut |_| Ok(())).expect("reads");
    assert_eq!(seen.bad, None);
    let rate = seen.lines as f64 / begun.elapsed().as_secs_f64();
    println!("{parts} parts written in {wrote:.3} s; {rate:.0} lines checked per second");
}

fn settings(folder: &Path) -> Settings {
    Settings {
        folder: folder.into(),
        segment_bytes: 64 << 20,
        sync: Duration::from_secs(1),
        keep_days: 0,
        min_free_bytes: 0,
        key_file: Some(folder.join("device.key")),
        device: DeviceName { serial: "s".into(), name: "cam1".into(), site: "plant".into() },
        software: Software { version: "1", build: "0".repeat(32) },
        boot: "00000000-0000-0000-0000-000000000000".into(),
        start: Event::Start { drives_outputs: false, configuration_blake3: String::new() },
    }
}

fn part(number: u64) -> PartRecord {
    PartRecord {
        part: PartId(number),
        unix_ms: NOON + number,
        trigger_us: number * 1000,
        gate_us: number * 1000 + 400,
        outcome: "passed",
        why: None,
        score: Some(number as f32 / 7.0),
        threshold: Some(1.5),
        verdict: None,
        decided_by: None,
        regions: vec![],
        timing_us: None,
        exposure_us: None,
        result_us: None,
        template: None,
        gate: None,
    }
}
