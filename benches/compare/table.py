"""The table of a comparison, as Markdown."""
import math
from dataclasses import dataclass

from rounds import Measured


@dataclass(frozen=True)
class PeerRow:
    """One program on one data set. `measured` is in milliseconds, `peak` in bytes; `auroc`, from 0 to 1, and
    `build_s`, in seconds, are None for a backbone alone."""
    data: str
    name: str
    measured: Measured
    peak: int
    auroc: float | None
    build_s: float | None


@dataclass(frozen=True)
class Row:
    """One comparison: what this program does, against what, in `unit`."""
    what: str
    against: str
    threads: int
    ours: Measured
    theirs: Measured
    unit: str

    @property
    def times_faster(self):
        """Ratio of the medians: above 1, this program is faster."""
        if self.unit.endswith("/s"):
            return self.ours.median / self.theirs.median
        return self.theirs.median / self.ours.median


def figure(value):
    """Three significant digits, without an exponent."""
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}" if value > 0 else "0"


def cell(measured, unit):
    """Median, and least to largest over the rounds."""
    return f"{figure(measured.median)} {unit} ({figure(measured.least)} to {figure(measured.most)})"


def markdown(rows):
    """The tables of both kinds of rows, where there are some."""
    tables = [make(some) for make, kind in ((comparisons, Row), (peers, PeerRow))
              if (some := [row for row in rows if isinstance(row, kind)])]
    return "\n".join(tables)


def peers(rows):
    """One line for each program; times as often as the first program of the same data set has its time."""
    lines = ["| data | program | ms a picture | times the first | memory, MB | image AUROC, % | build, s |",
             "| --- | --- | ---: | ---: | ---: | ---: | ---: |"]
    first = {row.data: row.measured.median for row in reversed(rows)}
    for row in rows:
        times = figure(row.measured.median / first[row.data])
        auroc = "" if row.auroc is None else f"{100 * row.auroc:.1f}"
        build = "" if row.build_s is None else f"{row.build_s:.0f}"
        lines.append(f"| {row.data} | {row.name} | {span(row.measured)} | {times} | {row.peak / 1e6:.0f} | {auroc} "
                     f"| {build} |")
    return "\n".join(lines) + "\n"


def span(measured):
    """Median, and least to largest over the rounds, without the unit."""
    return f"{figure(measured.median)} ({figure(measured.least)} to {figure(measured.most)})"


def comparisons(rows):
    """The table of comparisons, ratios first."""
    lines = ["| what | against | threads | times faster | this program | the other |",
             "| --- | --- | ---: | ---: | ---: | ---: |"]
    lines += [f"| {r.what} | {r.against} | {r.threads} | **{figure(r.times_faster)}** | {cell(r.ours, r.unit)} "
              f"| {cell(r.theirs, r.unit)} |" for r in rows]
    return "\n".join(lines) + "\n"
