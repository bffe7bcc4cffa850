//! Tests from outside, with all commands in tables: what the tool may write over, what it reads, and what it does if
//! nobody can take what it prints.
#![cfg(target_os = "linux")]

use crate::common::{Bench, SMALL, TEMPLATE, assert_code, command, hetmm, stderr, stdout, text};
use std::fs::{File, hard_link, read, write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

/// Holds everything that the commands work on.
struct Shop {
    bench: Bench,
    good: PathBuf,
    /// The first of the good parts.
    first: PathBuf,
    fresh: PathBuf,
    set: PathBuf,
    features: PathBuf,
    template: PathBuf,
}

impl Shop {
    fn new() -> Self {
        let bench = Bench::new();
        let (good, fresh) = (bench.parts("good", 0..8), bench.parts("fresh", 100..120));
        bench.parts("set/train/good", 0..4);
        bench.parts("set/test/good", 20..23);
        bench.blotted_parts("set/test/blot", 30..33);
        let set = bench.path("set");
        let (features, template) = (bench.path("good.features"), bench.path("part.hetmm"));
        let made = [&["features", text(&good), "-o", text(&features)], &SMALL[..]].concat();
        assert_code(&hetmm(&made), 0, "");
        let built = [&["build", text(&features), "-o", text(&template)], &TEMPLATE[..]].concat();
        assert_code(&hetmm(&built), 0, "");
        let inserted = bench.part("inserted.png", 50);
        assert_code(&hetmm(&["insert", text(&template), text(&inserted)]), 0, "");
        let first = good.join("000.png");
        Shop { bench, good, first, fresh, set, features, template }
    }

    /// Returns every command that writes a named file, with `out` as that name, and a picture that it reads. The
    /// options are quick, and `--quiet` leaves only errors.
    fn writers<'a>(&'a self, out: &'a str) -> Vec<(Vec<&'a str>, PathBuf)> {
        let (good, fresh, set) = (text(&self.good), text(&self.fresh), text(&self.set));
        let (features, template) = (text(&self.features), text(&self.template));
        let a_good = self.first.clone();
        let a_fresh = self.fresh.join("101.png");
        let tested = self.set.join("test/blot/031.png");
        let calibrate =
            ["calibrate", template, "--images", fresh, "--false-reject", "10%", "--dry-run"];
        vec![
            ([&["build", good, "-o", out], &SMALL[..], &TEMPLATE].concat(), a_good.clone()),
            ([&["features", good, "-o", out], &SMALL[..]].concat(), a_good.clone()),
            (vec!["features", "merge", features, features, "-o", out], self.features.clone()),
            (vec!["rules", template, "--ignore", text(&self.first), "-o", out], a_good),
            (
                vec!["calibrate", template, "--images", fresh, "--false-reject", "10%", "-o", out],
                a_fresh.clone(),
            ),
            ([&calibrate[..], &["--report", out]].concat(), a_fresh.clone()),
            ([&["audit", fresh, "--quick", "--report", out], &SMALL[..]].concat(), a_fresh),
            (vec!["eval", template, set, "--json", out], tested.clone()),
            (vec!["eval", template, set, "--report", out], tested.clone()),
            (vec!["eval", template, set, "--scores", out], tested.clone()),
            (vec!["ablate", set, "--studies", "sheets", "--json", out], tested.clone()),
            (vec!["ablate", set, "--studies", "sheets", "--report", out], tested),
        ]
    }
}

fn forced(arguments: &[&str]) -> Output {
    hetmm(&[arguments, &["--force"]].concat())
}

/// Covers a former fault: `-o in/000.png` ended with 0, and the picture was a template.
#[test]
fn no_output_replaces_a_picture_or_another_input_under_any_name_even_when_forced() {
    let shop = Shop::new();
    for index in 0..shop.writers("").len() {
        let (_, input) = &shop.writers("")[index];
        let (link, hard) = (shop.bench.path("link"), shop.bench.path("hard"));
        symlink(input, &link).expect("links");
        hard_link(input, &hard).expect("links");
        let folder = input.parent().expect("a folder");
        let spelled = folder.join("..").join(folder.file_name().expect("a name"));
        let spelled = spelled.join(input.file_name().expect("a name"));
        let before = read(input).expect("reads");
        for name in [input, &link, &hard, &spelled] {
            let (arguments, _) = &shop.writers(text(name))[index];
            for output in [hetmm(arguments), forced(arguments)] {
                assert_code(&output, 2, "is both input and output");
                assert_code(&output, 2, "-> give another name");
            }
            assert_eq!(read(input).expect("reads"), before, "{arguments:?}");
        }
        std::fs::remove_file(link).expect("removes");
        std::fs::remove_file(hard).expect("removes");
    }
}

