#!/usr/bin/env python3
"""Draws the table of benches/selection_rules.sh.  Usage: plot_selection.py TABLE.tsv PLOT.svg

Needs matplotlib.
"""
import csv
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "hetmm"  # The same table gives the same bytes.
import matplotlib.pyplot as plt

rows = list(csv.DictReader(open(sys.argv[1]), delimiter="\t"))
sets = list(dict.fromkeys(row["set"] for row in rows))
figure, axes = plt.subplots(1, len(sets), figsize=(5 * len(sets), 4), layout="constrained", squeeze=False)
for axis, name in zip(axes[0], sets):
    for rule in dict.fromkeys(row["rule"] for row in rows):
        points = [(int(r["sheets"]), 100 * float(r["image_auroc"])) for r in rows
                  if r["set"] == name and r["rule"] == rule]
        axis.plot(*zip(*points), marker="o", label=rule)
    axis.set(title=name, xlabel="sheets", ylabel="image AUROC, %")
    axis.grid(alpha=0.3)
axes[0][-1].legend()
figure.savefig(sys.argv[2], metadata={"Date": None})
