#!/bin/sh
# Removes the services and the programs.
#
# usage: uninstall.sh [--purge] [--root DIR]
#
#   --purge      also /etc/hetmm, /var/lib/hetmm and /var/lib/hetmm-plant (configuration, templates, records,
#                pictures, users) and the users hetmm and hetmm-plant
#   --root DIR   from this folder instead of /
#
# The groups gpio and video stay: others use them. Can be run again.
set -eu
PURGE=no ROOT=
fail() {
  printf 'error: %s\n  -> %s\n' "$1" "$2" >&2
  exit 2
}
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$0" && exit ;;
    --purge) PURGE=yes ;;
    --root)
      [ -n "${2-}" ] || fail "--root needs a folder" "$0 --help"
      ROOT=${2%/}
      shift
      ;;
    *) fail "unknown option $1" "$0 --help" ;;
  esac
  shift
done
[ -n "$ROOT" ] || [ "$(id -u)" = 0 ] || fail "only root may remove it" "sudo $0, or --root DIR"
SYSTEMD=no
[ -n "$ROOT" ] || ! [ -d /run/systemd/system ] || SYSTEMD=yes

if [ $SYSTEMD = yes ] && [ -e /etc/systemd/system/hetmm-plant.service ]; then
  systemctl disable --now hetmm-plant
fi
if [ $SYSTEMD = yes ] && [ -e /etc/systemd/system/hetmm-edge.service ]; then
  # The program takes the safe state when it is stopped. If it cannot be stopped, nothing is removed.
  systemctl disable --now hetmm-edge
fi
rm -f "$ROOT/usr/local/bin/hetmm-edge" "$ROOT/usr/local/bin/.hetmm-edge.new" \
  "$ROOT/usr/local/bin/hetmm-plant" "$ROOT/usr/local/bin/.hetmm-plant.new" \
  "$ROOT/etc/systemd/system/hetmm-edge.service" "$ROOT/etc/systemd/system/hetmm-plant.service" \
  "$ROOT/etc/udev/rules.d/99-hetmm.rules"
if [ $SYSTEMD = yes ]; then
  systemctl daemon-reload
  udevadm control --reload
fi
if [ $PURGE = yes ]; then
  rm -rf "$ROOT/etc/hetmm" "$ROOT/var/lib/hetmm" "$ROOT/var/lib/hetmm-plant"
  if [ -z "$ROOT" ] && id -u hetmm-plant >/dev/null 2>&1; then
    userdel hetmm-plant
  fi
  if [ -z "$ROOT" ] && id -u hetmm >/dev/null 2>&1; then
    userdel hetmm
    ! getent group hetmm >/dev/null || groupdel hetmm
  fi
fi
