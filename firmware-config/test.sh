#!/bin/sh
# Tests this folder: every configuration is accepted by the program; install and uninstall do what they
# say, twice. Writes to a temporary folder only.
#
# usage: test.sh HETMM_EDGE [HETMM_PLANT]
set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
EDGE=${1:?usage: test.sh HETMM_EDGE [HETMM_PLANT]}
PLANT=${2:-}
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
if [ -n "$PLANT" ]; then
  "$HERE/install.sh" --binary "$EDGE" --plant "$PLANT" --root "$T/root" >/dev/null
  cmp -s "$PLANT" "$T/root/usr/local/bin/hetmm-plant" || fail "another hetmm-plant was installed"
  [ -f "$T/root/etc/systemd/system/hetmm-plant.service" ] || fail "the unit of hetmm-plant is missing"
fi
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
refuses "$HERE/install.sh" --binary "$EDGE" --plant /nonexistent --root "$T/root"
refuses "$HERE/install.sh" --binary "$EDGE" --root ""
refuses "$HERE/install.sh" --nonsense
refuses "$HERE/uninstall.sh" --root
[ -z "$(list)" ] || fail "a refused install left $(list)"
# The row of a report, from a program that prints what hetmm-edge prints.
cat >"$T/edge" <<'END'
#!/bin/sh
grep -q "^file = '/.*/template'" "$2" && [ "$3 $4" = "bench --json" ] || exit 2
cat <<JSON
{
  "engine": "int8",
  "pulse_lateness_us": {
    "count": 20,
    "max": 99,
    "p50": 5,
    "p99": 61,
    "p999": 72
  },
  "realtime": false,
  "stages": {
    "backbone": {
      "max": 3.0,
      "p50": 1.504,
      "p99": 2.5
    },
    "matching": {
      "p50": 0.5
    },
    "total": {
      "p50": 4.567,
      "p99": 8.0
    }
  },
  "version": "9.8.7"
}
JSON
END
chmod +x "$T/edge"
touch "$T/template"
"$HERE/board-report.sh" --edge "$T/edge" --name "my board" --note "a note" "$T/template" >"$T/row"
grep -q '| my board |.*| 9.8.7, int8 | 4.57, 8.00 | 1.50, 0.50 | 5, 61, 72, 99 | \*\*no\*\* | a note |$' "$T/row" ||
  fail "board-report.sh: $(cat "$T/row")"
[ "$(awk -F'|' '{ print NF }' "$T/row" | sort -u)" = 13 ] || fail "board-report.sh: rows of other lengths"
head -n 2 "$T/row" | while IFS= read -r line; do
  grep -qxF "$line" "$HERE/../docs/boards.md" || fail "docs/boards.md has another heading than board-report.sh"
done
refuses "$HERE/board-report.sh" --edge "$T/edge" "$T/nonexistent"
refuses "$HERE/board-report.sh" --edge /nonexistent "$T/template"
refuses "$HERE/board-report.sh" --nonsense "$T/template"
for script in install.sh uninstall.sh board-report.sh; do
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
