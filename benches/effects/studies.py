"""What the studies of this folder share: data sets, random draws, tables that grow row by row."""
import csv
import json
import random
import sys
import tempfile
from pathlib import Path

import pictures
import program

SETS = ("mtd", "mvtec_bottle", "mvtec_screw", "loco_juice_bottle")


def good(folder):
    """Pictures of a folder, by name."""
    found = sorted(p for p in Path(folder).glob("*") if p.suffix.lower() in pictures.KINDS)
    if not found:
        sys.exit(f"error: there are no pictures in {folder}")
    return found


def shuffled(found, *seed):
    """The pictures in an order that hangs on the seed alone."""
    order = list(found)
    random.Random("/".join(map(str, seed))).shuffle(order)
    return order


def evaluate(template, dataset):
    """What `hetmm eval --json` says."""
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures.json"
        program.run("--quiet", "eval", template, dataset, "--json", figures)
        return json.loads(figures.read_text())


def scores(template, found):
    """Score of every picture, by path."""
    lines = program.run("--quiet", "inspect", template, *found, "--json")[0].splitlines()
    return {row["image"]: row["score"] for row in map(json.loads, lines)}


class Table:
    """A TSV file that is added to, row by row; rows that are there are not computed again."""

    def __init__(self, path, keys, values):
        self.path, self.keys, self.columns = Path(path), keys, [*keys, *values]
        self.done = set()
        if self.path.exists():
            with self.path.open() as file:
                self.done = {tuple(row[k] for k in keys) for row in csv.DictReader(file, delimiter="\t")}
        else:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text("\t".join(self.columns) + "\n")

    def has(self, *key):
        """Whether a row is there."""
        return tuple(map(str, key)) in self.done

    def add(self, row):
        """Appends a row and shows it."""
        cells = ["" if row[c] is None else f"{row[c]:.6g}" if isinstance(row[c], float) else str(row[c])
                 for c in self.columns]
        with self.path.open("a") as file:
            file.write("\t".join(cells) + "\n")
        self.done.add(tuple(str(row[k]) for k in self.keys))
        print("  ".join(cells), flush=True)


def read(path):
    """Rows of a table."""
    with Path(path).open() as file:
        return list(csv.DictReader(file, delimiter="\t"))
