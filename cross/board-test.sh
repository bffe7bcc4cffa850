#!/usr/bin/env bash
# Tests the device program on the virtual board: kernel GPIO, a kernel camera, real time stamps.
#
# usage: cross/board-test.sh [--keep DIR] [--native PROGRAM]
#
#   1. builds hetmm-edge for the board, static, and hetmm for this machine
#   2. runs cross/board/camera-test.sh on the board: every pixel format that its camera has
#   3. takes pictures with the board's camera
#   4. builds a template from them here
#   5. runs cross/board/line-test.sh on the board: trigger to reject pulse, and every fault
#
#   --keep DIR         leaves pictures, template and console logs there
#   --native PROGRAM   the `hetmm` of this machine, in place of building it
#
# Needs `cross/setup.sh --board`, once.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

KEEP='' HETMM=''
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) help_of "$0" && exit ;;
    --keep) KEEP=$(value "$@") && shift ;;
    --native) HETMM=$(value "$@") && shift ;;
    *) fail "unknown option $1" "$0 --help" ;;
  esac
  shift
done
use_toolchain
cd "$ROOT"
if [ -n "$KEEP" ]; then
  WORK=$KEEP && mkdir -p "$WORK"
else
  WORK=$(mktemp -d)
  trap 'rm -rf "$WORK"' EXIT
fi

say "building for the board and for this machine"
cross/build.sh --static --tools >"$WORK/build.log" 2>&1 || { tail -n 20 "$WORK/build.log" && exit 1; }
[ -n "$HETMM" ] || cargo build --quiet --release --bin hetmm
BINS=$TARGET_DIR/board/static

say "pixel formats on the board"
cross/board.sh --init cross/board/camera-test.sh --steady 0 --timeout 900 --bin "$BINS/camera_probe" \
  >"$WORK/camera.log" || { tail -n 60 "$WORK/camera.log" && exit 1; }
say "$(grep -ac '] ok ' "$WORK/camera.log") checks"

say "pictures from the board's camera"
cross/board.sh --init cross/board/take-pictures.sh --steady 0 --timeout 900 \
  --bin "$BINS/camera_probe" >"$WORK/pictures.log" || { cat "$WORK/pictures.log" && exit 1; }
mkdir -p "$WORK/pictures/good" "$WORK/pictures/bad"
tr -d '\r' <"$WORK/pictures.log" | awk -v folder="$WORK/pictures" '
  /^PICTURE / { file = folder "/" $2 ".base64"; next }
  /^END/ { file = "" }
  file { print > file }'
for file in "$WORK"/pictures/*/*.base64; do base64 -d "$file" >"${file%.base64}.png" && rm "$file"; done
say "$(find "$WORK/pictures/good" -name '*.png' | wc -l) good ones"

say "a template from them"
HETMM=${HETMM:-$TARGET_DIR/release/hetmm}
"$HETMM" build "$WORK/pictures/good" -o "$WORK/part.hetmm" --sheets all --quiet
"$HETMM" inspect "$WORK/part.hetmm" "$WORK/pictures/good" --json >"$WORK/good.json"
"$HETMM" inspect "$WORK/part.hetmm" "$WORK/pictures/bad" --json >"$WORK/bad.json"
grep -q '"verdict":"ng"' "$WORK/bad.json" || fail "the template passes the bad picture" "look at its score" 1
if grep -q '"verdict":"ng"' "$WORK/good.json"; then fail "the template rejects good pictures" "look at their scores" 1; fi

say "the line on the board"
cross/board.sh --init cross/board/line-test.sh --steady 0 --timeout 1800 \
  --module i2c-dev --module i2c-stub --module lm75 \
  --bin "$BINS/hetmm-edge" --bin "$BINS/gpio_watch" --bin "$BINS/camera_probe" --bin "$BINS/panic_probe" \
  --file "$WORK/part.hetmm:/part.hetmm" | tee "$WORK/line.log" | grep -a 'FAIL\|BOARD\|---' || true
grep -qax 'BOARD PASS' <(tr -d '\r' <"$WORK/line.log") || { tail -n 60 "$WORK/line.log" && exit 1; }
say "done: $(grep -ac '] ok ' "$WORK/line.log") checks"
