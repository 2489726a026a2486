"""The demo's drops."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from core import clock
from core.errors import Refusal
from core.ids import uuid7
from drops import services
from drops.hot import PlaceOrderIn, order_command
from sales import showing
from sales.placing import Asked
from sellers.models import Seller


@dataclass(frozen=True, slots=True)
class DemoDrop:
    """Times count from now."""

    shop: str
    title: str
    story: str
    price_minor: int
    units: int
    open_for: dt.timedelta
    opens_in: dt.timedelta = dt.timedelta(0)
    limit: int | None = None
    hold_s: int = 0
    cancel_s: int = 0


RUNNING = [
    DemoDrop(
        "northlight", "Aurora risograph, first edition",
        "Three colours on recycled stock. Every sheet is numbered; when they are gone they are gone.",
        price_minor=2_400, units=120, limit=2, open_for=dt.timedelta(hours=6), cancel_s=600,
    ),
    DemoDrop(
        "kiln-nine", "Tide bowl, ash glaze",
        "Thrown in one sitting. You can hold one for two minutes while you make up your mind.",
        price_minor=5_800, units=40, limit=1, hold_s=120, open_for=dt.timedelta(hours=3),
    ),
    DemoDrop(
        "kiln-nine", "Moon jar, November firing",
        "Eight jars came out of the kiln whole.",
        price_minor=14_000, units=8, limit=1, opens_in=dt.timedelta(minutes=5), open_for=dt.timedelta(hours=1),
    ),
]  # fmt: skip
PAST = DemoDrop(
    "northlight", "Harbour map, letterpress",
    "Two hundred prints of the harbour as it was drawn in the pilot's book.",
    price_minor=1_800, units=200, limit=1, open_for=dt.timedelta(hours=1),
)  # fmt: skip
PAST_BUYERS = 260  # more than there are prints, so that some are turned away


def load(shops: Mapping[str, Seller]) -> Iterator[str]:
    """Bring the demo's drops up to date; yields a line for each thing done."""
    for drop in RUNNING:
        if not showing.is_running(shops[drop.shop], drop.title):
            _open(shops[drop.shop], drop)
            yield f"opened {drop.title}"
    if not showing.sales_of(shops[PAST.shop], PAST.title).exists():
        sold, refused = _run_past(shops[PAST.shop])
        yield f"sold out and settled {PAST.title}: {sold} orders, {refused} refused"


def _open(shop: Seller, drop: DemoDrop) -> UUID:
    draft = showing.draft_of(shop, drop.title, drop.story, open_for=drop.open_for, opens_in=drop.opens_in)
    services.open_drop(
        draft, price_minor=drop.price_minor, units_total=drop.units, limit_per_fan=drop.limit, hold_s=drop.hold_s,
        cancel_s=drop.cancel_s,
    )  # fmt: skip
    return draft.sale_id


def _run_past(shop: Seller) -> tuple[int, int]:
    """A whole sale: more fans than prints, each buying through the lane, then closed early and settled."""
    sale_id = _open(shop, PAST)
    sold = refused = 0
    for fan_id in showing.fans_with(5_000, count=PAST_BUYERS):
        try:
            services.place_order(sale_id, order_command(Asked(fan_id, uuid7(), clock.now(), PlaceOrderIn())))
            sold += 1
        except Refusal:
            refused += 1
    showing.end(shop, sale_id)
    return sold, refused
