from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Schema
from ninja.security import django_auth
from pydantic import Field

from core.http import user_id
from core.paging import Page
from core.schemas import MoneyOut
from ledger import selectors

router = Router(auth=django_auth, tags=["wallet"])


class WalletOut(Schema):
    available: MoneyOut
    held: MoneyOut


class LineOut(Schema):
    id: UUID
    at: dt.datetime
    code: str
    kind: str
    subject_id: UUID
    amount_minor: int
    held_minor: int
    balance_minor: int


@router.get("", response=list[WalletOut])
def list_wallets(request: HttpRequest) -> list[dict[str, Any]]:
    """The user's wallets, one per currency."""
    return [
        {
            "available": {"minor": wallet.balance.available_minor, "currency": currency},
            "held": {"minor": wallet.balance.held_minor, "currency": currency},
        }
        for currency, wallet in selectors.wallets_of(user_id(request)).items()
    ]


class StatementPage(Schema):
    items: list[LineOut] = Field(alias="rows")
    next: str | None


@router.get("/{currency}/statement", response=StatementPage)
def get_statement(
    request: HttpRequest, currency: str, since: dt.datetime | None = None, until: dt.datetime | None = None,
    after: str = Query("", max_length=120),
) -> Page[Any]:  # fmt: skip
    """The wallet's lines dated in [since, until), the newest first, with the balance after each.

    Goes on with `?after=` and the `next` of the page before.
    """
    wallet = selectors.wallets_of(user_id(request)).get(currency)
    if wallet is None:
        return Page([])
    return selectors.statement(wallet.account_id, since=since, until=until, cursor=after)
