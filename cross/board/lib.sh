# shellcheck shell=sh disable=SC3043
# The virtual board's side of a board test: for busybox sh, sourced by an init script (PID 1) as
#
#     #!/bin/sh
#     . /board/lib.sh
#
# Sourcing it mounts proc, sys, dev, configfs and tracefs, and puts busybox's programs and those
# given to cross/board.sh with --bin into PATH. It sets nothing else and starts nothing. A script ends with
# `finish`. (No `set -e`: a test that failed is counted and the next one runs.)
#
#   say TEXT...                  a line with the seconds since boot
#   ok NAME GOT WANT             counts a failure unless GOT is WANT
#   ok_between NAME GOT LOW HIGH the same for whole numbers
#   check NAME COMMAND...        counts a failure unless COMMAND exits 0
#   fail TEXT...                 counts a failure
#   wait_for NAME SECONDS COMMAND...   runs COMMAND every 20 ms until it exits 0; counts a failure
#                                and returns 1 if it never does
#   now_ns                       CLOCK_MONOTONIC in nanoseconds, to 10 ms (`gpio_watch now`: to 1 ns)
#   finish                       prints BOARD PASS or BOARD FAIL, powers off
#
#   load_module NAME [PARAMETER=VALUE...]   with all it needs (cross/board.sh --module brings others
#                                than vivid and gpio-sim); nothing if it is loaded
#   unload_module NAME           it alone, not what it needed
#   camera_load [PARAMETER=VALUE...]   vivid, one capture device; waits for /dev/video0
#   camera_unplug, camera_plug   as when the cable is pulled, also from under a program that streams,
#                                and put back: the driver lets go of the device and takes it again
#   camera_unload                removes the module, to load it with other parameters; fails while a
#                                program has the camera open
#
#   gpio_chip LINES [NUMBER=NAME...]   creates a gpio-sim chip; sets GPIO_CHIP (gpiochip0),
#                                GPIO_DEV (/dev/gpiochip0), GPIO_DIR (its sysfs folder) and
#                                GPIO_BASE (its first global number). One chip at a time.
#   gpio_gone                    removes the chip; hangs while a program holds a line of it
#   line_set N high|low          pulls an input of the program under test
#   line_get N                   prints 1 or 0: what the program drives, else the pull
#   edges N SECONDS [COUNT]      prints `NANOSECONDS N LEVEL` for the level now and for every change
#                                from now on, by reading all the time: keeps one processor busy
#   driven N SECONDS [COUNT]     the same for every time that a program sets the line, with the
#                                kernel's own times, exact to 1 us. Also shows settings that change
#                                nothing, and does not show what is not set: the fall of a line
#                                when the program that held it exits
#   pulses N COUNT PERIOD_US WIDTH_US [OPTION...]   pulls the line up COUNT times at exact times and
#                                prints each; options as `gpio_watch --help` has them
#
#   follow FROM TO SECONDS [DELAY_US]   pulls TO to the level of FROM, DELAY_US after each change, as a valve does that
#                                has a switch; prints each change of TO. Run it with `&`, and kill it to stop the valve
#
# Times: with `cross/board.sh --steady 1` they are those of an idle board, to some microseconds; without,
# whatever else runs on the machine shows (cross/README.md has figures).
#
# N is a line's number or its name; edges and driven take several, with commas between. edges,
# driven and pulses need gpio_watch (cross/build.sh --tools): run them with `&` and `>FILE`, for the
# first two then `watching FILE`, which returns when they have begun (on a busy machine after a second
# or more), and at last `wait $!`. What is not a change starts with `#`.

export PATH=/bin HOME=/tmp
/bin/busybox mkdir -p /proc /sys /dev /tmp /run
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox --install -s /bin
mkdir -p /dev/shm
mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run
mount -t tracefs trace /sys/kernel/tracing

_failures=0
_checks=0
_booted() { cut -d' ' -f1 /proc/uptime; }
say() { echo "[$(_booted)] $*"; }
fail() {
  _failures=$((_failures + 1))
  _checks=$((_checks + 1))
  say "FAIL $*"
}
_passed() {
  _checks=$((_checks + 1))
  say "ok   $*"
}
ok() { if [ "$2" = "$3" ]; then _passed "$1 = $2"; else fail "$1: got '$2', want '$3'"; fi; }
ok_between() {
  if [ "$2" -ge "$3" ] 2>/dev/null && [ "$2" -le "$4" ]; then
    _passed "$1 = $2"
  else
    fail "$1: got '$2', want $3 to $4"
  fi
}
check() {
  local name="$1" code
  shift
  "$@"
  code=$?
  if [ $code = 0 ]; then _passed "$name"; else fail "$name: exit $code of $*"; fi
}
wait_for() {
  local name="$1" end
  end=$(($(now_ns) + $2 * 1000000000))
  shift 2
  until "$@" >/dev/null 2>&1; do
    if [ "$(now_ns)" -ge "$end" ]; then
      fail "$name: never: $*"
      return 1
    fi
    usleep 20000
  done
  _passed "$name"
}
# /proc/uptime counts as CLOCK_BOOTTIME does, which is CLOCK_MONOTONIC on a board that never sleeps.
now_ns() { sed 's/^\([0-9]*\)\.\([0-9]*\) .*/\1\20000000/' /proc/uptime; }
finish() {
  say "$_checks checks, $_failures failed"
  if [ $_failures = 0 ] && [ $_checks -gt 0 ]; then echo "BOARD PASS"; else echo "BOARD FAIL"; fi
  sync
  poweroff -f
  sleep 60
}

