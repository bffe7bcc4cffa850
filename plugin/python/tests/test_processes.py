"""Threads, swaps, forks and pickles."""

from __future__ import annotations

import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from conftest import run_python, same

import hetmm


def test_threads_share_an_inspector(golden: Path) -> None:
    inspector = hetmm.Inspector(golden, threads=2)
    pictures = np.random.default_rng(1).integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)
    alone = [inspector.inspect(picture, order="rgb") for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda picture: inspector.inspect(picture, order="rgb"), pictures))
    assert all(same(one, other) for one, other in zip(alone, together))


def test_other_threads_run_meanwhile(golden: Path) -> None:
    """A thread counts while another one inspects. It could not if Python's lock were held."""
    inspector = hetmm.Inspector(golden, threads=1)
    picture = np.zeros((2000, 2000), np.uint8)
    is_done, counted = threading.Event(), 0

    def inspect() -> None:
        for _ in range(20):
            inspector.inspect(picture)
        is_done.set()

    thread = threading.Thread(target=inspect)
    thread.start()
    while not is_done.is_set():
        counted += 1
    thread.join()
    assert counted > 1000


def test_a_thousand_swaps_while_threads_inspect(golden: Path, picture: np.ndarray) -> None:
    templates = [hetmm.Template(golden), hetmm.Template(golden.read_bytes())]
    inspector = hetmm.Inspector(templates[0], threads=2, prove=False)
    want = inspector.inspect(picture, order="rgb")
    is_done = threading.Event()

    def inspect() -> list[int]:
        generations = []
        while not is_done.is_set():
            result = inspector.inspect(picture, order="rgb")
            assert result.score == want.score and result.verdict == want.verdict
            generations.append(result.generation)
        return generations

    with ThreadPoolExecutor(3) as pool:
        seen = [pool.submit(inspect) for _ in range(3)]
        for swap in range(1000):
            inspector.replace(templates[swap % 2])
        is_done.set()
        for generations in seen:
            assert generations.result() == sorted(generations.result())
    assert inspector.generation == 1001


def test_a_template_that_is_refused_leaves_the_old_one_in_use(golden: Path, picture: np.ndarray) -> None:
    inspector = hetmm.Inspector(golden)
    before = inspector.inspect(picture, order="rgb")
    with pytest.raises(hetmm.TemplateError):
        inspector.replace(golden.read_bytes()[:-1])
    with pytest.raises(hetmm.DeviceError):
        inspector.replace("none.hetmm")
    with pytest.raises(TypeError):
        inspector.replace(None)  # type: ignore[arg-type]
    after = inspector.inspect(picture, order="rgb")
    assert same(before, after) and after.generation == 1
    inspector.replace(golden)
    assert inspector.inspect(picture, order="rgb").generation == 2


FORK = """
import os, sys, numpy, hetmm
path = sys.argv[1]
inspector = hetmm.Inspector(path, threads=2)
picture = numpy.zeros((64, 64), numpy.uint8)
score = inspector.inspect(picture).score
for _ in range(20):
    child = os.fork()
    if child == 0:
        try:
            calls = [lambda: inspector.inspect(picture), lambda: inspector.inspect("a.png"),
                     lambda: inspector.replace(path), lambda: inspector.template, lambda: inspector.generation]
            for call in calls:
                try:
                    call()
                except hetmm.UsageError as error:
                    assert "spawn" in error.next_step
                else:
                    os._exit(3)
            del calls, inspector
            own = hetmm.Inspector(path, threads=2)
            os._exit(0 if own.inspect(picture).score == score else 4)
        except BaseException:
            os._exit(5)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert inspector.inspect(picture).score == score
print("done")
"""


def test_a_forked_child_gets_an_error_and_does_not_wait(golden: Path) -> None:
    done = run_python(FORK, golden, timeout=120)
    assert done.stdout == "done\n", done.stderr


def score_in(path: Path) -> float:
    """What a process of its own does."""
    return hetmm.Inspector(path, threads=1).inspect(np.zeros((64, 64), np.uint8)).score


def test_spawned_processes_open_their_own(golden: Path) -> None:
    with get_context("spawn").Pool(2) as pool:
        scores = pool.map(score_in, [golden] * 4)
    assert scores == [score_in(golden)] * 4


def test_nothing_but_errors_can_be_pickled(golden: Path, inspector: hetmm.Inspector, picture: np.ndarray) -> None:
    result = inspector.inspect(picture, order="rgb")
    for thing, words in [
        (inspector, "open it in every process"),
        (hetmm.Template(golden), "open its file in every process"),
        (result, "to_dict"),
    ]:
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match=words):
                pickle.dumps(thing, protocol)
        with pytest.raises(TypeError, match=words):
            copy.deepcopy(thing)
    assert pickle.loads(pickle.dumps(result.regions)) == result.regions
