"""How many products of matching an exact bound could save, at the very best.

A candidate (query pixel, template pixel, sheet) need not be finished once a bound on its cosine lies
below the largest cosine already known both for the query pixel (forward) and for the template pixel
(backward). After the first r of C channels of an orthonormal basis, Cauchy-Schwarz gives

    <q, t> <= <q_1..r, t_1..r> + |q_r+1..C| * |t_r+1..C|

The basis is the best one for the purpose: the principal axes of the template. The known maxima are
the *final* ones, as an oracle would have them from the start; no start value, be it that of a
neighbouring pixel, can do better. What is printed is therefore an upper limit of what can be saved:
of single candidates, and of whole registers of 16 sheets, which is what a kernel can skip.

    python pruning.py MODEL.onnx TRAIN_GOOD TEST [--sheets 60] [--pictures 12]
"""

import argparse
import pathlib

import numpy as np
import onnxruntime
from PIL import Image

TAPS = ["block4.exp", "block5.exp", "block7.exp", "block10.exp", "block11.exp", "block15.exp"]
PREFIXES = (8, 4, 2)  # 1/8, 1/4, 1/2 of the channels
LANES = 16


def features(session, path):
    """Unit feature vectors of every tap, [y, x, channel]."""
    picture = Image.open(path).convert("RGB").resize((256, 256), Image.BILINEAR)
    planes = ((np.asarray(picture, np.float32) - 127.0) / 128.0).transpose(2, 0, 1)[None]
    maps = session.run(TAPS, {session.get_inputs()[0].name: planes})
    maps = [m[0].transpose(1, 2, 0) for m in maps]
    return [m / np.maximum(np.linalg.norm(m, axis=-1, keepdims=True), 1e-12) for m in maps]


def shifted_pairs(side):
    """For every shift of a window of 3: the slices of query and template that meet."""
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            q = slice(max(dy, 0), side + min(dy, 0)), slice(max(dx, 0), side + min(dx, 0))
            t = slice(max(-dy, 0), side + min(-dy, 0)), slice(max(-dx, 0), side + min(-dx, 0))
            yield q, t


def saved(query, template):
    """Upper limits for one picture and layer: {prefix: (candidates, registers)} that can be skipped.

    query: [H, W, C]; template: [H, W, K, C], both in the rotated basis.
    """
    side, channels = query.shape[0], query.shape[-1]
    forward = np.full(query.shape[:2], -2.0, np.float32)
    backward = np.full(query.shape[:2], -2.0, np.float32)
    for q, t in shifted_pairs(side):
        cosines = np.einsum("yxc,yxkc->yxk", query[q], template[t], optimize=True).max(-1)
        forward[q] = np.maximum(forward[q], cosines)
        backward[t] = np.maximum(backward[t], cosines)
    result = {}
    for part in PREFIXES:
        r = channels // part
        rest_q = np.linalg.norm(query[..., r:], axis=-1)
        rest_t = np.linalg.norm(template[..., r:], axis=-1)
        candidates, registers = [], []
        for q, t in shifted_pairs(side):
            head = np.einsum("yxc,yxkc->yxk", query[q][..., :r], template[t][..., :r], optimize=True)
            bound = head + rest_q[q][..., None] * rest_t[t]
            skip = bound < np.minimum(forward[q], backward[t])[..., None]
            candidates.append(skip.mean())
            whole = skip[..., : skip.shape[-1] // LANES * LANES]
            registers.append(whole.reshape(*whole.shape[:2], -1, LANES).all(-1).mean())
        result[part] = float(np.mean(candidates)), float(np.mean(registers))
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("train", type=pathlib.Path)
    parser.add_argument("test", type=pathlib.Path)
    parser.add_argument("--sheets", type=int, default=60)
    parser.add_argument("--pictures", type=int, default=12)
    args = parser.parse_args()
    session = onnxruntime.InferenceSession(args.model, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    train = random.choice(sorted(p for p in args.train.iterdir() if p.is_file()), args.sheets, replace=False)
    test = random.choice(sorted(p for p in args.test.rglob("*") if p.is_file()), args.pictures, replace=False)
    sheets = [features(session, p) for p in train]
    pictures = [features(session, p) for p in test]
    print("| tap | prefix | candidates skipped | registers skipped | work left, at best |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for layer, tap in enumerate(TAPS):
        template = np.stack([s[layer] for s in sheets], axis=2)
        flat = template.reshape(-1, template.shape[-1])
        axes = np.linalg.eigh(flat.T @ flat)[1][:, ::-1].astype(np.float32)
        template = template @ axes
        limits = [saved(p[layer] @ axes, template) for p in pictures]
        for part in PREFIXES:
            candidates, registers = np.mean([limit[part] for limit in limits], axis=0)
            left = 1 / part + (1 - 1 / part) * (1 - registers)
            print(f"| {tap} | 1/{part} | {candidates:.0%} | {registers:.0%} | {left:.0%} |")


if __name__ == "__main__":
    main()
