"""The example agrees with `hetmm eval`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import EXAMPLES, run_python

import hetmm


@pytest.mark.parametrize("name", ["part", "golden"])
def test_the_auroc_is_that_of_the_tool(
    program: str, demo: Path, golden: Path, tmp_path: Path, name: str
) -> None:
    """The demo's template separates all parts. The golden one knows nothing of them, so its figure is between."""
    template = {"part": demo / "part.hetmm", "golden": golden}[name]
    scores = tmp_path / "scores.tsv"
    told = subprocess.run(
        [program, "eval", template, demo / "parts", "--scores", scores], capture_output=True, text=True, check=True
    ).stdout
    done = subprocess.run(
        [sys.executable, EXAMPLES / "auroc.py", template, demo / "parts" / "test"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    want = re.search(r"image AUROC +([\d.]+) %", told)
    got = re.search(r"image AUROC ([\d.]+) %", done.stdout)
    assert want and got and got[1] == want[1]
    assert (got[1] == "100.00") == (name == "part"), got[1]
    inspector = hetmm.Inspector(template)
    lines = [line.split("\t") for line in scores.read_text().splitlines()]
    compared = 0
    for _, score, path in lines:
        if path.endswith(".png"):
            file = Path(path) if Path(path).is_absolute() else demo / "parts" / path
            assert inspector.inspect(file).score == pytest.approx(float(score), abs=1e-6), path
            compared += 1
    assert compared == 44


def test_the_example_of_the_readme_prints_what_it_says(demo: Path) -> None:
    text = (EXAMPLES.parent / "README.md").read_text("utf-8")
    [code] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    said = re.findall(r"print\(.*\) +# (.*)", code)[:2] + ["reject the part"]
    done = run_python(code.replace("hetmm-demo", str(demo)))
    assert done.stderr == "" and done.stdout.splitlines() == said, done.stderr