/// Covers a former fault: a file replaced a pipe or a device file without a message.
#[test]
fn no_output_replaces_a_pipe_a_socket_or_a_folder_even_when_forced() {
    let shop = Shop::new();
    let (pipe, socket) = (shop.bench.path("pipe"), shop.bench.path("socket"));
    make_pipe(&pipe);
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("binds");
    let link = shop.bench.path("link-to-pipe");
    symlink(&pipe, &link).expect("links");
    let places = [
        (&pipe, "is a pipe"),
        (&link, "is a pipe"),
        (&socket, "is a socket"),
        (&shop.good, "is a folder"),
    ];
    for (place, message) in places {
        let kind = std::fs::metadata(place).expect("is there").file_type();
        for (arguments, _) in shop.writers(text(place)) {
            assert_code(&hetmm(&arguments), 2, message);
            assert_code(&forced(&arguments), 2, message);
        }
        assert_eq!(std::fs::metadata(place).expect("is there").file_type(), kind);
    }
}

/// The device file is only checked, never written. A test that fails must not remove `/dev/null` from the machine.
#[test]
fn a_device_is_never_replaced() {
    use hetmm::files::outputs::{Obstacle, Outputs};
    for may_replace in [false, true] {
        let claimed =
            Outputs::new(may_replace).claim(Path::new("/dev/null"), &hetmm::template::FORMAT);
        assert_eq!(claimed.err().map(|r| r.obstacle), Some(Obstacle::Device));
    }
}

#[test]
fn what_is_no_earlier_output_of_the_same_kind_is_replaced_only_when_forced() {
    let shop = Shop::new();
    let place = shop.bench.path("place");
    for (arguments, _) in shop.writers(text(&place)) {
        let _ = std::fs::remove_file(&place);
        // Rules need a picture of zones or of an ignored area that is not one of the parts.
        let arguments: Vec<&str> = match arguments[0] {
            "rules" => vec!["rules", arguments[1], "--min-area", "4px", "-o", text(&place)],
            "ablate" => [&arguments[..], &["--pictures", "2"], &SMALL].concat(),
            _ => arguments,
        };
        let foreign = [&b"a letter"[..], b"{\"name\": \"a letter\"}", b"<html><p>a letter</p>"];
        for bytes in foreign {
            write(&place, bytes).expect("writes");
            let output = hetmm(&arguments);
            assert_code(&output, 2, "a file lies there that is not a");
            assert_code(&output, 2, "--force");
            assert_eq!(read(&place).expect("reads"), bytes, "{arguments:?}");
        }
        assert_code(&forced(&arguments), 0, "");
        assert!(read(&place).expect("reads").len() > 100, "{arguments:?}");
        // The second run replaces the output of the first. An empty file belongs to nobody.
        assert_code(&hetmm(&arguments), 0, "");
        write(&place, b"").expect("writes");
        assert_code(&hetmm(&arguments), 0, "");
    }
}

#[test]
fn the_growing_features_file_replaces_no_other_file_either() {
    let shop = Shop::new();
    let (place, part) = (shop.bench.path("f"), shop.bench.path("f.part"));
    write(&part, b"a letter").expect("writes");
    let arguments = [&["features", text(&shop.good), "-o", text(&place)], &SMALL[..]].concat();
    assert_code(
        &hetmm(&arguments),
        2,
        "f.part: a file lies there that is not a features file that was interrupted",
    );
    assert_eq!(read(&part).expect("reads"), b"a letter");
    assert_code(&forced(&arguments), 0, "");
}

#[test]
fn two_outputs_of_one_name_are_refused() {
    let shop = Shop::new();
    let place = shop.bench.path("place");
    let (template, set, fresh) = (text(&shop.template), text(&shop.set), text(&shop.fresh));
    let place = text(&place);
    let eval = ["eval", template, set, "--json", place, "--report", place];
    let calibrate = [
        "calibrate",
        template,
        "--images",
        fresh,
        "--false-reject",
        "10%",
        "-o",
        place,
        "--report",
        place,
    ];
    for arguments in [&eval[..], &calibrate] {
        assert_code(&forced(arguments), 2, "two outputs have this name");
    }
    let over = ["eval", template, set, "--report", template];
    assert_code(&forced(&over), 2, "is both input and output");
}

