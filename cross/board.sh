#!/usr/bin/env bash
# Boots the virtual board: Debian's arm64 kernel under qemu-system-aarch64 (everything emulated),
# with a gpio-sim chip and a vivid camera, and one script of yours as its only program.
#
# usage: cross/board.sh --init SCRIPT [--bin FILE]... [--file HOSTPATH:BOARDPATH]...
#                       [--module NAME]... [--timeout S] [--smp N] [--mem MB] [--cpu NAME] [--keep DIR]
#                       [--steady SHIFT]
#
#   --init SCRIPT    runs as PID 1 under busybox sh; starts with `. /board/lib.sh` (cross/board/lib.sh)
#   --bin FILE       into the board's /bin, stripped, with the libraries that it needs
#   --file H:B       H (file or folder) as B
#   --module NAME    a further kernel module, for load_module
#   --timeout S      give up after S seconds [default: 120]
#   --smp N          processors [default: 2]
#   --mem MB         memory [default: 512]
#   --cpu NAME       as qemu calls it: cortex-a57 (no dot product), cortex-a76, max [default: cortex-a57]
#   --steady SHIFT   one processor whose clock counts instructions, 2^SHIFT ns each (qemu's icount; 0 or
#                    1): a busy machine makes the test slower but moves no time on the board
#   --keep DIR       leave the initrd and the console's log there
#
# Exit code 0 only if the script printed BOARD PASS as a line of its own, and no BOARD FAIL; else 1,
# 2 for wrong usage, 124 after the time limit. The parts come from `cross/setup.sh --board`.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

BINS=() FILES=() MODULES=(vivid gpio-sim) INIT='' LIMIT=120 SMP=2 MEM=512 CPU=cortex-a57 KEEP='' STEADY=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) help_of "$0" && exit ;;
    --bin | --file | --module | --init | --timeout | --smp | --mem | --cpu | --keep | --steady) ;;
    *) fail "unknown option $1" "$0 --help" ;;
  esac
  VALUE=$(value "$@")
  case $1 in
    --bin) BINS+=("$VALUE") ;;
    --file) FILES+=("$VALUE") ;;
    --module) MODULES+=("$VALUE") ;;
    --init) INIT=$VALUE ;;
    --timeout) LIMIT=$VALUE ;;
    --smp) SMP=$VALUE ;;
    --mem) MEM=$VALUE ;;
    --cpu) CPU=$VALUE ;;
    --keep) KEEP=$VALUE ;;
    --steady) STEADY=(-icount "shift=$VALUE,sleep=off") ;;
  esac
  shift 2
