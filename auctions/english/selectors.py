from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from uuid import UUID

from django.db.models import Max
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from auctions.errors import WinNotFound
from auctions.models import Bid, Lot, Win, WinState
from ledger.models import Transfer
from sales.things import Things

wins = Things(
    Win, terms="sale", missing=WinNotFound, receipt="auctions/english/win.html", page="english:win",
    paid_minor=lambda win: win.price_minor if win.state == WinState.WON else 0,
    noun=pgettext_lazy("noun", "win"), nouns=_("wins"),
)  # fmt: skip

LOG_SHOWN = 20
COUNTED_MAX = 2_000


def maker_of_hold(sale_id: UUID) -> UUID | None:
    """The bid that made the hold there is for the lot: the row that its steps take."""
    hold_id = Lot.objects.filter(sale_id=sale_id).values_list("hold_id", flat=True).first()
    return None if hold_id is None else Transfer.objects.values_list("subject_id", flat=True).get(id=hold_id)


def bidders(sale_id: UUID, *, after: UUID | None, limit: int) -> Sequence[UUID]:
    """The next fans who have bid, in the order of their ids."""
    bids = Bid.objects.filter(sale_id=sale_id)
    if after is not None:
        bids = bids.filter(fan_id__gt=after)
    return list(bids.order_by("fan_id").values_list("fan_id", flat=True).distinct()[:limit])


def count_bidders(sale_id: UUID) -> int:
    return Bid.objects.filter(sale_id=sale_id).values("fan_id").distinct().count()


def newest_bids(sale_id: UUID, *, limit: int = LOG_SHOWN) -> list[Bid]:
    return list(Bid.objects.filter(sale_id=sale_id).order_by("-seq")[:limit])


def best_max_of(sale_id: UUID, fan_id: UUID) -> int | None:
    """The highest maximum that the fan has bid; None for one who has not. Minor units."""
    best: int | None = Bid.objects.filter(sale_id=sale_id, fan_id=fan_id).aggregate(best=Max("max_minor"))["best"]
    return best


def lots_of(sale_ids: Collection[UUID]) -> dict[UUID, Lot]:
    return Lot.objects.in_bulk(sale_ids)


def wins_of(sale_ids: Collection[UUID]) -> dict[UUID, Win]:
    return {win.sale_id: win for win in Win.objects.filter(sale_id__in=sale_ids)}


def bids_since(sale_id: UUID, since: dt.datetime) -> int:
    """Of the newest, so that no more are read however long the log is."""
    newest = Bid.objects.filter(sale_id=sale_id).order_by("-seq").values_list("received_at", flat=True)[:COUNTED_MAX]
    return sum(at >= since for at in newest)
