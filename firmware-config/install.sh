#!/bin/sh
# Installs the device program as a service, and perhaps the program for the plant's network.
#
# usage: install.sh [--binary FILE] [--plant FILE] [--config FILE] [--root DIR]
#
#   --binary FILE   hetmm-edge for this machine [default: hetmm-edge beside this script]
#   --plant FILE    hetmm-plant for this machine [default: not installed]
#   --config FILE   becomes /etc/hetmm/line.toml, if there is none yet [default: line.toml here]
#   --root DIR      into this folder instead of /, for an image; makes no user and starts nothing
#
# Can be run again to bring a new program; a configuration that is there is never overwritten.
# Exit codes: 0 installed (what --check finds is printed), 2 wrong usage.
set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
BINARY=$HERE/hetmm-edge PLANT='' CONFIG=$HERE/line.toml ROOT=
fail() {
  printf 'error: %s\n  -> %s\n' "$1" "$2" >&2
  exit 2
}
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$0" && exit ;;
    --binary | --plant | --config | --root) [ $# -ge 2 ] || fail "$1 needs a value" "$0 --help" ;;
    *) fail "unknown option $1" "$0 --help" ;;
  esac
  [ -n "$2" ] || fail "$1 is empty" "$0 --help"
  case $1 in
    --binary) BINARY=$2 ;;
    --plant) PLANT=$2 ;;
    --config) CONFIG=$2 ;;
    --root) ROOT=${2%/} ;;
  esac
  shift 2
done
[ -f "$BINARY" ] || fail "no program $BINARY" "build it (cross/README.md) and give it with --binary"
[ -z "$PLANT" ] || [ -f "$PLANT" ] || fail "no program $PLANT" "build it and give it with --plant"
[ -f "$CONFIG" ] || fail "no configuration $CONFIG" "give one with --config"
[ -n "$ROOT" ] || [ "$(id -u)" = 0 ] || fail "only root may install" "sudo $0, or --root DIR"

for folder in /usr/local/bin /etc/hetmm /etc/systemd/system /etc/udev/rules.d; do
  [ -d "$ROOT$folder" ] || install -d -m 755 "$ROOT$folder"
done
program() {
  # Under another name first: a program that runs is never written into.
  install -m 755 "$1" "$ROOT/usr/local/bin/.$2.new"
  mv -f "$ROOT/usr/local/bin/.$2.new" "$ROOT/usr/local/bin/$2"
}
program "$BINARY" hetmm-edge
if [ -n "$PLANT" ]; then
  program "$PLANT" hetmm-plant
  install -m 644 "$HERE/hetmm-plant.service" "$ROOT/etc/systemd/system/hetmm-plant.service"
fi
if [ -e "$ROOT/etc/hetmm/line.toml" ]; then
  echo "kept: $ROOT/etc/hetmm/line.toml"
else
  install -m 644 "$CONFIG" "$ROOT/etc/hetmm/line.toml"
fi
install -m 644 "$HERE/hetmm-edge.service" "$ROOT/etc/systemd/system/hetmm-edge.service"
install -m 644 "$HERE/99-hetmm.rules" "$ROOT/etc/udev/rules.d/99-hetmm.rules"
if [ -n "$ROOT" ]; then
  echo "staged in $ROOT; on the device: groups gpio, video and hetmm, user hetmm,"
  echo "  systemctl enable hetmm-edge"
  exit 0
fi

for group in gpio video hetmm; do
  getent group "$group" >/dev/null || groupadd --system "$group"
done
id -u hetmm >/dev/null 2>&1 ||
  useradd --system --gid hetmm --no-create-home --home-dir /var/lib/hetmm \
    --shell /usr/sbin/nologin hetmm
usermod --append --groups gpio,video hetmm
if [ -n "$PLANT" ]; then
  id -u hetmm-plant >/dev/null 2>&1 ||
    useradd --system --user-group --no-create-home --home-dir /var/lib/hetmm-plant \
      --shell /usr/sbin/nologin hetmm-plant
  usermod --append --groups hetmm hetmm-plant
  install -d -o hetmm-plant -g hetmm-plant -m 700 /var/lib/hetmm-plant
fi
install -d -o hetmm -g hetmm -m 750 /var/lib/hetmm
# hetmm-plant puts uploaded templates here, and hetmm-edge reads and removes them.
[ -z "$PLANT" ] || install -d -o hetmm-plant -g hetmm -m 2770 /var/lib/hetmm/inbox
if [ -d /run/systemd/system ]; then
  udevadm control --reload
  udevadm trigger --subsystem-match=gpio --subsystem-match=video4linux
  udevadm settle --timeout=10 || true
  systemctl daemon-reload
  if systemctl is-active --quiet hetmm-edge; then
    echo "the former program still runs; when the belt stands: systemctl restart hetmm-edge"
    exit 0
  fi
fi
# As the user of the service: its rights are tested too.
if runuser -u hetmm -- /usr/local/bin/hetmm-edge --config /etc/hetmm/line.toml --check >/dev/null; then
  echo "ready: systemctl enable --now hetmm-edge"
  [ -z "$PLANT" ] || echo "  and, if line.toml has a section for it: systemctl enable --now hetmm-plant"
else
  echo "installed, not started: mend what is WRONG above (/etc/hetmm/line.toml), then"
  echo "  sudo -u hetmm hetmm-edge --check && sudo systemctl enable --now hetmm-edge"
fi
