#!/usr/bin/env bash
# Compiles the C example and inspects the parts of `hetmm demo` with it.
#
# usage: plugin/capi/demo.sh [FOLDER]
#
#   FOLDER   what `hetmm demo` wrote, or where it is to write [default: hetmm-demo]
#
# Installs the library below FOLDER/c, and prints a line of JSON for one part of each kind.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
case ${1:-} in -*) sed -n '2,8s/^# \{0,1\}//p' "$0" && exit 2 ;; esac
demo=${1:-hetmm-demo}
if ! [ -e "$demo/part.hetmm" ]; then
    echo "Making the demo's parts and template in $demo. This takes some minutes."
    cargo run --quiet --release --manifest-path "$here/../../Cargo.toml" --bin hetmm -- demo --out "$demo"
fi
demo=$(cd "$demo" && pwd)
"$here/install.sh" --prefix "$demo/c"
export PKG_CONFIG_PATH=$demo/c/lib/pkgconfig LD_LIBRARY_PATH=$demo/c/lib
# shellcheck disable=SC2046
cc "$here/examples/inspect.c" $(pkg-config --cflags --libs hetmm) -o "$demo/c/inspect"
for kind in "$demo"/parts/test/*/; do
    echo "$(basename "$kind"):"
    # The example ends with 1 if it rejects a part.
    "$demo/c/inspect" "$demo/part.hetmm" "${kind}000.png" || [ $? = 1 ]
done
