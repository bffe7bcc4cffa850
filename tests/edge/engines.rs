//! Tests the feature extractor on the device: ONNX Runtime on the CPU, and how it fails.
//!
//! The fault is a real one at the place where feature extractors fail. A library stands between the program and ONNX
//! Runtime's library. It passes every call on, and lets `Run` fail while a file says so.
#![cfg(feature = "onnxruntime")]

use super::{CONFIG, Desk, demo, stderr};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Returns ONNX Runtime's library, or `None` with a clear message.
fn library() -> Option<PathBuf> {
    let named = std::env::var_os("ORT_DYLIB_PATH").filter(|v| !v.is_empty()).map(PathBuf::from);
    if named.is_none() {
        eprintln!("SKIPPED: ORT_DYLIB_PATH names no ONNX Runtime; see models/fetch_onnxruntime.sh");
    }
    named
}

/// Gives a desk a template of features of 32 bits, which ONNX Runtime can use.
fn give_32_bits(desk: &Desk) {
    static TEMPLATE: OnceLock<Vec<u8>> = OnceLock::new();
    let template = TEMPLATE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("part.hetmm");
        let built = Command::new(env!("CARGO_BIN_EXE_hetmm"))
            .args(["build", "--device", "tract", "--no-audit", "-o"])
            .args([&path, &demo().join("parts/train/good")])
            .output()
            .expect("runs");
        assert!(built.status.success(), "{}", stderr(&built));
        std::fs::read(path).expect("reads")
    });
    std::fs::write(desk.path("part.hetmm"), template).expect("writes");
}

/// The source of a library that stands between the program and ONNX Runtime. If the file FAULT says `error`, `Run`
/// returns an error. If it says `nothing`, `Run` reports success and returns nothing, which panics in the program.
/// CreateStatus is the first function of the interface, and Run the tenth. Both have stood there since the first
/// release.
const BETWEEN: &str = r#"
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
struct base { const void *(*api)(unsigned); const char *(*version)(void); };
static const struct base *real;
static void *table[COUNT];
static void *(*real_run)(void *, void *, void *, void *, size_t, void *, size_t, void *);
static void *run(void *a, void *b, void *c, void *d, size_t e, void *f, size_t g, void *h) {
    char word[16] = "";
    FILE *file = fopen(FAULT, "r");
    if (file) {
        fgets(word, sizeof word, file);
        fclose(file);
    }
    if (!strcmp(word, "error"))
        return ((void *(*)(int, const char *))table[0])(1, "a fault on purpose");
    return strcmp(word, "nothing") ? real_run(a, b, c, d, e, f, g, h) : 0;
}
static const void *api(unsigned version) {
    const void *functions = real->api(version);
    if (!functions) return 0;
    memcpy(table, functions, sizeof table);
    real_run = table[9];
    table[9] = run;
    return table;
}
static const char *version(void) { return real->version(); }
static const struct base base = { api, version };
const struct base *OrtGetApiBase(void) {
    void *library = dlopen(REAL, RTLD_NOW);
    real = library ? ((const struct base *(*)(void))dlsym(library, "OrtGetApiBase"))() : 0;
    return real ? &base : 0;
}
"#;

/// Holds a device whose ONNX Runtime has a fault that [`Faulty::fault`] switches on and off.
struct Faulty {
    desk: Desk,
    file: PathBuf,
}

impl Faulty {
    /// Makes a device whose features ONNX Runtime computes. `more` goes below `[template]`.
    fn new(library: &Path, more: &str) -> Self {
        let between = |desk: &Desk| desk.path("libonnxruntime.so");
        let lines = format!(
            "file = \"part.hetmm\"\ndevice = \"cpu\"\nonnxruntime = \"libonnxruntime.so\"\n{more}"
        );
        let desk = Desk::new(&CONFIG.replace("file = \"part.hetmm\"", &lines));
        give_32_bits(&desk);
        let (source, file) = (desk.path("between.c"), desk.path("fault"));
        std::fs::write(&source, BETWEEN).expect("writes");
        let functions = size_of::<ort::sys::OrtApi>() / size_of::<usize>();
        let compiled = Command::new("cc")
            .args(["-O1", "-shared", "-fPIC", &format!("-DCOUNT={functions}")])
            .arg(format!("-DREAL=\"{}\"", library.display()))
            .arg(format!("-DFAULT=\"{}\"", file.display()))
            .arg("-o")
            .args([&between(&desk), &source])
            .arg("-ldl")
            .status();
        assert!(compiled.expect("a C compiler, as building needs one").success());
        Faulty { desk, file }
    }

    fn fault(&self, word: &str) {
        std::fs::write(&self.file, word).expect("writes");
    }

    fn extractor(&self) -> String {
        let status = self.desk.ask("status");
        status["template"]["engine"].as_str().unwrap_or("none").to_owned()
    }

