#!/bin/sh
# Takes pictures of good parts and of a bad one with the board's camera and prints them, as base64
# between `PICTURE NAME` and `END`. To vivid a good part is a pattern of colour bars.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. /board/lib.sh

camera_load no_error_inj=1
take() {
  name=$1
  shift
  rm -rf /tmp/frames
  mkdir /tmp/frames
  check "a picture for $name" camera_probe --width 320 --height 180 --rate 30 --frames 1 \
    --save /tmp/frames --control osd_text_mode=2 "$@"
  echo "PICTURE $name"
  base64 /tmp/frames/*.png
  echo END
}
# What varies among good parts: the light.
for brightness in 120 122 124 126 128 130 132 134; do
  take "good/light$brightness" --control test_pattern=0 --control brightness=$brightness
done
take "bad/pattern" --control test_pattern=4 --control brightness=128
finish
