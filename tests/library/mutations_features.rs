//! Tests features files that were changed and got new checksums, and features that say nothing.
//!
//! `HETMM_MUTATIONS` says how many random changes are tried.

use crate::common::{Bench, SMALL, assert_code, hetmm, text};
use crate::forged::Random;
use hetmm::builder::features_file::FeaturesFile;
use hetmm::error::Kind;
use prost::Message;
use rayon::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tract_onnx::pb::ModelProto;

/// The number of changes that are tried by default.
const MUTATIONS: u64 = 20_000;
const LONGEST: Duration = Duration::from_secs(10);
const PRELUDE: usize = 64;
const RECORD: usize = 32;

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes")) as usize
}

/// Holds the places of a features file: where each record begins, and the bytes of samples and maps of a record.
struct Layout {
    records: Vec<usize>,
    end: usize,
    samples: usize,
    maps: usize,
}

impl Layout {
    fn of(path: &Path) -> Self {
        let file = FeaturesFile::open(path).expect("opens");
        let id = &file.header().backbone;
        let map = |tap: &hetmm::backbone::TapIdentity| 4 * tap.height * tap.width * tap.channels;
        let (samples, maps) =
            ((6 * id.height * id.width) as usize, id.taps.iter().map(map).sum::<u32>() as usize);
        let bytes = std::fs::read(path).expect("reads");
        let mut at = PRELUDE + u32_at(&bytes, 12);
        let records = file.pictures().map(|_| {
            let start = at;
            at += RECORD + u32_at(&bytes, start + 8) + samples + maps;
            start
        });
        Layout { records: records.collect(), end: bytes.len(), samples, maps }
    }

    /// Returns the bytes of the maps of a record.
    fn maps_of<'a>(&self, bytes: &'a mut [u8], record: usize) -> &'a mut [u8] {
        let end = self.records.get(record + 1).copied().unwrap_or(self.end);
        &mut bytes[end - self.maps..end]
    }

    /// Computes new checksums of all records, of the header and of the prelude.
    fn seal(&self, bytes: &mut [u8]) {
        let put = |bytes: &mut [u8], at: usize, crc: u32| {
            bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
        };
        let mut all = crc32fast::Hasher::new();
        for &start in &self.records {
            // A length that was changed leads elsewhere, as it does for the reader.
            let description = start + RECORD..start + RECORD + u32_at(bytes, start + 8) % 4096;
            let samples = description.end..description.end + self.samples;
            let maps = samples.end..samples.end + self.maps;
            for (at, range) in [(12, description), (16, samples), (20, maps)] {
                let crc = bytes.get(range).map_or(0, crc32fast::hash);
                put(bytes, start + at, crc);
            }
            let crc = crc32fast::hash(&bytes[start..start + 28]);
            put(bytes, start + 28, crc);
            all.update(&bytes[start..start + RECORD]);
        }
        let header = crc32fast::hash(&bytes[PRELUDE..self.records[0]]);
        put(bytes, 16, header);
        put(bytes, 20, all.finalize());
        let prelude = crc32fast::hash(&bytes[..PRELUDE - 4]);
        put(bytes, PRELUDE - 4, prelude);
    }
}

/// Makes a features file of four parts, and returns its layout.
fn made(bench: &Bench, more: &[&str]) -> (PathBuf, Layout) {
    let (good, file) = (bench.parts("good", 0..4), bench.path("good.features"));
    let small = ["--size", "32", "--layers", "block1.exp,block4.exp"];
    let features = ["features", text(&good), "-o", text(&file)];
    assert_code(&hetmm(&[&features, &small[..], more].concat()), 0, "");
    let layout = Layout::of(&file);
    (file, layout)
}

/// Reads all of a features file, as a build does.
fn read(path: &Path) -> hetmm::Result<()> {
    let file = FeaturesFile::open(path)?;
    for index in 0..file.pictures().len() {
        let maps = file.maps(index)?;
        assert!(maps.iter().all(|map| map.data().iter().all(|v| v.abs() < 1.01)));
        file.image(index)?;
    }
    Ok(())
}

/// The header of a shard has more fields than that of a whole list.
#[test]
fn whatever_is_changed_is_refused_or_holds_unit_vectors() {
    let count = std::env::var("HETMM_MUTATIONS").ok().and_then(|n| n.parse().ok());
    for more in [&[][..], &["--shard", "1/1"]] {
        let bench = Bench::new();
        let (file, layout) = made(&bench, more);
        change(&file, &layout, count.unwrap_or(MUTATIONS) / 2);
    }
}

