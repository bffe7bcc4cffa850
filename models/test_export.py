#!/usr/bin/env python3
"""Proves export.py for every network it lists, with random weights; needs no downloads.

    models/test_export.py [--hetmm target/release/hetmm] [NETWORK ..]

For each network: the file passes ONNX's checker at the opset that export.py names; its taps have
the names, channels and strides of its metadata; every tap agrees with PyTorch to 1e-4 of its
largest value, at two input sizes or more, in ONNX Runtime and in the program itself with `--device tract`
and, where ORT_DYLIB_PATH names a library, `--device cpu`; and taps of ResNets have values below 0,
as what stands before a ReLU has. DINOv2 is compared with timm's implementation of it. The program is asked through the features file that
`hetmm features` writes: its vectors are compared with PyTorch's after both have length 1.
"""
import argparse
import os
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np
import onnx
import torch
from PIL import Image

import export

# Side of the input for the program, or a little less where it has to be a multiple of 14.
HETMM_SIZE = 128
TOLERANCE = 1e-4


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", help="default: all of export.py")
    parser.add_argument("--hetmm", default="target/release/hetmm", help="the program to prove the file with")
    options = parser.parse_args()
    unknown = set(options.networks) - set(export.NETWORKS)
    if unknown:
        parser.error(f"export.py has no {', '.join(sorted(unknown))}")
    print(f"{'network':18} {'MB':>6} {'taps':>5} {'onnxruntime':>12} {'tract':>9} {'hetmm cpu':>10} {'below 0':>8} {'s':>6}")
    failed = []
    for name in options.networks or export.NETWORKS:
        start = time.time()
        try:
            with tempfile.TemporaryDirectory() as folder:
                row = prove(name, Path(folder), options.hetmm)
        except AssertionError as e:
            failed.append(name)
            row = f"FAILED: {e}"
        print(f"{name:18} {row} {time.time() - start:6.1f}", flush=True)
    if failed:
        sys.exit(f"{len(failed)} failed: {', '.join(failed)}")


def prove(name, folder, hetmm):
    """One row of the table; an AssertionError says what is wrong."""
    torch.manual_seed(0)
    network, taps_of, _, _ = export.prepare(name, "none")
    path = folder / f"{name}.onnx"
    made = subprocess.run([sys.executable, Path(__file__).parent / "export.py", name, "-o", path, "--weights",
                           "none", "--seed", "0"], capture_output=True, text=True, cwd=folder)
    assert made.returncode == 0, made.stderr
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [(i.domain, i.version) for i in model.opset_import] == [("", export.OPSET)], "opset"
    listed = [tap.split(":") for tap in {p.key: p.value for p in model.metadata_props}["hetmm.taps"].split(",")]
    assert [t[0] for t in listed] == [o.name for o in model.graph.output], "names of the taps"

    worst, lowest = 0.0, np.inf
    import onnxruntime
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for height, width in export.check_sizes(name):
        image = np.random.default_rng(1).normal(size=(1, 3, height, width)).astype(np.float32)
        want = wanted(network, taps_of, image)
        assert set(want) == {t[0] for t in listed}, "taps of PyTorch"
        for (tap, channels, stride), got in zip(listed, session.run([t[0] for t in listed], {"image": image})):
            assert got.shape == (1, int(channels), height // int(stride), width // int(stride)), f"shape of {tap}"
            worst = max(worst, float(np.abs(got - want[tap]).max() / np.abs(want[tap]).max()))
            lowest = min(lowest, float(want[tap].min() / np.abs(want[tap]).max()))
    assert worst < TOLERANCE, f"ONNX Runtime differs by {worst:.1e}"
    assert name not in export.RESNETS or lowest < -0.01, "taps without values below 0: behind a ReLU"

    by = {"tract": by_hetmm(network, taps_of, model, path, listed, folder, hetmm, "tract"), "cpu": None}
    if os.environ.get("ORT_DYLIB_PATH"):
        by["cpu"] = by_hetmm(network, taps_of, model, path, listed, folder, hetmm, "cpu")
    for device, error in by.items():
        assert error is None or error < TOLERANCE, f"--device {device} differs by {error:.1e}"
    shown = "skipped" if by["cpu"] is None else f"{by['cpu']:.1e}"
    below = f"{lowest:.2f}" if name in export.RESNETS else ""
    return (f"{path.stat().st_size / 1e6:6.1f} {len(listed):5} {worst:12.1e} {by['tract']:9.1e} {shown:>10} "
            f"{below:>8}")


def wanted(network, taps_of, image):
    with torch.no_grad():
        return {k: v.numpy() for k, v in taps_of(network, torch.from_numpy(image)).items()}


def by_hetmm(network, taps_of, model, path, listed, folder, hetmm, device):
    """The largest difference of unit vectors between the program and PyTorch, over all taps."""
    all_metadata = {p.key: p.value for p in model.metadata_props}
    size = HETMM_SIZE - HETMM_SIZE % int(all_metadata["hetmm.multiple"])
    pixels = np.random.default_rng(2).integers(0, 256, (size, size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "picture.png")
    metadata = {k: [float(v) for v in all_metadata[k].split(",")] for k in ("hetmm.mean", "hetmm.std")}
    image = ((pixels / 255 - metadata["hetmm.mean"]) / metadata["hetmm.std"]).transpose(2, 0, 1)[None]
    want = wanted(network, taps_of, image.astype(np.float32))
    worst = 0.0
    # A features file has at most 16 taps.
    for first in range(0, len(listed), 16):
        some = listed[first:first + 16]
        file = folder / "f.features"
        done = subprocess.run([hetmm, "features", folder / "picture.png", "-o", file, "--backbone", path, "--size",
                               str(size), "--layers", ",".join(t[0] for t in some), "--device", device],
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        rest = values_of_only_picture(file, 6 * size * size)
        for tap, channels, stride in some:
            count = int(channels) * (size // int(stride)) ** 2
            got, rest = rest[:count].reshape(-1, int(channels)), rest[count:]
            vectors = want[tap][0].reshape(int(channels), -1).T.astype(np.float64)
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
            worst = max(worst, float(np.abs(got - vectors).max()))
        assert len(rest) == 0, "the features file holds more than the taps"
    return worst


def values_of_only_picture(path, sample_bytes):
    """The maps of a features file of one picture, as docs/features-format.md describes it."""
    data = path.read_bytes()
    assert data[:8] == b"HETMF\r\n\x1a" and struct.unpack_from("<Q", data, 24) == (1,)
    record = 64 + struct.unpack_from("<I", data, 12)[0]
    picture_bytes, = struct.unpack_from("<I", data, record + 8)
    maps = data[record + 32 + picture_bytes + sample_bytes:]
    assert zlib.crc32(maps) == struct.unpack_from("<I", data, record + 20)[0]
    return np.frombuffer(maps, "<f4")


if __name__ == "__main__":
    main()
