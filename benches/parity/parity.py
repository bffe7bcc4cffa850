"""Features, scores and verdicts of one engine beside tract's; see run.sh."""
import argparse
import json
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import machine
import program

KINDS = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}
# A features file has at most so many taps.
TAPS_A_FILE = 16


def main():
    own, options = split(sys.argv[1:])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="a folder of data sets in MVTec layout")
    parser.add_argument("--sets", help="names of sets, with commas between them; default: all")
    parser.add_argument("--device", default="cpu", help="the engine to compare with tract: cpu, cuda, tensorrt, ..")
    parser.add_argument("--pictures", type=int, default=6, help="pictures a set whose vectors are compared")
    parser.add_argument("--good", type=int, help="build from so many pictures; default: all")
    parser.add_argument("--test", type=int, help="test with so many pictures a kind; default: all")
    args = parser.parse_args(own)
    sets = args.sets.split(",") if args.sets else sorted(p.name for p in args.data.iterdir() if p.is_dir())
    print(f"{program.version()}, {machine.describe()}\noptions: {' '.join(options) or '(none)'}\n")
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        compare_taps([args.data / name for name in sets], options, args, work)
        print(f"\n| set | tested | AUROC tract | AUROC {args.device} | one template: scores differ by, median | at most | "
              "verdicts | own templates: median | at most | verdicts |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
        for name in sets:
            print(f"| {name} | {compare_scores(args.data / name, options, args, work / name)} |", flush=True)


def split(arguments):
    """What stands before and after --."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at + 1:]


def files(folder, limit=None):
    """Pictures of a folder, evenly spread over it where there are more than wanted."""
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in KINDS)
    if limit is None or len(found) <= limit:
        return found
    return [found[i * len(found) // limit] for i in range(limit)]


def compare_taps(folders, options, args, work):
    """The table of cosines and differences, tap by tap, over all sets."""
    backbone = options[options.index("--backbone") + 1] if "--backbone" in options else None
    taps = taps_of(Path(backbone or program.ROOT / "models/efficientnet_lite0.onnx"))
    size = int(options[options.index("--size") + 1]) if "--size" in options else 256
    model = ["--backbone", backbone] if backbone else []
    shown = []
    for folder in folders:
        kinds = sorted(p for p in (folder / "test").iterdir() if p.is_dir())
        each = -(-args.pictures // len(kinds))
        shown += [p for kind in kinds for p in files(kind, each)][:args.pictures]
    print(f"{len(shown)} pictures of the test sets, every tap at {size} x {size}\n")
    print("| tap | channels | least cosine | largest difference of a value |\n| --- | ---: | ---: | ---: |")
    worst = []
    for first in range(0, len(taps), TAPS_A_FILE):
        some = taps[first:first + TAPS_A_FILE]
        names = ",".join(name for name, _, _ in some)
        made = {}
        for device in ("tract", args.device):
            made[device] = work / f"{device}.features"
            program.run("features", *shown, "-o", made[device], "--size", size, "--layers", names, *model,
                        "--device", device)
        figures = [(1.0, 0.0)] * len(some)
        for maps in zip(*(maps_of(made[device], some, size) for device in made)):
            for i, (ours, theirs) in enumerate(zip(*maps)):
                products = np.einsum("pc,pc->p", ours.astype(np.float64), theirs.astype(np.float64))
                # Vectors that are zero for both engines have no direction to differ in.
                products = products[np.any(ours != 0, axis=1) | np.any(theirs != 0, axis=1)]
                least, most = figures[i]
                figures[i] = (min(least, products.min(initial=1.0)), max(most, float(np.abs(ours - theirs).max())))
        for (name, channels, _), (least, most) in zip(some, figures):
            print(f"| {name} | {channels} | 1 - {1 - least:.1e} | {most:.1e} |", flush=True)
            worst.append((least, most))
        for file in made.values():
            file.unlink()
    print(f"| all | | 1 - {1 - min(w[0] for w in worst):.1e} | {max(w[1] for w in worst):.1e} |")


def taps_of(model):
    """Name, channels and stride of every tap, from the metadata that models/export.py writes."""
    data = model.read_bytes()
    found = re.search(rb"hetmm\.taps\x12([\x80-\xff]*[\x00-\x7f])", data)
    if not found:
        sys.exit(f"error: {model} has no metadata hetmm.taps: export it with models/export.py")
    length = sum((byte & 0x7f) << 7 * i for i, byte in enumerate(found[1]))
    text = data[found.end():found.end() + length].decode()
    return [(name, int(channels), int(stride)) for name, channels, stride in (t.split(":") for t in text.split(","))]


def maps_of(file, taps, size):
    """For every picture of a features file its maps, [pixel, channel]; docs/features-format.md."""
    data = np.memmap(file, np.uint8, "r")
    at = 64 + struct.unpack_from("<I", data, 12)[0]
    for _ in range(struct.unpack_from("<Q", data, 24)[0]):
        at += 32 + struct.unpack_from("<I", data, at + 8)[0] + 6 * size * size
        maps = []
        for _, channels, stride in taps:
            count = channels * (size // stride) ** 2
            maps.append(np.frombuffer(data[at:at + 4 * count], "<f4").reshape(-1, channels))
            at += 4 * count
        yield maps


def compare_scores(folder, options, args, work):
    """The cells of a set's row."""
    work.mkdir()
    subset = work / "set"
    for kind in sorted(p for p in (folder / "test").iterdir() if p.is_dir()):
        target = subset / "test" / kind.name
        target.mkdir(parents=True)
        for picture in files(kind, args.test):
            (target / picture.name).symlink_to(picture.resolve())
    if (folder / "ground_truth").exists():
        (subset / "ground_truth").symlink_to((folder / "ground_truth").resolve())
    model = ["--backbone", options[options.index("--backbone") + 1]] if "--backbone" in options else []
    templates, aurocs = {}, []
    for device in ("tract", args.device):
        features, templates[device] = work / f"{device}.features", work / f"{device}.hetmm"
        program.run("features", *files(folder / "train/good", args.good), "-o", features, *features_options(options),
                    "--device", device)
        program.run("build", features, "-o", templates[device], *options, "--device", device)
        features.unlink()
        figures = work / f"{device}.json"
        program.run("eval", templates[device], subset, "--json", figures, *model, "--device", device)
        aurocs.append(json.loads(figures.read_text())["image_auroc"])
    pictures = [p for kind in sorted((subset / "test").iterdir()) for p in sorted(kind.iterdir())]
    ours = inspect(templates["tract"], pictures, model, "tract")
    one = inspect(templates["tract"], pictures, model, args.device)
    own = inspect(templates[args.device], pictures, model, args.device)
    for template in templates.values():
        template.unlink()
    cells = [str(len(pictures)), *(f"{100 * auroc:.2f}" for auroc in aurocs)]
    for other in (one, own):
        differences = [abs(a["score"] - b["score"]) / a["score"] for a, b in zip(ours, other)]
        verdicts = sum(a["verdict"] != b["verdict"] for a, b in zip(ours, other))
        same = "all the same" if verdicts == 0 else f"{verdicts} differ"
        cells += [f"{np.median(differences):.1e}", f"{max(differences):.1e}", same]
    return " | ".join(cells)


def features_options(options):
    """Those of the build's options that concern the network."""
    kept = []
    for name in ("--backbone", "--preset", "--layers", "--size"):
        if name in options:
            kept += [name, options[options.index(name) + 1]]
    return kept


def inspect(template, pictures, model, device):
    """What `hetmm inspect --json` says of every picture. Code 1 says that a part was rejected."""
    done = subprocess.run([program.path(), "inspect", template, *pictures, "--json", *model, "--device", device],
                          capture_output=True, text=True)
    if done.returncode > 1:
        sys.exit(f"error: hetmm inspect failed with code {done.returncode}: {done.stderr.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines()]


if __name__ == "__main__":
    main()
