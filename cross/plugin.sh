#!/usr/bin/env bash
# Builds the C library and the GStreamer element for aarch64 and tries them under qemu-user.
#
# usage: cross/plugin.sh [--native PROGRAM]
#
#   1. builds libhetmm_capi.so and libgsthetmm.so
#   2. neither may need a newer glibc than that of JetPack 6 (2.35)
#   3. the C example inspects a picture with the golden template under qemu-user, and `hetmm` inspects it
#      here: the scores must agree to 1e-4 (of the score, where that is above 1)
#   4. GStreamer's own programs for arm64 load the element, and a pipeline gives a verdict
#
#   --native PROGRAM   the `hetmm` of this machine, in place of building it
#
# Needs `cross/setup.sh --plugins`.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

NATIVE=''
while [ $# -gt 0 ]; do
  case $1 in
    --native) NATIVE=$(value "$@") && shift ;;
    -h | --help) help_of "$0" && exit ;;
    *) fail "unknown option $1" "$0 --help" ;;
  esac
  shift
done
use_toolchain
cd "$ROOT"
SYSROOT=${HETMM_CROSS_PREFIX:-$PREFIX}/arm64
LIBRARIES=$SYSROOT/usr/lib/aarch64-linux-gnu
[ -e "$LIBRARIES/pkgconfig/gstreamer-1.0.pc" ] ||
  fail "there are no arm64 files of GStreamer in $SYSROOT" "cross/setup.sh --plugins"
GLIBC=2.35
TEMPLATE=$ROOT/tests/golden/template_v1.hetmm
TRY=$TARGET_DIR/cross-plugin
rm -rf "$TRY" && mkdir -p "$TRY"/{aarch64,plugins}

say "compiling both for aarch64"
export PKG_CONFIG_ALLOW_CROSS=1 PKG_CONFIG_SYSROOT_DIR=$SYSROOT
export PKG_CONFIG_LIBDIR=$LIBRARIES/pkgconfig:$SYSROOT/usr/share/pkgconfig
"${CROSS_CARGO[@]}" build --quiet --release --target $TARGET -p hetmm-capi -p gst-plugin-hetmm
unset PKG_CONFIG_ALLOW_CROSS PKG_CONFIG_SYSROOT_DIR PKG_CONFIG_LIBDIR
BUILT=$TARGET_DIR/$TARGET/release

# newest_glibc FILE: the newest version of glibc that it asks for.
newest_glibc() {
  aarch64-linux-gnu-readelf -VW "$1" | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort -uV | tail -n 1
}
for library in libhetmm_capi.so libgsthetmm.so; do
  needs=$(newest_glibc "$BUILT/$library")
  [ -n "$needs" ] || fail "$library names no version of glibc" "aarch64-linux-gnu-readelf -V $BUILT/$library" 1
  [ "$(printf '%s\n' "$needs" $GLIBC | sort -V | tail -n 1)" = $GLIBC ] ||
    fail "$library needs glibc $needs, and JetPack 6 has $GLIBC" "build it on something as old as JetPack 6" 1
  say "$library needs glibc $needs, JetPack 6 has $GLIBC"
done

say "the C example under qemu-user, and the tool here"
[ -n "$NATIVE" ] || cargo build --quiet --release --bin hetmm
# A pattern of 64 x 64 pixels.
awk 'BEGIN { print "P3 64 64 255"; for (i = 0; i < 3 * 64 * 64; i++) print i * 7 % 251 }' >"$TRY/part.ppm"
cp "$BUILT/libhetmm_capi.so" "$TRY/aarch64/libhetmm.so.0" && ln -sf libhetmm.so.0 "$TRY/aarch64/libhetmm.so"
aarch64-linux-gnu-gcc -I plugin/capi/include plugin/capi/examples/inspect.c -L "$TRY/aarch64" -lhetmm \
  -o "$TRY/aarch64/inspect"
# scored COMMAND...: the line of JSON. 1 says that the part was rejected.
scored() {
  local code=0
  "$@" "$TEMPLATE" "$TRY/part.ppm" || code=$?
  [ $code -le 1 ] || fail "$* ended with $code" "see its words above" 1
}
QEMU=(${CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER:-qemu-aarch64-static -L /usr/aarch64-linux-gnu})
scored "${NATIVE:-$TARGET_DIR/release/hetmm}" inspect --json >"$TRY/native.json"
scored "${QEMU[@]}" -E "LD_LIBRARY_PATH=$TRY/aarch64" "$TRY/aarch64/inspect" >"$TRY/aarch64.json"
score() { sed -n 's/.*"score":\([^,}]*\).*/\1/p' "$1"; }
awk -v a="$(score "$TRY/native.json")" -v b="$(score "$TRY/aarch64.json")" 'BEGIN {
    d = a - b; if (d < 0) d = -d; d /= (a > 1 ? a : 1)
    printf "  scores %s and %s, difference %.1e\n", a, b, d; exit !(a != "" && b != "" && d <= 1e-4) }' ||
  fail "the scores differ" "compare $TRY/native.json and $TRY/aarch64.json" 1

say "the element, in GStreamer for arm64"
cp "$BUILT/libgsthetmm.so" "$TRY/plugins/"
for plugin in videotestsrc coreelements; do
  ln -s "$LIBRARIES/gstreamer-1.0/libgst$plugin.so" "$TRY/plugins/"
done
# gstreamer PROGRAM ARGUMENT...: with the plugins of that folder alone. A scanner would be a program of
# arm64 started by one of arm64, which qemu-user cannot do without the kernel's help.
gstreamer() {
  local program=$1
  shift
  "${QEMU[@]}" -E "LD_LIBRARY_PATH=$LIBRARIES:$SYSROOT/lib/aarch64-linux-gnu" -E "GST_REGISTRY=$TRY/registry" \
    -E GST_REGISTRY_FORK=no -E "GST_PLUGIN_SYSTEM_PATH=$TRY/plugins" -E G_DEBUG=fatal-criticals \
    "$SYSROOT/usr/bin/$program" "$@"
}
gstreamer gst-inspect-1.0 hetmm >"$TRY/inspect.txt" && grep -q 'Filter/Analyzer/Video' "$TRY/inspect.txt" ||
  fail "gst-inspect-1.0 does not know the element" "see $TRY/inspect.txt" 1
gstreamer gst-launch-1.0 -m videotestsrc num-buffers=2 ! video/x-raw,format=RGB,width=64,height=64 ! \
  hetmm "template=$TEMPLATE" ! fakesink >"$TRY/launch.txt"
verdicts=$(grep -c 'hetmm-inspection, verdict=(string)' "$TRY/launch.txt") || true
[ "$verdicts" = 2 ] || fail "$verdicts of 2 frames have a verdict" "see $TRY/launch.txt" 1
say "2 frames, 2 verdicts"
say "done"
