#!/usr/bin/env bash
# Gets ONNX Runtime from the Python package into a cache folder and prints its shared library.
#
#   export ORT_DYLIB_PATH=$(models/fetch_onnxruntime.sh)
#   PACKAGE=onnxruntime-gpu models/fetch_onnxruntime.sh     with CUDA and TensorRT support
#
# Nothing of the package is used but the library; the folder may be removed at any time.
set -euo pipefail
package=${PACKAGE:-onnxruntime}
case $package in onnxruntime-gpu) newest=1.31.1 ;; *) newest=1.32.0 ;; esac
version=${VERSION:-$newest}
folder=${XDG_CACHE_HOME:-$HOME/.cache}/hetmm/$package-$version
library() { find "$folder" -name 'libonnxruntime.so.*' -type f 2>/dev/null | sort | head -n 1; }
if [ -z "$(library)" ]; then
    mkdir -p "$(dirname "$folder")"
    making=$(mktemp -d "$folder.XXXXXX")
    trap 'rm -rf "$making"' EXIT
    python3 -m venv "$making" >&2
    "$making/bin/pip" install --quiet --disable-pip-version-check --no-deps "$package==$version" >&2
    rm -rf "$folder"
    mv "$making" "$folder"
fi
found=$(library)
[ -n "$found" ] || { echo "$package $version holds no libonnxruntime.so: take 1.20 or newer" >&2; exit 1; }
echo "$found"
