#!/usr/bin/env python3
"""The false-reject rate asked for against the one measured on good parts that nothing has seen, over random splits.

    PYTHONPATH=benches/common benches/effects/false_rejects.py DATA --out DIR [--rate 1%] [--splits 20]

Good pictures of train and test are shuffled together and dealt anew for every split. Two ways to a
threshold are tried on the same split:

    folds      hetmm build A --false-reject RATE            held out: C
    fresh      hetmm build A1; hetmm calibrate --images A2  held out: C

A row has the rejects among the held-out parts, the range that the threshold's order statistic promises
for that many (95 %, beta-binomial), and whether they lie in it. The table is DIR/false_rejects.tsv; a run that
was cut off goes on where it was.
"""
import argparse
import tempfile
from math import exp, lgamma
from pathlib import Path

import lists
import program
from studies import SETS, Table, good, scores, shuffled

HELD_OUT = {"mtd": 190, "mvtec_screw": 100}


def promised(rank, count, parts, confidence=0.95):
    """Between which numbers of rejects `parts` further good parts stay, for the `rank`-th largest of `count`
    scores as threshold: the central part of the beta-binomial distribution."""
    a, b, tail = rank, count + 1 - rank, (1 - confidence) / 2
    beta = lambda x, y: lgamma(x) + lgamma(y) - lgamma(x + y)
    below, low, high = 0.0, 0, parts
    for rejects in range(parts + 1):
        ways = lgamma(parts + 1) - lgamma(rejects + 1) - lgamma(parts - rejects + 1)
        up_to = below + exp(ways + beta(rejects + a, parts - rejects + b) - beta(a, b))
        if below <= tail < up_to:
            low = rejects
        if up_to >= 1 - tail:
            high = rejects
            break
        below = up_to
    return low, high


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", type=lists.names_of(SETS), default=list(HELD_OUT))
    parser.add_argument("--ways", type=lists.names_of(("folds", "fresh")), default=["fresh", "folds"])
    parser.add_argument("--rate", default="1%")
    parser.add_argument("--splits", type=int, default=20)
    args = parser.parse_args()
    table = Table(args.out / "false_rejects.tsv", ("set", "way", "rate", "split"),
                  ("scores", "rank", "threshold", "held_out", "rejected", "low", "high", "inside"))
    with tempfile.TemporaryDirectory() as work:
        template = Path(work) / "t.hetmm"
        for split in range(args.splits):
            for name in args.sets:
                found = good(args.data / name / "train/good") + good(args.data / name / "test/good")
                order = shuffled(found, name, "split", split)
                held_out = order[:HELD_OUT.get(name, len(order) // 4)]
                rest = order[len(held_out):]
                for way in args.ways:
                    if table.has(name, way, args.rate, split):
                        continue
                    if way == "folds":
                        program.run("--quiet", "build", *rest, "-o", template, "--false-reject", args.rate)
                    else:
                        half = len(rest) // 2
                        program.run("--quiet", "build", *rest[:half], "-o", template)
                        program.run("--quiet", "calibrate", template, "--images", *rest[half:],
                                    "--false-reject", args.rate)
                    told = program.info(template)["calibration"]
                    threshold, count = told["threshold"], told["decision"]["pictures"]
                    rank = told["decision"]["rank"]
                    rejected = sum(score > threshold for score in scores(template, held_out).values())
                    low, high = promised(rank, count, len(held_out))
                    table.add({"set": name, "way": way, "rate": args.rate, "split": split, "scores": count,
                               "rank": rank, "threshold": threshold, "held_out": len(held_out),
                               "rejected": rejected, "low": low, "high": high,
                               "inside": int(low <= rejected <= high)})


if __name__ == "__main__":
    main()
