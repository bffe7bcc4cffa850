#!/usr/bin/env bash
# Runs the soak test on a disk that fails: read-only, full, broken or slow for a while. No part may pass wrongly, every record
# is in the chain or counted as lost, and the chain is right afterwards.
#
# usage: tests/faults.sh PROGRAM [PARTS]
#
#   PROGRAM  the soak test, as `cargo test --release --test soak --no-run` names it
#   PARTS    how many parts each run plays, 2000 a second [60000]. With fewer, a run may end while the disk still fails, and then
#            nothing in the chain can tell of what was lost
#
# It needs strace, which makes the system calls of the thread fail that writes the records.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" && exit 2; }
PROGRAM=$1
export HETMM_SOAK_PARTS=${2:-60000}
command -v strace >/dev/null || { echo "ERROR: install strace" >&2 && exit 1; }
LOG=$(mktemp)
trap 'rm -f "$LOG"' EXIT

# A thread counts its own calls, so that only the one with thousands of them is hit: that of the records.
run() {
    local name=$1 calls=$2 inject=$3
    if strace --quiet=all -f --seccomp-bpf -o /dev/null -e trace="$calls" -e inject="$calls:$inject" \
        "$PROGRAM" --nocapture >"$LOG" 2>&1; then
        printf '%s: passed\n' "$name"
        sed -n 's/^\([0-9]* parts in [0-9]* s; .*twice: [0-9]* }\).*/  \1/p' "$LOG"
    else
        printf '%s: FAILED\n' "$name"
        tail -n 30 "$LOG"
        exit 1
    fi
}
run "the disk is read-only for a while" write error=EROFS:when=3000..9000
run "the disk is full for a while" write error=ENOSPC:when=3000..9000
run "the disk cannot write for a while" write error=EIO:when=3000..9000
run "the disk loses what it was given" fdatasync error=EIO:when=2..4
run "every write waits 2 ms" write delay_enter=2000:when=1000..9000
run "the disk needs a second for what is to stay" fdatasync delay_enter=1000000
