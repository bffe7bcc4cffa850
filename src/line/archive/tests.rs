use super::*;
use crate::image::Samples;
use crate::inspection::Inspected;
use crate::line::evidence::ClockQuality;
use crate::line::proof;
use crate::line::trust::Trust;

const TEMPLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/template_v1.hetmm");

/// Holds an archive in a folder of its own, and what every part needs.
struct Desk {
    folder: tempfile::TempDir,
    archive: Arc<Archive>,
    pipeline: Arc<Pipeline>,
    picture: Arc<Picture>,
}

impl Desk {
    fn new(config: ArchiveConfig) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config =
            ArchiveConfig { folder: Some(folder.path().to_owned()), min_free_mib: 0, ..config };
        let archive = Archive::new(&config, Reporter::default()).expect("is asked for");
        let recipe = proof::Recipe {
            file: TEMPLATE.into(),
            slot: None,
            backbone: None,
            extractors: vec![Default::default()],
            threads: 1,
            any_shape: true,
            bayer: None,
            trust: Trust::default(),
        };
        let pipeline = Arc::new(proof::load(&recipe).expect("is proven").pipeline);
        let samples = Samples::Eight(vec![128; 3 * 64 * 64]);
        let picture = Arc::new(Picture { width: 64, height: 64, samples });
        Desk { folder, archive, pipeline, picture }
    }

    fn item(&self, part: u64, reason: Option<Reason>) -> Item {
        let view = self.picture.view().expect("a picture");
        let found = self.pipeline.inspect(&view, &|| Duration::ZERO);
        let Inspected { scored, .. } = found.expect("inspects");
        Item {
            part: PartId(part),
            reason,
            score: scored.score,
            picture: self.picture.clone(),
            scored,
            pipeline: self.pipeline.clone(),
            slot: Slot::parse("2"),
        }
    }

    /// Writes all that waits.
    fn write(&self) {
        self.archive.stop();
        self.archive.run();
        self.archive.stop.store(false, Ordering::SeqCst);
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).expect("reads");
        let names = entries.map(|e| e.expect("reads").file_name().into_string().expect("text"));
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

#[test]
fn a_passed_part_has_a_picture_and_numbers_and_a_rejected_one_also_a_map() {
    let desk = Desk::new(ArchiveConfig::default());
    desk.archive.keep(desk.item(1, Some(Reason::Defect)));
    desk.archive.keep(desk.item(2, None));
    desk.write();
    let names = [
        "000000000-part1-defect.json",
        "000000000-part1-defect.map.png",
        "000000000-part1-defect.png",
        "000000001-part2-passed.json",
        "000000001-part2-passed.png",
    ];
    assert_eq!(desk.files(), names);
    let picture = desk.archive.picture_of(PartId(2)).expect("is there");
    assert_eq!(desk.archive.slot_of(&picture).expect("reads"), Slot::parse("2"));
    std::fs::remove_file(picture.with_extension("json")).expect("removes");
    assert!(desk.archive.slot_of(&picture).is_err(), "nobody knows the slot");
    let json = std::fs::read(desk.folder.path().join(names[0])).expect("reads");
    let numbers: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!((&numbers["why"], &numbers["slot"]), (&"defect".into(), &2.into()));
}

#[test]
fn every_nth_passed_part_is_wanted() {
    let desk = Desk::new(ArchiveConfig { passed_every: 3, ..ArchiveConfig::default() });
    let wanted: Vec<u64> = (1..=10).filter(|_| desk.archive.wants_passed()).collect();
    assert_eq!(wanted, [3, 6, 9]);
    let none = Desk::new(ArchiveConfig::default());
    assert!((1..=10).all(|_| !none.archive.wants_passed()));
}

