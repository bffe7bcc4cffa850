#!/usr/bin/env bash
# Shows the plant's fronts at a desk: recorded parts come to hetmm-edge, and hetmm-plant shows them.
#
# usage: demo.sh [--bin DIR] [--out DIR] [--port N]
#
#   --bin DIR   folder of hetmm, hetmm-edge and hetmm-plant [default: target/release, which is built]
#   --out DIR   folder for the demo's parts, records and users [default: plant-demo]
#   --port N    port of the page; the next two are those of the metrics and of Modbus [default: 8080]
#
# It needs a user's rights only. Ctrl-C ends it.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
bin='' out=plant-demo port=8080
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$0" && exit ;;
    --bin | --out | --port) [ $# -ge 2 ] || { echo "error: $1 needs a value" >&2; exit 2; } ;;
    *) echo "error: unknown option $1; see --help" >&2; exit 2 ;;
  esac
  case $1 in --bin) bin=$2 ;; --out) out=$2 ;; --port) port=$2 ;; esac
  shift 2
done
if [ -z "$bin" ]; then
  (cd "$root" && cargo build --release --workspace --bins)
  bin=${CARGO_TARGET_DIR:-$root/target}/release
fi
bin=$(cd "$bin" && pwd)
mkdir -p "$out"
out=$(cd "$out" && pwd)
[ -f "$out/part.hetmm" ] || "$bin/hetmm" demo --out "$out"
mkdir -p "$out/pictures"
i=0
for file in "$out"/parts/test/good/*.png "$out"/parts/test/scratch/*.png; do
  i=$((i + 1))
  # Three good parts, then a scratched one, and so on.
  case $file in */good/*) name=$(printf '%03d-good' $((i * 4 / 3))) ;; *) name=$(printf '%03d-scratch' $(((i % 10) * 4 + 3))) ;; esac
  cp -n "$file" "$out/pictures/$name.png" 2>/dev/null || true
done
mkdir -p "$out/inbox"
cat >"$out/line.toml" <<END
[template]
file = "part.hetmm"
slots = { 1 = "part.hetmm" }
inbox = "inbox"
[trigger]
source = "free-run"
[camera]
source = "folder"
folder = "pictures"
frames_per_second = 2.0
[reject]
delay_us = 400000
pulse_width_us = 20000
[outputs]
simulate = true
ng = { line = 1 }
fault = { line = 2 }
[records]
folder = "records"
[archive]
folder = "archive"
[control]
socket = "edge.sock"
plant_user = "$(id -un)"
plant_may = ["status", "history", "lines", "slots", "drift", "safe", "acknowledge", "teach", "undo", "reload", "select", "prove", "install", "login"]
[drift]
watch = true
file = "drift.json"
[feed]
socket = "feed.sock"
[modbus]
listen = "127.0.0.1:$((port + 2))"
[metrics]
listen = "127.0.0.1:$((port + 1))"
[web]
listen = "127.0.0.1:$port"
users = "users.json"
anonymous_observer = true
END
children=()
end() {
  kill "${children[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
}
trap end EXIT INT TERM
if command -v mosquitto >/dev/null && command -v mosquitto_sub >/dev/null; then
  printf 'listener %s 127.0.0.1\nallow_anonymous true\n' $((port + 3)) >"$out/mosquitto.conf"
  mosquitto -c "$out/mosquitto.conf" >"$out/mosquitto.log" 2>&1 &
  children+=($!)
  printf '[mqtt]\nbroker = "mqtt://127.0.0.1:%s"\n' $((port + 3)) >>"$out/line.toml"
fi
"$bin/hetmm-edge" --config "$out/line.toml" 2>"$out/edge.log" &
children+=($!)
"$bin/hetmm-plant" --config "$out/line.toml" 2>"$out/plant.log" &
children+=($!)
echo "The page:  http://127.0.0.1:$port"
echo "Metrics:   http://127.0.0.1:$((port + 1))/metrics"
"$bin/hetmm-plant" --config "$out/line.toml" setup 2>/dev/null | sed '1s/^/Code for the first engineer: /' || true
if command -v mosquitto_sub >/dev/null && grep -q '^\[mqtt\]' "$out/line.toml"; then
  sleep 2
  echo "Parts by MQTT:"
  mosquitto_sub -h 127.0.0.1 -p $((port + 3)) -t 'hetmm/v1/+/+/part' |
    sed -un 's/.*"outcome":"\([a-z]*\)","part":\([0-9]*\).*"score":\([0-9.]*\).*/  part \2 \1, score \3/p' &
  children+=($!)
fi
while sleep 5; do
  if command -v mbpoll >/dev/null; then
    echo "Modbus, passed and rejected parts (registers 10 to 13):"
    mbpoll -m tcp -p $((port + 2)) -a 1 -0 -1 -q -B -t 3:int -r 10 -c 2 127.0.0.1 | grep '^\[' || true
  fi
  kill -0 "${children[@]}" 2>/dev/null || exit 1
done
