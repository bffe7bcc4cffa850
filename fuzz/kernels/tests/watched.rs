//! Runs the fuzz targets of the kernels on inputs that are always the same. `fuzz/sanitize.sh` runs this under Miri, under
//! Valgrind and with sanitizers.
//!
//! `HETMM_INPUTS` says how many inputs each target gets [200; 3 under Miri]. `HETMM_INSTRUCTIONS` names the best instructions
//! that are allowed: portable, avx2 or avx-vnni [all].

#[allow(dead_code)]
#[path = "../../src/bytes.rs"]
mod bytes;
#[path = "../../src/targets/kernels.rs"]
mod kernels;
#[path = "../../src/targets/layer.rs"]
mod layer;
#[path = "../../src/targets/network.rs"]
mod network;

use bytes::Numbers;
use hetmm::processor::{Instructions, allow_up_to};

/// Allows fewer instructions, if the environment says so.
fn allow() {
    match std::env::var("HETMM_INSTRUCTIONS").as_deref() {
        Ok("portable") => allow_up_to(Instructions::Portable),
        Ok("avx2") => allow_up_to(Instructions::Avx2),
        Ok("avx-vnni") => allow_up_to(Instructions::AvxVnni),
        Ok(other) => panic!("HETMM_INSTRUCTIONS: {other}: use portable, avx2 or avx-vnni"),
        Err(_) => {}
    }
}

/// Runs a target, and says with which kernels.
fn watch(name: &str, target: fn(&[u8])) {
    allow();
    let usual = if cfg!(miri) { 3 } else { 200 };
    let count = std::env::var("HETMM_INPUTS").ok().and_then(|count| count.parse().ok());
    let mut numbers = Numbers(1);
    for input in 0..count.unwrap_or(usual) {
        let bytes: Vec<u8> = (0..32).map(|_| numbers.next() as u8).collect();
        let done = std::panic::catch_unwind(|| target(&bytes));
        assert!(done.is_ok(), "{name}: input {input}: {bytes:?}");
    }
    let matching = hetmm::matching::kernel::Kernel::all().into_iter().map(|kernel| kernel.name());
    let network = hetmm::backbone::kernels::Kernel::all().into_iter().map(|kernel| kernel.name());
    let [matching, network] = [matching.collect::<Vec<_>>(), network.collect()];
    println!("{name}: matching {}; eight bits {}", matching.join(", "), network.join(", "));
}

#[test]
fn matching_kernels() {
    watch("kernels", kernels::run);
}

#[test]
fn layers() {
    watch("layer", layer::run);
}

#[test]
fn network_kernels() {
    watch("int8", network::run);
}
