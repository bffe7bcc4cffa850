//! Tests the public face: the same bits from every kind of memory, from many threads, while templates are replaced.

use crate::common::{Bench, assert_code, hetmm, stdout, text};
use hetmm::{
    ErrorKind, Inspection, Inspector, Options, Picture, PictureView, Teacher, Template, Verdict,
};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

fn build(bench: &Bench, name: &str, options: &[&str]) -> PathBuf {
    let good = bench.parts("good", 0..8);
    let path = bench.path(name);
    let command = ["build", text(&good), "-o", text(&path), "--size", "64", "--sheets", "4"];
    assert_code(&hetmm(&[&command[..], options].concat()), 0, "");
    path
}

fn open(template: &Path) -> Inspector {
    let options = Options::builder().threads(2).build();
    Inspector::open(template, &options).expect("opens")
}

/// Returns the samples of a decoded picture, 8 bits each.
fn eight(picture: &Picture) -> &[u8] {
    match &picture.samples {
        hetmm::image::Samples::Eight(samples) => samples,
        hetmm::image::Samples::Sixteen(_) => panic!("8 bits"),
    }
}

fn bits(found: &Inspection) -> (u32, Verdict, Vec<u32>) {
    let map = found.map().values.iter().map(|value| value.to_bits()).collect();
    (found.score.to_bits(), found.verdict, map)
}

#[test]
fn a_picture_gives_the_same_bits_from_its_file_and_from_any_memory() {
    let bench = Bench::new();
    let template = build(&bench, "t.hetmm", &[]);
    let part = bench.part("new/0.png", 50);
    let inspector = open(&template);
    let picture = hetmm::image::read(&part).expect("reads");
    let found = inspector.inspect(&picture.view().expect("fits")).expect("inspects");

    let told = stdout(&hetmm(&["inspect", text(&template), text(&part), "--json"]));
    let mut told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    // A number may lose its last bit when its text is read.
    let mut own = serde_json::from_str(&found.to_json().to_string()).expect("JSON");
    for object in [&mut told, &mut own] {
        let object = object.as_object_mut().expect("an object");
        object.remove("image");
        object.remove("timing_ms").expect("times");
    }
    assert_eq!(told, own, "the tool and the library say the same");

    let (width, height, rgb) = (picture.width, picture.height, eight(&picture));
    let padded = |channels: &[usize], padding: usize| -> (Vec<u8>, usize) {
        let rows = rgb.chunks(3 * width as usize).flat_map(|row| {
            let pixels = row.chunks(3).flat_map(|pixel| {
                channels.iter().map(|&channel| pixel.get(channel).copied().unwrap_or(0x55))
            });
            pixels.chain(std::iter::repeat_n(0x55, padding)).collect::<Vec<u8>>()
        });
        (rows.collect(), channels.len() * width as usize + padding)
    };
    for padding in [0, 1, 13] {
        let (bgr, stride) = padded(&[2, 1, 0], padding);
        let view = PictureView::bgr8(&bgr, width, height, stride).expect("fits");
        assert_eq!(bits(&inspector.inspect(&view).expect("inspects")), bits(&found), "{padding}");
        let (bgrx, stride) = padded(&[2, 1, 0, 9], padding);
        let view = PictureView::bgrx8(&bgrx, width, height, stride).expect("fits");
        assert_eq!(bits(&inspector.inspect(&view).expect("inspects")), bits(&found), "{padding}");
        let (rgb, stride) = padded(&[0, 1, 2], padding);
        let view = PictureView::rgb8(&rgb, width, height, stride).expect("fits");
        assert_eq!(bits(&inspector.inspect(&view).expect("inspects")), bits(&found), "{padding}");
    }
    let wide: Vec<u16> = rgb.iter().map(|&sample| u16::from(sample) * 257).collect();
    let view = PictureView::rgb16(&wide, width, height, 6 * width as usize).expect("fits");
    let wide = inspector.inspect(&view).expect("inspects");
    assert!((wide.score - found.score).abs() < 0.05, "{} {}", wide.score, found.score);

    let heatmap = found.heatmap(&picture.view().expect("fits"));
    assert!(heatmap.width > 2 * width && heatmap.height >= height, "panels side by side");
    let png = found.heatmap_png(&picture.view().expect("fits")).expect("encodes");
    assert_eq!(hetmm::image::decode(&png).expect("a PNG").width, heatmap.width);
    assert_eq!(found.excess().len(), found.map().values.len());
}

#[test]
fn what_cannot_be_inspected_is_an_error_and_never_a_result() {
    let bench = Bench::new();
    let inspector = open(&build(&bench, "t.hetmm", &[]));
    let narrow = vec![128; 3 * 320 * 60];
    let narrow = PictureView::rgb8(&narrow, 320, 60, 960).expect("fits");
    let error = inspector.inspect(&narrow).expect_err("another shape");
    assert_eq!(error.kind(), ErrorKind::Image);
    assert!(PictureView::rgb8(&[0; 30], 320, 60, 960).is_err(), "too few bytes");
    let options = Options::builder().backbone("no such file.onnx").build();
    assert!(Inspector::new(inspector.template(), &options).is_err());
}

