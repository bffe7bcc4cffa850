//! Tests features files: what is built from them, interruptions, damage, additions, merges.

use crate::common::{Bench, SMALL, TEMPLATE, assert_code, command, hetmm, stderr, text};
use std::path::{Path, PathBuf};
use std::process::Stdio;

fn features(images: &Path, file: &Path, more: &[&str]) -> std::process::Output {
    hetmm(&[&["features", text(images), "-o", text(file)], &SMALL[..], more].concat())
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("reads")
}

fn part_of(file: &Path) -> PathBuf {
    PathBuf::from(format!("{}.part", text(file)))
}

/// Makes a bench, its pictures, and the features of all of them.
fn made(count: u32) -> (Bench, PathBuf, PathBuf) {
    let bench = Bench::new();
    let (good, file) = (bench.parts("good", 0..count), bench.path("whole.features"));
    let out = features(&good, &file, &[]);
    assert_code(&out, 0, &format!("{count} pictures"));
    assert!(stderr(&out).contains("per second"));
    assert!(!part_of(&file).exists());
    (bench, good, file)
}

#[test]
fn features_build_the_same_bytes_as_their_pictures() {
    let (bench, good, file) = made(11);
    let (a, b) = (bench.path("a.hetmm"), bench.path("b.hetmm"));
    let mask = bench.path("roi.png");
    image::RgbImage::from_fn(80, 60, |x, _| image::Rgb([if x < 50 { 255 } else { 0 }; 3]))
        .save(&mask)
        .expect("writes");
    let mask = text(&mask);
    let cases: [&[&str]; 6] = [
        &[],
        &["--false-reject", "10%"],
        &["--threads", "1"],
        &["--max-memory", "0", "--storage", "f32"],
        &["--select", "kmeans-image"],
        &["--mask", mask],
    ];
    for more in cases {
        let build = |input: &Path, output: &Path, layers: &[&str]| {
            let base = ["build", text(input), "-o", text(output)];
            assert_code(&hetmm(&[&base, layers, &TEMPLATE[..], more].concat()), 0, "");
        };
        build(&good, &a, &SMALL);
        build(&file, &b, &[]);
        assert_eq!(read(&a), read(&b), "{more:?}");
    }
    // The file remembers the preset: its windows are those of `build`.
    let paper = bench.path("paper.features");
    let preset = ["--preset", "paper", "--size", "64"];
    let images = text(&good);
    let from = |input: &str, output: &Path, more: &[&str]| {
        assert_code(&hetmm(&[&["build", input, "-o", text(output)], more].concat()), 0, "");
    };
    assert_code(&hetmm(&[&["features", images, "-o", text(&paper)], &preset[..]].concat()), 0, "");
    from(images, &a, &preset);
    from(text(&paper), &b, &[]);
    assert_eq!(read(&a), read(&b));
}

/// The threads share one open file. In a former version it had one position for all of them.
#[test]
fn threads_that_read_at_once_do_not_disturb_each_other() {
    let (_bench, _, file) = made(6);
    let file = hetmm::builder::features_file::FeaturesFile::open(&file).expect("opens");
    let alone: Vec<_> = (0..6).map(|i| file.maps(i).expect("reads")).collect();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (file, alone) = (&file, &alone);
            scope.spawn(move || {
                for i in (0..300).map(|i| (i * 7 + thread) % 6) {
                    assert!(file.maps(i).expect("reads") == alone[i]);
                }
            });
        }
    });
}

#[test]
fn what_does_not_go_with_a_features_file_is_refused() {
    let (bench, good, file) = made(4);
    let t = bench.path("t.hetmm");
    let lite0 = concat!(env!("CARGO_MANIFEST_DIR"), "/models/efficientnet_lite0.onnx");
    let mut other = read(Path::new(lite0));
    let at = other.len() / 2;
    other[at] ^= 1;
    let model = bench.path("other.onnx");
    std::fs::write(&model, other).expect("writes");
    let none = bench.path("none.features");
    let nothing = bench.path("nothing");
    let (f, g) = (text(&file), text(&good));
    let cases: [(&[&str], i32, &str); 8] = [
        (&["build", f, g], 2, "a features file cannot be combined with other input"),
        (&["build", f, "--size", "96"], 2, "--size differs"),
        (&["build", f, "--layers", "block2.exp"], 2, "other layers were asked for"),
        (&["build", f, "--patches", "3"], 2, "--patches: 1 number given for 2 layers"),
        (&["build", f], 2, "choose --patches: one odd window for each layer"),
        (&["build", f, "--backbone", text(&model), "--patches", "3,3"], 4, "another backbone"),
        (&["inspect", f, g], 4, "not a hetmm template"),
        (&["features", text(&nothing)], 3, "no such file or folder"),
    ];
    for (arguments, code, message) in cases {
        let output = if arguments[0] == "features" { &none } else { &t };
        let o = ["-o", text(output)];
        let o: &[&str] = if arguments[0] == "inspect" { &[] } else { &o };
        assert_code(&hetmm(&[arguments, o].concat()), code, message);
        assert!(!output.exists());
    }
}

