"""A rally's price tiers drawn as a staircase, and its history as lines: numbers only, in hundredths of the picture's size.

A step is as wide as the crowd that it takes to the next one, and no narrower than can be seen: tiers at 1, 10 and 1,000 joiners
would leave nothing of the first two. Within a step the crowd stands in proportion.
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
# No step is narrower than this, nor than half of an equal share where there are many.
NARROWEST = 9.0
# Where words must fit: how many small letters the whole picture is wide, at the least.
PHONE, DESK = 52.0, 72.0
BOLD = 1.2  # so many of those is a letter of a price wide
GAP = 0.5


@dataclass(frozen=True, slots=True)
class Step:
    """A tier, its rectangle, and where it stands: "reached", "now", "next", "ahead", or just "drawn"."""

    level: int
    from_count: int
    price: Money
    standing: str
    need: int  # how many more it takes from its beginning to the next one
    words: str  # where its words fit between the others': "phone" (and wider), "desk", or "" for nowhere
    x: str
    y: str
    width: str
    height: str
    words_x: str
    anchor: str  # which part of its words stands there: "start", "middle" or "end"


@dataclass(frozen=True, slots=True)
class Stairs:
    steps: list[Step]
    marker_x: str
    marker_y: str


def draw(tiers: Sequence[PriceTier], currency: str, frame: Mapping[str, Any] | None = None) -> Stairs:
    """`frame` says where the crowd stands; without one it is at the foot of the stairs."""
    level = frame["level"] if frame else 0
    needs = _needs(tiers)
    widths = _widths(needs)
    lefts = [sum(widths[:number]) for number in range(len(tiers))]
    prices = [Money(tier.price_minor, currency) for tier in tiers]
    # The words below a step are "from" and its count, and in no language longer than in English.
    lengths = [
        max(len(str(price)) * BOLD, len(f"from {tier.from_count}")) for price, tier in zip(prices, tiers, strict=True)
    ]
    anchors = [_anchor(*step) for step in zip(lefts, widths, lengths, strict=True)]
    words = _where_words_fit(anchors, lengths, level)
    steps = []
    for number, tier in enumerate(tiers):
        y = TOP + (BOTTOM - TOP) * (1 - tier.price_minor / tiers[0].price_minor)
        left, width = lefts[number], widths[number]
        steps.append(
            Step(
                level=number, from_count=tier.from_count, price=prices[number], need=needs[number], words=words[number],
                standing=_standing(number, level if frame else None), x=_percent(left), y=_percent(y), width=_percent(width),
                height=_percent(GROUND - y), words_x=_percent(anchors[number][1]), anchor=anchors[number][0],
            )
        )  # fmt: skip
    share = _share_of_step(_start(tiers, level), needs[level], frame["count"] if frame else 0)
    return Stairs(steps, _percent(lefts[level] + widths[level] * share), steps[level].y)


def _start(tiers: Sequence[PriceTier], level: int) -> int:
    """The first step begins with nobody, not with the first joiner: somebody who is there must be seen to be."""
    return tiers[level].from_count if level else 0


def _needs(tiers: Sequence[PriceTier]) -> list[int]:
    """How many each step takes. The last one has no end, and is drawn as wide as the others on average."""
    ends = [tier.from_count for tier in tiers[1:]]
    needs = [end - _start(tiers, level) for level, end in enumerate(ends)]
    return [*needs, -(-ends[-1] // len(ends)) if ends else max(tiers[0].from_count, 1)]


def _widths(needs: Sequence[int]) -> list[float]:
    """In proportion to the needs, but for those that would be too narrow: these are just wide enough, at the others' expense."""
    narrowest = min(NARROWEST, 50 / len(needs))
    narrow: set[int] = set()
    while True:
        rest = 100 - narrowest * len(narrow)
        total = sum(need for number, need in enumerate(needs) if number not in narrow)
        widths = [narrowest if number in narrow else rest * need / total for number, need in enumerate(needs)]
        more = {number for number, width in enumerate(widths) if width < narrowest and number not in narrow}
        if not more:
            return widths
        narrow |= more


def _anchor(left: float, width: float, length: float) -> tuple[str, float]:
    """Words stand above the middle of their step. Those that are wider on a phone begin with it: to the right is air, as it is
    lower there. None stick out of the picture."""
    wide = 100 * length / PHONE
    if wide <= width:
        return "middle", left + width / 2
    return ("start", left) if left + wide <= 100 else ("end", 100.0)


def _where_words_fit(anchors: Sequence[tuple[str, float]], lengths: Sequence[float], level: int) -> list[str]:
    """Where the words of each step fit. The step where the crowd is comes first, then the next one, the last and the first."""
    count = len(anchors)
    order = list(dict.fromkeys([level, min(level + 1, count - 1), count - 1, 0, *range(count)]))
    fits = [""] * count
    for place, wide in (("desk", DESK), ("phone", PHONE)):
        taken: list[tuple[float, float]] = []
        for number in order:
            anchor, x = anchors[number]
            length = lengths[number] + GAP
            left = x * wide / 100 - length * {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor]
            if all(left + length <= start or left >= end for start, end in taken):
                taken.append((left, left + length))
                fits[number] = place
    return fits


def _standing(number: int, level: int | None) -> str:
    if level is None:
        return "drawn"
    if number > level + 1:
        return "ahead"
    return "reached" if number < level else "now" if number == level else "next"


def _share_of_step(start: int, need: int, count: int) -> float:
    """How far along its step the crowd is, 0 to 1. On the last one, which has no end, it comes to its edge and stays there."""
    return min(max((count - start) / need, 0.0), 1.0)


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
