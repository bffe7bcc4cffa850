#!/usr/bin/env bash
# Image AUROC of every selection rule at 10, 20, 40 and 60 sheets, as a table.
#
#   benches/selection_rules.sh DATA [BUILD OPTION ..] > docs/selection-rules.tsv
#   python benches/plot_selection.py docs/selection-rules.tsv docs/selection-rules.svg
#
# SETS, RULES and SHEETS, lists in the environment, narrow it down.
set -euo pipefail
data=${1:?usage: benches/selection_rules.sh DATA [BUILD OPTION ..]}
shift
hetmm=${HETMM:-target/release/hetmm}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf 'set\trule\tsheets\timage_auroc\n'
for set in ${SETS:-mvtec_screw mtd}; do
    for rule in ${RULES:-pts:maxmin pts:sum random-image random-pixel kmeans-image kmeans-pixel}; do
        for sheets in ${SHEETS:-10 20 40 60}; do
            options=(--select "${rule%%:*}" --sheets "$sheets")
            [ "${rule%%:*}" = "$rule" ] || options+=(--hard-rule "${rule##*:}")
            "$hetmm" --quiet build "$data/$set/train/good" -o "$work/t.hetmm" "${options[@]}" "$@"
            "$hetmm" --quiet eval "$work/t.hetmm" "$data/$set" --json "$work/figures.json"
            auroc=$(sed -n 's/^  "image_auroc": \([0-9.]*\),*$/\1/p' "$work/figures.json")
            printf '%s\t%s\t%s\t%.4f\n' "$set" "$rule" "$sheets" "$auroc"
        done
    done
done
