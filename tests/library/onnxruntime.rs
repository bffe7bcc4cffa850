//! Compares ONNX Runtime with tract: the same features, and clear errors if it cannot be used.
//!
//! `models/fetch_onnxruntime.sh` gets a library, and `ORT_DYLIB_PATH` names it. Without a library, the tests that need
//! it say so and pass.
#![cfg(feature = "onnxruntime")]

use crate::common::{Bench, SMALL, TEMPLATE, assert_code, command, stderr, stdout, text};
use hetmm::backbone::{self, Backbone, Device, ExtractorOptions, Request};
use hetmm::image::NetworkImage;
use prost::Message;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use tract_onnx::pb::ModelProto;

const LITE0: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/efficientnet_lite0.onnx");

/// Returns ONNX Runtime's library, or `None` with a clear message.
fn library() -> Option<PathBuf> {
    let named = std::env::var_os("ORT_DYLIB_PATH").filter(|v| !v.is_empty()).map(PathBuf::from);
    if named.is_none() {
        eprintln!("SKIPPED: ORT_DYLIB_PATH names no ONNX Runtime; see models/fetch_onnxruntime.sh");
    }
    named
}

/// Runs `hetmm` without any ONNX Runtime that the environment names.
fn plain(arguments: &[&str]) -> Output {
    command(arguments).env_remove("ORT_DYLIB_PATH").output().expect("runs")
}

fn open(taps: &[String], device: Device, batch: Option<usize>) -> Arc<dyn Backbone> {
    let request =
        Request { model: None, taps: vec![taps.to_vec()], height: 96, width: 128, made_by: None };
    backbone::open(&request, &ExtractorOptions { device, batch, ..ExtractorOptions::default() })
        .expect("opens")
}

/// Returns all taps of the bundled model.
fn all_taps() -> Vec<String> {
    let model = std::fs::read(LITE0).expect("reads");
    let graph = ModelProto::decode(&model[..]).expect("parses").graph.expect("a graph");
    graph.output.into_iter().map(|o| o.name).collect()
}

/// Makes pictures with structure at every scale.
fn pictures() -> Vec<NetworkImage> {
    (0..3u32)
        .map(|seed| {
            let mut state = seed * 977 + 1;
            let mut noise = move || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state >> 18
            };
            let samples = (0..96 * 128 * 3)
                .map(|i| {
                    let (x, y) = (i / 3 % 128, i / 3 / 128);
                    let block = (x / 16 + y / 12 + seed as usize) % 3 * 16_000;
                    (block + noise() as usize) as u16
                })
                .collect();
            NetworkImage::from_samples(96, 128, samples).expect("fits")
        })
        .collect()
}

#[test]
fn every_tap_gives_the_vectors_that_tract_gives() {
    if library().is_none() {
        return;
    }
    let taps = all_taps();
    assert_eq!(taps.len(), 32);
    let (tract, ort) = (open(&taps, Device::Tract, None), open(&taps, Device::Cpu, None));
    assert_eq!(tract.identity(), ort.identity());
    assert_eq!(tract.extractor(), backbone::TRACT);
    assert!(ort.extractor().starts_with("onnxruntime 1.") && ort.extractor().ends_with(" cpu"));
    for image in pictures() {
        let pairs = tract.features(&image).expect("runs");
        let pairs = pairs.iter().zip(ort.features(&image).expect("runs"));
        for ((a, b), tap) in pairs.zip(&taps) {
            let cosine = |pixel: usize| -> f64 {
                let products = a.vector(pixel).iter().zip(b.vector(pixel));
                products.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
            };
            let is_zero = |pixel: usize| a.vector(pixel).iter().all(|&v| v == 0.0);
            let least = (0..a.pixels()).filter(|&p| !is_zero(p)).map(cosine).fold(1.0, f64::min);
            assert!(least > 0.9999, "{tap}: {least}");
        }
    }
}

