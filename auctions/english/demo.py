"""The demo's English auctions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from uuid import UUID

from auctions.english import services
from auctions.english.hot import BidIn, bid_command
from core import clock
from core.ids import uuid7
from sales import showing
from sales.placing import Asked
from sales.showing import Shops, Shown

HOUR = dt.timedelta(hours=1)
# Who of the made-up fans bids, and up to how much.
Bids = Sequence[tuple[int, int]]
RUNNING = Shown(
    "kiln-nine", "Ember bottle, wood-fired",
    "Four days in the wood kiln, closest to the fire. The ash ran down its shoulder and froze there; it cannot be made twice.",
    5 * HOUR,
    {
        "start_minor": 2_000, "steps": "0:100,5000:250,10000:500", "reserve_minor": 9_000, "buy_now_minor": 18_000,
        "premium_bps": 1_000,
    },
    picture="bottle.jpg", shows="A tall stoneware bottle, dark below, with amber ash running down from its neck",
)  # fmt: skip
RUNNING_BIDS = [(0, 2_500), (1, 3_200), (2, 3_000), (3, 5_500), (1, 5_000), (4, 7_000)]
PAST = Shown(
    "northlight", "Aurora, the copper plate",
    "The plate itself, cancelled with one line after the last print. A bid in the last ten seconds gives everybody ten more.",
    dt.timedelta(seconds=8),
    {"start_minor": 4_000, "steps": "0:200,10000:500", "reserve_minor": 10_000, "window_s": 10, "extension_s": 10},
    picture="plate.jpg", shows="An engraved copper plate on a dark table, beside a burin with a wooden handle",
)  # fmt: skip
PAST_BIDS = [(0, 6_000), (1, 8_000), (2, 7_500), (0, 11_000), (3, 14_000), (1, 12_500), (0, 15_500)]


def load(shops: Shops) -> Iterator[str]:
    """Bring the demo's auctions up to date; yields a line for each thing done."""
    if not RUNNING.is_running(shops):
        _open(shops, RUNNING, RUNNING_BIDS)
        yield f"opened {RUNNING.title}, with {len(RUNNING_BIDS)} bids"
    if not PAST.has_been(shops):
        showing.end_in_time(_open(shops, PAST, PAST_BIDS))
        yield f"sold {PAST.title}, after {len(PAST_BIDS)} late bids"


def _open(shops: Shops, lot: Shown, bids: Bids) -> UUID:
    """With bids of fans who are there before it opens: the past one is short, and each bid of it moves its end."""
    fans = list(showing.fans_with(30_000, count=1 + max(fan for fan, _ in bids)))
    sale_id = lot.open(shops, services.open_english)
    for fan, most in bids:
        services.place_bid(sale_id, bid_command(Asked(fans[fan], uuid7(), clock.now(), BidIn(max=most))))
    return sale_id
