#!/bin/sh
# Runs an aarch64 program: as it is on such a machine, else under qemu-user. Cargo's runner.
[ "$(uname -m)" != aarch64 ] || exec "$@"
for qemu in qemu-aarch64-static qemu-aarch64; do
  if command -v "$qemu" >/dev/null; then
    exec "$qemu" -L "${QEMU_LD_PREFIX:-/usr/aarch64-linux-gnu}" "$@"
  fi
done
echo "error: no qemu-aarch64-static to run $1 with" >&2
echo "  -> cross/setup.sh installs it (Debian, Ubuntu, Fedora: package qemu-user-static)" >&2
exit 127
