#!/usr/bin/env bash
# Builds a template for every data set and measures it: one line a set.
#
#   benches/real_data.sh DATA [BUILD OPTION ..]
#   SETS="mtd mvtec_screw" benches/real_data.sh DATA --sheets all
#
# DATA holds one folder a set, in MVTec layout. HETMM names another program to measure, WORK a
# folder for the templates (one that is not there yet is removed afterwards).
set -euo pipefail
data=${1:?usage: benches/real_data.sh DATA [BUILD OPTION ..]}
shift
hetmm=${HETMM:-target/release/hetmm}
work=${WORK:-$(mktemp -d)}
[ -n "${WORK:-}" ] || trap 'rm -rf "$work"' EXIT
mkdir -p "$work"
printf 'options: %s\n' "${*:-(none)}"
printf '%-20s %8s %8s %8s %9s %9s %9s %9s %9s\n' set image pixel AUPRO30 "false rej" missed "build s" "MB" "ms/image"
for set in ${SETS:-mtd mvtec_bottle mvtec_screw loco_juice_bottle}; do
    start=$(date +%s.%N)
    "$hetmm" --quiet build "$data/$set/train/good" -o "$work/$set.hetmm" "$@"
    built=$(date +%s.%N)
    "$hetmm" --quiet eval "$work/$set.hetmm" "$data/$set" --json "$work/$set.json"
    awk -v set="$set" -v seconds="$(echo "$built - $start" | bc)" -v bytes="$(stat -c %s "$work/$set.hetmm")" '
        { gsub(/[",:]/, "") } !($1 in got) { got[$1] = $2 }
        function p(x) { return got[x] == "null" ? "-" : sprintf("%.2f", 100 * got[x]) }
        END {
            printf "%-20s %8s %8s %8s %9s %9s %9.1f %9.1f %9.1f\n", set, p("image_auroc"), p("pixel_auroc"),
                p("aupro30"), got["false_rejects"] "/" got["good"], missed "/" got["defective"],
                seconds, bytes / 1e6, got["total_p50"]
        }
        $1 == "missed" { missed = $2 }' "$work/$set.json"
done
