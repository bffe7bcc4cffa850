"""Insertions, and how they are taken back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import hetmm


@pytest.fixture
def template(demo: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(demo / "part.hetmm", tmp_path / "part.hetmm"))


def test_an_insertion_changes_the_file_and_undo_brings_it_back(template: Path, demo: Path) -> None:
    before = template.read_bytes()
    part = demo / "parts" / "test" / "good" / "003.png"
    inspector = hetmm.Inspector(template)
    old = inspector.inspect(part)
    done = hetmm.insert(template, [part], who="Keller")
    [entry] = done["images"]
    assert entry["entry"] == 1 and entry["prototypes"] > 0 and entry["image"] == str(part)
    assert entry["score_before"] == pytest.approx(old.score) and entry["score_after"] < entry["score_before"]
    assert inspector.inspect(part).score == old.score, "the inspector goes on with its own template"
    inspector.replace(template)
    assert inspector.inspect(part).score == pytest.approx(entry["score_after"], abs=1e-5)
    assert b"Keller" in template.read_bytes()
    assert hetmm.insert(str(template), iter([part]))["known"] == [str(part)]
    undone = hetmm.undo(template)
    assert undone["entries"] == [1] and undone["threshold"] == undone["threshold_before"]
    assert template.read_bytes() == before
    with pytest.raises(hetmm.UsageError, match="nothing was inserted"):
        hetmm.undo(template)


def test_a_picture_that_looks_like_a_defect_needs_force(template: Path, demo: Path) -> None:
    before = template.read_bytes()
    defect = demo / "parts" / "test" / "missing-screw" / "000.png"
    with pytest.raises(hetmm.UnconfirmedError) as caught:
        hetmm.insert(template, [defect])
    assert caught.value.kind == "unconfirmed"
    assert "force=True" in str(caught.value.next_step) and "--" not in str(caught.value)
    assert template.read_bytes() == before
    assert hetmm.insert(template, [defect], force=True)["images"][0]["entry"] == 1
    with pytest.raises(hetmm.UsageError, match="no entry 7"):
        hetmm.undo(template, 7)
    assert hetmm.undo(template, 1)["entries"] == [1]
    assert template.read_bytes() == before


def test_pictures_that_cannot_be_read_change_nothing(template: Path, demo: Path, tmp_path: Path) -> None:
    before = template.read_bytes()
    good = demo / "parts" / "test" / "good" / "003.png"
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    with pytest.raises(hetmm.ImageError, match="broken.png"):
        hetmm.insert(template, [broken])
    with pytest.raises(hetmm.Error, match="broken.png") as caught:
        hetmm.insert(template, [good, broken, good.with_name("none.png")])
    assert caught.value.next_step == "mend or remove them"
    for given in [str(good), good]:
        with pytest.raises(TypeError, match="list of paths"):
            hetmm.insert(template, given)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        hetmm.insert(template, [3])  # type: ignore[list-item]
    with pytest.raises(hetmm.DeviceError):
        hetmm.insert(tmp_path / "none.hetmm", [good])
    assert template.read_bytes() == before
