#!/usr/bin/env bash
# Tests the installed C library with C programs: shared and static, under load, unloaded, under valgrind, with
# AddressSanitizer.
#
# usage: plugin/capi/test.sh [OPTION of install.sh]...
#
# Needs a C compiler, pkg-config and valgrind.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAIL $*" >&2 && exit 1; }
for tool in cc pkg-config valgrind; do
    command -v $tool >/dev/null || fail "no $tool: install it (Debian: apt-get install gcc pkg-config valgrind)"
done

"$here/install.sh" "$@" --prefix "$work/usr" >"$work/install.log" 2>&1 || { tail -n 20 "$work/install.log" && exit 1; }
export PKG_CONFIG_PATH=$work/usr/lib/pkgconfig LD_LIBRARY_PATH=$work/usr/lib
template=$here/../../tests/golden/template_v1.hetmm
# 64 x 64 pixels of a colour gradient.
{ printf 'P6 64 64 255\n' && for row in $(seq 64); do for column in $(seq 64); do
    printf "\\x$(printf %02x $((3 * row)))\\x$(printf %02x $((3 * column)))\\x40"
done; done; } >"$work/part.ppm"

# compile NAME SOURCE [OPTION...]: against the shared library.
compile() {
    local name=$1 source=$2
    shift 2
    # shellcheck disable=SC2046
    cc -std=gnu99 -Wall -Wextra -Werror "$@" "$here/$source" $(pkg-config --cflags --libs hetmm) -lpthread -ldl -o "$work/$name"
}
compile inspect examples/inspect.c
compile load tests/load.c
compile unload tests/unload.c
# shellcheck disable=SC2046
cc -std=c99 "$here/examples/inspect.c" $(pkg-config --cflags hetmm) "$work/usr/lib/libhetmm.a" \
    $(pkg-config --static --libs hetmm | sed 's/-lhetmm//') -o "$work/inspect-static"

# The example ends with 1 if it rejects a part.
judge() { "$@" "$template" "$work/part.ppm" || [ $? = 1 ]; }
line() { judge "$@" | sed 's/"timing_ms":{[^}]*}//'; }
shared=$(line "$work/inspect") static=$(LD_LIBRARY_PATH='' line "$work/inspect-static")
[ -n "$shared" ] && [ "$shared" = "$static" ] || fail "shared and static differ: $shared / $static"
"$work/load" "$template" "$work/part.ppm" 8 1000 fork
"$work/unload" "$work/usr/lib/libhetmm.so.0" "$template" "$work/part.ppm" || fail "the process died after dlclose"

checked="valgrind --quiet --error-exitcode=9 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite"
# shellcheck disable=SC2086
judge $checked "$work/inspect" >"$work/valgrind.json" || fail "valgrind: see above"
$checked "$work/load" "$template" "$work/part.ppm" 2 2 || fail "valgrind under load: see above"
compile load-asan tests/load.c -fsanitize=address -fno-omit-frame-pointer
"$work/load-asan" "$template" "$work/part.ppm" 8 50 fork || fail "AddressSanitizer: see above"
compile inspect-asan examples/inspect.c -fsanitize=address -fno-omit-frame-pointer
judge "$work/inspect-asan" >"$work/asan.json" || fail "AddressSanitizer: see above"
echo "the C library: shared and static, load, dlclose, valgrind and AddressSanitizer are clean"
