#!/usr/bin/env bash
# Builds hetmm-edge twice, from two copies of the sources in two folders, and compares the bytes.
#
# usage: packaging/reproduce.sh [--quick | --target TARGET]
#
#   --quick           compiles only our own crates twice, with few optimisations, and takes the crates of the registry from
#                     the present target folder. It finds what our sources bring in, and not what another crate does.
#   --target TARGET   another machine, as in aarch64-unknown-linux-gnu [default: this one]
#
# It copies what git has at the present commit, so commit first. Without --quick it makes two clean builds.
# Exit codes: 0 the builds are equal, 1 they differ, 2 wrong usage.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=flags.sh
. "$here/flags.sh"
cd "$here/.."
quick=no target=
while [ $# -gt 0 ]; do
    case $1 in
        --quick) quick=yes ;;
        --target) target=${2:?--target needs a name} && shift ;;
        *) sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0" && exit 2 ;;
    esac
    shift
done
shared=$(realpath -m "${CARGO_TARGET_DIR:-target}")
work=$shared/reproduce
HETMM_COMMIT=$(git rev-parse HEAD)
export HETMM_COMMIT
moment=$(git log -1 --format=%ct)

# Builds from a copy in the folder $1, and leaves the program as $2.
build() {
    rm -rf "$1" && mkdir -p "$1"
    # New times of files: cargo compiles again what is newer than the last build.
    git archive HEAD | tar -xm -C "$1"
    (
        cd "$1"
        export CARGO_TARGET_DIR=$1/target
        if [ $quick = yes ]; then
            # The set of packages is the one that the lints have, so that no other crate is compiled.
            export CARGO_BUILD_BUILD_DIR=$shared
            cargo build --quiet --release --locked -p hetmm -p hetmm-python --no-default-features --features hetmm/edge \
                --bin hetmm-edge --config profile.release.package.hetmm.opt-level=1
        else
            # Not with --quick: a new value makes cargo compile the crates with C code again, and all crates above them.
            export SOURCE_DATE_EPOCH=$moment
            use_fixed_flags
            cargo build --quiet --release --locked -p hetmm --no-default-features --features edge --bin hetmm-edge \
                ${target:+--target "$target"}
        fi
        mv "target/${target:+$target/}release/hetmm-edge" "$2"
    )
    rm -rf "$1"
}
build "$work/one" "$work/first"
build "$work/another/folder" "$work/second"
if [ $quick = yes ]; then
    # Without fixed flags, the tables of lines name the folder. An installed program has no such tables.
    strip --strip-all "$work/first" "$work/second"
else
    no_paths "$work/first" "$work" "$HOME/"
fi
(cd "$work" && sha256sum first second)
cmp "$work/first" "$work/second" || { echo "ERROR: two builds of hetmm-edge differ" && exit 1; }
echo "two builds of hetmm-edge in two folders are equal: $(stat -c %s "$work/first") bytes"
