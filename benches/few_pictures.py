#!/usr/bin/env python3
"""What a template from few good pictures finds, set by set.

    few_pictures.py HETMM DATA [SET ...] [--pictures N] [--draw 0|1] [--most M] [--out F.json] [-- build options]

DATA holds data sets in MVTec layout, a folder each; all of them are taken, or the SETs named. Every set gets a template
from N of its good pictures: draw 0 takes the first ones by name, draw 1 takes them evenly from all. Sets with fewer are
built from all that they have. At most M good and M defective test pictures are inspected, evenly taken; all by default.

Prints for every set: image AUROC; caught@5, the share of defective pictures above the score that 5 % of the good test
pictures exceed; seconds of the build; and what the build says of turned copies. Last line: the means.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


def run(*command):
    return subprocess.run(command, capture_output=True, text=True)


def pictures_in(folder):
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.lower().endswith(PICTURES)]


def evenly(pictures, most):
    if not most or len(pictures) <= most:
        return pictures
    return [pictures[i * len(pictures) // most] for i in range(most)]


def quantile(values, share):
    values = sorted(values)
    at = share * (len(values) - 1)
    low = int(at)
    return values[low] + (at - low) * (values[min(low + 1, len(values) - 1)] - values[low])


def scores(hetmm, template, pictures):
    lines = run(hetmm, "inspect", template, *pictures, "--json").stdout.splitlines()
    return [json.loads(line)["score"] for line in lines]


def measure(hetmm, folder, args, options):
    good = pictures_in(f"{folder}/train/good")
    chosen = good[: args.pictures] if args.draw == 0 else evenly(good, args.pictures)
    with tempfile.TemporaryDirectory() as scratch:
        template = f"{scratch}/t.hetmm"
        started = time.time()
        built = run(hetmm, "build", *chosen, "-o", template, *options)
        seconds = time.time() - started
        if built.returncode:
            return {"failed": built.stderr.strip()}
        kinds = sorted(os.listdir(f"{folder}/test"))
        bad = [p for kind in kinds if kind != "good" for p in pictures_in(f"{folder}/test/{kind}")]
        good = scores(hetmm, template, evenly(pictures_in(f"{folder}/test/good"), args.most))
        bad = scores(hetmm, template, evenly(bad, args.most))
    bar = quantile(good, 0.95)
    said = [line for line in built.stderr.splitlines() if "turn" in line and line.startswith("note")]
    return {
        "pictures": len(chosen),
        "auroc": sum((b > g) + 0.5 * (b == g) for b in bad for g in good) / (len(good) * len(bad)),
        "caught5": sum(b > bar for b in bad) / len(bad),
        "build_s": seconds,
        "said": said[0].removeprefix("note: ") if said else "",
    }


def main():
    arguments = sys.argv[1:]
    at = arguments.index("--") if "--" in arguments else len(arguments)
    options = arguments[at + 1 :]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hetmm")
    parser.add_argument("data")
    parser.add_argument("sets", nargs="*")
    parser.add_argument("--pictures", type=int, default=10)
    parser.add_argument("--draw", type=int, choices=[0, 1], default=0)
    parser.add_argument("--most", type=int)
    parser.add_argument("--out")
    args = parser.parse_args(arguments[:at])
    names = args.sets or sorted(n for n in os.listdir(args.data) if os.path.isdir(f"{args.data}/{n}/train/good"))
    rows = {}
    for name in names:
        row = measure(args.hetmm, f"{args.data}/{name}", args, options)
        rows[name] = row
        if "failed" in row:
            print(f"{name:20} failed: {row['failed']}", flush=True)
            continue
        print(
            f"{name:20} {row['pictures']:4} pictures  AUROC {100 * row['auroc']:5.1f}  "
            f"caught@5 {100 * row['caught5']:5.1f}  build {row['build_s']:5.1f} s  {row['said']}",
            flush=True,
        )
    done = [row for row in rows.values() if "auroc" in row]
    mean = {key: sum(row[key] for row in done) / max(1, len(done)) for key in ("auroc", "caught5", "build_s")}
    print(
        f"{'mean of ' + str(len(done)):20} {'':13} AUROC {100 * mean['auroc']:5.1f}  "
        f"caught@5 {100 * mean['caught5']:5.1f}  build {mean['build_s']:5.1f} s"
    )
    if args.out:
        with open(args.out, "w") as file:
            json.dump({"options": options, "sets": rows, "mean": mean}, file, indent=1)


main()