/// Covers a former fault: `inspect T in --heatmaps in` replaced every picture in `in`.
#[test]
fn heat_maps_never_replace_the_pictures_that_they_are_of() {
    let shop = Shop::new();
    let before = read(shop.good.join("003.png")).expect("reads");
    let inspect =
        ["inspect", text(&shop.template), text(&shop.good), "--heatmaps", text(&shop.good)];
    for output in [hetmm(&inspect), forced(&inspect)] {
        assert_code(&output, 2, "is both input and output");
        assert_eq!(stdout(&output), "", "nothing is inspected before that is known");
    }
    assert_eq!(read(shop.good.join("003.png")).expect("reads"), before);
    // Pictures of the same name that are not given stay, too. Links to given pictures stay even when forced.
    let fresh = text(&shop.fresh);
    let others = shop.bench.parts("others", 100..103);
    let inspect = ["inspect", text(&shop.template), fresh, "--heatmaps", text(&others)];
    let before = read(others.join("102.png")).expect("reads");
    assert_code(&hetmm(&inspect), 2, "100.png: a file lies there that is not a heat map");
    assert_eq!(read(others.join("102.png")).expect("reads"), before);
    let linked = shop.bench.path("linked");
    std::fs::create_dir(&linked).expect("makes");
    symlink(shop.fresh.join("105.png"), linked.join("105.png")).expect("links");
    let inspect = ["inspect", text(&shop.template), fresh, "--heatmaps", text(&linked)];
    assert_code(&forced(&inspect), 2, "is both input and output");
    // Heat maps replace earlier heat maps.
    let heat = shop.bench.path("heat");
    let inspect = ["inspect", text(&shop.template), fresh, "--heatmaps", text(&heat)];
    for _ in 0..2 {
        assert_code(&hetmm(&inspect), 0, "");
    }
    let drawn = image::open(heat.join("100.png")).expect("a picture");
    // There are the panels, and above them a strip with their names.
    assert!(drawn.width() > 3 * 80 + 3 * 8 + 20 && drawn.height() == 60 + 16);
}

#[test]
fn thumbnails_and_the_demo_replace_only_what_they_have_written() {
    let shop = Shop::new();
    let seen = shop.bench.path("seen");
    let history = ["history", text(&shop.template), "--thumbnails", text(&seen)];
    for _ in 0..2 {
        assert_code(&hetmm(&history), 0, "");
    }
    write(seen.join("0001.jpg"), b"a photograph").expect("writes");
    assert_code(&hetmm(&history), 2, "0001.jpg: a file lies there that is not a thumbnail");
    assert_eq!(read(seen.join("0001.jpg")).expect("reads"), b"a photograph");
    assert_code(&forced(&history), 0, "");

    let theirs = shop.bench.part("theirs/parts/test/good/007.png", 7);
    let before = read(&theirs).expect("reads");
    let out = shop.bench.path("theirs");
    let demo = hetmm(&["demo", "--out", text(&out)]);
    assert_code(
        &demo,
        2,
        "007.png: a file lies there that is not a picture that the demo has generated",
    );
    assert_eq!(read(&theirs).expect("reads"), before);
    assert!(
        !out.join("parts/train/good/000.png").exists(),
        "nothing is drawn before that is known"
    );
}

/// Returns commands that print, in all their forms.
fn printers(shop: &Shop) -> Vec<Vec<&str>> {
    let (fresh, set, template) = (text(&shop.fresh), text(&shop.set), text(&shop.template));
    let calibrate = ["calibrate", template, "--images", fresh, "--false-reject", "10%"];
    let ablate = ["ablate", set, "--studies", "sheets", "--pictures", "2"];
    vec![
        vec!["--help"],
        vec!["build", "--help"],
        vec!["--version"],
        vec!["--version", "--json"],
        vec!["completions", "bash"],
        vec!["info", template],
        vec!["info", template, "--json"],
        vec!["history", template],
        vec!["history", template, "--json"],
        vec!["check", template],
        vec!["rules", template],
        vec!["rules", template, "--json"],
        vec!["rules", template, "--min-area", "4px"],
        vec!["bench", template, "--runs", "2"],
        vec!["bench", template, "--runs", "2", "--json"],
        vec!["inspect", template, fresh],
        vec!["inspect", template, fresh, "--json"],
        [&["audit", fresh, "--quick"], &SMALL[..]].concat(),
        [&["audit", fresh, "--quick", "--json"], &SMALL[..]].concat(),
        vec!["eval", template, set],
        vec!["eval", template, set, "--json", "-"],
        calibrate.to_vec(),
        [&calibrate[..], &["--json", "--dry-run"]].concat(),
        [&ablate[..], &SMALL].concat(),
        [&ablate[..], &["--json", "-"], &SMALL].concat(),
        vec!["insert", template, fresh, "--force"],
        vec!["insert", template, fresh, "--force", "--json"],
        vec!["undo", template],
    ]
}