    fn wait_for_engine(&self, name: &str) -> Value {
        self.desk.wait_for(name, |status| {
            let extractor = status["template"]["engine"].as_str();
            extractor.is_some_and(|e| e.starts_with(name)) && status["state"] == "ready"
        })
    }
}

#[test]
fn an_engine_that_fails_costs_its_part_and_the_line_goes_on_with_tract() {
    let Some(library) = library() else { return };
    let mut line = Faulty::new(&library, "");
    line.desk.start();
    line.wait_for_engine("onnxruntime 1.");
    let process = line.desk.child.as_ref().expect("runs").id();
    assert_eq!(line.desk.ask("trigger")["outcome"], "passed");
    for (round, fault) in ["error", "nothing"].into_iter().enumerate() {
        line.fault(fault);
        let lost = line.desk.ask("trigger");
        assert_eq!(lost["why"], "inspection_failed", "{lost}");
        let status = line.wait_for_engine("tract");
        let counted = (&status["template"]["engine_failures"], &status["template"]["fallbacks"]);
        assert_eq!(counted, (&Value::from(round + 1), &Value::from(round + 1)), "{status}");
        assert!(!status["faults"].as_array().expect("faults").contains(&"engine".into()));
        assert_eq!(line.desk.ask("trigger")["outcome"], "passed");
        // The feature extractor is not tried again without a request, and not used while it fails.
        let refused = line.desk.ask("reload");
        assert!(refused["error"].is_string(), "{refused}");
        assert_eq!(line.extractor(), "tract");
        assert_eq!(line.desk.ask("trigger")["outcome"], "passed");
        line.fault("");
        let taken = line.desk.ask("reload");
        assert!(taken["done"].as_str().is_some_and(|d| d.contains("features by onnxruntime 1.")));
        assert_eq!(line.desk.ask("trigger")["outcome"], "passed");
    }
    let last = line.desk.ask("status")["template"]["last_engine_failure"].clone();
    assert!(last.as_str().is_some_and(|why| why.contains("it panicked")), "{last}");
    assert_eq!(line.desk.child.as_ref().expect("runs").id(), process);
    assert_eq!(line.desk.stop(), 0);
    let log = line.desk.log();
    assert!(log.contains("a fault on purpose") && log.contains("tract takes its place"), "{log}");
    // A lost part is rejected at the gate, and the fault output has shown each failure.
    let lost: Vec<Value> = line.desk.lines("parts.jsonl");
    let lost: Vec<&Value> = lost.iter().filter(|r| r["why"] == "inspection_failed").collect();
    assert_eq!(lost.len(), 2);
    let edges = line.desk.lines("edges.jsonl");
    for part in lost {
        let trigger = part["trigger_us"].as_u64().expect("a time");
        let during = |line: &str, from: u64, to: u64| {
            edges.iter().any(|e| {
                let at = e["due_us"].as_u64().expect("a time");
                e["line"] == line
                    && e["active"] == true
                    && (trigger + from..trigger + to).contains(&at)
            })
        };
        assert!(during("ng", 999_000, 2_000_000), "{part} {edges:?}");
        assert!(during("fault", 0, 1_000_000), "{part} {edges:?}");
    }
}

#[test]
fn without_fallback_the_line_stands_until_the_engine_works_again() {
    let Some(library) = library() else { return };
    let mut line = Faulty::new(&library, "fallback = false\n");
    line.desk.start();
    line.wait_for_engine("onnxruntime 1.");
    line.fault("error");
    assert_eq!(line.desk.ask("trigger")["why"], "inspection_failed");
    let status = line.desk.wait_for("refusal", |s| s["template"]["refused"].is_string());
    assert_eq!(
        (&status["state"], &status["template"]["engine"]),
        (&"not_ready".into(), &Value::Null)
    );
    assert!(status["faults"].as_array().expect("faults").contains(&"engine".into()), "{status}");
    assert_eq!(line.desk.ask("trigger")["why"], "missed");
    assert!(line.desk.ask("reload")["error"].is_string());
    line.fault("");
    assert!(line.desk.ask("reload")["done"].is_string());
    let status = line.wait_for_engine("onnxruntime 1.");
    assert_eq!(status["template"]["fallbacks"], 0);
    assert_eq!(line.desk.ask("trigger")["outcome"], "passed");
    assert_eq!(line.desk.stop(), 0);
}

