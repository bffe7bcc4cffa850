#!/usr/bin/env python3
"""Measures cost against size, study by study. See run.sh, which starts it.

Each study writes a table DIR/STUDY.tsv: `x`, the size; `threads`; `stage`; `value`, the median over the rounds,
with `least` and `most`; its `unit`; and `operations`, what the computation counts for that row. plot.py
draws them.

Where only inspecting is studied, templates keep every feature of as many pictures as they have sheets
(`--sheets all`): what a picture costs hangs on the number of sheets, not on how they were chosen, and nothing
has to be selected. Where there are fewer good pictures than a study needs, they are repeated with noise.
"""
import argparse
import csv
import sys
import tempfile
from pathlib import Path

import lists
import machine
import pictures
import plot
import program
from rounds import Measured, in_turns

SHEETS = (10, 20, 40, 60, 120, 240, 480, 762)
SIZES = (256, 320, 384, 448, 512)
TAPS = ("block4.proj", "block8.proj", "block2.exp", "block4.exp", "block7.exp", "block10.exp", "block15.exp")
PICTURES = (100, 200, 400, 762, 1500, 3000)
DEFAULT_SHEETS = 60
# Of the bundled backbone at 256 x 256, up to the default's last tap; see models/README.md.
BACKBONE_MULTIPLY_ADDS = 452e6
BENCH_RUNS = 20
STAGES = ("backbone", "matching", "scoring")


def row(x, threads, stage, measured, unit, operations):
    """One line of a table."""
    return {"x": x, "threads": threads, "stage": stage, "value": f"{measured.median:.4g}",
            "least": f"{measured.least:.4g}", "most": f"{measured.most:.4g}", "unit": unit,
            "operations": f"{operations:.6g}"}


def bench_in_turns(templates, args):
    """Results of `hetmm bench`, one a round, by (size, threads), for templates by size."""
    return in_turns({(x, threads): lambda t=template, n=threads: program.bench(t, n, BENCH_RUNS)
                     for x, template in templates.items() for threads in args.threads}, args.rounds)


def of_stage(results, stage):
    """Median, least and most of the rounds, in milliseconds."""
    return Measured.of([result["stages"][stage]["p50"] for result in results])


def sheets(good, work, args):
    """Matching against the number of sheets."""
    templates = {}
    for count in SHEETS:
        templates[count] = work / f"{count}.hetmm"
        program.build(pictures.exactly(count, good, work / "copies"), templates[count], "--sheets", "all")
    for (count, threads), results in bench_in_turns(templates, args).items():
        yield row(count, threads, "matching", of_stage(results, "matching"), "ms", results[0]["multiply_adds"])


def scoring_operations(size, layers):
    """What scoring computes: a pixel takes four products and two roots of every layer, for upsampling and the
    root mean, and one product for each distance from 0 to 4 sigma, twice, for the blur."""
    radius = int(4 * (4 * size / 256) + 0.5)
    return size * size * (6 * layers + 2 * (radius + 1))


def size(good, work, args):
    """Backbone, matching and scoring against the input size."""
    few = pictures.exactly(DEFAULT_SHEETS, good, work / "copies")
    templates = {pixels: work / f"{pixels}.hetmm" for pixels in SIZES}
    for pixels, template in templates.items():
        program.build(few, template, "--sheets", "all", "--size", pixels)
    layers = len(program.info(templates[SIZES[0]])["layers"])
    for (pixels, threads), results in bench_in_turns(templates, args).items():
        operations = {"backbone": BACKBONE_MULTIPLY_ADDS * (pixels / 256) ** 2,
                      "matching": results[0]["multiply_adds"],
                      "scoring": scoring_operations(pixels, layers)}
        for stage in STAGES:
            yield row(pixels, threads, stage, of_stage(results, stage), "ms", operations[stage])


def channels(good, work, args):
    """Matching against the number of channels: templates of one layer, windows of 3. Layers differ in their
    size, too, so the value is per pair of a template pixel and a query pixel in its window."""
    few = pictures.exactly(DEFAULT_SHEETS, good, work / "copies")
    templates = {tap: work / f"{tap}.hetmm" for tap in TAPS}
    for tap, template in templates.items():
        program.build(few, template, "--sheets", "all", "--layers", tap, "--patches", 3)
    for (tap, threads), results in bench_in_turns(templates, args).items():
        count = program.info(templates[tap])["layers"][0]["channels"]
        pairs = results[0]["multiply_adds"] / (DEFAULT_SHEETS * count)
        yield row(count, threads, "matching", of_stage(results, "matching").scaled(1e6 / pairs), "ns a pair",
                  DEFAULT_SHEETS * count)


def seconds_ahead(times, growth):
    """What a build of `growth` times as many pictures will take: selection grows with the square."""
    return growth * (times["features"] + times["leave-one-out"]) + growth ** 2 * times["selection"]


def build(good, work, args):
    """Features, selection and leave-one-out against the number of pictures, with the default's settings. What
    would go beyond the budget of time is left out."""
    template = work / "built.hetmm"
    spent, before = 0, {}
    for count in PICTURES:
        some = pictures.exactly(count, good, work / "copies")
        for threads in sorted(args.threads, reverse=True):
            ahead = seconds_ahead(before[threads][1], count / before[threads][0]) if threads in before else 0
            if spent + ahead > args.budget:
                print(f"left out: {count} pictures with --threads {threads} would take {ahead:.0f} s "
                      f"(--budget {args.budget})", file=sys.stderr)
                continue
            times = program.build(some, template, threads=threads)
            before[threads] = (count, times)
            spent += sum(times.values())
            operations = build_operations(count, template)
            for stage, seconds in times.items():
                yield row(count, threads, stage, Measured(seconds, seconds, seconds), "s", operations[stage])


def build_operations(count, template):
    """Multiply-adds of the stages of a build from `count` pictures: the backbone for each; half of all products
    of the vectors at every pixel; matching for each."""
    layers = program.info(template)["layers"]
    values = sum(layer["height"] * layer["width"] * layer["channels"] for layer in layers)
    return {"features": count * BACKBONE_MULTIPLY_ADDS, "selection": count * (count + 1) / 2 * values,
            "leave-one-out": count * program.bench(template, 1, 1)["multiply_adds"]}


STUDIES = {"sheets": sheets, "size": size, "channels": channels, "pictures": build}


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
    parser.add_argument("--budget", type=float, default=600, metavar="SECONDS",
                        help="for the builds of the study of pictures [600]")
    return parser.parse_args()


def write(path, rows):
    """Writes a table as its rows come, so that nothing is lost if it is stopped."""
    with open(path, "w", newline="") as file:
        table = csv.DictWriter(file, ("x", "threads", "stage", "value", "least", "most", "unit", "operations"),
                               delimiter="\t", lineterminator="\n")
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
            good = pictures.good(args.data, Path(work))
            write(args.out / f"{study}.tsv", STUDIES[study](good, Path(work), args))
        (args.out / f"{study}.txt").write_text(
            f"{machine.describe()}\n{program.version()}\n{len(good)} good pictures of {args.data.name}\n"
            f"load average before and after: {load_before}; {machine.load()}\n")
    plot.draw(args.out)


if __name__ == "__main__":
    main()
