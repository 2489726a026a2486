from __future__ import annotations

import datetime as dt
from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Schema
from ninja.security import django_auth

from auctions.english import presenters, selectors, services
from auctions.models import English
from core.schemas import MoneyOut
from sales import selectors as sale_selectors
from sales.lifecycle_api import lifecycle_routes, of_format
from sales.things_api import things_routes

router = Router(auth=django_auth)


class LogLine(Schema):
    """A bid as everybody may see it: under a pseudonym, and without its maximum."""

    seq: int
    fan: str
    answer: str
    price: MoneyOut
    ends_at: dt.datetime
    received_at: dt.datetime


@router.get("/auctions/{uuid:sale_id}/log", response=list[LogLine], auth=None, tags=["auctions"])
def get_log(request: HttpRequest, sale_id: UUID) -> list[dict[str, object]]:
    """The newest bids on a lot, the newest first."""
    sale = of_format(sale_selectors.get_public_sale(sale_id), "english")
    return [
        {
            "seq": row.bid.seq, "fan": row.fan, "answer": row.bid.answer, "price": row.price, "ends_at": row.ends_at,
            "received_at": row.bid.received_at,
        }
        for row in presenters.log_rows(sale, selectors.newest_bids(sale.id))
    ]  # fmt: skip


class WinOut(Schema):
    id: UUID
    sale_id: UUID
    price: MoneyOut
    premium: MoneyOut
    state: str
    won_at: dt.datetime
    terms_sha256: str


lifecycle_routes(router, format="english", plural="auctions", draft=services.draft_english, model=English)

things_routes(
    router, format="english", plural="auctions", things=selectors.wins, name="wins", mine_at="/auctions/wins", out=WinOut,
    show=lambda wins: wins,
)  # fmt: skip