done
# With icount two processors take turns of up to a second.
[ ${#STEADY[@]} = 0 ] || SMP=1
[ -n "$INIT" ] || fail "no --init SCRIPT" "$0 --help"
[ -r "$INIT" ] || fail "no script $INIT" "$0 --help"
BOARD=$PREFIX/board
{ [ -e "$PREFIX/stamps/$BOARD_KERNEL" ] && [ -e "$PREFIX/stamps/board-qemu" ]; } ||
  fail "no virtual board in $PREFIX" "cross/setup.sh --board (HETMM_CROSS_PREFIX for another folder)"

T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
R=$T/root
mkdir -p "$R"/{bin,lib,modules,board,proc,sys,dev,tmp,run}
cp "$BOARD/busybox" "$R/bin/" && ln -s busybox "$R/bin/sh"
cp "$INIT" "$R/init" && chmod +x "$R/init"
cp "$ROOT/cross/board/lib.sh" "$R/board/"

LIBRARIES=/usr/aarch64-linux-gnu/lib
needed() { aarch64-linux-gnu-readelf -d "$1" 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'; }
bring_libraries() {
  local library
  for library in $(needed "$1"); do
    [ ! -e "$R/lib/$library" ] || continue
    cp -L "$LIBRARIES/$library" "$R/lib/" 2>/dev/null || fail "$1 needs $library, which $LIBRARIES has not" "build it static: cross/build.sh --static"
    bring_libraries "$R/lib/$library"
  done
}
for bin in ${BINS[@]+"${BINS[@]}"}; do
  [ -r "$bin" ] || fail "no program $bin" "build it: cross/build.sh"
  aarch64-linux-gnu-readelf -h "$bin" 2>/dev/null | grep -q AArch64 || fail "$bin is not an aarch64 program" "build it: cross/build.sh"
  aarch64-linux-gnu-strip -o "$R/bin/$(basename "$bin")" "$bin"
  bring_libraries "$bin"
done
for pair in ${FILES[@]+"${FILES[@]}"}; do
  [ -r "${pair%%:*}" ] || fail "no file ${pair%%:*}" "--file HOSTPATH:BOARDPATH"
  mkdir -p "$R/$(dirname "${pair#*:}")" && cp -rL "${pair%%:*}" "$R/${pair#*:}"
done

# Debian's packages have no modules.dep: the order comes from the modules themselves.
declare -A MODULE_AT
while read -r path; do
  name=${path##*/} && name=${name%%.ko*}
  MODULE_AT[${name//-/_}]=$path
done < <(find "$BOARD/modules" -name '*.ko*')
# bring_module NAME: it and before it what it needs, as file names.
bring_module() {
  local path=${MODULE_AT[${1//-/_}]:-} file dependency
  [ -n "$path" ] || fail "no kernel module $1" "see find $BOARD/modules"
  file=$R/modules/${path##*/} && file=${file%%.ko*}.ko
  if [ ! -e "$file" ]; then
    case $path in
      *.xz) xz -dc "$path" >"$T/module.ko" ;;
      *) cp "$path" "$T/module.ko" ;;
    esac
    aarch64-linux-gnu-strip --strip-debug -o "$file" "$T/module.ko"
  fi
  for dependency in $(tr '\0' '\n' <"$file" | sed -n 's/^depends=//p' | tr ',' ' '); do bring_module "$dependency"; done
  echo "${file##*/}"
}
for module in "${MODULES[@]}"; do
  bring_module "$module" | awk '!seen[$0]++' >"$T/order"
  mv "$T/order" "$R/modules/$module.order"
done

(cd "$R" && find . | cpio -o -H newc -R 0:0 --quiet) >"$T/initrd"
LOG=$T/log
if [ -n "$KEEP" ]; then
  mkdir -p "$KEEP" && cp "$T/initrd" "$KEEP/" && LOG=$KEEP/log
fi
echo "board: $SMP x $CPU, $MEM MB, initrd $(($(stat -c %s "$T/initrd") >> 20)) MB"
CODE=0
LD_LIBRARY_PATH=$BOARD/qemu/usr/lib/x86_64-linux-gnu:$BOARD/qemu/lib/x86_64-linux-gnu \
  timeout --foreground "$LIMIT" "$BOARD/qemu/usr/bin/qemu-system-aarch64" -L "$BOARD/qemu/usr/share/qemu" \
  -machine virt -cpu "$CPU" -smp "$SMP" -m "$MEM" ${STEADY[@]+"${STEADY[@]}"} -nographic -no-reboot -nic none \
  -kernel "$BOARD/vmlinuz" -initrd "$T/initrd" -append "console=ttyAMA0 panic=-1 quiet" \
  </dev/null | sed -u 's/\r//g' | tee "$LOG" || CODE=${PIPESTATUS[0]}
if [ "$CODE" = 124 ]; then
  fail "the board was not done after $LIMIT s" "--timeout, or see where its console stopped" 124
fi
[ "$CODE" = 0 ] || fail "qemu ended with $CODE" "see its words above" 1
grep -qx -e 'BOARD PASS' -e 'BOARD FAIL' "$LOG" || fail "the script never came to its \`finish\`" "see where the console stopped" 1
! grep -qx 'BOARD FAIL' "$LOG"
