#!/usr/bin/env python3
"""How many planted wrong pictures the audit lists first.

    PYTHONPATH=benches/common benches/effects/audit.py DATA --out DIR

Every draw takes 200 good pictures of a set and plants 20 among them: 8 defects of its test pictures, 6 good parts of
another set, and 6 of its own good pictures, which are none of the 200, blurred (Gaussian of 3 to 4 pixels). Rows
are the planted ones of each kind among the first 25 of the ranking, and the suspects in the same 200 pictures with
nothing planted. The table is DIR/audit.tsv; a run that was cut off goes on where it was.
"""
import argparse
import json
import random
import shutil
import tempfile
from pathlib import Path

from PIL import Image, ImageFilter

import lists
import program
from studies import SETS, Table, good, shuffled

GOOD, DEFECTS, OTHERS, BLURRED = 200, 8, 6, 6
FIRST = 25


def plant(data, name, draw, folder):
    """Fills `folder` with a draw; the planted files by kind."""
    seed = ("audit", name, draw)
    order = shuffled(good(data / name / "train/good"), *seed)
    defects = [p for kind in sorted((data / name / "test").iterdir()) if kind.name != "good" for p in good(kind)]
    rest = [other for other in SETS if other != name]
    other = random.Random("/".join(map(str, (*seed, "other")))).choice(rest)
    for picture in order[:GOOD]:
        shutil.copy(picture, folder / f"good-{picture.name}")
    kinds = {"defects": shuffled(defects, *seed)[:DEFECTS],
             "others": shuffled(good(data / other / "train/good"), *seed)[:OTHERS],
             "blurred": order[GOOD:GOOD + BLURRED]}
    for kind, found in kinds.items():
        for i, picture in enumerate(found):
            to = folder / f"{kind}-{i}{picture.suffix}"
            if kind == "blurred":
                radius = 3 + i / (BLURRED - 1)
                Image.open(picture).convert("RGB").filter(ImageFilter.GaussianBlur(radius)).save(to, quality=95)
            else:
                shutil.copy(picture, to)
    return {kind: len(found) for kind, found in kinds.items()}


def audit(folder, *options):
    """The ranking, as `hetmm audit --json` has it."""
    return [json.loads(line) for line in program.run("--quiet", "audit", folder, "--json", *options)[0].splitlines()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", type=lists.names_of(SETS), default=list(SETS))
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--clean", type=int, default=3, help="draws with nothing planted")
    parser.add_argument("options", nargs="*", help="passed on to hetmm audit, after --")
    args = parser.parse_intermixed_args()
    table = Table(args.out / "audit.tsv", ("set", "draw"),
                  ("first", "defects", "others", "blurred", "planted", "suspects", "clean_suspects"))
    for draw in range(args.draws):
        for name in args.sets:
            if table.has(name, draw):
                continue
            with tempfile.TemporaryDirectory() as folder:
                folder = Path(folder)
                planted = plant(args.data, name, draw, folder)
                ranking = audit(folder, *args.options)
                first = [Path(row["image"]).name.split("-")[0] for row in ranking[:FIRST]]
                found = {kind: first.count(kind) for kind in planted}
                clean = None
                if draw < args.clean:
                    for kind in planted:
                        for picture in folder.glob(f"{kind}-*"):
                            picture.unlink()
                    clean = sum(row["suspect"] for row in audit(folder, *args.options))
                table.add({"set": name, "draw": draw, "first": sum(found.values()), **found,
                           "planted": sum(planted.values()), "suspects": sum(row["suspect"] for row in ranking),
                           "clean_suspects": clean})


if __name__ == "__main__":
    main()
