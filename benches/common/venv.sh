# shellcheck shell=bash
# Python environments for measurements; to be sourced.
#
# PyTorch's own package index has builds of torch without CUDA that are smaller by gigabytes; put its
# address into PIP_EXTRA_INDEX_URL to use them. On a CPU both compute the same way.

# venv NAME REQUIREMENTS: a virtual environment with REQUIREMENTS, made on first use and again when
# they change. Prints its Python.
venv() {
    local folder="${XDG_CACHE_HOME:-$HOME/.cache}/hetmm-$1"
    if ! cmp -s "$2" "$folder/requirements.txt"; then
        echo "Making a Python environment in $folder (once)" >&2
        rm -rf "$folder"
        "${PYTHON:-python3}" -m venv "$folder" || return
        "$folder/bin/pip" install --quiet --disable-pip-version-check -r "$2" >&2 || {
            echo "error: pip cannot install $2: Python 3.11 to 3.13, a network, and 7 GB of disk are needed" >&2
            return 1
        }
        cp "$2" "$folder/requirements.txt"
    fi
    echo "$folder/bin/python"
}
