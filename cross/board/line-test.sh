#!/bin/sh
# The line on the virtual board: the real hetmm-edge on kernel GPIO and a kernel camera. Started by
# cross/board-test.sh, which built /part.hetmm from this camera's pictures.
#
# Times are the kernel's: `pulses` tells when the trigger was pulled, `driven` when the program set a
# line. The board is started with --steady, so that they do not depend on what else the machine does.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC3043
. /board/lib.sh

# Microseconds by which a pulse may miss its time.
EARLY=0 LATE=1000
DELAY=3000000 DEADLINE=2500000 WIDTH=40000

gpio_chip 12 1=valve 2=trigger 3=encoder 4=twin 5=ng 6=fault 7=ready 8=ok 9=busy 10=heartbeat 11=twin
camera_load no_error_inj=1
set_pattern() { camera_probe --only-set --control test_pattern="$1" --control osd_text_mode=2 --control brightness=128; }
set_pattern 0
cp /part.hetmm /tmp/part.hetmm

# configure FILE [SED_EXPRESSION...]
configure() {
  cat >"$1" <<END
[template]
file = "/tmp/part.hetmm"
[trigger]
source = "gpio"
chip = "$GPIO_CHIP"
line = "trigger"
debounce_us = 0
[camera]
source = "v4l2"
device = "/dev/video0"
width = 320
height = 180
format = "YUYV"
frames_per_second = 30
[reject]
delay_us = $DELAY
deadline_us = $DEADLINE
pulse_width_us = $WIDTH
min_pitch_us = 50000
max_waiting = 4
[outputs]
chip = "$GPIO_CHIP"
ok_pulse_width_us = 20000
ng = { line = "ng" }
fault = { line = "fault" }
ready = { line = "ready" }
ok = { line = "ok" }
busy = { line = "busy" }
heartbeat = { line = "heartbeat" }
[records]
file = "/tmp/parts.jsonl"
[control]
socket = "/tmp/edge.sock"
END
  local file="$1" expression
  shift
  for expression; do sed -i "$expression" "$file"; done
}
is() { [ "$(line_get "$1")" = "$2" ]; }
# start FILE [COMMAND...]: the program, without waiting for anything. COMMAND starts it.
start() {
  rm -f /tmp/parts.jsonl
  config=$1
  shift
  "$@" hetmm-edge --config "$config" 2>>/tmp/log &
  edge=$!
}
ready() { wait_for "ready ($1)" 120 is ready 1; }
stop() {
  kill -TERM $edge
  wait $edge
}
# record PART KEY: a value of a part's record.
record() { sed -n "s/.*\"part\":$1,.*\"$2\":\"\{0,1\}\([^,\"]*\).*/\1/p" /tmp/parts.jsonl; }
ask() { hetmm-edge --config "$config" "$1"; }
counter() { ask status | sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p" | head -n 1; }
# moment FILE LINE LEVEL: nanoseconds of the first such setting.
moment() {
  grep -v '#' "$1" | awk -v line="$(_line "$2")" -v level="$3" '$2 == line && $3 == level { print $1; exit }'
}
pulled() { grep -v '#' "$1" | awk -v which="${2:-1}" '$3 == 1 { if (++n == which) print $1 }'; }
# levels FILE LINE: what it was set to, one after another.
levels() { grep -v '#' "$1" | awk -v line="$(_line "$2")" '$2 == line { printf "%s", $3 }'; }
# watch LINES SECONDS: fills /tmp/driven from now on; `wait $watcher`.
watch() {
  rm -f /tmp/driven
  driven "$1" "$2" >/tmp/driven &
  watcher=$!
  watching /tmp/driven
}
# pull SECONDS [COUNT PERIOD_US WIDTH_US]: watches for SECONDS, pulls the trigger; fills /tmp/driven
# and /tmp/pulls.
pull() {
  watch ng,ok,fault,ready "$1"
  pulses trigger "${2:-1}" "${3:-100000}" "${4:-50000}" >/tmp/pulls
  wait $watcher
}
# on_time NAME LINE TRIGGER_NS: the line rose DELAY after the trigger and fell WIDTH later.
on_time() {
  local rise fall
  rise=$(moment /tmp/driven "$2" 1)
  fall=$(moment /tmp/driven "$2" 0)
  if [ -z "$rise" ] || [ -z "$fall" ]; then
    fail "$1: no pulse on $2"
    cat /tmp/driven
    return
  fi
  ok_between "$1: pulse after its due time, us" $(((rise - $3) / 1000 - DELAY)) $EARLY $LATE
  # Both edges have a due time of their own: when the first is a little later than its own than the second, the
  # pulse is shorter by the difference.
  ok_between "$1: wider than its width by, us" $(((fall - rise) / 1000 - $4)) -200 $LATE
}

configure /tmp/line.toml
say "--- --check"
# checks FILE [OPTION...]: runs --check; sets $code, and fills /tmp/words with what it says.
checks() {
  local file="$1"
  shift
  hetmm-edge --config "$file" --check "$@" >/tmp/resolved 2>/tmp/words
  code=$?
}
# says NAME PATTERN: /tmp/words has the pattern.
says() { if grep -q "$2" /tmp/words; then ok "$1" said said; else fail "$1: not said: $2" && cat /tmp/words; fi; }
checks /tmp/line.toml
ok "everything is there" $code 0
ok "lines that were requested" "$(grep -c '^ok .*, requested;' /tmp/words)" 7
says "a chip's number comes with a warning" 'note  outputs.ng: the number in /dev/gpiochip[0-9]* may change'
ok "outputs keep their level" "$(line_get fault)$(line_get ng)" 00
checks /tmp/line.toml --drive
ok "outputs that were driven" "$code $(grep -c 'requested with its safe level' /tmp/words)" "0 6"

say "--- lines that are not clear"
configure /tmp/odd.toml 's,^ng = .*,ng = { line = "twin" },'
checks /tmp/odd.toml
ok "two lines with the name" $code 5
says "both are listed" '2 lines named "twin": line 4, line 11'
configure /tmp/odd.toml 's,^ok = .*,ok = { line = 5 },'
checks /tmp/odd.toml
ok "one line for two purposes" $code 2
says "both are named" 'outputs.ok: /dev/gpiochip[0-9]* line 5 (.*) is already outputs.ng'
hetmm-edge --config /tmp/odd.toml 2>/tmp/words
ok "a run refuses it, too" "$?" 2
configure /tmp/odd.toml 's,^ok_pulse,lines = 12\n&,'
checks /tmp/odd.toml
ok "the right number of lines" $code 0
configure /tmp/odd.toml 's,^ok_pulse,lines = 13\n&,'
checks /tmp/odd.toml
ok "another number of lines" $code 5
says "both numbers" 'has 12 lines, and not 13'
configure /tmp/odd.toml 's,line = "trigger",line = 5,'
checks /tmp/odd.toml
ok "trigger and output on one line" $code 2
says "both are named" 'outputs.ng: /dev/gpiochip[0-9]* line 5 (.*) is already trigger'
for n in 1 2; do
  mkdir -p /sys/kernel/config/gpio-sim/twin$n/bank
  echo 4 >/sys/kernel/config/gpio-sim/twin$n/bank/num_lines
  echo twins >/sys/kernel/config/gpio-sim/twin$n/bank/label
  echo 1 >/sys/kernel/config/gpio-sim/twin$n/live
done
configure /tmp/odd.toml 's,^ng = .*,ng = { chip = "twins"\, line = 0 },'
checks /tmp/odd.toml
ok "two chips with the label" $code 5
says "both chips" '2 GPIO chips are named "twins": /dev/gpiochip[0-9]* (twins) of .*, /dev/gpiochip[0-9]* (twins)'
device=$(sed -n 's/.*(twins) of \([^,]*\),.*/\1/p' /tmp/words | head -n 1)
configure /tmp/odd.toml "s,^ng = .*,ng = { chip = \"$device\"\\, line = 0 },"
checks /tmp/odd.toml
ok "one of them by its device ($device)" $code 0
for n in 1 2; do
  echo 0 >/sys/kernel/config/gpio-sim/twin$n/live
  rmdir /sys/kernel/config/gpio-sim/twin$n/bank /sys/kernel/config/gpio-sim/twin$n
done
checks /tmp/line.toml --loop ng trigger
ok "a wire that is not there" $code 5
says "how often the input followed" 'followed [0-9] of 10 changes'

say "--- a device that this program was not built for"
configure /tmp/device.toml 's,^file = "/tmp/part.hetmm",&\ndevice = "cuda",'
hetmm-edge --config /tmp/device.toml --check >/dev/null 2>/tmp/words
ok "--check ends with" "$?" 2
check "its words name the key" grep -q 'template.device: this hetmm-edge was built without ONNX Runtime' /tmp/words
hetmm-edge --config /tmp/device.toml 2>/dev/null
ok "a run ends with" "$?" 2
configure /tmp/device.toml 's,^file = "/tmp/part.hetmm",&\ndevice = "auto",'
check "auto takes int8" sh -c 'hetmm-edge --config /tmp/device.toml --check 2>&1 | grep -q "features by int8"'

say "--- start"
ok "fault before the start" "$(line_get fault)" 0
start /tmp/line.toml
ready "first"
ok "fault line is energised" "$(line_get fault)" 1
# The gate is shut until parts from before the start have passed.
wait_for "gate opens" 20 is ng 0

say "--- a good part"
pull 5
on_time "good part" ok "$(pulled /tmp/pulls)" 20000
ok "reject line of a good part" "$(levels /tmp/driven ng)" ""
ok "outcome" "$(record 1 outcome)" passed
say "score $(record 1 score), threshold $(record 1 threshold)"
say "$(grep -o '"timing_us".*' /tmp/parts.jsonl)"

say "--- a bad part"
set_pattern 4
pull 5
on_time "bad part" ng "$(pulled /tmp/pulls)" $WIDTH
ok "pass line of a bad part" "$(levels /tmp/driven ok)" ""
ok "why" "$(record 2 why)" defect
set_pattern 0

say "--- the wall clock is stepped while a part is on its way"
(usleep 1000000; date -s 2033-05-05 >/dev/null) &
pull 5
on_time "clock stepped" ok "$(pulled /tmp/pulls)" 20000
date -s 2026-01-01 >/dev/null

say "--- two parts that touch"
pull 5 2 20000 5000
ok "their pulses are one" "$(levels /tmp/driven ng)" 10
on_time "parts that touch" ng "$(pulled /tmp/pulls)" $((WIDTH + 20000))
ok "why" "$(record 4 why) $(record 5 why)" "too_close too_close"

say "--- the template is replaced while parts come"
watch ok,ng 24
pulses trigger 6 3000000 50000 >/tmp/pulls &
puller=$!
usleep 4000000
head -c 100000 /part.hetmm >/tmp/cut && mv /tmp/cut /tmp/part.hetmm
usleep 5000000
cp /part.hetmm /tmp/again && mv /tmp/again /tmp/part.hetmm
wait $puller $watcher
ok "parts passed meanwhile" "$(grep -c '"outcome":"passed"' /tmp/parts.jsonl)" 8
ok "pass pulses" "$(levels /tmp/driven ok)" 101010101010
ok "reject pulses" "$(levels /tmp/driven ng)" ""
ok "refusals in the log" "$(grep -c 'the template is refused' /tmp/log)" 1
ok "the new one is in use" "$(grep -c 'proven, threshold' /tmp/log)" 2

say "--- the camera is unplugged and comes back"
camera_unplug
wait_for "fault shows" 20 is fault 0
wait_for "not ready" 20 is ready 0
pull 5
on_time "no camera" ng "$(pulled /tmp/pulls)" $WIDTH
ok "why" "$(record 12 why)" missed
camera_plug
set_pattern 0
ready "camera back"
pull 5
ok "passes again" "$(record 13 outcome)" passed
ok "fault line is energised again" "$(line_get fault)" 1

say "--- triggers at 10 kHz"
before=$(counter triggers)
pulses trigger 2000 100 50 >/tmp/pulls
usleep 8000000
check "alive" kill -0 $edge
storm=$(($(counter triggers) - before))
# Edges that lie too close for the kernel are its loss; gaps in its numbers are counted as lost.
ok_between "triggers seen or known to be lost" "$storm" 1000 2000
ok "every trigger has its outcome" "$(($(counter passed) + $(counter rejected)))" "$(counter triggers)"
pull 5
ok "a good part after the storm" "$(sed -n '$p' /tmp/parts.jsonl | grep -o '"outcome":"[a-z]*"')" '"outcome":"passed"'

say "--- a second instance, and a line in use"
hetmm-edge --config /tmp/line.toml 2>/tmp/second
ok "second instance ends with" "$?" 5
configure /tmp/other.toml 's,/tmp/edge.sock,/tmp/other.sock,'
hetmm-edge --config /tmp/other.toml 2>/tmp/second
ok "lines in use end with" "$?" 5
check "its words name the user" grep -q 'hetmm-edge outputs' /tmp/second
checks /tmp/line.toml
ok "--check beside the running program" "$code $(grep -c 'held by the running program' /tmp/words)" "0 7"
checks /tmp/other.toml
ok "--check with another configuration" $code 5
says "why" 'a hetmm-edge with another configuration has it'

say "--- SIGTERM"
watch fault,ng,ready 5
stop
ok "ends well" "$?" 0
wait $watcher
# Once by the line's thread, once by the one that ends the program.
ok "fault is set to unhealthy" "$(levels /tmp/driven fault)" 000
ok "reject is set" "$(levels /tmp/driven ng)" 111
ok "fault line" "$(line_get fault)" 0

say "--- a result that is too late"
configure /tmp/late.toml "s/^deadline_us.*/deadline_us = 100000/"
start /tmp/late.toml
ready "late"
wait_for "gate opens" 20 is ng 0
pull 5
on_time "late part" ng "$(pulled /tmp/pulls)" $WIDTH
case $(record 1 why) in late | no_frame) ok "why" late late ;; *) fail "why: $(record 1 why)" ;; esac
ok "fault shows a part that could not be judged" "$(line_get fault)" 0

