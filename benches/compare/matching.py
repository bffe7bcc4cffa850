"""Forward and backward matching in NumPy and PyTorch, from the equations, in two arrangements each.

A layer has a query of unit vectors, [height, width, channels], and sheets, [height, width, K, channels].
With `side` the larger of both windows, the pairs of a template pixel and a query pixel around it are

- `windows`: the side x side query vectors around every template pixel are laid side by side, and one
  batched matrix product per layer gives all cosines; the template is read once;
- `shifts`: one batched product for every shift of the query against the template; nothing is copied.

Both give, as (forward, backward), [height, width]: 1 - the largest cosine of a query pixel with any sheet
in its window, and 1 - the largest cosine of any sheet of a template pixel with the query in its window.

A position-free layer has patches, [K, channels], instead of sheets. It is one matrix product in both arrangements,
and gives the forward map alone.
"""
from dataclasses import dataclass

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from threadpoolctl import threadpool_limits

import program
from rounds import interleave, milliseconds
from table import Row

# Largest difference of two arrangements: products of unit vectors in single precision.
AGREE = 1e-4


@dataclass(frozen=True)
class Windows:
    """Radii of the windows: `forward`, `backward` (-1: direction left out), and `both`, the larger."""
    forward: int
    backward: int

    @property
    def both(self):
        return max(self.forward, self.backward)

    def shifts(self):
        """All (dy, dx), the query pixel seen from the template pixel, in row order."""
        reach = range(-self.both, self.both + 1)
        return [(dy, dx) for dy in reach for dx in reach]

    def within(self, radius):
        """Numbers of the shifts that lie in a window of that radius."""
        return [i for i, (dy, dx) in enumerate(self.shifts()) if max(abs(dy), abs(dx)) <= radius]


def numpy_windows(query, sheets, windows):
    """All cosines of a layer at once, in NumPy."""
    height, width, _, channels = sheets.shape
    radius, side = windows.both, 2 * windows.both + 1
    edge = ((radius, radius), (radius, radius))
    around = sliding_window_view(np.pad(query, (*edge, (0, 0))), (side, side), axis=(0, 1))
    around = around.transpose(0, 1, 3, 4, 2).reshape(height, width, side * side, channels)
    cosines = (sheets @ around.swapaxes(2, 3)).max(axis=2)
    inside = sliding_window_view(np.pad(np.ones((height, width), bool), edge), (side, side))
    cosines[~inside.reshape(cosines.shape)] = -np.inf
    best = np.full((height + 2 * radius, width + 2 * radius), -np.inf, np.float32)
    for i in windows.within(windows.forward):
        dy, dx = windows.shifts()[i]
        part = best[radius + dy:radius + dy + height, radius + dx:radius + dx + width]
        np.maximum(part, cosines[..., i], out=part)
    forward = best[radius:radius + height, radius:radius + width]
    return 1 - forward, 1 - cosines[..., windows.within(windows.backward)].max(axis=-1, initial=-np.inf)


def overlap(shift, size):
    """Where a template axis of `size` pixels and the query moved by `shift` overlap: (template, query)."""
    first, last = max(0, -shift), min(size, size - shift)
    return slice(first, last), slice(first + shift, last + shift)


def numpy_shifts(query, sheets, windows):
    """A product a shift, in NumPy."""
    height, width = query.shape[:2]
    forward = np.full((height, width), -np.inf, np.float32)
    backward = forward.copy()
    for i, (dy, dx) in enumerate(windows.shifts()):
        (ty, qy), (tx, qx) = overlap(dy, height), overlap(dx, width)
        cosines = (sheets[ty, tx] @ query[qy, qx, :, None])[..., 0].max(axis=-1)
        if i in windows.within(windows.forward):
            np.maximum(forward[qy, qx], cosines, out=forward[qy, qx])
        if i in windows.within(windows.backward):
            np.maximum(backward[ty, tx], cosines, out=backward[ty, tx])
    return 1 - forward, 1 - backward


def torch_windows(query, sheets, windows):
    """All cosines of a layer at once, in PyTorch."""
    height, width, count, channels = sheets.shape
    radius, side = windows.both, 2 * windows.both + 1

    def around(pixels):
        padded = torch.nn.functional.pad(pixels, (0, 0, radius, radius, radius, radius))
        windows = padded.unfold(0, side, 1).unfold(1, side, 1).permute(0, 1, 3, 4, 2)
        return windows.reshape(height * width, side * side, -1)

    cosines = torch.bmm(sheets.reshape(-1, count, channels), around(query).transpose(1, 2)).amax(dim=1)
    outside = around(torch.ones(height, width, 1))[..., 0] == 0
    cosines = cosines.masked_fill(outside, -torch.inf).reshape(height, width, side * side)
    best = torch.full((height + 2 * radius, width + 2 * radius), -torch.inf)
    for i in windows.within(windows.forward):
        dy, dx = windows.shifts()[i]
        part = best[radius + dy:radius + dy + height, radius + dx:radius + dx + width]
        torch.maximum(part, cosines[..., i], out=part)
    forward = best[radius:radius + height, radius:radius + width]
    backward = cosines[..., windows.within(windows.backward)]
    return 1 - forward, 1 - (backward.amax(dim=-1) if backward.shape[-1] else torch.full_like(forward, -torch.inf))


