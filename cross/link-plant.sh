#!/bin/sh
# Links hetmm-plant for aarch64 without the network, which it never computes. Cargo calls it in place of the linker
# (cross/build.sh --plant).
#
# hetmm-plant is built on the library, and the library on tract. The crates of tract register their operators by
# constructors, which run before main. A linker keeps constructors and all that they reach, although nothing else here calls
# them. So this script takes them out of copies of tract's archives. It also leaves out symbols.o, with which rustc asks for
# them by name. Then the linker drops tract as it drops everything that nobody calls.
set -eu
copies=$(mktemp -d)
trap 'rm -rf "$copies"' EXIT
for argument; do
  shift
  case $argument in
    */symbols.o) continue ;;
    */libtract_*.rlib)
      copy=$copies/$(basename "$argument")
      aarch64-linux-gnu-objcopy --wildcard --remove-section='.init_array*' "$argument" "$copy"
      argument=$copy
      ;;
  esac
  set -- "$@" "$argument"
done
aarch64-linux-gnu-gcc "$@"
