"""An ONNX graph under construction, as models/export.py and its networks build it."""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


class Graph:
    """Nodes, weights and the taps to be given out.

    `state` is a state_dict; its values are held in double precision, so that what is folded into
    them is rounded once. `multiple`: the sides of the input are multiples of it, in pixels.
    """

    def __init__(self, state, multiple=32):
        self.state = {k: v.detach().cpu().numpy().astype(np.float64) for k, v in state.items()}
        self.multiple = multiple
        self.nodes, self.weights, self.taps = [], [], []

    def op(self, kind, name, inputs, **attributes):
        """Adds a node whose output carries its own name, and returns that name."""
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name, array, kind=np.float32):
        """Adds a constant of any shape and returns its name."""
        self.weights.append(numpy_helper.from_array(np.asarray(array, kind, order="C"), name))
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
        """The finished model. `metadata` is text by key, without what the graph itself knows."""
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "height", "width"])
        outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, c, None, None])
                   for n, c, _ in self.taps]
        graph = helper.make_graph(self.nodes, metadata["hetmm.name"], [image], outputs, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)],
                                  producer_name="hetmm models/export.py", ir_version=8)
        taps = ",".join(f"{n}:{c}:{s}" for n, c, s in self.taps)
        helper.set_model_props(model, metadata | {"hetmm.multiple": str(self.multiple), "hetmm.taps": taps})
        onnx.checker.check_model(model)
        return model
