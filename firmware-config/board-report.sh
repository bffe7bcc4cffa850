#!/bin/sh
# Measures this device and prints a row for the table in docs/boards.md.
#
# usage: board-report.sh [--edge PROGRAM] [--name TEXT] [--note TEXT] [--runs N] [--pulses N] [--picture WxH] TEMPLATE
#
#   TEMPLATE         the file that `hetmm demo` wrote, so that all rows have the same work (docs/boards.md)
#   --edge PROGRAM   hetmm-edge [default: the one in PATH]
#   --name TEXT      the name of the machine [default: what the machine says about itself]
#   --note TEXT      for the last column, such as the power mode
#   --runs N         inspections that are timed [default: 300]
#   --pulses N       reject pulses that are timed, 50 a second [default: 1500]
#   --picture WxH    size of the pictures [default: 1024x1024]
#
# Run it as root or as a user with real-time rights, while the machine does nothing else. It drives no output, reads no
# camera and changes nothing. It takes about a minute.
# Exit codes: 0 printed, 2 wrong usage; those of hetmm-edge if it fails.
set -eu
EDGE=hetmm-edge NAME='' NOTE='' RUNS=300 PULSES=1500 PICTURE=1024x1024 TEMPLATE=''
fail() {
  printf 'error: %s\n  -> %s\n' "$1" "$2" >&2
  exit 2
}
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$0" && exit ;;
    --edge | --name | --note | --runs | --pulses | --picture) [ $# -ge 2 ] || fail "$1 needs a value" "$0 --help" ;;
    -*) fail "unknown option $1" "$0 --help" ;;
    *) TEMPLATE=$1 && shift && continue ;;
  esac
  case $1 in
    --edge) EDGE=$2 ;;
    --name) NAME=$2 ;;
    --note) NOTE=$2 ;;
    --runs) RUNS=$2 ;;
    --pulses) PULSES=$2 ;;
    --picture) PICTURE=$2 ;;
  esac
  shift 2
done
[ -f "$TEMPLATE" ] || fail "no template \"$TEMPLATE\"" "make one with \`hetmm demo\` and copy part.hetmm to this machine"
command -v "$EDGE" >/dev/null || fail "no program $EDGE" "give it with --edge"
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT

case $TEMPLATE in /*) ;; *) TEMPLATE=$PWD/$TEMPLATE ;; esac
cat >"$T/line.toml" <<END
[template]
file = '$TEMPLATE'
[trigger]
source = "free-run"
[camera]
source = "folder"
folder = "."
frames_per_second = 1
[reject]
delay_us = 1000000
pulse_width_us = 10000
[outputs]
simulate = true
ng = { line = 1 }
END
"$EDGE" --config "$T/line.toml" bench --json --runs "$RUNS" --pulses "$PULSES" --picture "$PICTURE" >"$T/json"

# value SECTION KEY: a number or a word of the JSON, which has one key on each line.
value() {
  awk -v section="$1" -v key="$2" '
    /[{]$/ { name = $1; gsub(/[":]/, "", name) }
    $1 == "\"" key "\":" && (section == "" || name == section) {
      sub(/^[^:]*: /, ""); gsub(/[",]/, ""); print; exit
    }' "$T/json"
}
milliseconds() { value "$1" "$2" | awk '{ printf "%.2f", $1 }'; }
# What the machine says about itself.
machine() {
  for file in /proc/device-tree/model /sys/class/dmi/id/product_name; do
    [ -r "$file" ] && tr -d '\0' <"$file" && return
  done
  echo "unknown machine"
}
processor() {
  if command -v lscpu >/dev/null; then
    lscpu | sed -n 's/^Model name: *//p' | head -n 1
  else
    sed -n 's/^model name[^:]*: //p;s/^CPU part[^:]*: /CPU part /p' /proc/cpuinfo | head -n 1
  fi
}
# Whether the processor says that it is one of a virtual machine, or systemd or the device tree does.
is_virtual() {
  grep -qw hypervisor /proc/cpuinfo || machine | grep -qi 'virt' ||
    { command -v systemd-detect-virt >/dev/null && systemd-detect-virt --quiet; }
}
kind=physical
if is_virtual; then kind=virtual; fi
kernel=$(uname -r)
case $(uname -v) in *PREEMPT_RT*) kernel="$kernel, PREEMPT_RT" ;; esac
case $(value '' realtime) in true) realtime=yes ;; *) realtime='**no**' ;; esac
late=pulse_lateness_us
cat <<END
| date | machine | kind | processor, cores | kernel | version, features by | inspection, ms: median, p99 | backbone, matching, ms | edges late by, us: median, p99, p999, max | real-time priority | note |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| $(date +%F) | ${NAME:-$(machine)} | $kind | $(processor), $(nproc) | $kernel | $(value '' version), $(value '' engine) | $(milliseconds total p50), $(milliseconds total p99) | $(milliseconds backbone p50), $(milliseconds matching p50) | $(value $late p50), $(value $late p99), $(value $late p999), $(value $late max) | $realtime | $NOTE |
END
