#!/usr/bin/env python3
"""Writes what tests/library/backbones.rs compares both engines with: a tiny network of DINOv2's kind with
random weights, and its taps as timm computes them in double precision.

    models/golden_dinov2.py            writes tests/golden/tiny_dinov2.onnx and tiny_dinov2.json

The network has two blocks, 8 channels, 2 heads and 5 x 5 learned positions. Nothing of it is trained.
"""
import json
from pathlib import Path

import numpy as np
import onnx
import timm
import torch

import dinov2
import export

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "golden"
CHANGES = {"embed_dim": 8, "depth": 2, "num_heads": 2}
LEARNED = 5 * dinov2.PATCH
# Rows and columns: fewer positions than were learned and more of them; as many.
SIZES = [(28, 84), (70, 70)]


def main():
    torch.manual_seed(0)
    timm_name = dinov2.NETWORKS["dinov2_vits14"][3]
    state = dinov2.random_state(timm_name, img_size=LEARNED, **CHANGES)
    metadata = {"hetmm.name": "tiny_dinov2", "hetmm.source": "random weights of models/golden_dinov2.py",
                "hetmm.license": "MIT OR Apache-2.0",
                "hetmm.mean": ",".join(map(str, export.IMAGENET_MEAN)),
                "hetmm.std": ",".join(map(str, export.IMAGENET_STD)),
                "hetmm.attention_heads": str(CHANGES["num_heads"])}
    onnx.save(dinov2.graph(state, CHANGES["num_heads"]).model(metadata), FOLDER / "tiny_dinov2.onnx")
    reference = dinov2.Reference(timm_name, {k: v.double() for k, v in state.items()}, **CHANGES)
    golden = {"computed_by": f"PyTorch {torch.__version__.split('+')[0]}, timm {timm.__version__}, float64",
              "formula": "sample(x, y, c) = (7*x + 13*y + 29*c + (x*y) % 11) % 256",
              "preprocessing": "(sample / 255 - mean) / std, ImageNet's",
              "values": "unit vectors, patch by patch in rows, channel by channel",
              "inputs": [golden_of(reference, *size) for size in SIZES]}
    (FOLDER / "tiny_dinov2.json").write_text(json.dumps(golden, indent=1) + "\n")


def golden_of(reference, height, width):
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    samples = (7 * x + 13 * y + 29 * c + (x * y) % 11) % 256
    image = ((samples / 255 - export.IMAGENET_MEAN) / export.IMAGENET_STD).transpose(2, 0, 1)[None]
    taps = {}
    for name, planes in reference.taps(torch.from_numpy(image)).items():
        vectors = planes[0].flatten(1).T
        unit = vectors / vectors.norm(dim=1, keepdim=True)
        taps[name] = {"channels": unit.shape[1], "height": planes.shape[2], "width": planes.shape[3],
                      "values": " ".join(f"{v:.7g}" for v in unit.flatten().tolist())}
    return {"height": height, "width": width, "taps": taps}


if __name__ == "__main__":
    main()
