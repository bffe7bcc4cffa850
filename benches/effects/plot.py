#!/usr/bin/env python3
"""Draws and prints the tables of this folder's studies: DIR/learning.svg, and Markdown on stdout.

    PYTHONPATH=benches/common benches/effects/plot.py DIR

Needs matplotlib.
"""
import sys
from pathlib import Path
from statistics import mean, stdev

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "hetmm"  # The same tables give the same bytes.
import matplotlib.pyplot as plt

from studies import SETS, read

NAMES = {"mtd": "Magnetic Tile Defects", "mvtec_bottle": "MVTec bottle", "mvtec_screw": "MVTec screw",
         "loco_juice_bottle": "LOCO juice bottle, logical"}
SCENARIOS = {"first": "from 30 of one lighting", "half": "from half", "light": "without one lighting"}


def sample_efficiency(axis, rows):
    """Image AUROC against the number of pictures, mean and standard deviation over the draws."""
    counts = sorted({int(r["pictures"]) for r in rows})
    print(f"| image AUROC, % | {' | '.join(map(str, counts))} |\n| --- |{' ---: |' * len(counts)}")
    for name in SETS:
        by_count = [[100 * float(r["image_auroc"]) for r in rows if r["set"] == name and int(r["pictures"]) == n]
                    for n in counts]
        means, spreads = [mean(v) for v in by_count], [stdev(v) for v in by_count]
        print(f"| {NAMES[name]} | {' | '.join(f'{m:.1f} ± {s:.1f}' for m, s in zip(means, spreads))} |")
        axis.errorbar(counts, means, spreads, marker="o", markersize=4, capsize=2, label=NAMES[name])
    axis.set(title="good pictures to build from", xlabel="pictures", ylabel="image AUROC, %", xscale="log")
    axis.set_xticks(counts, map(str, counts))
    axis.minorticks_off()
    axis.legend(fontsize="small")


def incremental(axis, rows):
    """False rejects and missed defects against inserted pictures."""
    print("\n| scenario | inserted | false rejects | missed | image AUROC, % | MB | s a picture |\n"
          "| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for scenario, inserted in dict.fromkeys((r["scenario"], r["inserted"]) for r in rows):
        of = [r for r in rows if (r["scenario"], r["inserted"]) == (scenario, inserted)]

        def average(key, digits=0):
            return f"{mean(float(r[key]) for r in of):.{digits if len(of) == 1 else max(1, digits)}f}"

        took = "" if "nan" in of[0]["seconds_a_picture"] else average("seconds_a_picture", 2)
        draws = "" if len(of) == 1 else f" ({len(of)} draws)"
        print(f"| {scenario}{draws} | {inserted} | {average('false_rejects')} of {of[0]['good']} | "
              f"{average('missed')} of {of[0]['defective']} | "
              f"{100 * mean(float(r['image_auroc']) for r in of):.2f} | {average('megabytes', 1)} | {took} |")
    reference = next(r for r in rows if r["scenario"] == "reference")
    for colour, (scenario, words) in zip(("C0", "C1", "C2"), SCENARIOS.items()):
        points = [r for r in rows if r["scenario"] == scenario]
        x = [int(r["inserted"]) for r in points]
        for key, of, line, what in (("false_rejects", "good", "o-", "good rejected"), ("missed", "defective", "s--", "defects missed")):
            axis.plot(x, [100 * int(r[key]) / int(r[of]) for r in points], line, color=colour, markersize=4,
                      label=f"{words}: {what}")
    for key, of, line in (("false_rejects", "good", "-"), ("missed", "defective", "--")):
        axis.axhline(100 * int(reference[key]) / int(reference[of]), linestyle=line, color="grey", linewidth=1,
                     label="built from all" if line == "-" else None)
    axis.set(title="good pictures inserted one after the other", xlabel="inserted", ylabel="parts, %")
    axis.set_xscale("symlog", linthresh=1)
    axis.set_xticks([0, 1, 10, 100], ["0", "1", "10", "100"])
    axis.set_xlim(-0.2, 1.3 * max(int(r["inserted"]) for r in rows))
    axis.legend(fontsize="small")


def false_rejects(axis, rows):
    """Rejects of held-out good parts, split by split, with the range that was promised."""
    print("\n| set | threshold from | asked | measured | splits inside the promised range |\n"
          "| --- | --- | ---: | ---: | ---: |")
    keys = list(dict.fromkeys((r["set"], r["way"]) for r in rows))
    for place, (name, way) in enumerate(sorted(keys)):
        of = [r for r in rows if (r["set"], r["way"]) == (name, way)]
        rejected, held_out = (sum(int(r[k]) for r in of) for k in ("rejected", "held_out"))
        print(f"| {NAMES[name]} | {way} | {of[0]['rate']} | {100 * rejected / held_out:.2f} % ({rejected} of {held_out}) | "
              f"{sum(int(r['inside']) for r in of)} of {len(of)} |")
        for i, r in enumerate(of):
            x = place + (i - len(of) / 2) * 0.035
            part = 100 / int(r["held_out"])
            axis.plot([x, x], [int(r["low"]) * part, int(r["high"]) * part], color="lightgrey", linewidth=3)
            axis.plot([x], [int(r["rejected"]) * part], "o", color="C0" if int(r["inside"]) else "C3", markersize=3)
    axis.axhline(1, color="grey", linewidth=1)
    axis.set_xticks(range(len(keys)), [f"{NAMES[n].split()[-1]}, {w}" for n, w in sorted(keys)], fontsize="small")
    axis.set(title="asked for 1 %: measured on held-out good parts", ylabel="good parts rejected, %")


STUDIES = {"sample_efficiency": sample_efficiency, "incremental": incremental, "false_rejects": false_rejects}


def main():
    folder = Path(sys.argv[1])
    figure, axes = plt.subplots(1, len(STUDIES), figsize=(17, 4.6), layout="constrained")
    for axis, (name, draw) in zip(axes, STUDIES.items()):
        draw(axis, read(folder / f"{name}.tsv"))
        axis.grid(alpha=0.3)
    figure.savefig(folder / "learning.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