#[test]
fn a_killed_pass_goes_on_where_it_was() {
    let (bench, good, whole) = made(40);
    let whole = read(&whole);
    let file = bench.path("killed.features");
    let part = part_of(&file);
    let mut kills = 0;
    // The run is killed again and again, each time a little later, until a run ends before it is killed.
    for goal in (1..40).step_by(4) {
        let arguments = [&["features", text(&good), "-o", text(&file)], &SMALL[..]].concat();
        let mut run = command(&arguments).stderr(Stdio::null()).spawn().expect("runs");
        let grown = || std::fs::metadata(&part).map_or(0, |m| m.len()) as usize;
        while grown() < goal * whole.len() / 41 && run.try_wait().expect("waits").is_none() {
            std::thread::yield_now();
        }
        run.kill().expect("kills");
        if run.wait().expect("waits").success() {
            break;
        }
        kills += 1;
        assert!(!file.exists(), "a killed pass left a file under its name");
    }
    assert!(kills > 0);
    assert_code(&features(&good, &file, &[]), 0, "40 pictures");
    assert_eq!(read(&file), whole);
    assert!(!part.exists());
}

#[test]
fn whatever_end_an_interruption_leaves_the_file_becomes_the_same() {
    let (bench, good, whole) = made(6);
    let whole = read(&whole);
    let file = bench.path("again.features");
    let part = part_of(&file);
    let continued = |bytes: &[u8], why: &str| -> String {
        std::fs::write(&part, bytes).expect("writes");
        let out = features(&good, &file, &[]);
        assert_code(&out, 0, "6 pictures");
        assert_eq!(read(&file), whole, "{why}");
        std::fs::remove_file(&file).expect("removes");
        stderr(&out)
    };
    // Complete, but not renamed.
    assert!(continued(&whole, "complete").contains("6 pictures kept from an interrupted run"));
    let head = 64 + u32::from_le_bytes(whole[12..16].try_into().expect("4 bytes")) as usize;
    let record = (whole.len() - head) / 6;
    let ends = (0..6).flat_map(|i| [0, 1, 40, record - 1].map(|more| head + i * record + more));
    for cut in [0, 1, 63, 64, head - 1].into_iter().chain(ends) {
        let said = continued(&whole[..cut], &format!("cut at {cut}"));
        let taken = cut.saturating_sub(head) / record;
        let says = said.contains(&format!("{taken} pictures kept from an interrupted run"))
            || taken == 1 && said.contains("1 picture kept from an interrupted run");
        assert_eq!(says, taken > 0, "cut at {cut}: {said}");
    }
    for at in [9, 30, 70, head + 5, head + 2 * record + 500, whole.len() - 1, whole.len() - record]
    {
        let mut bytes = whole.clone();
        bytes[at] ^= 16;
        continued(&bytes, &format!("byte {at} changed"));
    }
    continued(&[&whole[..], b"more"].concat(), "too long");
    continued(&[0; 100], "zeros, as a power loss leaves them");
    // A file that is not a features file belongs to somebody.
    std::fs::write(&part, b"something else altogether").expect("writes");
    assert_code(&features(&good, &file, &[]), 2, "not a features file that was interrupted");
    assert_eq!(read(&part), b"something else altogether");
    // A picture has changed. What was computed from it and behind it is not kept.
    std::fs::write(&part, &whole).expect("writes");
    bench.part("good/003.png", 30);
    let out = features(&good, &file, &[]);
    assert_code(&out, 0, "3 pictures kept from an interrupted run");
    let fresh = bench.path("fresh.features");
    assert_code(&features(&good, &fresh, &[]), 0, "");
    assert_eq!(read(&file), read(&fresh));
    assert_ne!(read(&file), whole);
    // An unfinished file does not pass for a complete one.
    let mut unfinished = whole.clone();
    unfinished[20..40].fill(0);
    let crc = crc32fast::hash(&unfinished[..60]).to_le_bytes();
    unfinished[60..64].copy_from_slice(&crc);
    std::fs::write(&file, unfinished).expect("writes");
    let t = bench.path("t.hetmm");
    assert_code(&hetmm(&["build", text(&file), "-o", text(&t)]), 3, "was interrupted");
}