#[test]
fn eight_threads_share_an_inspector_while_its_template_is_replaced_a_thousand_times() {
    fn shared<T: Send + Sync>(_: &T) {}
    let bench = Bench::new();
    let paths = [build(&bench, "a.hetmm", &[]), build(&bench, "b.hetmm", &["--threshold", "7.5"])];
    let part = hetmm::image::read(&bench.part("new/0.png", 50)).expect("reads");
    let templates = paths.map(|path| std::sync::Arc::new(Template::open(path).expect("opens")));
    // The golden probes are computed once, and not a thousand times.
    let options = Options::builder().threads(2).prove(false).build();
    let inspector = Inspector::new(templates[0].clone(), &options).expect("opens");
    shared(&inspector);
    let view = part.view().expect("fits");
    let alone = inspector.inspect(&view).expect("inspects");
    let want = [alone.threshold, 7.5];
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    let found = inspector.inspect(&view).expect("inspects");
                    let template = (found.generation as usize - 1) % 2;
                    assert_eq!(found.threshold, want[template], "generation {}", found.generation);
                    assert_eq!(found.score.to_bits(), alone.score.to_bits());
                }
            });
        }
        for swap in 1..=1000 {
            inspector.replace(templates[swap % 2].clone()).expect("is taken");
        }
        is_done.store(true, Ordering::Relaxed);
    });
    assert_eq!(inspector.generation(), 1001);
}

#[test]
fn a_template_that_is_refused_leaves_the_old_one_in_use() {
    let bench = Bench::new();
    let path = build(&bench, "t.hetmm", &[]);
    let inspector = open(&path);
    let mut bytes = std::fs::read(&path).expect("reads");
    assert_eq!(
        Template::from_bytes(&bytes).expect("whole").digest(),
        inspector.template().digest()
    );
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    assert!(Template::from_bytes(&bytes).is_err() && Template::from_bytes(&[]).is_err());
    let other = bench.path("other.onnx");
    std::fs::write(&other, b"no model").expect("writes");
    let part = hetmm::image::read(&bench.part("new/0.png", 50)).expect("reads");
    let before = inspector.inspect(&part.view().expect("fits")).expect("inspects");
    // The file is cut while it is in use, as `cp` over it does. The inspector has its own copy.
    std::fs::write(&path, b"cut").expect("writes");
    assert!(Template::open(&path).is_err());
    let after = inspector.inspect(&part.view().expect("fits")).expect("inspects");
    assert_eq!(bits(&before), bits(&after));
    assert_eq!(after.generation, 1);
}

#[test]
fn a_teacher_inserts_a_picture_from_memory_and_undoes_it() {
    let bench = Bench::new();
    let path = build(&bench, "t.hetmm", &[]);
    let before = std::fs::read(&path).expect("reads");
    let inspector = open(&path);
    let picture = hetmm::image::read(&bench.part("new/0.png", 77)).expect("reads");
    let view = picture.view().expect("fits");
    let teacher = Teacher::new(&path, &Options::default()).expect("threads").who("Keller");
    let inserted = teacher.force(true).insert_view(&view, "camera 1", 1_700_000_000);
    let inserted = inserted.expect("inserts");
    assert_eq!(inserted.outcomes.len(), 1);
    assert!(inserted.outcomes[0].added > 0, "{inserted:?}");
    inspector.replace(Template::open(&path).expect("opens")).expect("is taken");
    let found = inspector.inspect(&view).expect("inspects");
    assert!((found.score - inserted.outcomes[0].score_after).abs() < 1e-5);
    let teacher = Teacher::new(&path, &Options::default()).expect("threads");
    let known = teacher.insert_view(&view, "again", 1_700_000_001).expect("inserts");
    assert_eq!(known.known, [Path::new("again")], "the same samples are the same picture");
    let history = teacher.history().expect("reads");
    assert_eq!(
        (history.len(), history[0].name.as_str(), history[0].who.as_str()),
        (1, "camera 1", "Keller")
    );
    teacher.undo(None).expect("undoes");
    assert!(std::fs::read(&path).expect("reads") == before, "the bytes from before");
}

/// The programs in `examples/`, which `cargo test` builds.
#[test]
fn the_examples_for_users_run() {
    let bench = Bench::new();
    let template = build(&bench, "t.hetmm", &[]);
    bench.part("new/0.png", 50);
    let bad = bench.blotted_parts("new", 7..8);
    let picture = bench.path("new/0.png");
    let folder =
        Path::new(env!("CARGO_BIN_EXE_hetmm")).parent().expect("a folder").join("examples");
    let run = |name: &str, arguments: &[&str]| -> String {
        let program = folder.join(name);
        assert!(program.exists(), "{}: build it with `cargo build --examples`", program.display());
        let output = std::process::Command::new(program).args(arguments).output().expect("runs");
        assert_code(&output, 0, "");
        stdout(&output)
    };
    let heatmaps = bench.path("heatmaps");
    let told = run("inspect_folder", &[text(&template), text(&bad), text(&heatmaps)]);
    assert_eq!(told.lines().count(), 2, "{told}");
    assert!(told.contains("Ng") && heatmaps.join("007.png").exists(), "{told}");
    let told = run("inspect_memory", &[text(&template), text(&picture)]);
    assert!(told.starts_with("80 pictures in "), "{told}");
    let told = run("swap_template", &[text(&template), text(&picture), "2"]);
    assert!(told.contains("template 1"), "{told}");
    let told = run("own_threshold", &[text(&template), text(&picture), text(&bad.join("007.png"))]);
    assert_eq!(told.lines().count(), 2, "{told}");
    assert!(told.lines().last().is_some_and(|line| line.starts_with("reject")), "{told}");
}
