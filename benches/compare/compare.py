#!/usr/bin/env python3
"""Measures this program beside others in one run and writes one table. See run.sh, which starts it."""
import argparse
import importlib
import logging
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import lists
import machine
import priority
import program
import table

STUDIES = ("matching", "selection", "backbone", "patchcore", "peers")
PACKAGES = ("numpy", "torch", "scikit-learn", "onnxruntime", "openvino", "anomalib")
# What is timed for one picture depends on the number of sheets, not on how they were chosen.
SHEETS = 60
# Test pictures that a process inspects in a round among the peers.
EACH_ROUND = 24
NOTES = {
    "": """\
Medians of {rounds} interleaved rounds (selection: of half as many), least and largest in brackets; in a
round each side is warm and gives the median of several runs. One picture at a time.
""",
    "matching": """\
- **matching**: all layers, both directions. NumPy and PyTorch work in single precision on random unit vectors
  of the same shapes (what they cost does not hang on values), arranged in two ways that agree to 1e-4; the
  quicker one counts. PyTorch runs eagerly.
""",
    "selection": """\
- **selection**: scikit-learn clusters only, at the middle pixel of every layer, weighted by the pixels of the
  layer; with more threads its rate is multiplied by their number, the most that processes side by side can
  reach. This program's time has products, OPTICS, medoids, hard-nominal prototypes, and writing.
""",
    "backbone": """\
- **backbone**: the bundled model, cut to the template's taps with `onnx.utils.extract_model`, its input size
  fixed. This program's time has normalising the picture and unit vectors, too.
""",
    "patchcore": """\
- **whole picture**: from 8-bit samples to the score against anomalib's PatchCore with its default settings
  (resized by its own transform; WideResNet-50, layers 2 and 3, 256 x 256, 9 neighbours, coreset of a tenth, from
  {patchcore_pictures} pictures), with random weights and a random memory bank: costs depend on sizes alone. Another
  method and another backbone: it shows what a user waits, not the same computation done faster.
""",
    "peers": """\
- **peers**: every program inspects in a process of its own, on one thread and one core{realtime}. A round is the
  median over {each_round} test pictures. The time runs from the decoded picture to the score. Memory is the largest of
  the process while it inspects, with its mapped files. AUROC is over {test} test pictures. Builds had all cores; they
  contain the start of the process and, for OpenVINO, the conversion. anomalib's models have their default settings but
  for the coreset and the backbone: EfficientNet-Lite0 with the weights of this program, taps `block3.proj`,
  `block5.exp` and `block9.proj`, the same input. All learned from {train} good pictures of each set.
- **backbone alone**: cut to the taps of the default. The time of this program contains normalising and unit vectors,
  its memory the whole template. The quantised model is ONNX Runtime's (QDQ), with ranges from good pictures.
""",
}


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(prog="run.sh", description=__doc__)
    parser.add_argument("data", nargs="*", type=Path, metavar="DATA",
                        help="data sets with good pictures in train/good; without any, the demo's parts. All studies "
                             "but peers take the first one alone")
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="write the table there, too")
    parser.add_argument("--only", metavar="NAME,..", type=lists.names_of(STUDIES), default=STUDIES,
                        help=f"of {', '.join(STUDIES)}")
    parser.add_argument("--threads", metavar="N,..", type=lists.numbers, default=[1, 2],
                        help="numbers of threads to compare with [1,2]")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds; half of them for selection [5]")
    parser.add_argument("--pictures", type=int, metavar="N",
                        help="good pictures to select from [those of DATA; 200 of the demo]")
    parser.add_argument("--patchcore-pictures", type=int, default=200, metavar="N",
                        help="good pictures that PatchCore's memory bank stands for [200]")
    parser.add_argument("--train", type=int, metavar="N",
                        help="good pictures of each set that the peers learn from, spread evenly [all]")
    parser.add_argument("--test", type=int, metavar="N",
                        help="good and defective test pictures of each set for the peers' AUROC, so many of each, "
                             "spread evenly [all]")
    parser.add_argument("--coreset", type=float, default=0.01, metavar="SHARE",
                        help="share of all vectors that PatchCore keeps among the peers [0.01]. Its selection takes "
                             "hours for a tenth of some hundred pictures")
    priority.add_option(parser)
    return parser.parse_args()


def load(module):
    """A module that needs installed packages. Ends the script where one is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        sys.exit(f"error: {module}: {error}: benches/compare/run.sh installs what is needed and starts this "
                 "script; --only measures a part")


def templates(good, work):
    """Templates to time pictures with, by storage: their sheets are the first good pictures, whole."""
    built = {storage: work / f"{storage}.hetmm" for storage in ("i8", "f32")}
    for storage, template in built.items():
        program.build(good, template, "--sheets", SHEETS, "--storage", storage, "--no-audit", "--rotations", "none")
    return built


def measure(args, work):
    """All rows that were asked for, study by study."""
    pictures = load("pictures")
    modules = {study: load(study) for study in STUDIES if study in args.only}
    sets = args.data or [pictures.demo(work)]
    good = pictures.good(sets[0])
    built = templates(pictures.exactly(SHEETS, good, work / "copies"), work) if set(modules) != {"peers"} else {}
    runs = {
        "matching": lambda module: module.compare(built, args.threads, args.rounds),
        "selection": lambda module: module.compare(
            pictures.exactly(args.pictures or (len(good) if args.data else 200), good, work / "copies"),
            work, args.threads, max(1, args.rounds // 2)),
        "backbone": lambda module: module.compare(built["i8"], args.threads, args.rounds),
        "peers": lambda module: module.compare(sets, work, args, EACH_ROUND),
        "patchcore": lambda module: module.compare(built["i8"], args.patchcore_pictures, args.threads, args.rounds),
    }
    for study, module in modules.items():
        print(f"measuring {study} ..", file=sys.stderr)
        yield from runs[study](module)


def blas():
    """What NumPy's matrix products run on, as `openblas 0.3.31 (Haswell)`; empty where it does not say."""
    return ", ".join(f"{library['internal_api']} {library['version']} ({library.get('architecture')})"
                     for library in load("threadpoolctl").threadpool_info()
                     if library["user_api"] == "blas" and "numpy" in library["filepath"])


def page(args, rows, load_before, kernel):
    """The whole Markdown page."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    head = [f"- machine: {machine.describe()}",
            f"- load average before and after: {load_before}; {machine.load()}",
            f"- {program.version()}, kernel {kernel}",
            f"- Python {sys.version.split()[0]}, {versions}; {blas()}",
            f"- pictures: {', '.join(data.name for data in args.data) or 'of the demo'}"]
    words = {"rounds": args.rounds, "patchcore_pictures": args.patchcore_pictures, "each_round": EACH_ROUND,
             "realtime": ", with real-time priority" if args.realtime else "", "train": f"at most {args.train}" if args.train else "all",
             "test": f"at most {args.test} good and {args.test} defective" if args.test else "all"}
    introduction, *notes = [text.format(**words)
                            for study, text in NOTES.items() if not study or study in args.only]
    return "\n".join([*head, "", table.markdown(rows), introduction, "".join(notes)])


def main():
    """Measures and writes."""
    args = arguments()
    logging.disable(logging.WARNING)
    program.path()
    load_before = machine.load()
    with tempfile.TemporaryDirectory() as work:
        rows = []
        for row in measure(args, Path(work)):
            print(row, file=sys.stderr)
            rows.append(row)
        kernel = program.bench(next(Path(work).glob("*.hetmm")), 1, 1)["kernel"]
    text = page(args, rows, load_before, kernel)
    print(text, end="")
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(text)


if __name__ == "__main__":
    main()