stop

say "--- a camera that stalls"
camera_unload
camera_load
set_pattern 0
start /tmp/line.toml
ready "a camera with faults"
wait_for "gate opens" 20 is ng 0
# The driver takes pictures and hands none of them out.
stalls() { camera_probe --only-set --control percentage_of_dropped_buffers="$1"; }
stalls 100
pull 5
on_time "no frame" ng "$(pulled /tmp/pulls)" $WIDTH
case $(record 1 why) in late | no_frame) ok "why" no_frame no_frame ;; *) fail "why: $(record 1 why)" ;; esac
ok "fault shows a part that could not be judged" "$(line_get fault)" 0
stalls 0
pull 5
ok "a part after it" "$(record 2 outcome)" passed
stop

say "--- a kernel without version 1 of the GPIO interface"
# The program asks the board's kernel, which has both versions. So only a kernel without the old one shows that it never
# needs it: for reading edges, for outputs, and for what --check says of lines.
start /tmp/line.toml gpio_watch without-v1
ready "without version 1"
wait_for "gate opens" 20 is ng 0
pull 5
on_time "good part without version 1" ok "$(pulled /tmp/pulls)" 20000
ok "outcome" "$(record 1 outcome)" passed
gpio_watch without-v1 hetmm-edge --config /tmp/line.toml --check >/tmp/resolved 2>/tmp/words
ok "--check beside it" "$? $(grep -c 'held by the running program' /tmp/words)" "0 7"

