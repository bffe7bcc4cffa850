"""What the tests share: the smallest template of the project, the pictures of the demo, and the programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hetmm

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests" / "golden" / "template_v1.hetmm"
EXAMPLES = ROOT / "plugin" / "python" / "examples"


@pytest.fixture(scope="session")
def golden() -> Path:
    return GOLDEN


@pytest.fixture(scope="session")
def inspector() -> hetmm.Inspector:
    return hetmm.Inspector(GOLDEN, threads=1)


@pytest.fixture(scope="session")
def picture() -> np.ndarray:
    """64 x 64 pixels of three 8-bit samples, all colours different."""
    return np.random.default_rng(7).integers(0, 256, (64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def program() -> str:
    found = os.environ.get("HETMM") or shutil.which("hetmm")
    if not found:
        pytest.fail("the program hetmm is needed: run plugin/python/test.sh, or set HETMM to its path")
    return found


@pytest.fixture(scope="session")
def demo(program: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `hetmm demo`. test.sh has made it already."""
    made = os.environ.get("HETMM_DEMO")
    if made:
        return Path(made)
    folder = tmp_path_factory.mktemp("demo") / "hetmm-demo"
    subprocess.run([program, "demo", "--quiet", "--out", folder], check=True, timeout=600)
    return folder


def run_python(code: str, *arguments: object, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Runs a program of its own, which must end in time. It finds the installed package only, in whatever folder."""
    command = [sys.executable, "-I", "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout)


def same(one: hetmm.Inspection, other: hetmm.Inspection) -> bool:
    """Whether two results are equal bit for bit."""
    dicts = [one.to_dict(), other.to_dict()]
    for values in dicts:
        del values["timing_ms"]
    return dicts[0] == dicts[1] and one.map.tobytes() == other.map.tobytes()
