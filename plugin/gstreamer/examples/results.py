#!/usr/bin/env python3
"""Prints what the element finds in numbered PNG files.

usage: results.py TEMPLATE PATTERN

PATTERN is a file name with a place for the number, as in parts/%03d.png.
"""

import json
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst

if len(sys.argv) != 3:
    sys.exit(__doc__)
template, pattern = sys.argv[1:]
Gst.init(None)
pipeline = Gst.parse_launch(
    "multifilesrc name=source caps=image/png,framerate=1/1 ! pngdec ! hetmm name=hetmm on-error=reject ! fakesink"
)
pipeline.get_by_name("source").set_property("location", pattern)
pipeline.get_by_name("hetmm").set_property("template", template)
pipeline.set_state(Gst.State.PLAYING)
kinds = Gst.MessageType.ELEMENT | Gst.MessageType.ERROR | Gst.MessageType.EOS
while True:
    message = pipeline.get_bus().timed_pop_filtered(Gst.CLOCK_TIME_NONE, kinds)
    if message.type == Gst.MessageType.ERROR:
        sys.exit(message.parse_error().gerror.message)
    if message.type == Gst.MessageType.EOS:
        break
    told = message.get_structure()
    if told.get_name() == "hetmm-inspection":
        found = json.loads(told.get_string("json"))
        places = [(region["x"], region["y"]) for region in found["regions"]]
        # Everything but "ok" stops the part, a failure ("rule": "failed") included.
        print(told.get_string("verdict"), found["score"], places)
pipeline.set_state(Gst.State.NULL)
