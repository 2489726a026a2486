from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Schema
from ninja.security import django_auth

from core.http import user_id
from core.schemas import MoneyOut
from ledger import selectors

router = Router(auth=django_auth, tags=["wallet"])


class WalletOut(Schema):
    available: MoneyOut
    held: MoneyOut


class LineOut(Schema):
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


@router.get("/{currency}/statement", response=list[LineOut])
def get_statement(
    request: HttpRequest, currency: str, since: dt.datetime | None = None, until: dt.datetime | None = None
) -> list[Any]:
    """The wallet's newest 200 lines dated in [since, until), oldest first, with the balance after each."""
    wallet = selectors.wallets_of(user_id(request)).get(currency)
    if wallet is None:
        return []
    return [line._asdict() for line in selectors.statement(wallet.account_id, since=since, until=until)]