#[test]
fn damage_is_noticed_wherever_it_is() {
    let (bench, _, file) = made(3);
    let whole = read(&file);
    let damaged = bench.path("damaged.features");
    let template = bench.path("t.hetmm");
    let refused = |bytes: &[u8], what: String| {
        std::fs::write(&damaged, bytes).expect("writes");
        let open = || -> hetmm::Result<()> {
            let file = hetmm::builder::features_file::FeaturesFile::open(&damaged)?;
            for index in 0..file.pictures().len() {
                file.maps(index)?;
                file.image(index)?;
            }
            Ok(())
        };
        let Err(error) = open() else { panic!("{what} went unnoticed") };
        assert_eq!(error.kind(), hetmm::error::Kind::Image, "{what}: {error}");
    };
    for end in (0..300).chain((300..whole.len()).step_by(4096)) {
        refused(&whole[..end], format!("a cut at {end}"));
    }
    for at in (0..400).chain((400..whole.len()).step_by(2500)).chain([whole.len() - 1]) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        refused(&bytes, format!("a bit of byte {at}"));
    }
    refused(&[&whole[..], b"x"].concat(), "a byte too many".into());
    let build = ["build", text(&damaged), "-o", text(&template), "--patches", "3,3"];
    assert_code(&hetmm(&build), 3, "damaged.features: the features file is damaged");
    assert!(!template.exists());
}

#[test]
fn unreadable_pictures_stop_the_pass_unless_they_may_be_skipped() {
    let (bench, good, whole) = made(8);
    std::fs::write(good.join("002b.png"), b"broken").expect("writes");
    std::fs::write(good.join("005b.jpg"), b"broken too").expect("writes");
    let file = bench.path("f.features");
    let out = features(&good, &file, &[]);
    assert_code(&out, 3, "2 of 10 pictures cannot be used");
    assert_code(&out, 3, "005b.jpg");
    assert!(!file.exists());
    assert_code(&features(&good, &file, &["--skip-unreadable"]), 0, "skipped:");
    assert_eq!(read(&file), read(&whole));
    // The same holds if an interrupted run has passed them already.
    std::fs::rename(&file, part_of(&file)).expect("renames");
    let out = features(&good, &file, &["--skip-unreadable"]);
    assert_code(&out, 0, "8 pictures kept from an interrupted run");
    assert_eq!(stderr(&out).matches("skipped:").count(), 2);
    assert_eq!(read(&file), read(&whole));
}

#[test]
fn pictures_are_added_once() {
    let (bench, good, whole) = made(9);
    let first = bench.parts("first", 0..4);
    let file = bench.path("grown.features");
    assert_code(&features(&first, &file, &["--append"]), 0, "4 pictures");
    let four = read(&file);
    assert_code(&features(&good, &file, &["--append"]), 0, "5 computed");
    assert_eq!(read(&file), read(&whole));
    assert_code(&features(&good, &file, &["--append"]), 0, "0 computed");
    assert_eq!(read(&file), read(&whole));
    // The run is interrupted while the old pictures are copied, and behind them.
    for cut in [four.len() / 2, whole_cut(&whole, 6, 9)] {
        std::fs::write(&file, &four).expect("writes");
        std::fs::write(part_of(&file), &read(&whole)[..cut]).expect("writes");
        assert_code(&features(&good, &file, &["--append"]), 0, "9 pictures");
        assert_eq!(read(&file), read(&whole), "cut at {cut}");
    }
    let other = hetmm(&[
        "features",
        text(&good),
        "-o",
        text(&file),
        "--append",
        "--size",
        "64",
        "--layers",
        "block1.exp",
    ]);
    assert_code(&other, 3, "of another kind (different: taps)");
    assert_eq!(read(&file), read(&whole));
}

/// Returns a place in the middle of picture `index` of a file of `count`.
fn whole_cut(file: &Path, index: usize, count: usize) -> usize {
    let bytes = std::fs::metadata(file).expect("reads").len() as usize;
    bytes * index / count + 1000
}

#[test]
fn halves_merge_to_the_whole() {
    let (bench, _, whole) = made(10);
    let (a, b) = (bench.path("a.features"), bench.path("b.features"));
    assert_code(&features(&bench.parts("one", 0..4), &a, &[]), 0, "");
    assert_code(&features(&bench.parts("two", 4..10), &b, &[]), 0, "");
    let both = bench.path("both.features");
    let merge = |files: &[&Path]| {
        let files: Vec<&str> = files.iter().map(|f| text(f)).collect();
        hetmm(&[&["features", "merge", "-o", text(&both)], &files[..]].concat())
    };
    assert_code(&merge(&[&a, &b]), 0, "10 pictures");
    assert_eq!(read(&both), read(&whole));
    assert_code(&merge(&[&a, &whole]), 0, "4 pictures were there already");
    assert_eq!(read(&both), read(&whole));
    let kept = read(&both);
    let narrow = bench.path("narrow.features");
    let layers = ["--size", "64", "--layers", "block4.exp"];
    let one = bench.path("one");
    let other = [&["features", text(&one), "-o", text(&narrow)], &layers[..]].concat();
    assert_code(&hetmm(&other), 0, "");
    assert_code(
        &merge(&[&a, &narrow]),
        3,
        "features of two kinds cannot be joined (different: taps)",
    );
    assert_code(&merge(&[&a, &bench.path("none.features")]), 5, "check the path");
    assert_code(&merge(&[&a, &both]), 2, "both input and output");
    assert_code(&merge(&[&a]), 2, "required");
    assert_eq!(read(&both), kept);
}

