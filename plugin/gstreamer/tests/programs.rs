//! GStreamer's own programs load the library: its description, its results as text, its exports, and what it leaves
//! behind.

mod common;

use common::*;
use gst::prelude::*;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The library that cargo has built for these tests.
fn library() -> PathBuf {
    let folder = std::env::current_exe().expect("a path");
    let library = folder.parent().expect("a folder").join("libgsthetmm.so");
    assert!(library.exists(), "cargo build -p gst-plugin-hetmm makes {}", library.display());
    library
}

/// A folder with the plugin, a registry of its own, and files of the test.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("plugins")).expect("is made");
        std::os::unix::fs::symlink(library(), folder.path().join("plugins/libgsthetmm.so"))
            .expect("links");
        Bench(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command
            .env("GST_PLUGIN_PATH", self.path().join("plugins"))
            .env("GST_REGISTRY", self.path().join("registry"))
            .env("G_DEBUG", "fatal-criticals")
            .env("LC_ALL", "C.UTF-8")
            .env_remove("GST_DEBUG");
        command
    }

    fn run(&self, command: &mut Command) -> Output {
        let output = command.output().expect("apt-get install gstreamer1.0-tools");
        assert!(
            output.status.success(),
            "{command:?}: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// Compares `made` with a committed file. `HETMM_WRITE=1` writes the file in place of comparing it.
fn compare(made: &str, file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(file);
    if std::env::var_os("HETMM_WRITE").is_some() {
        std::fs::write(&path, made).expect("is written");
    }
    let kept = std::fs::read_to_string(&path).expect("a file");
    assert_eq!(made, kept, "{file} is old: HETMM_WRITE=1 cargo test -p gst-plugin-hetmm");
}

#[test]
fn gst_inspect_says_what_is_committed() {
    let bench = Bench::new();
    let output = bench.run(bench.program("gst-inspect-1.0").arg("hetmm"));
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
    let of_the_machine = ["  Filename", "  Version"];
    let lines = text(&output.stdout);
    let lines = lines.lines().filter(|line| !of_the_machine.iter().any(|l| line.starts_with(l)));
    let kept: String = lines.flat_map(|line| [line.trim_end(), "\n"]).collect();
    compare(&kept, "gst-inspect.txt");
}

/// PNG files of many kinds: colour, grey, 16 bits, widths that GStreamer pads.
fn pictures(folder: &Path) -> Vec<PathBuf> {
    let colour = |width: u32, height: u32, seed: u32| {
        image::DynamicImage::from(image::RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([0, 1, 2].map(|c| ((x * 7 + y * 13 + c * 29) * seed % 253) as u8))
        }))
    };
    let (good, side) = good_pixels();
    let good = image::RgbImage::from_raw(side as u32, side as u32, good).expect("fits");
    let mut stained = good.clone();
    for (x, y) in (8..20).flat_map(|y| (20..30).map(move |x| (x, y))) {
        stained.put_pixel(x, y, image::Rgb([255, 0, 255]));
    }
    let deep = |x: u32, y: u32| image::Luma([((x * 1009 + y * 523) % 65521) as u16]);
    let deep = image::ImageBuffer::<image::Luma<u16>, Vec<u16>>::from_fn(33, 33, deep);
    let all = [
        good.into(),
        stained.into(),
        colour(33, 33, 1),
        colour(65, 65, 3),
        colour(101, 101, 5),
        colour(35, 35, 7).to_rgba8().into(),
        colour(37, 37, 11).to_luma8().into(),
        image::DynamicImage::from(deep),
    ];
    let name = |number: usize| folder.join(format!("{number:03}.png"));
    for (number, picture) in all.iter().enumerate() {
        picture.save(name(number)).expect("writes");
    }
    (0..all.len()).map(name).collect()
}

