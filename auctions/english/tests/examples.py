"""Lots, fans and bids to test with. Amounts are minor units; times are seconds after the lot opens, or texts as 14:57:00.000."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from itertools import count
from typing import Any
from uuid import UUID

from auctions.bidders import Bidder
from auctions.english.lot import opening
from auctions.english.rules import decide
from auctions.english.steps import Step
from auctions.english.values import Bid, BuyNow, Cancel, Close, Decision, EnglishTerms, LotState

A, B, C, D = (UUID(int=number) for number in range(0xA, 0xE))
OPENS = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
HOUR = 3_600
RICH = 10**13

# As eBay's page of bid increments has it.
TABLE = tuple(
    Step(*row)
    for row in [
        (0, 5), (100, 25), (500, 50), (2_500, 100), (10_000, 250), (25_000, 500), (50_000, 1_000), (100_000, 2_500),
        (250_000, 5_000), (500_000, 10_000),
    ]
)  # fmt: skip

_ids = count(1)


def at(when: float | str) -> dt.datetime:
    if isinstance(when, str):
        return dt.datetime.combine(OPENS.date(), dt.time.fromisoformat(when), dt.UTC)
    return OPENS + dt.timedelta(seconds=when)


def by_steps_of(step_minor: int) -> tuple[Step, ...]:
    return (Step(0, step_minor),)


def terms(**changed: Any) -> EnglishTerms:
    """From 10.00 by steps of 1.00, three hours, no reserve, no buy-now, no premium, no fee, no extension."""
    usual: dict[str, Any] = {
        "currency": "EUR", "start_minor": 1_000, "steps": by_steps_of(100), "reserve_minor": None, "buy_now_minor": None,
        "opens_at": OPENS, "closes_at": at(3 * HOUR), "hard_end": at(4 * HOUR), "window_s": 0, "extension_s": 0,
        "premium_bps": 0, "fee_bps": 0,
    }  # fmt: skip
    return EnglishTerms(**(usual | changed))


def bidder(available_minor: int = RICH, *, is_linked: bool = False, is_suspended: bool = False) -> Bidder:
    return Bidder(is_linked=is_linked, is_suspended=is_suspended, available_minor=available_minor)


def new_id() -> UUID:
    return UUID(int=next(_ids))


def bid(fan: UUID, max_minor: int, when: float | str = 60, by: Bidder | None = None) -> Bid:
    return Bid(new_id(), fan, at(when), by or bidder(), max_minor)


def buy_now(fan: UUID, when: float | str = 60, by: Bidder | None = None) -> BuyNow:
    return BuyNow(new_id(), fan, at(when), by or bidder())


def close(when: float | str = 3 * HOUR) -> Close:
    return Close(new_id(), at(when))


def cancel(when: float | str = 60) -> Cancel:
    return Cancel(new_id(), at(when))


def play(of: EnglishTerms, commands: Iterable[Any]) -> tuple[LotState, list[Decision]]:
    """The lot after all of these, none of which may be refused, and what each decided."""
    state, decisions = opening(of), []
    for command in commands:
        decisions.append(decide(of, state, command))
        state = decisions[-1].state
    return state, decisions


def after(of: EnglishTerms, *commands: Any) -> LotState:
    return play(of, commands)[0]
