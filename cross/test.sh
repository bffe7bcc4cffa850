#!/usr/bin/env bash
# Tests the aarch64 code on an x86-64 machine, under qemu-user.
#
# usage: cross/test.sh [--quick] [--native PROGRAM] [--demo FOLDER]
#
#   1. the library's tests and the golden vectors (HETMM_GOLDEN_DIR as for `cargo test`), on a processor
#      with everything that qemu knows
#   2. the golden vectors and the features in eight bits on a Cortex-A57: no dot product, no half precision
#   3. scores: five parts of `hetmm demo`, inspected by the native and by the aarch64 program on either
#      processor, must agree to 1e-4 (of the score, where that is above 1)
#
#   --quick            without 3
#   --native PROGRAM   the `hetmm` of this machine, in place of building it
#   --demo FOLDER      what `hetmm demo` wrote, in place of making it
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

QUICK=no NATIVE='' DEMO=''
while [ $# -gt 0 ]; do
  case $1 in
    --quick) QUICK=yes ;;
    --native) NATIVE=$(value "$@") && shift ;;
    --demo) DEMO=$(value "$@") && shift ;;
    -h | --help) help_of "$0" && exit ;;
    *) fail "unknown option $1" "$0 --help" ;;
  esac
  shift
done
use_toolchain
cd "$ROOT"
RUN=cross/run.sh
# Vectors of 128 bits, as the boards have them. With 2048 bits, qemu takes ten times as long.
EVERYTHING=max,sve-max-vq=1,sme=off
CPUS=("$EVERYTHING" cortex-a57)

tests() { "${CROSS_CARGO[@]}" test --quiet --release --target $TARGET "$@"; }
[ -n "${HETMM_GOLDEN_DIR:-}" ] || [ -d ../shared/reference/golden ] ||
  say "no full set of golden vectors (HETMM_GOLDEN_DIR): only those of tests/golden"
say "compiling the tests"
tests --lib --test golden --no-run
say "library and golden vectors, all instructions"
QEMU_CPU=$EVERYTHING tests --lib --test golden
say "golden vectors and features in eight bits, Cortex-A57"
QEMU_CPU=cortex-a57 tests --test golden
QEMU_CPU=cortex-a57 tests --lib backbone::network::int8
[ $QUICK = no ] || exit 0

# With the tests, cargo has built the program for aarch64.
[ -n "$NATIVE" ] || say "compiling hetmm for this machine"
[ -n "$NATIVE" ] || cargo build --quiet --release --bin hetmm
NATIVE=${NATIVE:-$TARGET_DIR/release/hetmm}
EMULATED=$TARGET_DIR/$TARGET/release/hetmm
TRY=$TARGET_DIR/cross-test
mkdir -p "$TRY"
if [ -z "$DEMO" ]; then
  DEMO=$TRY/demo
  say "the demo's template"
  "$NATIVE" demo --out "$DEMO" >/dev/null 2>&1 || fail "hetmm demo failed" "$NATIVE demo --out $DEMO"
fi
PICTURES=()
for kind in "$DEMO"/parts/test/*/; do
  for picture in "$kind"*; do PICTURES+=("$picture") && break; done
done
# scores COMMAND...: picture and score, a line each.
scores() {
  local code=0
  # 1 says that a part was rejected.
  "$@" inspect "$DEMO/part.hetmm" "${PICTURES[@]}" --json >"$TRY/scores.json" || code=$?
  [ $code -le 1 ] || fail "$* inspect ended with $code" "see its words above"
  sed -n 's/.*"image":"\([^"]*\)".*"score":\([^,}]*\).*/\1 \2/p' "$TRY/scores.json"
}
say "${#PICTURES[@]} parts, native"
scores "$NATIVE" >"$TRY/native"
for cpu in "${CPUS[@]}"; do
  say "${#PICTURES[@]} parts, $cpu"
  QEMU_CPU=$cpu scores "$RUN" "$EMULATED" >"$TRY/$cpu"
  paste -d' ' "$TRY/native" "$TRY/$cpu" | awk -v cpu="$cpu" -v want=${#PICTURES[@]} '
    { n++; d = $2 - $4; if (d < 0) d = -d; d /= ($2 > 1 ? $2 : 1); if (d > worst) worst = d
      if ($1 != $3 || $4 == "" || !(d <= 1e-4)) { bad++; print "  differs: " $0 } }
    END { printf "  %s: %d scores, largest difference %.1e\n", cpu, n, worst; exit n != want || bad > 0 }' ||
    fail "scores on $cpu differ from those of this machine" "compare $TRY/native and $TRY/$cpu" 1
done
say "done"
