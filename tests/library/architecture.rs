//! Checks the invariants of ARCHITECTURE.md that a test can check.

mod imports;

use imports::Crate;
use std::path::{Path, PathBuf};

/// The modules from the lowest to the highest. Each uses only those before it.
const ORDER: &[&str] = &[
    "error",
    "wording",
    "containment",
    "workers",
    "files",
    "processor",
    "feature_map",
    "image",
    "clock",
    "camera",
    "gpio",
    "backbone",
    "matching",
    "selection",
    "scoring",
    "metrics",
    "template",
    "inspection",
    "heatmap",
    "sensitivity",
    "update",
    "embed",
    "builder",
    "adjust",
    "describe",
    "evaluation",
    "report",
    "line",
    "release",
];
/// The modules that do no I/O, read no clock and start no threads.
const PURE: [&str; 8] = [
    "feature_map",
    "matching",
    "selection",
    "scoring",
    "metrics",
    "sensitivity",
    "line/drift",
    "line/tracker",
];
/// The names that pure modules must not use.
const IMPURE: [&str; 9] = [
    "std::fs",
    "std::io",
    "std::net",
    "std::thread",
    "Instant",
    "SystemTime",
    "LineTime::now",
    "ThreadPool",
    "println!",
];
/// The only files with `unsafe` code.
const UNSAFE: [&str; 12] = [
    "backbone/network/int8/aarch64.rs",
    "backbone/network/int8/kernel.rs",
    "backbone/network/int8/x86.rs",
    "backbone/network/onnxruntime/library.rs",
    "builder/store.rs",
    "camera/v4l2_device.rs",
    "line/wall_clock.rs",
    "matching/aarch64.rs",
    "matching/avx_vnni.rs",
    "matching/vnni.rs",
    "matching/x86.rs",
    "template/load.rs",
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("reads").map(|e| e.expect("reads").path());
    entries
        .flat_map(|p| if p.is_dir() { rust_files(&p) } else { vec![p] })
        .filter(|p| p.extension().is_some_and(|e| e == "rs"))
        .collect()
}

/// Returns every file of a module, with its path below `src` and its text.
fn files_of(module: &str) -> Vec<(String, String)> {
    let (single, folder) = (source().join(format!("{module}.rs")), source().join(module));
    let single = single.exists().then_some(single);
    let below = if folder.is_dir() { rust_files(&folder) } else { Vec::new() };
    let files: Vec<PathBuf> = single.into_iter().chain(below).collect();
    files
        .iter()
        .map(|p| {
            let name = p.strip_prefix(source()).expect("below src").display().to_string();
            (name, std::fs::read_to_string(p).expect("reads"))
        })
        .collect()
}

fn crates() -> Vec<Crate> {
    ["lib.rs", "bin/hetmm/main.rs", "bin/hetmm-edge/main.rs"]
        .map(|root| Crate::read(&source().join(root)))
        .into()
}

#[test]
fn lower_modules_never_use_higher_ones() {
    let library = Crate::read(&source().join("lib.rs"));
    let rank = |module: &[String]| {
        ORDER.iter().position(|name| Some(*name) == module.first().map(String::as_str))
    };
    for (from, to) in &library.imports {
        let (Some(lower), Some(higher)) = (rank(from), rank(to)) else { continue };
        assert!(higher <= lower, "{} uses {}", library.files[from], library.files[to]);
    }
    for module in library.files.keys().filter(|module| module.len() == 1) {
        assert!(rank(module).is_some(), "{module:?} has no place in the order");
    }
    assert!(ORDER.iter().all(|name| library.files.contains_key(&vec![(*name).to_owned()])));
}

#[test]
fn no_file_imports_another_that_imports_it() {
    let crates = crates();
    assert!(crates.iter().all(|read| read.imports.len() > 5), "no imports are found");
    let circles: Vec<Vec<String>> = crates.iter().flat_map(Crate::circles).collect();
    assert!(circles.is_empty(), "circles of imports: {circles:#?}");
}

/// Covers everything that the tests above read from sources, in every form that Rust has for it.
#[test]
fn every_form_of_import_is_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let put = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("is made");
        std::fs::write(path, text).expect("is written");
    };
    put("lib.rs", "pub mod a; pub mod b; pub mod c; pub mod d; pub mod e; pub mod f;");
    put("a.rs", "use crate::{b::X, c::{self, Y}};");
    put("b/mod.rs", "mod inner; pub use inner::X; fn f() { assert!(crate::c::g(1) == 2) }");
    put("b/inner.rs", "pub struct X; #[cfg(test)] mod tests { use super::super::super::a; }");
    put("c.rs", "use super::b as other; pub struct Y;");
    put("d.rs", "fn f(x: &crate::e::Z) {} mod within { use super::super::f::*; }");
    put("e.rs", "pub(super) struct Z; use std::crate_of_another::b;");
    put("f.rs", "mod deep; fn f() { deep::g() }");
    put("f/deep.rs", "pub fn g() { super::super::d::f() }");
    let read = Crate::read(&folder.path().join("lib.rs"));
    let found: Vec<String> = read
        .imports
        .iter()
        .map(|(from, to)| format!("{} {}", from.join("/"), to.join("/")))
        .collect();
    let expected = ["a b/inner", "a c", "b c", "c b", "d e", "d f", "f f/deep", "f/deep d"];
    assert_eq!(found, expected);
    let circles = [
        vec!["b/mod.rs uses c.rs", "c.rs uses b/mod.rs"],
        vec!["d.rs uses f.rs", "f.rs uses f/deep.rs", "f/deep.rs uses d.rs"],
    ];
    assert_eq!(read.circles(), circles);
}

