"""DINOv2's vision transformers (Oquab et al., TMLR 2024), patches of 14 pixels, without registers.

The weights are Meta's: `dinov2_vits14_pretrain.pth` and `dinov2_vitb14_pretrain.pth` of the
repository facebookresearch/dinov2 (Apache-2.0). None come with this project.

Every block has two taps, both without the class token, as maps of height / 14 x width / 14:

- `block{i}`: what the block gives, as the next one reads it;
- `block{i}.norm`: the same behind the network's last LayerNorm, which is what Meta's own
  `get_intermediate_layers` gives unless it is told otherwise. In trained vision transformers a few
  channels of what a block gives are far larger than the rest (Sun et al., "Massive activations",
  2024). hetmm compares vectors of length 1, in which such channels leave little of the others. The
  LayerNorm has a learned scale for each channel, so the preset takes these taps.

Height and width stay free. The grid of positions, learned for 37 x 37 patches, is resized within the
graph, as Meta's code does it: bicubic, without antialiasing, by (patches + 0.1) / 37, and not at all
for an input of 518 x 518. An engine that knows the size of its input does that once, when it loads
the model.
"""
import math
import sys

import numpy as np

from graph import Graph

PATCH = 14
EPSILON = 1e-6
# Meta's interpolate_offset.
OFFSET = 0.1
# Channels, heads and blocks; the name of the same network in timm.
NETWORKS = {"dinov2_vits14": (384, 6, 12, "vit_small_patch14_dinov2"),
            "dinov2_vitb14": (768, 12, 12, "vit_base_patch14_dinov2")}
# Where a slice ends that goes on to the last token.
END = np.iinfo(np.int64).max


