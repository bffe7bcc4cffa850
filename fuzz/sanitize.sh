#!/usr/bin/env bash
# Looks for undefined behaviour in the kernels with tools that watch every access to memory.
#
# usage: fuzz/sanitize.sh [guard] [guard-aarch64] [address] [miri] [thread]
#
#   guard     every buffer lies between memory pages that nobody may touch. It needs nothing else.
#   guard-aarch64  the same for NEON under qemu-user, with and without the dot product (cross/setup.sh installs what it needs)
#   miri      interprets the kernels. It also finds what no processor notices: uninitialised bytes, pointers that are misaligned
#             or come from elsewhere. It needs a nightly compiler with miri and rust-src, and knows instructions up to AVX2.
#   address   AddressSanitizer, with every set of instructions that this processor has
#   thread    ThreadSanitizer: the matching of a layer on several threads. It needs a nightly compiler with rust-src.
#
# Without a word, it runs guard and address. HETMM_INPUTS says how many inputs each target gets.
set -euo pipefail
cd "$(dirname "$0")/kernels"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/../../target}/kernels
HOST=$(rustc -vV | sed -n 's/^host: //p')
[ $# -gt 0 ] || set -- guard address

need_nightly() {
    cargo +nightly miri --version >/dev/null 2>&1 || rustup component add --toolchain nightly miri rust-src ||
        { echo "ERROR: install a nightly compiler with miri and rust-src" >&2 && exit 1; }
}

guard() {
    cargo test --quiet --release --test guard_pages -- --nocapture
}

guard-aarch64() {
    local processor
    for processor in max,sve-max-vq=1,sme=off cortex-a57; do
        QEMU_CPU=$processor HETMM_RUNNER=$PWD/../../cross/run.sh \
            cargo test --quiet --release --target aarch64-unknown-linux-gnu --test guard_pages -- --nocapture
    done
}

miri() {
    need_nightly
    export MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-permissive-provenance"
    for features in +sse4.2 +avx2,+fma,+f16c; do
        RUSTFLAGS=-Ctarget-feature=$features cargo +nightly miri test --quiet --test watched -- --nocapture
    done
}

address() {
    # With a target, the flags do not reach what is run while compiling.
    RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address ASAN_OPTIONS=detect_stack_use_after_return=1 \
        cargo test --quiet --release --target "$HOST" --lib --test watched -- --nocapture
}

thread() {
    need_nightly
    RUSTFLAGS=-Zsanitizer=thread TSAN_OPTIONS=halt_on_error=1 \
        cargo +nightly test --quiet --release -Zbuild-std --target "$HOST" --test watched -- --nocapture
}

for what; do
    case $what in
    guard | guard-aarch64 | miri | address | thread) echo "== $what" && ("$what") ;;
    *) echo "ERROR: unknown word $what; see fuzz/sanitize.sh" >&2 && exit 2 ;;
    esac
done