say "--- kill -9"
kill -9 $edge
wait $edge
usleep 100000
ok "fault line is unhealthy" "$(line_get fault)" 0
ok "ready line" "$(line_get ready)" 0

say "--- a panic"
watch fault,ng 20
panic_probe "$GPIO_CHIP" 2>/tmp/panic
ok "ends with" "$?" 5
wait $watcher
ok "fault: safe, healthy, safe" "$(levels /tmp/driven fault)" 010
ok "reject: safe, open, safe" "$(levels /tmp/driven ng)" 101

say "--- commissioning"
configure /tmp/commission.toml 's/^ng = .*/ng = { line = "ng", safe = "inactive" }/' \
  's/^\[records\]/[commissioning]\nallowed = true\nminutes = 2\n[records]/'
start /tmp/commission.toml
ready "commissioning"
hetmm-edge --config "$config" pulse ng >/tmp/pulsed
ok "no pulse without commissioning" "$?" 1
hetmm-edge --config "$config" commission on >/tmp/attended 2>&1 &
attending=$!
wait_for "commissioning" 5 sh -c "hetmm-edge --config $config status | grep -q '\"state\": \"commissioning\"'"
ok "not ready, fault, gate open" "$(line_get ready)$(line_get fault)$(line_get ng)" 000
watch ng,fault,ready 6
hetmm-edge --config "$config" pulse ng >/tmp/pulsed
ok "a pulse" "$?" 0
hetmm-edge --config "$config" pulse ng >/dev/null
ok "a second one in the same second" "$?" 1
pulses trigger 1 100000 50000 >/dev/null
hetmm-edge --config "$config" resume >/dev/null
ok "resume" "$?" 1
wait $watcher
ok "one edge pair" "$(levels /tmp/driven ng)" 10
ok "nothing else moves" "$(levels /tmp/driven fault)$(levels /tmp/driven ready)" ""
ok_between "its width less what is set, us" \
  $((($(moment /tmp/driven ng 0) - $(moment /tmp/driven ng 1)) / 1000 - WIDTH)) -200 $LATE
