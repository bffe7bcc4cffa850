#!/usr/bin/env bash
# Makes the packages of a release: .deb files, a tar archive with static programs, and the folder for the container.
#
# usage: packaging/build.sh [--arch amd64|arm64] [--out DIR] [--built DIR]
#
#   --arch ARCH   the machine that they are for [default: amd64]. For arm64 run cross/setup.sh first
#   --out DIR     where they go [default: target/packages]. DIR/ARCH is made anew
#   --built DIR   a folder with hetmm, hetmm-edge and hetmm-plant, and in DIR/static with hetmm and hetmm-edge, in place of
#                 building them. Such packages are for trials: nobody knows how the programs were built
#
# Every program comes with its list of components (CycloneDX). With cargo-auditable, the programs hold such a list as well.
# packaging/test.sh installs the packages in a clean system and runs the demo from them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=flags.sh
. "$here/flags.sh"
cd "$here/.."
arch=amd64 out='' built=''
while [ $# -gt 0 ]; do
    case $1 in
        --arch) arch=${2:?--arch needs a name} && shift ;;
        --out) out=${2:?--out needs a folder} && shift ;;
        --built) built=$(realpath "${2:?--built needs a folder}") && shift ;;
        *) sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0" && exit 2 ;;
    esac
    shift
done
run=() strip=strip readelf=readelf cargo=(cargo)
case $arch in
    amd64) target=x86_64-unknown-linux-gnu ;;
    arm64)
        target=aarch64-unknown-linux-gnu strip=aarch64-linux-gnu-strip readelf=aarch64-linux-gnu-readelf run=(cross/run.sh)
        # shellcheck source=cross/common.sh
        . cross/common.sh
        use_toolchain
        cargo=("${CROSS_CARGO[@]}")
        ;;
    *) echo "ERROR: --arch $arch: amd64 or arm64" && exit 2 ;;
esac
CARGO_TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-target}")
export CARGO_TARGET_DIR
out=$(realpath -m "${out:-$CARGO_TARGET_DIR/packages}")/$arch
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
umask 022
rm -rf "$out" && mkdir -p "$out"

# ---------------------------------------------------------------- programs
# Features of the installed programs, and of the static ones, which cannot load ONNX Runtime's library.
full=desktop,edge,onnxruntime static=desktop,edge
compile() {
    use_fixed_flags
    local auditable=()
    if cargo auditable --version >/dev/null 2>&1; then
        auditable=(auditable)
    else
        echo "NOTE: no cargo-auditable (cargo install --locked cargo-auditable): the programs hold no list of components"
    fi
    local common=(--quiet --release --locked --target "$target")
    "${cargo[@]}" "${auditable[@]}" build "${common[@]}" -p hetmm --no-default-features --features $full --bins
    # By itself: beside the others, it would get their neural network.
    "${cargo[@]}" "${auditable[@]}" build "${common[@]}" -p hetmm-plant --bins
    built=$scratch/built
    mkdir -p "$built/static"
    cp "$CARGO_TARGET_DIR/$target/release"/{hetmm,hetmm-edge,hetmm-plant} "$built"
    # On the last step alone: nothing else depends on it, and nothing else is compiled anew.
    local program
    for program in hetmm hetmm-edge; do
        "${cargo[@]}" "${auditable[@]}" rustc "${common[@]}" -p hetmm --no-default-features --features $static \
            --bin $program -- -C target-feature=+crt-static
        cp "$CARGO_TARGET_DIR/$target/release/$program" "$built/static"
    done
}
[ -n "$built" ] || compile
mkdir -p "$scratch/programs/static"
for program in hetmm hetmm-edge hetmm-plant static/hetmm static/hetmm-edge; do
    "$strip" -o "$scratch/programs/$program" "$built/$program"
done
for program in static/hetmm static/hetmm-edge; do
    ! "$readelf" -lW "$scratch/programs/$program" | grep -q INTERP ||
        { echo "ERROR: $built/$program is not static" && exit 1; }
done

# ---------------------------------------------------------------- lists of components, manual pages, completions
mkdir -p "$scratch/sbom/static" "$scratch/man" "$scratch/completions"
for program in hetmm hetmm-edge; do
    packaging/sbom.py $program hetmm "$target" $full >"$scratch/sbom/$program.cdx.json"
    packaging/sbom.py $program hetmm "$target" $static >"$scratch/sbom/static/$program.cdx.json"
done
packaging/sbom.py hetmm-plant hetmm-plant "$target" >"$scratch/sbom/hetmm-plant.cdx.json"
for program in hetmm hetmm-edge hetmm-plant; do
    "${run[@]}" "$scratch/programs/$program" manuals "$scratch/man/$program" 2>"$scratch/words"
    for shell in bash zsh fish; do
        "${run[@]}" "$scratch/programs/$program" completions $shell >"$scratch/completions/$program.$shell"
    done
done