#[test]
fn batches_and_parallel_callers_get_the_same_bits() {
    if library().is_none() {
        return;
    }
    let taps = ["block4.exp", "block15.exp"].map(String::from);
    let (one, many) = (open(&taps, Device::Cpu, None), open(&taps, Device::Cpu, Some(3)));
    assert_eq!((one.batch(), many.batch()), (1, 3));
    let images = pictures();
    let want: Vec<_> = images.iter().map(|image| one.features(image).expect("runs")).collect();
    let borrowed: Vec<&NetworkImage> = images.iter().collect();
    assert_eq!(many.features_of_batch(&borrowed).expect("runs"), want);
    assert_eq!(many.features_of_batch(&borrowed[..2]).expect("runs"), want[..2]);
    assert_eq!(many.features(&images[2]).expect("runs"), want[2]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let (one, images, want) = (one.clone(), &images, &want);
            scope.spawn(move || {
                for (image, want) in images.iter().zip(want) {
                    assert_eq!(one.features(image).expect("runs"), *want);
                }
            });
        }
    });
    let odd = NetworkImage::from_samples(64, 64, vec![0; 64 * 64 * 3]).expect("fits");
    let error = one.features(&odd).expect_err("refused").to_string();
    assert!(error.contains("a picture of 64x64 for an input of 96x128"), "{error}");
}

#[test]
fn templates_and_scores_agree_with_tract() {
    let Some(library) = library() else { return };
    let bench = Bench::new();
    let (good, new) = (bench.parts("good", 0..9), bench.parts("new", 20..26));
    let build = |name: &str, more: &[&str]| -> PathBuf {
        let template = bench.path(name);
        let base = ["build", text(&good), "-o", text(&template)];
        // These options leave no choices between equals. Which prototype is kept, and how 8 bits round, can depend on
        // the last digit of a feature.
        let sheets = ["--patches", "3,3", "--sheets", "all", "--storage", "f32"];
        let out = command(&[&base, &SMALL[..], &sheets, more].concat())
            .env("ORT_DYLIB_PATH", &library)
            .output()
            .expect("runs");
        assert_code(&out, 0, "");
        template
    };
    let read = |path: &Path| std::fs::read(path).expect("reads");
    let tract = build("tract.hetmm", &["--device", "tract"]);
    let cpu = build("cpu.hetmm", &["--device", "cpu"]);
    for more in [["--threads", "1"], ["--threads", "5"], ["--batch", "2"], ["--batch", "100"]] {
        let again = build("again.hetmm", &[&["--device", "cpu"], &more[..]].concat());
        assert_eq!(read(&cpu), read(&again), "{more:?}");
    }
    let option = |template: &Path| -> Value {
        let out = stdout(&plain(&["info", text(template), "--json"]));
        serde_json::from_str::<Value>(&out).expect("JSON")["build"]["options"]["engine"].clone()
    };
    assert_eq!(option(&tract), Value::Null);
    assert_eq!(option(&build("usual.hetmm", &[])), "int8");
    assert!(option(&cpu).as_str().expect("a name").starts_with("onnxruntime 1."));

    let scores = |template: &Path, more: &[&str]| -> Vec<f64> {
        let base = ["inspect", text(template), text(&new), "--json"];
        let out = command(&[&base, more].concat())
            .env("ORT_DYLIB_PATH", &library)
            .output()
            .expect("runs");
        assert_code(&out, 0, "");
        let score = |line: &str| -> f64 {
            let result: Value = serde_json::from_str(line).expect("one object a line");
            result["score"].as_f64().expect("a number")
        };
        stdout(&out).lines().map(score).collect()
    };
    let by_tract = scores(&tract, &[]);
    assert!(by_tract.len() == 6 && by_tract.iter().all(|&s| s > 0.1), "{by_tract:?}");
    let named = ["--device", "cpu", "--onnxruntime", text(&library)];
    let others = [
        scores(&tract, &["--device", "cpu"]),
        scores(&tract, &named),
        scores(&cpu, &[]),
        scores(&cpu, &["--device", "cpu"]),
    ];
    for (i, other) in others.iter().enumerate() {
        for (a, b) in by_tract.iter().zip(other) {
            assert!((a - b).abs() <= 1e-3 * a, "pair {i}: {by_tract:?} {other:?}");
        }
    }
    for more in [["--batch", "4"], ["--batch", "100"], ["--threads", "1"], ["--threads", "5"]] {
        assert_eq!(
            scores(&cpu, &[&["--device", "cpu"], &more[..]].concat()),
            others[3],
            "{more:?}"
        );
    }
    for command in ["check", "bench"] {
        let runs: &[&str] = if command == "bench" { &["--runs", "2"] } else { &[] };
        assert_code(&plain(&[&[command, text(&tract)], &named[..], runs].concat()), 0, "");
    }
}