ok_between "its lateness, us" "$(sed -n 's/.*"late_us": \([0-9]*\).*/\1/p' /tmp/pulsed | head -n 1)" 0 $LATE
ok "a part meanwhile" "$(record 1 why)" safe
ok "edges of the trigger" \
  "$(hetmm-edge --config "$config" lines --json | sed -n 's/.*"count": \([0-9]*\).*/\1/p')" 1
check "lines in words" sh -c "hetmm-edge --config $config lines | grep -q '^out  fault .* fault  *low'"
hetmm-edge --config "$config" pulse ng >/tmp/pulsed &
pulsing=$!
usleep 50000
kill $attending
wait $attending
wait $pulsing
ok "the pulse is cut off when the one who attends goes away" "$?" 1
wait_for "safe" 5 sh -c "hetmm-edge --config $config status | grep -q '\"state\": \"safe\"'"
ok "safe levels" "$(line_get ready)$(line_get fault)$(line_get ng)" 000
ask resume >/dev/null
ready "after commissioning"
stop

say "--- the feedback of the valve"
configure /tmp/feedback.toml 's/^ng = .*/ng = { line = "ng", feedback = { line = "valve" } }/' \
  's,^\[records\],[records]\nfolder = "/tmp/records"\nmin_free_mib = 0,'
