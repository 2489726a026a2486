from __future__ import annotations

from uuid import UUID

from django import template

from core.money import Money
from ledger import selectors

register = template.Library()


@register.simple_tag
def wallet_balance(user_id: UUID) -> Money:
    """What the user can spend in the wallet that holds most, for the head of a page. Nothing yet is zero euro."""
    amounts = [
        Money(wallet.balance.available_minor, currency) for currency, wallet in selectors.wallets_of(user_id).items()
    ]
    return max(amounts, key=lambda amount: amount.minor, default=Money(0, "EUR"))
