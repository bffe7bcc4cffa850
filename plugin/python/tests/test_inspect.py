"""Results, their names, and what is refused when a template is opened."""

from __future__ import annotations

import json
import math
import os
import pickle
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import run_python, same

import hetmm
from hetmm import _native  # type: ignore[attr-defined]


# Either is given where a template is wanted.
Given = str | bytes | Path | hetmm.Template


def told(program: str, *arguments: object) -> list[dict[str, Any]]:
    """The lines of `hetmm inspect --json`."""
    command = [program, "inspect", *map(str, arguments), "--json"]
    output = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in output.stdout.splitlines()]


def test_a_result_equals_that_of_the_tool(program: str, demo: Path) -> None:
    template, folder = demo / "part.hetmm", demo / "parts" / "test" / "scratch"
    inspector = hetmm.Inspector(template)
    lines = told(program, template, folder)
    assert len(lines) == 6
    for line in lines:
        path = line.pop("image")
        result = inspector.inspect(path)
        values = result.to_dict()
        assert values.pop("timing_ms").keys() == line.pop("timing_ms").keys()
        assert values == line, path
        assert (result.score, result.threshold, result.verdict) == (line["score"], line["threshold"], line["verdict"])
        assert len(result.regions) == len(line["regions"]) > 0
        for region, want in zip(result.regions, line["regions"]):
            assert {name: value for name, value in vars(region).items() if value is not None} == want
        assert vars(result.decided_by) == line["decided_by"]
        assert result.peak is not None and vars(result.peak) == line["peak"]


def test_the_parts_of_a_result(inspector: hetmm.Inspector, picture: np.ndarray) -> None:
    result = inspector.inspect(picture, order="rgb")
    assert result.map.dtype == np.float32 and result.map.shape == (64, 64)
    assert result.map.max() == np.float32(result.score)
    assert result.map is result.map and result.anomaly_map is result.map
    with pytest.raises(ValueError, match="read-only"):
        result.map[0, 0] = 0
    assert result.pred_mask.dtype == np.bool_
    assert result.pred_mask.any() == bool(result.regions)
    assert result.pred_score == result.score
    assert result.pred_label is (result.verdict != "ok")
    assert result.review <= result.threshold
    assert result.generation == inspector.generation == 1
    assert result.verdict in repr(result) and str(result.score) in repr(result)
    kept = result.map
    del result
    assert math.isfinite(kept.sum()), "the map outlives its result"


def test_the_mask_is_what_belongs_to_the_regions(demo: Path) -> None:
    inspector = hetmm.Inspector(demo / "part.hetmm")
    stained = inspector.inspect(demo / "parts" / "test" / "stain" / "000.png")
    good = inspector.inspect(demo / "parts" / "test" / "good" / "000.png")
    for result in [stained, good]:
        assert not result.pred_mask[result.map <= result.threshold].any()
        # Areas are in pixels of the picture, and each is rounded.
        area = result.pred_mask.sum() * 320 * 320 / result.map.size
        assert abs(area - sum(region.area for region in result.regions)) <= len(result.regions)
    assert stained.pred_mask.any() and stained.pred_label and stained.verdict == "ng"
    assert not good.pred_mask.any() and not good.pred_label and good.verdict == "ok"


def test_a_result_is_neither_true_nor_false(inspector: hetmm.Inspector, picture: np.ndarray) -> None:
    result = inspector.inspect(picture, order="rgb")
    with pytest.raises(TypeError, match="verdict"):
        bool(result)
    with pytest.raises(TypeError, match="verdict"):
        if result:
            pass
    with pytest.raises(AttributeError):
        result.verdict = "ok"  # type: ignore[misc]
    with pytest.raises(TypeError):
        hetmm.Inspection()


def test_templates_from_paths_bytes_and_templates_are_the_same(golden: Path, picture: np.ndarray) -> None:
    template = hetmm.Template(golden)
    given: list[Given] = [golden, str(golden), golden.read_bytes(), template, hetmm.Template(golden.read_bytes())]
    results = [hetmm.Inspector(one, threads=1).inspect(picture, order="rgb") for one in given]
    assert all(same(result, results[0]) for result in results)
    assert template.threshold == results[0].threshold
    assert len(template.digest) == 64
    assert hetmm.Inspector(template).template.digest == template.digest
    assert hetmm.Inspector(golden).extractor == "tract"


def test_threads_do_not_change_a_result(golden: Path, picture: np.ndarray) -> None:
    results = [hetmm.Inspector(golden, threads=n).inspect(picture, order="rgb") for n in [0, 1, 2, 5]]
    assert all(same(result, results[0]) for result in results)