#[test]
fn a_passed_part_never_takes_the_place_of_a_rejected_one() {
    let config = ArchiveConfig { queue: 2, max_parts: 2, ..ArchiveConfig::default() };
    let desk = Desk::new(config);
    let waiting = || -> Vec<u64> {
        desk.archive.queue.lock().expect("locks").iter().map(|item| item.part.0).collect()
    };
    let defect = Some(Reason::Defect);
    for (part, reason, expected, dropped) in [
        (1, defect, vec![1], 0),
        (2, None, vec![1, 2], 0),
        (3, None, vec![1, 3], 1),
        (4, defect, vec![1, 4], 2),
        (5, None, vec![1, 4], 3),
        (6, defect, vec![4, 6], 4),
    ] {
        desk.archive.keep(desk.item(part, reason));
        assert_eq!(waiting(), expected, "after part {part}");
        assert_eq!(desk.archive.dropped.load(Ordering::Relaxed), dropped);
    }
    desk.write();
    for part in 7..=9 {
        desk.archive.keep(desk.item(part, None));
        desk.write();
    }
    let parts: Vec<&str> = ["part4-", "part6-", "part8-", "part9-"].into();
    let pictures = desk.files().into_iter().filter(|name| name.ends_with("d.png"));
    let passed: Vec<String> = pictures.collect();
    assert_eq!(passed, ["000000003-part8-passed.png", "000000004-part9-passed.png"]);
    let all = desk.files();
    assert!(parts.iter().all(|part| all.iter().any(|name| name.contains(part))), "{all:?}");
    // If space is short, rejected parts go last, and only for others.
    let mut stems = Stems::read(desk.folder.path());
    let full = Archive::new(
        &ArchiveConfig {
            folder: Some(desk.folder.path().to_owned()),
            min_free_mib: 1 << 40,
            ..ArchiveConfig::default()
        },
        Reporter::default(),
    );
    let full = full.expect("is asked for");
    assert!(full.make_room(true, &mut stems).is_err());
    assert_eq!((stems.count(true), stems.count(false)), (0, 2));
    assert!(full.make_room(false, &mut stems).is_err());
    assert_eq!((stems.count(true), stems.count(false)), (0, 0));
    assert!(desk.files().is_empty());
}

#[test]
fn only_a_synchronized_clock_removes_old_pictures() {
    let desk = Desk::new(ArchiveConfig { keep_days: 10, ..ArchiveConfig::default() });
    desk.archive.keep(desk.item(1, Some(Reason::Defect)));
    desk.write();
    let now = WallClock::default().now().unix_ms;
    let removes = |days: u64, state| {
        let clock = ClockQuality { state, error_us: None };
        let unix_ms = now + days * DAY_MS;
        assert!(desk.archive.remove_old(None, &Moment { at: LineTime::now(), unix_ms, clock }));
        desk.files().is_empty()
    };
    assert!(!removes(9, ClockState::Synchronized), "it is not old enough");
    for state in [ClockState::Holdover, ClockState::Unsynchronized, ClockState::Unset] {
        assert!(!removes(11, state), "{state:?}");
    }
    assert!(removes(11, ClockState::Synchronized));
    let for_ever = Desk::new(ArchiveConfig::default());
    for_ever.archive.keep(for_ever.item(1, None));
    for_ever.write();
    let clock = ClockQuality { state: ClockState::Synchronized, error_us: None };
    let moment = Moment { at: LineTime::now(), unix_ms: now + 36_500 * DAY_MS, clock };
    assert!(for_ever.archive.remove_old(None, &moment) && !for_ever.files().is_empty());
}

/// Old pictures are removed only while nothing waits to be written, so that a part is never dropped for it.
#[test]
fn what_waits_comes_before_what_is_old() {
    let desk = Desk::new(ArchiveConfig { keep_days: 1, ..ArchiveConfig::default() });
    desk.archive.keep(desk.item(1, None));
    desk.write();
    desk.archive.keep(desk.item(2, Some(Reason::Defect)));
    let clock = ClockQuality { state: ClockState::Synchronized, error_us: None };
    let moment = Moment { at: LineTime::now(), unix_ms: u64::MAX, clock };
    assert!(!desk.archive.remove_old(None, &moment), "it has to look again");
    assert_eq!(desk.files().len(), 2);
}
