"""What one join comes to in money, pure: for answers, pages and receipts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.money import Money
from rallies.pricing import PriceTier
from rallies.values import JOINED, PAID, REFUNDED


@dataclass(frozen=True, slots=True)
class JoinSums:
    """All but `ceiling` are totals over the join's units. None: not to be told yet, or not any more."""

    ceiling: Money  # the most that a unit can cost
    held: Money  # set aside in the wallet now
    pays_now: Money | None  # if the rally ended now; None also while the fan's limit is not reached
    paid: Money | None  # taken at the end, also if it was refunded since
    released: Money | None  # of what was held, what the wallet has back
    saved: Money | None  # against the first tier's price: now, or at the end


def sums_of(
    tiers: Sequence[PriceTier], currency: str, *, quantity: int, level: int, state: str, crowd_level: int
) -> JoinSums:
    """`level` is the join's, `crowd_level` that of the price now; after the end that is the final price."""
    held_minor = tiers[level].price_minor * quantity
    at_crowd = Money(tiers[crowd_level].price_minor * quantity, currency)
    saved = Money(tiers[0].price_minor * quantity, currency) - at_crowd
    nothing = Money(0, currency)
    ceiling = Money(tiers[level].price_minor, currency)
    if state == JOINED:
        counts = level <= crowd_level
        held = Money(held_minor, currency)
        return JoinSums(ceiling, held, at_crowd if counts else None, None, None, saved if counts else None)
    if state in (PAID, REFUNDED):
        return JoinSums(ceiling, nothing, None, at_crowd, Money(held_minor, currency) - at_crowd, saved)
    return JoinSums(ceiling, nothing, None, None, Money(held_minor, currency), None)
