"""The parts of an inspection that hold values only. The native part makes them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Region:
    """A region above the threshold, in pixels of the picture."""

    x: int
    """The left edge."""
    y: int
    """The top edge."""
    width: int
    """The number of columns of the bounding box."""
    height: int
    """The number of rows of the bounding box."""
    area: int
    """The number of pixels of the region."""
    peak: float
    """The largest value of the map in the region."""
    area_mm2: float | None = None
    """The area in square millimetres, where the size of a pixel is known."""
    zone: str | None = None
    """The zone that the region lies in."""
    counts: bool | None = None
    """Whether the region counts, where the template has rules."""


@dataclass(frozen=True)
class DecidedBy:
    """The rule that decided, and where."""

    rule: str
    """``threshold``, ``zone``, ``area``, ``count`` or ``not-a-number``."""
    limit: float
    """The threshold that was applied there."""
    zone: str | None
    """The zone of the region that decided."""
    region: int | None
    """The index of the region that decided."""
    counting: int
    """How many regions count."""


@dataclass(frozen=True)
class Peak:
    """The place that the score comes from, in pixels of the picture."""

    x: int
    y: int
    value: float