#[test]
fn png_files_give_the_bits_of_the_rust_interface_on_the_bus_and_as_text() {
    let bench = Bench::new();
    let files = pictures(bench.path());
    let mut launch = bench.program("gst-launch-1.0");
    launch
        .arg("-m")
        .arg("multifilesrc")
        .arg(format!("location={}/%03d.png", bench.path().display()))
        .arg(format!("stop-index={}", files.len() - 1))
        .args(["caps=image/png,framerate=1/1", "!", "pngdec", "!", "hetmm"])
        .arg(format!("template={TEMPLATE}"))
        .args(["!", "fakesink"]);
    let told = text(&bench.run(&mut launch).stdout);
    init();
    let found: Vec<gst::Structure> = told
        .lines()
        .filter_map(|line| line.split_once("(element): "))
        .map(|(_, structure)| structure.parse::<gst::Structure>().expect(structure))
        .filter(|structure| structure.name() == gsthetmm::INSPECTION)
        .collect();
    assert_eq!(found.len(), files.len(), "{told}");
    let mut verdicts = BTreeSet::new();
    for (found, file) in found.iter().zip(&files) {
        let picture = hetmm::image::read(file).expect("reads");
        let want = inspector().inspect(&picture.view().expect("fits")).expect("inspects");
        assert_same(found, &want);
        verdicts.insert(found.get::<String>("verdict").expect("a verdict"));
    }
    assert_eq!(verdicts.into_iter().collect::<Vec<_>>(), ["ng", "ok"], "both must occur");
}

#[test]
fn the_bus_has_the_bits_of_the_rust_interface() {
    init();
    let folder = tempfile::tempdir().expect("a folder");
    let files = pictures(folder.path());
    let line = format!(
        "multifilesrc location={}/%03d.png stop-index={} caps=image/png,framerate=1/1 ! pngdec ! \
         hetmm template={TEMPLATE} ! fakesink",
        folder.path().display(),
        files.len() - 1
    );
    let pipeline = gst::parse::launch(&line).expect("install gstreamer1.0-plugins-good");
    pipeline.set_state(gst::State::Playing).expect("plays");
    let bus = pipeline.bus().expect("a bus");
    let mut files = files.iter();
    for message in bus.iter_timed(gst::ClockTime::from_seconds(120)) {
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(error) => panic!("{error:?}"),
            _ => {}
        }
        let Some(told) = message.structure().filter(|s| s.name() == gsthetmm::INSPECTION) else {
            continue;
        };
        let picture = hetmm::image::read(files.next().expect("a file")).expect("reads");
        let want = inspector().inspect(&picture.view().expect("fits")).expect("inspects");
        assert_same(told, &want);
    }
    assert!(files.next().is_none(), "a picture has no result");
    pipeline.set_state(gst::State::Null).expect("stops");
}

#[test]
fn nothing_is_left_behind_and_nothing_is_complained_of() {
    let bench = Bench::new();
    let pipeline = |command: &mut Command| {
        command.args(["-q", "videotestsrc", "num-buffers=20", "!"]);
        command.args(["video/x-raw,format=RGB,width=64,height=64", "!", "hetmm"]);
        command.arg(format!("template={TEMPLATE}")).arg("watch=true");
        command.args(["!", "tee", "name=t", "t.", "!", "queue", "!", "videoconvert", "!"]);
        command.args(["fakesink", "t.", "!", "queue", "!", "fakesink"]);
    };
    // The first run fills the registry, of which GStreamer complains for reasons of its own.
    pipeline(&mut bench.program("gst-launch-1.0"));
    bench.run(bench.program("gst-inspect-1.0").arg("hetmm"));
    let mut quiet = bench.program("gst-launch-1.0");
    quiet.env("GST_DEBUG", "*:2");
    pipeline(&mut quiet);
    let output = bench.run(&mut quiet);
    assert_eq!(text(&output.stderr), "", "warnings");
    assert_eq!(text(&output.stdout), "", "the library prints nothing");
    let mut traced = bench.program("gst-launch-1.0");
    traced.env("GST_TRACERS", "leaks").env("GST_DEBUG", "GST_TRACER:7");
    pipeline(&mut traced);
    assert_eq!(alive(&text(&bench.run(&mut traced).stderr)), Vec::<String>::new());
}

