#!/usr/bin/env python3
"""What inserting good pictures one after the other does: false rejects and missed defects on the way from a
template that lacks some of the good parts to one that has learned them.

    PYTHONPATH=benches/common benches/effects/incremental.py DATA/mtd --out DIR

Scenarios, each with a threshold for the asked rate of false rejects from its own pictures (folds):

    half        built from a random half of train/good, the other half inserted
    light       built without the pictures of one lighting (their names begin with --light), these inserted
    first       built from the first 30 pictures of another lighting (--first), the first ones of a new line; the
                rest of train/good inserted in random order
    full        built from all of train/good, 50 of test/good inserted; --draws random draws of these, without steps between
    reference   built from all of train/good at once

Rows are measured on test/good, less what was inserted, and on all defects: false rejects at the threshold
of the start, which inserting leaves alone; missed defects; image AUROC. At the end everything is undone and
the bytes are compared. The table is DIR/incremental.tsv.
"""
import argparse
import hashlib
import sys
import tempfile
import time
from pathlib import Path

import lists
import program
from studies import Table, good, scores, shuffled

SCENARIOS = ("reference", "half", "light", "first", "full")
STEPS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 400)


def auroc(good_scores, bad_scores):
    """Chance that a defect scores above a good part; ties count half."""
    ranked = sorted([(s, 0) for s in good_scores] + [(s, 1) for s in bad_scores])
    rank_sum, i = 0.0, 0
    while i < len(ranked):
        j = i
        while j < len(ranked) and ranked[j][0] == ranked[i][0]:
            j += 1
        rank_sum += (i + j + 1) / 2 * sum(bad for _, bad in ranked[i:j])
        i = j
    n, m = len(good_scores), len(bad_scores)
    return (rank_sum - m * (m + 1) / 2) / (n * m)


def digest(path):
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--light", default="exp6_")
    parser.add_argument("--first", default="exp1_")
    parser.add_argument("--most", type=int, default=200, help="pictures to insert at most")
    parser.add_argument("--rate", default="10%")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--scenarios", type=lists.names_of(SCENARIOS), default=list(SCENARIOS))
    parser.add_argument("options", nargs="*", help="passed on to hetmm insert, after --")
    args = parser.parse_intermixed_args()
    train, held_out = good(args.data / "train/good"), good(args.data / "test/good")
    bad = [p for kind in sorted((args.data / "test").iterdir()) if kind.name != "good" for p in good(kind)]
    half = shuffled(train, "half")
    of_light = [p for p in train if p.name.startswith(args.light)]
    first = [p for p in train if p.name.startswith(args.first)][:30]
    scenarios = {
        "reference": (train, [[]]),
        "half": (half[:len(half) // 2], [half[len(half) // 2:]]),
        "light": ([p for p in train if p not in of_light], [shuffled(of_light, "light")]),
        "first": (first, [shuffled([p for p in train if p not in first], "first")]),
        "full": (train, [shuffled(held_out, "full", draw)[:50] for draw in range(args.draws)]),
    }
    table = Table(args.out / "incremental.tsv", ("scenario", "draw", "inserted"),
                  ("threshold", "good", "false_rejects", "missed", "defective", "image_auroc", "megabytes",
                   "seconds_a_picture"))
    with tempfile.TemporaryDirectory() as work:
        template = Path(work) / "t.hetmm"
        for name in args.scenarios:
            start, draws = scenarios[name]
            program.run("--quiet", "build", *start, "-o", template, "--no-audit", "--false-reject", args.rate)
            for draw, more in enumerate(draws):
                study(table, template, (name, draw), more[:args.most], (held_out, bad), len(draws) == 1, args.options)


def study(table, template, key, more, test, steps, options):
    """Inserts `more` and measures on the way, then undoes everything."""
    (held_out, bad), before, done = test, digest(template), 0
    measured = [p for p in held_out if p not in more]
    stops = {0, len(more)} | ({s for s in STEPS if s < len(more)} if steps else set())
    for stop in sorted(stops):
        took = float("nan")
        if stop > done:
            began = time.monotonic()
            program.run("--quiet", "insert", template, *more[done:stop], "--force", *options)
            took, done = (time.monotonic() - began) / (stop - done), stop
        threshold = program.info(template)["calibration"]["threshold"]
        found = scores(template, measured + bad)
        of_good, of_bad = ([found[str(p)] for p in paths] for paths in (measured, bad))
        table.add({"scenario": key[0], "draw": key[1], "inserted": stop, "threshold": threshold,
                   "good": len(of_good), "false_rejects": sum(s > threshold for s in of_good),
                   "missed": sum(s <= threshold for s in of_bad), "defective": len(of_bad),
                   "image_auroc": auroc(of_good, of_bad), "megabytes": template.stat().st_size / 1e6,
                   "seconds_a_picture": took})
    if more:
        program.run("undo", template, 1)
        if digest(template) != before:
            sys.exit(f"error: {key}: undo did not restore the file")
        print(f"{key}: undo of {len(more)} restored the file byte for byte", flush=True)


if __name__ == "__main__":
    main()