#[test]
fn auto_says_what_it_takes_and_why() {
    let bench = Bench::new();
    let good = bench.parts("good", 0..3);
    let template = bench.path("t.hetmm");
    let base = ["build", text(&good), "-o", text(&template), "--device", "auto"];
    let base = [&base, &SMALL[..], &TEMPLATE[..]].concat();
    let nothing =
        command(&base).env("ORT_DYLIB_PATH", "/no/such/library.so").output().expect("runs");
    assert_code(&nothing, 0, "device auto uses tract");
    assert_code(&nothing, 0, "not cpu: /no/such/library.so");
    let quiet = [&["--quiet"], &base[..]].concat();
    assert_eq!(stderr(&command(&quiet).env("ORT_DYLIB_PATH", "/none").output().expect("runs")), "");
    // A library that is named on the command line must be used.
    assert_code(&plain(&[&base[..], &["--onnxruntime", "/none.so"]].concat()), 5, "/none.so");
    let Some(library) = library() else { return };
    let out = command(&base).env("ORT_DYLIB_PATH", library).output().expect("runs");
    assert_code(&out, 0, "device auto uses onnxruntime 1.");
}

#[test]
fn a_library_that_cannot_be_used_is_refused_with_a_next_step() {
    let bench = Bench::new();
    let good = bench.parts("good", 0..3);
    let (template, model) = (bench.path("t.hetmm"), bench.path("text.so"));
    std::fs::write(&model, b"no library at all").expect("writes");
    let none = bench.path("none.so");
    let old = "const char *version(void) { return \"1.10.0\"; }
        void *api(unsigned v) { return v <= 10 ? (void *)\"x\" : 0; }
        struct { void *(*api)(unsigned); const char *(*version)(void); } base = { api, version };
        void *OrtGetApiBase(void) { return &base; }";
    let liar = old.replace("1.10.0", "9.9.9");
    let cases = [
        (none, "No such file or directory (os error 2) (named by the option onnxruntime)"),
        (model, "cannot be loaded"),
        (bench.path("good"), "no libonnxruntime.so in this folder"),
        (compiled(&bench, "other", "int f(void) { return 1; }"), "it has no OrtGetApiBase"),
        (
            compiled(&bench, "null", "void *OrtGetApiBase(void) { return 0; }"),
            "it gives no interface",
        ),
        (compiled(&bench, "old", old), "ONNX Runtime 1.10.0 is too old: at least 1.17 is needed"),
        (compiled(&bench, "liar", &liar), "ONNX Runtime 9.9.9 is too old"),
    ];
    let base = ["build", text(&good), "-o", text(&template), "--device", "cpu"];
    for (library, message) in cases {
        let out = plain(&[&base[..], &["--onnxruntime", text(&library)], &SMALL].concat());
        assert_code(&out, 5, message);
        assert_code(&out, 5, &format!("{}:", text(&library)));
        assert_code(&out, 5, "`pip install onnxruntime`");
        let named = command(&base).env("ORT_DYLIB_PATH", &library).output().expect("runs");
        assert_code(&named, 5, message.split(" (named").next().expect("words"));
        assert!(!template.exists());
    }
}

/// Compiles a shared library of a few lines of C.
fn compiled(bench: &Bench, name: &str, source: &str) -> PathBuf {
    let (c, so) = (bench.path(&format!("{name}.c")), bench.path(&format!("lib{name}.so")));
    std::fs::write(&c, source).expect("writes");
    let cc = Command::new("cc").args(["-shared", "-fPIC", "-o", text(&so), text(&c)]).status();
    assert!(cc.expect("a C compiler, as building needs one").success());
    so
}

#[test]
fn a_gpu_that_is_not_there_is_an_error_and_never_a_run_on_the_cpu() {
    let Some(library) = library() else { return };
    let bench = Bench::new();
    let good = bench.parts("good", 0..3);
    let template = bench.path("t.hetmm");
    if Path::new("/dev/nvidiactl").exists() {
        eprintln!("SKIPPED: this machine has an NVIDIA GPU");
        return;
    }
    for device in ["cuda", "tensorrt"] {
        let arguments = ["build", text(&good), "-o", text(&template), "--device", device];
        let out = command(&arguments).env("ORT_DYLIB_PATH", &library).output().expect("runs");
        assert_code(&out, 5, &format!("device {device} cannot be used (ONNX Runtime 1."));
        assert_code(&out, 5, "onnxruntime-gpu");
        assert!(!template.exists());
    }
}

#[test]
fn tract_cuda_without_a_gpu_or_not_built_in_is_refused() {
    let bench = Bench::new();
    let good = bench.parts("good", 0..3);
    let template = bench.path("t.hetmm");
    if Path::new("/dev/nvidiactl").exists() {
        eprintln!("SKIPPED: this machine has an NVIDIA GPU");
        return;
    }
    let arguments = ["build", text(&good), "-o", text(&template), "--device", "tract-cuda"];
    let message = match cfg!(feature = "tract-cuda") {
        true => "device tract-cuda cannot be used: ",
        false => "this program was built without tract-cuda",
    };
    assert_code(&plain(&arguments), 5, message);
    assert_code(&plain(&arguments), 5, "-> ");
    assert!(!template.exists());
}

#[test]
fn models_that_cannot_be_used_are_refused() {
    let Some(library) = library() else { return };
    let bench = Bench::new();
    let good = bench.parts("good", 0..3);
    let (template, model) = (bench.path("t.hetmm"), bench.path("m.onnx"));
    let lite0 = std::fs::read(LITE0).expect("reads");
    let spoilt = |spoil: fn(&mut ModelProto)| {
        let mut model = ModelProto::decode(&lite0[..]).expect("parses");
        spoil(&mut model);
        model.encode_to_vec()
    };
    let first = "block1.exp,block4.exp";
    let no_number = |model: &mut ModelProto| {
        let weights = &mut model.graph.as_mut().expect("a graph").initializer;
        let bias = weights.iter_mut().find(|w| w.name == "block1.proj.bias").expect("a bias");
        bias.raw_data = [&f32::NAN.to_le_bytes(), &bias.raw_data[4..]].concat();
    };
    let cases = [
        (
            spoilt(no_number),
            "block1.proj,block4.exp",
            "values that are no numbers, at tap block1.proj",
        ),
        (b"no ONNX at all".to_vec(), first, "m.onnx: not a usable ONNX model"),
        (lite0[..lite0.len() / 2].to_vec(), first, "m.onnx: not a usable ONNX model"),
        (lite0.clone(), "block1.exp,block99.exp", "no tap called block99.exp"),
        (
            spoilt(|m| m.graph.as_mut().expect("a graph").node[0].op_type = "Nonsense".into()),
            first,
            "ONNX Runtime refuses the model",
        ),
        (
            spoilt(|m| m.graph.as_mut().expect("a graph").initializer.truncate(4)),
            first,
            "ONNX Runtime refuses the model",
        ),
        (
            spoilt(|m| m.graph.as_mut().expect("a graph").node[0].attribute.clear()),
            "stem.conv",
            "no tap called stem.conv",
        ),
    ];
    for (bytes, layers, message) in cases {
        std::fs::write(&model, bytes).expect("writes");
        let arguments = [
            &["build", text(&good), "-o", text(&template), "--backbone", text(&model)][..],
            &["--device", "cpu", "--size", "64", "--layers", layers, "--patches", "3,3"],
        ]
        .concat();
        let out = command(&arguments).env("ORT_DYLIB_PATH", &library).output().expect("runs");
        assert_code(&out, 4, message);
        assert!(!template.exists());
    }
}

#[test]
fn options_that_the_device_does_not_have_are_refused() {
    let bench = Bench::new();
    let good = bench.parts("good", 0..3);
    let template = bench.path("t.hetmm");
    let cases: [(&[&str], &str); 7] = [
        (&["--batch", "2"], "--batch: does nothing on this device"),
        (&["--device", "tract", "--onnxruntime", "l.so"], "--onnxruntime: does nothing"),
        (&["--device", "cpu", "--fp16"], "--fp16: does nothing"),
        (&["--device", "cpu", "--tf32"], "--tf32: does nothing"),
        (&["--device", "cpu", "--device-index", "1"], "--device-index: does nothing"),
        (&["--device", "cpu", "--batch", "0"], "--batch: must be from 1"),
        (&["--device", "gpu"], "tensorrt"),
    ];
    for (more, message) in cases {
        let base = ["build", text(&good), "-o", text(&template)];
        assert_code(&plain(&[&base, more].concat()), 2, message);
        assert!(!template.exists());
    }
}
