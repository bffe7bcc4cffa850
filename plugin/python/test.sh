#!/usr/bin/env bash
# Tests the Python module: builds the wheel once, and tries it with an old numpy and with a new one.
#
# usage: [HETMM=PROGRAM] [HETMM_DEMO=FOLDER] plugin/python/test.sh [--environments]
#
# HETMM is the tool to compare with, in place of building it. HETMM_DEMO is what `hetmm demo` wrote, in place of making it.
# --environments only makes the environments, which takes minutes without a compiler: it can run beside other work.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/../.." && pwd)"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}"
work="$CARGO_TARGET_DIR/python"
python="${PYTHON:-python3}"
old=(numpy==1.23.5 opencv-python-headless==4.11.0.86 scikit-learn==1.6.1 pytest==9.2.0)
new=(numpy==2.4.6 opencv-python-headless==5.0.0.93 scikit-learn==1.9.1 pytest==9.2.0
    maturin==1.16.0 mypy==2.4.1 "ray[data]==2.60.0" pyarrow==26.0.1 psutil==7.2.2)

if ! "$python" -c 'import ensurepip, venv'; then
    echo "ERROR: this Python cannot make environments: apt-get install python3-venv"
    exit 1
fi
mkdir -p "$work"
# Makes an environment, unless one with these packages is there from an earlier run.
environment() {
    local at="$work/$1"
    shift
    [ "$(cat "$at/packages" 2>/dev/null)" = "$*" ] && return
    rm -rf "$at"
    "$python" -m venv "$at"
    "$at/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: "$@"
    printf '%s' "$*" >"$at/packages"
}
environment old "${old[@]}" &
environments=$!
environment new "${new[@]}"
wait "$environments"
[ "${1:-}" != --environments ] || exit 0

cd "$root"
[ -n "${HETMM:-}" ] || cargo build --quiet --release --bin hetmm
export HETMM="${HETMM:-$CARGO_TARGET_DIR/release/hetmm}"
rm -rf "$work/wheel" "$work/hetmm-demo"
if [ -z "${HETMM_DEMO:-}" ]; then
    HETMM_DEMO="$work/hetmm-demo"
    "$HETMM" demo --quiet --out "$HETMM_DEMO" >"$work/demo.log"
fi
export HETMM_DEMO
"$work/new/bin/maturin" build --release --manifest-path "$here/Cargo.toml" --out "$work/wheel" >"$work/wheel.log" 2>&1 ||
    { tail -n 40 "$work/wheel.log"; exit 1; }
for name in old new; do
    "$work/$name/bin/pip" install --quiet --disable-pip-version-check --force-reinstall --no-deps "$work"/wheel/*.whl
done

# In the folder of the sources, Python would take the sources for the package.
cd "$work"
"$work/new/bin/stubtest" hetmm --mypy-config-file "$here/pyproject.toml"
"$work/new/bin/mypy" --config-file "$here/pyproject.toml" "$here"/{examples,tests}/*.py
settings=(--quiet --config-file "$here/pyproject.toml" --rootdir "$here")
"$work/old/bin/pytest" "${settings[@]}" "$here/tests" --ignore "$here/tests/test_archive.py"
"$work/new/bin/pytest" "${settings[@]}" "$here/tests"
