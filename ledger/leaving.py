"""Whoever leaves must have no money here; and may take along what moved it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from accounts.closing import Part, register
from core.money import Money
from ledger import selectors
from ledger.models import Transfer


def obstacles(user_id: UUID) -> list[str]:
    found = []
    for currency, wallet in selectors.wallets_of(user_id).items():
        held, free = (Money(minor, currency) for minor in (wallet.balance.held_minor, wallet.balance.available_minor))
        if held.minor:
            found.append(f"{held} of yours is set aside for a sale that is not over: wait for its end.")
        if free.minor:
            found.append(f"{free} is in your wallet: spend it first, or ask us to pay it out.")
    return found


def export(user_id: UUID) -> list[dict[str, Any]]:
    accounts = [wallet.account_id for wallet in selectors.wallets_of(user_id).values()]
    moved = Transfer.objects.filter(debit_account_id__in=accounts) | Transfer.objects.filter(
        credit_account_id__in=accounts
    )
    columns = ("id", "kind", "code", "amount_minor", "currency", "recorded_at")
    return [dict(row) for row in moved.order_by("id").values(*columns)]


register(Part("money", obstacles=obstacles, export=export))
