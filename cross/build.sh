#!/usr/bin/env bash
# Builds the device program for the board.
#
# usage: cross/build.sh [--static | --onnxruntime] [--cpu NAME] [--tools] [--plant]
#
#   --static     without any library of the board's: runs whatever glibc it has
#   --onnxruntime
#                with the devices cpu, cuda and tensorrt (template.device). A program that loads a library
#                while it runs cannot be static
#   --cpu NAME   may use all that this processor has, and then runs on no lesser one; compiles every
#                dependency anew. The fast parts choose at run time in any case.
#                  Orin Nano, NX, AGX              cortex-a78ae
#                  Xavier NX, AGX Xavier           carmel
#                  Jetson Nano, TX2, TX1           cortex-a57
#                  Raspberry Pi 5                  cortex-a76
#                  Raspberry Pi 4, CM4             cortex-a72
#   --plant      also hetmm-plant, always static. It looks up names of hosts, which glibc cannot do in a static
#                program. So it is built with musl, or for the board's glibc if Rust has no library for musl here
#   --tools      also gpio_watch, camera_probe and panic_probe, for the virtual board (static)
#
# Prints for each program its place, size and what it needs of the board. Stripped; the one with
# line tables for addr2line lies in the target folder.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

STATIC=no CPU='' TOOLS=no PLANT=no FEATURES=edge
while [ $# -gt 0 ]; do
  case $1 in
    --static) STATIC=yes ;;
    --onnxruntime) FEATURES=edge,onnxruntime ;;
    --cpu)
      CPU=$(value "$@")
      shift
      ;;
    --tools) TOOLS=yes ;;
    --plant) PLANT=yes ;;
    -h | --help) help_of "$0" && exit ;;
    *) fail "unknown option $1" "$0 --help" ;;
  esac
  shift
done
case $STATIC-$FEATURES in yes-*onnxruntime) fail "--static and --onnxruntime exclude each other" "$0 --help" ;; esac
use_toolchain
if [ -n "$CPU" ]; then
  # rustc only warns of a name that it does not know.
  "${CROSS_RUSTC[@]}" --print target-cpus --target $TARGET | awk -v cpu="$CPU" '$1 == cpu { known = 1 } END { exit !known }' ||
    fail "Rust knows no processor $CPU" "$0 --help; all: ${CROSS_RUSTC[*]} --print target-cpus --target $TARGET"
  export RUSTFLAGS="${RUSTFLAGS:-} -C target-cpu=$CPU"
fi
cd "$ROOT"

# build STATIC FEATURES KIND NAME [TARGET]: leaves the stripped program in TARGET_DIR/board.
build() {
  local flags=() kind=dynamic from to glibc target=${5:-$TARGET}
  case $2 in *onnxruntime) kind=onnxruntime ;; esac
  if [ "$1" = yes ]; then
    # On the last step alone: nothing else depends on it, and nothing else is compiled anew.
    kind=static flags=(-C target-feature=+crt-static)
  fi
  [ ${#flags[@]} = 0 ] || flags=(-- "${flags[@]}")
  local package=(--no-default-features --features "$2")
  [ "$4" != hetmm-plant ] || package=(-p hetmm-plant)
  "${CROSS_CARGO[@]}" rustc --release --target "$target" "${package[@]}" "--$3" "$4" ${flags[@]+"${flags[@]}"}
  from=$TARGET_DIR/$target/release/$4
  [ "$3" = bin ] || from=$TARGET_DIR/$target/release/examples/$4
  to=$TARGET_DIR/board/$kind${CPU:+-$CPU}/$4
  mkdir -p "$(dirname "$to")"
  aarch64-linux-gnu-strip -o "$to" "$from"
  glibc=$(aarch64-linux-gnu-readelf -W --dyn-syms "$to" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1) || true
  if aarch64-linux-gnu-readelf -lW "$to" | grep -q INTERP; then
    glibc="needs glibc ${glibc#GLIBC_} or newer"
  else
    glibc="static, needs no glibc"
  fi
  awk -v to="$to" -v bytes="$(stat -c %s "$to")" -v glibc="$glibc" -v cpu="${CPU:-any aarch64}" \
    'BEGIN { printf "%s\n  %.1f MB, %s, for %s\n", to, bytes / 1e6, glibc, cpu }'
}
build $STATIC $FEATURES bin hetmm-edge
if [ $PLANT = yes ]; then
  if [ -d "$("${CROSS_RUSTC[@]}" --print sysroot)/lib/rustlib/$MUSL" ]; then
    # The C code of ring needs no C library, so the compiler for glibc will do.
    export CC_aarch64_unknown_linux_musl=aarch64-linux-gnu-gcc AR_aarch64_unknown_linux_musl=aarch64-linux-gnu-ar
    build yes edge bin hetmm-plant $MUSL
  else
    echo "warning: hetmm-plant will need the board's glibc: Rust has no library for $MUSL here (rustup target add $MUSL)" >&2
    build no edge bin hetmm-plant
  fi
fi
if [ $TOOLS = yes ]; then
  build yes edge example gpio_watch
  build yes edge example camera_probe
  build yes edge example panic_probe
fi
