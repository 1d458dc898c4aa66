"""What is printed: a budget beside what was measured, one line each."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from os import cpu_count, getloadavg
from pathlib import Path
from statistics import median

HEADER = ("what", "budget", "measured", "verdict")
WIDTHS = (66, 26, 70)  # the last column has what is left


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report."""

    what: str
    budget: str
    measured: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Budget:
    """What is promised of one thing."""

    what: str
    limit: str

    def row(self, measured: str, *, within: bool) -> Row:
        """It was measured."""
        return Row(self.what, self.limit, measured, "ok" if within else "over")

    def broke(self, how: str) -> Row:
        """The bench failed: that says nothing of what it was to measure."""
        return Row(self.what, self.limit, "-", f"broke: {how}")

    def not_yet(self, why: str) -> Row:
        """It was not."""
        return Row(self.what, self.limit, "-", f"not yet: {why}")


def line(cells: Sequence[str]) -> str:
    """Cells in columns."""
    padded = [cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=False)]
    return " | ".join((*padded, cells[-1]))


def row_line(row: Row) -> str:
    """One row in columns."""
    return line((row.what, row.budget, row.measured, row.verdict))


def machine() -> str:
    """What the figures were measured on, and how busy it was with other things."""
    models = [text for text in Path("/proc/cpuinfo").read_text().splitlines() if text.startswith("model name")]
    model = models[0].partition(":")[2].strip() if models else platform.machine()
    load = f"load {getloadavg()[0]:.1f} before"
    return f"{model}, {cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}, {load}"


def per_cent(share: float) -> str:
    """0.0213 -> "2.13 %"."""
    return f"{100 * share:.2f} %"


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that so many of all do not exceed; raises ValueError for none."""
    if not values:
        raise ValueError("nothing was measured")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def middle(values: Sequence[float]) -> str:
    """The median and the ends: "12.3 (11.9 to 14.0)"."""
    return f"{median(values):.3g} ({min(values):.3g} to {max(values):.3g})"
