"""Selection against scikit-learn's OPTICS, on the features of the same good pictures.

scikit-learn is timed at one pixel of every layer, the middle one; a layer counts as often as it has
pixels. Only its clustering is timed; this program's time has everything from the features in memory to the
prototypes in the template file.
"""
import time

import numpy as np
from sklearn.cluster import OPTICS
from threadpoolctl import threadpool_limits

import program
from backbone import Session
from rounds import interleave
from table import Row


def vectors(info, pictures):
    """Unit vectors of all pictures in the middle of every layer: a list of [pictures, channels]."""
    session = Session(info, 1)
    layers = [[] for _ in session.taps]
    for picture in pictures:
        for layer, maps in zip(layers, session.features(session.read(picture))):
            layer.append(maps[0, :, maps.shape[2] // 2, maps.shape[3] // 2])
    return [np.stack(layer) / np.linalg.norm(layer, axis=1, keepdims=True) for layer in layers]


def with_cosine_metric(features, min_samples):
    """As a user would call it."""
    OPTICS(metric="cosine", min_samples=min_samples, cluster_method="xi").fit(features)


def with_precomputed_distances(features, min_samples):
    """All distances by one matrix product first."""
    distances = np.clip(1 - features @ features.T, 0, 2)
    np.fill_diagonal(distances, 0)
    OPTICS(metric="precomputed", min_samples=min_samples, cluster_method="xi").fit(distances)


# scikit-learn has no counterpart to the other layers and to turned copies. An audit would notice repeated pictures.
POSITIONAL = ("--position-free", "none", "--rotations", "none", "--no-audit")
WAYS = {"metric=cosine": with_cosine_metric, "metric=precomputed": with_precomputed_distances}


def compare(pictures, work, threads, rounds):
    """Rows: pixels a second."""
    template = work / "selected.hetmm"
    program.build(pictures, template, *POSITIONAL)
    info = program.info(template)
    pixels = [layer["height"] * layer["width"] for layer in info["layers"]]
    min_samples = max(2, len(pictures) // info["layers"][0]["sheets"])
    features = vectors(info, pictures)

    def rate_of(way):
        seconds = 0
        for count, of_layer in zip(pixels, features):
            start = time.perf_counter()
            way(of_layer, min_samples)
            seconds += count * (time.perf_counter() - start)
        return sum(pixels) / seconds

    def ours(count):
        return sum(pixels) / program.build(pictures, template, *POSITIONAL, threads=count)["selection"]

    with threadpool_limits(1):
        measured = interleave({**{count: lambda n=count: ours(n) for count in threads},
                               **{name: lambda w=way: rate_of(w) for name, way in WAYS.items()}}, rounds)
    quicker = max(WAYS, key=lambda name: measured[name].median)
    for count in threads:
        yield Row(f"selection from {len(pictures)} pictures", f"scikit-learn OPTICS ({quicker})", count,
                  measured[count], measured[quicker].scaled(count), "pixels/s")