/// Covers a former fault: a panic with exit code 101, after the work was done.
#[test]
fn standard_output_on_a_full_disk_is_an_error_and_no_panic_in_any_command() {
    let shop = Shop::new();
    for arguments in printers(&shop) {
        let full = File::options().write(true).open("/dev/full").expect("opens");
        let output = command(&arguments).stdout(full).output().expect("runs");
        assert_code(&output, 5, "standard output: cannot be written: No space left");
    }
}

#[test]
fn a_closed_pipe_ends_a_command_quietly_with_the_code_of_its_work() {
    let shop = Shop::new();
    let (template, set) = (text(&shop.template), text(&shop.set));
    let unmet = vec!["eval", template, set, "--require", "aupro30=1"];
    let cases = printers(&shop).into_iter().map(|arguments| (arguments, 0)).chain([(unmet, 1)]);
    for (arguments, code) in cases {
        let output = closed(&arguments);
        assert_code(&output, code, "");
        assert!(!stderr(&output).contains("standard output"), "{arguments:?}");
    }
}

#[test]
fn heat_maps_are_all_drawn_also_where_nobody_reads_the_results() {
    let shop = Shop::new();
    let heat = shop.bench.path("heat");
    let inspect = ["inspect", text(&shop.template), text(&shop.fresh), "--heatmaps", text(&heat)];
    assert_code(&closed(&inspect), 0, "");
    assert_eq!(std::fs::read_dir(heat).expect("reads").count(), 20);
}

/// Covers a former fault: a script on a full disk took a finished undo for a crash, and did it again.
#[test]
fn a_command_that_has_changed_a_file_says_so_where_its_output_cannot_be_written() {
    let shop = Shop::new();
    let template = text(&shop.template);
    let entries = || {
        let history = stdout(&hetmm(&["history", template, "--json"]));
        let entries: serde_json::Value = serde_json::from_str(&history).expect("JSON");
        entries.as_array().map_or(0, Vec::len)
    };
    assert_eq!(entries(), 1);
    let copy = shop.bench.path("copy.hetmm");
    let page = shop.bench.path("page.html");
    let fresh = text(&shop.fresh);
    let (calibrate, rules) = (["calibrate", template, "--images", fresh], ["rules", template]);
    let eval = ["eval", template, text(&shop.set), "--report", text(&page)];
    let cases = [
        ([&calibrate[..], &["--false-reject", "10%", "-o", text(&copy)]].concat(), &copy),
        ([&rules[..], &["--min-area", "4px"]].concat(), &shop.template),
        (eval.to_vec(), &page),
        (vec!["undo", template, "--quiet"], &shop.template),
        (vec!["insert", template, fresh, "--force", "--quiet"], &shop.template),
    ];
    for (arguments, file) in cases {
        let full = File::options().write(true).open("/dev/full").expect("opens");
        let output = command(&arguments).stdout(full).output().expect("runs");
        let told = format!("has written {}. Only its output is lost", text(file));
        assert_code(&output, 5, &told);
        if arguments[0] == "undo" {
            assert_eq!(entries(), 0, "the undo was done");
        }
    }
    assert!(entries() > 0 && copy.is_file() && page.is_file());
    assert_code(&hetmm(&["check", template]), 0, "");
}

#[test]
fn standard_error_that_cannot_be_written_changes_no_exit_code() {
    let shop = Shop::new();
    for (arguments, code) in [
        (vec!["undo", text(&shop.template)], 0),
        (vec!["check", "nowhere.hetmm"], 5),
        (vec!["check", "--no-such-option"], 2),
    ] {
        let full = File::options().write(true).open("/dev/full").expect("opens");
        let output = command(&arguments).stderr(full).output().expect("runs");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    }
}

