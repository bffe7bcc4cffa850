#!/bin/sh
# Tests the virtual board and lib.sh: modules, lines, watching and moving them, the camera gone and back.
#
#   cross/board.sh --init cross/board/selftest.sh --bin .../hetmm-edge --bin .../gpio_watch
# shellcheck source-path=SCRIPTDIR source=lib.sh
. /board/lib.sh

say "booted: $(uname -rm), $(nproc) processors"
gpio_chip 8 2=trigger 5=reject
say "$GPIO_DEV, first number $GPIO_BASE"
camera_load no_error_inj=1
say "camera"
check "hetmm-edge runs" hetmm-edge --version

check "chip is a device" test -c "$GPIO_DEV"
ok "a line idles low" "$(line_get trigger)" 0
line_set trigger high
ok "pulled up" "$(line_get 2)" 1
line_set 2 low
ok "pulled down" "$(line_get trigger)" 0

# Ten pulses, watched by sampling.
edges trigger 3 20 >/tmp/edges &
watching /tmp/edges
pulses trigger 10 20000 5000 >/tmp/pulses
wait $!
say "pulses: $(tail -n 1 /tmp/pulses)"
say "edges:  $(tail -n 1 /tmp/edges)"
ok "writes" "$(grep -vc '#' /tmp/pulses)" 20
# A busy machine may hold the board up for longer than a pulse is.
ok_between "changes seen, and the first level" "$(grep -vc '#' /tmp/edges)" 3 21
ok "the last level" "$(grep -v '#' /tmp/edges | tail -n 1 | cut -d' ' -f3)" 0
# How long after the write; where changes were missed it says nothing.
tail -n +2 /tmp/edges | grep -v '#' >/tmp/seen
[ "$(wc -l </tmp/seen)" = 20 ] && grep -v '#' /tmp/pulses | paste - /tmp/seen | awk '$4 { d = ($4 - $1) / 1000; s += d; if (d > m) m = d; n++ }
  END { printf "seen %.0f us after the write began in the mean, %.0f us at most\n", s / n, m }' | while read -r words; do say "$words"; done

# A line that a program drives: the number of a sysfs line stands for it. Kernel times.
number=$((GPIO_BASE + 5))
driven trigger,reject 20 3 >/tmp/driven &
watcher=$!
driven reject 20 3 >/tmp/driven2 &
second=$!
edges reject 20 2 >/tmp/sampled &
sampler=$!
watching /tmp/driven
watching /tmp/driven2
watching /tmp/sampled
echo $number >/sys/class/gpio/export
echo out >"/sys/class/gpio/gpio$number/direction"
echo 1 >"/sys/class/gpio/gpio$number/value"
ok "driven high" "$(line_get reject)" 1
line_set reject low
ok "a pull does not move a driven line" "$(line_get reject)" 1
usleep 100000
echo 0 >"/sys/class/gpio/gpio$number/value"
wait $watcher $second $sampler
cat /tmp/driven /tmp/sampled
ok "settings" "$(grep -v '#' /tmp/driven | cut -d' ' -f3 | tr '\n' ' ')" "0 1 0 "
ok "levels sampled" "$(grep -v '#' /tmp/sampled | cut -d' ' -f3 | tr '\n' ' ')" "0 1 0 "
ok "settings that a second watcher saw" "$(grep -v '#' /tmp/driven2 | cut -d' ' -f3 | tr '\n' ' ')" "0 1 0 "
rise=$(grep -v '#' /tmp/driven | sed -n 2p | cut -d' ' -f1)
seen=$(grep -v '#' /tmp/sampled | sed -n 2p | cut -d' ' -f1)
ok_between "the sampler saw the rise after the kernel set it, us" $(((seen - rise) / 1000)) -1 500000
fall=$(grep -v '#' /tmp/driven | sed -n 3p | cut -d' ' -f1)
ok_between "length of the high, ms" $(((fall - rise) / 1000000)) 100 2000
echo 1 >"/sys/class/gpio/gpio$number/value"
echo $number >/sys/class/gpio/unexport
ok "let go, it follows the pull" "$(line_get reject)" 0

check "camera unplugged" camera_unplug
check "no device left" test ! -e /dev/video0
check "camera back" camera_plug
check "device back" test -c /dev/video0
check "driver unloaded" camera_unload
check "no camera" test ! -e /dev/video0
check "driver loaded" camera_load num_inputs=1
check "camera again" test -c /dev/video0
check "chip removed" gpio_gone
check "no chip left" test ! -e "$GPIO_DEV"
check "another chip" gpio_chip 4 0=trigger
ok "its line" "$(line_get trigger)" 0
wait_for "waiting ends" 2 test -c "$GPIO_DEV"
finish