/// Changes a file `count` times, and reads each.
fn change(file: &Path, layout: &Layout, count: u64) {
    let original = std::fs::read(file).expect("reads");
    let outcomes: Vec<bool> = (0..count)
        .into_par_iter()
        .map_init(
            || tempfile::NamedTempFile::new().expect("a temporary file"),
            |scratch, seed| {
                let mut random = Random::new(seed);
                let mut bytes = original.clone();
                let record = random.below(layout.records.len());
                let head = layout.records[0];
                for _ in 0..1 + random.below(3) {
                    let start = layout.records[record];
                    let at = match random.below(5) {
                        0 => random.below(PRELUDE),
                        1 => PRELUDE + random.below(head - PRELUDE),
                        2 => start + random.below(RECORD + 60),
                        3 => random.below(bytes.len()),
                        _ => {
                            let maps = layout.maps_of(&mut bytes, record);
                            let at = random.below(maps.len() / 4) * 4;
                            let old = u32_at(maps, at) as u32;
                            let new = random.float(f32::from_bits(old));
                            maps[at..at + 4].copy_from_slice(&new.to_le_bytes());
                            continue;
                        }
                    };
                    bytes[at] = match random.below(3) {
                        0 => bytes[at] ^ 1 << random.below(8),
                        1 => random.of(&[0, 1, 0x7f, 0x80, 0xff]),
                        _ => random.next() as u8,
                    };
                    if random.below(40) == 0 {
                        bytes.truncate(head + random.below(bytes.len() - head));
                        break;
                    }
                }
                if bytes.len() == original.len() && random.below(8) > 0 {
                    layout.seal(&mut bytes);
                }
                std::fs::write(scratch.path(), &bytes).expect("writes");
                let begun = Instant::now();
                let result = catch_unwind(AssertUnwindSafe(|| read(scratch.path())));
                assert!(begun.elapsed() < LONGEST, "mutation {seed} took {:?}", begun.elapsed());
                let result = result.unwrap_or_else(|_| panic!("mutation {seed} panics"));
                if let Err(error) = &result {
                    assert_eq!(error.kind(), Kind::Image, "mutation {seed}: {error}");
                }
                result.is_ok()
            },
        )
        .collect();
    let accepted = outcomes.iter().filter(|accepted| **accepted).count();
    eprintln!("{} changes, {accepted} accepted", outcomes.len());
    // Both outcomes happen: the checksums are right, and what they cover is checked.
    assert!(accepted > outcomes.len() / 50 && accepted < outcomes.len());
}

#[test]
fn features_that_say_nothing_build_no_template() {
    let bench = Bench::new();
    let (file, layout) = made(&bench, &[]);
    let original = std::fs::read(&file).expect("reads");
    let template = bench.path("t.hetmm");
    let changed = bench.path("changed.features");
    let refused = |bytes: &mut Vec<u8>, code: i32, reason: &str| {
        layout.seal(bytes);
        std::fs::write(&changed, bytes).expect("writes");
        let options = ["--patches", "3,3", "--no-audit", "--sheets", "3"];
        for more in [&[][..], &["--threshold", "0.5"], &["--storage", "f32"]] {
            let build = ["build", text(&changed), "-o", text(&template)];
            let output = hetmm(&[&build, &options[..], more].concat());
            assert_code(&output, code, reason);
            assert_code(&output, code, "->");
            assert!(!template.exists());
        }
    };
    // These are the first tap of all pictures, the first tap of one, and values that are not unit vectors.
    let coarse = 4 * 4 * 240 * 4;
    let fine = layout.maps - coarse;
    let all = 0..layout.records.len();
    let mut bytes = original.clone();
    all.clone().for_each(|record| layout.maps_of(&mut bytes, record).fill(0));
    refused(&mut bytes, 4, "at tap block1.exp are zero at every position");
    let mut bytes = original.clone();
    layout.maps_of(&mut bytes, 2)[fine..].fill(0);
    refused(
        &mut bytes,
        4,
        "002.png: the features that the backbone gives at tap block4.exp are zero",
    );
    for value in [f32::NAN, f32::INFINITY, 1e38, 0.7] {
        let mut bytes = original.clone();
        layout.maps_of(&mut bytes, 1)[..4].copy_from_slice(&f32::to_le_bytes(value));
        refused(&mut bytes, 3, "damaged in the features of 001.png");
    }
    // All pictures get the features of one.
    let mut bytes = original.clone();
    let first = layout.maps_of(&mut bytes, 0)[fine..].to_vec();
    all.for_each(|record| layout.maps_of(&mut bytes, record)[fine..].copy_from_slice(&first));
    refused(&mut bytes, 4, "tap block4.exp gives the same features for 4 different pictures");
    std::fs::write(&changed, &original).expect("writes");
    let build = ["build", text(&changed), "-o", text(&template), "--patches", "3,3", "--no-audit"];
    assert_code(&hetmm(&build), 0, "");
}

