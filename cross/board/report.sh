#!/bin/sh
# Prints the row of docs/boards.md for the virtual board. It shows that the report can be made on an arm64 machine with
# busybox. The times of an emulated processor are no speeds.
#
#   cross/board.sh --init cross/board/report.sh --timeout 600 --bin .../hetmm-edge --file .../part.hetmm:/part.hetmm \
#     --file firmware-config/board-report.sh:/board-report.sh
# shellcheck source-path=SCRIPTDIR source=lib.sh
. /board/lib.sh

sh /board-report.sh --edge hetmm-edge --name "virtual arm64 board, qemu" --note "emulated: no speeds; pictures of 320 x 240" --runs 5 \
  --pulses 50 --picture 320x240 /part.hetmm >/tmp/report
ok "the report ends with" "$?" 0
cat /tmp/report
ok "rows of equal length" "$(awk -F'|' '{ print NF }' /tmp/report | sort -u)" 13
ok "what kind of machine it says" "$(tail -n 1 /tmp/report | cut -d'|' -f4)" " virtual "
finish
