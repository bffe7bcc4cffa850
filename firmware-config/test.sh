#!/bin/sh
# Tests this folder: every configuration is accepted by the program, install and uninstall do what
# they say.
#
# usage: test.sh HETMM_EDGE
set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
EDGE=${1:?usage: test.sh HETMM_EDGE}
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
fail() {
  echo "FAIL $*" >&2
  exit 1
}
for file in "$HERE"/*.toml; do
  # Devices and templates are not here; what is wrong with the file itself is a usage error (2).
  code=0
  "$EDGE" --config "$file" --check >"$T/resolved" 2>"$T/words" || code=$?
  if [ $code = 2 ] || ! [ -s "$T/resolved" ]; then
    cat "$T/words"
    fail "$file"
  fi
done
list() { (cd "$T/root" && find . -type f | sort); }
EXPECTED='./etc/hetmm/line.toml
./etc/systemd/system/hetmm-edge.service
./etc/udev/rules.d/99-hetmm.rules
./usr/local/bin/hetmm-edge'
for round in 1 2; do
  "$HERE/install.sh" --binary "$EDGE" --root "$T/root" >/dev/null
  [ "$(list)" = "$EXPECTED" ] || fail "install, round $round: $(list)"
done
echo "# mine" >>"$T/root/etc/hetmm/line.toml"
"$HERE/install.sh" --binary "$EDGE" --root "$T/root" >/dev/null
tail -n 1 "$T/root/etc/hetmm/line.toml" | grep -qx '# mine' || fail "a configuration was overwritten"
"$HERE/uninstall.sh" --root "$T/root"
[ "$(list)" = ./etc/hetmm/line.toml ] || fail "uninstall left $(list)"
"$HERE/uninstall.sh" --root "$T/root" --purge
[ -z "$(list)" ] || fail "purge left $(list)"
"$HERE/install.sh" --binary /nonexistent --root "$T/root" 2>/dev/null && fail "a missing program was installed"
echo "firmware-config: good"
