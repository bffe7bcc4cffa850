"""examples/archive.py: the results do not depend on the workers, and a worker that dies loses nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from conftest import EXAMPLES

import hetmm

PICTURES, PART = 2000, 50
TIMEOUT_S = 240


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of many names for a few pictures, and two files that are none."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "b").mkdir()
    numbers = np.random.default_rng(5)
    for number in range(20):
        cv2.imwrite(str(folder / f"{number:04}.png"), numbers.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    for number in range(20, PICTURES - 2):
        os.link(folder / f"{number % 20:04}.png", folder / "b" / f"{number:04}.png")
    (folder / "b" / "broken.png").write_bytes(b"no picture")
    (folder / "b" / "empty.png").write_bytes(b"")
    (folder / "notes.txt").write_text("not a picture")
    return folder


@pytest.fixture(scope="module")
def expected(pictures: Path, golden: Path) -> dict[str, dict[str, Any]]:
    """What one process finds."""
    inspector = hetmm.Inspector(golden, threads=1)
    rows = {}
    for path in sorted(pictures.rglob("*.png")):
        try:
            found = inspector.inspect(path).to_dict()
            row = {name: found[name] for name in ["verdict", "score", "regions"]} | {"error": None}
        except hetmm.Error as error:
            row = {"verdict": "ng", "score": None, "regions": None, "error": str(error)}
        rows[str(path)] = row | {"threshold": inspector.template.threshold, "template": inspector.template.digest}
    assert len(rows) == PICTURES
    return rows


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, EXAMPLES / "archive.py", *arguments]
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def run(*arguments: object) -> tuple[int, str]:
    process = start(*arguments)
    try:
        told, _ = process.communicate(timeout=TIMEOUT_S)
    finally:
        end(process)
    return process.returncode, told


def end(process: subprocess.Popen[str]) -> None:
    """Ends a job with all that it has started."""
    if process.poll() is None:
        started = [process, *psutil.Process(process.pid).children(recursive=True)]
        for one in started:
            one.kill()
        process.wait(30)
    if process.stdout is not None:
        process.stdout.close()


def rows(results: Path) -> list[dict[str, Any]]:
    found = [row for part in sorted(results.glob("*.parquet")) for row in pq.read_table(part).to_pylist()]
    return [row | {"regions": row["regions"] and json.loads(row["regions"])} for row in found]


def agree(results: Path, expected: dict[str, dict[str, Any]]) -> None:
    found = rows(results)
    assert [row.pop("image") for row in found] == list(expected), "every picture once, in order"
    assert found == list(expected.values())
    assert not list(results.glob(".part-*"))
    assert pq.read_table(results).num_rows == len(expected), "the folder is a data set"


def workers(process: subprocess.Popen[str]) -> Iterator[psutil.Process]:
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if "MapWorker" in " ".join(child.cmdline()):
                yield child
        except psutil.NoSuchProcess:
            pass


def assert_nobody_else_can_connect(process: subprocess.Popen[str]) -> None:
    """Ray must not listen on an address that other machines reach."""
    addresses = set()
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            connections = child.net_connections("inet")
        except psutil.NoSuchProcess:
            continue
        addresses |= {one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN}
    assert addresses and addresses <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}, addresses


def wait_for_parts(results: Path, process: subprocess.Popen[str], least: int) -> int:
    """Waits until some parts are there. Returns how many."""
    for _ in range(TIMEOUT_S * 50):
        parts = len(list(results.glob("*.parquet")))
        if parts >= least or process.poll() is not None:
            return parts
        time.sleep(0.02)
    raise TimeoutError("no part was written")


def test_a_worker_that_is_killed_loses_nothing(
    pictures: Path, golden: Path, expected: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    results = tmp_path / "results"
    process = start(golden, pictures, results, "--workers", 2, "--part", PART)
    try:
        parts = wait_for_parts(results, process, 3)
        killed = list(workers(process))
        assert len(killed) == 2, "two workers"
        assert_nobody_else_can_connect(process)
        killed[0].send_signal(signal.SIGKILL)
        killed[0].wait(30)
        assert 3 <= parts < PICTURES // PART, "it was killed in the middle"
        told, _ = process.communicate(timeout=TIMEOUT_S)
    finally:
        end(process)
    assert process.returncode == 0, told
    assert "2 of them could not be inspected" in told
    agree(results, expected)


def test_a_job_that_is_killed_goes_on_where_it_was(
    pictures: Path, golden: Path, expected: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    results = tmp_path / "results"
    job = [golden, pictures, results, "--workers", 2, "--part", PART]
    process = start(*job)
    parts = wait_for_parts(results, process, 3)
    end(process)
    assert 3 <= parts < PICTURES // PART, "it was killed in the middle"
    kept = {path: path.stat().st_mtime_ns for path in results.glob("*.parquet")}
    code, told = run(*job)
    assert code == 0, told
    assert f"{PICTURES // PART - len(kept)} of {PICTURES // PART} parts to do" in told
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in kept.items())
    agree(results, expected)
    code, told = run(*job)
    assert code == 0 and f"0 of {PICTURES // PART} parts to do" in told, told
    other = tmp_path / "list.txt"
    other.write_text(str(next(iter(expected))))
    for changed in [[golden, other, *job[2:]], [*job[:-1], PART + 1]]:
        code, told = run(*changed)
        assert code == 1 and "choose another folder" in told, told


def test_a_list_gives_the_same_rows_with_one_worker(
    pictures: Path, golden: Path, expected: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    some = dict(list(expected.items())[-120:])
    missing = str(pictures / "zz" / "missing.png")
    listed, results = tmp_path / "list.txt", tmp_path / "results"
    listed.write_text("\n".join([missing, *reversed(some)]) + "\n")
    code, told = run(golden, listed, results, "--workers", 1, "--part", 50)
    assert code == 0, told
    found = rows(results)
    last = found.pop()
    assert (last["image"], last["verdict"], last["score"]) == (missing, "ng", None)
    assert "missing.png" in last["error"]
    assert [row.pop("image") for row in found] == list(some)
    assert found == list(some.values())
    listed.write_text(f"{missing}\n{missing}\n")
    code, told = run(golden, listed, tmp_path / "other")
    assert code == 1 and "twice" in told
