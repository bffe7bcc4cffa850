"""A model that anomalib_process.py has exported, in OpenVINO, in a process of its own; peers.py starts it.

    openvino_process.py MODEL.xml PICTURES..

Prints a JSON object for every picture: its score, and the milliseconds from the decoded picture to the score, on one
thread.
"""
import json
import sys
import time

import numpy as np
import openvino
from PIL import Image


def on_one_thread(model):
    """The model, compiled for one thread of the processor. OpenVINO may compute in 16 bits where the processor can;
    asked for are 32, or the model's 8."""
    return openvino.Core().compile_model(model, "CPU", {
        "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False, "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY"})


def main():
    """Inspects."""
    model, *paths = sys.argv[1:]
    request = on_one_thread(model).create_infer_request()
    for path in paths:
        picture = np.array(Image.open(path).convert("RGB"))[None]
        start = time.perf_counter()
        score = float(np.ravel(next(iter(request.infer([picture]).values())))[0])
        print(json.dumps({"image": path, "score": score, "ms": 1e3 * (time.perf_counter() - start)}), flush=True)


if __name__ == "__main__":
    main()