#[test]
fn an_engine_that_fails_once_is_opened_anew_without_fallback() {
    let Some(library) = library() else { return };
    let mut line = Faulty::new(&library, "fallback = false\n");
    // The part reads the first word of a pipe. The next reader finds nothing in it.
    line.desk.start();
    line.wait_for_engine("onnxruntime 1.");
    let pipe = Command::new("mkfifo").arg(&line.file).status();
    assert!(pipe.expect("mkfifo runs").success());
    let file = line.file.clone();
    let writer = std::thread::spawn(move || {
        std::fs::write(&file, "error").expect("writes");
        std::fs::remove_file(&file).expect("removes");
    });
    assert_eq!(line.desk.ask("trigger")["why"], "inspection_failed");
    writer.join().expect("ends");
    let status = line.wait_for_engine("onnxruntime 1.");
    let counted = (&status["template"]["engine_failures"], &status["template"]["fallbacks"]);
    assert_eq!(counted, (&Value::from(1), &Value::from(0)), "{status}");
    assert_eq!(line.desk.ask("trigger")["outcome"], "passed");
    assert_eq!(line.desk.stop(), 0);
}

#[test]
fn auto_takes_what_proves_the_template_and_says_why_not_the_others() {
    let auto = CONFIG.replace("file = \"part.hetmm\"", "file = \"part.hetmm\"\ndevice = \"auto\"");
    let check = |library: &Path| {
        let desk = Desk::new(&auto);
        give_32_bits(&desk);
        let out = desk.command().arg("--check").env("ORT_DYLIB_PATH", library).output();
        let out = out.expect("runs");
        assert!(out.status.success(), "{}", stderr(&out));
        stderr(&out)
    };
    let nothing = check(Path::new("/no/such/library.so"));
    assert!(nothing.contains("features by tract"), "{nothing}");
    for word in ["not tensorrt: ", "not cuda: ", "not cpu: /no/such/library.so"] {
        assert!(nothing.contains(word), "{nothing}");
    }
    let Some(library) = library() else { return };
    if Path::new("/dev/nvidiactl").exists() {
        eprintln!("SKIPPED: this machine has an NVIDIA GPU");
        return;
    }
    let cpu = check(&library);
    assert!(cpu.contains("features by onnxruntime 1.") && cpu.contains(" cpu"), "{cpu}");
    assert!(cpu.contains("not tensorrt: ") && cpu.contains("not cuda: "), "{cpu}");
    let mut desk = Desk::new(&auto);
    give_32_bits(&desk);
    desk.start();
    let status = desk.wait_until_ready();
    assert!(status["template"]["engine"].as_str().is_some_and(|e| e.ends_with(" cpu")), "{status}");
    assert!(desk.log().contains("not cuda: device cuda cannot be used"), "{}", desk.log());
    assert_eq!(desk.ask("trigger")["outcome"], "passed");
    assert_eq!(desk.stop(), 0);
}

#[test]
fn a_template_of_eight_bits_is_never_computed_in_32() {
    let check = |device: &str| {
        let device = format!("file = \"part.hetmm\"\ndevice = \"{device}\"");
        let desk = Desk::new(&CONFIG.replace("file = \"part.hetmm\"", &device));
        desk.command().arg("--check").output().expect("runs")
    };
    for device in ["usual", "int8", "auto"] {
        let out = check(device);
        assert!(
            out.status.success() && stderr(&out).contains("features by int8"),
            "{}",
            stderr(&out)
        );
    }
    let out = check("tract");
    assert!(!out.status.success() && stderr(&out).contains("golden probe"), "{}", stderr(&out));
}

#[test]
fn an_engine_that_cannot_be_used_keeps_the_line_from_ready() {
    let config = |lines: &str| {
        CONFIG.replace("file = \"part.hetmm\"", &format!("file = \"part.hetmm\"\n{lines}"))
    };
    let mut desk = Desk::new(&config("device = \"cpu\"\nonnxruntime = \"none.so\""));
    let out = desk.command().arg("--check").output().expect("runs");
    assert_eq!(out.status.code(), Some(5), "{}", stderr(&out));
    assert!(stderr(&out).contains("none.so") && stderr(&out).contains("-> "), "{}", stderr(&out));
    // The fallback is for what fails while parts come, not for a wrong setup.
    desk.start();
    let status = desk.wait_for("refusal", |s| s["template"]["refused"].is_string());
    assert_eq!(
        (&status["state"], &status["template"]["engine"]),
        (&"not_ready".into(), &Value::Null)
    );
    assert_eq!(desk.ask("trigger")["why"], "missed");
    assert_eq!(desk.stop(), 0);
    let Some(library) = library() else { return };
    if !Path::new("/dev/nvidiactl").exists() {
        for device in ["cuda", "tensorrt"] {
            let desk = Desk::new(&config(&format!("device = \"{device}\"")));
            let out = desk.command().arg("--check").env("ORT_DYLIB_PATH", &library).output();
            let out = out.expect("runs");
            assert_eq!(out.status.code(), Some(5), "{}", stderr(&out));
            let word = format!("device {device} cannot be used");
            assert!(stderr(&out).contains(&word), "{}", stderr(&out));
        }
    }
}
