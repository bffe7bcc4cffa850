#!/bin/sh
# Removes the service and the program.
#
# usage: uninstall.sh [--purge] [--root DIR]
#
#   --purge      also /etc/hetmm and /var/lib/hetmm: configuration, templates, records, pictures
#   --root DIR   from this folder instead of /
set -eu
PURGE=no ROOT=
fail() {
  printf 'error: %s\n  -> %s\n' "$1" "$2" >&2
  exit 2
}
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0" && exit ;;
    --purge) PURGE=yes ;;
    --root)
      [ $# -ge 2 ] || fail "--root needs a value" "$0 --help"
      ROOT=${2%/}
      shift
      ;;
    *) fail "unknown option $1" "$0 --help" ;;
  esac
  shift
done
[ -n "$ROOT" ] || [ "$(id -u)" = 0 ] || fail "only root may remove it" "sudo $0"
if [ -z "$ROOT" ]; then
  # The program takes the safe state when it is stopped: the line stands.
  systemctl disable --now hetmm-edge 2>/dev/null || true
fi
rm -f "$ROOT/usr/local/bin/hetmm-edge" "$ROOT/etc/systemd/system/hetmm-edge.service" \
  "$ROOT/etc/udev/rules.d/99-hetmm.rules"
if [ $PURGE = yes ]; then
  rm -rf "$ROOT/etc/hetmm" "$ROOT/var/lib/hetmm"
fi
if [ -z "$ROOT" ]; then
  systemctl daemon-reload
  udevadm control --reload
  [ $PURGE = no ] || userdel hetmm 2>/dev/null || true
fi
