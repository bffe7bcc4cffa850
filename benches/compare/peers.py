"""The default template beside anomalib's PatchCore and PaDiM on the same backbone and the same pictures: milliseconds
of a picture on one core, memory of the process, image AUROC. anomalib's models run in PyTorch, as anomalib runs them,
and in OpenVINO, for which anomalib can export them. Below them the backbone alone, in this program, ONNX Runtime and
OpenVINO.

Every program inspects in a process of its own, on one thread and one core. Processes take turns, round by round.
"""
import json
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnxruntime.tools.onnx_model_utils as onnx_tools
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from sklearn.metrics import roc_auc_score

import pictures
import priority
import program
import watch
from backbone import Session, cut
from rounds import Measured, in_turns
from table import PeerRow

HERE = Path(__file__).resolve().parent
# First pictures of a process that are not counted.
WARM_UP = 4
BACKBONE_RUNS = 60
# Good pictures from which ONNX Runtime learns the ranges of the maps.
CALIBRATION = 64


@dataclass(frozen=True)
class Contender:
    """A program that is ready to inspect: the command before its pictures, and the seconds that its build took."""
    command: list
    build_s: float


def before(args):
    """What to put before a command that is timed."""
    return [*priority.realtime(args.realtime), *priority.one_core()]


def evenly(paths, most):
    """At most so many of `paths`, spread evenly over them."""
    return paths if len(paths) <= most else [paths[i * len(paths) // most] for i in range(most)]


def test_pictures(data, most):
    """Test pictures of a data set in MVTec layout, and for each whether it is defective: at most so many of both."""
    found = [path for path in sorted((data / "test").glob("*/*")) if path.suffix.lower() in pictures.KINDS]
    good = evenly([path for path in found if path.parent.name == "good"], most)
    defective = evenly([path for path in found if path.parent.name != "good"], most)
    if not (good and defective):
        sys.exit(f"error: {data}/test has not both good and defective pictures: give a data set with test/good and "
                 "test/<defect>")
    return good + defective, [False] * len(good) + [True] * len(defective)


def results(watched):
    """Scores, and milliseconds from the decoded picture to the score, in the order of the pictures."""
    found = [json.loads(line) for line in watched.lines if line.startswith("{")]
    times = [one["timing_ms"]["total"] - one["timing_ms"]["decode"] if "timing_ms" in one else one["ms"]
             for one in found]
    return [one["score"] for one in found], times


def hetmm(good, template, device):
    """This program with its default settings, with features by `device`."""
    start = time.perf_counter()
    program.build(good, template, "--device", device)
    build_s = time.perf_counter() - start
    return Contender([program.path(), "inspect", template, "--json", "--threads", 1, "--any-shape"], build_s)


def anomalib(kind, good, state, size, coreset):
    """PatchCore or PaDiM of anomalib, by library that runs it; see anomalib_process.py."""
    process = [sys.executable, HERE / "anomalib_process.py"]
    learned = watch.command(*process, "fit", kind, state, *size, coreset, *good).seconds
    exported = state.with_suffix(".xml")
    converted = watch.command(*process, "export", state, exported).seconds
    return {"PyTorch": Contender([*process, "inspect", state], learned),
            "OpenVINO": Contender([sys.executable, HERE / "openvino_process.py", exported], learned + converted)}


def contenders(data, work, args):
    """All programs, ready to inspect, by name."""
    good = evenly(pictures.good(data), args.train or sys.maxsize)
    template = work / f"{data.name}.hetmm"
    ready = {"hetmm, its default (int8)": hetmm(good, template, "int8"),
             "hetmm --device tract": hetmm(good, work / f"{data.name}-tract.hetmm", "tract")}
    backbone = program.info(template)["backbone"]
    size = (backbone["width"], backbone["height"])
    for kind, name in (("patchcore", f"PatchCore, coreset of {100 * args.coreset:g} %"), ("padim", "PaDiM")):
        print(f"{name} learns from {len(good)} pictures of {data.name} ..", file=sys.stderr)
        by_library = anomalib(kind, good, work / f"{data.name}-{kind}.pt", size, args.coreset)
        ready |= {f"{name}, {library}": contender for library, contender in by_library.items()}
    return ready


def inspecting(ready, shown, prefix):
    """Functions that inspect `shown` and give the median time and the memory, by contender."""
    def of(contender):
        def measure():
            watched = watch.command(*contender.command, *shown, prefix=prefix, accept=(0, 1))
            return statistics.median(results(watched)[1][WARM_UP:]), watched.peak
        return measure
    return {name: of(contender) for name, contender in ready.items()}


def on_set(data, work, args, each_round):
    """Rows of one data set. In a round, each program inspects `each_round` of the test pictures."""
    ready = contenders(data, work, args)
    paths, labels = test_pictures(data, args.test or sys.maxsize)
    aurocs = {}
    for name, contender in ready.items():
        scores, _ = results(watch.command(*contender.command, *paths, accept=(0, 1)))
        if len(scores) != len(paths):
            sys.exit(f"error: {name} gave {len(scores)} results for {len(paths)} pictures of {data.name}")
        aurocs[name] = roc_auc_score(labels, scores)
    measured = in_turns(inspecting(ready, evenly(paths, each_round), before(args)), args.rounds)
    return [PeerRow(data.name, name, Measured.of([ms for ms, _ in found]), max(peak for _, peak in found),
                    aurocs[name], ready[name].build_s) for name, found in measured.items()]


class Calibration(CalibrationDataReader):
    """Good pictures as network input, for ONNX Runtime's quantiser."""

    def __init__(self, session, paths):
        self.inputs = iter([{"image": session.read(path)} for path in paths])

    def get_next(self):
        return next(self.inputs, None)


def models(template, good, work):
    """The backbone cut to the taps of a template, with a fixed input: in 32 bits, and quantised to eight bits with
    the scales of good pictures (QDQ, one scale for each output channel of the weights)."""
    session = Session(program.info(template), 1)
    floats, bytes_ = work / "f32.onnx", work / "int8.onnx"
    floats.write_bytes(cut(session.taps))
    model = onnx.load(floats)
    for name, size in (("height", session.height), ("width", session.width)):
        onnx_tools.make_dim_param_fixed(model.graph, name, size)
    onnx.save(model, floats)
    quantize_static(floats, bytes_, Calibration(session, evenly(good, CALIBRATION)), quant_format=QuantFormat.QDQ,
                    per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
    return {"32 bits": floats, "int8": bytes_}


def backbones(data, work, args):
    """Rows of the backbone alone: with the templates of `data`, and in other programs."""
    prefix = before(args)
    by_bits = models(work / f"{data.name}.hetmm", pictures.good(data), work)

    def of_hetmm(template):
        watched = watch.command(program.path(), "bench", template, "--threads", 1, "--runs", BACKBONE_RUNS, "--json",
                                prefix=prefix)
        return json.loads("\n".join(watched.lines))["stages"]["backbone"]["p50"], watched.peak

    def of_library(library, model):
        watched = watch.command(sys.executable, HERE / "backbone_process.py", library, model, BACKBONE_RUNS,
                                prefix=prefix)
        return json.loads(watched.lines[-1])["ms"], watched.peak

    ways = {"int8 of hetmm": lambda: of_hetmm(work / f"{data.name}.hetmm"),
            "tract in hetmm, 32 bits": lambda: of_hetmm(work / f"{data.name}-tract.hetmm")}
    for library, name in (("onnxruntime", "ONNX Runtime"), ("openvino", "OpenVINO")):
        for bits, model in by_bits.items():
            ways[f"{name}, {bits}"] = lambda library=library, model=model: of_library(library, model)
    info = program.info(work / f"{data.name}.hetmm")["backbone"]
    what = f"backbone alone, {info['width']} x {info['height']}"
    return [PeerRow(what, name, Measured.of([ms for ms, _ in found]), max(peak for _, peak in found), None, None)
            for name, found in in_turns(ways, args.rounds).items()]


def compare(sets, work, args, each_round):
    """Rows of all sets, and of the backbone alone with the templates of the first one."""
    for data in sets:
        yield from on_set(data, work, args, each_round)
    yield from backbones(sets[0], work, args)
