"""What a rally costs, pure. The price is never stored: it follows from the sealed tiers and from how many have joined.

A join may set a limit: "only if the price falls to X". It accepts every tier at X or below; its *level* is the first of them,
and a join without a limit has level 0. A tier is reached when the joins that accept its price are as many as it asks for, and
the price is that of the last tier reached: the lowest price at which everybody counted for it pays it. So a join with a limit
helps to reach the prices it accepts and no others, and nobody is counted who will not pay.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from django.utils.translation import gettext as _
from msgspec import Struct

TIERS_MAX = 12


class PriceTier(Struct, frozen=True, gc=False):
    """From `from_count` joiners (or units) on, a unit costs `price_minor`."""

    from_count: int
    price_minor: int


def check_tiers(tiers: Sequence[PriceTier]) -> str | None:
    """Why these tiers are no staircase down, as a sentence; None when they are."""
    if not 1 <= len(tiers) <= TIERS_MAX:
        return _("A rally has 1 to {tiers_max} price tiers.").format(tiers_max=TIERS_MAX)
    if tiers[0].from_count != 1:
        return _("The first tier starts with the first joiner.")
    if any(tier.price_minor <= 0 for tier in tiers):
        return _("Every price must be above zero.")
    steps = list(pairwise(tiers))
    if any(later.from_count <= earlier.from_count for earlier, later in steps):
        return _("Each tier must ask for more than the one before.")
    if any(later.price_minor >= earlier.price_minor for earlier, later in steps):
        return _("Each tier must be cheaper than the one before.")
    return None


def level_of(tiers: Sequence[PriceTier], only_at_or_below: int | None) -> int | None:
    """The first tier that a join with this limit (minor units a unit) accepts; None when the price never falls that low."""
    if only_at_or_below is None:
        return 0
    return next((level for level, tier in enumerate(tiers) if tier.price_minor <= only_at_or_below), None)


def crowds(counts_by_level: Sequence[int]) -> list[int]:
    """For each tier, how many accept its price, from how many joined at each level."""
    return list(accumulate(counts_by_level))


def reached(tiers: Sequence[PriceTier], counts_by_level: Sequence[int]) -> int:
    """The last tier that enough have joined for; the first when none has."""
    accepting = crowds(counts_by_level)
    levels = [level for level, tier in enumerate(tiers) if accepting[level] >= tier.from_count]
    return levels[-1] if levels else 0
