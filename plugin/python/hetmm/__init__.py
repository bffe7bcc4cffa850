"""Visual inspection from good pictures alone: compare pictures with a template of hetmm."""

from hetmm._errors import (
    DeviceError,
    Error,
    ImageError,
    ModelError,
    TemplateError,
    UnconfirmedError,
    UsageError,
)
from hetmm._native import Inspection, Inspector, Template, __version__, insert, undo
from hetmm._records import DecidedBy, Peak, Region

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