# seen PART: by how many microseconds the edge at the feedback came after the pulse, or null.
seen() {
  sed -n "s/.*\"part\":$1,.*\"at_us\":\([0-9]*\),.*\"seen_us\":\([0-9a-z]*\).*/\1 \2/p" /tmp/records/*.jsonl | tail -n 1 |
    awk '{ print $2 == "null" ? $2 : $2 - $1 }'
}
# valve DELAY_US: a valve that follows ng so long after it.
valve() {
  follow ng valve 600 "$1" >/tmp/valve &
  valve=$!
  watching /tmp/valve
}
valve 3000
checks /tmp/feedback.toml
ok "lines that were requested, with the feedback" "$(grep -c '^ok .*, requested;' /tmp/words)" 8
checks /tmp/feedback.toml --loop ng feedback
says "the valve follows" 'followed 10 of 10 changes'
start /tmp/feedback.toml
ready "with a valve"
wait_for "gate opens" 20 is ng 0
set_pattern 4
pull 5
on_time "with a valve" ng "$(pulled /tmp/pulls)" $WIDTH
usleep 500000
ok_between "the edge came after the pulse, us" "$(seen 1)" 3000 12000
ok "no fault" "$(line_get fault)" 1
check "its edges are counted" sh -c "hetmm-edge --config $config lines --json | grep -q '\"feedback\"'"
kill $valve
pull 5
usleep 500000
ok "a valve that stands still is not seen" "$(seen 2)" null
ok "and a fault" "$(line_get fault) $(ask status | tr -d ' \n' | sed -n 's/.*"faults":\[\([^]]*\).*/\1/p')" '0 "outputs"'
set_pattern 0
valve 0
pull 5
ok "parts are rejected until the next start" "$(record 3 why)" missed
ok "the fault stays" "$(line_get fault)" 0
kill $valve
stop
valve 30000
start /tmp/feedback.toml
ready "with a slow valve"
wait_for "gate opens" 20 is ng 0
set_pattern 4
pull 5
usleep 500000
ok "a valve that is late is not seen" "$(seen 1)" null
ok "and a fault, too" "$(line_get fault)" 0
set_pattern 0
kill $valve
stop
ok "the chain" "$(hetmm-edge records verify /tmp/records >/dev/null 2>&1; echo $?)" 0
line_set valve low

say "--- an expander"
load_module i2c-dev
load_module i2c-stub chip_addr=0x20,0x21
bus=$(grep -l 'SMBus stub' /sys/class/i2c-adapter/i2c-*/name | sed 's,.*/i2c-\([0-9]*\)/name,\1,')
wait_for "its bus" 5 test -c "/dev/i2c-$bus"
# register N: its value in the first chip.
register() { i2cget -y "$bus" 0x20 "$1" b; }
# After power on all pins of the chip are inputs.
for at in 0x00 0x01; do i2cset -y "$bus" 0x20 $at 0xff b; done
configure /tmp/expander.toml 's/^ready = .*/ready = { chip = "x1", line = 15 }/' \
  's/^ok = .*/ok = { chip = "x1", line = 0, active = "low" }/' \
  "s,^\[records\],[expander.x1]\nkind = \"mcp23017\"\nbus = \"/dev/i2c-$bus\"\naddress = 0x20\n[records],"
checks /tmp/expander.toml
ok "an expander that answers" $code 0
ok "a check changes no pin" "$(register 0x00) $(register 0x01)" "0xff 0xff"
sed 's/^address = .*/address = 0x27/' /tmp/expander.toml >/tmp/odd.toml
checks /tmp/odd.toml
ok "an address without a chip" $code 5
load_module lm75
echo lm75 0x21 >"/sys/bus/i2c/devices/i2c-$bus/new_device"
sed 's/^address = .*/address = 0x21/' /tmp/expander.toml >/tmp/odd.toml
checks /tmp/odd.toml
ok "a chip that a driver of the kernel has" $code 5
says "and why" 'expander x1: .* address 0x21: .*busy'
start /tmp/expander.toml
wait_for "ready, by the expander" 120 sh -c "[ \$((\$(i2cget -y $bus 0x20 0x13 b) & 0x80)) = 128 ]"
ok "its outputs are outputs, and no other pin" "$(register 0x00) $(register 0x01)" "0xfe 0x7f"
ok "ok is off, which is high" "$(register 0x12)" 0x01
ask safe >/dev/null
wait_for "not ready" 5 sh -c "[ \$(i2cget -y $bus 0x20 0x13 b) = 0x00 ]"
ask resume >/dev/null
wait_for "ready again" 20 sh -c "[ \$(i2cget -y $bus 0x20 0x13 b) = 0x80 ]"
kill -KILL $edge
wait $edge
ok "an expander keeps its levels when the program is killed" "$(register 0x12) $(register 0x13)" "0x01 0x80"
start /tmp/expander.toml
wait_for "the safe levels at the next start" 20 sh -c "[ \$(i2cget -y $bus 0x20 0x13 b) = 0x00 ]"
wait_for "ready after that" 120 sh -c "[ \$(i2cget -y $bus 0x20 0x13 b) = 0x80 ]"
stop
ok "the safe levels at the end" "$(register 0x12) $(register 0x13)" "0x01 0x00"

say "--- a corrupt template"
dd if=/dev/zero of=/tmp/part.hetmm bs=1 seek=5000 count=16 conv=notrunc 2>/dev/null
start /tmp/line.toml
wait_for "refused" 60 sh -c "hetmm-edge --config /tmp/line.toml status | grep -q 'damaged\|does not\|checksum\|refused\": \"'"
ok "not ready" "$(line_get ready)" 0
ok "fault line" "$(line_get fault)" 0
wait_for "gate opens" 20 is ng 0
pull 5
on_time "not ready" ng "$(pulled /tmp/pulls)" $WIDTH
ok "why" "$(record 1 why)" missed
cp /part.hetmm /tmp/again && mv /tmp/again /tmp/part.hetmm
ready "good template"
stop

say "--- an encoder"
configure /tmp/counts.toml 's/^delay_us.*/delay_counts = 200/' 's/^min_pitch_us.*/min_pitch_counts = 10/' \
  's/^\[camera\]/[encoder]\nline = "encoder"\n[camera]/'
start /tmp/counts.toml
ready "encoder"
pulses encoder 220 2000 1000 >/dev/null
wait_for "gate opens" 20 is ng 0
set_pattern 4
watch ng 20
pulses trigger 1 100000 50000 >/dev/null
usleep 5000000
pulses encoder 250 2000 1000 >/tmp/counts
wait $watcher
rise=$(moment /tmp/driven ng 1)
ok_between "reject after the 200th count, us" $(((rise - $(pulled /tmp/counts 200)) / 1000)) 0 1990
ok "why" "$(record 1 why)" defect
stop

tail -n 40 /tmp/log
finish
