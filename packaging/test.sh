#!/usr/bin/env bash
# Installs the packages of packaging/build.sh in a clean system, and runs the demo from them.
#
# usage: packaging/test.sh [--arch amd64|arm64] [--packages DIR] [--keep]
#
#   --arch ARCH      whose packages [default: amd64]
#   --packages DIR   where build.sh has put them [default: target/packages]
#   --keep           leaves the clean system for a look at it
#
# The clean system is Debian 12 with nothing but its base, made by debootstrap; root makes and enters it. The packages for
# arm64 are installed by the dpkg of this machine into a folder, without their scripts. Their programs run under qemu-user
# there, in a root that has only Debian's C library. The scripts are those of amd64, which is compared.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."
arch=amd64 packages='' keep=no
while [ $# -gt 0 ]; do
    case $1 in
        --arch) arch=${2:?--arch needs a name} && shift ;;
        --packages) packages=${2:?--packages needs a folder} && shift ;;
        --keep) keep=yes ;;
        *) sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0" && exit 2 ;;
    esac
    shift
done
CARGO_TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-target}")
packages=$(realpath "${packages:-$CARGO_TARGET_DIR/packages}")
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
[ "$(id -u)" = 0 ] || { echo "ERROR: only root can make and enter a clean system" && exit 2; }
work=$CARGO_TARGET_DIR/clean-$arch
root=$work/root
rm -rf "$root" && mkdir -p "$root"
clean() { [ $keep = yes ] || rm -rf "$root"; }
trap clean EXIT
fail() {
    echo "FAIL $*" >&2
    exit 1
}
deb() { printf '%s/%s/%s_%s_%s.deb' "$packages" "$arch" "$1" "$version" "$arch"; }
(cd "$packages/$arch" && sha256sum --quiet --check SHA256SUMS)

