#!/bin/sh
# Reads every pixel format that the board's camera and hetmm-edge both have, and compares the pictures. The camera
# shows colour bars. What is compared with RGB3 or GREY came through another conversion in the kernel, too.
#
#   cross/board.sh --init cross/board/camera-test.sh --steady 0 --timeout 300 --bin .../camera_probe
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC3043
. /board/lib.sh

# probe FORMAT [OPTION...]: takes a frame of the colour bars.
probe() {
  local format="$1"
  shift
  camera_probe --width 320 --height 180 --rate 30 --frames 1 --format "$format" --control test_pattern=0 \
    --control osd_text_mode=2 --control brightness=128 "$@"
}
# reference FORMAT: keeps a frame as /tmp/FORMAT.png.
reference() {
  rm -rf /tmp/frames
  mkdir /tmp/frames
  check "a reference in $1" probe "$1" --save /tmp/frames
  mv /tmp/frames/*.png "/tmp/$1.png"
}
# like NAME REFERENCE TOLERANCE FORMAT [OPTION...]
like() {
  local name="$1" reference="$2" tolerance="$3"
  shift 3
  check "$name is like $reference" probe "$@" --like "/tmp/$reference.png" --tolerance "$tolerance"
}

camera_load no_error_inj=1
reference RGB3
reference GREY
probe GREY --like /tmp/RGB3.png >/dev/null
ok "brightness without colour is not like RGB3, and ends with" "$?" 1
say "--- colours"
# YUV has fewer levels than RGB: 219 of brightness.
for format in BGR3 YUYV UYVY NV12; do like $format RGB3 4 $format; done
say "--- more than 8 bits of brightness"
for format in Y10 Y12 Y16; do like $format GREY 1.1 $format; done
say "--- one colour a pixel, all orders and depths that the camera has"
for format in RGGB GRBG GBRG BA81 RG10 BA10 GB10 BG10 RG12 BA12 GB12 BG12 RG16 GR16 GB16 BYR2; do
  like "$format, half" RGB3 1.1 $format
done
# Bars lie 40 columns apart, and at their edges a missing colour is a mean of both sides.
check "bilinear has the size of the sensor" sh -c "camera_probe --width 320 --height 180 --format RG10 --bilinear \
  --frames 1 --rate 30 | grep -q ': 320 x 180, age'"
check "half has half of it" sh -c "camera_probe --width 320 --height 180 --format RG10 --frames 1 --rate 30 |
  grep -q ': 160 x 90, age'"
say "--- samples at the wrong end"
camera_probe --width 320 --height 180 --format Y12 --frames 1 --rate 30 --align-high >/tmp/words
check "they make a dark picture" grep -q 'mean [0-9]\.[0-9] ' /tmp/words

say "--- what this camera does not have"
camera_probe --format Y10P >/dev/null 2>/tmp/words
ok "a format ends with" "$?" 2
check "its words list what it has" grep -q 'the camera offers .*RG10 (.*320 x 180' /tmp/words
camera_probe --width 320 --height 180 --sensor-strobe 1000 >/dev/null 2>/tmp/words
ok "a strobe by the sensor ends with" "$?" 2
check "its words say so" grep -q 'no control for a strobe output' /tmp/words

say "--- a buffer for each plane"
check "driver unloaded" camera_unload
check "driver loaded" camera_load no_error_inj=1 multiplanar=2
like "NM12, two buffers" RGB3 4 NM12
like "NV12, one buffer" RGB3 4 NV12
like "YUYV, one buffer" RGB3 4 YUYV
like "Y10, one buffer" GREY 1.1 Y10
check "frames keep coming" sh -c "camera_probe --width 320 --height 180 --format NM12 --rate 30 --frames 20 |
  grep -c '^frame' | grep -qx 20"
finish
