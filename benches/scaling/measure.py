#!/usr/bin/env python3
"""Measures cost against size, study by study. See run.sh, which starts it.

Each study writes a table DIR/STUDY.tsv: `x`, the size; `threads`; `stage`; `value`, the median over the rounds,
with `least` and `most`; its `unit`; and `operations`, what the computation counts for that row, or 0 where
nothing is counted. plot.py draws them.

Where only inspecting is studied, templates keep every feature of as many pictures as they have sheets
(`--sheets all`): what a picture costs depends on the number of sheets, not on how they were chosen, and nothing
has to be selected. Where there are fewer good pictures than a study needs, they are repeated with noise.
"""
import argparse
import csv
import sys
import tempfile
from pathlib import Path

import builds
import folder
import lists
import machine
import pictures
import plot
import priority
import program
from rounds import Measured, in_turns
from rows import COLUMNS, row

SHEETS = (10, 20, 40, 60, 120, 240, 480, 762)
SIZES = (256, 320, 384, 448, 512)
TAPS = ("block4.proj", "block8.proj", "block2.exp", "block4.exp", "block7.exp", "block10.exp", "block15.exp")
DEFAULT_SHEETS = 60
# One layer at its own positions, windows of 3, and nothing else.
ONE_LAYER = ("--position-free", "none", "--patches", 3)
# What would only make the build longer is left out. The threshold is above every score, so a picture costs what a good
# part costs: nothing is outlined.
QUICK = ("--sheets", "all", "--rotations", "none", "--no-audit", "--threshold", 1000)
# Otherwise the input has the shape of the pictures, and that depends on how many of them are taken.
SQUARE = ("--size", 256)
BENCH_RUNS = 20
STAGES = ("backbone", "matching", "scoring")


def bench_in_turns(templates, args):
    """Results of `hetmm bench`, one a round, by (size, threads), for templates by size."""
    prefix = priority.realtime(args.realtime)
    return in_turns({(x, threads): lambda t=template, n=threads: program.bench(t, n, BENCH_RUNS, prefix)
                     for x, template in templates.items() for threads in args.threads}, args.rounds)


def of_stage(results, stage):
    """Median, least and most of the rounds, in milliseconds."""
    return Measured.of([result["stages"][stage]["p50"] for result in results])


def sheets(good, work, args):
    """Matching against the number of sheets. The patches of the position-free layers stay as many."""
    templates = {}
    for count in SHEETS:
        templates[count] = work / f"{count}.hetmm"
        program.build(pictures.exactly(count, good, work / "copies"), templates[count], *QUICK, *SQUARE)
    for (count, threads), results in bench_in_turns(templates, args).items():
        yield row(count, threads, "matching", of_stage(results, "matching"), "ms", results[0]["multiply_adds"])


def scoring_operations(size, info):
    """What scoring computes: a pixel takes four products and two roots of every layer, for upsampling and the
    root mean, and one product for each distance from 0 to 4 sigma, twice, for the blur."""
    radius = int(4 * info["sigma"] + 0.5)
    return size * size * (6 * len(info["layers"]) + 2 * (radius + 1))


def size(good, work, args):
    """Backbone, matching and scoring against the input size."""
    few = pictures.exactly(DEFAULT_SHEETS, good, work / "copies")
    templates = {pixels: work / f"{pixels}.hetmm" for pixels in SIZES}
    for pixels, template in templates.items():
        program.build(few, template, *QUICK, "--size", pixels)
    for (pixels, threads), results in bench_in_turns(templates, args).items():
        operations = {"backbone": builds.BACKBONE_MULTIPLY_ADDS * (pixels / 256) ** 2,
                      "matching": results[0]["multiply_adds"],
                      "scoring": scoring_operations(pixels, program.info(templates[pixels]))}
        for stage in STAGES:
            yield row(pixels, threads, stage, of_stage(results, stage), "ms", operations[stage])


def channels(good, work, args):
    """Matching against the number of channels: templates of one positional layer, windows of 3. Layers differ in
    their size, too, so the value is per pair of a template pixel and a query pixel in its window."""
    few = pictures.exactly(DEFAULT_SHEETS, good, work / "copies")
    templates = {tap: work / f"{tap}.hetmm" for tap in TAPS}
    for tap, template in templates.items():
        program.build(few, template, *QUICK, *SQUARE, "--layers", tap, *ONE_LAYER)
    for (tap, threads), results in bench_in_turns(templates, args).items():
        count = program.info(templates[tap])["layers"][0]["channels"]
        pairs = results[0]["multiply_adds"] / (DEFAULT_SHEETS * count)
        yield row(count, threads, "matching", of_stage(results, "matching").scaled(1e6 / pairs), "ns a pair",
                  DEFAULT_SHEETS * count)


STUDIES = {"sheets": sheets, "size": size, "channels": channels, "pictures": builds.times, "memory": builds.memory,
           "folder": folder.inspect}


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(prog="run.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA", help="a data set with good pictures in train/good")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for tables and plot")
    parser.add_argument("--only", metavar="NAME,..", type=lists.names_of(STUDIES), default=list(STUDIES),
                        help=f"of {', '.join(STUDIES)}")
    parser.add_argument("--threads", metavar="N,..", type=lists.numbers, default=[1, 2],
                        help="numbers of threads [1,2]")
    parser.add_argument("--rounds", type=int, default=3, help="rounds over all sizes of a study [3]; builds: 1")
    parser.add_argument("--pictures", metavar="N,..", type=lists.numbers, default=builds.PICTURES,
                        help=f"numbers of good pictures to build from [{','.join(map(str, builds.PICTURES))}]")
    parser.add_argument("--budget", type=float, default=600, metavar="SECONDS",
                        help="for the builds of the study of pictures [600]")
    parser.add_argument("--max-memory", default="1G", metavar="BYTES",
                        help="memory for features in the study of memory, as hetmm build takes it [1G]")
    parser.add_argument("--folder", type=int, default=10_000, metavar="N",
                        help="pictures to inspect in the study of a folder [10000]")
    priority.add_option(parser)
    return parser.parse_args()


def write(path, rows):
    """Writes a table as its rows come, so that nothing is lost if it is stopped."""
    with open(path, "w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, delimiter="\t", lineterminator="\n")
        table.writeheader()
        for line in rows:
            table.writerow(line)
            file.flush()


def main():
    """Runs the studies, then draws."""
    args = arguments()
    program.path()
    args.out.mkdir(parents=True, exist_ok=True)
    for study in args.only:
        print(f"measuring {study} ..", file=sys.stderr)
        load_before = machine.load()
        with tempfile.TemporaryDirectory() as work:
            good = pictures.good(args.data)
            write(args.out / f"{study}.tsv", STUDIES[study](good, Path(work), args))
        (args.out / f"{study}.txt").write_text(
            f"{machine.describe()}\n{program.version()}\n{len(good)} good pictures of {args.data.name}\n"
            f"load average before and after: {load_before}; {machine.load()}\n")
    plot.draw(args.out)


if __name__ == "__main__":
    main()
