#!/usr/bin/env python3
"""How many good pictures it takes: templates from 1 to 50 pictures, ten random draws each (the paper's Fig. 8).

    PYTHONPATH=benches/common benches/effects/sample_efficiency.py DATA --out DIR

DATA holds one folder a set, in MVTec layout; HETMM names the program. The table is
DIR/sample_efficiency.tsv; a run that was cut off goes on where it was. plot.py draws it.
"""
import argparse
import tempfile
from pathlib import Path

import lists
import program
from studies import SETS, Table, evaluate, good, shuffled

COUNTS = (1, 2, 5, 10, 20, 30, 50)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", type=lists.names_of(SETS), default=list(SETS))
    parser.add_argument("--counts", type=lists.numbers, default=list(COUNTS))
    parser.add_argument("--draws", type=int, default=10)
    args = parser.parse_args()
    table = Table(args.out / "sample_efficiency.tsv", ("set", "pictures", "draw"),
                  ("image_auroc", "pixel_auroc", "aupro30"))
    with tempfile.TemporaryDirectory() as work:
        template = Path(work) / "t.hetmm"
        for draw in range(args.draws):
            for name in args.sets:
                for count in args.counts:
                    if table.has(name, count, draw):
                        continue
                    drawn = shuffled(good(args.data / name / "train/good"), name, count, draw)[:count]
                    # One picture leaves nothing to set a threshold by; AUROC asks for none.
                    program.run("--quiet", "build", *drawn, "-o", template, "--threshold", "1")
                    figures = evaluate(template, args.data / name)
                    table.add({"set": name, "pictures": count, "draw": draw} |
                              {k: figures[k] for k in ("image_auroc", "pixel_auroc", "aupro30")})


if __name__ == "__main__":
    main()