def torch_shifts(query, sheets, windows):
    """A product a shift, in PyTorch."""
    height, width = query.shape[:2]
    forward = torch.full((height, width), -torch.inf)
    backward = forward.clone()
    for i, (dy, dx) in enumerate(windows.shifts()):
        (ty, qy), (tx, qx) = overlap(dy, height), overlap(dx, width)
        cosines = torch.einsum("yxkc,yxc->yxk", sheets[ty, tx], query[qy, qx]).amax(dim=-1)
        if i in windows.within(windows.forward):
            forward[qy, qx] = torch.maximum(forward[qy, qx], cosines)
        if i in windows.within(windows.backward):
            backward[ty, tx] = torch.maximum(backward[ty, tx], cosines)
    return 1 - forward, 1 - backward


def numpy_free(query, patches):
    """The forward map of a position-free layer, in NumPy."""
    return (1 - (query.reshape(-1, query.shape[2]) @ patches.T).max(axis=1).reshape(query.shape[:2]),)


def torch_free(query, patches):
    """The forward map of a position-free layer, in PyTorch."""
    return (1 - (query.reshape(-1, query.shape[2]) @ patches.T).amax(dim=1).reshape(query.shape[:2]),)


def unit_vectors(random, *shape):
    """Random unit vectors along the last axis. As features after a ReLU, none has a negative value."""
    values = random.random(shape, np.float32)
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def layers(info):
    """Random query and sheets, and the windows, of every layer that `hetmm info --json` lists. Position-free layers
    have patches, and None for the windows."""
    random = np.random.default_rng(0)
    for layer in info["layers"]:
        height, width, channels = layer["height"], layer["width"], layer["channels"]
        if layer["position_free"]:
            yield unit_vectors(random, height, width, channels), unit_vectors(random, layer["sheets"], channels), None
            continue
        windows = Windows(layer["patch_forward"] // 2, (layer["patch_backward"] + 1) // 2 - 1)
        yield (unit_vectors(random, height, width, channels),
               unit_vectors(random, height, width, layer["sheets"], channels), windows)


def contenders(info):
    """Functions that match a picture, by (library, arrangement)."""
    of_numpy = list(layers(info))
    of_torch = [(torch.from_numpy(q), torch.from_numpy(t), w) for q, t, w in of_numpy]
    arrangements = {("NumPy", "windows"): (numpy_windows, numpy_free, of_numpy),
                    ("NumPy", "shifts"): (numpy_shifts, numpy_free, of_numpy),
                    ("PyTorch", "windows"): (torch_windows, torch_free, of_torch),
                    ("PyTorch", "shifts"): (torch_shifts, torch_free, of_torch)}

    def match(positional, free, data):
        return [positional(q, t, w) if w else free(q, t) for q, t, w in data]
    return {name: lambda of=of: match(*of) for name, of in arrangements.items()}


def require_agreement(contenders):
    """Ends with an error unless all arrangements give the same maps."""
    (first, want), *others = [(name, match()) for name, match in contenders.items()]
    for name, got in others:
        for layer, (a, b) in enumerate(zip(want, got)):
            for direction, x, y in zip(("forward", "backward"), a, b):
                if not np.allclose(np.asarray(x), np.asarray(y), rtol=0, atol=AGREE):
                    raise SystemExit(f"error: {first} and {name} differ in layer {layer}, {direction}")


def compare(templates, threads, rounds):
    """Rows for one picture. `templates` are of the same pictures, by storage: i8 (the default) and f32."""
    others = contenders(program.info(templates["i8"]))
    with torch.inference_mode():
        require_agreement(others)
        for count in threads:
            torch.set_num_threads(count)
            with threadpool_limits(count):
                ours = {storage: lambda t=template: program.bench(t, count, 20)["stages"]["matching"]["p50"]
                        for storage, template in templates.items()}
                theirs = {name: lambda m=match: milliseconds(m) for name, match in others.items()}
                measured = interleave({**ours, **theirs}, rounds)
            for storage in templates:
                for library in ("NumPy", "PyTorch"):
                    quicker = min((name for name in others if name[0] == library), key=lambda n: measured[n].median)
                    yield Row(f"matching, stored as {storage}", f"{library} ({quicker[1]})", count,
                              measured[storage], measured[quicker], "ms")
