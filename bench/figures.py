"""Figures out of rounds: percentiles, medians with their spread, and the tables they are shown in."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The value that `percent` of `ordered` (smallest first) do not exceed; 0 when there are none."""
    if not ordered:
        return 0.0
    return ordered[max(1, min(len(ordered), round(len(ordered) * percent / 100))) - 1]


@dataclass(frozen=True)
class Spread:
    """One figure over all rounds."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))

    def text(self, digits: int = 0) -> str:
        return f"{self.median:,.{digits}f} ({self.lowest:,.{digits}f} to {self.highest:,.{digits}f})"

    def as_json(self) -> dict[str, float]:
        return {name: round(value, 3) for name, value in vars(self).items()}


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned columns, the first row as their heads; the first column to the left, figures to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(map(aligned, row, widths, range(len(row)))) for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def aligned(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if column else cell.ljust(width)