# ---------------------------------------------------------------- a clean system
# The base is downloaded once.
base() {
    local archive=$work/base.tar
    if [ ! -e "$archive" ]; then
        command -v debootstrap >/dev/null || { echo "ERROR: debootstrap is missing (apt-get install debootstrap)" && exit 2; }
        debootstrap --variant=minbase --arch=amd64 bookworm "$root" >"$work/debootstrap.log" 2>&1 ||
            { tail -n 5 "$work/debootstrap.log" && exit 2; }
        tar -C "$root" -cf "$archive.new" . && mv "$archive.new" "$archive"
    else
        tar -C "$root" -xf "$archive"
    fi
}
# Debian's C library for arm64 and nothing else, from the packages of an apt that knows arm64.
base_arm64() {
    local archive=$work/libraries apt=$work/apt package
    if [ ! -e "$archive" ]; then
        mkdir -p "$apt"/{lists/partial,cache/archives/partial} "$archive.new"
        local options=(-o APT::Architectures::=arm64 -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache"
            -o APT::Sandbox::User=root -o Debug::NoLocking=1)
        apt-get "${options[@]}" update -qq
        (cd "$apt" && apt-get "${options[@]}" download -qq libc6:arm64 libgcc-s1:arm64)
        for package in "$apt"/*.deb; do dpkg-deb -x "$package" "$archive.new"; done
        mv "$archive.new" "$archive"
    fi
    cp -a "$archive/." "$root"
    mkdir -p "$root/usr/local/bin" "$root/tmp"
    cp "$(command -v qemu-aarch64-static)" "$root/usr/local/bin/qemu"
    chmod 1777 "$root/tmp"
}
emulator=()
if [ "$arch" = arm64 ]; then
    base_arm64
    emulator=(/usr/local/bin/qemu)
else
    base
fi
inside() { chroot "$root" "$@"; }
# As a user without rights, who has a home folder.
user() {
    env -i HOME=/tmp USER=visitor PATH=/usr/bin:/bin:/usr/sbin chroot --userspec=1234:1234 "$root" ${emulator[@]+"${emulator[@]}"} "$@"
}

# ---------------------------------------------------------------- install
if [ "$arch" = amd64 ]; then
    cp "$(deb hetmm)" "$(deb hetmm-edge)" "$(deb hetmm-plant)" "$root/tmp"
    ! inside dpkg -i "/tmp/hetmm-plant_${version}_$arch.deb" >"$work/words" 2>&1 || fail "hetmm-plant installs without hetmm-edge"
    inside dpkg --purge hetmm-plant >"$work/words" 2>&1 || fail "$(cat "$work/words")"
    # Two times: an update is an installation over another one.
    for round in first second; do
        inside dpkg -i /tmp/hetmm_"${version}_$arch".deb /tmp/hetmm-edge_"${version}_$arch".deb \
            /tmp/hetmm-plant_"${version}_$arch".deb >"$work/words" 2>&1 || fail "$round installation: $(cat "$work/words")"
    done
    [ "$(inside dpkg --audit)" = "" ] || fail "dpkg --audit: $(inside dpkg --audit)"
    [ "$(stat -c '%a' "$root/var/lib/hetmm")" = 750 ] || fail "/var/lib/hetmm has another mode"
    inside id -nG hetmm | grep -qw gpio || fail "hetmm is not in the group gpio"
    inside id -nG hetmm-plant | grep -qw hetmm || fail "hetmm-plant is not in the group hetmm"
else
    for name in hetmm hetmm-edge hetmm-plant; do
        dpkg-deb -x "$(deb $name)" "$root"
        mkdir -p "$work/control/$arch" "$work/control/amd64"
        dpkg-deb -e "$(deb $name)" "$work/control/$arch"
        [ ! -e "$packages/amd64" ] || {
            dpkg-deb -e "$packages/amd64/${name}_${version}_amd64.deb" "$work/control/amd64"
            diff -r -x control -x md5sums "$work/control/$arch" "$work/control/amd64" || fail "other scripts than for amd64"
        }
        rm -rf "$work/control"
    done
fi
for name in hetmm hetmm-edge hetmm-plant; do
    for file in "usr/share/man/man1/$name.1.gz" "usr/share/bash-completion/completions/$name" \
        "usr/share/doc/$name/copyright" "usr/share/doc/$name/$name.cdx.json"; do
        [ -s "$root/$file" ] || fail "$name has no $file"
    done
    user "/usr/bin/$name" --version --json >"$work/version.json"
    python3 - "$work/version.json" "$name" "$version" "$root/usr/share/doc/$name/$name.cdx.json" <<'END' || fail "$name --version --json"
import json, sys
said, listed = json.load(open(sys.argv[1])), json.load(open(sys.argv[4]))
assert (said["program"], said["version"]) == (sys.argv[2], sys.argv[3]), said
assert listed["metadata"]["component"]["name"] == sys.argv[2] and len(listed["components"]) > 100
END
done
for unit in hetmm-edge hetmm-plant; do
    program=$(sed -n 's/^ExecStart=\([^ ]*\) .*/\1/p' "$root/lib/systemd/system/$unit.service")
    [ -x "$root$program" ] || fail "$unit.service starts $program, which is not there"
done

# ---------------------------------------------------------------- the demo, from what is installed
# demo RUN PROGRAM ROOT: runs the demo, and inspects a scratched and a good part with its template.
demo() {
    local code=0
    "$1" "$2" demo --quiet --out /tmp/demo >"$work/words" 2>&1 || fail "$2 demo: $(cat "$work/words")"
    [ -s "$3/tmp/demo/part.hetmm" ] || fail "$2 demo has made no template"
    "$1" "$2" inspect /tmp/demo/part.hetmm /tmp/demo/parts/test/scratch/000.png /tmp/demo/parts/test/good/000.png \
        --json >"$work/results" 2>"$work/words" || code=$?
    [ $code = 0 ] || fail "$2 inspect ended with $code: $(cat "$work/words")"
    [ "$(grep -c '"verdict":"ng"' "$work/results")" = 1 ] || fail "$2 inspect: $(cat "$work/results")"
    "$1" "$2" check /tmp/demo/part.hetmm >"$work/words" 2>&1 || fail "$2 check: $(cat "$work/words")"
}
demo user /usr/bin/hetmm "$root"
# The device program with the template of the demo: it checks the installed configuration, and measures itself.
user /usr/bin/hetmm-edge --config /etc/hetmm/line.toml --check >"$work/resolved" 2>"$work/words" || true
grep -q '^\[outputs' "$work/resolved" || fail "hetmm-edge --check: $(cat "$work/words")"
sed '0,/^file = /s#^file = .*#file = "/tmp/demo/part.hetmm"#' "$root/etc/hetmm/line.toml" >"$root/tmp/line.toml"
user /usr/bin/hetmm-edge --config /tmp/line.toml bench --json >"$work/bench.json" 2>"$work/words" ||
    fail "hetmm-edge bench: $(cat "$work/words")"
user /usr/bin/hetmm-plant registers | grep -q '^|' || fail "hetmm-plant registers"

# ---------------------------------------------------------------- the static programs, in an empty root
name=hetmm-$version-linux-$arch
tar -xzf "$packages/$arch/$name.tar.gz" -C "$work"
mkdir -p "$work/empty/tmp"
chmod 1777 "$work/empty/tmp"
cp "$work/$name/hetmm" "$work/$name/hetmm-edge" "$work/empty"
[ "$arch" = amd64 ] || cp "$root/usr/local/bin/qemu" "$work/empty/qemu"
cp "$root/tmp/demo/part.hetmm" "$work/installed.hetmm"
rm -rf "$root/tmp/demo"
in_empty() { chroot --userspec=1234:1234 "$work/empty" ${emulator[@]+/qemu} "$@"; }
in_empty /hetmm-edge --version >/dev/null
demo in_empty /hetmm "$work/empty"
"$work/$name/firmware-config/install.sh" --binary "$work/$name/hetmm-edge" --root "$work/staged" >/dev/null
[ -x "$work/staged/usr/local/bin/hetmm-edge" ] || fail "install.sh of the tar archive"
cmp -s "$work/$name/hetmm" "$packages/$arch/container/hetmm" || fail "the container holds another program"
rm -rf "${work:?}/$name" "$work/empty" "$work/staged"

# ---------------------------------------------------------------- remove
if [ "$arch" = amd64 ]; then
    echo "# mine" >>"$root/etc/hetmm/line.toml"
    touch "$root/var/lib/hetmm/parts.jsonl"
    inside dpkg --remove hetmm-plant hetmm-edge hetmm >"$work/words" 2>&1 || fail "$(cat "$work/words")"
    tail -n 1 "$root/etc/hetmm/line.toml" | grep -qx '# mine' || fail "removing took the configuration"
    [ -e "$root/var/lib/hetmm/parts.jsonl" ] || fail "removing took the records"
    inside dpkg --purge hetmm-plant hetmm-edge hetmm >"$work/words" 2>&1 || fail "$(cat "$work/words")"
    left=$(cd "$root" && find . -path ./tmp -prune -o -path ./proc -prune -o -name '*hetmm*' -print)
    [ -z "$left" ] || fail "purging left $left"
    ! inside id hetmm >/dev/null 2>&1 || fail "purging left the user hetmm"
fi
echo "the packages of $version for $arch install, run the demo and go again"