/// A plugin has no command line, and the device has a configuration. So the programs word what to choose.
#[test]
fn the_library_names_no_option_of_a_command_line() {
    let programs = source().join("bin");
    for path in rust_files(&source()).iter().filter(|path| !path.starts_with(&programs)) {
        let text = std::fs::read_to_string(path).expect("reads");
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let is_option = |line: &&str| {
            let mut after = line.split("--").skip(1);
            let is_code = !line.trim_start().starts_with("//");
            is_code && after.any(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()))
        };
        // A custom property of a style sheet is not an option.
        let is_style = |line: &&str| line.contains("\"--w:{}");
        let found = code.lines().find(|line| is_option(line) && !is_style(line));
        assert!(found.is_none(), "{}: {found:?}", path.display());
    }
}

/// With `panic = "abort"` nothing is contained, and one picture ends the device program.
#[test]
fn panics_unwind_in_every_profile() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let text = std::fs::read_to_string(manifest).expect("reads");
    assert!(text.contains("[profile.release") && !text.contains("panic ="));
}

#[test]
fn pure_modules_stay_pure() {
    for (name, text) in PURE.iter().flat_map(|m| files_of(m)) {
        for word in IMPURE {
            assert!(!text.contains(word), "{name} names {word}");
        }
    }
}

#[test]
fn unsafe_code_stays_where_it_is_declared() {
    for path in rust_files(&source()) {
        let name = path.strip_prefix(source()).expect("below src").display().to_string();
        let text = std::fs::read_to_string(&path).expect("reads");
        let allowed = text.contains("#![allow(unsafe_code)]");
        assert_eq!(allowed, UNSAFE.contains(&name.as_str()), "{name}");
    }
}

/// Returns the files of the device program and of what only it uses.
fn device_files() -> Vec<PathBuf> {
    let folders = ["bin/hetmm-edge", "camera", "gpio", "line"].map(|folder| source().join(folder));
    let below = folders.iter().flat_map(|folder| rust_files(folder));
    below.chain([source().join("clock.rs")]).collect()
}

/// A plugin has one file at the boundary to the other language.
#[test]
fn unsafe_code_of_a_plugin_stays_in_its_boundary() {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugin");
    for plugin in std::fs::read_dir(plugins).expect("reads").map(|e| e.expect("reads").path()) {
        for path in rust_files(&plugin.join("src")) {
            let text = std::fs::read_to_string(&path).expect("reads");
            let allowed = text.contains("allow(unsafe_code");
            assert_eq!(allowed, path.ends_with("ffi.rs"), "{}", path.display());
        }
    }
}

/// NTP may step the wall clock at any moment. Only what is written for people may read it: the records, their chain and
/// the journal of a template.
#[test]
fn nothing_on_the_line_is_timed_by_the_wall_clock() {
    for path in device_files() {
        let text = std::fs::read_to_string(&path).expect("reads");
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let asks = text.contains("SystemTime::now") || text.contains("CLOCK_REALTIME");
        let for_people =
            ["line/drift_keeper.rs", "line/record.rs", "line/teach.rs", "line/wall_clock.rs"];
        let for_people = for_people.iter().any(|p| path.ends_with(p));
        assert_eq!(asks, for_people, "{}", path.display());
    }
}

/// The code of the device must not panic. The lints are at the top of its roots, and only tests switch them off.
#[test]
fn the_device_denies_what_can_panic() {
    let lints = ["expect_used", "indexing_slicing", "panic", "unwrap_used", "unreachable", "todo"];
    for root in
        ["camera/mod.rs", "clock.rs", "gpio/mod.rs", "line/mod.rs", "bin/hetmm-edge/main.rs"]
    {
        let text = std::fs::read_to_string(source().join(root)).expect("reads");
        let deny = text.split("#![deny(").nth(1).and_then(|t| t.split(")]").next());
        let deny = deny.expect("a list of denied lints");
        for lint in lints {
            assert!(deny.contains(&format!("clippy::{lint}")), "{root} does not deny {lint}");
        }
    }
    for path in device_files() {
        let text = std::fs::read_to_string(&path).expect("reads");
        for lint in lints {
            let switched_off = text.contains(&format!("allow(clippy::{lint}"));
            let under_test = text.contains("cfg_attr(\n    test,");
            assert!(!switched_off || under_test, "{} allows {lint}", path.display());
        }
    }
}

/// `println!` and similar macros panic if nobody can take what they print, as on a full disk.
#[test]
fn the_programs_deny_printing_that_can_panic() {
    for root in ["bin/hetmm/main.rs", "bin/hetmm-edge/main.rs"] {
        let text = std::fs::read_to_string(source().join(root)).expect("reads");
        let deny = text.split("#![deny(").nth(1).and_then(|t| t.split(")]").next());
        let deny = deny.expect("a list of denied lints");
        assert!(deny.contains("clippy::print_stdout"), "{root} may print to standard output");
    }
    for path in rust_files(&source().join("bin")) {
        let text = std::fs::read_to_string(&path).expect("reads");
        assert!(!text.contains("allow(clippy::print_"), "{} may print", path.display());
    }
}
