"""A rally's price tiers drawn as a staircase, and its history as lines: numbers only, in hundredths of the picture's size.

Every step is equally wide, because tiers at 1, 10 and 1,000 joiners would leave nothing to see on a true scale; within a step the
crowd stands in proportion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.money import Money, share_bps
from rallies.pricing import PriceTier
from rallies.values import Counts, crowd_at

# Where the dearest step lies and where a free one would, with air for the marker above and the words below.
TOP = 20.0
BOTTOM = 74.0
GROUND = 84.0
LABELS_MAX = 5  # more prices than this do not fit beside each other on a phone


@dataclass(frozen=True, slots=True)
class Step:
    """A tier, its rectangle, and where it stands: "reached", "now", "next", "ahead", or just "drawn"."""

    level: int
    from_count: int
    price: Money
    standing: str
    x: str
    y: str
    width: str
    height: str
    middle: str


@dataclass(frozen=True, slots=True)
class Stairs:
    steps: list[Step]
    marker_x: str
    marker_y: str

    @property
    def has_labels(self) -> bool:
        return len(self.steps) <= LABELS_MAX


def draw(tiers: Sequence[PriceTier], currency: str, frame: Mapping[str, Any] | None = None) -> Stairs:
    """`frame` says where the crowd stands; without one it is at the foot of the stairs."""
    level = frame["level"] if frame else 0
    steps = [_step(number, tier, tiers, currency, level if frame else None) for number, tier in enumerate(tiers)]
    width = 100 / len(tiers)
    marker_x = width * (level + _share_of_step(tiers, level, frame["count"] if frame else 0))
    return Stairs(steps, _percent(marker_x), steps[level].y)


def _step(number: int, tier: PriceTier, tiers: Sequence[PriceTier], currency: str, level: int | None) -> Step:
    width = 100 / len(tiers)
    y = TOP + (BOTTOM - TOP) * (1 - tier.price_minor / tiers[0].price_minor)
    return Step(
        level=number, from_count=tier.from_count, price=Money(tier.price_minor, currency), standing=_standing(number, level),
        x=_percent(width * number), y=_percent(y), width=_percent(width), height=_percent(GROUND - y),
        middle=_percent(width * (number + 0.5)),
    )  # fmt: skip


def _standing(number: int, level: int | None) -> str:
    if level is None:
        return "drawn"
    if number > level + 1:
        return "ahead"
    return "reached" if number < level else "now" if number == level else "next"


def _share_of_step(tiers: Sequence[PriceTier], level: int, count: int) -> float:
    """How far along its step the crowd is, 0 to 1. The last step has no end, so there it stands in the middle."""
    if level + 1 == len(tiers):
        return 0.5
    # The first step begins with nobody, not with the first joiner: somebody who is there must be seen to be.
    start = tiers[level].from_count if level else 0
    return min(max((count - start) / (tiers[level + 1].from_count - start), 0.0), 1.0)


def _percent(share: float) -> str:
    return f"{share:.2f}%"


@dataclass(frozen=True, slots=True)
class TierSums:
    """What a rally comes to if it ends with just as many as a tier asks for, one unit each."""

    step: Step
    gross: Money
    fee: Money
    rest: Money  # the seller's


def tier_sums(stairs: Stairs, *, fee_bps: int) -> list[TierSums]:
    rows = []
    for step in stairs.steps:
        gross = step.price * step.from_count
        # The fee is rounded down for each join, as settling does it.
        fee = Money(share_bps(step.price.minor, fee_bps) * step.from_count, gross.currency)
        rows.append(TierSums(step, gross, fee, gross - fee))
    return rows


@dataclass(frozen=True, slots=True)
class History:
    """The crowd and the price over time, as points of two lines in a box of 100 by 100."""

    crowd: str
    price: str
    most: int
    joiners: int
    first: Money
    last: Money


def history(
    tiers: Sequence[PriceTier],
    currency: str,
    changes: Sequence[tuple[int, int, int, int]],
    *,
    slots: int,
    counts_units: bool,
) -> History | None:
    """From (slot, level, joiners, units); None while nobody has come."""
    if not changes:
        return None
    counts = Counts.of(tiers, 0, 0)
    crowds = [crowd_at(tiers, counts, counts_units=counts_units)]
    by_slot: dict[int, list[tuple[int, int, int]]] = {}
    for slot, level, joiners, units in changes:
        by_slot.setdefault(slot, []).append((level, joiners, units))
    for slot in range(slots):
        for change in by_slot.get(slot, []):
            counts.add(*change)
        crowds.append(crowd_at(tiers, counts, counts_units=counts_units))
    most = max(max(crowd.joiners for crowd in crowds), 1)
    highest = tiers[0].price_minor
    return History(
        crowd=_line([(number / slots, crowd.joiners / most) for number, crowd in enumerate(crowds)]),
        price=_line([(number / slots, crowd.price_minor / highest) for number, crowd in enumerate(crowds)]),
        most=most,
        joiners=crowds[-1].joiners,
        first=Money(highest, currency),
        last=Money(crowds[-1].price_minor, currency),
    )


def _line(points: Sequence[tuple[float, float]]) -> str:
    """Steps, not slopes: a price does not fall between two joins. (0, 0) is the lower left corner."""
    drawn = []
    before = None
    for x, y in points:
        if before is not None and before != y:
            drawn.append(f"{x * 100:.1f},{100 - before * 100:.1f}")
        drawn.append(f"{x * 100:.1f},{100 - y * 100:.1f}")
        before = y
    return " ".join(drawn)
