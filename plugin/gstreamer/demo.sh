#!/usr/bin/env bash
# Plays the parts of `hetmm demo` as a video through the element, with the outline of each defect over it.
#
# usage: plugin/gstreamer/demo.sh [FOLDER]
#
#   FOLDER   what `hetmm demo` wrote, or where it is to write [default: hetmm-demo]
#
# Writes FOLDER/outline.png (six frames) and FOLDER/outline.avi (all). Opens a window where there is a display.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
case ${1:-} in -*) sed -n '2,8s/^# \{0,1\}//p' "$0" && exit 2 ;; esac
demo=${1:-hetmm-demo}
root=$here/../..
cargo=(cargo run --quiet --release --manifest-path "$root/Cargo.toml")
if ! [ -e "$demo/part.hetmm" ]; then
    echo "Making the demo's parts and template in $demo. This takes some minutes."
    "${cargo[@]}" --bin hetmm -- demo --out "$demo"
fi
# One part of each kind in turn, as a numbered list of files.
list=$(mktemp -d)
trap 'rm -r "$list"' EXIT
parts=$(cd "$demo/parts/test" && pwd)
number=0
for round in 000 001 002 003 004 005; do
    for kind in "$parts"/*/; do
        [ -e "$kind$round.png" ] || continue
        ln -s "$kind$round.png" "$list/$(printf %03d $number).png"
        number=$((number + 1))
    done
done
[ "$number" -gt 0 ] || {
    echo "ERROR: no pictures in $demo/parts/test" >&2
    echo "  -> remove $demo, and run this again" >&2
    exit 3
}
window=
[ -z "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] || window=--window
"${cargo[@]}" -p gst-plugin-hetmm --example outline -- \
    "$demo/part.hetmm" "$list/%03d.png" "$demo/outline" $window
