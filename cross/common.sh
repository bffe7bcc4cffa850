# shellcheck shell=bash disable=SC2034
# What the scripts beside this file share. Sourced, not run.
TARGET=aarch64-unknown-linux-gnu
MUSL=aarch64-unknown-linux-musl
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
DEFAULT_PREFIX=${XDG_CACHE_HOME:-$HOME/.cache}/hetmm-cross
PREFIX=${HETMM_CROSS_PREFIX:-$DEFAULT_PREFIX}
# The stamp of the board's kernel and modules. Another name makes them anew where an older set is there.
BOARD_KERNEL=board-kernel-2

# fail MESSAGE NEXT_STEP [EXIT_CODE]
fail() {
  printf 'error: %s\n  -> %s\n' "$1" "$2" >&2
  exit "${3:-2}"
}

say() { printf '[%4d s] %s\n' "$SECONDS" "$*"; }

# The value of an option that needs one: value "$@".
value() {
  [ $# -ge 2 ] || fail "$1 needs a value" "$0 --help"
  printf '%s' "$2"
}

# The help text is the comment at the head of the script.
help_of() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$1"; }

# Sets CROSS_CARGO and CROSS_RUSTC, the words of the commands, and what else PREFIX/env says.
use_toolchain() {
  if [ -r "$PREFIX/env" ]; then
    # shellcheck source=/dev/null
    . "$PREFIX/env"
  fi
  read -ra CROSS_CARGO <<<"${HETMM_CROSS_CARGO:-cargo}"
  read -ra CROSS_RUSTC <<<"${HETMM_CROSS_RUSTC:-rustc}"
  [ -d "$("${CROSS_RUSTC[@]}" --print sysroot)/lib/rustlib/$TARGET" ] ||
    fail "Rust has no library for $TARGET here" "cross/setup.sh, or rustup target add $TARGET"
  command -v "${CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER:-aarch64-linux-gnu-gcc}" >/dev/null ||
    fail "no C cross compiler" "cross/setup.sh (Debian: package gcc-aarch64-linux-gnu)"
  TARGET_DIR=${CARGO_TARGET_DIR:-$ROOT/target}
  case $TARGET_DIR in /*) ;; *) TARGET_DIR=$PWD/$TARGET_DIR ;; esac
  export CARGO_TARGET_DIR=$TARGET_DIR
}
