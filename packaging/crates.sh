#!/usr/bin/env bash
# Packs the two crates that a registry gets, checks their sizes, and installs hetmm from the packed files.
#
# usage: packaging/crates.sh [--install]
#
#   --install   also builds and installs hetmm from the packed crates in an empty folder, and runs its demo
#
# The packed files are left in $CARGO_TARGET_DIR/package. Commit first: cargo packs what git has.
set -euo pipefail
cd "$(dirname "$0")/.."
# Registries accept 10 MiB.
limit=$((10 * 1024 * 1024))
install=no
case ${1:-} in
    '') ;;
    --install) install=yes ;;
    *) sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0" && exit 2 ;;
esac
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
export CARGO_TARGET_DIR=$target
mkdir -p "$target"
planes=models/efficientnet_lite0.planes
[ -z "$(git status --porcelain)" ] || { echo "ERROR: there are changes that git does not have" && exit 1; }
trap 'rm -f "$planes"' EXIT
rustc --edition 2024 -O -o "$target/planes" models/examples/planes.rs
"$target/planes" models/efficientnet_lite0.onnx "$planes"
# The ordered model is made here and is not in git, hence --allow-dirty. Everything else is, as was checked.
cargo package --quiet --locked --allow-dirty --no-verify -p hetmm-efficientnet-lite0 -p hetmm
unpacked=$target/package/unpacked
rm -rf "$unpacked" && mkdir -p "$unpacked"
for name in hetmm-efficientnet-lite0 hetmm; do
    version=$(cargo metadata --no-deps --format-version 1 | python3 -c '
import json, sys
print(next(p["version"] for p in json.load(sys.stdin)["packages"] if p["name"] == sys.argv[1]))' $name)
    crate=$target/package/$name-$version.crate
    bytes=$(stat -c %s "$crate")
    echo "$name $version: $bytes bytes packed, $((100 * bytes / limit)) % of what registries accept"
    [ "$bytes" -le $limit ] || { echo "ERROR: $crate is larger than $limit bytes" && exit 1; }
    tar -xzf "$crate" -C "$unpacked"
    mv "$unpacked/$name-$version" "$unpacked/$name"
done
[ $install = yes ] || exit 0
# The registry does not have the model's crate, so cargo is told where it lies.
model="patch.crates-io.hetmm-efficientnet-lite0.path='$unpacked/hetmm-efficientnet-lite0'"
root=$target/package/installed
rm -rf "$root"
cargo install --quiet --path "$unpacked/hetmm" --root "$root" --config "$model"
model=$(find "$target/release/build" -path '*hetmm-efficientnet-lite0-*/out/efficientnet_lite0.onnx' -print -quit)
cmp models/efficientnet_lite0.onnx "$model"
"$root/bin/hetmm" demo --quiet --out "$root/demo"
"$root/bin/hetmm" --version
echo "installed from the packed crates; the demo ran"
