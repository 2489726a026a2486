"""The demo's rallies."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from core import clock
from core.ids import uuid7
from rallies import services
from rallies.hot import JoinIn, join_command
from rallies.pricing import PriceTier
from sales import showing
from sales.placing import Asked
from sellers.models import Seller


@dataclass(frozen=True, slots=True)
class DemoRally:
    """A rally with some fans in it. Every tenth joins only for a tier's price further down."""

    shop: str
    title: str
    story: str
    tiers: tuple[PriceTier, ...]
    minimum: int
    open_for: dt.timedelta
    fans: int
    limit: int = 1
    cap: int | None = None
    late_joins: bool = False


RUNNING = DemoRally(
    "kiln-nine", "Storm lantern, group kiln",
    "The kiln costs the same whether it is full or not. The more of you there are, the less each lantern costs.",
    tiers=(
        PriceTier(1, 10_000), PriceTier(25, 8_800), PriceTier(50, 7_600), PriceTier(100, 6_400), PriceTier(200, 5_200),
    ),
    minimum=10, limit=3, open_for=dt.timedelta(hours=8), fans=43,
)  # fmt: skip
PAST = DemoRally(
    "northlight", "Field notebook, bulk binding",
    "Bound when enough of you had come together, at the price that the crowd had earned.",
    tiers=(PriceTier(1, 2_400), PriceTier(20, 1_900), PriceTier(60, 1_400)),
    minimum=20, limit=2, open_for=dt.timedelta(hours=1), fans=72, cap=120, late_joins=True,
)  # fmt: skip


def load(shops: Mapping[str, Seller]) -> Iterator[str]:
    """Bring the demo's rallies up to date; yields a line for each thing done."""
    if not showing.is_running(shops[RUNNING.shop], RUNNING.title):
        _open(shops[RUNNING.shop], RUNNING)
        yield f"opened {RUNNING.title}, with {RUNNING.fans} fans in it"
    if not showing.sales_of(shops[PAST.shop], PAST.title).exists():
        showing.end(shops[PAST.shop], _open(shops[PAST.shop], PAST))
        yield f"settled {PAST.title} for {PAST.fans} fans"


def _open(shop: Seller, rally: DemoRally) -> UUID:
    draft = showing.draft_of(shop, rally.title, rally.story, open_for=rally.open_for)
    services.open_rally(
        draft, tiers=rally.tiers, minimum=rally.minimum, cap_units=rally.cap, limit_per_fan=rally.limit,
        late_joins=rally.late_joins,
    )  # fmt: skip
    invite = ""
    for number, fan_id in enumerate(showing.fans_with(rally.tiers[0].price_minor * rally.limit, count=rally.fans)):
        only = rally.tiers[-2].price_minor if number % 10 == 9 else None
        asked = Asked(fan_id, uuid7(), clock.now(), JoinIn(1 + number % rally.limit, only, invite))
        joined = services.join_rally(draft.sale_id, join_command(asked))
        # Every eighth fan brings the next ones.
        invite = joined.invite_code if number % 8 == 0 else invite
    return draft.sale_id
