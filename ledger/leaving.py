"""Whoever leaves must have no money here; and may take along what moved it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from accounts.closing import Part, register
from core.money import Money
from ledger import selectors
from ledger.models import Transfer


def obstacles(user_id: UUID) -> list[str]:
    found = []
    for currency, wallet in selectors.wallets_of(user_id).items():
        held, free = (Money(minor, currency) for minor in (wallet.balance.held_minor, wallet.balance.available_minor))
        if held.minor:
            found.append(
                _("{held} of yours is set aside for a sale that is not over: wait for its end.").format(held=held)
            )
        if free.minor:
            found.append(_("{free} is in your wallet: spend it first, or ask us to pay it out.").format(free=free))
    return found


def export(user_id: UUID) -> list[dict[str, Any]]:
    accounts = [wallet.account_id for wallet in selectors.wallets_of(user_id).values()]
    moved = Transfer.objects.filter(debit_account_id__in=accounts) | Transfer.objects.filter(
        credit_account_id__in=accounts
    )
    columns = ("id", "kind", "code", "amount_minor", "currency", "recorded_at")
    return [dict(row) for row in moved.order_by("id").values(*columns)]


register(Part("money", obstacles=obstacles, export=export))
