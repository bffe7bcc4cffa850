"""Every array gives the right picture, or an error that says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import same

import hetmm


def laid_out(picture: np.ndarray) -> dict[str, np.ndarray]:
    """The same pixels as arrays of every kind of memory."""
    rows, columns, channels = picture.shape
    padded = np.full((rows, columns + 5, channels), 77, picture.dtype)
    padded[:, :columns] = picture
    wide = np.full((rows, 2 * columns, channels), 77, picture.dtype)
    wide[:, ::2] = picture
    tall = np.full((2 * rows, columns, channels), 77, picture.dtype)
    tall[::2] = picture
    more = np.full((rows, columns, channels + 2), 77, picture.dtype)
    more[:, :, :channels] = picture
    shifted = np.empty(picture.nbytes + 1, np.uint8)[1:].view(picture.dtype).reshape(picture.shape)
    shifted[:] = picture
    fields = np.zeros((rows, columns, channels), [("gap", np.uint8), ("sample", picture.dtype)])
    fields["sample"] = picture
    read_only = picture.copy()
    read_only.setflags(write=False)
    return {
        "rows with padding": padded[:, :columns],
        "every second column": wide[:, ::2],
        "every second row": tall[::2],
        "some channels": more[:, :, :channels],
        "rows upwards": picture[::-1].copy()[::-1],
        "columns leftwards": picture[:, ::-1].copy()[:, ::-1],
        "channels reversed": picture[..., ::-1].copy()[..., ::-1],
        "all reversed": picture[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1],
        "transposed": picture.transpose(1, 0, 2).copy().transpose(1, 0, 2),
        "planes": picture.transpose(2, 0, 1).copy().transpose(1, 2, 0),
        "Fortran order": np.asfortranarray(picture),
        "not aligned": shifted,
        "a field of records": fields["sample"],
        "read-only": read_only,
        "other byte order": picture.astype(picture.dtype.newbyteorder()),
        "a subclass": picture.view(np.recarray),
    }


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_memory_of_an_array_does_not_matter(
    inspector: hetmm.Inspector, dtype: type, channels: int
) -> None:
    full = np.iinfo(dtype).max
    picture = np.random.default_rng(3).integers(0, full, (40, 40, channels), dtype, endpoint=True)
    plain = inspector.inspect(picture, order="rgb")
    for name, array in laid_out(picture).items():
        np.testing.assert_array_equal(array, picture, name)
        assert same(inspector.inspect(array, order="rgb"), plain), name


def test_orders_and_channels_give_the_same_picture(inspector: hetmm.Inspector, picture: np.ndarray) -> None:
    rgb = inspector.inspect(picture, order="rgb")
    bgr = np.ascontiguousarray(picture[..., ::-1])
    assert same(inspector.inspect(bgr, order="bgr"), rgb)
    assert same(inspector.inspect(picture[..., ::-1], order="bgr"), rgb)
    assert not same(inspector.inspect(bgr, order="rgb"), rgb), "the order matters for this picture"
    fourth = np.full((64, 64, 1), 9, np.uint8)
    assert same(inspector.inspect(np.concatenate([picture, fourth], 2), order="rgb"), rgb)
    assert same(inspector.inspect(np.concatenate([bgr, fourth], 2), order="bgr"), rgb)
    assert same(inspector.predict(picture, order="rgb"), rgb)
    wide, wide_bgr = picture.astype(np.uint16) * 257, bgr.astype(np.uint16) * 257
    sixteen = inspector.inspect(wide, order="rgb")
    assert abs(sixteen.score - rgb.score) < 0.05
    assert same(inspector.inspect(wide_bgr, order="bgr"), sixteen)
    with_fourth = np.concatenate([wide_bgr, fourth.astype(np.uint16)], 2)
    assert same(inspector.inspect(with_fourth, order="bgr"), sixteen)


def test_grey_arrays_need_no_order(inspector: hetmm.Inspector, picture: np.ndarray) -> None:
    grey = picture[:, :, 0]
    plain = inspector.inspect(grey)
    assert same(inspector.inspect(grey[:, :, None]), plain)
    assert same(inspector.inspect(grey, order="bgr"), plain)
    assert same(inspector.inspect(np.repeat(grey[:, :, None], 3, 2), order="rgb"), plain)
    assert same(inspector.inspect(np.broadcast_to(grey[:1], (64, 64))), inspector.inspect(grey[:1].repeat(64, 0)))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((64, 64, 3)), "uint8"),
        (np.full((64, 64, 3), np.nan, np.float32), "uint8"),
        (np.zeros((64, 64), np.float16), "uint8"),
        (np.zeros((64, 64), bool), "uint8"),
        (np.zeros((64, 64), np.int8), "uint8"),
        (np.zeros((64, 64), np.int32), "uint8"),
        (np.zeros((64, 64), np.uint64), "uint8"),
        (np.zeros((64, 64), complex), "uint8"),
        (np.zeros((64, 64), object), "uint8"),
        (np.zeros((64, 64), "S1"), "uint8"),
        (np.zeros((64, 64), "V1"), "uint8"),
        (np.zeros((64, 64, 3), np.uint8), 'order="bgr"'),
        (np.zeros((64, 64, 4), np.uint16), 'order="bgr"'),
        (np.zeros((3, 64, 64), np.uint8), "numpy.moveaxis"),
        (np.zeros((1, 64, 64), np.uint8), "numpy.moveaxis"),
        (np.zeros((5, 64, 64, 3), np.uint8), "one picture at a time"),
        (np.zeros((64, 64, 2), np.uint8), "(rows, columns, 3)"),
        (np.zeros((64, 64, 0), np.uint8), "(rows, columns, 3)"),
        (np.zeros(64, np.uint8), "(rows, columns, 3)"),
        (np.zeros((), np.uint8), "(rows, columns, 3)"),
    ],
)
def test_arrays_that_are_no_picture_say_what_to_do(
    inspector: hetmm.Inspector, array: np.ndarray, words: str
) -> None:
    with pytest.raises(hetmm.UsageError) as caught:
        inspector.inspect(array)
    assert isinstance(caught.value, ValueError)
    assert caught.value.kind == "usage"
    assert words in (caught.value.next_step or "")


@pytest.mark.parametrize(
    "shape",
    [(0, 0), (0, 64), (64, 0), (7, 64), (64, 7, 3), (3, 100, 4), (1, 1), (20_000, 20_000), (2**40, 2**20)],
)
def test_sizes_that_cannot_be_inspected(inspector: hetmm.Inspector, shape: tuple[int, ...]) -> None:
    array = np.broadcast_to(np.zeros((), np.uint8), shape)
    with pytest.raises(hetmm.ImageError, match="pixels are") as caught:
        inspector.inspect(array, order="rgb")
    assert caught.value.next_step


def test_another_shape_is_refused_unless_it_was_asked_for(golden: Path) -> None:
    narrow = np.zeros((64, 200), np.uint8)
    with pytest.raises(hetmm.ImageError, match="another shape"):
        hetmm.Inspector(golden).inspect(narrow)
    squeezed = hetmm.Inspector(golden, any_shape=True).inspect(narrow)
    assert squeezed.map.shape == (64, 64)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "cv2.imread"),
        ([[1, 2], [3, 4]], "numpy.asarray"),
        (b"\x89PNG", "numpy.asarray"),
        (bytearray(64), "numpy.asarray"),
        (np.uint8(3), "numpy.asarray"),
        (3, "numpy.asarray"),
        (np.ma.zeros((64, 64), np.uint8), "filled"),
    ],
)
def test_other_things_are_type_errors(inspector: hetmm.Inspector, given: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        inspector.inspect(given)


@pytest.mark.parametrize("order", ["", "RGB", "rbg", "bgra", "rgb\0"])
def test_other_orders_are_refused(inspector: hetmm.Inspector, picture: np.ndarray, order: Any) -> None:
    with pytest.raises(hetmm.UsageError, match="order="):
        inspector.inspect(picture, order=order)
    with pytest.raises(TypeError):
        inspector.inspect(picture, order=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        inspector.inspect(picture, "rgb")  # type: ignore[call-arg]


def test_opencv_and_files_give_the_same_bits(demo: Path, tmp_path: Path) -> None:
    inspector = hetmm.Inspector(demo / "part.hetmm")
    files = sorted((demo / "parts" / "test").glob("*/00[01].png"))
    assert len(files) == 10
    for file in files:
        array = cv2.imread(str(file))
        assert array is not None
        assert same(inspector.inspect(array, order="bgr"), inspector.inspect(file)), file
    grey, wide = tmp_path / "grey.png", tmp_path / "wide.png"
    numbers = np.random.default_rng(4).integers(0, 65536, (320, 320, 3), np.uint16)
    cv2.imwrite(str(grey), numbers[:, :, 1].astype(np.uint8))
    cv2.imwrite(str(wide), numbers)
    for file in [grey, wide]:
        read = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        assert read is not None
        assert same(inspector.inspect(read, order="bgr"), inspector.inspect(file)), file
