"""The demo's rallies."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from uuid import UUID

from core import clock
from core.ids import uuid7
from rallies import services
from rallies.hot import JoinIn, join_command
from rallies.pricing import PriceTier
from sales import showing
from sales.placing import Asked
from sales.showing import Shops, Shown

HOUR = dt.timedelta(hours=1)
RUNNING, RUNNING_FANS = Shown(
    "kiln-nine", "Storm lantern, group kiln",
    "The kiln costs the same whether it is full or not. The more of you there are, the less each lantern costs.",
    8 * HOUR,
    {
        "tiers": (
            PriceTier(1, 10_000), PriceTier(25, 8_800), PriceTier(50, 7_600), PriceTier(100, 6_400), PriceTier(200, 5_200),
        ),
        "minimum": 10, "limit_per_fan": 3,
    },
    picture="lantern.jpg", shows="A stoneware lantern whose light falls through rows of round holes",
), 43  # fmt: skip
PAST, PAST_FANS = Shown(
    "northlight", "Field notebook, bulk binding",
    "Bound when enough of you had come together, at the price that the crowd had earned.",
    HOUR,
    {
        "tiers": (PriceTier(1, 2_400), PriceTier(20, 1_900), PriceTier(60, 1_400)),
        "minimum": 20, "limit_per_fan": 2, "cap_units": 120, "late_joins": True,
    },
    picture="notebook.jpg", shows="Three cloth-bound notebooks in a stack, with a yellow pencil on top",
), 72  # fmt: skip


def load(shops: Shops) -> Iterator[str]:
    """Bring the demo's rallies up to date; yields a line for each thing done."""
    if not RUNNING.is_running(shops):
        _open(shops, RUNNING, RUNNING_FANS)
        yield f"opened {RUNNING.title}, with {RUNNING_FANS} fans in it"
    if not PAST.has_been(shops):
        showing.end(_open(shops, PAST, PAST_FANS))
        yield f"settled {PAST.title} for {PAST_FANS} fans"


def _open(shops: Shops, rally: Shown, fans: int) -> UUID:
    """With some fans in it. Every tenth joins only for a tier's price further down."""
    sale_id = rally.open(shops, services.open_rally)
    tiers, limit, invite = rally.terms["tiers"], rally.terms["limit_per_fan"], ""
    for number, fan_id in enumerate(showing.fans_with(tiers[0].price_minor * limit, count=fans)):
        only = tiers[-2].price_minor if number % 10 == 9 else None
        asked = Asked(fan_id, uuid7(), clock.now(), JoinIn(1 + number % limit, only, invite))
        joined = services.join_rally(sale_id, join_command(asked))
        # Every eighth fan brings the next ones.
        invite = joined.invite_code if number % 8 == 0 else invite
    return sale_id
