"""Columns over time, as rectangles in a picture of 100 by 100: numbers only, for `templates/parts/_columns.html`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

GAP = 0.2  # of a column's place


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle. `part` says which of the column's numbers it is, from 1; 0 hangs below the line."""

    part: int
    x: str
    y: str
    width: str
    height: str


@dataclass(frozen=True, slots=True)
class Columns:
    """`ground` is where the line lies on which the columns stand."""

    bars: list[Bar]
    ground: str
    highest: int


def columns(stacks: Sequence[Sequence[int]], below: Sequence[int] = ()) -> Columns:
    """A column for each stack of numbers, one upon the other, and the numbers `below` the line; none is negative."""
    highest = max((sum(stack) for stack in stacks), default=0)
    deepest = max(below, default=0)
    scale, place = 100 / max(highest + deepest, 1), 100 / max(len(stacks), 1)
    ground = 100 - deepest * scale
    bars = []
    for number, stack in enumerate(stacks):
        x, top = place * (number + GAP / 2), ground
        for part, value in enumerate(stack, start=1):
            top -= value * scale
            if value:
                bars.append(_bar(part, x, top, place, value * scale))
        if number < len(below) and below[number]:
            bars.append(_bar(0, x, ground, place, below[number] * scale))
    return Columns(bars, _said(ground), highest)


def _bar(part: int, x: float, y: float, place: float, height: float) -> Bar:
    return Bar(part, _said(x), _said(y), _said(place * (1 - GAP)), _said(height))


def _said(value: float) -> str:
    return f"{value:.2f}"


def line(values: Sequence[int]) -> str:
    """Points of a line from the left to the right, whose highest lies at the top."""
    highest, steps = max(values, default=0) or 1, max(len(values) - 1, 1)
    return " ".join(
        f"{100 * number / steps:.2f},{100 * (1 - value / highest):.2f}" for number, value in enumerate(values)
    )
