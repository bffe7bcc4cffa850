#!/usr/bin/env python3
"""Compares the element with the command `hetmm inspect --json` on the parts of `hetmm demo`.

usage: same_bits.py HETMM PLUGINS DEMO

HETMM is the program, PLUGINS the folder of libgsthetmm.so, and DEMO the folder that `hetmm demo` wrote. The pictures go
through `multifilesrc ! pngdec ! hetmm`. Verdict, rule, regions and peak must be equal, and scores as 32-bit floats.
"""

import json
import os
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path


def by_tool(hetmm, template, pictures):
    """The objects that the tool prints, one for each picture."""
    command = [hetmm, "inspect", "--json", template, *pictures]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    # 1 says that a part was rejected.
    if done.returncode not in (0, 1):
        sys.exit(f"ERROR: {hetmm} inspect ended with {done.returncode}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def by_element(plugins, template, pictures):
    """The structures of gst-launch's text, one for each picture: the JSON object, and the float of the score."""
    with tempfile.TemporaryDirectory() as folder:
        for number, picture in enumerate(pictures):
            os.symlink(picture, f"{folder}/{number:03}.png")
        source = ["multifilesrc", f"location={folder}/%03d.png", f"stop-index={len(pictures) - 1}"]
        caps = "caps=image/png,framerate=1/1"
        element = ["hetmm", f"template={template}"]
        command = ["gst-launch-1.0", "-m", *source, caps, "!", "pngdec", "!", *element, "!", "fakesink"]
        environment = {**os.environ, "GST_PLUGIN_PATH": plugins, "GST_REGISTRY": f"{folder}/registry"}
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    found = []
    for line in done.stdout.splitlines():
        if "(element): hetmm-inspection," in line:
            text = re.search(r'json=\(string\)"((?:\\.|[^"\\])*)"', line)[1]
            told = json.loads(re.sub(r"\\(.)", r"\1", text))
            told["score_float"] = float(re.search(r"score=\(float\)([^,]+),", line)[1])
            told["verdict_text"] = re.search(r"verdict=\(string\)([a-z]+),", line)[1]
            found.append(told)
    return found


def bits(score):
    """The score as a 32-bit float."""
    return struct.pack("<f", score)


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    hetmm, plugins, demo = sys.argv[1:]
    template = str(Path(demo, "part.hetmm").resolve())
    pictures = [str(path.resolve()) for path in sorted(Path(demo, "parts", "test").glob("*/*.png"))]
    tool = by_tool(hetmm, template, pictures)
    element = by_element(plugins, template, pictures)
    if not pictures or not len(tool) == len(element) == len(pictures):
        sys.exit(f"ERROR: {len(pictures)} pictures, {len(tool)} and {len(element)} results")
    for picture, want, told in zip(pictures, tool, element):
        keys = ["score", "threshold", "verdict", "decided_by", "regions", "peak"]
        same = all(want[key] == told[key] for key in keys)
        same = same and bits(want["score"]) == bits(told["score_float"])
        if not same or want["verdict"] != told["verdict_text"]:
            sys.exit(f"ERROR: {picture} differs\n  tool     {want}\n  element  {told}")
    verdicts = sorted({want["verdict"] for want in tool})
    if not {"ok", "ng"} <= set(verdicts):
        sys.exit(f"ERROR: the parts have only the verdicts {verdicts}")
    print(f"{len(pictures)} parts: the element and the tool agree in every bit")


main()
