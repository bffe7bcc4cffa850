import os
from collections.abc import Iterable
from typing import Any, Literal, NoReturn, final

import numpy as np
import numpy.typing as npt

from hetmm._errors import DeviceError as DeviceError
from hetmm._errors import Error as Error
from hetmm._errors import ImageError as ImageError
from hetmm._errors import ModelError as ModelError
from hetmm._errors import TemplateError as TemplateError
from hetmm._errors import UnconfirmedError as UnconfirmedError
from hetmm._errors import UsageError as UsageError
from hetmm._records import DecidedBy as DecidedBy
from hetmm._records import Peak as Peak
from hetmm._records import Region as Region

__all__ = [
    "DecidedBy",
    "DeviceError",
    "Error",
    "ImageError",
    "Inspection",
    "Inspector",
    "ModelError",
    "Peak",
    "Region",
    "Template",
    "TemplateError",
    "UnconfirmedError",
    "UsageError",
    "__version__",
    "insert",
    "undo",
]

__version__: str

_Path = str | os.PathLike[str]
_Device = Literal["usual", "int8", "tract", "cpu", "cuda", "tensorrt", "tract-cuda", "auto"]
_Order = Literal["rgb", "bgr"]
_Array = npt.NDArray[Any]

@final
class Template:
    """Holds a template. Several inspectors can share it."""

    def __new__(cls, template: _Path | bytes | Template, /) -> Template: ...
    @property
    def digest(self) -> str:
        """The BLAKE3 of the file, in hexadecimal digits."""
    @property
    def threshold(self) -> float: ...
    def __reduce__(self) -> NoReturn: ...

@final
class Inspector:
    """Inspects pictures with a template. Threads may share it, and their calls share its pool of threads.

    ``threads=0`` means one for each core. ``prove`` computes the golden probes first, and refuses a template whose
    probes differ on this machine. ``any_shape`` accepts pictures of another shape, which are squeezed.
    """

    def __new__(
        cls,
        template: _Path | bytes | Template,
        /,
        *,
        threads: int = 0,
        device: _Device = "usual",
        backbone: _Path | None = None,
        onnxruntime: _Path | None = None,
        prove: bool = True,
        any_shape: bool = False,
    ) -> Inspector: ...
    def inspect(self, picture: _Array | _Path, /, *, order: _Order | None = None) -> Inspection:
        """Inspects an array or a file.

        An array has the shape (rows, columns) or (rows, columns, channels) with 1, 3 or 4 channels, and samples of
        8 or 16 bits at full scale. ``order`` says how colours lie: "bgr" for OpenCV, "rgb" for most others. A fourth
        channel is not read. The array is copied first, so that other threads can change it meanwhile.

        A file is decoded as the programs do. ``order`` must be left out.
        """
    def predict(self, picture: _Array | _Path, /, *, order: _Order | None = None) -> Inspection:
        """Does the same as ``inspect``, under the name that it has in anomalib."""
    def replace(self, template: _Path | bytes | Template, /) -> None:
        """Replaces the template, which is checked first. Running inspections end with the old one.

        If it raises, the old template stays in use.
        """
    @property
    def template(self) -> Template:
        """The template in use."""
    @property
    def generation(self) -> int:
        """How many templates have been in use, including this one."""
    @property
    def extractor(self) -> str:
        """The feature extractor, as in "int8", "tract" or "onnxruntime 1.22.0 cpu"."""
    def __reduce__(self) -> NoReturn: ...

@final
class Inspection:
    """Holds what was found in a picture. It cannot be used as a truth value: compare ``verdict``."""

    @property
    def verdict(self) -> Literal["ok", "review", "ng"]:
        """With "review" a person should look at the part."""
    @property
    def score(self) -> float:
        """How much the picture differs from the good ones, at its worst place. It can be not a number."""
    @property
    def threshold(self) -> float: ...
    @property
    def review(self) -> float:
        """The review threshold. It equals ``threshold`` if the template has none."""
    @property
    def regions(self) -> tuple[Region, ...]:
        """The regions above the threshold. Those that count come first, then the worst."""
    @property
    def decided_by(self) -> DecidedBy: ...
    @property
    def peak(self) -> Peak | None:
        """The place that the score comes from."""
    @property
    def generation(self) -> int:
        """The number of the template that decided; see ``Inspector.generation``."""
    @property
    def map(self) -> npt.NDArray[np.float32]:
        """The blurred anomaly map, (rows, columns) of the network's input, read-only.

        Its largest value is the score. It is minus infinity outside the region of interest.
        """
    @property
    def pred_score(self) -> float:
        """``score``, under anomalib's name. It is not scaled to 0..1, and the limit is ``threshold``, not 0.5."""
    @property
    def pred_label(self) -> bool:
        """True for "review" and "ng"."""
    @property
    def anomaly_map(self) -> npt.NDArray[np.float32]:
        """``map``, under anomalib's name."""
    @property
    def pred_mask(self) -> npt.NDArray[np.bool_]:
        """The pixels of the map that belong to a region above the threshold, and those that are not a number.

        Rules may still tolerate a region. For "review" it can be empty.
        """
    def to_dict(self) -> dict[str, Any]:
        """The object of ``hetmm inspect --json`` without ``image``. A score that is not a number is None."""
    def __bool__(self) -> NoReturn: ...
    def __reduce__(self) -> NoReturn: ...

def insert(
    template: _Path,
    pictures: Iterable[_Path],
    /,
    *,
    who: str = "unknown",
    force: bool = False,
    threads: int = 0,
    device: _Device = "usual",
    backbone: _Path | None = None,
    onnxruntime: _Path | None = None,
    any_shape: bool = False,
) -> dict[str, Any]:
    """Inserts good pictures into a template's file, all or none. Parts like them pass from then on.

    It returns the object of ``hetmm insert --json`` without ``written``. An inspector goes on with the old template
    until ``Inspector.replace``. ``force`` inserts pictures that look like defects, too.
    """

def undo(template: _Path, entry: int | None = None, /) -> dict[str, Any]:
    """Takes back entry ``entry`` of the journal and all later ones; the last one if it is left out.

    Thresholds and rules that were set since then are taken back, too.
    """
