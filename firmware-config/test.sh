#!/bin/sh
# Tests this folder: every configuration is accepted by the program; install and uninstall do what they
# say, twice. Writes to a temporary folder only.
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
  # Devices and templates are not here; what is wrong with the file itself is a usage error (2), and
  # then no resolved configuration is printed.
  code=0
  "$EDGE" --config "$file" --check >"$T/resolved" 2>"$T/words" || code=$?
  if [ $code = 2 ] || ! [ -s "$T/resolved" ]; then
    cat "$T/words"
    fail "$file"
  fi
done
echo "[nonsense]" >"$T/wrong.toml"
code=0
"$EDGE" --config "$T/wrong.toml" --check >"$T/resolved" 2>/dev/null || code=$?
if [ $code != 2 ] || [ -s "$T/resolved" ]; then
  fail "a wrong configuration was accepted: $code"
fi

list() { (cd "$T/root" && find . -type f | LC_ALL=C sort); }
modes() { (cd "$T/root" && find . -type f -exec stat -c '%a %n' {} + | LC_ALL=C sort -k 2); }
MODES='644 ./etc/hetmm/line.toml
644 ./etc/systemd/system/hetmm-edge.service
644 ./etc/udev/rules.d/99-hetmm.rules
755 ./usr/local/bin/hetmm-edge'
umask 077 # What the user's umask is makes no difference.
for round in 1 2; do
  "$HERE/install.sh" --binary "$EDGE" --root "$T/root" >/dev/null
  [ "$(modes)" = "$MODES" ] || fail "install, round $round: $(modes)"
done
cmp -s "$EDGE" "$T/root/usr/local/bin/hetmm-edge" || fail "another program was installed"
echo "# mine" >>"$T/root/etc/hetmm/line.toml"
"$HERE/install.sh" --binary "$EDGE" --config "$HERE/jetson-orin-nano.toml" --root "$T/root" >/dev/null
tail -n 1 "$T/root/etc/hetmm/line.toml" | grep -qx '# mine' || fail "a configuration was overwritten"
mkdir -p "$T/root/var/lib/hetmm"
touch "$T/root/var/lib/hetmm/parts.jsonl"
for round in 1 2; do
  "$HERE/uninstall.sh" --root "$T/root"
  [ "$(list)" = './etc/hetmm/line.toml
./var/lib/hetmm/parts.jsonl' ] || fail "uninstall, round $round, left $(list)"
done
for round in 1 2; do
  "$HERE/uninstall.sh" --root "$T/root" --purge
  [ -z "$(list)" ] || fail "purge, round $round, left $(list)"
done

refuses() {
  code=0
  "$@" >/dev/null 2>&1 || code=$?
  [ $code = 2 ] || fail "exit code $code, not 2: $*"
}
refuses "$HERE/install.sh" --binary /nonexistent --root "$T/root"
refuses "$HERE/install.sh" --binary "$EDGE" --root ""
refuses "$HERE/install.sh" --nonsense
refuses "$HERE/uninstall.sh" --root
[ -z "$(list)" ] || fail "a refused install left $(list)"
for script in install.sh uninstall.sh; do
  "$HERE/$script" --help | grep -q "^usage: $script" || fail "$script --help"
done
# Who is not root needs --root.
if [ "$(id -u)" != 0 ]; then
  refuses "$HERE/install.sh" --binary "$EDGE"
  refuses "$HERE/uninstall.sh"
elif command -v setpriv >/dev/null; then
  umask 022
  mkdir "$T/open"
  chmod 755 "$T"
  cp "$HERE"/* "$T/open"
  nobody() { refuses setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
  nobody "$T/open/install.sh" --binary "$T/open/line.toml"
  nobody "$T/open/uninstall.sh"
  # The unit permits clock_adjtime, to read how good the clock is. Without a capability it sets nothing.
  setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all /usr/bin/env PATH=/usr/bin:/bin python3 -c '
import ctypes
library = ctypes.CDLL(None, use_errno=True)
timex = ctypes.create_string_buffer(512)
if library.clock_adjtime(0, timex) < 0:
    raise SystemExit("the quality of the clock cannot be read")
timex[0] = 1  # ADJ_OFFSET
if library.clock_adjtime(0, timex) != -1 or ctypes.get_errno() != 1:
    raise SystemExit("the clock can be set")
' || fail "clock_adjtime without capabilities"
fi

# What a tool can say about them, where there is one.
if command -v shellcheck >/dev/null; then
  shellcheck "$HERE"/*.sh || fail "shellcheck"
fi
if command -v systemd-analyze >/dev/null; then
  sed 's|^ExecStart=/usr/local/bin/hetmm-edge .*|ExecStart=/bin/true|' "$HERE/hetmm-edge.service" \
    >"$T/hetmm-edge.service"
  systemd-analyze verify --man=no "$T/hetmm-edge.service" >"$T/words" 2>&1 || fail "$(cat "$T/words")"
  [ ! -s "$T/words" ] || fail "$(cat "$T/words")"
fi
echo "firmware-config: good"
