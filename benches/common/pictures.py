"""Good pictures to build from: a data set's, the demo's, and as many more as a measurement needs."""
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import program

KINDS = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}
# Largest change of a sample, of 255, in a copy: enough that no two feature vectors are equal.
NOISE = 3


def demo(work):
    """The folder of the demo's parts, made in `work`."""
    program.run("demo", "--out", work / "demo")
    return work / "demo/parts"


def good(data):
    """The good pictures of `data`, a data set in MVTec layout."""
    folder = Path(data) / "train/good"
    pictures = sorted(p for p in folder.glob("*") if p.suffix.lower() in KINDS)
    if not pictures:
        sys.exit(f"error: there are no pictures in {folder}: give a data set with good pictures in train/good")
    return pictures


def read(path):
    """8-bit samples, grey or RGB."""
    picture = Image.open(path)
    return np.asarray(picture.convert("L" if picture.mode in ("1", "L") else "RGB"))


def exactly(count, pictures, folder):
    """`count` pictures: the first ones of `pictures`, past their end copies with noise, kept in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    copies = [folder / f"{i:05}.png" for i in range(len(pictures), count)]
    for i, copy in enumerate(copies, len(pictures)):
        if not copy.exists():
            samples = read(pictures[i % len(pictures)])
            noise = np.random.default_rng(i).integers(-NOISE, NOISE + 1, samples.shape)
            Image.fromarray(np.clip(samples + noise, 0, 255).astype(np.uint8)).save(copy)
    return pictures[:count] + copies
