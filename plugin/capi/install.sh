#!/usr/bin/env bash
# Builds the C library and installs it with its header and pkg-config file.
#
# usage: plugin/capi/install.sh [--prefix P] [--destdir D] [--target T | --built B]
#
#   --prefix P    where programs find it [default: /usr/local]
#   --destdir D   a folder to put in front of the prefix, for packages
#   --target T    build for another machine, as in aarch64-unknown-linux-gnu (cross/README.md)
#   --built B     a folder with libhetmm_capi.so and libhetmm_capi.a, in place of building them
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
prefix=/usr/local destdir= target= built=
while [ $# -gt 0 ]; do
    case $1 in
        --prefix) prefix=${2:?--prefix needs a folder} && shift ;;
        --destdir) destdir=${2:?--destdir needs a folder} && shift ;;
        --target) target=${2:?--target needs a name} && shift ;;
        --built) built=$(realpath "${2:?--built needs a folder}") && shift ;;
        *) sed -n '2,10s/^# \{0,1\}//p' "$0" && exit 2 ;;
    esac
    shift
done
cd "$here/../.."
if [ -z "$built" ]; then
    cargo build --release -p hetmm-capi ${target:+--target "$target"}
    built=${CARGO_TARGET_DIR:-target}/${target:+$target/}release
fi
# The library calls nothing of the system but what Rust's own libraries call.
scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT
: >"$scratch/empty.rs"
private=$(rustc --crate-type staticlib --print native-static-libs ${target:+--target "$target"} --out-dir "$scratch" \
    "$scratch/empty.rs" 2>&1 | sed -n 's/.*native-static-libs: //p')
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/Cargo.toml" | head -n 1)
to=$destdir$prefix
install -d "$to/lib/pkgconfig" "$to/include"
install -m 755 "$built/libhetmm_capi.so" "$to/lib/libhetmm.so.0"
# Another machine's library may be one that this strip does not know.
strip --strip-unneeded "$to/lib/libhetmm.so.0" 2>/dev/null || true
ln -sf libhetmm.so.0 "$to/lib/libhetmm.so"
install -m 644 "$built/libhetmm_capi.a" "$to/lib/libhetmm.a"
install -m 644 "$here/include/hetmm.h" "$to/include/hetmm.h"
sed -e "s#@PREFIX@#$prefix#" -e "s#@VERSION@#$version#" -e "s#@PRIVATE@#$private#" "$here/hetmm.pc.in" \
    >"$to/lib/pkgconfig/hetmm.pc"
echo "installed in $to: libhetmm.so.0, libhetmm.a, hetmm.h, hetmm.pc"
