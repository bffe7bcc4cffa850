"""The exceptions of hetmm. The native part raises them."""

from __future__ import annotations


class Error(Exception):
    """Says what failed, why, and what to do next. A part whose inspection failed must be rejected."""

    kind: str
    what: str
    next_step: str | None

    def __init__(self, kind: str, what: str, next_step: str | None = None) -> None:
        super().__init__(what if next_step is None else f"{what}\n  -> {next_step}")
        self.kind = kind
        self.what = what
        self.next_step = next_step

    def __reduce__(self) -> tuple[type[Error], tuple[str, str, str | None]]:
        return type(self), (self.kind, self.what, self.next_step)


class UsageError(Error, ValueError):
    """An argument cannot be used."""


class ImageError(Error):
    """A picture cannot be used."""


class TemplateError(Error):
    """A template is damaged, too new, or made for something else."""


class ModelError(Error):
    """The backbone cannot be used, the feature extractor failed, or hetmm has a fault of its own."""


class DeviceError(Error, OSError):
    """A file, a device or the memory failed."""


class UnconfirmedError(Error):
    """A picture looks like a defect, and ``force`` is not set."""
