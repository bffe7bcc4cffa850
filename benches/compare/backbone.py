"""The bundled backbone in ONNX Runtime, cut to a template's taps."""
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnx.utils
import onnxruntime
from PIL import Image

import program
from rounds import interleave, milliseconds
from table import Row

MODEL = program.ROOT / "models/efficientnet_lite0.onnx"


def cut(taps):
    """The model without what the taps do not need. (Choosing outputs alone would still compute it.)"""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cut.onnx"
        onnx.utils.extract_model(str(MODEL), str(path), ["image"], taps)
        return path.read_bytes()


class Session:
    """The cut model for one input size and number of threads, on the CPU, optimised as by default."""

    def __init__(self, info, threads):
        backbone = info["backbone"]
        self.height, self.width = backbone["height"], backbone["width"]
        self.mean, self.std = np.float32(backbone["mean"]), np.float32(backbone["std"])
        # Positional and position-free layers share taps.
        self.taps = list(dict.fromkeys(layer["tap"] for layer in info["layers"]))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        for name, size in (("height", self.height), ("width", self.width)):
            options.add_free_dimension_override_by_name(name, size)
        self.session = onnxruntime.InferenceSession(cut(self.taps), options, providers=["CPUExecutionProvider"])

    def features(self, planes):
        """Maps of all taps, each [1, channels, height, width], for input [1, 3, height, width]."""
        return self.session.run(self.taps, {"image": planes})

    def read(self, path):
        """A picture as network input: squashed with an anti-aliased bilinear filter, normalised."""
        picture = Image.open(path).convert("RGB").resize((self.width, self.height), Image.Resampling.BILINEAR)
        samples = (np.asarray(picture, np.float32) / 255 - self.mean) / self.std
        return np.ascontiguousarray(samples.transpose(2, 0, 1)[None])


def compare(template, threads, rounds):
    """Rows for one picture."""
    info = program.info(template)
    for count in threads:
        session = Session(info, count)
        planes = np.random.default_rng(0).standard_normal((1, 3, session.height, session.width), np.float32)
        measured = interleave({
            "ours": lambda: program.bench(template, count, 40)["stages"]["backbone"]["p50"],
            "theirs": lambda: milliseconds(lambda: session.features(planes)),
        }, rounds)
        yield Row("backbone", "ONNX Runtime", count, measured["ours"], measured["theirs"], "ms")