def test_templates_that_cannot_be_used(golden: Path, tmp_path: Path) -> None:
    whole = golden.read_bytes()
    cut, changed, empty = tmp_path / "cut.hetmm", tmp_path / "changed.hetmm", tmp_path / "empty.hetmm"
    cut.write_bytes(whole[:-100])
    changed.write_bytes(whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 1]) + whole[len(whole) // 2 + 1 :])
    empty.write_bytes(b"")
    for path in [cut, changed, empty]:
        both: list[Given] = [path, path.read_bytes()]
        for given in both:
            with pytest.raises(hetmm.TemplateError) as caught:
                hetmm.Inspector(given)
            assert caught.value.kind == "template" and caught.value.next_step
        with pytest.raises(hetmm.TemplateError, match=path.name):
            hetmm.Inspector(path)
    with pytest.raises(hetmm.DeviceError, match="none.hetmm") as missing:
        hetmm.Inspector(tmp_path / "none.hetmm")
    assert isinstance(missing.value, OSError) and missing.value.kind == "io"
    assert missing.value.next_step == "check the path"
    with pytest.raises(hetmm.Error):
        hetmm.Inspector(tmp_path)
    wrong: list[Any] = [None, 3, [golden], bytearray(whole)]
    for one in wrong:
        with pytest.raises(TypeError, match="a path, the bytes of its file or a hetmm.Template"):
            hetmm.Inspector(one)


def test_options_that_cannot_be_used(golden: Path, tmp_path: Path) -> None:
    with pytest.raises(hetmm.UsageError, match="abacus"):
        hetmm.Inspector(golden, device="abacus")  # type: ignore[arg-type]
    for threads in [-1, 10**6]:
        with pytest.raises(hetmm.UsageError, match="threads"):
            hetmm.Inspector(golden, threads=threads)
    with pytest.raises(TypeError):
        hetmm.Inspector(golden, threads="2")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        hetmm.Inspector(golden, 2)  # type: ignore[call-arg]
    model = tmp_path / "no.onnx"
    with pytest.raises(hetmm.Error, match="no.onnx"):
        hetmm.Inspector(golden, backbone=model)
    model.write_bytes(b"no model")
    with pytest.raises(hetmm.ModelError):
        hetmm.Inspector(golden, backbone=model)
    with pytest.raises(hetmm.Error) as caught:
        hetmm.Inspector(golden, device="cpu", onnxruntime=tmp_path / "none.so")
    assert "--" not in str(caught.value), "no words of the command line"


def test_files_that_cannot_be_inspected(inspector: hetmm.Inspector, tmp_path: Path, golden: Path) -> None:
    broken, empty = tmp_path / "broken.png", tmp_path / "empty.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nand then nothing")
    empty.write_bytes(b"")
    for path in [broken, empty, golden]:
        with pytest.raises(hetmm.ImageError, match=path.name):
            inspector.inspect(path)
    with pytest.raises(hetmm.ImageError, match="folder"):
        inspector.inspect(tmp_path)
    with pytest.raises(hetmm.DeviceError, match="none.png"):
        inspector.inspect(str(tmp_path / "none.png"))
    with pytest.raises(hetmm.Error):
        inspector.inspect("a\0b.png")
    with pytest.raises(hetmm.UsageError, match="leave out order="):
        inspector.inspect(broken, order="rgb")
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    with pytest.raises(hetmm.ImageError, match="not a regular file"):
        inspector.inspect(pipe)


def test_errors_say_what_and_what_to_do_and_can_be_pickled() -> None:
    for name in ["UsageError", "ImageError", "TemplateError", "ModelError", "DeviceError", "UnconfirmedError"]:
        error = getattr(hetmm, name)("kind", "what", "do this")
        assert isinstance(error, hetmm.Error)
        assert str(error) == "what\n  -> do this"
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert (again.kind, again.what, again.next_step) == ("kind", "what", "do this")
    assert str(hetmm.Error("kind", "what")) == "what"


def test_a_panic_is_a_model_error() -> None:
    with pytest.raises(hetmm.ModelError, match="on purpose") as caught:
        _native._panic()
    assert caught.value.kind == "model" and caught.value.next_step
    assert isinstance(caught.value, Exception), "`except Exception` catches it"


def test_nothing_is_printed_and_no_signal_handler_is_set(golden: Path) -> None:
    code = """
import signal, sys, numpy, hetmm
before = [signal.getsignal(n) for n in range(1, 32)]
inspector = hetmm.Inspector(sys.argv[1])
inspector.inspect(numpy.zeros((64, 64), numpy.uint8)).to_dict()
assert before == [signal.getsignal(n) for n in range(1, 32)]
"""
    done = run_python(code, golden)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
