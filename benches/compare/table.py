"""The table of a comparison, as Markdown."""
import math
from dataclasses import dataclass

from rounds import Measured


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
    """The table, ratios first."""
    lines = ["| what | against | threads | times faster | this program | the other |",
             "| --- | --- | ---: | ---: | ---: | ---: |"]
    lines += [f"| {r.what} | {r.against} | {r.threads} | **{figure(r.times_faster)}** | {cell(r.ours, r.unit)} "
              f"| {cell(r.theirs, r.unit)} |" for r in rows]
    return "\n".join(lines) + "\n"
