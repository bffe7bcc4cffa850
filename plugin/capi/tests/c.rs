//! The C library from outside: the header is fresh, a C program gives the same results as the tool, abuse is an error.
#![allow(unsafe_code, clippy::undocumented_unsafe_blocks)]

use hetmm_capi::ffi::*;
use std::ffi::{CStr, CString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr::{null, null_mut};

const TEMPLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/template_v1.hetmm");
const SIDE: usize = 64;

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `HETMM_WRITE_HEADER=1` writes the header in place of comparing it.
#[test]
fn the_header_is_made_of_the_code() {
    let config = cbindgen::Config::from_file(folder().join("cbindgen.toml")).expect("reads");
    let made = cbindgen::Builder::new()
        .with_src(folder().join("src/ffi.rs"))
        .with_config(config)
        .generate()
        .expect("is made");
    let mut text = Vec::new();
    made.write(&mut text);
    let path = folder().join("include/hetmm.h");
    if std::env::var_os("HETMM_WRITE_HEADER").is_some() {
        std::fs::write(&path, &text).expect("is written");
    }
    let kept = std::fs::read(&path).expect("a header");
    assert!(kept == text, "include/hetmm.h is old: HETMM_WRITE_HEADER=1 cargo test -p hetmm-capi");
}

fn template() -> *mut hetmm_template {
    let path = CString::new(TEMPLATE).expect("a path");
    let mut template = null_mut();
    assert_eq!(
        unsafe { hetmm_template_open(path.as_ptr(), &mut template) },
        HETMM_OK,
        "{}",
        words()
    );
    template
}

fn inspector() -> *mut hetmm_inspector {
    let (template, mut inspector) = (template(), null_mut());
    let made = unsafe { hetmm_inspector_new(template, null(), &mut inspector) };
    assert_eq!(made, HETMM_OK, "{}", words());
    unsafe { hetmm_template_free(template) };
    inspector
}

fn words() -> String {
    unsafe { CStr::from_ptr(hetmm_last_error()) }.to_string_lossy().into_owned()
}

fn picture(pixels: &[u8]) -> hetmm_picture {
    hetmm_picture {
        struct_size: size_of::<hetmm_picture>(),
        data: pixels.as_ptr().cast(),
        data_size: pixels.len(),
        width: SIDE as u32,
        height: SIDE as u32,
        stride: 3 * SIDE,
        format: HETMM_RGB8,
        reserved: 0,
    }
}

fn pixels() -> Vec<u8> {
    (0..3 * SIDE * SIDE).map(|i| (i * 7 % 251) as u8).collect()
}

#[test]
fn a_picture_has_the_same_result_as_in_rust() {
    let (inspector, pixels) = (inspector(), pixels());
    let options = hetmm::Options::default();
    let own = hetmm::Inspector::open(TEMPLATE, &options).expect("opens");
    let view = hetmm::PictureView::rgb8(&pixels, 64, 64, 192).expect("fits");
    let want = own.inspect(&view).expect("inspects");
    let (mut verdict, mut found) = (0, null_mut());
    let status = unsafe { hetmm_inspect(inspector, &picture(&pixels), &mut verdict, &mut found) };
    assert_eq!(status, HETMM_OK, "{}", words());
    unsafe {
        assert_eq!(hetmm_inspection_score(found).to_bits(), want.score.to_bits());
        assert_eq!(hetmm_inspection_threshold(found), want.threshold);
        assert_eq!(hetmm_inspection_verdict(found), verdict);
        assert_eq!(hetmm_inspection_region_count(found), want.regions.len());
        assert_eq!(hetmm_inspection_generation(found), 1);
        let (mut width, mut height) = (0, 0);
        let map = hetmm_inspection_map(found, &mut width, &mut height);
        let map = std::slice::from_raw_parts(map, (width * height) as usize);
        assert_eq!(map, want.map().values);
        for (index, region) in want.regions.iter().enumerate() {
            let mut got: hetmm_region = std::mem::zeroed();
            got.struct_size = size_of::<hetmm_region>();
            assert_eq!(hetmm_inspection_region(found, index, &mut got), HETMM_OK);
            assert_eq!((got.x, got.y, got.area, got.counts), (region.x, region.y, region.area, -1));
            assert!(got.area_mm2.is_nan() && got.zone.is_null());
        }
        let told = CStr::from_ptr(hetmm_inspection_json(found)).to_str().expect("UTF-8");
        let told: serde_json::Value = serde_json::from_str(told).expect("JSON");
        assert_eq!(told["score"], want.to_json()["score"]);
        hetmm_inspection_free(found);
        hetmm_inspector_free(inspector);
    }
}

#[test]
fn abuse_is_an_error_and_never_ok() {
    let (inspector, pixels) = (inspector(), pixels());
    let good = picture(&pixels);
    let wrong = [
        (hetmm_picture { struct_size: 8, ..good }, HETMM_USAGE, "struct_size"),
        (hetmm_picture { struct_size: usize::MAX, ..good }, HETMM_USAGE, "struct_size"),
        (hetmm_picture { data: null(), ..good }, HETMM_USAGE, "NULL"),
        (hetmm_picture { data_size: good.data_size - 1, ..good }, HETMM_IMAGE, "too few"),
        (hetmm_picture { data_size: usize::MAX, ..good }, HETMM_USAGE, "memory"),
        (hetmm_picture { stride: 191, ..good }, HETMM_IMAGE, "stride"),
        (hetmm_picture { stride: usize::MAX, ..good }, HETMM_IMAGE, "too few"),
        (hetmm_picture { format: 0, ..good }, HETMM_USAGE, "format"),
        (hetmm_picture { format: 99, ..good }, HETMM_USAGE, "format"),
        (hetmm_picture { width: 0, ..good }, HETMM_IMAGE, "too few"),
        (hetmm_picture { reserved: 1, ..good }, HETMM_USAGE, "reserved"),
    ];
    for (picture, status, word) in wrong {
        let (mut verdict, mut found) =
            (HETMM_VERDICT_OK, std::ptr::dangling_mut::<hetmm_inspection>());
        let got = unsafe { hetmm_inspect(inspector, &picture, &mut verdict, &mut found) };
        assert_eq!((got, verdict), (status, HETMM_VERDICT_NG), "{word}: {}", words());
        assert!(found.is_null() && words().contains(word), "{word}: {}", words());
    }
    unsafe {
        let mut verdict = HETMM_VERDICT_OK;
        assert_eq!(hetmm_inspect(null(), &good, &mut verdict, null_mut()), HETMM_USAGE);
        assert_eq!(verdict, HETMM_VERDICT_NG);
        assert_eq!(hetmm_inspect(inspector, null(), &mut verdict, null_mut()), HETMM_USAGE);
        assert_eq!(hetmm_inspect(inspector, &good, null_mut(), null_mut()), HETMM_USAGE);
        assert_eq!(hetmm_template_open(null(), &mut null_mut()), HETMM_USAGE);
        assert_eq!(hetmm_template_open(c"none.hetmm".as_ptr(), null_mut()), HETMM_IO);
        let mut template = null_mut();
        let junk = [7u8; 300];
        let opened = hetmm_template_from_bytes(junk.as_ptr().cast(), junk.len(), &mut template);
        assert_eq!((opened, template), (HETMM_TEMPLATE, null_mut()), "{}", words());
        assert_eq!(hetmm_inspection_verdict(null()), HETMM_VERDICT_NONE);
        assert!(hetmm_inspection_score(null()).is_nan() && hetmm_inspection_json(null()).is_null());
        let mut options: hetmm_options = std::mem::zeroed();
        hetmm_options_init(&mut options, size_of::<hetmm_options>());
        for (device, flags) in [(c"abacus", 0), (c"tract", 64)] {
            (options.device, options.flags) = (device.as_ptr(), flags);
            let (own, mut made) = (self::template(), null_mut());
            assert_eq!(hetmm_inspector_new(own, &options, &mut made), HETMM_USAGE, "{}", words());
            hetmm_template_free(own);
        }
        hetmm_template_free(null_mut());
        hetmm_inspector_free(inspector);
        hetmm_inspector_free(null_mut());
        hetmm_string_free(null_mut());
    }
    assert_eq!(hetmm_abi(), HETMM_ABI);
}

/// The C compiler, and the folder of the library that was built for this test.
fn compiler() -> Option<(Command, PathBuf)> {
    let library = std::env::current_exe().ok()?.parent()?.to_owned();
    if Command::new("cc").arg("--version").output().is_err() {
        eprintln!("SKIPPED: there is no C compiler; no C program was tried");
        return None;
    }
    assert!(library.join("libhetmm_capi.so").exists(), "no library in {}", library.display());
    Some((Command::new("cc"), library))
}

#[test]
fn the_example_compiles_as_c_and_gives_one_line_a_picture() {
    let Some((mut cc, library)) = compiler() else { return };
    let scratch = tempfile::tempdir().expect("a folder");
    let program = scratch.path().join("inspect");
    // The loader looks for the library by its soname.
    std::fs::copy(library.join("libhetmm_capi.so"), scratch.path().join("libhetmm.so.0"))
        .expect("copies");
    std::os::unix::fs::symlink("libhetmm.so.0", scratch.path().join("libhetmm.so")).expect("links");
    let strict = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"];
    cc.args(strict).arg("-I").arg(folder().join("include"));
    cc.arg(folder().join("examples/inspect.c")).arg("-L").arg(scratch.path());
    let built = cc.args(["-lhetmm", "-o"]).arg(&program).output().expect("runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let picture = scratch.path().join("a.ppm");
    let mut file = b"P6 64 64 255\n".to_vec();
    file.extend(pixels());
    std::fs::write(&picture, file).expect("writes");
    let output = Command::new(&program)
        .arg(TEMPLATE)
        .args([&picture, &scratch.path().join("none.png")])
        .env("LD_LIBRARY_PATH", scratch.path())
        .output()
        .expect("runs");
    let (told, error) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(told.lines().count(), 1, "{told} {error}");
    let found: serde_json::Value = serde_json::from_str(told.trim()).expect("JSON");
    assert!(found["score"].is_number() && error.contains("none.png"), "{found} {error}");
    assert_eq!(output.status.code(), Some(1), "the picture that is not there rejects its part");
    let cpp = Command::new("c++")
        .args(["-x", "c++", "-fsyntax-only", "-Wall", "-Werror"])
        .arg(folder().join("include/hetmm.h"))
        .output();
    if let Ok(cpp) = cpp {
        assert!(cpp.status.success(), "{}", String::from_utf8_lossy(&cpp.stderr));
    }
}
