"""The demo's drops."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from uuid import UUID

from core import clock
from core.errors import Refusal
from core.ids import uuid7
from drops import services
from drops.hot import PlaceOrderIn, order_command
from sales import showing
from sales.placing import Asked
from sales.showing import Shops, Shown

HOUR, MINUTE = dt.timedelta(hours=1), dt.timedelta(minutes=1)
RUNNING = [
    Shown(
        "northlight", "Aurora risograph, first edition",
        "Three colours on recycled stock. Every sheet is numbered; when they are gone they are gone.",
        6 * HOUR, {"price_minor": 2_400, "units_total": 120, "limit_per_fan": 2, "cancel_s": 600},
        picture="aurora.jpg", shows="A stack of prints: northern lights over dark hills, in three colours",
    ),
    Shown(
        "kiln-nine", "Tide bowl, ash glaze",
        "Thrown in one sitting. You can hold one for two minutes while you make up your mind.",
        3 * HOUR, {"price_minor": 5_800, "units_total": 40, "limit_per_fan": 1, "hold_s": 120},
        picture="bowl.jpg", shows="A wide bowl with a grey-green ash glaze, and a smaller one behind it",
    ),
    Shown(
        "kiln-nine", "Moon jar, November firing",
        "Eight jars came out of the kiln whole.",
        HOUR, {"price_minor": 14_000, "units_total": 8, "limit_per_fan": 1}, opens_in=5 * MINUTE,
        picture="jar.jpg", shows="A round white porcelain jar between two smaller ones",
    ),
]  # fmt: skip
PAST = Shown(
    "northlight", "Harbour map, letterpress",
    "Two hundred prints of the harbour as it was drawn in the pilot's book.",
    HOUR, {"price_minor": 1_800, "units_total": 200, "limit_per_fan": 1},
    picture="harbour.jpg", shows="A printed chart of a harbour, with a brass divider lying on it",
)  # fmt: skip
PAST_BUYERS = 260  # more than there are prints, so that some are turned away


def load(shops: Shops) -> Iterator[str]:
    """Bring the demo's drops up to date; yields a line for each thing done."""
    for drop in RUNNING:
        if not drop.is_running(shops):
            drop.open(shops, services.open_drop)
            yield f"opened {drop.title}"
    if not PAST.has_been(shops):
        sold, refused = _run_past(PAST.open(shops, services.open_drop))
        yield f"sold out and settled {PAST.title}: {sold} orders, {refused} refused"


def _run_past(sale_id: UUID) -> tuple[int, int]:
    """A whole sale: more fans than prints, each buying through the lane, then closed early and settled."""
    sold = refused = 0
    for fan_id in showing.fans_with(5_000, count=PAST_BUYERS):
        try:
            services.place_order(sale_id, order_command(Asked(fan_id, uuid7(), clock.now(), PlaceOrderIn())))
            sold += 1
        except Refusal:
            refused += 1
    showing.end(sale_id)
    return sold, refused
