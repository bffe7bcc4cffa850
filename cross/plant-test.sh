#!/usr/bin/env bash
# Builds hetmm-plant for the board, and tests it under qemu-user beside the hetmm-edge of this machine.
#
# usage: cross/plant-test.sh [--native DIR] [--demo FOLDER]
#
#   1. cross/build.sh --plant; the program must be static and smaller than 15 MiB
#   2. --version and --check
#   3. its fronts while parts come: metrics, page, and a register by Modbus
#
#   --native DIR    folder of `hetmm` and `hetmm-edge` of this machine, in place of building them
#   --demo FOLDER   what `hetmm demo` wrote, in place of making it
#
# Ends with 2 if it was skipped, because Rust has no library for musl.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

NATIVE='' DEMO=''
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) help_of "$0" && exit ;;
    --native) NATIVE=$(value "$@") && shift ;;
    --demo) DEMO=$(value "$@") && shift ;;
    *) fail "unknown option $1" "$0 --help" ;;
  esac
  shift
done
use_toolchain
cd "$ROOT"
WORK=$(mktemp -d) CHILDREN=() PORT=$((20000 + RANDOM % 20000))
end() {
  [ ${#CHILDREN[@]} = 0 ] || kill "${CHILDREN[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$WORK"
}
trap end EXIT

say "building hetmm-plant for the board"
cross/build.sh --static --plant >"$WORK/build.log" 2>&1 || { tail -n 20 "$WORK/build.log" && exit 1; }
PLANT=$TARGET_DIR/board/static/hetmm-plant
[ -f "$PLANT" ] || { say "SKIPPED: hetmm-plant is not static, because Rust has no library for $MUSL here" && exit 2; }
bytes=$(stat -c %s "$PLANT")
[ "$bytes" -lt $((15 * 1024 * 1024)) ] || fail "hetmm-plant has $bytes bytes" "see what was linked into it" 1
say "static, $((bytes / 1024)) KiB"

[ -n "$NATIVE" ] || { cargo build --quiet --release --bin hetmm --bin hetmm-edge && NATIVE=$TARGET_DIR/release; }
if [ -z "$DEMO" ]; then
  DEMO=$WORK/demo
  "$NATIVE/hetmm" demo --quiet --out "$DEMO" >/dev/null
fi
mkdir "$WORK/pictures"
cp "$DEMO"/parts/test/good/00[0-3].png "$WORK/pictures"
cp "$DEMO/part.hetmm" "$WORK"
cat >"$WORK/line.toml" <<END
[template]
file = "part.hetmm"
[trigger]
source = "free-run"
[camera]
source = "folder"
folder = "pictures"
frames_per_second = 2.0
[reject]
delay_us = 1000000
pulse_width_us = 20000
[outputs]
simulate = true
ng = { line = 1 }
fault = { line = 2 }
[control]
socket = "edge.sock"
plant_user = "$(id -un)"
plant_may = ["status"]
[feed]
socket = "feed.sock"
[modbus]
listen = "127.0.0.1:$PORT"
[metrics]
listen = "127.0.0.1:$((PORT + 1))"
[web]
listen = "127.0.0.1:$((PORT + 2))"
users = "users.json"
END

"$NATIVE/hetmm-edge" --config "$WORK/line.toml" 2>"$WORK/edge.log" &
CHILDREN+=($!)
say "--version and --check"
cross/run.sh "$PLANT" --version
ready() { "$NATIVE/hetmm-edge" --config "$WORK/line.toml" status 2>/dev/null | grep '"state": *"ready"' >/dev/null; }
for _ in $(seq 120); do
  if ready; then break; fi
  sleep 0.5
done
ready || { cat "$WORK/edge.log" && fail "hetmm-edge does not become ready" "see its words above" 1; }
cross/run.sh "$PLANT" --config "$WORK/line.toml" --check >"$WORK/check" || { cat "$WORK/check" && exit 1; }

say "its fronts while parts come"
cross/run.sh "$PLANT" --config "$WORK/line.toml" 2>"$WORK/plant.log" &
CHILDREN+=($!)
# fronts: the three fronts answer, and parts have passed.
fronts() {
  python3 - "$PORT" <<'END'
import socket, struct, sys, urllib.request
port = int(sys.argv[1])
metrics = urllib.request.urlopen(f"http://127.0.0.1:{port + 1}/metrics", timeout=10).read().decode()
passed = next(line.split()[1] for line in metrics.splitlines() if line.startswith('hetmm_parts_total{outcome="passed"'))
page = urllib.request.urlopen(f"http://127.0.0.1:{port + 2}/", timeout=10).read()
with socket.create_connection(("127.0.0.1", port), 10) as master:
    master.sendall(struct.pack(">HHHBBHH", 1, 0, 6, 1, 4, 4, 8))
    answer = b""
    while len(answer) < 9 + 16:
        answer += master.recv(64) or exit("Modbus: the connection was closed")
probe, _, _, by_modbus = struct.unpack(">IIII", answer[9:])
print(f"passed parts: {passed} by metrics, {by_modbus} by Modbus; the page has {len(page)} bytes")
exit(not (int(passed) > 0 and by_modbus > 0 and probe == 0x01020304 and b"<!doctype html>" in page))
END
}
for _ in $(seq 60); do
  if fronts >/dev/null 2>&1; then break; fi
  sleep 0.5
done
fronts || { cat "$WORK/plant.log" && fail "a front does not answer" "see the words of hetmm-plant above" 1; }
kill -TERM "${CHILDREN[1]}"
wait "${CHILDREN[1]}" || fail "hetmm-plant ended with $?" "0 is the end that was asked for" 1
say "done"