load_module() {
  local wanted="$1" file name
  shift
  while read -r file; do
    name=$(echo "${file%.ko}" | tr - _)
    [ -d "/sys/module/$name" ] && continue
    if [ "$file" = "$wanted.ko" ]; then
      insmod "/modules/$file" "$@" || return
    else
      insmod "/modules/$file" || return
    fi
  done <"/modules/$wanted.order"
}
unload_module() { rmmod "$1"; }
camera_load() {
  load_module vivid n_devs=1 node_types=0x1 "$@" || { fail "vivid does not load"; return 1; }
  _camera_there
}
_camera_there() {
  local tries=0
  until [ -c /dev/video0 ]; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || { fail "vivid has no /dev/video0"; return 1; }
    usleep 20000
  done
}
camera_unload() { unload_module vivid; }
camera_unplug() { echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind; }
camera_plug() { echo vivid.0 >/sys/bus/platform/drivers/vivid/bind && _camera_there; }

gpio_chip() {
  local lines="$1" config=/sys/kernel/config/gpio-sim/board word number name
  shift
  load_module gpio-sim || { fail "gpio-sim does not load"; return 1; }
  [ -d /sys/kernel/config/gpio-sim ] || mount -t configfs config /sys/kernel/config || return
  mkdir $config $config/bank || return
  echo "$lines" >$config/bank/num_lines
  _line_names=
  for word; do
    number=${word%%=*} name=${word#*=}
    mkdir "$config/bank/line$number" && echo "$name" >"$config/bank/line$number/name" || return
    _line_names="$_line_names $name=$number"
  done
  echo 1 >$config/live || return
  GPIO_CHIP=$(cat $config/bank/chip_name)
  GPIO_DEV=/dev/$GPIO_CHIP
  GPIO_DIR=/sys/devices/platform/$(cat $config/dev_name)/$GPIO_CHIP
  GPIO_BASE=
  local chip
  for chip in "${GPIO_DIR%/*}"/gpio/gpiochip*; do
    [ -r "$chip/base" ] && GPIO_BASE=$(cat "$chip/base")
  done
  export GPIO_CHIP GPIO_DEV GPIO_DIR GPIO_BASE
}
gpio_gone() {
  local config=/sys/kernel/config/gpio-sim/board
  echo 0 >$config/live && rmdir $config/bank/line* $config/bank $config
}
_line() {
  local pair
  for pair in $_line_names; do
    [ "${pair%%=*}" = "$1" ] && { echo "${pair#*=}"; return; }
  done
  echo "$1"
}
line_set() {
  local pull
  case $2 in
    high) pull="pull-up" ;;
    low) pull="pull-down" ;;
    *) fail "line_set $1 $2: neither high nor low"; return 1 ;;
  esac
  echo $pull >"$GPIO_DIR/sim_gpio$(_line "$1")/pull"
}
line_get() { cat "$GPIO_DIR/sim_gpio$(_line "$1")/value"; }
_lines() {
  local line
  for line in $(echo "$1" | tr , ' '); do _line "$line"; done
}
# shellcheck disable=SC2046 # a word for each line
edges() { gpio_watch sample "$GPIO_DIR" $(_lines "$1") --seconds "$2" ${3:+--count "$3"}; }
# shellcheck disable=SC2046
driven() { gpio_watch trace "$GPIO_BASE" $(_lines "$1") --seconds "$2" ${3:+--count "$3"}; }
watching() {
  local tries=0
  until [ -s "$1" ]; do
    tries=$((tries + 1))
    [ $tries -lt 1500 ] || { fail "$1: nothing watches"; return 1; }
    usleep 20000
  done
}
follow() { exec gpio_watch follow "$GPIO_DIR" "$(_line "$1")" "$(_line "$2")" --seconds "$3" --delay-us "${4:-0}"; }
pulses() {
  local line="$1" count="$2" period="$3" width="$4"
  shift 4
  gpio_watch pulse "$GPIO_DIR" "$(_line "$line")" --count "$count" --period-us "$period" --width-us "$width" "$@"
}
