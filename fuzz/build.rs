//! Links LLVM's libFuzzer, of Debian's package `libclang-rt-14-dev` or a newer one. `LIBFUZZER` names another archive.

use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-env-changed=LIBFUZZER");
    println!("cargo:rerun-if-changed=build.rs");
    let archive = std::env::var_os("LIBFUZZER").map(PathBuf::from).or_else(installed);
    let Some(archive) = archive else {
        panic!(
            "libFuzzer is not there: install libclang-rt-14-dev, or name the archive in LIBFUZZER"
        );
    };
    println!("cargo:rustc-link-arg-bins={}", archive.display());
    println!("cargo:rustc-link-arg-bins=-lstdc++");
    // The crate `counters` stands between the counted code and libFuzzer.
    for announced in ["8bit_counters_init", "pcs_init"] {
        println!("cargo:rustc-link-arg-bins=-Wl,--wrap=__sanitizer_cov_{announced}");
    }
}

/// Returns the newest archive for this processor.
fn installed() -> Option<PathBuf> {
    let processor = std::env::var("CARGO_CFG_TARGET_ARCH").ok()?;
    let name = format!("libclang_rt.fuzzer-{processor}.a");
    let folders = |folder: PathBuf| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = folders("/usr/lib".into())
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("llvm-"))
        .flat_map(|entry| folders(entry.path().join("lib/clang")))
        .map(|entry| entry.path().join("lib/linux").join(&name))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found.pop()
}
