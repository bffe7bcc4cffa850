#!/usr/bin/env bash
# Sets up what builds and tests hetmm for aarch64-unknown-linux-gnu on an x86-64 machine.
#
# usage: cross/setup.sh [--board] [--plugins] [--rust auto|rustup|debian] [PREFIX]
#
#   --board   also the virtual board: qemu-system-aarch64, Debian's arm64 kernel, gpio-sim, i2c-stub, busybox
#   --plugins also the arm64 files of GStreamer, for cross/plugin.sh
#   --rust    where Rust's library for aarch64 comes from: `rustup target add`, or Debian's rustc
#             linked as the toolchain hetmm-cross; auto tries the first, then the second. Only rustup
#             has the library for musl, with which cross/build.sh --plant makes a static program
#   PREFIX    folder for all that is unpacked [default: $XDG_CACHE_HOME/hetmm-cross]
#
# The C cross compiler and qemu-user are installed with apt (through sudo unless run by root) where
# they are missing; everything else stays below PREFIX. Finished parts are not done again. Then
# PREFIX/env says how to build; the other scripts here read it (set HETMM_CROSS_PREFIX to a PREFIX
# that is not the default).
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

BOARD=no PLUGINS=no RUST=auto
while [ $# -gt 0 ]; do
  case $1 in
    --board) BOARD=yes ;;
    --plugins) PLUGINS=yes ;;
    --rust)
      RUST=$(value "$@")
      shift
      ;;
    -h | --help) help_of "$0" && exit ;;
    -*) fail "unknown option $1" "$0 --help" ;;
    *) PREFIX=$1 ;;
  esac
  shift
done
case $RUST in auto | rustup | debian) ;; *) fail "--rust $RUST" "auto, rustup or debian" ;; esac
case $(uname -s)-$(uname -m) in
  Linux-x86_64) ;;
  *) fail "this is not an x86-64 Linux machine" "on an aarch64 machine plain cargo builds for the board" ;;
esac
mkdir -p "$PREFIX" || fail "cannot create $PREFIX" "name another: $0 PREFIX"
P=$(cd "$PREFIX" && pwd)
case $P in *[[:space:]]*) fail "$P: kernel modules cannot be built below a path with spaces" "$0 PREFIX" ;; esac
mkdir -p "$P/stamps"

is_done() { [ -e "$P/stamps/$1" ]; }
finished() {
  touch "$P/stamps/$1"
  say "$2"
}