/// Covers a former fault: 100,000 threads starved the machine, and 2^64 - 1 runs printed zeros.
#[test]
fn numbers_that_no_machine_can_bear_are_refused() {
    let shop = Shop::new();
    let template = text(&shop.template);
    for (arguments, message) in [
        (["check", template, "--threads", "100000"], "--threads 100000 is too much"),
        (["check", template, "--threads", "18446744073709551615"], "it allows at most"),
        (["bench", template, "--runs", "18446744073709551615"], "is more than 1000000"),
        (["bench", template, "--runs", "1000001"], "is more than 1000000"),
        (["bench", template, "--picture", "16384x16384"], "million pixels"),
        (["bench", template, "--picture", "4294967295x8"], "million pixels"),
    ] {
        assert_code(&hetmm(&arguments), 2, message);
    }
    let of_variable = command(&["check", template]).env("RAYON_NUM_THREADS", "100000").output();
    assert_code(&of_variable.expect("runs"), 2, "RAYON_NUM_THREADS 100000 is too much");
}

/// Covers a former fault: opening a pipe waited for its other end, and `--backbone /dev/zero` filled the memory.
#[test]
fn pipes_and_endless_devices_are_refused_as_inputs_before_anything_waits() {
    let shop = Shop::new();
    let (pipe, link) = (shop.bench.path("pipe"), shop.bench.path("link-to-pipe"));
    make_pipe(&pipe);
    symlink(&pipe, &link).expect("links");
    let (good, set, template) = (text(&shop.good), text(&shop.set), text(&shop.template));
    let out = shop.bench.path("out");
    let (out, first, features) = (text(&out), text(&shop.first), text(&shop.features));
    for odd in [text(&pipe), text(&link), "/dev/zero"] {
        let cases: [(&[&str], i32); 21] = [
            (&["build", good, "-o", out, "--backbone", odd], 4),
            (&["build", odd, "-o", out], 3),
            (&["build", good, odd, "-o", out], 3),
            (&["build", good, "-o", out, "--mask", odd], 3),
            (&["features", good, "-o", out, "--backbone", odd], 4),
            (&["features", odd, "-o", out], 3),
            (&["features", "merge", features, odd, "-o", out], 3),
            (&["audit", odd], 3),
            (&["audit", good, "--mask", odd], 3),
            (&["audit", good, "--backbone", odd], 4),
            (&["inspect", template, first, "--backbone", odd], 4),
            (&["inspect", template, odd], 3),
            (&["inspect", odd, first], 4),
            (&["eval", template, set, "--backbone", odd], 4),
            (&["rules", template, "--ignore", odd], 3),
            (&["rules", template, "--zones", odd, "--zone", "1=2x"], 3),
            (&["rules", odd, "--min-area", "4px"], 4),
            (&["calibrate", template, "--images", odd], 3),
            (&["insert", odd, first], 4),
            (&["ablate", set, "--backbone", odd], 4),
            (&["inspect", template, first, "--device", "cpu", "--onnxruntime", odd], 5),
        ];
        for (arguments, code) in cases {
            let mut limited = std::process::Command::new("timeout");
            limited.arg("60").arg(env!("CARGO_BIN_EXE_hetmm")).args(arguments);
            assert_code(&limited.output().expect("runs"), code, "not a regular file");
        }
    }
}

/// Covers a former fault: a file was read into memory before it was known not to be a template. This one has a
/// terabyte.
#[test]
fn what_is_no_template_is_refused_whatever_its_size() {
    let shop = Shop::new();
    let large = shop.bench.path("large.hetmm");
    let file = File::create(&large).expect("makes");
    if file.set_len(1 << 40).is_err() {
        eprintln!("SKIPPED: this file system has no sparse files of a terabyte");
        return;
    }
    let (large, first) = (text(&large), text(&shop.first));
    let cases: [&[&str]; 3] =
        [&["rules", large, "--min-area", "4px"], &["insert", large, first], &["undo", large]];
    for arguments in cases {
        let output = hetmm(arguments);
        assert_code(&output, 4, "not a hetmm template");
    }
    let model = ["inspect", text(&shop.template), first, "--backbone", large];
    assert_code(&hetmm(&model), 4, "more than 2147483648");
}

#[test]
fn a_signal_ends_a_command_at_any_time() {
    use std::os::unix::process::ExitStatusExt;
    let shop = Shop::new();
    let long = ["bench", text(&shop.template), "--runs", "1000000"];
    let mut child = command(&long).stdout(Stdio::null()).spawn().expect("runs");
    std::thread::sleep(std::time::Duration::from_millis(300));
    let id = nix::unistd::Pid::from_raw(child.id() as i32);
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).expect("sends");
    assert_eq!(child.wait().expect("ends").signal(), Some(15));
}

fn make_pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().expect("runs");
    assert!(made.success());
}

/// Runs a command whose standard output is a pipe that nobody reads.
fn closed(arguments: &[&str]) -> Output {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    command(arguments).stdout(writer).stderr(Stdio::piped()).output().expect("runs")
}
