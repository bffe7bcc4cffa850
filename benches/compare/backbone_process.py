"""The cut backbone in ONNX Runtime or OpenVINO, in a process of its own; peers.py starts it.

    backbone_process.py onnxruntime|openvino MODEL.onnx RUNS

Prints a JSON object: the median milliseconds of a run on one thread, for one random picture that is normalised
already.
"""
import json
import statistics
import sys
import time

import numpy as np

WARM_UP = 5


def with_onnxruntime(model):
    """A function from network input to maps, and the input's shape."""
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda planes: session.run(None, {"image": planes}), session.get_inputs()[0].shape


def with_openvino(model):
    """As above, in OpenVINO."""
    from openvino_process import on_one_thread
    compiled = on_one_thread(model)
    request = compiled.create_infer_request()
    return lambda planes: request.infer({"image": planes}), list(compiled.input("image").shape)


def main():
    """Measures."""
    library, model, runs = sys.argv[1:]
    compute, shape = {"onnxruntime": with_onnxruntime, "openvino": with_openvino}[library](model)
    planes = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    times = []
    for _ in range(WARM_UP + int(runs)):
        start = time.perf_counter()
        compute(planes)
        times.append(1e3 * (time.perf_counter() - start))
    print(json.dumps({"ms": statistics.median(times[WARM_UP:])}))


if __name__ == "__main__":
    main()
