#!/usr/bin/env bash
# Measures feature extractors on this machine, a GPU among them: agreement, and pictures per second.
#
# usage: benches/gpu.sh DATASET [DEVICE...]
#
#   DATASET   a data set in MVTec layout
#   DEVICE    words of `hetmm --device`, by default: int8 tract cpu cuda. Those that cannot be used are named and left
#             out. tract-cuda needs a program that was built with --features tract-cuda
#   HETMM     environment: the program, or several in quotes to compare them (before and after a change)
#
# For each program and device it prints a row of a table: whether two builds give the same bytes, the AUROC, milliseconds
# of the backbone for a picture alone, and pictures per second of `inspect` on 1, 2, 4, .. threads up to all cores.
# Each time is the best of three runs.
set -euo pipefail
[ $# -ge 1 ] && [ -d "$1/train/good" ] || { sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"; exit 2; }
DATA=$1 && shift
[ $# -gt 0 ] || set -- int8 tract cpu cuda
HETMM=${HETMM:-target/release/hetmm}
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
mapfile -t TEST < <(find "$DATA/test" -type f \( -name '*.png' -o -name '*.jpg' \) | sort)
THREADS=() && for ((n = 1; n <= $(nproc); n *= 2)); do THREADS+=("$n"); done

nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null || echo "no NVIDIA GPU"
echo "$(nproc) cores, ${#TEST[@]} pictures of $DATA"
# Seconds of a command, the best of three.
seconds() {
    local best='' took start
    for _ in 1 2 3; do
        start=$(date +%s.%N)
        "$@" >/dev/null 2>&1
        took=$(echo "$(date +%s.%N) - $start" | bc)
        if [ -z "$best" ] || [ "$(echo "$took < $best" | bc)" = 1 ]; then best=$took; fi
    done
    echo "$best"
}
number() { python3 -c 'import json, sys; print(eval(sys.argv[1], {"d": json.load(open(sys.argv[2]))}))' "$1" "$2"; }

printf '| program | device | builds agree | AUROC | backbone, ms |'
printf ' %s threads, pictures/s |' "${THREADS[@]}"
printf '\n| --- | --- | --- | ---: | ---: |'
printf ' ---: |%.0s' "${THREADS[@]}"
printf '\n'
for program in $HETMM; do
    for device in "$@"; do
        template=$WORK/$device.hetmm
        if ! "$program" build "$DATA/train/good" -o "$template" --force --device "$device" --quiet 2>"$WORK/why"; then
            echo "not $device: $(head -n 1 "$WORK/why")"
            continue
        fi
        "$program" build "$DATA/train/good" -o "$WORK/again.hetmm" --force --device "$device" --quiet
        same=no && cmp -s "$template" "$WORK/again.hetmm" && same=yes
        "$program" eval "$template" "$DATA" --device "$device" --json "$WORK/eval.json" --force --quiet >/dev/null
        "$program" bench "$template" --device "$device" --json >"$WORK/bench.json"
        printf '| %s | %s | %s | %.2f | %.2f |' "$program" "$device" "$same" \
            "$(number '100 * d["image_auroc"]' "$WORK/eval.json")" "$(number 'd["stages"]["backbone"]["p50"]' "$WORK/bench.json")"
        for threads in "${THREADS[@]}"; do
            time=$(seconds "$program" inspect "$template" "${TEST[@]}" --json --device "$device" --threads "$threads")
            printf ' %.0f |' "$(echo "${#TEST[@]} / $time" | bc -l)"
        done
        printf '\n'
    done
done
