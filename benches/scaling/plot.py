#!/usr/bin/env python3
"""Draws the tables of benches/scaling/run.sh: DIR/scaling.svg.  Usage: plot.py DIR

Points are measured, with their range over the rounds. Lines are what the count of operations predicts from
the point at the reference size of the study. Needs matplotlib.
"""
import csv
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "hetmm"  # The same tables give the same bytes.
import matplotlib.pyplot as plt

# By study: what x and y are, and the reference size: the default's, or the nearest that was measured.
STUDIES = {"sheets": ("sheets", "ms a picture", 60), "size": ("side of the input, pixels", "ms a picture", 256),
           "channels": ("channels", "ns a pair of template and query pixel", 240),
           "pictures": ("good pictures to build from", "s a build", 762)}
LOOKS = {1: ("o", "-"), 2: ("s", "--")}


def read(path):
    """Rows of a table by (stage, threads), in rising order of x."""
    series = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            point = {key: float(row[key]) for key in ("x", "value", "least", "most", "operations")}
            series.setdefault((row["stage"], int(row["threads"])), []).append(point)
    return {key: sorted(points, key=lambda point: point["x"]) for key, points in series.items()}


def draw_series(axis, points, reference, label, colour, look):
    """One stage with one number of threads."""
    marker, line = look
    sizes = [point["x"] for point in points]
    values = [point["value"] for point in points]
    at = min(points, key=lambda point: abs(point["x"] - reference))
    rate = at["value"] / at["operations"]
    spread = [[p["value"] - p["least"] for p in points], [p["most"] - p["value"] for p in points]]
    axis.errorbar(sizes, values, spread, fmt=marker, color=colour, markersize=5, label=label,
                  markerfacecolor=colour if marker == "o" else "none")
    axis.plot(sizes, [rate * point["operations"] for point in points], line, color=colour, linewidth=1)


def draw_study(axis, name, series):
    """One table."""
    x, y, reference = STUDIES[name]
    stages = list(dict.fromkeys(stage for stage, _ in series))
    for (stage, threads), points in sorted(series.items(), key=lambda one: (one[0][1], stages.index(one[0][0]))):
        label = f"{stage}, {threads} thread{'s' if threads > 1 else ''}"
        draw_series(axis, points, reference, label, f"C{stages.index(stage)}", LOOKS.get(threads, ("^", ":")))
    sizes = sorted({point["x"] for points in series.values() for point in points})
    axis.set(xscale="log", yscale="log", xlabel=x, ylabel=y)
    axis.set_xticks(sizes, [f"{size:g}" for size in sizes])
    axis.minorticks_off()
    axis.yaxis.set_major_formatter("{x:g}")
    axis.grid(alpha=0.3)
    axis.legend(fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)


def draw(folder):
    """All tables that are there, beside each other."""
    tables = [(name, folder / f"{name}.tsv") for name in STUDIES if (folder / f"{name}.tsv").exists()]
    if not tables:
        sys.exit(f"error: there is no table in {folder}: run benches/scaling/run.sh first")
    figure, axes = plt.subplots((len(tables) + 1) // 2, min(2, len(tables)), squeeze=False, layout="constrained",
                                figsize=(5.5 * min(2, len(tables)), 4 * ((len(tables) + 1) // 2)))
    for axis in axes.flat[len(tables):]:
        axis.set_visible(False)
    for axis, (name, path) in zip(axes.flat, tables):
        draw_study(axis, name, read(path))
    figure.suptitle("points: measured; lines: predicted by the count of operations", fontsize="medium")
    figure.savefig(folder / "scaling.svg", metadata={"Date": None})


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
