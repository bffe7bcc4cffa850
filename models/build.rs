//! Finds the ONNX file for the library. In the repository it lies beside this script. A crate from a registry has the
//! ordered file in its place, because the ONNX file is larger than registries accept.

#[path = "src/planes.rs"]
#[allow(dead_code)]
mod planes;

use std::path::PathBuf;

/// The number of bytes of the ONNX file.
const LENGTH: usize = 11_775_083;

fn main() {
    let folder = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let (onnx, ordered) =
        (folder.join("efficientnet_lite0.onnx"), folder.join("efficientnet_lite0.planes"));
    let model = if onnx.is_file() {
        onnx
    } else {
        println!("cargo::rerun-if-changed={}", ordered.display());
        joined(&ordered)
    };
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/planes.rs");
    println!("cargo::rustc-env=HETMM_EFFICIENTNET_LITE0={}", model.display());
}

/// Writes the ONNX file of the ordered one, and returns its path.
fn joined(ordered: &std::path::Path) -> PathBuf {
    let planes = std::fs::read(ordered)
        .unwrap_or_else(|e| panic!("{} cannot be read: {e}", ordered.display()));
    let file = planes::join(&planes);
    assert_eq!(file.len(), LENGTH, "{} has another length than the model", ordered.display());
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    let model = out.join("efficientnet_lite0.onnx");
    std::fs::write(&model, file)
        .unwrap_or_else(|e| panic!("{} cannot be written: {e}", model.display()));
    model
}