/// The objects that the leaks tracer names.
fn alive(log: &str) -> Vec<String> {
    let name = |line: &str| -> Option<String> {
        let (_, rest) = line.split_once("object-alive, type-name=(string)")?;
        rest.split(',').next().map(ToOwned::to_owned)
    };
    log.lines().filter_map(name).filter(|name| !name.starts_with('%')).collect()
}

/// While a pipeline runs, its objects are alive, and the tracer says so when it is asked.
#[test]
fn the_leaks_tracer_sees_the_element() {
    let bench = Bench::new();
    let mut traced = bench.program("gst-launch-1.0");
    traced.env("GST_TRACERS", "leaks").env("GST_DEBUG", "GST_TRACER:7");
    traced.env("GST_LEAKS_TRACER_SIG", "1");
    traced.args(["-m", "videotestsrc", "is-live=true", "!", "video/x-raw,format=RGB", "!"]);
    traced.args(["hetmm", "on-error=reject"]).arg(format!("template={TEMPLATE}"));
    traced.args(["!", "fakesink"]).stdout(Stdio::piped());
    let log = bench.path().join("log");
    let mut running = traced.stderr(File::create(&log).expect("is made")).spawn().expect("runs");
    // The pipe stays open: without a reader the program would end.
    let mut told = BufReader::new(running.stdout.take().expect("piped")).lines();
    let is_result = |line: String| line.contains(gsthetmm::INSPECTION);
    assert!(told.by_ref().map_while(Result::ok).any(is_result), "no result");
    let signal = |name: &str| {
        let status = Command::new("kill").args([name, &running.id().to_string()]).status();
        assert!(status.expect("apt-get install procps").success());
    };
    signal("-USR1");
    let is_named = || {
        let named = alive(&std::fs::read_to_string(&log).expect("reads"));
        named.contains(&"GstHetmm".to_owned())
    };
    let found = (0..200).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        is_named()
    });
    signal("-KILL");
    running.wait().expect("ends");
    assert!(found, "{}", std::fs::read_to_string(&log).expect("reads"));
}

#[test]
fn errors_of_gst_launch_say_what_to_do() {
    let bench = Bench::new();
    let cases = [("/nowhere/part.hetmm", "check the path"), ("", "hetmm build")];
    for (template, next_step) in cases {
        let mut command = bench.program("gst-launch-1.0");
        command.args([
            "videotestsrc",
            "num-buffers=1",
            "!",
            "video/x-raw,format=RGB",
            "!",
            "hetmm",
        ]);
        command.args((!template.is_empty()).then(|| format!("template={template}")));
        command.args(["!", "fakesink"]);
        let output = command.output().expect("runs");
        let told = text(&output.stderr);
        assert!(!output.status.success() && told.contains(next_step), "{told}");
    }
}

fn nm(what: &str) -> BTreeSet<String> {
    let output = Command::new("nm").args(["-D", what]).arg(library()).output();
    let output = output.expect("apt-get install binutils");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let name = |line: &str| line.split_whitespace().last().expect("a name").to_owned();
    text(&output.stdout).lines().map(name).collect()
}

#[test]
fn the_library_exports_only_what_gstreamer_looks_for() {
    let want = ["gst_plugin_hetmm_get_desc", "gst_plugin_hetmm_register"];
    assert_eq!(nm("--defined-only").into_iter().collect::<Vec<_>>(), want);
}

/// The feature `v1_20` is what keeps newer calls out. The list shows which calls there are.
#[test]
fn the_calls_of_gstreamer_are_those_that_are_committed() {
    let used = nm("--undefined-only").into_iter().filter(|name| name.starts_with("gst_"));
    let lines: Vec<String> = used.collect();
    compare(&(lines.join("\n") + "\n"), "gst-symbols.txt");
}