/// Computes shard `number` of `of`, and returns its file.
fn shard(bench: &Bench, good: &Path, number: u32, of: u32) -> PathBuf {
    let file = bench.path(&format!("{number}_of_{of}.features"));
    assert_code(&features(good, &file, &["--shard", &format!("{number}/{of}")]), 0, "");
    file
}

/// One picture is there twice: it stays twice, as in one run.
#[test]
fn shards_merge_to_the_bytes_of_one_run() {
    let bench = Bench::new();
    let (good, whole) = (bench.parts("good", 0..9), bench.path("whole.features"));
    std::fs::copy(good.join("000.png"), good.join("004b.png")).expect("copies");
    assert_code(&features(&good, &whole, &[]), 0, "10 pictures");
    let merged = bench.path("merged.features");
    for of in [1, 3, 10] {
        let mut files: Vec<PathBuf> = (1..=of).map(|n| shard(&bench, &good, n, of)).collect();
        files.reverse();
        let mut arguments = vec!["features", "merge", "-o", text(&merged)];
        arguments.extend(files.iter().map(|file| text(file)));
        // A merge joins two files or more.
        match of {
            1 => assert_code(&hetmm(&arguments), 2, "required"),
            _ => {
                assert_code(&hetmm(&arguments), 0, "10 pictures");
                assert_eq!(read(&merged), read(&whole), "{of} shards");
            }
        }
    }
}

#[test]
fn shards_that_do_not_make_a_whole_are_refused() {
    let bench = Bench::new();
    let good = bench.parts("good", 0..6);
    let three: Vec<PathBuf> = (1..=3).map(|number| shard(&bench, &good, number, 3)).collect();
    let half = shard(&bench, &good, 1, 2);
    let whole = bench.path("whole.features");
    assert_code(&features(&good, &whole, &[]), 0, "");
    bench.parts("good", 6..8);
    let later = bench.path("later.features");
    assert_code(&features(&good, &later, &["--shard", "2/3"]), 0, "");
    let merged = bench.path("merged.features");
    let merge = |files: &[&Path], code: i32, message: &str| {
        let mut arguments = vec!["features", "merge", "-o", text(&merged)];
        arguments.extend(files.iter().map(|file| text(file)));
        assert_code(&hetmm(&arguments), code, message);
    };
    let [one, two, three] = [&three[0], &three[1], &three[2]].map(PathBuf::as_path);
    merge(&[one, three], 3, "shard 2 of 3 is missing");
    merge(&[two, two], 3, "shard 2 of 3 is there twice");
    merge(&[one, &half], 3, "not a shard of the same list");
    merge(&[one, &whole], 3, "not a shard of the same list");
    merge(&[one, &later, three], 3, "not a shard of the same list");
    let template = bench.path("t.hetmm");
    let build = [&["build", text(one), "-o", text(&template)], &TEMPLATE[..]].concat();
    assert_code(&hetmm(&build), 3, "only shard 1 of 3");
    assert_code(&features(&good, one, &["--append"]), 3, "only shard 1 of 3");
    for (shard, message) in
        [("9/9", "8 pictures, too few for 9 shards"), ("0/3", "as in 3/8"), ("x", "as in 3/8")]
    {
        assert_code(&features(&good, &merged, &["--shard", shard]), 2, message);
    }
    assert_code(
        &features(&good, &merged, &["--shard", "1/2", "--append"]),
        2,
        "cannot be used with",
    );
    assert!(!merged.exists() && !template.exists());
}

#[test]
fn the_pass_says_its_options() {
    for help in [&["features", "--help"][..], &["features", "merge", "--help"]] {
        assert!(crate::common::stdout(&hetmm(help)).contains("Example"), "{help:?}");
    }
    let bench = Bench::new();
    let good = bench.parts("good", 0..1);
    assert_code(&hetmm(&["features", text(&good)]), 2, "--output");
    assert_code(&hetmm(&["features", text(&good), "-o", text(&good)]), 2, "is a folder");
}
