"""What a build costs against the number of good pictures: its time by stage, and its memory."""
import re
import sys

import pictures
import program
import watch
from rounds import Measured
from rows import row

PICTURES = [100, 200, 400, 762, 1500, 3000]
# A build states its memory only for an input that is clearly larger than usual. This is the smallest such one.
STATED_FROM_SIZE = 288
# The audit runs, but does not refuse pictures that are repeated with noise.
KEEP = "--keep-suspects"
STATED = re.compile(r"the build up to ([\d.]+) GB of memory")
# Of the bundled backbone at 256 x 256, up to the default's last tap; see models/README.md.
BACKBONE_MULTIPLY_ADDS = 452e6


def seconds_ahead(times, growth):
    """What a build of `growth` times as many pictures will take at most: as if all but the features grew with
    the square."""
    return growth * times["features"] + growth ** 2 * (sum(times.values()) - times["features"])


def times(good, work, args):
    """Seconds of every stage of a build with the default's settings. What would go beyond the budget of time is
    left out."""
    template = work / "built.hetmm"
    spent, before = 0, {}
    for count in args.pictures:
        some = pictures.exactly(count, good, work / "copies")
        for threads in sorted(args.threads, reverse=True):
            ahead = seconds_ahead(before[threads][1], count / before[threads][0]) if threads in before else 0
            if spent + ahead > args.budget:
                print(f"left out: {count} pictures with --threads {threads} would take up to {ahead:.0f} s "
                      f"(--budget {args.budget:g})", file=sys.stderr)
                continue
            found = program.build(some, template, KEEP, threads=threads)
            before[threads] = (count, found)
            spent += sum(found.values())
            counted = operations(count, template)
            for stage, seconds in found.items():
                if seconds > 0:
                    yield row(count, threads, stage, Measured.of([seconds]), "s", counted.get(stage, 0))


def operations(count, template):
    """Multiply-adds of the stages of a build from `count` pictures: the backbone for each; half of all products
    of the vectors at every pixel; matching for each. Nothing is counted for the other stages."""
    layers = [layer for layer in program.info(template)["layers"] if not layer["position_free"]]
    values = sum(layer["height"] * layer["width"] * layer["channels"] for layer in layers)
    matching = count * program.bench(template, 1, 1)["multiply_adds"]
    return {"features": count * BACKBONE_MULTIPLY_ADDS, "selection": count * (count + 1) / 2 * values,
            "leave-one-out": matching}


def memory(good, work, args):
    """The largest memory of a build in megabytes, and what the build says beforehand. `resident` counts the pages
    of the scratch file that are mapped at the moment, which the system can take away; `anonymous` does not."""
    template, threads = work / "built.hetmm", max(args.threads)
    for count in args.pictures:
        some = pictures.exactly(count, good, work / "copies")
        built = watch.command(program.path(), "build", *some, "-o", template, KEEP, "--size", STATED_FROM_SIZE,
                              "--max-memory", args.max_memory, "--threads", threads)
        stated = STATED.search(built.messages)
        if not stated:
            sys.exit(f"error: {program.path()} build does not state its memory: it is another version than this script")
        found = {"stated by the build": 1e9 * float(stated[1]), "resident": built.peak,
                 "anonymous": built.peak_anonymous}
        for stage, size in found.items():
            yield row(count, threads, stage, Measured.of([size / 1e6]), "MB", 0)