class Builder:
    """The transformer's graph, block by block; values are batch x tokens x channels."""

    def __init__(self, state, heads):
        self.g = Graph(state, PATCH)
        self.heads = heads
        self.channels = self.g.state["cls_token"].shape[-1]
        self.blocks = 1 + max(int(k.split(".")[1]) for k in state if k.startswith("blocks."))

    def integers(self, name, values):
        return self.g.constant(name, values, np.int64)

    def linear(self, name, x, weight, bias):
        """x W' + b, for a weight of outputs x inputs."""
        product = self.g.op("MatMul", name + ".product", [x, self.g.constant(name + ".weight", weight.T)])
        return self.g.op("Add", name, [product, self.g.constant(name + ".bias", bias)])

    def layer_norm(self, name, x, scale, bias):
        return self.g.op("LayerNormalization", name, [x, scale, bias], axis=-1, epsilon=EPSILON)

    def norm(self, name, x, prefix):
        state = self.g.state
        return self.layer_norm(name, x, self.g.constant(name + ".scale", state[prefix + ".weight"]),
                               self.g.constant(name + ".bias", state[prefix + ".bias"]))

    def grid(self):
        """Rows and columns of the patches, as two integers, and the number of pictures, as one."""
        g = self.g
        shape = g.op("Shape", "patches.shape", ["patches"])
        for name, first, end in (("grid", 2, 4), ("batch", 0, 1)):
            g.op("Slice", name, [shape, self.integers(name + ".from", [first]), self.integers(name + ".to", [end])])

    def positions(self):
        """The learned grid of positions at the size of the input, 1 x channels x rows x columns."""
        g = self.g
        learned = g.state["pos_embed"][0, 1:]
        side = math.isqrt(len(learned))
        grid = learned.T.reshape(1, self.channels, side, side)
        # 1 where rows and columns are those that were learned, else 0.
        same = g.op("Cast", "grid.same", [g.op("Equal", "grid.equal", ["grid", self.integers("side", [side, side])])],
                    to=1)
        both = g.op("ReduceMin", "grid.all", [same], axes=[0], keepdims=1)
        other = g.op("Sub", "grid.other", [g.constant("one", [1]), both])
        offset = g.op("Mul", "grid.offset", [other, g.constant("offset", [OFFSET])])
        patches = g.op("Add", "grid.shifted", [g.op("Cast", "grid.float", ["grid"], to=1), offset])
        zoom = g.op("Div", "grid.zoom", [patches, g.constant("side.float", [side])])
        scales = g.op("Concat", "grid.scales", [g.constant("ones", [1, 1]), zoom], axis=0)
        return g.op("Resize", "positions", [g.constant("positions.learned", grid), "", scales], mode="cubic",
                    coordinate_transformation_mode="half_pixel", cubic_coeff_a=-0.75)

    def tokens(self):
        """The class token and a token of every patch, with their positions."""
        g, state = self.g, self.g.state
        g.op("Conv", "patches", ["image", g.constant("patches.weight", state["patch_embed.proj.weight"]),
                                 g.constant("patches.bias", state["patch_embed.proj.bias"])],
             kernel_shape=[PATCH, PATCH], strides=[PATCH, PATCH], pads=[0] * 4, group=1, dilations=[1, 1])
        self.grid()
        placed = g.op("Add", "patches.placed", ["patches", self.positions()])
        rows = g.op("Reshape", "patches.rows", [placed, self.integers("as_rows", [0, self.channels, -1])])
        tokens = g.op("Transpose", "patches.tokens", [rows], perm=[0, 2, 1])
        one = g.constant("class.one", state["cls_token"] + state["pos_embed"][:, :1])
        every = g.op("Concat", "class.shape", ["batch", self.integers("class.rest", [1, self.channels])], axis=0)
        return g.op("Concat", "tokens", [g.op("Expand", "class", [one, every]), tokens], axis=1)

    def attention(self, name, theirs, x):
        """Softmax(Q K' / sqrt(width of a head)) V, head by head; LayerScale is in the last product."""
        g, state, width = self.g, self.g.state, self.channels // self.heads
        weights = np.split(state[theirs + "attn.qkv.weight"], 3)
        biases = np.split(state[theirs + "attn.qkv.bias"], 3)
        turned = {}
        for kind, weight, bias in zip("qkv", weights, biases):
            # A head has 64 channels: dividing by 8 rounds nothing.
            share = 1 / math.sqrt(width) if kind == "q" else 1
            y = self.linear(f"{name}.{kind}", x, weight * share, bias * share)
            y = g.op("Reshape", f"{name}.{kind}.split", [y, "as_heads"])
            turned[kind] = g.op("Transpose", f"{name}.{kind}.heads", [y],
                                perm=[0, 2, 3, 1] if kind == "k" else [0, 2, 1, 3])
        logits = g.op("MatMul", name + ".logits", [turned["q"], turned["k"]])
        shares = g.op("Softmax", name + ".shares", [logits], axis=-1)
        seen = g.op("MatMul", name + ".seen", [shares, turned["v"]])
        joined = g.op("Reshape", name + ".joined", [g.op("Transpose", name + ".turned", [seen], perm=[0, 2, 1, 3]),
                                                    "as_tokens"])
        gamma = state[theirs + "ls1.gamma"]
        return self.linear(name + ".out", joined, state[theirs + "attn.proj.weight"] * gamma[:, None],
                           state[theirs + "attn.proj.bias"] * gamma)

    def perceptron(self, name, theirs, x):
        """Two layers with the exact GELU between them; LayerScale is in the second."""
        g, state, gamma = self.g, self.g.state, self.g.state[theirs + "ls2.gamma"]
        x = self.linear(name + ".wide", x, state[theirs + "mlp.fc1.weight"], state[theirs + "mlp.fc1.bias"])
        erf = g.op("Erf", name + ".erf", [g.op("Mul", name + ".scaled", [x, "root_half"])])
        half = g.op("Mul", name + ".half", [x, "half"])
        x = g.op("Mul", name + ".gelu", [half, g.op("Add", name + ".gate", [erf, "one"])])
        return self.linear(name + ".out", x, state[theirs + "mlp.fc2.weight"] * gamma[:, None],
                           state[theirs + "mlp.fc2.bias"] * gamma)

    def tap(self, name, x):
        """Tokens of patches as a map, as a tap of that name."""
        g = self.g
        patches = g.op("Slice", name + ".patches", [x, "first", "end", "axis"])
        planes = g.op("Transpose", name + ".planes", [patches], perm=[0, 2, 1])
        g.tap(g.op("Reshape", name, [planes, "as_map"]), self.channels, PATCH)

    def network(self):
        g, state = self.g, self.g.state
        x = self.tokens()
        self.integers("as_heads", [0, 0, self.heads, self.channels // self.heads])
        self.integers("as_tokens", [0, 0, self.channels])
        g.op("Concat", "as_map", [self.integers("as_map.channels", [0, self.channels]), "grid"], axis=0)
        for name, value in (("first", 1), ("end", END), ("axis", 1)):
            self.integers(name, [value])
        g.constant("half", 0.5), g.constant("root_half", math.sqrt(0.5))
        g.constant("norm.scale", state["norm.weight"]), g.constant("norm.bias", state["norm.bias"])
        for block in range(self.blocks):
            name, theirs = f"block{block}", f"blocks.{block}."
            y = self.attention(name + ".attention", theirs, self.norm(name + ".norm1", x, theirs + "norm1"))
            x = g.op("Add", name + ".between", [x, y])
            y = self.perceptron(name + ".mlp", theirs, self.norm(name + ".norm2", x, theirs + "norm2"))
            x = g.op("Add", name + ".tokens", [x, y])
            self.tap(name, x)
            self.tap(name + ".norm", self.layer_norm(name + ".normed", x, "norm.scale", "norm.bias"))
        return g


def graph(state, heads):
    """The graph of a state_dict with Meta's names. Its channels, blocks and learned grid are what
    the weights say."""
    return Builder(state, heads).network()


class Reference:
    """The same network in PyTorch, by timm: an implementation that shares nothing with the graph
    but the weights."""

    def __init__(self, name, state, **changes):
        """`changes`: what differs from timm's network of that name, as `depth`."""
        self.timm_name, self.state, self.changes = name, state, changes

    def state_dict(self):
        return self.state

    def taps(self, image):
        """The taps of an image, 1 x 3 x height x width, in the order of the graph."""
        import torch
        size = tuple(image.shape[2:])
        network = create(self.timm_name, img_size=size, **self.changes)
        state = {k: v for k, v in self.state.items() if k != "mask_token"}
        state["pos_embed"] = interpolated(state["pos_embed"], [side // PATCH for side in size])
        network.load_state_dict(state)
        network.to(image.dtype)
        found = {}
        as_map = lambda x: x[:, 1:].transpose(1, 2).reshape(1, x.shape[2], size[0] // PATCH, size[1] // PATCH)
        handles = []
        for i, block in enumerate(network.blocks):
            def keep(module, inputs, tokens, name=f"block{i}"):
                found[name] = as_map(tokens)
                found[name + ".norm"] = as_map(network.norm(tokens))
            handles.append(block.register_forward_hook(keep))
        with torch.no_grad():
            network.forward_features(image)
        for handle in handles:
            handle.remove()
        return found


def interpolated(positions, grid):
    """Meta's `interpolate_pos_encoding`: 1 x (1 + learned) x channels to 1 x (1 + rows * columns) x
    channels."""
    import torch
    side = math.isqrt(positions.shape[1] - 1)
    if list(grid) == [side, side]:
        return positions
    learned = positions[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    scale = tuple((patches + OFFSET) / side for patches in grid)
    patches = torch.nn.functional.interpolate(learned, scale_factor=scale, mode="bicubic", antialias=False)
    assert list(patches.shape[2:]) == list(grid)
    return torch.cat([positions[:, :1], patches.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)


def create(timm_name, **options):
    try:
        import timm
    except ImportError as e:
        sys.exit(f"{e}\n  -> pip install -r requirements.txt")
    return timm.create_model(timm_name, pretrained=False, num_classes=0, **options).eval()


def random_state(timm_name, **changes):
    """Weights that let every part of the network matter. The usual random ones do not: LayerScale
    begins at 1e-5, and logits are so small that attention sees everything alike."""
    import torch
    state = create(timm_name, **changes).state_dict()
    for name, value in state.items():
        noise = torch.randn(value.shape)
        if name.endswith("gamma"):
            state[name] = 0.3 + 0.1 * noise
        elif "norm" in name:
            state[name] = 0.2 * noise + (1 if name.endswith("weight") else 0)
        elif "attn.qkv.weight" in name:
            state[name] = 1.5 * noise / math.sqrt(value.shape[1])
        elif name.endswith("weight"):
            state[name] = noise / math.sqrt(value[0].numel())
        else:
            state[name] = 0.2 * noise
    return state


def fitting(name, state):
    """The weights of `state` where they are those of the network `name`; ends the program where not."""
    if "register_tokens" in state:
        sys.exit("these weights are of a network with registers, which have a format of their own\n"
                 f"  -> take {name}_pretrain.pth, without _reg4")
    want = {k: tuple(v.shape) for k, v in create(NETWORKS[name][3]).state_dict().items()}
    wrong = [k for k, shape in want.items() if k not in state or tuple(state[k].shape) != shape]
    if wrong:
        sys.exit(f"these are not the weights of {name}: {wrong[0]} is missing or has another shape\n"
                 f"  -> take {name}_pretrain.pth of facebookresearch/dinov2")
    return {k: state[k] for k in want}