# ---------------------------------------------------------------- apt
have_apt() { command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
UPDATED=no

# install WHAT_FOR PACKAGE...: the system's packages, those that are missing.
install() {
  local for=$1 missing=() package
  shift
  for package; do
    [ "$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null)" = "install ok installed" ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
    fail "$for: missing packages, and neither root nor sudo" "have installed: ${missing[*]}"
  # An earlier installation that was interrupted stops apt until it is finished; nothing to finish is no error.
  [ $UPDATED = yes ] || as_root env DEBIAN_FRONTEND=noninteractive dpkg --configure -a >/dev/null || true
  [ $UPDATED = yes ] || as_root apt-get update -qq
  UPDATED=yes
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o DPkg::Lock::Timeout=120 --no-install-recommends \
    "${missing[@]}" >/dev/null ||
    fail "$for: apt could not install ${missing[*]}" "see its words above"
}

# apt with a state of its own, which knows arm64 too: the system's architectures stay as they are.
APT=(-o APT::Architectures::=amd64 -o APT::Architectures::=arm64 -o "Dir::State::lists=$P/apt/lists"
  -o "Dir::Cache=$P/apt/cache" -o "Dir::Etc::sourceparts=$P/apt/sources" -o "Dir::Etc::sourcelist=$P/apt/none"
  -o APT::Sandbox::User=root -o Debug::NoLocking=1 -o Acquire::Languages=none)
PRIVATE=no
private_apt() {
  [ $PRIVATE = no ] || return 0
  have_apt || fail "$1 comes from Debian packages, and this machine has no apt" "$2"
  local source=/etc/apt/sources.list.d/debian.sources
  [ -r $source ] || source=/etc/apt/sources.list
  grep -qi debian $source 2>/dev/null ||
    fail "$1 comes from Debian packages, and $source names no Debian archive" "$2"
  rm -rf "$P/apt" && mkdir -p "$P"/apt/{lists/partial,cache/archives/partial,sources}
  cp $source "$P/apt/sources/"
  apt-get "${APT[@]}" update -qq
  PRIVATE=yes
  say "lists of Debian's packages"
}
# depends PACKAGE PATTERN: the first dependency whose name starts with PATTERN.
depends() {
  apt-cache "${APT[@]}" depends "$1" |
    awk -v p="$2" '/ Depends: /{ gsub(/[<>]|:.*/, "", $2); if (index($2, p) == 1) { print $2; exit } }'
}
# unpack FOLDER PACKAGE...: downloads and unpacks without installing.
unpack() {
  local to=$1 debs
  shift
  debs=$(mktemp -d "$P/debs.XXXXXX") && mkdir -p "$to"
  (cd "$debs" && apt-get "${APT[@]}" download -qq "$@") || fail "cannot download $*" "see apt's words above"
  for deb in "$debs"/*.deb; do dpkg-deb -x "$deb" "$to"; done
  rm -rf "$debs"
}

# ---------------------------------------------------------------- C compiler and qemu-user
OTHERS="install yourself: a C compiler aarch64-linux-gnu-gcc with its glibc (Fedora: gcc-aarch64-linux-gnu and \
sysroot-aarch64-fc*-glibc; Arch: aarch64-linux-gnu-gcc), qemu-aarch64-static (qemu-user-static), and run this again"
if ! command -v aarch64-linux-gnu-gcc >/dev/null || ! [ -e /usr/aarch64-linux-gnu/lib/libc.so.6 ]; then
  if have_apt; then
    install "C cross compiler" gcc-aarch64-linux-gnu libc6-dev-arm64-cross
  else
    command -v aarch64-linux-gnu-gcc >/dev/null || fail "no aarch64-linux-gnu-gcc, and no apt to install it" "$OTHERS"
  fi
fi
QEMU_USER=
find_qemu_user() {
  QEMU_USER=$(command -v qemu-aarch64-static || command -v qemu-aarch64) && QEMU_USER=${QEMU_USER##*/}
}
if ! find_qemu_user; then
  have_apt || fail "no qemu-aarch64-static, and no apt to install it" "$OTHERS"
  install "qemu-user" qemu-user-static
  find_qemu_user || fail "qemu-user-static brought no qemu-aarch64-static" "install qemu-user"
fi
is_done tools || finished tools "C compiler $(aarch64-linux-gnu-gcc -dumpfullversion), $QEMU_USER"

# ---------------------------------------------------------------- Rust
command -v cargo >/dev/null || fail "no cargo" "install Rust 1.91 or newer with rustup, then run this again"
has_target() { [ -d "$(rustc --print sysroot)/lib/rustlib/$TARGET/lib" ]; }

rust_by_rustup() {
  has_target && return 0
  command -v rustup >/dev/null || return 1
  rustup target add "$TARGET" >"$P/rustup.log" 2>&1 && has_target
}

rust_by_debian() {
  is_done rust-debian && return 0
  private_apt "Rust's library for $TARGET" "install rustup and let it run \`rustup target add $TARGET\`"
  # The newest rustc of a stable release is called rustc-web.
  local name='' candidate version minor runtime llvm packages f
  for candidate in rustc-web rustc; do
    version=$(apt-cache "${APT[@]}" show --no-all-versions $candidate:amd64 2>/dev/null | sed -n 's/^Version: //p')
    minor=${version#1.} && minor=${minor%%.*}
    if [ "${minor:-0}" -ge 91 ]; then name=${candidate#rustc} && break; fi
  done
  [ "${minor:-0}" -ge 91 ] || fail "Debian's rustc here is older than 1.91" "use rustup: \`rustup target add $TARGET\`"
  runtime=$(depends "libstd-rust$name-dev:amd64" "libstd-rust$name-1")
  llvm=$(depends "$runtime:amd64" libllvm)
  rm -rf "$P/rust"
  unpack "$P/rust" "rustc$name:amd64" "libstd-rust$name-dev:amd64" "libstd-rust$name-dev:arm64" "$runtime:amd64" "$llvm:amd64"
  mapfile -t packages < <(apt-cache "${APT[@]}" depends "$llvm:amd64" | awk '/ Depends: lib/{ sub(/:.*/, "", $2); print $2 }')
  install "LLVM's libraries" "${packages[@]}"
  # rustup expects rustc's libraries in lib, Debian has them a folder deeper.
  for f in "$P"/rust/usr/lib/x86_64-linux-gnu/{librustc_driver-*.so,libLLVM*.so.*}; do ln -sf "x86_64-linux-gnu/${f##*/}" "$P/rust/usr/lib/"; done
  version=$("${WITH_RUSTC[@]}" "$P/rust/usr/bin/rustc" --version) || fail "Debian's rustc does not run" "see its words above"
  finished rust-debian "Debian's $version"
}

# What rustup would set for a linked toolchain.
WITH_RUSTC=(env "LD_LIBRARY_PATH=$P/rust/usr/lib" "RUSTC=$P/rust/usr/bin/rustc" "RUSTDOC=$P/rust/usr/bin/rustdoc")
CARGO='' RUSTC=rustc
if [ "$RUST" != debian ] && rust_by_rustup; then
  CARGO=cargo
  # For hetmm-plant alone.
  rustup target add $MUSL >>"$P/rustup.log" 2>&1 || say "no Rust library for $MUSL: cross/build.sh --plant will need the board's glibc"
elif [ "$RUST" = rustup ]; then
  fail "\`rustup target add $TARGET\` failed: $(tail -n 1 "$P/rustup.log" 2>/dev/null || echo 'no rustup')" \
    "$0 --rust debian, on Debian 12"
else
  rust_by_debian
  if command -v rustup >/dev/null && rustup toolchain link hetmm-cross "$P/rust/usr" 2>"$P/rustup.log" &&
    rustc +hetmm-cross --version >/dev/null 2>&1; then
    CARGO="cargo +hetmm-cross" RUSTC="rustc +hetmm-cross"
  else
    # Without rustup there are no toolchain names: cargo is told which compiler to call.
    CARGO="${WITH_RUSTC[*]} cargo" RUSTC="${WITH_RUSTC[*]} $P/rust/usr/bin/rustc"
    say "no toolchain could be linked (is rustup there?): type \`$CARGO\` where the documentation has \`cargo\`"
  fi
fi

cat >"$P/env.new" <<END
# Written by cross/setup.sh; to be sourced.
export HETMM_CROSS_PREFIX="$P"
export HETMM_CROSS_CARGO="$CARGO"
export HETMM_CROSS_RUSTC="$RUSTC"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="$QEMU_USER -L /usr/aarch64-linux-gnu"
export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc
END
mv "$P/env.new" "$P/env"

# ---------------------------------------------------------------- virtual board
board_qemu() {
  is_done board-qemu && return 0
  private_apt "the virtual board" "it needs Debian 12 (a container of it will do)"
  # Not installed: that could replace parts of another qemu on this machine.
  rm -rf "$P/board/qemu" "$P/debs.qemu" && mkdir -p "$P/board/qemu" "$P/debs.qemu/partial"
  apt-get "${APT[@]}" install -y -qq --no-install-recommends --download-only --reinstall \
    -o "Dir::Cache::archives=$P/debs.qemu" qemu-system-arm >/dev/null
  for deb in "$P"/debs.qemu/*.deb; do dpkg-deb -x "$deb" "$P/board/qemu"; done
  rm -rf "$P/debs.qemu"
  finished board-qemu "qemu-system-aarch64"
}

board_kernel() {
  is_done "$BOARD_KERNEL" && return 0
  private_apt "the virtual board" "it needs Debian 12 (a container of it will do)"
  install "building a kernel module" cpio make xz-utils
  local image version series headers common kbuild work=$P/kernel-work
  image=$(depends linux-image-arm64:arm64 linux-image-)
  version=${image#linux-image-}
  series=$(cut -d. -f1,2 <<<"$version")
  headers=linux-headers-$version
  common=$(depends "$headers:arm64" linux-headers-)
  kbuild=$(depends "$headers:arm64" linux-kbuild-)
  rm -rf "$work" "$P"/board/{modules,vmlinuz,gpio-sim.ko,busybox} && mkdir -p "$work/modules" "$P/board"
  unpack "$work" "$image:arm64" "$headers:arm64" "$common" "$kbuild:amd64" busybox-static:arm64
  mv "$work/bin/busybox" "$work/boot/vmlinuz-$version" "$P/board/"
  mv "$P/board/vmlinuz-$version" "$P/board/vmlinuz"
  mv "$work/lib/modules/$version/kernel" "$P/board/modules"
  say "Debian's kernel $version"
  # Debian has gpio-sim (in Debian 12) and i2c-stub switched off. Each that is missing is built out of tree from its own
  # source.
  local name missing=()
  for name in gpio-sim i2c-stub; do
    find "$P/board/modules" -name "$name.ko*" | grep -q . || missing+=("$name")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    unpack "$work/source" "linux-source-$series"
    tar -xJf "$work/source/usr/src/linux-source-$series.tar.xz" -C "$work/modules" --strip-components=3 \
      "linux-source-$series"/{drivers/gpio/gpio-sim.c,drivers/gpio/gpiolib.h,kernel/irq/irq_sim.c,drivers/i2c/i2c-stub.c}
    mv "$work/modules/gpio-sim.c" "$work/modules/gpio-sim-main.c"
    # gpio-sim needs the simulated interrupts.
    # irq_to_desc is not exported to modules. The search for pending lines has to start over each
    # time: a line below the last one that becomes pending meanwhile would never be found.
    sed -i -e 's/irq_to_desc(irqnum)/irq_data_to_desc(irq_get_irq_data(irqnum))/' \
      -e 's/irq_count, offset);/irq_count, 0);/' "$work/modules/irq_sim.c"
    printf 'obj-m := %s\ngpio-sim-y := gpio-sim-main.o irq_sim.o\n' "${missing[*]/%/.o}" >"$work/modules/Kbuild"
    sed -i "s# /usr/src/# $work/usr/src/#" "$work/usr/src/$headers/Makefile"
    make -s -C "$work/usr/src/$headers" ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- M="$work/modules" modules \
      >"$P/modules.log" 2>&1 || fail "${missing[*]} does not build" "see $P/modules.log"
    mkdir -p "$P/board/modules/extra" && mv "$work"/modules/*.ko "$P/board/modules/extra/"
  fi
  rm -rf "$work"
  finished "$BOARD_KERNEL" "the modules gpio-sim and i2c-stub"
}

# ---------------------------------------------------------------- GStreamer for arm64
# What the element is linked with, what pkg-config asks for besides, and what gst-inspect-1.0 and
# gst-launch-1.0 need to run under qemu-user. Nothing is installed: that would make the system a
# multiarch one.
gstreamer_arm64() {
  is_done gstreamer && return 0
  private_apt "GStreamer for arm64" "it needs Debian 12 (a container of it will do)"
  install "building the element" pkgconf
  local packages=(
    libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev libglib2.0-dev libpcre2-dev libffi-dev zlib1g-dev
    libmount-dev libblkid-dev libselinux1-dev libsepol-dev libunwind-dev libdw-dev libelf-dev liblzma-dev
    liborc-0.4-dev
    gstreamer1.0-tools gstreamer1.0-plugins-base libgstreamer1.0-0 libgstreamer-plugins-base1.0-0 libglib2.0-0
    libpcre2-8-0 libffi8 zlib1g libmount1 libblkid1 libselinux1 libunwind8 libdw1 libelf1 liblzma5 libbz2-1.0
    libzstd1 libcap2 liborc-0.4-0
  )
  rm -rf "$P/arm64"
  unpack "$P/arm64" "${packages[@]/%/:arm64}"
  finished gstreamer "GStreamer for arm64"
}

if [ $BOARD = yes ]; then
  board_qemu
  board_kernel
fi
[ $PLUGINS = no ] || gstreamer_arm64
say "ready: . $P/env"
