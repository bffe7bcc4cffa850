# shellcheck shell=bash
# What the scripts here compile programs with, so that the same sources give the same bytes in every folder. Sourced, not run.

# Sets the flags for the sources in the current folder and the target folder $CARGO_TARGET_DIR. HETMM_COMMIT and
# SOURCE_DATE_EPOCH (seconds) come from git, unless they are set.
use_fixed_flags() {
    local cargo_home root=$PWD
    cargo_home=$(realpath "${CARGO_HOME:-$HOME/.cargo}")
    export HETMM_COMMIT=${HETMM_COMMIT-$(git rev-parse HEAD 2>/dev/null || true)}
    export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
    # The names of folders stand in messages of panics and in tables of lines. The last match counts.
    export RUSTFLAGS="--remap-path-prefix=$cargo_home=/cargo --remap-path-prefix=$CARGO_TARGET_DIR=/target --remap-path-prefix=$root=/hetmm"
    local prefix="-ffile-prefix-map=$cargo_home=/cargo -ffile-prefix-map=$CARGO_TARGET_DIR=/target -ffile-prefix-map=$root=/hetmm"
    export CFLAGS="$prefix" CXXFLAGS="$prefix"
    # Clones of a folder share no build by accident.
    export CARGO_INCREMENTAL=0 LC_ALL=C.UTF-8
}

# no_paths PROGRAM FOLDER...: fails if the program holds the name of one of these folders.
no_paths() {
    local program=$1 folder found
    shift
    for folder; do
        found=$(grep -aoF -m 1 "$folder" "$program" | head -n 1 || true)
        [ -z "$found" ] || { echo "ERROR: $program names the folder $folder, where it was built" && return 1; }
    done
}
