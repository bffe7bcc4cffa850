#!/usr/bin/env python3
"""Draws the tables of benches/scaling/run.sh: DIR/scaling.svg and DIR/memory.svg.  Usage: plot.py DIR

scaling.svg has times against sizes. Points are measured, with their range over the rounds. Lines are what the
count of operations predicts from the point at the reference size of the study. memory.svg has the memory of
builds, and pictures a second and memory while a long folder is inspected. Needs matplotlib.
"""
import csv
import io
import re
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "hetmm",  # The same tables give the same bytes.
                            "svg.fonttype": "none", "font.sans-serif": ["DejaVu Sans", "Arial"], "font.size": 9,
                            "axes.spines.top": False, "axes.spines.right": False})
import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator

# By study: title, what x and y are, and the reference size: the default's, or the nearest that was measured.
SIZES = {"sheets": ("Matching against sheets", "sheets", "ms a picture", 60),
         "size": ("Stages against the input", "side of the input, pixels", "ms a picture", 256),
         "channels": ("Matching against channels", "channels", "ns a pair of template and query pixel", 240),
         "pictures": ("A build against good pictures", "good pictures", "seconds", 762)}
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8c6d00", "#56b4e9")
# Look, colour and label of the measured memories of a build.
MEMORIES = {"resident": ("o-", COLOURS[1], "all, with mapped pages of the scratch file"),
            "anonymous": ("o-", COLOURS[0], "without these pages")}
# Stages of a long folder, and what y is.
FOLDER = {"rate": "pictures a second", "processor": "ms of processor time a picture", "memory": "MB"}
LOOKS = {1: ("o", "-"), 2: ("s", "--")}


def read(path):
    """Rows of a table by (stage, threads), in rising order of x."""
    series = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            point = {key: float(row[key]) for key in ("x", "value", "least", "most", "operations")}
            series.setdefault((row["stage"], int(row["threads"])), []).append(point)
    return {key: sorted(points, key=lambda point: point["x"]) for key, points in series.items()}


def of(points, key):
    """One value of every point."""
    return [point[key] for point in points]


def counted(threads):
    """Words for a number of threads."""
    return f"{threads} thread{'s' if threads > 1 else ''}"


def draw_series(axis, points, reference, label, colour, look):
    """One stage with one number of threads."""
    marker, line = look
    spread = [[p["value"] - p["least"] for p in points], [p["most"] - p["value"] for p in points]]
    if not any(map(any, spread)):
        spread = None  # Measured once.
    axis.errorbar(of(points, "x"), of(points, "value"), spread, fmt=marker, color=colour, markersize=4.5, label=label,
                  markerfacecolor=colour if marker == "o" else "none", elinewidth=1)
    at = min(points, key=lambda point: abs(point["x"] - reference))
    if at["operations"] > 0:
        rate = at["value"] / at["operations"]
        axis.plot(of(points, "x"), [rate * o for o in of(points, "operations")], line, color=colour, linewidth=1)


def finish(axis, title, x, y):
    """Words and grid."""
    axis.set_title(title, fontsize=10, loc="left", fontweight="bold")
    axis.set(xlabel=x, ylabel=y)
    axis.grid(axis="y", alpha=0.25)


def draw_sizes(axis, name, series):
    """One table of times against a size."""
    title, x, y, reference = SIZES[name]
    stages = list(dict.fromkeys(stage for stage, _ in series))
    for (stage, threads), points in sorted(series.items(), key=lambda one: (one[0][1], stages.index(one[0][0]))):
        draw_series(axis, points, reference, f"{stage}, {counted(threads)}", COLOURS[stages.index(stage)],
                    LOOKS.get(threads, ("^", ":")))
    sizes = sorted({point["x"] for points in series.values() for point in points})
    axis.set(xscale="log", yscale="log")
    axis.set_xticks(sizes, [f"{size:g}" for size in sizes])
    axis.minorticks_off()
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter("{x:g}")
    finish(axis, title, x, y)
    axis.legend(fontsize=7, ncols=1 if len(series) < 3 else 2, frameon=False, handletextpad=0.3)


def draw_memory(axis, series):
    """The memory of builds, and what they said beforehand."""
    for (stage, _), points in series.items():
        look, colour, label = MEMORIES.get(stage, ("--", "0.3", stage))
        axis.plot(of(points, "x"), [value / 1e3 for value in of(points, "value")], look, color=colour, label=label,
                  linewidth=1.2, markersize=4.5)
    axis.set(xlim=(0, None), ylim=(0, 1.3 * axis.get_ylim()[1]))
    finish(axis, "The memory of a build", "good pictures", "GB, at most")
    axis.legend(fontsize=7, frameon=False, loc="upper left")


def draw_folder(axis, series, stage, y):
    """Rate or memory, second by second."""
    for (name, threads), points in sorted(series.items(), key=lambda one: one[0][1]):
        if name == stage:
            # The last second is not a whole one.
            axis.plot(of(points, "x")[:-1], of(points, "value")[:-1], LOOKS.get(threads, ("^", ":"))[1],
                      color=COLOURS[threads % len(COLOURS)], linewidth=1.2, label=counted(threads))
    axis.set_ylim(0, 1.2 * axis.get_ylim()[1])
    finish(axis, f"A long folder: {stage}", "seconds", y)
    axis.legend(fontsize=7, frameon=False, ncols=2, loc="upper left")


def panels(folder):
    """By file, what to draw: functions that take an axis. Only of tables that are there."""
    tables = {path.stem: read(path) for path in sorted(folder.glob("*.tsv"))}
    times = [lambda axis, name=name: draw_sizes(axis, name, tables[name]) for name in SIZES if name in tables]
    others = [lambda axis: draw_memory(axis, tables["memory"])] if "memory" in tables else []
    if "folder" in tables:
        others += [lambda axis, stage=stage, y=y: draw_folder(axis, tables["folder"], stage, y)
                   for stage, y in FOLDER.items() if any(name == stage for name, _ in tables["folder"])]
    return {"scaling.svg": times, "memory.svg": others}


def shorter(text):
    """An SVG file without what no reader sees: more than hundredths of a point, turns by nothing, names of groups,
    indentation."""
    text = re.sub(r"(\d+\.\d\d)\d+", r"\1", text)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r' transform="rotate\(-0 [^"]*"', "", text)
    return re.sub(r"\s*\n\s*", "\n", text)


def draw(folder):
    """All tables that are there."""
    found = {name: drawings for name, drawings in panels(folder).items() if drawings}
    if not found:
        sys.exit(f"error: there is no table in {folder}: run benches/scaling/run.sh first")
    for name, drawings in found.items():
        columns = min(len(drawings), 2)
        rows = -(-len(drawings) // columns)
        figure, axes = plt.subplots(rows, columns, squeeze=False, layout="constrained",
                                    figsize=(5 * columns, (3.6 if name == "scaling.svg" else 2.9) * rows))
        for axis in axes.flat[len(drawings):]:
            axis.set_visible(False)
        for axis, drawing in zip(axes.flat, drawings):
            drawing(axis)
        if name == "scaling.svg":
            figure.suptitle("points: measured; lines: predicted by the count of operations", fontsize=9)
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None})
        (folder / name).write_text(shorter(written.getvalue()))


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
