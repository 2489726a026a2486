"""Whom a lot is offered to when its auction sold it to nobody, pure. Whoever takes the offer needs a new hold."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from auctions.english.values import UNSOLD, AcceptedBid, EnglishTerms, LotState

OFFERED_FOR = dt.timedelta(hours=24)


class SecondChance(Struct, frozen=True, gc=False):
    """The lot for one fan, at this price (minor units), until then."""

    fan_id: UUID
    price_minor: int
    until: dt.datetime


def after_unsold(terms: EnglishTerms, state: LotState, at: dt.datetime) -> SecondChance | None:
    """Whoever led may have it at the reserve that they did not reach; None when nobody bid."""
    if state.state != UNSOLD or state.leader is None:
        return None
    assert terms.reserve_minor is not None  # without one it would have been sold
    return SecondChance(state.leader, terms.reserve_minor, at + OFFERED_FOR)


def after_void(log: Sequence[AcceptedBid], winner: UUID, at: dt.datetime) -> SecondChance | None:
    """When staff void a sale: the underbidder, at their own best maximum; the earlier of equals. None when nobody else bid."""
    others = [line for line in log if line.fan_id != winner]
    if not others:
        return None
    best = max(others, key=lambda line: (line.max_minor, -line.seq))
    return SecondChance(best.fan_id, best.max_minor, at + OFFERED_FOR)