# ---------------------------------------------------------------- Debian packages
# The version of glibc that a program needs, as a dependency.
needs() {
    local glibc
    glibc=$("$readelf" -W --dyn-syms "$scratch/programs/$1" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
    printf 'libc6 (>= %s), libgcc-s1' "${glibc#GLIBC_}"
}
stage() {
    local root=$scratch/deb/$1
    install -D -m 755 "$scratch/programs/$1" "$root/usr/bin/$1"
    install -D -m 644 "$scratch/sbom/$1.cdx.json" "$root/usr/share/doc/$1/$1.cdx.json"
    install -D -m 644 "$scratch/completions/$1.bash" "$root/usr/share/bash-completion/completions/$1"
    install -D -m 644 "$scratch/completions/$1.zsh" "$root/usr/share/zsh/vendor-completions/_$1"
    install -D -m 644 "$scratch/completions/$1.fish" "$root/usr/share/fish/vendor_completions.d/$1.fish"
    install -d -m 755 "$root/usr/share/man/man1"
    install -m 644 "$scratch/man/$1"/*.1 "$root/usr/share/man/man1"
    gzip -9n "$root/usr/share/man/man1"/*.1
    install -m 644 CHANGELOG.md "$root/usr/share/doc/$1/changelog"
    gzip -9n "$root/usr/share/doc/$1/changelog"
    { cat packaging/deb/copyright && sed 's/^/ /; s/^ $/ ./' LICENSE-MIT; } >"$root/usr/share/doc/$1/copyright"
    chmod 644 "$root/usr/share/doc/$1/copyright"
}
# The units of firmware-config are for programs that install.sh has put into /usr/local.
unit() {
    install -d -m 755 "$scratch/deb/$1/lib/systemd/system"
    sed 's#/usr/local/bin/#/usr/bin/#' "firmware-config/$1.service" >"$scratch/deb/$1/lib/systemd/system/$1.service"
    chmod 644 "$scratch/deb/$1/lib/systemd/system/$1.service"
}
# deb NAME DEPENDS SUMMARY TEXT
deb() {
    local root=$scratch/deb/$1 script
    install -d -m 755 "$root/DEBIAN"
    for script in postinst prerm postrm; do
        [ ! -e "packaging/deb/$1.$script" ] || install -m 755 "packaging/deb/$1.$script" "$root/DEBIAN/$script"
    done
    [ ! -d "$root/etc" ] || (cd "$root" && find etc -type f -printf '/%p\n' | sort) >"$root/DEBIAN/conffiles"
    cat >"$root/DEBIAN/control" <<END
Package: $1
Version: $version
Architecture: $arch
Maintainer: The hetmm authors
Section: science
Priority: optional
Depends: $2
Installed-Size: $(du -k --apparent-size -s "$root" | cut -f1)
Description: $3
 $4
END
    # Debian's tools take the times of files from SOURCE_DATE_EPOCH.
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)} \
        dpkg-deb --root-owner-group -Zxz --build "$root" "$out/$1_${version}_$arch.deb" >/dev/null
}
stage hetmm
deb hetmm "$(needs hetmm)" "visual inspection from pictures of good parts alone" \
    "The workstation tool builds templates from good pictures, and inspects new ones."
stage hetmm-edge
unit hetmm-edge
install -D -m 644 firmware-config/line.toml "$scratch/deb/hetmm-edge/etc/hetmm/line.toml"
install -D -m 644 firmware-config/99-hetmm.rules "$scratch/deb/hetmm-edge/lib/udev/rules.d/99-hetmm.rules"
install -D -m 644 -t "$scratch/deb/hetmm-edge/usr/share/doc/hetmm-edge/examples" firmware-config/*.toml
deb hetmm-edge "$(needs hetmm-edge), passwd" "inspection at a production line, with a reject gate" \
    "The device program takes pictures at a trigger, inspects them, and drives the reject gate."
stage hetmm-plant
unit hetmm-plant
deb hetmm-plant "$(needs hetmm-plant), passwd, hetmm-edge (= $version)" "connects hetmm-edge to the plant" \
    "It serves Modbus TCP, MQTT, metrics and the operator page. It has no part in any verdict."

# ---------------------------------------------------------------- static programs
name=hetmm-$version-linux-$arch
mkdir -p "$scratch/$name/man" "$scratch/$name/completions"
cp "$scratch/programs/static"/{hetmm,hetmm-edge} "$scratch/sbom/static"/*.json LICENSE-* CHANGELOG.md "$scratch/$name"
cp -r firmware-config "$scratch/$name/firmware-config"
rm "$scratch/$name/firmware-config"/{test.sh,hetmm-plant.service}
cp "$scratch/man"/{hetmm,hetmm-edge}/*.1 "$scratch/$name/man"
cp "$scratch/completions"/{hetmm,hetmm-edge}.* "$scratch/$name/completions"
tar --sort=name --mode=u=rwX,go=rX --owner=0 --group=0 --numeric-owner --mtime="@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}" \
    --format=gnu -C "$scratch" -cf - "$name" | gzip -9n >"$out/$name.tar.gz"

# ---------------------------------------------------------------- container
mkdir -p "$out/container/tmp"
chmod 1777 "$out/container/tmp"
cp "$scratch/programs/static/hetmm" "$scratch/sbom/static/hetmm.cdx.json" LICENSE-* "$out/container"
(cd "$out" && sha256sum ./*.deb ./*.tar.gz >SHA256SUMS)
(cd "$out" && stat -c '%n %s bytes' ./*.deb ./*.tar.gz container/hetmm)