/// The export overflowed, or lost its weights. In a former version, 10 of these 15 gave templates with a threshold of 0
/// that passed every defect.
#[test]
fn a_backbone_with_spoiled_weights_is_refused_with_the_reason() {
    let bench = Bench::new();
    let good = bench.parts("good", 0..3);
    let bundled = concat!(env!("CARGO_MANIFEST_DIR"), "/models/efficientnet_lite0.onnx");
    let bundled = std::fs::read(bundled).expect("reads");
    let bench = &bench;
    let values = [0.0, f32::NAN, f32::INFINITY, 1e30, -1e30];
    let parts = ["", "block0.", "stem"];
    let cases: Vec<(f32, &str)> =
        values.iter().flat_map(|&value| parts.iter().map(move |&part| (value, part))).collect();
    let answers: Vec<String> = cases
        .par_iter()
        .enumerate()
        .map(|(i, &(value, part))| {
            let mut model = ModelProto::decode(&bundled[..]).expect("parses");
            let graph = model.graph.as_mut().expect("a graph");
            let mut count = 0;
            for weights in graph.initializer.iter_mut().filter(|w| w.name.starts_with(part)) {
                weights.raw_data = value.to_le_bytes().repeat(weights.raw_data.len() / 4);
                count += 1;
            }
            assert!(count > 0, "{part}");
            let (path, template) =
                (bench.path(&format!("{i}.onnx")), bench.path(&format!("{i}.hetmm")));
            std::fs::write(&path, model.encode_to_vec()).expect("writes");
            let build = ["build", text(&good), "-o", text(&template), "--backbone", text(&path)];
            let output = hetmm(&[&build[..], &["--size", "64", "--no-audit"]].concat());
            assert!(!template.exists(), "{value} in {part:?}: {}", crate::common::stderr(&output));
            assert_code(&output, 4, "->");
            crate::common::stderr(&output)
        })
        .collect();
    for ((value, part), answer) in cases.iter().zip(answers) {
        eprintln!("{value} in {part:?}: {answer}");
    }
    // The feature pass alone refuses it, too, and leaves no file.
    let (path, file) = (bench.path("0.onnx"), bench.path("0.features"));
    let features = ["features", text(&good), "-o", text(&file), "--backbone", text(&path)];
    assert_code(&hetmm(&[&features, &SMALL[..]].concat()), 4, "->");
    assert!(!file.exists());
}

#[test]
fn pictures_that_show_nothing_or_all_the_same_set_no_threshold() {
    let bench = Bench::new();
    let even = |name: &str, value: u8| {
        let path = bench.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("makes");
        image::RgbImage::from_pixel(80, 60, image::Rgb([value; 3])).save(path).expect("writes");
    };
    (0..4).for_each(|i| even(&format!("white/{i}.png"), 250));
    bench.part("same/0.png", 3);
    for i in 1..4 {
        std::fs::copy(bench.path("same/0.png"), bench.path(&format!("same/{i}.png")))
            .expect("copies");
    }
    let template = bench.path("t.hetmm");
    let build = |folder: &str, more: &[&str]| {
        let images = bench.path(folder);
        let base = ["build", text(&images), "-o", text(&template), "--patches", "3,3"];
        hetmm(&[&base, &SMALL[..], more].concat())
    };
    for more in [&[][..], &["--threshold", "0.5"]] {
        assert_code(&build("white", more), 3, "none of the 4 pictures shows anything");
        assert!(!template.exists());
    }
    assert_code(&build("same", &[]), 3, "->");
    assert!(!template.exists());
    assert_code(&build("same", &["--threshold", "0"]), 2, "--threshold: must be a number above 0");
    assert_code(&build("same", &["--threshold", "0.5"]), 0, "all 4 pictures are the same");
    assert_code(&hetmm(&["check", text(&template)]), 0, "");
    bench.part("one/0.png", 3);
    assert_code(&build("one", &["--threshold", "0.5"]), 0, "a single picture");
}
