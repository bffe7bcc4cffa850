#!/usr/bin/env bash
# Looks for undefined behaviour in the kernels with tools that watch every access to memory.
#
# usage: fuzz/sanitize.sh [guard] [guard-aarch64] [address] [memcheck] [miri] [thread]
#
#   guard     every buffer lies between memory pages that nobody may touch. It needs nothing else.
#   guard-aarch64  the same for NEON under qemu-user, with and without the dot product (cross/setup.sh installs what it needs)
#   address   AddressSanitizer, with every set of instructions that this processor has
#   memcheck  Valgrind: uninitialised bytes in the compiled program. It knows instructions up to AVX2.
#   miri      interprets the kernels. It also finds what no processor notices: uninitialised bytes, data races, pointers that
#             are misaligned or come from elsewhere. It knows instructions up to AVX-VNNI, and takes an hour of computing time.
#   thread    ThreadSanitizer: the matching of a layer on several threads
#
# miri and thread need a nightly compiler with miri and rust-src. rustup adds these two to one that is there.
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

# miri_tests INSTRUCTIONS FEATURES TEST...: the tests with these instructions allowed and compiled in.
miri_tests() {
    HETMM_INSTRUCTIONS=$1 RUSTFLAGS=-Ctarget-feature=$2 \
        cargo +nightly miri test --quiet --test watched -- --nocapture --exact "${@:3}"
}
miri() {
    need_nightly
    local avx2=+avx2,+fma,+f16c
    export MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-permissive-provenance"
    miri_tests portable +sse4.2 matching_kernels network_kernels
    miri_tests avx2 $avx2 matching_kernels network_kernels
    # Miri asks for AVX-512 where AVX-VNNI has the same instruction. The kernels for AVX-512 are not allowed.
    miri_tests avx-vnni $avx2,+avxvnni,+avx512vnni,+avx512vl network_kernels
    # crossbeam-epoch, which rayon uses, breaks the rules of Stacked Borrows, and keeps those of Tree Borrows. rayon's
    # threads still run at the end.
    export MIRIFLAGS="$MIRIFLAGS -Zmiri-tree-borrows -Zmiri-ignore-leaks"
    miri_tests portable +sse4.2 layers
    miri_tests avx2 $avx2 layers
}

memcheck() {
    command -v valgrind >/dev/null || { echo "ERROR: valgrind is missing (apt-get install valgrind)" >&2 && exit 1; }
    local runner=CARGO_TARGET_${HOST//-/_}_RUNNER
    export "${runner^^}=valgrind --quiet --error-exitcode=9" HETMM_INSTRUCTIONS=avx2
    cargo test --quiet --release --test watched -- --nocapture
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
    guard | guard-aarch64 | address | memcheck | miri | thread) echo "== $what" && ("$what") ;;
    *) echo "ERROR: unknown word $what; see fuzz/sanitize.sh" >&2 && exit 2 ;;
    esac
done
